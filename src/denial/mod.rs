//! One decision of an enforcement layer as evidence: who asked for what, what was decided, and by which rule.
//!
//! Layer 2, pure. The Linux supervisor produces these records while it runs; lanes attach them to rows, `sandbox run`
//! writes the refusals among them as JSON lines. Contract: `SPEC.md`, section "Decision records".

pub mod log;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::vocab::{Decision, RuleRef};

/// One access that an enforcement layer decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// SBPL operation, for instance `file-read-data`.
    pub operation: String,
    /// What it was judged on: a canonical absolute path, an address or a process. Bytes that are not UTF-8 are `\\xNN`.
    pub target: String,
    /// What was applied.
    pub decision: Decision,
    /// The rule that decided; null when no rule matched and the default is implicit.
    pub rule: Option<RuleRef>,
    /// Set when the profile could not be evaluated for this access and deny was applied: the reason.
    pub undecided: Option<String>,
    /// Errno handed to the process (Linux numbering); null when the operation succeeded or its outcome is not known here.
    pub errno: Option<i32>,
    /// Thread group id of the asking process as the supervisor sees it.
    pub pid: i32,
    /// Name of the asking process (`comm`, at most 15 bytes); fetched for refusals only, otherwise null.
    pub process: Option<String>,
    /// Name of the system call that asked.
    pub syscall: String,
    /// When it was decided, in seconds since 1970-01-01T00:00:00Z.
    pub at_unix_s: f64,
}

/// A path as the text of [`DecisionRecord::target`]: bytes that are not printable UTF-8, and `\\`, are `\\xNN`.
#[must_use]
pub fn target_text(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    text.push_str(&format!("\\x{byte:02x}"));
                }
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The bytes that [`target_text`] made `text` of; `None` when it makes no such text.
#[must_use]
pub fn target_bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = escape.strip_prefix('x')?.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &escape[3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

/// One refusal as `sandbox run --denials` writes it; `count` equal ones, the last of them at `last_at_unix_s`.
#[must_use]
pub fn refusal_line(record: &DecisionRecord, count: u64, last_at_unix_s: f64) -> Value {
    let mut line = json!({
        "operation": record.operation,
        "target": record.target,
        "pid": record.pid,
        "process": record.process,
        "rule": record.rule.as_ref().map(ToString::to_string),
        "count": count,
        "first_at_unix_s": record.at_unix_s,
        "last_at_unix_s": last_at_unix_s,
    });
    if let Some(reason) = &record.undecided {
        line["undecided"] = json!(reason);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{target_bytes, target_text};

    #[test]
    fn text_leads_back_to_its_bytes() {
        for bytes in [&b"/a\n\xff\\ b"[..], "/\u{e4}".as_bytes(), b"", b"\\x41"] {
            assert_eq!(target_bytes(&target_text(bytes)).as_deref(), Some(bytes));
        }
        for text in ["\\", "\\x4", "\\xzz", "\\n"] {
            assert_eq!(target_bytes(text), None);
        }
    }

    #[test]
    fn any_bytes_become_unambiguous_text() {
        assert_eq!(target_text("/a/ä".as_bytes()), "/a/ä");
        assert_eq!(target_text(b"/a\n\xff\\"), "/a\\x0a\\xff\\x5c");
    }
}
