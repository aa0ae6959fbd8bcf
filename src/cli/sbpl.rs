//! `sbpl explain` and its relatives.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use crate::base::json as document;
use crate::sandbox::overlay::shipped;
use crate::sbpl::{Answer, Diagnostics, ImportResolver, Imported, MAX_SOURCE_BYTES, Params, Policy, Query, Source};
use crate::vocab::RuleRef;

/// The `sbpl` commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Explain which rule decides an access
    Explain(ExplainArgs),
    /// Decide a stream of accesses, one JSON object per line in and out
    Eval(EvalArgs),
}

/// The profile a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    /// Profile to read
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// Value of (param "KEY")
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    define: Vec<(String, String)>,
    /// Text appended to the profile; may be given several times. A bare name of a shipped overlay means that one
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    /// Directory in which (import "name") is looked up; may be given several times
    #[arg(long, value_name = "DIR")]
    import_dir: Vec<PathBuf>,
}

/// Arguments of `sbpl explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXPLAIN_HELP)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    /// Operation, for example file-read-data
    #[arg(long, value_name = "OPERATION")]
    op: String,
    /// What it is attempted on; spelled by the operation, see below
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// What else is known about the access, for example vnode-type=DIRECTORY or file-mode=0644
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    attr: Vec<(String, String)>,
}

/// Arguments of `sbpl eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = EVAL_HELP)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    profile: ProfileArgs,
}

const EVAL_HELP: &str = "\
Reads questions from standard input and answers each at once:
  in   {\"id\": 1, \"operation\": \"file-read-data\", \"target\": \"/x\", \"attributes\": {\"vnode-type\": \"SYMLINK\"}}
  out  {\"id\":1,\"decision\":\"allow\",\"rule\":{\"file\":\"a.sb\",\"line\":3,\"text\":\"(allow default)\"},\"reason\":null}
id (any value), target and attributes may be left out. A line that is not a question is answered with
  {\"line\":7,\"id\":null,\"error\":\"…\"}

Examples:
  runtime sbpl eval --profile a.sb < questions.jsonl > decisions.jsonl
  echo '{\"operation\": \"process-fork\"}' | runtime sbpl eval --profile a.sb -D HOME=/home/u

Exit status: 0 every line answered, 2 usage, 3 a line is not a question, or the profile cannot be read or compiled.";

const EXPLAIN_HELP: &str = "\
Targets:
  files and programs   /absolute/canonical/path
  network              tcp:HOST:PORT, udp:HOST:PORT, ip:HOST:PORT, unix:/path (HOST: localhost, *, or an address)
  processes            self, children, pgrp, same-sandbox, others
  everything else      a name: com.apple.logd, kern.osversion

Examples:
  runtime sbpl explain --profile a.sb --op file-read-data --target /etc/hosts
  runtime sbpl explain --profile a.sb -D HOME=/home/u --op file-write-create --target /home/u/x --json
  runtime sbpl explain --profile a.sb --op network-outbound --target tcp:localhost:443
  runtime sbpl explain --profile a.sb --op file-read-data --target /x --attr vnode-type=SYMLINK

Exit status: 0 answered, 2 usage, 3 the profile cannot be read or compiled.";

/// Runs an `sbpl` command.
pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    match command {
        Command::Explain(args) => explain(args, json, context),
        Command::Eval(args) => eval(args, json, context),
    }
}

fn explain(args: &ExplainArgs, json: bool, context: &Context) -> CliResult {
    let query = Query::new(&args.op, args.target.as_deref(), &args.attr).map_err(Failure::usage)?;
    let policy = match compile(&args.profile, context)? {
        Ok(policy) => policy,
        Err(diagnostics) => return show_diagnostics(&diagnostics, json, context),
    };
    let answer = query.ask(&policy);
    if json {
        super::print_line(&document::to_pretty(&answer))?;
    } else {
        warn(policy.warnings(), context);
        super::print_line(&explanation(&answer, query.operation().is_known()))?;
    }
    Ok(Exit::Yes)
}

fn eval(args: &EvalArgs, json: bool, context: &Context) -> CliResult {
    let policy = match compile(&args.profile, context)? {
        Ok(policy) => policy,
        Err(diagnostics) => return show_diagnostics(&diagnostics, json, context),
    };
    let mut input = BufReader::new(std::io::stdin().lock());
    let mut output = BufWriter::new(std::io::stdout().lock());
    let mut exit = Exit::Yes;
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let limit = MAX_QUESTION_BYTES + 1;
        if input.by_ref().take(limit).read_until(b'\n', &mut line).context("cannot read standard input")? == 0 {
            break;
        }
        let whole = line.last() == Some(&b'\n') || (line.len() as u64) < limit;
        let answer = if whole { answer(&line, number, &policy) } else { Err(too_long(number)) };
        let text = match &answer {
            Ok(Some(answer)) => document::to_line(answer),
            Ok(None) => continue,
            Err(error) => {
                exit = Exit::CannotAnswer;
                document::to_line(error)
            }
        };
        let written = writeln!(output, "{text}").and_then(|()| {
            // A question that waits for its answer gets it at once; a file is answered in blocks.
            if input.buffer().is_empty() { output.flush() } else { Ok(()) }
        });
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(exit),
            other => other.context("cannot write the answers")?,
        }
        if !whole {
            break;
        }
    }
    match output.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write the answers").into())
        }
        _ => Ok(exit),
    }
}

