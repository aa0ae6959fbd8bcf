//! Which known place a file belongs to.

use super::items::InRepoItem;
use super::scan::Hit;

/// Files by item, and the files of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The files of each item, in the order of the items.
    pub files: Vec<Vec<Hit>>,
    /// The files of no item.
    pub rest: Vec<Hit>,
}

/// Gives each hit to the item with the longest path that is the hit's own or a directory above it. The order of the hits
/// is kept.
#[must_use]
pub fn assign(items: &[InRepoItem], hits: Vec<Hit>) -> Assigned {
    let mut assigned = Assigned { files: vec![Vec::new(); items.len()], rest: Vec::new() };
    for hit in hits {
        let claims =
            items.iter().enumerate().flat_map(|(number, item)| item.paths.iter().map(move |path| (number, path)));
        let own = claims
            .filter(|(_, path)| holds(path.as_str(), &hit.path))
            .max_by_key(|(_, path)| path.as_str().len())
            .map(|(number, _)| number);
        match own {
            Some(number) => assigned.files[number].push(hit),
            None => assigned.rest.push(hit),
        }
    }
    assigned
}

/// Whether `file` is `path` or stands beneath it.
fn holds(path: &str, file: &str) -> bool {
    file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rel_path::RelPath;

    #[test]
    fn a_path_ends_at_a_component_and_the_longest_wins() {
        let text = String::new;
        let item = |id: &str, paths: &[&str]| InRepoItem {
            id: id.to_owned(),
            paths: paths.iter().map(|path| RelPath::try_from(*path).unwrap()).collect(),
            category: text(),
            description: text(),
            privileges: text(),
            evidence_tier: text(),
            status: text(),
        };
        let items = [item("outer", &["a", "z.txt"]), item("inner", &["a/b"])];
        let hit = |path: &str| Hit { path: path.to_owned(), keywords: vec![] };
        let paths = ["a/b", "a/b/c", "a/bc", "a/x", "ab/c", "z.txt", "z.txt.bak"];
        let Assigned { files, rest } = assign(&items, paths.map(hit).to_vec());
        let names = |hits: &[Hit]| hits.iter().map(|hit| hit.path.clone()).collect::<Vec<_>>();
        assert_eq!(names(&files[0]), ["a/bc", "a/x", "z.txt"]);
        assert_eq!(names(&files[1]), ["a/b", "a/b/c"]);
        assert_eq!(names(&rest), ["ab/c", "z.txt.bak"]);
    }
}
