//! Stored documents of rows, normalised one row at a time: what is held at once is the longest row and, of the expected matrix and
//! the baseline lane, the few members of each row that rules read.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use serde_json::{Map, Value};

use super::pull::{MAX_VALUE_BYTES, Pull, Raw, ReadError, pulled};
use crate::base::digest::Sha256Hex;
use crate::base::json;
use crate::event::{Controls, MetadataRunner, Normaliser, RowPlace};

/// What came of a document, and digest and number of its bytes.
pub(super) type Looked<T, E = ReadError> = (Result<T, E>, io::Result<(Sha256Hex, u64)>);

/// What the expected matrix says of probes, for rows that leave something out.
#[derive(Debug, Default)]
pub struct ExpectedProbes {
    /// World of the matrix.
    pub world_id: Option<String>,
    /// By profile and name; the first of a name.
    probes: HashMap<String, HashMap<String, Value>>,
}

/// The members of a matrix's probe that events take over.
const OF_PROBE: [&str; 5] = ["name", "operation", "target", "expected", "expectation_id"];

impl ExpectedProbes {
    /// Reads `expected_matrix.json`.
    pub fn read(matrix: impl Read + Send) -> Looked<Self> {
        let mut found = Self::default();
        let (looked, read) = whole(matrix, |pull, key| match key {
            "world_id" => {
                found.world_id = strict(pull)?.as_str().map(str::to_owned);
                Ok(())
            }
            "profiles" => pull.members(|pull, profile| {
                let probes = found.probes.entry(profile).or_default();
                pull.members(|pull, key| match key.as_str() {
                    "probes" => pull.elements(|number, raw| {
                        let probe = parsed(&raw).map_err(|why| not_json("probes", number, why))?;
                        let name = probe["name"].as_str();
                        if let (Some(name), Some(members)) = (name, probe.as_object()) {
                            let kept: Map<String, Value> = OF_PROBE
                                .iter()
                                .filter_map(|key| Some(((*key).to_owned(), members.get(*key)?.clone())))
                                .collect();
                            probes.entry(name.to_owned()).or_insert(Value::Object(kept));
                        }
                        Ok(())
                    }),
                    _ => passed(pull),
                })
            }),
            _ => passed(pull),
        });
        (looked.map(|()| found), read)
    }
}

/// Reads the controls in `baseline_results.json`.
pub(super) fn read_controls(baseline: impl Read + Send) -> Looked<Controls> {
    let mut controls = Controls::default();
    let (looked, read) = whole(baseline, |pull, key| match key {
        "results" => pull.elements(|number, raw| {
            let row = parsed(&raw).map_err(|why| not_json("results", number, why))?;
            controls.add(position(number), &row);
            Ok(())
        }),
        _ => passed(pull),
    });
    (looked.map(|()| controls), read)
}

/// The static preflight records of profiles, which may stand behind the rows they are about: so they are read first.
#[derive(Debug, Default)]
pub struct Preflights(HashMap<String, Value>);

impl Preflights {
    /// Reads those of `runtime_results.json`.
    pub fn read(results: impl Read + Send) -> Looked<Self> {
        let mut found = HashMap::new();
        let (looked, read) = pulled(results, |pull| {
            pull.members(|pull, profile| {
                pull.members(|pull, key| match key.as_str() {
                    "preflight" => {
                        found.insert(profile.clone(), strict(pull)?);
                        Ok(())
                    }
                    _ => passed(pull),
                })
            })?;
            pull.end()
        });
        (looked.map(|()| Self(found)), read)
    }
}

