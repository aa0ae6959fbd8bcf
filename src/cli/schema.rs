//! The `schema` commands: list, show, and check documents against the embedded schemas.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit};
use super::print_line;
use crate::base::json::{self as document, MAX_DOCUMENT_BYTES};
use crate::base::text::printable;
use crate::base::{error_chain, position};
use crate::os::fs;
use crate::report;
use crate::schema::{self, Schema, Validator};
use crate::vocab::{Finding, Severity};

/// The `schema` commands.
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// List the schemas of the documents that are read and written here
    List,
    /// Print a schema
    Show(ShowArgs),
    /// Check documents against their schemas
    Check(CheckArgs),
}

// Arguments of `schema show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// A name of `schema list`
    #[arg(value_name = "NAME", value_parser = known)]
    schema: &'static Schema,
}

// Arguments of `schema check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime schema check plans/*/plan.json plans/*/registry/*.json
  runtime schema check out/RUN/run_manifest.json out/RUN/summary.json
  runtime schema check --as events out/RUN/runtime_events.normalized.json

A document names its schema by schema_version; one that does not needs --as. A file that ends in .jsonl holds one document a \
line. A finding's id is schema- and the keyword of JSON Schema that is not met.

Exit status: 0 all meet their schemas, 1 one does not, 2 usage, 3 one cannot be read, is not JSON or names no known schema.")]
pub(crate) struct CheckArgs {
    /// Documents
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The schema of all of them, whatever they say: a name of `schema list`
    #[arg(long = "as", value_name = "NAME", value_parser = known)]
    named: Option<&'static Schema>,
}

fn known(name: &str) -> Result<&'static Schema, String> {
    schema::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = schema::all().iter().map(|schema| schema.name).collect();
        format!("there is no such schema; there are {}", names.join(", "))
    })
}

/// Runs a `schema` command.
pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    match command {
        Command::List => list(json),
        Command::Show(args) => {
            print_line(args.schema.text)?;
            Ok(Exit::Yes)
        }
        Command::Check(args) => check(args, json, context),
    }
}

fn list(json: bool) -> CliResult {
    if json {
        let entry = |schema: &Schema| {
            json!({"name": schema.name, "tags": schema.tags(), "document": schema.document, "lines": schema.lines,
                "description": schema.description()})
        };
        let entries: Vec<Value> = schema::all().iter().map(entry).collect();
        print_line(&document::to_pretty(&entries))?;
        return Ok(Exit::Yes);
    }
    let row = |schema: &Schema| {
        let tag = if schema.tags().is_empty() { "-".to_owned() } else { schema.tags().join(" ") };
        vec![schema.name.to_owned(), tag, schema.description()]
    };
    let rows: Vec<Vec<String>> = schema::all().iter().map(row).collect();
    print_line(report::render_table(&["name", "tag", "what"], &rows).trim_end())?;
    Ok(Exit::Yes)
}

/// What is known about one file.
struct Checked {
    file: String,
    schemas: Vec<&'static str>,
    /// Whether every document in it could be judged.
    judged: bool,
    findings: Vec<Finding>,
}

fn check(args: &CheckArgs, json: bool, context: &Context) -> CliResult {
    let mut compiled = Compiled::default();
    let checked: Vec<Checked> =
        args.files.iter().map(|file| check_file(file, args.named, &mut compiled, context)).collect();
    let complete = checked.iter().all(|file| file.judged);
    let ok = checked.iter().all(|file| file.findings.is_empty());
    if json {
        let files: Vec<Value> = checked
            .iter()
            .map(|file| json!({"file": file.file, "schemas": file.schemas, "ok": file.findings.is_empty()}))
            .collect();
        let findings: Vec<&Finding> = checked.iter().flat_map(|file| &file.findings).collect();
        let object = json!({"ok": ok, "complete": complete, "documents": files, "findings": findings});
        print_line(&document::to_pretty(&object))?;
    } else {
        for file in &checked {
            for finding in &file.findings {
                print_line(&report::render_finding(finding))?;
            }
            let schemas = if file.schemas.is_empty() { "-".to_owned() } else { file.schemas.join(", ") };
            print_line(&format!("{}: {schemas}: {}", printable(&file.file), report::render_summary(&file.findings)))?;
        }
    }
    Ok(match (complete, ok) {
        (false, _) => Exit::CannotAnswer,
        (true, false) => Exit::No,
        (true, true) => Exit::Yes,
    })
}

