//! `validate-bundle`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::{print_line, printable};
use crate::base::json as document;
use crate::bundle::{Checked, ResolveError, UnverifiedBundle, Verification, resolve};
use crate::vocab::{Finding, Severity};

// Arguments of `validate-bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime validate-bundle --bundle out
  runtime validate-bundle --bundle out/358378bd-74f8-4fad-9b2d-b418f7682f85 --json

Exit status: 0 the bundle is what its index says, 1 it is not (every problem is listed), 2 usage, 3 the path \
cannot be read. A directory without a run's documents is a run that was never committed; one with \
such runs is a bundle root without a committed run.")]
pub(crate) struct Args {
    /// A bundle root (its LATEST is followed) or one run's directory
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    Answer::find(&context.absolute(&args.bundle), &args.bundle, args.jobs)?.say(json)
}

/// What is printed.
pub(super) struct Answer {
    pub(super) ok: bool,
    bundle_dir: String,
    run_id: Option<String>,
    index_sha256: Option<String>,
    counts: Option<(usize, u64)>,
    pub(super) findings: Vec<Finding>,
}

impl Answer {
    /// Checks the bundle at `path`, which the user called `given`.
    pub(super) fn find(path: &Path, given: &Path, jobs: usize) -> Result<Self, ResolveError> {
        match resolve(path) {
            Ok(resolved) => {
                let verification = UnverifiedBundle::read(resolved).verify(jobs);
                let answer = Self::of(&verification);
                // The process ends after this: freeing what a large index became would take a fiftieth of the command.
                std::mem::forget(verification);
                Ok(answer)
            }
            Err(error) => Self::unresolved(given, error),
        }
    }

    /// Prints the answer and gives the exit status.
    pub(super) fn say(&self, json: bool) -> CliResult {
        if json {
            print_line(&document::to_pretty(&self.document()))?;
        } else {
            if self.ok {
                print_line("[+] bundle ok")?;
            }
            self.print_details()?;
        }
        Ok(if self.ok { Exit::Yes } else { Exit::No })
    }

    pub(super) fn of(verification: &Verification) -> Self {
        let documents = match &verification.bundle {
            Checked::Verified(bundle) => bundle.documents(),
            Checked::Refused(bundle) => bundle,
        };
        Self {
            ok: verification.is_valid(),
            bundle_dir: documents.run_dir().to_string_lossy().into_owned(),
            run_id: Some(documents.run_id().to_owned()),
            index_sha256: verification.verified().map(|bundle| bundle.index_sha256().to_string()),
            counts: Some((verification.artifact_count, verification.hashed_bytes)),
            findings: verification.findings.clone(),
        }
    }

    /// A pointer that leads nowhere is an invalid bundle; a path that cannot be read is no answer.
    pub(super) fn unresolved(path: &Path, error: ResolveError) -> Result<Self, ResolveError> {
        let Some(finding) = error.finding() else { return Err(error) };
        let bundle_dir = path.to_string_lossy().into_owned();
        Ok(Self { ok: false, bundle_dir, run_id: None, index_sha256: None, counts: None, findings: vec![finding] })
    }

    pub(super) fn document(&self) -> Value {
        let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error);
        json!({
            "ok": self.ok,
            "errors": errors.map(|finding| finding.message.as_str()).collect::<Vec<_>>(),
            "findings": self.findings,
            "bundle_dir": self.bundle_dir,
            "run_id": self.run_id,
            "artifact_count": self.counts.map(|(artifacts, _)| artifacts),
            "hashed_bytes": self.counts.map(|(_, bytes)| bytes),
            "artifact_index_sha256": self.index_sha256,
        })
    }

    /// The findings, and what was checked.
    pub(super) fn print_details(&self) -> Result<(), Failure> {
        print_findings(&self.findings)?;
        if let (Some(run_id), Some((artifacts, bytes))) = (&self.run_id, self.counts) {
            print_line(&format!("    run {run_id}: {artifacts} artifacts, {bytes} bytes hashed"))?;
        }
        match &self.index_sha256 {
            Some(digest) => print_line(&format!("    artifact_index.json {digest}")),
            None => Ok(()),
        }
    }
}

/// One line per finding.
pub(super) fn print_findings(findings: &[Finding]) -> Result<(), Failure> {
    for Finding { id, severity, file, message, .. } in findings {
        let mark = match severity {
            Severity::Error => "[!]",
            Severity::Warning => "[~]",
            Severity::Note => "[ ]",
        };
        let about = if message.contains(file.as_str()) { String::new() } else { format!("{file}: ") };
        print_line(&printable(&format!("{mark} {about}{message} [{id}]")))?;
    }
    Ok(())
}
