//! Findings as JUnit XML: one test case per file, one failure per finding.

use indexmap::IndexMap;

use crate::vocab::{Finding, Severity};

/// The report of a command over files; a finding about another file makes a case of that file. Errors fail a case, warnings
/// do not; a file in `incomplete`, which was not looked at as a whole, is a case that could not be run to its end.
#[must_use]
pub fn junit(suite: &str, files: &[String], findings: &[Finding], incomplete: &[String]) -> String {
    let fails = |finding: &&Finding| finding.severity == Severity::Error;
    let errors = incomplete.len();
    let failures = findings.iter().filter(fails).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut cases: IndexMap<&str, Vec<&Finding>> = files.iter().map(|file| (file.as_str(), Vec::new())).collect();
    for finding in findings {
        cases.entry(&finding.file).or_default().push(finding);
    }
    let (name, tests) = (escape(suite), cases.len());
    text.push_str(&format!(
        "<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">\n"
    ));
    text.push_str(&format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">\n"
    ));
    for (file, own) in &cases {
        text.push_str(&format!("    <testcase classname=\"{name}\" name=\"{}\"", escape(file)));
        let stopped = incomplete.iter().any(|name| name == file);
        if own.is_empty() && !stopped {
            text.push_str("/>\n");
            continue;
        }
        text.push_str(">\n");
        for finding in own {
            let place = place(finding);
            let message = escape(&finding.message);
            if fails(finding) {
                let id = escape(&finding.id);
                text.push_str(&format!(
                    "      <failure type=\"{id}\" message=\"{message}\">{}</failure>\n",
                    escape(&place)
                ));
            } else {
                text.push_str(&format!("      <system-out>{}: {message}</system-out>\n", escape(&place)));
            }
        }
        if stopped {
            let message = escape(&super::not_complete(file));
            text.push_str(&format!("      <error type=\"not complete\" message=\"{message}\"/>\n"));
        }
        text.push_str("    </testcase>\n");
    }
    text.push_str("  </testsuite>\n</testsuites>");
    text
}

fn place(finding: &Finding) -> String {
    let mut place = format!("{} [{}]", finding.file, finding.id);
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        place = format!("{}:{line}:{column} [{}]", finding.file, finding.id);
    }
    if let Some(pointer) = finding.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        place.push_str(&format!(" at {pointer}"));
    }
    if let Some(help) = &finding.help {
        place.push_str(&format!(" help: {help}"));
    }
    place
}

/// Escapes markup; characters that XML 1.0 cannot hold become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' | '\r' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_files_and_failures_findings() {
        let error = Finding::new("e", Severity::Error, "a.sb", "<\u{1}&\"").at_position(2, 3);
        let warning = Finding::new("w", Severity::Warning, "a.sb", "m").help("h");
        let files = ["a.sb".to_owned(), "b.sb".to_owned()];
        let text = junit("lint", &files, &[error, warning], &["b.sb".to_owned()]);
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"lint\" tests=\"2\" failures=\"1\" errors=\"1\">\n  \
               <testsuite name=\"lint\" tests=\"2\" failures=\"1\" errors=\"1\">\n    \
                 <testcase classname=\"lint\" name=\"a.sb\">\n      \
                   <failure type=\"e\" message=\"&lt;\u{fffd}&amp;&quot;\">a.sb:2:3 [e]</failure>\n      \
                   <system-out>a.sb [w] help: h: m</system-out>\n    \
                 </testcase>\n    \
                 <testcase classname=\"lint\" name=\"b.sb\">\n      \
                   <error type=\"not complete\" message=\"not complete: b.sb: not every lint was asked, or not of all of it\"/>\n    \
                 </testcase>\n  \
               </testsuite>\n</testsuites>"
        );
    }
}
