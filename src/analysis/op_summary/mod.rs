//! The op summary: what a run says about each operation, counted.
//!
//! Memory is bounded by the groups (operations, scenarios): the list of mismatches, the one part that grows with the rows, is
//! kept in a file that nobody else sees as soon as it is more than a little.

mod spool;
mod write;

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use serde_json::{Map, Value, json};

use self::spool::Spool;
use super::event_row::EventRow;
use crate::vocab::Operation;

/// Examples listed of an operation.
const EXAMPLES: usize = 5;

/// Counts of one operation; every row is in exactly one of `probes`, `blocked` and `unobserved`.
#[derive(Debug, Default)]
pub(super) struct Counts {
    probes: u64,
    matches: u64,
    mismatches: u64,
    rows: u64,
    blocked: u64,
    by_stage: Vec<(String, u64)>,
    by_kind: Vec<(String, u64)>,
    unobserved: u64,
    /// Of all rows, those whose outcome is an error, and those whose outcome is that nothing was observed.
    errors: u64,
    not_observed: u64,
    examples: Vec<Value>,
    scenarios: HashSet<Box<str>, RandomState>,
    details: Spool,
}

/// Whether the rows are this tool's own, and so under its stricter rule of coverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    Own,
    Earlier,
}

/// A summary by operation; see [`build_op_runtime_summary`].
#[derive(Debug)]
pub struct OpRuntimeSummary {
    pub(super) meta: Value,
    entries: Vec<Entry>,
}

/// What the document says of one operation, written already.
#[derive(Debug)]
struct Entry {
    /// Up to the list of mismatches.
    before: Vec<u8>,
    /// The list, which may be long.
    details: Spool,
    /// Behind the list.
    after: Vec<u8>,
}

/// The events counted so far.
pub(super) struct Counting {
    world_id: String,
    generation: Generation,
    operations: Vec<(String, Counts)>,
    by_name: HashMap<String, usize, RandomState>,
}

impl Counting {
    pub(super) fn new(world_id: &str, generation: Generation) -> Self {
        let world_id = world_id.to_owned();
        Self { world_id, generation, operations: Vec::new(), by_name: HashMap::default() }
    }

    /// Counts one event.
    pub(super) fn add(&mut self, event: &EventRow<'_>) -> std::io::Result<()> {
        let operation = event.operation.as_deref().unwrap_or_default();
        let at = match self.operations.last() {
            // Rows of one operation often follow each other.
            Some((name, _)) if name == operation => self.operations.len() - 1,
            _ => match self.by_name.get(operation) {
                Some(&at) => at,
                None => {
                    self.by_name.insert(operation.to_owned(), self.operations.len());
                    self.operations.push((operation.to_owned(), Counts::default()));
                    self.operations.len() - 1
                }
            },
        };
        self.operations[at].1.add(event)
    }

    /// Everything the summary says but where it comes from.
    pub(super) fn finish(self) -> std::io::Result<OpRuntimeSummary> {
        let (world, generation) = (&self.world_id, self.generation);
        let operations = self.operations.into_iter();
        let entries = operations.map(|(name, counts)| write::entry(&name, world, generation, counts));
        Ok(OpRuntimeSummary { meta: Value::Null, entries: entries.collect::<std::io::Result<_>>()? })
    }
}

impl OpRuntimeSummary {
    /// Where it comes from: the envelope of the document.
    #[must_use]
    pub fn meta(&self) -> &Value {
        &self.meta
    }

    /// Number of operations.
    #[must_use]
    pub fn operation_count(&self) -> usize {
        self.entries.len()
    }
}

