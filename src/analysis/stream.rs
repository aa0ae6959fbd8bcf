//! Reading the events of a document one at a time, whatever its size, with the digest of what was read.

use std::io::{self, Read};

use serde::de::IgnoredAny;

use super::event_row::{EventRow, MEMBERS};
use super::pull::{MAX_VALUE_BYTES, Pull, ReadError, is_space, pulled, shown};
use super::skim::Order;
use crate::base::digest::Sha256Hex;

/// Reads the array in `document` and hands every event to `take`, in order; elements that are no objects are passed over.
/// Returns what came of that, and digest and number of all bytes.
///
/// Reading and hashing go on while events are taken, to the end of the document whatever comes of it.
pub fn read_events<E: From<ReadError>>(
    document: impl Read + Send,
    mut take: impl FnMut(&EventRow<'_>) -> Result<(), E>,
) -> (Result<(), E>, io::Result<(Sha256Hex, u64)>) {
    fold_events(document, (), |(), event| take(event), |()| Ok(()))
}

/// As [`read_events`], gathering in `state`; `finish`, called after the last event, makes the result of it. That still goes on
/// beside the hashing.
pub(super) fn fold_events<S, T, E: From<ReadError>>(
    document: impl Read + Send,
    mut state: S,
    mut take: impl FnMut(&mut S, &EventRow<'_>) -> Result<(), E>,
    finish: impl FnOnce(S) -> Result<T, E>,
) -> (Result<T, E>, io::Result<(Sha256Hex, u64)>) {
    pulled(document, |pull| {
        let array = Array { pull, number: 0, wanted: Wanted::Open, order: Order::new(MEMBERS.len()) };
        array.read(&mut |event| take(&mut state, event))?;
        finish(state)
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
