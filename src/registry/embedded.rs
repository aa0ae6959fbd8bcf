//! The shipped plans, registries, profiles and templates, held inside the binary so that listings work from any directory.

/// Paths in the project and their texts, sorted by path: everything beneath `plans/`, as the build script found it.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The text of a shipped file by its path in the project.
#[must_use]
pub fn file(path: &str) -> Option<&'static str> {
    FILES.binary_search_by_key(&path, |(name, _)| name).ok().map(|at| FILES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_exactly_the_files_under_plans() {
        let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut on_disk: Vec<String> = walkdir::WalkDir::new(project.join("plans"))
            .into_iter()
            .filter_entry(|entry| entry.file_name() != "out")
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.path().strip_prefix(project).unwrap().to_string_lossy().into_owned())
            .collect();
        on_disk.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(embedded, on_disk);
        assert!(file("plans/registry/index.json").is_some());
        assert!(file("Cargo.toml").is_none());
    }
}
