//! What a user may write for a registry: an id of the index, a directory, or one of its two files.

use std::path::Path;

use super::find::{Files, RegistryError, Source, indexed};
use super::index::{Index, Lookup};
use super::place::Place;
use crate::os::input;

/// A registry chosen by a user: the id it was asked for by, where that is one, and its files.
pub type Selected = (Option<String>, Files);

/// Finds the registry that `text` names: a path when it looks like one (`/`, leading dot, `.json`), else an id of the
/// index, else a directory. Relative paths start at `lookup.start`.
///
/// # Errors
/// See [`RegistryError`]; [`RegistryError::NotThere`] when a path holds no registry.
pub fn select(text: &str, lookup: &Lookup) -> Result<Selected, RegistryError> {
    if text.contains('/') || text.starts_with('.') || text.ends_with(".json") {
        return at_path(text, &lookup.start.join(text)).map(|files| (None, files));
    }
    let index = Index::read(lookup).map_err(RegistryError::Index)?;
    match indexed(&index, text) {
        // No id, and a directory without the `./` that would tell it from one.
        Err(RegistryError::Unknown { .. }) if input::is_directory(&lookup.start.join(text)) => {
            at_path(text, &lookup.start.join(text)).map(|files| (None, files))
        }
        files => Ok((Some(text.to_owned()), files?)),
    }
}

fn at_path(text: &str, path: &Path) -> Result<Files, RegistryError> {
    let not_there = |expected| RegistryError::NotThere { path: path.display().to_string(), expected };
    let source = Source::Given(text.to_owned());
    if input::is_directory(path) {
        let folders = [path.to_path_buf(), path.join("registry")];
        let folder = folders
            .into_iter()
            .find(|folder| ["probes.json", "profiles.json"].iter().any(|name| input::is_file(&folder.join(name))))
            .ok_or_else(|| {
                not_there("a directory with probes.json and profiles.json, or with registry/ that has them")
            })?;
        let place = |name| Place::Disk(folder.join(name));
        return Ok(Files { probes: place("probes.json"), profiles: place("profiles.json"), source });
    }
    if !input::is_file(path) {
        return Err(not_there("a directory or a file"));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (probes, profiles) = if name.contains("profiles") {
        (name.replace("profiles", "probes"), name)
    } else if name.contains("probes") {
        (name.clone(), name.replace("probes", "profiles"))
    } else {
        return Err(not_there("a file whose name says probes or profiles"));
    };
    let place = Place::Disk(path.to_path_buf());
    Ok(Files { probes: place.beside(&probes), profiles: place.beside(&profiles), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_directories_and_files() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let lookup = Lookup { start: project.to_path_buf(), ..Lookup::default() };
        let probes = project.join("plans/linux-baseline/registry/probes.json");
        let (id, files) = select("linux-baseline", &lookup).unwrap();
        assert_eq!((id.as_deref(), files.probes.disk_path()), (Some("linux-baseline"), Some(probes.as_path())));
        for text in [
            "plans/linux-baseline",
            "./plans/linux-baseline/registry",
            "plans/linux-baseline/registry/probes.json",
            "plans/linux-baseline/registry/profiles.json",
        ] {
            assert_eq!(select(text, &lookup).unwrap().1.probes.disk_path(), Some(probes.as_path()), "{text}");
        }
        for text in ["./plans", "./absent", "plans/registry/index.json", "absent.json"] {
            assert!(matches!(select(text, &lookup), Err(RegistryError::NotThere { .. })), "{text}");
        }
        assert!(matches!(select("absent", &lookup), Err(RegistryError::Unknown { .. })));
    }
}
