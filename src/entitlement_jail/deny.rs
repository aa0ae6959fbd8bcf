//! Refusals in an observer's report, read strictly. Pure.
//!
//! The observer calls every line that holds the word "deny" a refusal, the log tool's own banner with the filter in it
//! included. Here a line counts only when the system says in it that it refused an operation to this very process.

use serde::Serialize;
use serde_json::Value;

use crate::denial::log;

/// One refusal of the process in question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// Operation as logged.
    pub operation: String,
    /// On what; null for operations without an object.
    pub argument: Option<String>,
    /// Who was refused.
    pub pid: i32,
    /// Its name.
    pub process_name: String,
    /// How many refusals the line stands for.
    pub count: u64,
    /// Who reported it: `embedded` or `external`.
    pub source: &'static str,
    /// The line.
    pub line: String,
}

/// What the lines of a report hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// Refusals of the process in question.
    pub denied: Vec<Denied>,
    /// Lines that the observer took for refusals and that are none, or of another process.
    pub other_lines: usize,
}

/// Reads the lines that a report calls refusals; those of its whole log where it has no such list.
#[must_use]
pub fn read(report: &Value, pid: i32, process_name: &str, source: &'static str) -> Read {
    let data = report.get("data").unwrap_or(&Value::Null);
    let lines: Vec<&str> = match data.get("deny_lines") {
        Some(Value::Array(lines)) => lines.iter().filter_map(Value::as_str).collect(),
        _ => {
            let text = data.get("log_stdout").and_then(Value::as_str).unwrap_or_default();
            text.lines().filter(|line| line.to_ascii_lowercase().contains("deny")).collect()
        }
    };
    let mut found = Read::default();
    for line in lines {
        let of_process = log::read(line).entries.into_iter().filter(|entry| {
            entry.denied && entry.undecided.is_none() && entry.pid == pid && entry.process == process_name
        });
        let before = found.denied.len();
        found.denied.extend(of_process.map(|entry| Denied {
            operation: entry.operation,
            argument: entry.argument,
            pid: entry.pid,
            process_name: entry.process,
            count: entry.count,
            source,
            line: line.to_owned(),
        }));
        found.other_lines += usize::from(found.denied.len() == before);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn operations(lines: &[&str]) -> Vec<String> {
        let report = json!({"data": {"deny_lines": lines}});
        read(&report, 4242, "ProbeService_demo", "embedded").denied.into_iter().map(|own| own.operation).collect()
    }

    #[test]
    fn only_a_refusal_of_this_process_counts() {
        let kernel = "2031-05-04 09:15:08.123456+0000  localhost kernel[0]: (Sandbox) Sandbox: ProbeService_demo(4242) deny(1) network-outbound /x y";
        assert_eq!(operations(&[kernel]), ["network-outbound"]);
        for other in [
            "Filtering the log data using \"eventMessage CONTAINS[c] \"Sandbox: ProbeService_demo(4242)\" OR (eventMessage CONTAINS \"deny\" AND eventMessage CONTAINS \"4242\")\"",
            "localhost log[77]: (libsystem) predicate: Sandbox: ProbeService_demo(4242) OR deny 4242",
            "localhost kernel[0]: (Sandbox) Sandbox: ProbeService_demo(42421) deny(1) network-outbound",
            "localhost kernel[0]: (Sandbox) Sandbox: Other(4242) deny(1) network-outbound",
            "localhost kernel[0]: (Sandbox) Sandbox: ProbeService_demo(4242) allow network-outbound",
            "localhost tccd[9]: deny access for pid 4242",
            "",
        ] {
            let report = json!({"data": {"deny_lines": [other]}});
            let found = read(&report, 4242, "ProbeService_demo", "embedded");
            assert_eq!((found.denied, found.other_lines), (vec![], 1), "{other}");
        }
    }

    #[test]
    fn the_whole_log_is_read_where_there_is_no_list() {
        let log = "Timestamp (process)[PID]\nkernel: Sandbox: P(7) deny(1) file-read-data /etc/x\nkernel: Sandbox: P(7) deny(1) process-fork\n";
        let found = read(&json!({"data": {"log_stdout": log}}), 7, "P", "external");
        assert_eq!((found.denied.len(), found.other_lines), (2, 0));
        assert_eq!(found.denied[0].argument.as_deref(), Some("/etc/x"));
        assert_eq!(read(&json!({}), 7, "P", "external"), Read::default());
    }
}
