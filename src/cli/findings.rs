//! How every lint reports: its form, what counts as an error, and the exit status that follows.

use indexmap::IndexSet;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit};
use super::lookup::{name_from_working_directory, shown};
use super::print_as_is;
use crate::base::json as document;
use crate::registry::Place;
use crate::report;
use crate::vocab::{Finding, Severity};

// Arguments of every lint.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReportArgs {
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Make warnings count as errors
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Text for people
    Human,
    /// One JSON object
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// GitHub workflow commands
    Github,
    /// JUnit XML
    Junit,
}

/// What else counts as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Deny {
    /// Every warning
    Warnings,
}

/// What a lint found.
pub(crate) struct Found {
    /// The command, as a suite of tests is named after it.
    pub command: &'static str,
    /// Every file that was looked at, in the order of the command line.
    pub files: IndexSet<String>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// The files that were not looked at as a whole.
    pub incomplete: IndexSet<String>,
    /// Further members of the JSON form.
    pub more: Map<String, Value>,
}

impl Found {
    /// Nothing yet, of `command`.
    pub(crate) fn new(command: &'static str) -> Self {
        Self { command, files: IndexSet::new(), findings: Vec::new(), incomplete: IndexSet::new(), more: Map::new() }
    }

    /// Adds what the command line names and cannot be looked at: why, and that the answer is not complete.
    pub(crate) fn cannot(&mut self, named: &str, mut findings: Vec<Finding>, context: &Context) {
        name_from_working_directory(&mut findings, context);
        self.findings.append(&mut findings);
        self.files.insert(named.to_owned());
        self.incomplete.insert(named.to_owned());
    }

    /// Adds what was found in `files`, which are named the way the user sees them.
    pub(crate) fn add(&mut self, mut findings: Vec<Finding>, files: &[Place], incomplete: &[Place], context: &Context) {
        name_from_working_directory(&mut findings, context);
        self.findings.append(&mut findings);
        for (names, places) in [(&mut self.files, files), (&mut self.incomplete, incomplete)] {
            for place in places {
                names.insert(shown(&place.to_string(), context));
            }
        }
    }
}

/// Prints `found` in the form asked for, in one write, and gives the status: 3 when a file was not looked at as a whole,
/// 1 with errors, else 0. `human` makes the text for people of the findings, with colours or without.
pub(crate) fn print(
    mut found: Found,
    args: &ReportArgs,
    json: bool,
    context: &Context,
    human: impl FnOnce(&Found, bool) -> String,
) -> CliResult {
    if args.deny == Some(Deny::Warnings) {
        let warnings = found.findings.iter_mut().filter(|finding| finding.severity == Severity::Warning);
        warnings.for_each(|finding| finding.severity = Severity::Error);
    }
    let refused = report::has_errors(&found.findings);
    let complete = found.incomplete.is_empty();
    let Found { command, files, findings, incomplete, .. } = &found;
    let incomplete: &Vec<String> = &incomplete.iter().cloned().collect();
    let text = match if json { Format::Json } else { args.format } {
        Format::Human => human(&found, context.colour),
        Format::Json => {
            let mut object = json!({"ok": complete && !refused, "complete": complete, "files": files});
            let fields = object.as_object_mut().expect("written as an object above");
            fields.extend(found.more.clone());
            fields.insert("findings".to_owned(), document::to_value(findings));
            document::to_pretty(&object)
        }
        Format::Sarif => document::to_pretty(&report::sarif(env!("CARGO_PKG_VERSION"), findings, incomplete)),
        Format::Github => report::github_annotations(findings, incomplete),
        Format::Junit => report::junit(command, &files.iter().cloned().collect::<Vec<_>>(), findings, incomplete),
    };
    // GitHub's form is empty when there is nothing to say.
    if !text.is_empty() {
        // Every form makes what it shows printable; what is left that steers a terminal are the colours of the text.
        print_as_is(text.trim_end_matches('\n'))?;
    }
    Ok(match (complete, refused) {
        (false, _) => Exit::CannotAnswer,
        (true, true) => Exit::No,
        (true, false) => Exit::Yes,
    })
}

/// The findings one after the other, then the files that were not looked at as a whole.
pub(crate) fn human(found: &Found, colour: bool) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        report::push_finding(&mut text, finding, colour);
    }
    for file in &found.incomplete {
        text.push_str(&format!("{}\n", report::not_complete(file)));
    }
    text
}
