//! Where enforcement differs from the evaluator on purpose. A row names its entry; one that nobody names, that does not
//! deviate any more, or that the documentation does not tell, fails.

use super::table;

#[derive(Debug)]
pub(crate) struct Deviation {
    pub(crate) name: &'static str,
    /// Words of docs/linux-enforcement.md, line ends aside.
    documented: &'static str,
}

const DOCUMENTATION: &str = include_str!("../../docs/linux-enforcement.md");

#[rustfmt::skip]
pub(crate) const ALL: &[Deviation] = &[
    Deviation { name: "path-descriptors-are-for-reading", documented: "the kernel hands over no `O_PATH` descriptors, one for reading takes its place" },
    Deviation { name: "signals-stay-inside", documented: "Signals do not leave the tree" },
    Deviation { name: "modes-of-new-files-are-not-told", documented: "A filter on the mode of a file that is being made stays open" },
];

pub(crate) fn find(name: &str) -> &'static Deviation {
    ALL.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no deviation is called {name}"))
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_documented(words: &str) -> bool {
    on_one_line(DOCUMENTATION).contains(&on_one_line(words))
}

#[test]
fn every_deviation_is_documented_and_shown_by_a_row() {
    let rows: Vec<_> =
        table::names().iter().flat_map(|name| table::read(name)).flat_map(|section| section.rows).collect();
    for entry in ALL {
        assert!(is_documented(entry.documented), "{} is not told in docs/linux-enforcement.md", entry.name);
        let shown = rows.iter().any(|row| row.deviates.as_deref() == Some(entry.name));
        assert!(shown, "no row shows {}", entry.name);
    }
    assert!(!is_documented("everything is enforced on every system"));
}
