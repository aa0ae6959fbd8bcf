//! Findings as SARIF 2.1.0 (OASIS Static Analysis Results Interchange Format).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::vocab::{Finding, Severity};

/// One run of this tool over files. Files in `incomplete` were not looked at as a whole: the run did not succeed.
#[must_use]
pub fn sarif(tool_version: &str, findings: &[Finding], incomplete: &[String]) -> Value {
    let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    let rules: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    let notifications: Vec<Value> = incomplete
        .iter()
        .map(|file| {
            json!({
                "level": "error",
                "message": {"text": super::not_complete(file)},
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri(file)}}}],
            })
        })
        .collect();
    let invocation = json!({"executionSuccessful": incomplete.is_empty(), "toolExecutionNotifications": notifications});
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "runtime", "version": tool_version, "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation],
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let mut text = finding.message.clone();
    if let Some(pointer) = finding.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        text.push_str(&format!(" (at {pointer})"));
    }
    if let Some(help) = &finding.help {
        text.push_str(&format!(". {help}"));
    }
    let mut location = json!({"artifactLocation": {"uri": uri(&finding.file)}});
    if let Some(line) = finding.line {
        location["region"] = json!({"startLine": line, "startColumn": finding.column.unwrap_or(1)});
    }
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    json!({
        "ruleId": finding.id,
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    })
}

/// A path as a URI reference (RFC 3986): everything but unreserved characters and `/` as percent escapes.
fn uri(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            escaped.push(byte as char);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    if path.starts_with('/') { format!("file://{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_name_rule_level_and_place() {
        let finding = Finding::new("x-y", Severity::Error, "a b.sb", "m").at_position(3, 4).help("h");
        let document = sarif("1.0", &[finding.clone(), finding], &[]);
        assert_eq!(document["runs"][0]["invocations"][0]["executionSuccessful"], true);
        assert_eq!(document["runs"][0]["tool"]["driver"]["rules"], json!([{"id": "x-y"}]));
        let result = &document["runs"][0]["results"][1];
        assert_eq!((&result["ruleId"], &result["level"]), (&json!("x-y"), &json!("error")));
        assert_eq!(result["message"]["text"], "m. h");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b.sb");
        assert_eq!(place["region"], json!({"startLine": 3, "startColumn": 4}));
        assert_eq!(uri("/a"), "file:///a");
    }
}
