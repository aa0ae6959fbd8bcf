//! Findings as JUnit XML, in the form that other linters write (ESLint, Ruff, golangci-lint): a suite per file, a test case
//! per finding, and one that passes for a file without findings.

use indexmap::IndexMap;

use crate::vocab::{Finding, Severity};

/// The report of `command` over files; a finding about another file makes a suite of that file. Errors fail their case,
/// warnings and notes pass and are told as its output; a file in `incomplete`, which was not looked at as a whole, has a case
/// that could not be run to its end.
#[must_use]
pub fn junit(command: &str, files: &[String], findings: &[Finding], incomplete: &[String]) -> String {
    let mut suites: IndexMap<&str, Vec<String>> = files.iter().map(|file| (file.as_str(), Vec::new())).collect();
    for finding in findings {
        suites.entry(&finding.file).or_default().push(case_of(finding));
    }
    for file in incomplete {
        let message = escape(&super::not_complete(file));
        let error = format!(">\n      <error type=\"not complete\" message=\"{message}\"/>\n    </testcase>\n");
        suites.entry(file).or_default().push(case(file, command, None) + &error);
    }
    for (file, cases) in suites.iter_mut().filter(|(_, cases)| cases.is_empty()) {
        cases.push(case(file, command, None) + "/>\n");
    }
    let counts = |tests: usize, failures: usize, errors: usize| {
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"")
    };
    let failures = |file: Option<&str>| {
        findings.iter().filter(|f| f.severity == Severity::Error && file.is_none_or(|file| f.file == file)).count()
    };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = counts(suites.values().map(Vec::len).sum(), failures(None), incomplete.len());
    text.push_str(&format!("<testsuites name=\"{}\" {all}>\n", escape(command)));
    for (file, cases) in &suites {
        let errors = incomplete.iter().filter(|name| name == file).count();
        let own = counts(cases.len(), failures(Some(file)), errors);
        text.push_str(&format!("  <testsuite name=\"{}\" {own}>\n{}  </testsuite>\n", escape(file), cases.concat()));
    }
    text.push_str("</testsuites>");
    text
}

/// The start of a test case, up to its attributes.
fn case(file: &str, name: &str, line: Option<usize>) -> String {
    let line = line.map_or_else(String::new, |line| format!(" line=\"{line}\""));
    let file = escape(file);
    format!("    <testcase classname=\"{file}\" name=\"{}\" file=\"{file}\"{line}", escape(name))
}

/// One finding as a test case: named by its id and place, so that viewers tell it from others of its kind.
fn case_of(finding: &Finding) -> String {
    let mut name = finding.id.clone();
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        name.push_str(&format!(" {line}:{column}"));
    }
    if let Some(pointer) = finding.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        name.push_str(&format!(" {pointer}"));
    }
    let start = case(&finding.file, &name, finding.line);
    let (place, message) = (escape(&place(finding)), escape(&finding.message));
    let body = match finding.severity {
        Severity::Error => {
            format!("<failure type=\"{}\" message=\"{message}\">{place}</failure>", escape(&finding.id))
        }
        Severity::Warning => format!("<system-out>warning: {place}: {message}</system-out>"),
        Severity::Note => format!("<system-out>note: {place}: {message}</system-out>"),
    };
    format!("{start}>\n      {body}\n    </testcase>\n")
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
    fn suites_are_files_and_cases_findings() {
        let error = Finding::new("e", Severity::Error, "a.sb", "<\u{1}&\"").at_position(2, 3);
        let warning = Finding::new("w", Severity::Warning, "a.sb", "m").at("/x").help("h");
        let note = Finding::new("n", Severity::Note, "d.sb", "m");
        let files = ["a.sb", "b.sb", "c.sb"].map(str::to_owned);
        let text = junit("lint", &files, &[error, warning, note], &["b.sb".to_owned()]);
        let case =
            |file: &str, name: &str| format!("    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\"");
        let suite = |file: &str, tests: usize, failures: usize, errors: usize, cases: &str| {
            format!(
                "  <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">\n{cases}  </testsuite>\n"
            )
        };
        let end = "\n    </testcase>\n";
        let expected = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
            "<testsuites name=\"lint\" tests=\"5\" failures=\"1\" errors=\"1\">\n",
            &suite("a.sb", 2, 1, 0, &[
                case("a.sb", "e 2:3") + " line=\"2\">\n      ",
                format!("<failure type=\"e\" message=\"&lt;\u{fffd}&amp;&quot;\">a.sb:2:3 [e]</failure>{end}"),
                case("a.sb", "w /x") + ">\n      ",
                format!("<system-out>warning: a.sb [w] at /x help: h: m</system-out>{end}"),
            ].concat()),
            &suite("b.sb", 1, 0, 1, &[
                case("b.sb", "lint") + ">\n      ",
                format!("<error type=\"not complete\" message=\"not complete: b.sb: not every lint was asked, or not of all of it\"/>{end}"),
            ].concat()),
            &suite("c.sb", 1, 0, 0, &(case("c.sb", "lint") + "/>\n")),
            &suite("d.sb", 1, 0, 0, &format!("{}>\n      <system-out>note: d.sb [n]: m</system-out>{end}", case("d.sb", "n"))),
            "</testsuites>",
        ];
        assert_eq!(text, expected.concat());
    }
}
