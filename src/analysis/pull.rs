//! JSON text that arrives in blocks: looked at value by value, whatever its size, while another thread hashes it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use crate::base::digest::Sha256Hex;
use crate::os::hash::HashStream;

/// Bytes read at once.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Blocks that may wait to be hashed: what is made of the document when all of it was seen is done while they still are.
const WAITING_BLOCKS: usize = 48;
/// The largest value that is kept in memory: an event, or a row.
pub(super) const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system's answer.
    #[error("cannot read the document")]
    Io(#[from] io::Error),
    /// The events are not an array.
    #[error("the events are not a JSON array: {0}")]
    NotAnArray(String),
    /// One event is not what the format says.
    #[error("event {number} (from byte {offset}): {why}")]
    Event {
        /// Its position, from 0.
        number: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// One row of a document that others are judged by is not JSON.
    #[error("row {number} of {list}: {why}")]
    Row {
        /// The list it stands in.
        list: &'static str,
        /// Its position, from 0.
        number: u64,
        /// What is wrong.
        why: String,
    },
    /// The document is not JSON of the shape it should have.
    #[error("at byte {offset}: {why}")]
    Shape {
        /// Where.
        offset: u64,
        /// What is wrong.
        why: String,
    },
}

/// Reads `document` with `look`; returns what that says, and digest and number of all bytes, which are read to the end whatever it
/// says.
pub(super) fn pulled<T>(
    mut document: impl Read,
    look: impl FnOnce(&mut Pull) -> T,
) -> (T, io::Result<(Sha256Hex, u64)>) {
    std::thread::scope(|scope| {
        let (send, blocks) = sync_channel(WAITING_BLOCKS);
        let (give_back, hashed) = channel();
        let hashing = scope.spawn(move || hash(&blocks, &give_back));
        let mut pull =
            Pull { document: &mut document, send, hashed, failed: None, bytes: Vec::new(), at: 0, dropped: 0 };
        let seen = look(&mut pull);
        // The digest is that of everything, also where nobody looks any more.
        while pull.failed.is_none() && pull.more() {
            pull.at = pull.bytes.len();
        }
        let Pull { send, failed, .. } = pull;
        drop(send);
        let hashed = hashing.join().expect("the hashing thread does not panic");
        (seen, failed.map_or(Ok(hashed), Err))
    })
}

/// Hashes the blocks and gives them back, to be filled again.
fn hash(blocks: &Receiver<Vec<u8>>, give_back: &Sender<Vec<u8>>) -> (Sha256Hex, u64) {
    let mut hash = HashStream::default();
    for block in blocks {
        hash.update(&block);
        // Whoever reads may have come to the end.
        let _ = give_back.send(block);
    }
    hash.finish()
}

/// The text of one value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    /// All of it.
    Text(&'a [u8]),
    /// It was passed over: it has so many bytes, more than [`MAX_VALUE_BYTES`].
    TooLarge(u64),
}

/// A document of which the next bytes are asked for.
pub(super) struct Pull<'d> {
    document: &'d mut dyn Read,
    /// To the thread that hashes, and back from it.
    send: SyncSender<Vec<u8>>,
    hashed: Receiver<Vec<u8>>,
    /// Why nothing more can be read.
    failed: Option<io::Error>,
    bytes: Vec<u8>,
    /// Where the next unread byte stands in `bytes`.
    at: usize,
    /// How many bytes were dropped before `bytes`.
    dropped: u64,
}

