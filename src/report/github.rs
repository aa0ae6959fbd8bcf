//! Findings as GitHub workflow commands ("Workflow commands for GitHub Actions", setting an error message).

use crate::base::text::printable_lines;
use crate::vocab::{Finding, Severity};

/// One line per finding, and one per file in `incomplete` (not looked at as a whole); the runner turns each into an
/// annotation of the file.
#[must_use]
pub fn github_annotations(findings: &[Finding], incomplete: &[String]) -> String {
    let mut text = String::new();
    for finding in findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        text.push_str(&format!("::{command} file={}", property(&finding.file)));
        if let Some(line) = finding.line {
            text.push_str(&format!(",line={line}"));
        }
        if let Some(column) = finding.column {
            text.push_str(&format!(",col={column}"));
        }
        let mut message = finding.message.clone();
        if let Some(pointer) = finding.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            message.push_str(&format!(" (at {pointer})"));
        }
        if let Some(help) = &finding.help {
            message.push_str(&format!("\n{help}"));
        }
        text.push_str(&format!(",title={}::{}\n", property(&finding.id), data(&message)));
    }
    for file in incomplete {
        let message = data(&super::not_complete(file));
        text.push_str(&format!("::error file={},title=not complete::{message}\n", property(file)));
    }
    text
}

/// Escapes what ends a message; what else would steer the terminal of whoever reads the log is shown.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    printable_lines(&text).into_owned()
}

/// Escapes what ends a property as well.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_finding_can_end_its_command() {
        let finding =
            Finding::new("a-b", Severity::Error, "x,y:\u{1b}z.sb", "50%\n::error::no").at_position(3, 4).help("h");
        let line = "::error file=x%2Cy%3A\\u{1b}z.sb,line=3,col=4,title=a-b::50%25%0A::error::no%0Ah\n";
        assert_eq!(github_annotations(&[finding], &[]), line);
        assert_eq!(github_annotations(&[], &[]), "");
        let line =
            "::error file=a%3Ab,title=not complete::not complete: a:b: not every lint was asked, or not of all of it\n";
        assert_eq!(github_annotations(&[], &["a:b".to_owned()]), line);
    }
}
