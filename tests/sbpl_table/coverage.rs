//! What the tables have to cover: every filter, every wildcard, every answer.

use std::collections::BTreeSet;

use runtime::sbpl::FILTERS;

use super::tables;

/// The wildcards of the system's table.
const WILDCARDS: [&str; 34] = [
    "device*",
    "file*",
    "file-read*",
    "file-write*",
    "fs-quota*",
    "fs-quota-set*",
    "fs-snapshot*",
    "iokit*",
    "iokit-open*",
    "ipc*",
    "ipc-posix*",
    "ipc-posix-sem*",
    "ipc-posix-shm*",
    "ipc-posix-shm-write*",
    "ipc-sysv*",
    "mach*",
    "mach-host*",
    "mach-priv*",
    "mach-task*",
    "mach-task-special-port*",
    "network*",
    "nvram*",
    "process*",
    "process-exec*",
    "process-info*",
    "process-legacy-codesigning*",
    "process-legacy-codesigning-status*",
    "socket-option*",
    "syscall*",
    "sysctl*",
    "system*",
    "system-kext*",
    "system-mac*",
    "user-preference*",
];

/// Texts of the rules that answers name, with the decision before them.
fn deciding_rules() -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for table in tables() {
        for row in &table.rows {
            let answer = row.query.ask(&table.policy);
            let text = answer.rule.map_or_else(|| "no rule".to_owned(), |rule| rule.text);
            seen.insert(format!("{} {text}", answer.decision));
        }
    }
    seen
}

#[test]
fn every_filter_wildcard_and_answer_is_in_some_row() {
    let seen = deciding_rules();
    let filters = FILTERS.iter().map(|spec| spec.name).chain(["syscall-group-read", "unix-socket", "require-not"]);
    let names = filters.flat_map(|name| [format!("({name} "), format!("({name})")].map(|call| (name, call)));
    let decided: BTreeSet<&str> =
        names.filter(|(_, call)| seen.iter().any(|text| text.contains(call.as_str()))).map(|(name, _)| name).collect();
    let missing: Vec<&str> = FILTERS.iter().map(|spec| spec.name).filter(|name| !decided.contains(name)).collect();
    let words = |text: &String| text.replace(['(', ')'], " ");
    let operations: BTreeSet<String> =
        seen.iter().flat_map(|text| words(text).split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let wildcards: Vec<&str> = WILDCARDS.into_iter().filter(|name| !operations.contains(*name)).collect();
    assert!(missing.is_empty() && wildcards.is_empty(), "no row is decided by {missing:?} {wildcards:?}");
    for answer in ["allow ", "deny ", "unknown ", "deny no rule", "allow (allow default", "deny (deny default"] {
        assert!(seen.iter().any(|text| text.starts_with(answer)), "no row answers {answer}");
    }
}
