//! A list that is written once and read once, in memory while it is short and in an unnamed file when it is long.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};

use crate::base::json;

/// Bytes kept in memory.
const IN_MEMORY: usize = 256 * 1024;
/// How far an entry stands in: the list is in an entry of `ops` of the document.
const INDENT: &str = "        ";

/// The entries as the document's text, with separators.
#[derive(Debug, Default)]
pub(super) struct Spool {
    text: Vec<u8>,
    file: Option<File>,
    number: u64,
}

impl Spool {
    /// Adds one entry: an object of these members.
    pub(super) fn push(&mut self, members: &[(&str, Option<&str>)]) -> io::Result<()> {
        if self.number > 0 {
            self.text.extend_from_slice(b",\n");
        }
        self.number += 1;
        self.text.extend_from_slice(INDENT.as_bytes());
        self.text.push(b'{');
        let mut between = "";
        for (key, value) in members {
            for part in [between, "\n", INDENT, "  \"", key, "\": "] {
                self.text.extend_from_slice(part.as_bytes());
            }
            between = ",";
            match value {
                // Most texts are written as they are.
                Some(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) => {
                    self.text.push(b'"');
                    self.text.extend_from_slice(text.as_bytes());
                    self.text.push(b'"');
                }
                value => self.text.extend_from_slice(json::to_line(value).as_bytes()),
            }
        }
        write!(self.text, "\n{INDENT}}}")?;
        if self.text.len() >= IN_MEMORY {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(tempfile::tempfile()?),
            };
            file.write_all(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// Writes all entries, without the brackets around them.
    pub(super) fn write(&mut self, out: &mut dyn io::Write) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.rewind()?;
            io::copy(file, out)?;
        }
        out.write_all(&self.text)
    }
}
