//! Lints about the text itself.

use super::at;
use crate::sbpl::source::Source;
use crate::vocab::{Finding, Severity, Span};

/// Characters beyond ASCII outside of comments: the system's reader and ours may see different bytes.
pub(super) fn findings(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut next_line = 0;
    for (line, text) in (1u32..).zip(source.text.split_inclusive('\n')) {
        let line_start = next_line;
        next_line += text.len();
        // A byte order mark is an error of its own.
        let marked = |at: usize, c: char| line_start + at == 0 && c == '\u{feff}';
        let unusual = text.char_indices().find(|&(at, c)| !c.is_ascii() && !marked(at, c));
        let Some((before, character)) = unusual else { continue };
        if in_comment(&text[..before]) {
            continue;
        }
        let column = u32::try_from(text[..before].chars().count()).unwrap_or(u32::MAX).saturating_add(1);
        let start = u32::try_from(line_start + before).unwrap_or(u32::MAX);
        let end = start.saturating_add(u32::try_from(character.len_utf8()).unwrap_or(1));
        let span = Span { source: 0, start, end, line, column };
        let message = format!("the character U+{:04X} is not ASCII", u32::from(character));
        found.push(
            at("non-ascii", Severity::Warning, &source.name, span, message)
                .help("pass such a path as a parameter: (param \"KEY\")"),
        );
    }
    found
}

/// Whether a comment has begun on the line; a semicolon in a string does not begin one.
fn in_comment(before: &str) -> bool {
    let mut in_string = false;
    let mut escaped = false;
    for c in before.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            ';' if !in_string => return true,
            _ => {}
        }
    }
    false
}
