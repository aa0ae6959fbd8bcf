//! Help texts: whole flags, not parts of longer ones.

use super::Checked;
use crate::vocab::{Finding, Severity};

/// What the help of `run-xpc` must mention.
pub(super) const RUN_XPC: &[&str] = &[
    "run-xpc",
    "--log-stream",
    "--log-path-class",
    "--log-name",
    "--log-predicate",
    "--json-out",
    "--observe",
    "--observer-duration",
    "--observer-format",
    "--observer-output",
    "--observer-follow",
    "--plan-id",
    "--row-id",
    "--correlation-id",
];

/// What the help of the observer must mention.
pub(super) const OBSERVER: &[&str] = &[
    "--pid",
    "--process-name",
    "--start",
    "--end",
    "--last",
    "--duration",
    "--follow",
    "--format",
    "--output",
    "--plan-id",
    "--row-id",
    "--correlation-id",
];

/// A flag and the words that must stand with it as its values.
pub(super) const LOG_STREAM: (&str, [&str; 3]) = ("--log-stream", ["path", "auto", "stdout"]);

/// Looks for every flag of `required`, and for the values of one of them.
pub(super) fn check(file: &str, text: &[u8], required: &[&str], values: Option<(&str, [&str; 3])>) -> Checked {
    let Ok(text) = std::str::from_utf8(text) else {
        let finding = Finding::new("contract-not-text", Severity::Error, file, "the help text is not UTF-8");
        return Checked { findings: vec![finding], complete: false };
    };
    let tokens: Vec<&str> = tokens(text).collect();
    let missing = required.iter().filter(|flag| !tokens.contains(flag)).map(|flag| {
        Finding::new("contract-missing-flag", Severity::Error, file, format!("the help text does not mention {flag}"))
    });
    let mut findings: Vec<Finding> = missing.collect();
    if let Some((flag, words)) = values.filter(|(flag, _)| tokens.contains(flag)) {
        let mentioned = |word: &str| {
            let places = tokens.iter().enumerate().filter(|(_, token)| **token == flag);
            places.into_iter().any(|(at, _)| {
                let until_next = tokens[at + 1..].iter().take_while(|token| !token.starts_with("--"));
                until_next.into_iter().any(|token| token.eq_ignore_ascii_case(word))
            })
        };
        findings.extend(words.iter().filter(|word| !mentioned(word)).map(|word| {
            let message = format!("the help text does not say that {flag} takes {word}");
            Finding::new("contract-missing-value", Severity::Error, file, message)
        }));
    }
    Checked { findings, complete: true }
}

/// The words and flags of a text: runs of letters, digits, `-` and `_`.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        check("h", text.as_bytes(), &["--observe"], Some(LOG_STREAM))
            .findings
            .into_iter()
            .map(|found| found.message)
            .collect()
    }

    #[test]
    fn a_part_of_a_longer_flag_is_not_the_flag() {
        assert_eq!(messages("--observer-format, --no--observe"), ["the help text does not mention --observe"]);
        for text in ["--observe", "[--observe]", "use --observe.", "--observe=yes", "--observe|--x"] {
            assert_eq!(messages(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn values_stand_with_their_flag() {
        assert_eq!(messages("--observe --log-stream <path|auto|stdout>"), Vec::<String>::new());
        assert_eq!(
            messages("--observe --log-stream <path|auto> --x stdout"),
            ["the help text does not say that --log-stream takes stdout"]
        );
        assert!(!check("h", b"\xff", &[], None).complete);
    }
}