/// The schemas needed so far, each compiled once.
#[derive(Default)]
struct Compiled(Vec<(&'static str, Validator)>);

impl Compiled {
    fn of(&mut self, schema: &'static Schema) -> &Validator {
        let at = match self.0.iter().position(|(name, _)| *name == schema.name) {
            Some(at) => at,
            None => {
                self.0.push((schema.name, Validator::of(schema)));
                self.0.len() - 1
            }
        };
        &self.0[at].1
    }
}

fn check_file(path: &Path, named: Option<&'static Schema>, compiled: &mut Compiled, context: &Context) -> Checked {
    let mut checked =
        Checked { file: path.display().to_string(), schemas: Vec::new(), judged: true, findings: Vec::new() };
    let bytes = match fs::read_bounded(&context.absolute(path), MAX_DOCUMENT_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            checked.cannot("unreadable-file", None, format!("cannot be read: {}", error_chain(&error)), None);
            return checked;
        }
    };
    let in_lines = path.extension().is_some_and(|extension| extension == "jsonl") || named.is_some_and(|s| s.lines);
    if in_lines {
        let lines = bytes.split(|&byte| byte == b'\n').enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            checked.document(line, number, named, compiled);
        }
    } else {
        checked.document(&bytes, 0, named, compiled);
    }
    checked
}

impl Checked {
    /// Judges one document that begins `lines_before` lines into the file.
    fn document(&mut self, bytes: &[u8], lines_before: usize, named: Option<&'static Schema>, compiled: &mut Compiled) {
        let value = match document::read(bytes) {
            Ok(value) => value,
            Err(error) => {
                let position = error.position().map(|(line, column)| (line + lines_before, column.max(1)));
                self.cannot("not-json", position, format!("is not JSON: {error}"), None);
                return;
            }
        };
        let schema = match named.map_or_else(|| self.find(&value), Ok) {
            Ok(schema) => schema,
            Err((id, message, help)) => {
                self.cannot(id, Some((lines_before + 1, 1)), message, Some(help));
                return;
            }
        };
        if !self.schemas.contains(&schema.name) {
            self.schemas.push(schema.name);
        }
        let violations = compiled.of(schema).violations(&value);
        if violations.is_empty() {
            return;
        }
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let places = position::locate(text, violations.iter().map(|violation| violation.pointer.as_str()));
        for violation in violations {
            let id = format!("schema-{}", kebab(&violation.keyword));
            let mut finding = Finding::new(&id, Severity::Error, &self.file, violation.message).at(&violation.pointer);
            if let Some((line, column)) = places.get(&violation.pointer) {
                finding = finding.at_position(line + lines_before, *column);
            }
            let see = format!("see runtime schema show {}", schema.name);
            self.findings.push(finding.help(violation.help.unwrap_or(see)));
        }
    }

    /// The schema that a document names; else id, message and help of a finding.
    fn find(&self, value: &Value) -> Result<&'static Schema, (&'static str, String, String)> {
        let list = "runtime schema list shows the names for --as";
        match schema::tag_of(value) {
            Some(tag) => schema::by_tag(tag, value)
                .ok_or_else(|| ("schema-unknown", format!("no schema is known for {tag:?}"), list.to_owned())),
            None => {
                let name = Path::new(&self.file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let usual = schema::all().iter().find(|schema| schema.document == name && schema.tags().is_empty());
                let help =
                    usual.map_or_else(|| list.to_owned(), |schema| format!("its name suggests --as {}", schema.name));
                Err(("schema-not-named", "names no schema: it has no schema_version".to_owned(), help))
            }
        }
    }

    fn cannot(&mut self, id: &str, position: Option<(usize, usize)>, message: String, help: Option<String>) {
        let mut finding = Finding::new(id, Severity::Error, &self.file, message);
        if let Some((line, column)) = position {
            finding = finding.at_position(line, column);
        }
        finding.help = help;
        self.findings.push(finding);
        self.judged = false;
    }
}

/// `additionalProperties` as `additional-properties`: the ids of findings are written so.
fn kebab(keyword: &str) -> String {
    let mut text = String::with_capacity(keyword.len() + 2);
    for character in keyword.chars() {
        if character.is_ascii_uppercase() {
            text.push('-');
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}
