//! Line and column of places in a JSON text, found only when a message needs them.

use foldhash::{HashMap, HashMapExt as _, HashSet};

/// A position in a text: line and column in characters, both from 1.
pub type Position = (usize, usize);

/// Finds where the values named by JSON `pointers` (RFC 6901) begin in `text`, which must be valid JSON.
///
/// One pass over the text, whatever the number of pointers. Pointers that name nothing are absent from the answer.
#[must_use]
pub fn locate<'p>(text: &str, pointers: impl IntoIterator<Item = &'p str>) -> HashMap<String, Position> {
    let wanted: HashSet<&str> = pointers.into_iter().collect();
    let pointer = String::new();
    let mut scan = Scan { text, at: 0, line: 1, counted: (0, 0), pointer, wanted, found: HashMap::new() };
    scan.value();
    scan.found
}

struct Scan<'t, 'p> {
    text: &'t str,
    at: usize,
    line: usize,
    /// A byte of the current line, and how many characters of the line stand before it. A document may be one long line, so
    /// no character is counted twice.
    counted: (usize, usize),
    pointer: String,
    /// Asked about every value of the text, so its hash is a fast one.
    wanted: HashSet<&'p str>,
    found: HashMap<String, Position>,
}

impl Scan<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.counted = (self.at, 0);
            }
        }
    }

    fn value(&mut self) {
        self.skip_space();
        if self.wanted.contains(self.pointer.as_str()) {
            let (from, before) = self.counted;
            self.counted = (self.at, before + self.text.get(from..self.at).map_or(0, |line| line.chars().count()));
            self.found.entry(self.pointer.clone()).or_insert((self.line, self.counted.1 + 1));
        }
        match self.peek() {
            Some(b'{') => self.members(b'}', true),
            Some(b'[') => self.members(b']', false),
            Some(b'"') => {
                self.string();
            }
            _ => {
                while self.peek().is_some_and(|b| !matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')) {
                    self.at += 1;
                }
            }
        }
    }

    /// Walks one object or array. Depth is bounded because the text has passed the bounded reader.
    fn members(&mut self, close: u8, keyed: bool) {
        self.at += 1;
        let parent = self.pointer.len();
        let mut index = 0usize;
        loop {
            self.skip_space();
            match self.peek() {
                None => return,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return;
                }
                Some(b',') => self.at += 1,
                Some(_) => {
                    self.pointer.push('/');
                    if keyed {
                        let (start, end) = self.string();
                        push_key(&mut self.pointer, self.text.get(start..end).unwrap_or_default());
                        self.skip_space();
                        self.at += 1; // the colon
                    } else {
                        self.pointer.push_str(&index.to_string());
                        index += 1;
                    }
                    let before = self.at;
                    self.value();
                    self.pointer.truncate(parent);
                    if self.at == before {
                        return; // not JSON: stop instead of standing still
                    }
                }
            }
        }
    }

    /// Passes one string, quotes included; gives the byte range of the whole literal.
    fn string(&mut self) -> (usize, usize) {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    break;
                }
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.text.len());
        (start, self.at)
    }
}

fn push_key(pointer: &mut String, literal: &str) {
    // The common key has no escapes and needs none.
    let plain = literal.trim_matches('"');
    if plain.contains('\\') {
        let decoded: String = serde_json::from_str(literal).unwrap_or_default();
        pointer.push_str(&escape(&decoded));
    } else if needs_escape(plain) {
        pointer.push_str(&escape(plain));
    } else {
        pointer.push_str(plain);
    }
}

fn needs_escape(key: &str) -> bool {
    key.contains(['~', '/'])
}

/// A key as one reference token of a JSON pointer.
#[must_use]
pub fn escape(key: &str) -> String {
    if needs_escape(key) { key.replace('~', "~0").replace('/', "~1") } else { key.to_owned() }
}

/// The key that a word of a JSON pointer stands for.
#[must_use]
pub fn unescape(word: &str) -> String {
    word.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_values_by_pointer() {
        let text = "{\n  \"a/b\": [1, {\"x\": \"é\"}, true],\n\"k\\\"~\":null , \"s\": \"a\\\\\"}";
        let pointers = ["", "/a~1b", "/a~1b/0", "/a~1b/1/x", "/a~1b/2", "/k\"~0", "/s", "/absent"];
        let found = locate(text, pointers);
        for (pointer, position) in [
            ("", (1, 1)),
            ("/a~1b", (2, 10)),
            ("/a~1b/0", (2, 11)),
            ("/a~1b/1/x", (2, 20)),
            ("/a~1b/2", (2, 26)),
            ("/k\"~0", (3, 8)),
            ("/s", (3, 20)),
        ] {
            assert_eq!(found.get(pointer), Some(&position), "{pointer}");
        }
        assert!(!found.contains_key("/absent"));
    }

    #[test]
    fn broken_text_ends_the_scan_without_harm() {
        for text in ["", "{", "[", "{\"a\"", "[,,]", "\"", "\"\\", "{\"a\":}", "{]", "[}", "}", "{a", "[\u{e9}"] {
            let _ = locate(text, [""]);
        }
    }
}
