//! `rules.json`: for every rule what it was made of, which runs hit it, and what became of it. Pure.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Schema tag. v0.1: first form.
pub const SCHEMA: &str = "runtime-tools.shrink_rules.v0.1";

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleOrigin {
    /// The form on one line.
    pub rule: String,
    /// Operation.
    pub operation: String,
    /// Name of its filter; empty where it has none.
    pub filter: String,
    /// The first access it was made for; null for operations without an object.
    pub argument: Option<String>,
    /// Iterations in which an access asked for it.
    pub runs: Vec<u32>,
    /// How many accesses asked for it.
    pub hits: u64,
    /// Name of the process that asked first.
    pub first_process: Option<String>,
    /// Where it was learned: `run`, `log`, or `companion` for what lies on the way to another rule's path.
    pub source: String,
    /// What it allows beyond the accesses seen; null where that is nothing.
    #[serde(default)]
    pub adds: Option<String>,
    /// Names it stands for, where it was generalised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Whether the shrunk profile still has it: true, false, or null when nothing was shrunk.
    #[serde(default)]
    pub kept: Option<bool>,
}

/// The document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    rules: IndexMap<String, RuleOrigin>,
}

impl Provenance {
    /// Reads what an earlier recording wrote; a document of another kind is an error.
    ///
    /// # Errors
    /// What is wrong, as a lower-case fragment.
    pub fn read(document: &Value) -> Result<Self, String> {
        if document.get("schema_version").and_then(Value::as_str) != Some(SCHEMA) {
            return Err(format!("`schema_version` is not `{SCHEMA}`"));
        }
        let rules = document.get("rules").cloned().unwrap_or_default();
        let rules: Vec<RuleOrigin> = serde_json::from_value(rules).map_err(|error| format!("`rules`: {error}"))?;
        Ok(Self { rules: rules.into_iter().map(|rule| (rule.rule.clone(), rule)).collect() })
    }

    /// Adds what a run showed; a rule known already gets its runs and hits.
    pub fn add(&mut self, rule: RuleOrigin) {
        match self.rules.get_mut(&rule.rule) {
            None => {
                self.rules.insert(rule.rule.clone(), rule);
            }
            Some(known) => {
                known.hits += rule.hits;
                for run in rule.runs {
                    if !known.runs.contains(&run) {
                        known.runs.push(run);
                    }
                }
            }
        }
    }

    /// Notes for every rule whether a profile still has it.
    pub fn mark_kept(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.rules.values_mut().for_each(|rule| rule.kept = Some(is_kept(&rule.rule)));
    }

    /// The rules in the order they were learned.
    pub fn rules(&self) -> impl Iterator<Item = &RuleOrigin> {
        self.rules.values()
    }

    /// The last iteration that any rule knows of.
    #[must_use]
    pub fn last_run(&self) -> u32 {
        self.rules.values().flat_map(|rule| rule.runs.iter().copied()).max().unwrap_or(0)
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({"schema_version": SCHEMA, "rules": self.rules.values().collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(rule: &str, run: u32) -> RuleOrigin {
        RuleOrigin {
            rule: rule.to_owned(),
            operation: "process-fork".to_owned(),
            filter: String::new(),
            argument: None,
            runs: vec![run],
            hits: 2,
            first_process: Some("sh".to_owned()),
            source: "run".to_owned(),
            adds: None,
            examples: Vec::new(),
            kept: None,
        }
    }

    #[test]
    fn recordings_merge_and_read_back() {
        let mut known = Provenance::default();
        known.add(origin("a", 1));
        let mut again = Provenance::read(&known.document()).unwrap();
        assert_eq!(again, known);
        again.add(origin("a", 2));
        again.add(origin("b", 2));
        let first = again.rules().next().unwrap();
        assert_eq!(
            (first.runs.as_slice(), first.hits, again.rules().count(), again.last_run()),
            (&[1, 2][..], 4, 2, 2)
        );
        assert!(Provenance::read(&json!({"rules": []})).is_err());
        assert!(Provenance::read(&json!({"schema_version": SCHEMA, "rules": 3})).is_err());
    }
}
