//! Reading the events of a document one at a time, whatever its size, with the digest of what was read.

use std::borrow::Cow;
use std::io::{self, Read};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::pull::{MAX_VALUE_BYTES, Pull, ReadError, is_space, pulled, shown};
use super::skim::{Order, Value, skim};
use crate::base::digest::Sha256Hex;

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
const MEMBERS: [&str; 60] = [
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
    fn skimmed(text: &'a str, order: &mut Order) -> Option<(Self, usize)> {
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

/// Reads the array in `document` and hands every event to `take`, in order; elements that are no objects are passed over.
/// Returns what came of that, and digest and number of all bytes.
///
/// Reading and hashing go on while events are taken, to the end of the document whatever comes of it.
pub fn read_events<E: From<ReadError>>(
    document: impl Read + Send,
    mut take: impl FnMut(&EventRow<'_>) -> Result<(), E>,
) -> (Result<(), E>, io::Result<(Sha256Hex, u64)>) {
    pulled(document, |pull| {
        Array { pull, number: 0, wanted: Wanted::Open, order: Order::new(MEMBERS.len()) }.read(&mut take)
    })
}

/// An array of events, one after the other.
struct Array<'p, 'd> {
    pull: &'p mut Pull<'d>,
    number: u64,
    wanted: Wanted,
    order: Order,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Open,
    FirstOrClose,
    Element,
    CommaOrClose,
    End,
}

impl Array<'_, '_> {
    fn read<E: From<ReadError>>(mut self, take: &mut impl FnMut(&EventRow<'_>) -> Result<(), E>) -> Result<(), E> {
        loop {
            let rest = self.pull.rest();
            let (whole, broken) = match std::str::from_utf8(rest) {
                Ok(text) => (text, None),
                Err(error) => {
                    let (valid, _) = rest.split_at(error.valid_up_to());
                    // A character may go on in the next block.
                    (std::str::from_utf8(valid).unwrap_or_default(), error.error_len().map(|_| error.valid_up_to()))
                }
            };
            let (mut number, mut wanted) = (self.number, self.wanted);
            let (used, stopped) = some_of(whole, &mut number, &mut wanted, &mut self.order, take);
            let left = rest.len() - used;
            self.pull.pass(used);
            (self.number, self.wanted) = (number, wanted);
            match stopped {
                Stopped::NoMore if broken.is_some() => return Err(self.malformed("it is not UTF-8").into()),
                Stopped::NoMore if left > MAX_VALUE_BYTES => {
                    return Err(self.malformed("it has more than 16 MiB").into());
                }
                Stopped::NoMore if self.pull.more() => {}
                Stopped::NoMore => return self.ended().map_err(E::from),
                Stopped::Malformed(why) if self.wanted == Wanted::Open => return Err(ReadError::NotAnArray(why).into()),
                Stopped::Malformed(why) => return Err(self.malformed(&why).into()),
                Stopped::Refused(error) => return Err(error),
            }
        }
    }

    /// The document is at its end.
    fn ended(&self) -> Result<(), ReadError> {
        match self.wanted {
            Wanted::End => Ok(()),
            Wanted::Open => Err(ReadError::NotAnArray("it does not begin with [".to_owned())),
            Wanted::CommaOrClose => Err(self.malformed("expected , or ], found the end")),
            Wanted::FirstOrClose | Wanted::Element => Err(self.malformed("the document ends within an event")),
        }
    }

    fn malformed(&self, why: &str) -> ReadError {
        ReadError::Event { number: self.number, offset: self.pull.offset(), why: why.to_owned() }
    }
}

/// Why a text was not read any further.
enum Stopped<E> {
    /// It ends, maybe within an element.
    NoMore,
    Malformed(String),
    Refused(E),
}

/// Takes the events that are whole in `text`; returns how many bytes were used.
fn some_of<E>(
    text: &str,
    number: &mut u64,
    wanted: &mut Wanted,
    order: &mut Order,
    take: &mut impl FnMut(&EventRow<'_>) -> Result<(), E>,
) -> (usize, Stopped<E>) {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let space = rest.bytes().take_while(|byte| is_space(*byte)).count();
        at += space;
        let Some(next) = rest.as_bytes().get(space).copied() else { return (at, Stopped::NoMore) };
        match (*wanted, next) {
            (Wanted::Open, b'[') => (at, *wanted) = (at + 1, Wanted::FirstOrClose),
            (Wanted::FirstOrClose | Wanted::CommaOrClose, b']') => (at, *wanted) = (at + 1, Wanted::End),
            (Wanted::CommaOrClose, b',') => (at, *wanted) = (at + 1, Wanted::Element),
            (Wanted::FirstOrClose | Wanted::Element, _) => {
                let rest = &text[at..];
                let read = if let Some((event, length)) = EventRow::skimmed(rest, order) {
                    match take(&event) {
                        Ok(()) => Some(Ok(length)),
                        Err(error) => return (at, Stopped::Refused(error)),
                    }
                } else if next == b'{' {
                    let mut events = serde_json::Deserializer::from_str(rest).into_iter::<EventRow<'_>>();
                    match events.next() {
                        Some(Ok(event)) => match take(&event) {
                            Ok(()) => Some(Ok(events.byte_offset())),
                            Err(error) => return (at, Stopped::Refused(error)),
                        },
                        other => other.map(|read| read.map(|_| 0)),
                    }
                } else {
                    let mut others = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
                    others.next().map(|read| read.map(|_| others.byte_offset()))
                };
                match read {
                    // A number that ends with the bytes there are may go on in the next.
                    Some(Ok(length)) if next != b'{' && length == rest.len() => return (at, Stopped::NoMore),
                    Some(Ok(length)) => (at, *number, *wanted) = (at + length, *number + 1, Wanted::CommaOrClose),
                    Some(Err(error)) if !error.is_eof() => return (at, Stopped::Malformed(error.to_string())),
                    Some(Err(_)) | None => return (at, Stopped::NoMore),
                }
            }
            (Wanted::Open, _) => return (at, Stopped::Malformed("it does not begin with [".to_owned())),
            (Wanted::CommaOrClose, _) => {
                return (at, Stopped::Malformed(format!("expected , or ], found {}", shown(Some(next)))));
            }
            (Wanted::End, _) => {
                return (at, Stopped::Malformed(format!("text after the array: {}", shown(Some(next)))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, ReadError> {
        let mut seen = Vec::new();
        read_events(text.as_bytes(), |event| {
            seen.push(format!("{}/{:?}", &*event.scenario_id, event.matches));
            Ok::<_, ReadError>(())
        })
        .0?;
        Ok(seen)
    }

    const EVENT: &str = r#"{"world_id": "w", "profile_id": "p", "scenario_id": "a\nb", "match": true, "stdout": "}]"}"#;

    #[test]
    fn events_are_read_and_other_elements_passed_over() {
        assert_eq!(read(" [ ] ").unwrap(), Vec::<String>::new());
        let text = format!("[{EVENT}, 7, null, [{EVENT}], \"x\",\n{EVENT}]");
        assert_eq!(read(&text).unwrap(), ["a\nb/Some(true)", "a\nb/Some(true)"]);
    }

    #[test]
    fn what_is_no_array_of_events_is_refused_with_its_place() {
        for (text, why) in [
            ("", "not a JSON array"),
            ("{}", "not a JSON array"),
            ("[", "ends within"),
            (&format!("[{EVENT}"), "expected , or ]"),
            (&format!("[{EVENT}] x"), "text after"),
            (&format!("[{EVENT} {EVENT}]"), "event 1"),
            (r#"[{"world_id": "w", "profile_id": "p"}]"#, "scenario_id"),
            (&EVENT.replace("stdout", "sdtout").replacen('{', "[{", 1), "sdtout"),
            (r#"[{"world_id": "w"#, "ends within"),
            ("[1, ]", "expected value"),
            ("[1,", "ends within"),
            (r#"[{"scenario_id": "s", "world_id": "w"}]"#, "profile_id"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

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

    #[test]
    fn events_that_lie_across_blocks_are_whole() {
        let padding = "x".repeat(700_000);
        let event = EVENT.replace("}]", &padding);
        let text = format!("[{}]", vec![event; 5].join(","));
        let mut number = 0;
        let (counted, read) = read_events(text.as_bytes(), |_| {
            number += 1;
            Ok::<_, ReadError>(())
        });
        counted.unwrap();
        assert_eq!((read.unwrap(), number), ((Sha256Hex::of(text.as_bytes()), text.len() as u64), 5));
    }
}
