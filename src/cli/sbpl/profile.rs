//! Profiles of the command line: files, parameters, overlays, imports, and how their problems are shown.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::error_chain;
use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit, Failure};
use crate::cli::{note_as_is, print_line};
use crate::os::fs::{self, FsError};
use crate::sandbox::overlay::{SHIPPED, shipped};
use crate::sbpl::{self, Diagnostics, ImportResolver, Imported, MAX_SOURCE_BYTES, Params, Policy, Source};
use crate::vocab::{Finding, Platform, Severity};

// The profile a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    /// Profile to read
    #[arg(long, value_name = "FILE")]
    pub profile: PathBuf,
    /// Value of (param "KEY")
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    pub define: Vec<(String, String)>,
    /// Text appended to the profile; may be given several times. A bare name of a shipped overlay means that one
    #[arg(long, value_name = "FILE")]
    pub overlay: Vec<PathBuf>,
    /// Directory in which (import "name") is looked up; may be given several times
    #[arg(long, value_name = "DIR")]
    pub import_dir: Vec<PathBuf>,
}

// The system that linted profiles are for.
#[derive(Debug, clap::Args)]
pub(crate) struct SystemArgs {
    /// The system the profiles are for: lints about macOS alone (link-in-path, data-volume-path) are left out for Linux
    #[arg(long, value_enum, value_name = "SYSTEM", default_value_t = System::Macos)]
    system: System,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum System {
    Macos,
    Linux,
}

impl SystemArgs {
    /// The same in the words of the library.
    pub(crate) fn platform(&self) -> Platform {
        match self.system {
            System::Macos => Platform::MacOs,
            System::Linux => Platform::Linux,
        }
    }
}

/// Reads and compiles the profile of a command.
pub(crate) fn compile(args: &ProfileArgs, context: &Context) -> Result<Result<Policy, Diagnostics>, Failure> {
    let (sources, params) = texts(args, context)?;
    Ok(Policy::compile(&sources, &params, &SearchPath::new(&args.import_dir, context)))
}

/// The profile and its overlays as texts, and the values of parameters.
pub(crate) fn texts(args: &ProfileArgs, context: &Context) -> Result<(Vec<Source>, Params), Failure> {
    let mut sources = vec![read_source(&args.profile, context)?];
    for overlay in &args.overlay {
        sources.push(read_overlay(overlay, context).map_err(|error| Failure::from(error).hint(shipped_names()))?);
    }
    Ok((sources, params(&args.define)?))
}

/// The values of parameters.
///
/// # Errors
/// Wrong usage: two values for one.
pub(crate) fn params(define: &[(String, String)]) -> Result<Params, Failure> {
    let mut params = Params::new();
    for (key, value) in define {
        if params.insert(key.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("-D gives the parameter {key:?} more than one value")));
        }
    }
    Ok(params)
}

/// An overlay: the shipped one of this name, else the file.
pub(super) fn read_overlay(path: &Path, context: &Context) -> Result<Source, SourceError> {
    match path.to_str().and_then(shipped) {
        Some(shipped) => Ok(Source::new(shipped.name, shipped.text)),
        None => read_text("overlay", path, context),
    }
}

/// What to say when there is no such overlay.
pub(super) fn shipped_names() -> String {
    let names: Vec<&str> = SHIPPED.iter().map(|overlay| overlay.name).collect();
    format!("shipped overlays, by their bare names: {}", names.join(", "))
}

/// Why there is no text of a profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The system refused, or it is too long.
    #[error("cannot read the {what} {name}")]
    Read {
        /// What it is: a profile, an overlay.
        what: &'static str,
        /// The file as it was named.
        name: String,
        /// The cause.
        source: FsError,
    },
    /// It is no text: line and column of the first byte that is not UTF-8, from 1.
    #[error("{name}:{line}:{column}: invalid UTF-8; profiles are text")]
    NotText {
        /// The file as it was named.
        name: String,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
}

