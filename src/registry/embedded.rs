//! The shipped plans, registries and profiles, held inside the binary so that listings work from any directory.

macro_rules! shipped {
    ($($path:literal),+ $(,)?) => { [$(($path, include_str!(concat!("../../", $path)))),+] };
}

/// Paths in the project and their texts, sorted by path.
pub const FILES: &[(&str, &str)] = &shipped![
    "plans/linux-baseline/fixtures.json",
    "plans/linux-baseline/plan.json",
    "plans/linux-baseline/registry/probes.json",
    "plans/linux-baseline/registry/profiles.json",
    "plans/linux-baseline/sb/allow_default_carve_out.sb",
    "plans/linux-baseline/sb/attributes.sb",
    "plans/linux-baseline/sb/attribution.sb",
    "plans/linux-baseline/sb/combined_filters.sb",
    "plans/linux-baseline/sb/deny_default_reader.sb",
    "plans/linux-baseline/sb/exec_scoped.sb",
    "plans/linux-baseline/sb/fork_without_exec.sb",
    "plans/linux-baseline/sb/network_scoped.sb",
    "plans/linux-baseline/sb/offline.sb",
    "plans/linux-baseline/sb/server.sb",
    "plans/linux-baseline/sb/settings.sb",
    "plans/linux-baseline/sb/shared_memory.sb",
    "plans/linux-baseline/sb/signals.sb",
    "plans/linux-baseline/sb/write_scoped.sb",
    "plans/registry/index.json",
];

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
