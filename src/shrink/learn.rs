//! The profile that grows: accesses become rules, each once, with where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::generalize::{self, Access, Ground, Proposal};
use super::provenance::{Provenance, RuleOrigin};
use super::rule::{Derived, NetworkRules, NoRule, Places, companions, derive};
use crate::denial::log::{Logged, Spelling};
use crate::denial::{DecisionRecord, target_bytes};

/// A profile and what is known about its rules.
#[derive(Debug)]
pub(super) struct Learner {
    pub(super) text: String,
    pub(super) provenance: Provenance,
    network: NetworkRules,
    places: Places,
    /// Rules in the text, as lines.
    lines: BTreeSet<String>,
    /// Lines for `bad_rules.txt`, each once.
    pub(super) bad: Vec<String>,
    pub(super) last_rule: Option<String>,
    proposals: Vec<Proposal>,
}

impl Learner {
    pub(super) fn new(text: String, provenance: Provenance, network: NetworkRules, places: Places) -> Self {
        let lines = text.lines().map(str::to_owned).collect();
        Self { text, provenance, network, places, lines, bad: Vec::new(), last_rule: None, proposals: Vec::new() }
    }

    /// Learns from refusals; gives the number of new rules.
    pub(super) fn learn(&mut self, entries: &[Logged], run: u32, source: &str) -> usize {
        let mut new = 0;
        for entry in entries.iter().filter(|entry| entry.denied) {
            if let Some(proposal) = access(entry).and_then(|own| self.proposals.iter().find(|known| known.covers(&own)))
            {
                let derived = Derived { rule: proposal.rule.clone(), filter: "regex".to_owned(), wider: None };
                let (adds, examples) = (Some(proposal.adds.clone()), proposal.examples.clone());
                new += self.add(entry, &derived, run, source, adds, examples);
                continue;
            }
            match derive(entry, self.network, &self.places) {
                Ok(derived) => {
                    let adds = derived.wider.map(str::to_owned);
                    new += self.add(entry, &derived, run, source, adds, Vec::new());
                    for rule in companions(entry, &self.places) {
                        let derived = Derived { rule, filter: String::new(), wider: None };
                        new += self.add(entry, &derived, run, "companion", None, Vec::new());
                    }
                }
                Err(NoRule::DroppedNetwork) => {
                    let argument = entry.argument.as_deref().unwrap_or_default();
                    self.reject(format!("dropped_network: {} {argument}", entry.operation));
                }
                Err(NoRule::Invalid(text)) => self.reject(format!("invalid_rule: {text}")),
            }
        }
        new
    }

    /// Compares what two runs asked for and learns made-up names as rules of their own, in place of the names. A rule counts when
    /// it covers at least `examples` of the first. Gives what the new rules add, and the rules.
    pub(super) fn generalise(
        &mut self,
        first: &[Logged],
        second: &[Logged],
        examples: usize,
        (work, home): (&Path, Option<&Path>),
    ) -> Vec<(String, String)> {
        let accesses = |entries: &[Logged]| -> BTreeSet<Access> { entries.iter().filter_map(access).collect() };
        let first = accesses(first);
        let mut new = Vec::new();
        for proposal in generalize::propose(&first, &accesses(second), Ground { work, home }) {
            let known = self.proposals.iter().any(|known| known.rule == proposal.rule);
            if !known && first.iter().filter(|own| proposal.covers(own)).count() >= examples {
                new.push((proposal.adds.clone(), proposal.rule.clone()));
                self.proposals.push(proposal);
            }
        }
        new
    }

    fn add(
        &mut self,
        entry: &Logged,
        derived: &Derived,
        run: u32,
        source: &str,
        adds: Option<String>,
        examples: Vec<String>,
    ) -> usize {
        self.provenance.add(RuleOrigin {
            rule: derived.rule.clone(),
            operation: entry.operation.clone(),
            filter: derived.filter.clone(),
            argument: entry.argument.clone(),
            runs: vec![run],
            hits: entry.count,
            first_process: Some(entry.process.clone()).filter(|name| !name.is_empty()),
            source: source.to_owned(),
            adds,
            examples,
            kept: None,
        });
        if !self.lines.insert(derived.rule.clone()) {
            return 0;
        }
        if !self.text.ends_with('\n') && !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&derived.rule);
        self.text.push('\n');
        self.last_rule = Some(derived.rule.clone());
        1
    }

    fn reject(&mut self, line: String) {
        let line = line.replace(['\n', '\r'], " ");
        if !self.bad.contains(&line) {
            self.bad.push(line);
        }
    }
}

/// The path an entry is about, where it is about one.
fn access(entry: &Logged) -> Option<Access> {
    let argument = entry.argument.as_deref()?;
    if !entry.operation.starts_with("file-") && !entry.operation.starts_with("process-exec") {
        return None;
    }
    let path = match entry.spelling {
        Spelling::Record => String::from_utf8(target_bytes(argument)?).ok()?,
        Spelling::UnifiedLog => argument.to_owned(),
    };
    path.starts_with('/').then(|| (entry.operation.clone(), path))
}

/// A decision of the supervisor in the form of a logged refusal. What no rule left open was turned down whatever rules say.
pub(super) fn logged(record: &DecisionRecord, count: u64) -> Logged {
    Logged {
        operation: record.operation.clone(),
        argument: Some(record.target.clone()).filter(|target| !target.is_empty()),
        pid: record.pid,
        process: record.process.clone().unwrap_or_default(),
        parent: None,
        count,
        denied: true,
        tag: None,
        undecided: record.undecided.clone().filter(|_| record.rule.is_none()),
        spelling: Spelling::Record,
        at_unix_us: None,
    }
}

/// Which entries of a log belong to one tree of processes.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Everything belongs to it.
    pub(super) all: bool,
    /// Children of members are members.
    pub(super) children: bool,
    /// The first process.
    pub(super) roots: BTreeSet<i32>,
    /// The text that marks entries of one run, whoever made them.
    pub(super) tag: Option<String>,
}

/// Entries that belong to a scope, and what was left out.
#[derive(Debug, Default)]
pub(super) struct Scoped {
    pub(super) entries: Vec<Logged>,
    /// By process name: how many were left out.
    pub(super) foreign: BTreeMap<String, usize>,
    /// Names of the processes that are in.
    pub(super) processes: BTreeSet<String>,
}

impl Scope {
    pub(super) fn select(&self, entries: Vec<Logged>) -> Scoped {
        let mut members = self.roots.clone();
        if self.children {
            // A child may be named before its parent is known to belong here.
            loop {
                let more: Vec<i32> = entries
                    .iter()
                    .filter(|own| {
                        own.parent.is_some_and(|parent| members.contains(&parent)) && !members.contains(&own.pid)
                    })
                    .map(|own| own.pid)
                    .collect();
                if more.is_empty() {
                    break;
                }
                members.extend(more);
            }
        }
        let mut scoped = Scoped::default();
        for entry in entries {
            let tagged = self.tag.is_some() && entry.tag == self.tag;
            let member = match &self.tag {
                Some(_) if entry.tag.is_some() => tagged,
                _ => self.all || members.contains(&entry.pid) || entry.spelling == Spelling::Record,
            };
            if member {
                scoped.processes.insert(entry.process.clone());
                scoped.entries.push(entry);
            } else {
                *scoped.foreign.entry(entry.process).or_default() += 1;
            }
        }
        scoped
    }
}
