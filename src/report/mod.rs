//! Findings and tables as text for people and as documents for machines. Pure: returns values, prints nothing. Layer 2.

mod github;
mod junit;
mod sarif;

pub use github::github_annotations;
pub use junit::junit;
pub use sarif::sarif;

use std::fmt::Write as _;

use crate::vocab::{Finding, Severity};

/// One finding in the form compilers use: severity and id, what is wrong, where, and what to do. Ends with a newline.
///
/// Control characters from documents are shown escaped, so a document cannot steer the reader's terminal.
#[must_use]
pub fn render_finding(finding: &Finding) -> String {
    let mut text = String::new();
    push_finding(&mut text, finding, false);
    text
}

/// Adds [`render_finding`] to `text`; with `colour` the severity stands out.
pub fn push_finding(text: &mut String, finding: &Finding, colour: bool) {
    let (severity, start) = match finding.severity {
        Severity::Error => ("error", "\u{1b}[1;31m"),
        Severity::Warning => ("warning", "\u{1b}[1;33m"),
        Severity::Note => ("note", "\u{1b}[1;36m"),
    };
    let (start, end) = if colour { (start, "\u{1b}[0m") } else { ("", "") };
    text.extend([start, severity, "[", &finding.id, "]", end, ": "]);
    push_printable(text, &finding.message);
    text.push_str("\n  --> ");
    push_printable(text, &finding.file);
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        // Writing to a string cannot fail.
        let _ = write!(text, ":{line}:{column}");
    }
    if let Some(pointer) = finding.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        text.push_str(" at ");
        push_printable(text, pointer);
    }
    text.push('\n');
    if let Some(help) = &finding.help {
        text.push_str("  = help: ");
        push_printable(text, help);
        text.push('\n');
    }
}

/// A number with its noun, which takes an `s` for all but one.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The last line of a lint: how many findings of each severity, or that there are none.
#[must_use]
pub fn render_summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let faults = match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "no findings".to_owned(),
        (errors, warnings) => format!("{}, {}", counted(errors as u64, "error"), counted(warnings as u64, "warning")),
    };
    match count(Severity::Note) {
        0 => faults,
        notes => format!("{faults}, {}", counted(notes as u64, "note")),
    }
}

/// What every form of report says about a file that was not looked at as a whole.
#[must_use]
pub fn not_complete(file: &str) -> String {
    format!("not complete: {}: not every lint was asked, or not of all of it", printable(file))
}

/// Whether a lint says no.
#[must_use]
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Rows under a header line, columns padded to their widest cell; every line ends with a newline.
#[must_use]
pub fn render_table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|title| title.to_uppercase()).collect();
    let shown: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = shown.iter().chain([&header]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for row in [&header].into_iter().chain(&shown) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `text` with control characters as escapes.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    push_printable(&mut shown, text);
    shown
}

fn push_printable(shown: &mut String, text: &str) {
    if !text.chars().any(char::is_control) {
        shown.push_str(text);
        return;
    }
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc\n".to_owned(), String::new()]];
        assert_eq!(render_table(&["x", "y"], &rows), "X      Y\na      bb\nccc\\n\n");
    }

    #[test]
    fn a_finding_names_place_and_remedy_and_cannot_steer_a_terminal() {
        let finding = Finding::new("unknown-key", Severity::Warning, "p.json", "has \u{1b}[2J")
            .at("/a\u{7}")
            .at_position(3, 4)
            .help("remove it");
        let text = "warning[unknown-key]: has \\u{1b}[2J\n  --> p.json:3:4 at /a\\u{7}\n  = help: remove it\n";
        assert_eq!(render_finding(&finding), text);
        let mut coloured = String::new();
        push_finding(&mut coloured, &finding, true);
        assert_eq!(coloured, text.replace("warning[unknown-key]", "\u{1b}[1;33mwarning[unknown-key]\u{1b}[0m"));
        let error = Finding::new("x", Severity::Error, "f", "m");
        assert_eq!(render_finding(&error), "error[x]: m\n  --> f\n");
        assert_eq!(render_summary(&[finding.clone(), error.clone(), error.clone()]), "2 errors, 1 warning");
        assert_eq!(render_summary(&[]), "no findings");
        let note = Finding::new("x", Severity::Note, "f", "m");
        assert_eq!(render_finding(&note), "note[x]: m\n  --> f\n");
        assert_eq!(render_summary(&[note.clone(), error.clone()]), "1 error, 0 warnings, 1 note");
        assert!(!has_errors(std::slice::from_ref(&note)));
        assert_eq!(render_summary(&[note.clone(), note]), "no findings, 2 notes");
        assert!(has_errors(&[error]) && !has_errors(&[finding]));
    }
}
