//! The document of an op summary: two-space indent, keys in the order of the format.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Counts, Generation, OpRuntimeSummary, op_id};
use crate::base::json as form;

impl OpRuntimeSummary {
    /// Writes the document. Not repeatable for summaries of many mismatches only in that it takes as long again.
    ///
    /// # Errors
    /// What the writer says, and reading back the list of mismatches.
    pub fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{{\n  \"meta\": {},\n  \"ops\": {{", moved(&form::to_pretty(&self.meta), "  "))?;
        let (world_id, generation) = (self.world_id.clone(), self.generation);
        let mut between = "\n";
        for (name, counts) in &mut self.operations {
            writeln!(out, "{between}    {}: {{", form::to_line(&name))?;
            write_entry(out, name, &world_id, generation, counts)?;
            out.write_all(b"\n    }")?;
            between = ",\n";
        }
        out.write_all(if self.operations.is_empty() { b"}\n}" } else { b"\n  }\n}" })
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

fn write_entry(
    out: &mut dyn Write,
    name: &str,
    world_id: &str,
    generation: Generation,
    counts: &mut Counts,
) -> io::Result<()> {
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
    write_members(out, &head, "")?;
    if !counts.details.is_empty() {
        out.write_all(b",\n      \"mismatch_details\": [\n")?;
        counts.details.write(out)?;
        out.write_all(b"\n      ]")?;
    }
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
    write_members(out, &tail, ",\n")
}

fn write_members(out: &mut dyn Write, object: &Value, before: &str) -> io::Result<()> {
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
