//! One event, as far as summaries look at it.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::skim::{Order, Value, skim};

/// Text of an event, borrowed from the bytes where it holds no escapes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// The members of an event that summaries use; the others are known by name only. An unknown member is an error, so that
/// nothing is overlooked that a newer writer says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "members that are not used are read only to be known")]
pub struct EventRow<'a> {
    // These two must be there.
    world_id: IgnoredAny,
    profile_id: IgnoredAny,
    /// Scenario.
    #[serde(borrow)]
    pub scenario_id: Text<'a>,
    /// Expectation.
    #[serde(borrow, default)]
    pub expectation_id: Option<Text<'a>>,
    /// Operation.
    #[serde(borrow, default)]
    pub operation: Option<Text<'a>>,
    /// Target.
    #[serde(borrow, default)]
    pub target: Option<Text<'a>>,
    /// Expected decision.
    #[serde(borrow, default)]
    pub expected: Option<Text<'a>>,
    /// Decision as the row claims it.
    #[serde(borrow, default)]
    pub actual: Option<Text<'a>>,
    /// Whether the two agree.
    #[serde(default, rename = "match")]
    pub matches: Option<bool>,
    /// Whether the intended operation was witnessed.
    #[serde(default)]
    pub intended_op_witnessed: Option<bool>,
    /// Where the row stopped.
    #[serde(borrow, default)]
    pub failure_stage: Option<Text<'a>>,
    /// How.
    #[serde(borrow, default)]
    pub failure_kind: Option<Text<'a>>,
    /// What the row is worth.
    #[serde(borrow, default)]
    pub outcome: Option<Text<'a>>,
    /// Why there is no result.
    #[serde(borrow, default)]
    pub error: Option<Text<'a>>,

    #[serde(default)]
    run_id: IgnoredAny,
    #[serde(default)]
    probe_name: IgnoredAny,
    #[serde(default)]
    requested_path: IgnoredAny,
    #[serde(default)]
    observed_path: IgnoredAny,
    #[serde(default)]
    observed_path_source: IgnoredAny,
    #[serde(default)]
    normalized_path: IgnoredAny,
    #[serde(default)]
    normalized_path_source: IgnoredAny,
    #[serde(default)]
    primary_intent: IgnoredAny,
    #[serde(default)]
    reached_primary_op: IgnoredAny,
    #[serde(default)]
    first_denial_op: IgnoredAny,
    #[serde(default)]
    first_denial_filters: IgnoredAny,
    #[serde(default)]
    decision_path: IgnoredAny,
    #[serde(default)]
    runtime_status: IgnoredAny,
    #[serde(default)]
    errno: IgnoredAny,
    #[serde(default)]
    errno_name: IgnoredAny,
    #[serde(default)]
    policy_layers: IgnoredAny,
    #[serde(default)]
    tcc_confounder: IgnoredAny,
    #[serde(default)]
    service_confounder: IgnoredAny,
    #[serde(default)]
    file_confounder: IgnoredAny,
    #[serde(default)]
    sandbox_check_prepass: IgnoredAny,
    #[serde(default)]
    resource_hygiene: IgnoredAny,
    #[serde(default)]
    apply_report: IgnoredAny,
    #[serde(default)]
    preflight: IgnoredAny,
    #[serde(default)]
    runner_info: IgnoredAny,
    #[serde(default)]
    seatbelt_callouts: IgnoredAny,
    #[serde(default)]
    entitlement_checks: IgnoredAny,
    #[serde(default)]
    probe_details: IgnoredAny,
    #[serde(default)]
    violation_summary: IgnoredAny,
    #[serde(default)]
    command: IgnoredAny,
    #[serde(default)]
    stdout: IgnoredAny,
    #[serde(default)]
    stderr: IgnoredAny,
    #[serde(default)]
    harness: IgnoredAny,
    #[serde(default)]
    notes: IgnoredAny,
    // Added by this tool.
    #[serde(default)]
    intended_op_proof: IgnoredAny,
    #[serde(default)]
    outcome_reason: IgnoredAny,
    #[serde(default)]
    errno_source: IgnoredAny,
    #[serde(default)]
    endpoint_confounder: IgnoredAny,
    #[serde(default)]
    network_confounder: IgnoredAny,
    #[serde(default)]
    error_kind: IgnoredAny,
    #[serde(default)]
    undecided: IgnoredAny,
    #[serde(default)]
    effect_seen: IgnoredAny,
    #[serde(default)]
    listener: IgnoredAny,
    #[serde(default)]
    links_met: IgnoredAny,
    #[serde(default)]
    enforcement: IgnoredAny,
    #[serde(default)]
    evidence: IgnoredAny,
    #[serde(default)]
    observer: IgnoredAny,
}