/// Normalises the rows of `runtime_results.json` and hands out events one by one, in row order. A row that is not JSON, or has more
/// than 16 MiB, becomes an event in error.
pub fn normalise_results<E: From<ReadError>>(
    normaliser: &Normaliser<'_>,
    expected: &ExpectedProbes,
    preflights: &Preflights,
    results: impl Read + Send,
    mut take: impl FnMut(Value) -> Result<(), E>,
) -> Looked<(), E> {
    let mut profiles = HashSet::new();
    pulled(results, |pull| {
        pull.members(|pull, profile_id| {
            if !profiles.insert(profile_id.clone()) {
                return Err(pull.wrong(format!("duplicate key {profile_id:?}")).into());
            }
            let preflight = preflights.0.get(&profile_id).unwrap_or(&Value::Null);
            let expected = expected.probes.get(&profile_id);
            let (mut rows, mut preflight_seen) = (false, false);
            pull.members(|pull, key| match key.as_str() {
                "probes" if std::mem::replace(&mut rows, true) => Err(pull.wrong("duplicate key \"probes\"").into()),
                "probes" if pull.next_byte() == Some(b'[') => pull.elements(|number, raw| {
                    let place =
                        RowPlace { profile_id: &profile_id, preflight, position: position(number), matrix: None };
                    take(match parsed(&raw) {
                        Ok(row) => {
                            let matrix = row["name"].as_str().and_then(|name| expected?.get(name));
                            normaliser.event(RowPlace { matrix, ..place }, &row)
                        }
                        Err(why) => normaliser.unreadable(place, &why),
                    })
                }),
                // The record that the rows were judged by.
                "preflight" if std::mem::replace(&mut preflight_seen, true) || strict(pull)? != *preflight => {
                    Err(pull.wrong("duplicate key \"preflight\", or the document was changed").into())
                }
                "preflight" => Ok(()),
                _ => Ok(passed(pull)?),
            })
        })?;
        Ok(pull.end()?)
    })
}

/// What a metadata runner's document says beside its rows, which it may say behind them: so it is read first.
#[derive(Debug, Default)]
pub struct MetadataHead {
    world_id: Option<String>,
    runner_info: Value,
    has_results: bool,
}

impl MetadataHead {
    /// Reads it.
    pub fn read(document: impl Read + Send) -> Looked<Self> {
        let mut head = Self::default();
        let (looked, read) = whole(document, |pull, key| {
            match key {
                "world_id" => head.world_id = strict(pull)?.as_str().map(str::to_owned),
                "runner_info" => head.runner_info = strict(pull)?,
                "results" => {
                    head.has_results = pull.next_byte() == Some(b'[');
                    passed(pull)?;
                }
                _ => passed(pull)?,
            }
            Ok(())
        });
        let found = looked.and_then(|()| match head.has_results {
            true => Ok(head),
            false => Err(ReadError::Shape { offset: 0, why: "it has no array \"results\"".to_owned() }),
        });
        (found, read)
    }
}

/// Normalises the rows of a metadata runner's document (the earlier tool's second form of results) and hands out events one by one,
/// in row order. The world of the document wins over the normaliser's.
pub fn normalise_metadata<E: From<ReadError>>(
    normaliser: &Normaliser<'_>,
    head: &MetadataHead,
    document: impl Read + Send,
    mut take: impl FnMut(Value) -> Result<(), E>,
) -> Looked<(), E> {
    let world_id = head.world_id.as_deref().unwrap_or(normaliser.world_id);
    let runner = MetadataRunner { normaliser: Normaliser { world_id, ..*normaliser }, runner_info: &head.runner_info };
    whole(document, |pull, key| match key {
        "results" => pull.elements(|number, raw| {
            let row = parsed(&raw);
            take(runner.event(position(number), row.as_ref().map_err(String::as_str)))
        }),
        _ => Ok(passed(pull)?),
    })
}

/// Reads one object and nothing behind it; a key that comes again is an error.
fn whole<E: From<ReadError>>(
    document: impl Read + Send,
    mut member: impl FnMut(&mut Pull, &str) -> Result<(), E>,
) -> Looked<(), E> {
    let mut seen = HashSet::new();
    pulled(document, |pull| {
        pull.members(|pull, key| {
            if !seen.insert(key.clone()) {
                return Err(pull.wrong(format!("duplicate key {key:?}")).into());
            }
            member(pull, &key)
        })?;
        Ok(pull.end()?)
    })
}

/// The value of a row, by the strict rules of all documents.
pub(super) fn parsed(raw: &Raw<'_>) -> Result<Value, String> {
    match raw {
        Raw::Text(text) => json::read(text).map_err(|error| error.to_string()),
        Raw::TooLarge(size) => Err(format!("it has {size} bytes; at most {MAX_VALUE_BYTES} are read")),
    }
}

/// A member beside the rows, which must be JSON.
pub(super) fn strict(pull: &mut Pull) -> Result<Value, ReadError> {
    pull.next_byte();
    let offset = pull.offset();
    parsed(&pull.value()?).map_err(|why| ReadError::Shape { offset, why })
}

pub(super) fn passed(pull: &mut Pull) -> Result<(), ReadError> {
    pull.value().map(|_| ())
}

pub(super) fn not_json(list: &'static str, number: u64, why: String) -> ReadError {
    ReadError::Row { list, number, why }
}

fn position(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