impl Counts {
    fn add(&mut self, event: &EventRow<'_>) -> std::io::Result<()> {
        self.rows += 1;
        if !self.scenarios.contains(&*event.scenario_id) {
            self.scenarios.insert((*event.scenario_id).into());
        }
        match event.outcome.as_deref() {
            Some("error") => self.errors += 1,
            Some("not_observed") => self.not_observed += 1,
            // Rows without an outcome: by what they say of themselves.
            None if event.error.is_some() || event.failure_kind.as_deref() == Some("probe_timeout") => self.errors += 1,
            None if event.actual.is_none() && event.matches.is_none() => self.not_observed += 1,
            _ => {}
        }
        let stage = event.failure_stage.as_deref();
        if let Some(stage @ ("apply" | "bootstrap" | "preflight")) = stage {
            self.blocked += 1;
            count(&mut self.by_stage, stage);
            if let Some(kind) = event.failure_kind.as_deref().filter(|kind| !kind.is_empty()) {
                count(&mut self.by_kind, kind);
            }
            return Ok(());
        }
        if event.intended_op_witnessed == Some(false) {
            self.unobserved += 1;
            return Ok(());
        }
        self.probes += 1;
        match event.matches {
            Some(true) => self.matches += 1,
            Some(false) => {
                self.mismatches += 1;
                let members = [members_of(event).as_slice(), &[("target", event.target.as_deref())]].concat();
                self.details.push(&members)?;
            }
            None => {}
        }
        if self.examples.len() < EXAMPLES {
            let mut example: Map<String, Value> =
                members_of(event).into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
            example.insert("match".to_owned(), json!(event.matches));
            self.examples.push(Value::Object(example));
        }
        Ok(())
    }

    /// The rule of the earlier tool: what is not counted does not speak against coverage.
    fn earlier_status(&self) -> &'static str {
        match (self.probes, self.mismatches) {
            (0, _) => "brittle",
            (_, 0) => "ok",
            _ => "partial",
        }
    }

    /// `ok` only when every row of the operation was observed and met its expectation.
    fn strict_status(&self) -> &'static str {
        let clean = self.errors == 0 && self.not_observed == 0 && self.matches == self.rows;
        match (self.probes, clean) {
            (0, _) => "brittle",
            (_, true) => "ok",
            (_, false) if self.matches == 0 => "brittle",
            (_, false) => "partial",
        }
    }
}

/// What is told of a single row.
fn members_of<'e>(event: &'e EventRow<'_>) -> [(&'static str, Option<&'e str>); 4] {
    [
        ("scenario_id", Some(&*event.scenario_id)),
        ("expectation_id", event.expectation_id.as_deref()),
        ("expected", event.expected.as_deref()),
        ("actual", event.actual.as_deref()),
    ]
}

fn count(counts: &mut Vec<(String, u64)>, word: &str) {
    match counts.iter_mut().find(|(known, _)| known == word) {
        Some((_, number)) => *number += 1,
        None => counts.push((word.to_owned(), 1)),
    }
}

/// The number of an operation in the vocabulary; null when it has none.
fn op_id(name: &str) -> Option<usize> {
    Operation::new(name.to_owned()).index()
}

/// Summarises events that are at hand, without saying where they come from; see
/// [`summarize_ops_from_bundle`](super::summarize_ops_from_bundle) for a bundle.
///
/// # Errors
/// An event is not what the format says, or the list of mismatches cannot be kept.
pub fn build_op_runtime_summary(events: &[Value], world_id: &str) -> Result<OpRuntimeSummary, super::SummaryError> {
    let mut counting = Counting::new(world_id, Generation::Own);
    for (number, event) in events.iter().enumerate().filter(|(_, event)| event.is_object()) {
        let text = event.to_string();
        let row = serde_json::from_str::<EventRow<'_>>(&text).map_err(|error| super::ReadError::Event {
            number: number as u64,
            offset: 0,
            why: error.to_string(),
        })?;
        counting.add(&row).map_err(super::SummaryError::Spool)?;
    }
    let mut summary = counting.finish().map_err(super::SummaryError::Spool)?;
    summary.meta = super::source::meta(world_id, "runtime_events", "Events at hand, summarised by operation.");
    summary.meta["run_id"] = Value::Null;
    Ok(summary)
}

/// Writes a summary to `path`: whole, or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write_op_runtime_summary(
    summary: &mut OpRuntimeSummary,
    path: &std::path::Path,
) -> Result<(), super::SummaryError> {
    crate::os::fs::replace_with(path, |out| summary.write(out)).map_err(super::SummaryError::Write)
}