/// The longest question, in bytes.
const MAX_QUESTION_BYTES: u64 = 1 << 20;

/// Answers one line; `None` for an empty one.
fn answer(line: &[u8], number: u64, policy: &Policy) -> Result<Option<Value>, Value> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let fail = |id: &Value, error: String| json!({"line": number, "id": id, "error": error});
    let question = document::read(line).map_err(|error| fail(&Value::Null, error.to_string()))?;
    let id = question.get("id").cloned().unwrap_or(Value::Null);
    let query = question_of(&question).map_err(|error| fail(&id, error))?;
    let decided = query.decide(policy);
    Ok(Some(json!({"id": id, "decision": decided.decision, "rule": decided.rule, "reason": decided.reason})))
}

fn question_of(question: &Value) -> Result<Query, String> {
    let object = question.as_object().ok_or("expected an object")?;
    if let Some(unknown) =
        object.keys().find(|key| !matches!(key.as_str(), "id" | "operation" | "target" | "attributes"))
    {
        return Err(format!("unknown key \"{unknown}\"; known are id, operation, target, attributes"));
    }
    let operation = object.get("operation").and_then(Value::as_str).ok_or("/operation: expected a string")?;
    let target = match object.get("target") {
        None | Some(Value::Null) => None,
        Some(target) => Some(target.as_str().ok_or("/target: expected a string or null")?),
    };
    let mut attributes = Vec::new();
    if let Some(given) = object.get("attributes") {
        for (name, value) in given.as_object().ok_or("/attributes: expected an object")? {
            let value = value.as_str().ok_or_else(|| format!("/attributes/{name}: expected a string"))?;
            attributes.push((name.clone(), value.to_owned()));
        }
    }
    Query::new(operation, target, &attributes).map_err(|error| error.to_string())
}

fn too_long(number: u64) -> Value {
    json!({"line": number, "id": null, "error": format!("the line has more than {MAX_QUESTION_BYTES} bytes")})
}

