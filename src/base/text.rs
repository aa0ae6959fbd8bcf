//! Text for people: nothing that steers a terminal, and counted words.

use std::borrow::Cow;

/// `text` with control characters as escapes: names of files and texts of documents are shown, not obeyed.
#[must_use]
pub fn printable(text: &str) -> String {
    escaped(text, char::is_control).into_owned()
}

/// The same of a text of several lines: line ends and tabs stay.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&unwanted) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if unwanted(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// `1 file`, `2 files`, `0 files`.
#[must_use]
pub fn counted<N: std::fmt::Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(printable("/a\nb\u{1b}[31m\u{9b}é\\"), "/a\\nb\\u{1b}[31m\\u{9b}é\\");
        assert_eq!(printable_lines("a\n\tb\u{1b}[31m\r"), "a\n\tb\\u{1b}[31m\\r");
        assert!(matches!(printable_lines("é plain\\\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn one_is_not_many() {
        let said: Vec<String> = (0..3).map(|number| counted(number, "registry", "registries")).collect();
        assert_eq!(said, ["0 registries", "1 registry", "2 registries"]);
    }
}