impl SourceError {
    /// The same as a finding, for a lint that goes on with other profiles.
    pub(crate) fn finding(&self) -> Finding {
        match self {
            Self::Read { name, source, .. } => {
                let message = format!("cannot be read: {}", error_chain(source));
                Finding::new("unreadable-file", Severity::Error, name, message)
            }
            Self::NotText { name, line, column } => {
                let message = "the profile is not text: its bytes are not UTF-8 from here on";
                Finding::new("profile-not-text", Severity::Error, name, message).at_position(*line, *column)
            }
        }
    }
}

/// Reads one text of bounded size.
pub(crate) fn read_source(path: &Path, context: &Context) -> Result<Source, SourceError> {
    read_text("profile", path, context)
}

/// The same; `what` it is stands in errors.
fn read_text(what: &'static str, path: &Path, context: &Context) -> Result<Source, SourceError> {
    let name = path.display().to_string();
    let bytes = match fs::read_bounded(&context.absolute(path), MAX_SOURCE_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(source) => return Err(SourceError::Read { what, name, source }),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            let last = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
            let column = 1 + String::from_utf8_lossy(last).chars().count();
            Err(SourceError::NotText { name, line, column })
        }
    }
}

/// Imports from directories, first match wins. A name is one path component or a relative path below the directory.
pub(crate) struct SearchPath<'a> {
    directories: &'a [PathBuf],
    context: &'a Context,
    /// Files handed out and their texts, each once: for showing what is found in them, and for saying what was read.
    found: RefCell<Vec<(PathBuf, Source)>>,
}

impl<'a> SearchPath<'a> {
    pub(crate) fn new(directories: &'a [PathBuf], context: &'a Context) -> Self {
        Self { directories, context, found: RefCell::default() }
    }

    /// The files handed out so far and their texts, each once.
    pub(crate) fn into_found(self) -> Vec<(PathBuf, Source)> {
        self.found.into_inner()
    }
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
                    Ok(source) => {
                        let found = (path, source);
                        let mut known = self.found.borrow_mut();
                        if !known.contains(&found) {
                            known.push(found.clone());
                        }
                        Imported::Found(found.1)
                    }
                    Err(error) => missing(error_chain(&error)),
                };
            }
        }
        missing("not in the import search path".to_owned())
    }
}

/// Shows why a profile is refused: excerpts on stderr, or one object on stdout.
pub(crate) fn show_diagnostics(diagnostics: &Diagnostics, json: bool, context: &Context) -> CliResult {
    refuse(diagnostics, Exit::CannotAnswer, json, context)
}

/// The same for a command that ends with another status then.
pub(crate) fn refuse(diagnostics: &Diagnostics, exit: Exit, json: bool, context: &Context) -> CliResult {
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
            "message": diagnostics.to_string(), "causes": [], "hint": null, "exit_code": exit.code(),
            "diagnostics": items,
        }});
        print_line(&document::to_pretty(&error))?;
    } else {
        note_as_is(&diagnostics.render(context.colour && context.stderr_is_terminal));
    }
    Ok(exit)
}

/// Shows what the compiler noticed.
pub(crate) fn warn(warnings: &Diagnostics, context: &Context) {
    if !warnings.is_empty() {
        note_as_is(&(warnings.render(context.colour && context.stderr_is_terminal) + "\n"));
    }
}

/// The same of a profile that is about to be enforced, and rules about operations that nobody knows: they protect nothing, and
/// nothing else would say so.
pub(crate) fn warn_of_enforced<'t>(
    policy: &Policy,
    texts: impl Iterator<Item = &'t Source> + Clone,
    context: &Context,
) {
    let colour = context.colour && context.stderr_is_terminal;
    let mut parts = Vec::new();
    if !policy.warnings().is_empty() {
        parts.push(policy.warnings().render(colour));
    }
    for finding in sbpl::unknown_operations(policy) {
        let text = texts.clone().find(|source| source.name == finding.file).map_or("", |source| &source.text);
        parts.push(sbpl::render_finding(&finding, text, colour));
    }
    if !parts.is_empty() {
        note_as_is(&(parts.join("\n\n") + "\n"));
    }
}

pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