fn explanation(answer: &Answer, known: bool) -> String {
    let mut lines = vec![answer.decision.to_owned()];
    match (&answer.rule, &answer.reason) {
        (Some(rule), None) => lines.push(format!("  decided by {}", place(rule))),
        (Some(rule), Some(reason)) => {
            lines.push(format!("  left open by {}", place(rule)));
            lines.push(format!("  because {reason}"));
        }
        (None, _) => lines.push("  no rule matches and no default line says otherwise".to_owned()),
    }
    lines.extend(answer.also_matched.iter().map(|rule| format!("  also matches {}", place(rule))));
    lines.extend(answer.may_match.iter().map(|rule| format!("  may match {}", place(rule))));
    for miss in &answer.near_misses {
        lines.push(format!("  near miss {}", place(&miss.rule)));
        lines.push(format!("    {}", miss.hint));
    }
    if !known {
        lines.push("  note: the operation is not in the system's table".to_owned());
    }
    lines.join("\n")
}

fn place(rule: &RuleRef) -> String {
    format!("{rule}: {}", rule.text)
}

/// Reads and compiles the profile of a command.
pub(super) fn compile(args: &ProfileArgs, context: &Context) -> Result<Result<Policy, Diagnostics>, Failure> {
    let mut sources = vec![read_source(&args.profile, context)?];
    for overlay in &args.overlay {
        sources.push(match overlay.to_str().and_then(shipped) {
            Some(shipped) => Source::new(shipped.name, shipped.text),
            None => read_source(overlay, context)?,
        });
    }
    let params: Params = args.define.iter().cloned().collect();
    let resolver = SearchPath { directories: &args.import_dir, context };
    Ok(Policy::compile(&sources, &params, &resolver))
}

/// Reads one text, at most a byte more than is accepted.
fn read_source(path: &Path, context: &Context) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let file = File::open(context.absolute(path)).with_context(|| format!("cannot open {name}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(anyhow::anyhow!("{name} has more than {MAX_SOURCE_BYTES} bytes").into());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            let last = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
            let column = 1 + String::from_utf8_lossy(last).chars().count();
            Err(anyhow::anyhow!("{name}:{line}:{column}: invalid UTF-8; profiles are text").into())
        }
    }
}

/// Imports from directories, first match wins. A name is one path component or a relative path below the directory.
struct SearchPath<'a> {
    directories: &'a [PathBuf],
    context: &'a Context,
}

impl ImportResolver for SearchPath<'_> {
    fn resolve(&self, name: &str, _importer: &str) -> Imported {
        let plain = !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let missing = |reason: String| Imported::NotAvailable { reason };
        if !plain {
            return missing("only names below a search directory are looked up".to_owned());
        }
        if self.directories.is_empty() {
            return missing("no import search path was given".to_owned());
        }
        for directory in self.directories {
            let path = directory.join(name);
            if self.context.absolute(&path).is_file() {
                return match read_source(&path, self.context) {
                    Ok(source) => Imported::Found(source),
                    Err(failure) => missing(format!("{:#}", failure.error)),
                };
            }
        }
        missing("not in the import search path".to_owned())
    }
}

/// Shows why a profile is refused: excerpts on stderr, or one object on stdout.
pub(super) fn show_diagnostics(diagnostics: &Diagnostics, json: bool, context: &Context) -> CliResult {
    if json {
        let items: Vec<_> = diagnostics
            .items()
            .iter()
            .map(|item| {
                json!({
                    "file": item.source, "line": item.span.line, "column": item.span.column, "id": item.id,
                    "severity": item.severity, "message": item.message, "help": item.help,
                })
            })
            .collect();
        let error = json!({"error": {
            "message": diagnostics.to_string(), "causes": [], "hint": null, "exit_code": Exit::CannotAnswer.code(),
            "diagnostics": items,
        }});
        super::print_line(&document::to_pretty(&error))?;
    } else {
        eprintln!("{}", diagnostics.render(context.colour && context.stderr_is_terminal));
    }
    Ok(Exit::CannotAnswer)
}

/// Shows what the compiler noticed.
pub(super) fn warn(warnings: &Diagnostics, context: &Context) {
    if !warnings.is_empty() {
        eprintln!("{}\n", warnings.render(context.colour && context.stderr_is_terminal));
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
