//! What belongs to one scenario, taken from documents of any size: they are read value by value, and nothing is kept but what was
//! asked for.

use std::collections::BTreeSet;
use std::io::Read;

use serde::Deserialize;
use serde_json::Value;

use super::super::event_row::Text;
use super::super::pull::{Pull, Raw, ReadError, pulled};
use super::super::stored::{Looked, not_json, parsed, passed, strict};
use crate::base::spelling::nearest;

/// What names a row or an event.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    profile_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    scenario_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    expectation_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    probe_name: Option<Text<'a>>,
}

/// The names of an element that is an object; none of one that is something else or whose names are no texts.
fn named<'r>(raw: &'r Raw<'_>, list: &'static str, number: u64) -> Result<Option<Named<'r>>, ReadError> {
    match raw {
        Raw::Text(text) if text.first() == Some(&b'{') => match serde_json::from_slice(text) {
            Ok(named) => Ok(Some(named)),
            Err(error) if error.is_data() => Ok(None),
            Err(error) => Err(not_json(list, number, error.to_string())),
        },
        Raw::Text(_) => Ok(None),
        too_large => Err(not_json(list, number, parsed(too_large).err().unwrap_or_default())),
    }
}

/// The list that events are.
const EVENTS: &str = "the events";

/// The first event of a scenario, and the profiles it ran under.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) first: Option<Value>,
    pub(super) number: u64,
    pub(super) profiles: BTreeSet<String>,
}

impl Events {
    /// Looks for those of `scenario`, under `profile` only where that is given.
    pub(super) fn find(document: impl Read + Send, scenario: &str, profile: Option<&str>) -> Looked<Self> {
        let mut found = Self::default();
        let (looked, read) = pulled(document, |pull| {
            pull.elements(|number, raw| {
                let Some(event) = named(&raw, EVENTS, number)? else { return Ok(()) };
                let of = event.profile_id.as_deref().unwrap_or_default();
                if event.scenario_id.as_deref() != Some(scenario) || profile.is_some_and(|wanted| wanted != of) {
                    return Ok(());
                }
                found.number += 1;
                found.profiles.insert(of.to_owned());
                if found.first.is_none() {
                    found.first = Some(parsed(&raw).map_err(|why| not_json(EVENTS, number, why))?);
                }
                Ok::<_, ReadError>(())
            })?;
            pull.end()
        });
        (looked.map(|()| found), read)
    }

    /// The scenario that is spelled most nearly like one that is not there.
    pub(super) fn near(document: impl Read + Send, scenario: &str) -> Looked<Option<String>> {
        let mut near: Option<String> = None;
        let (looked, read) = pulled(document, |pull| {
            pull.elements(|number, raw| {
                let event = named(&raw, EVENTS, number)?;
                let Some(known) = event.as_ref().and_then(|event| event.scenario_id.as_deref()) else { return Ok(()) };
                // Ids end with the probe's name, and that may be all that was given.
                let ends_so = known.rsplit(':').next() == Some(scenario) && near.is_none();
                let spelled = || nearest(scenario, near.as_deref().into_iter().chain([known]));
                let nearer = if ends_so { Some(known) } else { spelled() };
                if let Some(nearer) = nearer.filter(|nearer| near.as_deref() != Some(*nearer)) {
                    near = Some(nearer.to_owned());
                }
                Ok::<_, ReadError>(())
            })
        });
        (looked.map(|()| near), read)
    }
}

