//! `sbpl explain` and its relatives.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use crate::base::json as document;
use crate::sbpl::{Answer, Diagnostics, ImportResolver, Imported, MAX_SOURCE_BYTES, Params, Policy, Query, Source};
use crate::vocab::RuleRef;

/// The `sbpl` commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Explain which rule decides an access
    Explain(ExplainArgs),
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
    /// Text appended to the profile; may be given several times
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
    if !known {
        lines.push("  note: the operation is not in the system's table".to_owned());
    }
    lines.join("\n")
}

fn place(rule: &RuleRef) -> String {
    format!("{rule}: {}", rule.text)
}

/// Reads and compiles the profile of a command.
fn compile(args: &ProfileArgs, context: &Context) -> Result<Result<Policy, Diagnostics>, Failure> {
    let mut sources = vec![read_source(&args.profile, context)?];
    for overlay in &args.overlay {
        sources.push(read_source(overlay, context)?);
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
fn show_diagnostics(diagnostics: &Diagnostics, json: bool, context: &Context) -> CliResult {
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
fn warn(warnings: &Diagnostics, context: &Context) {
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
