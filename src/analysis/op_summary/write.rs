//! The document of an op summary: two-space indent, keys in the order of the format.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Counts, Entry, Generation, OpRuntimeSummary, op_id};
use crate::base::json as form;

impl OpRuntimeSummary {
    /// Writes the document. Not repeatable for summaries of many mismatches only in that it takes as long again.
    ///
    /// # Errors
    /// What the writer says, and reading back the list of mismatches.
    pub fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\n  \"meta\": {},\n  \"ops\": {{", moved(&form::to_pretty(&self.meta), "  "))?;
        for (number, entry) in self.entries.iter_mut().enumerate() {
            out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
            out.write_all(&entry.before)?;
            if !entry.details.is_empty() {
                out.write_all(b",\n      \"mismatch_details\": [\n")?;
                entry.details.write(out)?;
                out.write_all(b"\n      ]")?;
            }
            out.write_all(&entry.after)?;
        }
        out.write_all(if self.entries.is_empty() { b"}\n}" } else { b"\n  }\n}" })
    }

    /// The document as a value.
    ///
    /// # Errors
    /// Reading back the list of mismatches.
    pub fn document(&mut self) -> io::Result<Value> {
        let mut text = Vec::new();
        self.write(&mut text)?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }
}

/// Writes what the document says of one operation.
pub(super) fn entry(name: &str, world_id: &str, generation: Generation, counts: Counts) -> io::Result<Entry> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let object = |pairs: &[(String, u64)]| {
        Value::Object(pairs.iter().map(|(word, number)| (word.clone(), json!(number))).collect::<Map<_, _>>())
    };
    let mut scenarios: Vec<&str> = counts.scenarios.iter().map(|scenario| &**scenario).collect();
    scenarios.sort_unstable();
    let head = json!({
        "op_name": name,
        "op_id": op_id(name),
        "world_id": world_id,
        "probes": counts.probes,
        "matches": counts.matches,
        "mismatches": counts.mismatches,
        "probes_including_blocked": counts.rows,
        "blocked": {
            "total": counts.blocked, "by_stage": object(&counts.by_stage), "by_kind": object(&counts.by_kind),
        },
        "unobserved": counts.unobserved,
        "examples": counts.examples,
        "scenarios": scenarios,
    });
    writeln!(before, "    {}: {{", form::to_line(&name))?;
    write_members(&mut before, &head, "")?;
    let strict = counts.strict_status();
    let tail = json!({
        "coverage_status": match generation {
            Generation::Own => strict,
            Generation::Earlier => counts.earlier_status(),
        },
        "coverage_strict": strict,
        "errors": counts.errors,
        "not_observed": counts.not_observed,
    });
    write_members(&mut after, &tail, ",\n")?;
    after.extend_from_slice(b"\n    }");
    Ok(Entry { before, details: counts.details, after })
}

fn write_members(out: &mut Vec<u8>, object: &Value, before: &str) -> io::Result<()> {
    let mut between = before;
    for (key, value) in object.as_object().into_iter().flatten() {
        write!(out, "{between}      {}: {}", form::to_line(key), moved(&form::to_pretty(value), "      "))?;
        between = ",\n";
    }
    Ok(())
}

/// A text of several lines, all but the first moved in.
fn moved(text: &str, by: &str) -> String {
    text.replace('\n', &format!("\n{by}"))
}