/// Names of the members of an event: those that [`EventRow::set`] takes, in its order, then the others.
pub(super) const MEMBERS: [&str; 60] = [
    "scenario_id",
    "expectation_id",
    "operation",
    "target",
    "expected",
    "actual",
    "failure_stage",
    "failure_kind",
    "outcome",
    "error",
    "match",
    "intended_op_witnessed",
    "world_id",
    "profile_id",
    "run_id",
    "probe_name",
    "requested_path",
    "observed_path",
    "observed_path_source",
    "normalized_path",
    "normalized_path_source",
    "primary_intent",
    "reached_primary_op",
    "first_denial_op",
    "first_denial_filters",
    "decision_path",
    "runtime_status",
    "errno",
    "errno_name",
    "policy_layers",
    "tcc_confounder",
    "service_confounder",
    "file_confounder",
    "sandbox_check_prepass",
    "resource_hygiene",
    "apply_report",
    "preflight",
    "runner_info",
    "seatbelt_callouts",
    "entitlement_checks",
    "probe_details",
    "violation_summary",
    "command",
    "stdout",
    "stderr",
    "harness",
    "notes",
    "intended_op_proof",
    "outcome_reason",
    "errno_source",
    "endpoint_confounder",
    "network_confounder",
    "error_kind",
    "undecided",
    "effect_seen",
    "listener",
    "links_met",
    "enforcement",
    "evidence",
    "observer",
];

impl<'a> EventRow<'a> {
    /// The event that `text` begins with and how many bytes it takes, where it is written plainly and has all it must have.
    pub(super) fn skimmed(text: &'a str, order: &mut Order) -> Option<(Self, usize)> {
        let (mut row, mut fits) = (Self::default(), true);
        // The three that must be there.
        let mut missing = 3;
        let number_of = |key: &str| MEMBERS.iter().position(|known| *known == key);
        let length = skim(text, order, number_of, |number, value| {
            missing -= i32::from(matches!(MEMBERS[number], "scenario_id" | "world_id" | "profile_id"));
            fits &= row.set(number, value);
        })?;
        (fits && missing == 0).then_some((row, length))
    }

    /// Takes the value of a member; `false`: it is none of its kind.
    fn set(&mut self, number: usize, value: Value<'a>) -> bool {
        let text = match number {
            0 => {
                let Value::Text(text) = value else { return false };
                self.scenario_id = Text(Cow::Borrowed(text));
                return true;
            }
            1 => &mut self.expectation_id,
            2 => &mut self.operation,
            3 => &mut self.target,
            4 => &mut self.expected,
            5 => &mut self.actual,
            6 => &mut self.failure_stage,
            7 => &mut self.failure_kind,
            8 => &mut self.outcome,
            9 => &mut self.error,
            10 | 11 => {
                let flag = if number == 10 { &mut self.matches } else { &mut self.intended_op_witnessed };
                *flag = if let Value::Bool(flag) = value { Some(flag) } else { None };
                return matches!(value, Value::Bool(_) | Value::Null);
            }
            _ => return true,
        };
        *text = if let Value::Text(text) = value { Some(Text(Cow::Borrowed(text))) } else { None };
        matches!(value, Value::Text(_) | Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_are_those_that_the_parser_knows() {
        let error = serde_json::from_str::<EventRow<'_>>(r#"{"?": 1}"#).unwrap_err().to_string();
        let (_, expected) = error.split_once("expected one of ").unwrap();
        let (expected, _) = expected.split_once(" at line").unwrap();
        let mut parser: Vec<&str> = expected.split(", ").map(|name| name.trim_matches('`')).collect();
        let mut members = MEMBERS.to_vec();
        parser.sort_unstable();
        members.sort_unstable();
        assert_eq!(parser, members);
    }

    #[test]
    fn plain_events_are_what_the_parser_makes_of_them() {
        let texts = MEMBERS[..10].iter().map(|name| format!("{name:?}: \"of {name}\""));
        let all = format!(
            "{{{}, \"match\": true, \"intended_op_witnessed\": false, \"world_id\": 1, \"profile_id\": []}}",
            texts.collect::<Vec<_>>().join(", ")
        );
        let null = all.replace("\"of error\"", "null").replace("true", "null");
        let mut order = Order::new(MEMBERS.len());
        for text in [&all, &null] {
            let (row, length) = EventRow::skimmed(text, &mut order).unwrap();
            let parsed: EventRow<'_> = serde_json::from_str(text).unwrap();
            assert_eq!((format!("{row:?}"), length), (format!("{parsed:?}"), text.len()));
        }
        // Each of these the parser refuses, or reads itself.
        for (from, to) in [
            ("\"of target\"", "7"),
            ("\"of scenario_id\"", "null"),
            ("true", "\"true\""),
            ("world_id", "notes"),
            ("profile_id", "notes"),
            ("of outcome", "of \\u0061"),
            ("\"notes\"", "\"what\""),
        ] {
            let text = all.replace("world_id\"", "world_id\": 1, \"notes\"").replacen(from, to, 1);
            assert!(EventRow::skimmed(&text, &mut order).is_none(), "{text}");
        }
    }
}