impl Pull<'_> {
    /// Where the next byte stands in the document.
    pub(super) fn offset(&self) -> u64 {
        self.dropped + self.at as u64
    }

    /// What is there and not read yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Passes over bytes that are there.
    pub(super) fn pass(&mut self, number: usize) {
        self.at += number;
    }

    /// The next byte that is no white space; it stays where it is.
    pub(super) fn next_byte(&mut self) -> Option<u8> {
        loop {
            while let Some(&byte) = self.bytes.get(self.at) {
                if !is_space(byte) {
                    return Some(byte);
                }
                self.at += 1;
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Adds one block behind what is not read yet.
    pub(super) fn more(&mut self) -> bool {
        if self.failed.is_some() {
            return false;
        }
        self.bytes.drain(..self.at);
        self.dropped += self.at as u64;
        self.at = 0;
        let before = self.bytes.len();
        self.bytes.resize(before + BLOCK_BYTES, 0);
        let mut end = before;
        while end < self.bytes.len() {
            match self.document.read(&mut self.bytes[end..]) {
                Ok(0) => break,
                Ok(read) => end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        self.bytes.truncate(end);
        let new = &self.bytes[before..];
        if new.is_empty() {
            return false;
        }
        let mut block = self.hashed.try_recv().unwrap_or_default();
        block.clear();
        block.extend_from_slice(new);
        // The other side waits until nothing more can come.
        let _ = self.send.send(block);
        true
    }

    pub(super) fn wrong(&self, why: impl Into<String>) -> ReadError {
        ReadError::Shape { offset: self.offset(), why: why.into() }
    }

    /// Passes over the byte `wanted`, which must be the next one.
    fn expect(&mut self, wanted: u8) -> Result<(), ReadError> {
        match self.next_byte() {
            Some(byte) if byte == wanted => {
                self.at += 1;
                Ok(())
            }
            found => Err(self.wrong(format!("expected {}, found {}", shown(Some(wanted)), shown(found)))),
        }
    }

    /// The text of the next value. Only as much is looked at as shows where it ends.
    pub(super) fn value(&mut self) -> Result<Raw<'_>, ReadError> {
        if matches!(self.next_byte(), None | Some(b',' | b':' | b']' | b'}')) {
            let found = shown(self.next_byte());
            return Err(self.wrong(format!("expected a value, found {found}")));
        }
        let (start, mut scan, mut seen, mut passed) = (self.offset(), Scan::default(), 0, 0u64);
        loop {
            let length = match scan.end(&self.bytes[self.at + seen..]) {
                Some(length) => Some(seen + length),
                None => {
                    seen = self.bytes.len() - self.at;
                    if seen > MAX_VALUE_BYTES || passed > 0 {
                        (passed, self.at, seen) = (passed + seen as u64, self.bytes.len(), 0);
                    }
                    if self.more() {
                        continue;
                    }
                    scan.is_whole_number().then_some(seen)
                }
            };
            let Some(length) = length else {
                return Err(self.wrong(format!("the document ends within the value that begins at byte {start}")));
            };
            let at = self.at;
            self.at += length;
            let size = passed + length as u64;
            return Ok(match usize::try_from(size) {
                Ok(size) if size <= MAX_VALUE_BYTES => Raw::Text(&self.bytes[at..at + size]),
                _ => Raw::TooLarge(size),
            });
        }
    }

    /// Hands every key of the object that comes next to `member`, which must read or pass over its value.
    pub(super) fn members<E: From<ReadError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, String) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{')?;
        if self.next_byte() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.next_byte() != Some(b'"') {
                let found = shown(self.next_byte());
                return Err(self.wrong(format!("expected a key, found {found}")).into());
            }
            let offset = self.offset();
            let key = match self.value()? {
                Raw::Text(text) => serde_json::from_slice::<String>(text).map_err(|error| error.to_string()),
                Raw::TooLarge(_) => Err("a key of more than 16 MiB".to_owned()),
            };
            let key = key.map_err(|why| ReadError::Shape { offset, why })?;
            self.expect(b':')?;
            member(self, key)?;
            match self.next_byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                found => return Err(self.wrong(format!("expected , or }}, found {}", shown(found))).into()),
            }
        }
    }

    /// Hands the text of every element of the array that comes next to `element`, with its position.
    pub(super) fn elements<E: From<ReadError>>(
        &mut self,
        mut element: impl FnMut(u64, Raw<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[')?;
        if self.next_byte() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for number in 0.. {
            element(number, self.value()?)?;
            match self.next_byte() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                found => return Err(self.wrong(format!("expected , or ], found {}", shown(found))).into()),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Nothing but white space may come any more.
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        match self.next_byte() {
            None => Ok(()),
            found => Err(self.wrong(format!("text after the document: {}", shown(found)))),
        }
    }
}

/// Where a value ends: brackets and quotes are all that is looked at.
#[derive(Debug, Default)]
struct Scan {
    depth: u64,
    in_text: bool,
    escaped: bool,
    /// A number, `true`, `false` or `null` at the top: it ends before whatever is none of it.
    bare: bool,
}

impl Scan {
    /// The number of bytes up to the end of the value, if it ends here; to be called again with the bytes that follow.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.in_text = false;
                        if self.depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b',' | b':' | b']' | b'}' | b'[' | b'{' | b'"' if self.bare => return Some(at),
                _ if self.bare && is_space(byte) => return Some(at),
                b'"' => self.in_text = true,
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ if self.depth == 0 => self.bare = true,
                _ => {}
            }
        }
        None
    }

    fn is_whole_number(&self) -> bool {
        self.bare
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

pub(super) fn shown(byte: Option<u8>) -> String {
    byte.map_or_else(|| "the end".to_owned(), |byte| format!("{:?}", char::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Result<Vec<String>, ReadError> {
        let mut seen = Vec::new();
        let look = |pull: &mut Pull| {
            pull.elements(|number, raw| {
                assert_eq!(number, seen.len() as u64);
                seen.push(match raw {
                    Raw::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    Raw::TooLarge(size) => format!("{size} bytes"),
                });
                Ok::<_, ReadError>(())
            })?;
            pull.end()
        };
        let (looked, read) = pulled(text.as_bytes(), look);
        assert_eq!(read.unwrap(), (Sha256Hex::of(text.as_bytes()), text.len() as u64), "read to its end");
        looked.map(|()| seen)
    }

    #[test]
    fn values_end_where_they_end() {
        let values = [r#"{"a": [1, "]}\"", {}]}"#, "-1.5e3", "null", r#""a\\""#, "[]", r#"{"b":"\\\""}"#];
        let text = format!(" [ {} ] ", values.join(" ,\n"));
        assert_eq!(elements(&text).unwrap(), values);
        assert_eq!(elements("[]").unwrap(), Vec::<String>::new());
        // One that is no JSON is a value for all that: whoever parses it says what is wrong.
        assert_eq!(elements("[{\"a\" 1}, 1e999, nul]").unwrap(), ["{\"a\" 1}", "1e999", "nul"]);
        for (text, why) in [
            ("", "expected '['"),
            ("{}", "expected '['"),
            ("[1", "expected , or ]"),
            ("[{\"a\": 1}", "expected , or ]"),
            ("[{\"a\": 1", "ends within the value that begins at byte 1"),
            ("[1,]", "expected a value"),
            ("[,1]", "expected a value"),
            ("[1] 2", "text after"),
            ("[1 2]", "expected , or ]"),
        ] {
            let error = elements(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn values_across_blocks_are_whole_and_too_large_ones_are_passed_over() {
        let text = |size: usize| format!("\"{}\"", "x".repeat(size - 2));
        let sizes = [3, BLOCK_BYTES - 5, BLOCK_BYTES, 3 * BLOCK_BYTES, MAX_VALUE_BYTES, MAX_VALUE_BYTES + 1, 4];
        let all = format!("[{}]", sizes.map(text).join(","));
        let seen: Vec<String> = elements(&all).unwrap();
        for (size, seen) in sizes.into_iter().zip(seen) {
            let too_large = format!("{size} bytes");
            assert!(if size > MAX_VALUE_BYTES { seen == too_large } else { seen == text(size) }, "{size}");
        }
    }
}