/// Why a document is not looked at any further.
enum Stop {
    Found(Value),
    Read(ReadError),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

fn first(document: impl Read + Send, look: impl FnOnce(&mut Pull) -> Result<(), Stop>) -> Looked<Option<Value>> {
    let (looked, read) = pulled(document, look);
    let found = match looked {
        Ok(()) => Ok(None),
        Err(Stop::Found(value)) => Ok(Some(value)),
        Err(Stop::Read(error)) => Err(error),
    };
    (found, read)
}

/// The value at a JSON pointer, given as its decoded words.
pub(super) fn value_at(document: impl Read + Send, words: &[String]) -> Looked<Option<Value>> {
    first(document, |pull| descend(pull, words))
}

fn descend(pull: &mut Pull, words: &[String]) -> Result<(), Stop> {
    let Some((word, rest)) = words.split_first() else { return Err(Stop::Found(strict(pull)?)) };
    match pull.next_byte() {
        Some(b'{') => pull.members(|pull, key| if key == *word { descend(pull, rest) } else { Ok(passed(pull)?) }),
        Some(b'[') => pull.elements(|number, raw| {
            if number.to_string() != *word {
                return Ok(());
            }
            let value = parsed(&raw).map_err(|why| not_json("the list", number, why))?;
            let found = rest.iter().try_fold(&value, |value, word| match value {
                Value::Array(items) => items.get(word.parse::<usize>().ok()?),
                other => other.get(word),
            });
            found.map_or(Ok(()), |found| Err(Stop::Found(found.clone())))
        }),
        _ => Ok(passed(pull)?),
    }
}

/// The row of a lane's `results` that belongs to an event: of its profile and expectation, or of its probe where rows have none.
pub(super) fn row_of(document: impl Read + Send, event: &Value) -> Looked<Option<Value>> {
    let is = |said: &Option<Text<'_>>, key: &str| said.as_deref().is_some_and(|said| event[key] == said);
    let same = |row: &Named<'_>| {
        (is(&row.profile_id, "profile_id") || row.profile_id.is_none())
            && (is(&row.expectation_id, "expectation_id")
                || (row.expectation_id.is_none() && is(&row.probe_name, "probe_name")))
    };
    first(document, |pull| {
        pull.members(|pull, key| match key.as_str() {
            "results" if pull.next_byte() == Some(b'[') => pull.elements(|number, raw| {
                if named(&raw, "results", number)?.is_some_and(|row| same(&row)) {
                    let row = parsed(&raw).map_err(|why| not_json("results", number, why))?;
                    return Err(Stop::Found(row));
                }
                Ok(())
            }),
            _ => Ok(passed(pull)?),
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_is_followed_through_objects_and_lists() {
        let text = r#"{"x": [1], "a/b": {"probes": [7, {"m": {"n": [5, {"k": "v"}]}}, null]}, "s": "t"}"#;
        let at = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            value_at(text.as_bytes(), &words).0.unwrap()
        };
        assert_eq!(at(&["a/b", "probes", "1"]), Some(json!({"m": {"n": [5, {"k": "v"}]}})));
        assert_eq!(at(&["a/b", "probes", "1", "m", "n", "1", "k"]), Some(json!("v")));
        assert_eq!(at(&["a/b", "probes", "2"]), Some(Value::Null));
        assert_eq!(at(&["s"]), Some(json!("t")));
        for words in [
            &["a/b", "probes", "3"][..],
            &["a", "probes", "0"],
            &["s", "t"],
            &["a/b", "probes", "01"],
            &["x", "0", "y"],
        ] {
            assert_eq!(at(words), None, "{words:?}");
        }
    }

    #[test]
    fn events_are_found_by_scenario_and_profile_and_others_are_passed_over() {
        let text = r#"[7, {"scenario_id": 7}, {"profile_id": "p", "scenario_id": "ab\u0063", "n": 1},
            {"profile_id": "q", "scenario_id": "abc", "n": 2}, {"profile_id": "q", "scenario_id": "abd"}]"#;
        let find = |scenario: &str, profile| Events::find(text.as_bytes(), scenario, profile).0.unwrap();
        let both = find("abc", None);
        assert_eq!((both.number, both.profiles.len(), &both.first.unwrap()["n"]), (2, 2, &json!(1)));
        assert_eq!(find("abc", Some("q")).first.unwrap()["n"], 2);
        assert!(find("abe", None).first.is_none() && find("abc", Some("r")).first.is_none());
        assert_eq!(Events::near(text.as_bytes(), "abcx").0.unwrap().as_deref(), Some("abc"));
        assert_eq!(Events::near(text.as_bytes(), "far away").0.unwrap(), None);
        let broken = text.replace("\"n\": 1", "\"n\" 1");
        let error = Events::find(broken.as_bytes(), "abd", None).0.unwrap_err().to_string();
        assert!(error.starts_with("row 2 of the events"), "{error}");
    }
}
