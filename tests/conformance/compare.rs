//! The comparison: what the evaluator says of each row against what was seen.

use std::collections::{BTreeMap, BTreeSet};

use runtime::sbpl::Policy;
use runtime::vocab::Decision;

use super::accesses::Question;
use super::support::Ran;
use super::table::Row;

const EPERM: i32 = 1;

/// Operation, target and rule of a refusal.
type Key = (String, String, Option<String>);

/// What one row's call came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) errno: i32,
    pub(crate) detail: String,
}

/// A difference at a row, or between all rows and the records of one refusal.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) at: At,
    pub(crate) text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum At {
    Row(usize),
    /// Operation and target.
    Refusals(String, String),
}

/// What the test program's runtime looks at before its first row: the bounds of its own stack.
fn is_of_the_start(target: &str) -> bool {
    target.starts_with("/proc/") && target.ends_with("/maps")
}

/// The refusals a run recorded and how often.
pub(crate) fn refusals(ran: &Ran) -> BTreeMap<Key, u64> {
    let mut all = BTreeMap::new();
    for denial in &ran.denials {
        let word = |name: &str| denial[name].as_str().unwrap_or_default().to_owned();
        if is_of_the_start(&word("target")) {
            continue;
        }
        let key = (word("operation"), word("target"), denial["rule"].as_str().map(str::to_owned));
        *all.entry(key).or_default() += denial["count"].as_u64().unwrap();
    }
    all
}

/// The question that decides a row and its answer: the first that is denied, else the last.
pub(crate) fn deciding<'q>(questions: &'q [Question], policy: &Policy) -> (&'q Question, Decision, Option<String>) {
    let mut last = None;
    for question in questions {
        let answer = question.ask(policy);
        let denied = answer.decision == Decision::Deny;
        last = Some((question, answer.decision, answer.rule));
        if denied {
            break;
        }
    }
    last.expect("every call asks something")
}

/// Compares row by row, then the whole: no refusal may be recorded that the evaluator does not predict.
pub(crate) fn compare(
    rows: &[Row],
    questions: &[Vec<Question>],
    outcomes: &[Outcome],
    refused: &BTreeMap<Key, u64>,
    policy: &Policy,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut predicted: BTreeMap<Key, u64> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let (question, decision, rule) = deciding(&questions[index], policy);
        let outcome = &outcomes[index];
        let errno = outcome.errno;
        let mut differs = |text: String| {
            let text = format!("{}: {}: {text}", row.place, row.text);
            found.push(Difference { at: At::Row(index), text });
        };
        let key = (question.operation.to_owned(), question.shown().to_owned(), rule);
        match decision {
            Decision::Allow if errno != errno_of_permitted(row) => {
                differs(format!("the evaluator allows it, the call failed with errno {errno}"));
            }
            Decision::Allow => {}
            Decision::Deny => {
                if errno != EPERM {
                    differs(format!("the evaluator denies it, the call ended with errno {errno}"));
                } else if !refused.contains_key(&key) {
                    differs(format!("no refusal of {} on {} by {:?} was recorded", key.0, key.1, key.2));
                }
                *predicted.entry(key).or_default() += 1;
            }
        }
    }
    // What a deviating row's target is refused for cannot be predicted.
    let deviating = rows.iter().zip(questions).filter(|(row, _)| row.deviates.is_some());
    let open: BTreeSet<&str> = deviating.flat_map(|(_, asked)| asked).map(Question::shown).collect();
    for key in predicted.keys().chain(refused.keys().filter(|key| !predicted.contains_key(key))) {
        let (expected, seen) = (predicted.get(key), refused.get(key));
        if expected != seen && !open.contains(key.1.as_str()) {
            let text =
                format!("refusals of {} on {} by {:?}: predicted {expected:?}, recorded {seen:?}", key.0, key.1, key.2);
            found.push(Difference { at: At::Refusals(key.0.clone(), key.1.clone()), text });
        }
    }
    found
}

/// The kernel itself refuses devices to those without the capability, which nobody has in the sandbox; then the refusal without a
/// record shows that the profile let the call through.
fn errno_of_permitted(row: &Row) -> i32 {
    if row.action == "device" { EPERM } else { 0 }
}
