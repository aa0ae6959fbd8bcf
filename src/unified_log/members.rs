//! Whose refusals a command's are. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Captured, Gap};
use crate::denial::log::Logged;
use crate::denial::target_text;

/// The refusals of one command, and how many of others stood between them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mine {
    /// Refusals of the command's processes, in order.
    pub entries: Vec<Logged>,
    /// By process name: how many refusals of others there were. Children of the command that no long report names are among
    /// them: a message tells who asked, not whose child that is.
    pub foreign: BTreeMap<String, u64>,
}

/// The refusals of `root` and of those processes that long reports call its descendants.
#[must_use]
pub fn members(entries: &[Logged], root: i32) -> Mine {
    let mut own = BTreeSet::from([root]);
    loop {
        let is_new =
            |entry: &&Logged| entry.parent.is_some_and(|parent| own.contains(&parent)) && !own.contains(&entry.pid);
        let more: Vec<i32> = entries.iter().filter(is_new).map(|entry| entry.pid).collect();
        if more.is_empty() {
            break;
        }
        own.extend(more);
    }
    let mut mine = Mine::default();
    for entry in entries.iter().filter(|entry| entry.denied) {
        if own.contains(&entry.pid) {
            mine.entries.push(entry.clone());
        } else {
            *mine.foreign.entry(entry.process.clone()).or_default() += entry.count;
        }
    }
    mine
}

/// The lines that `sandbox run --denials` writes of a captured log: each refusal once with its count, and last what is known
/// about the capture itself, so that an empty log is never taken for a command that was refused nothing.
#[must_use]
pub fn denial_lines(mine: &Mine, captured: &Captured, stand_in_tools: &[String]) -> Vec<Value> {
    let mut keys = Vec::new();
    let mut lines: Vec<Value> = Vec::new();
    for entry in &mine.entries {
        let target = target_text(entry.argument.as_deref().unwrap_or_default().as_bytes());
        let key = (entry.operation.clone(), target.clone(), entry.pid);
        let at = entry.at_unix_us.map(|micros| micros as f64 / 1e6);
        match keys.iter().position(|known| *known == key) {
            Some(index) => {
                let count = lines[index]["count"].as_u64().unwrap_or(0);
                lines[index]["count"] = json!(count + entry.count);
                lines[index]["last_at_unix_s"] = json!(at);
            }
            None => {
                keys.push(key);
                lines.push(json!({
                    "operation": entry.operation, "target": target, "pid": entry.pid, "process": entry.process,
                    "rule": Value::Null, "count": entry.count, "first_at_unix_s": at, "last_at_unix_s": at,
                }));
            }
        }
    }
    lines.push(json!({"capture": {
        "source": "log_stream",
        "complete": captured.gaps.is_empty(),
        "gaps": captured.gaps.iter().map(gap).collect::<Vec<_>>(),
        "foreign": mine.foreign,
        "stand_in_tools": stand_in_tools,
    }}));
    lines
}

fn gap(gap: &Gap) -> Value {
    let mut document = json!(gap);
    document["message"] = json!(gap.to_string());
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denial::log;

    fn entries(messages: &[&str]) -> Vec<Logged> {
        let mut log = log::Log::default();
        for message in messages {
            let object = json!({"timestamp": "2024-05-01 12:00:00.500000+0000", "eventMessage": message});
            log.line(&object.to_string());
        }
        log.entries
    }

    #[test]
    fn a_tree_is_its_root_and_whom_reports_call_its_children() {
        let all = entries(&[
            "Sandbox: grandchild(6) deny(1) process-fork\nViolation: x\nParent Process: child [5]",
            "Sandbox: child(5) deny(1) file-read-data /a\nViolation: x\nParent Process: root [4]",
            "2 duplicate reports for Sandbox: other(7) deny(1) file-read-data /private",
            "Sandbox: root(4) allow file-read-data /reported",
            "Sandbox: root(4) deny(1) file-read-data /b",
        ]);
        let mine = members(&all, 4);
        let pids: Vec<i32> = mine.entries.iter().map(|entry| entry.pid).collect();
        assert_eq!((pids, mine.foreign), (vec![6, 5, 4], BTreeMap::from([("other".to_owned(), 2)])));
    }

    #[test]
    fn lines_sum_equal_refusals_up_and_end_with_the_capture() {
        let all = entries(&[
            "Sandbox: root(4) deny(1) file-read-data /b",
            "3 duplicate reports for Sandbox: root(4) deny(1) file-read-data /b",
            "Sandbox: root(4) deny(1) process-fork",
        ]);
        let gaps = vec![Gap::Garbage { lines: 2 }];
        let captured = Captured { gaps, ..Captured::default() };
        let lines = denial_lines(&members(&all, 4), &captured, &["log".to_owned()]);
        assert_eq!((lines.len(), &lines[0]["count"], &lines[1]["target"]), (3, &json!(4), &json!("")));
        assert_eq!(lines[0]["first_at_unix_s"], json!(1_714_564_800.5));
        assert_eq!(
            lines[2],
            json!({"capture": {
                "source": "log_stream", "complete": false,
                "gaps": [{"kind": "garbage", "lines": 2, "message": "2 lines of the log could not be read"}],
                "foreign": {}, "stand_in_tools": ["log"],
            }})
        );
        let whole = denial_lines(&Mine::default(), &Captured::default(), &[]);
        assert_eq!((whole.len(), &whole[0]["capture"]["complete"]), (1, &json!(true)));
    }
}
