//! What a bundle keeps of how launchd was dealt with: every command with its output, the domain, the wait, the failure.

use std::path::Path;

use serde_json::{Value, json};

use super::execute::Failure;
use super::job::{DomainPlan, JobPlan};
use super::record::Finished;

/// The document's name inside a run's directory.
pub const DIAGNOSTICS_FILE: &str = "launchctl/launchctl_diagnostics.json";

/// A command that was run.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// Part of its output files' names.
    pub name: String,
    /// The command line.
    pub argv: Vec<String>,
    /// Its exit status; `None` when it was ended or could not be started.
    pub rc: Option<i32>,
    /// Whether its time limit passed.
    pub timed_out: bool,
    /// Why it could not be started.
    pub error: Option<String>,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// The same on standard error.
    pub stderr: Vec<u8>,
}

impl Ran {
    fn record(&self, directory: &str, label: &str) -> Value {
        let path = |stream| format!("{directory}/launchctl/{}", self.file(label, stream));
        let mut record = json!({
            "argv": self.argv, "rc": self.rc, "stdout_path": path("stdout"), "stderr_path": path("stderr"),
        });
        if self.timed_out {
            record["timed_out"] = json!(true);
        }
        if let Some(error) = &self.error {
            record["error"] = json!(error);
        }
        record
    }

    fn file(&self, label: &str, stream: &str) -> String {
        format!("{label}.{}.{stream}.txt", self.name)
    }
}

/// Everything that is told about a job.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    /// The commands in the order in which they ran.
    pub commands: Vec<Ran>,
    /// The look into the log after a refused bootstrap.
    pub log_show: Option<Ran>,
    /// The domain that was chosen.
    pub domain: Option<DomainPlan>,
    /// How long was waited, in seconds, and how it ended.
    pub waited: Option<(f64, &'static str)>,
    /// The worker's completion record.
    pub completion: Option<Finished>,
    /// What could not be taken away: a job that launchd would not let go.
    pub left: Vec<String>,
    /// What the job printed: standard output and error.
    pub output: [Vec<u8>; 2],
    /// The property list as it was given to launchd.
    pub plist: Vec<u8>,
}

impl Diagnostics {
    /// `launchctl_diagnostics.json`. `directory` is the run's directory as documents record it.
    #[must_use]
    pub fn document(&self, plan: &JobPlan, directory: &str, failure: Option<&Failure>) -> Value {
        let record = |ran: &Ran| ran.record(directory, &plan.label);
        let domain = self.domain.as_ref();
        let mut document = json!({
            "label": plan.label,
            "run_id": plan.run_id,
            "domain": domain.map(|domain| &domain.domain),
            "domain_reason": domain.map(|domain| domain.reason),
            "session_types": domain.and_then(|domain| domain.session_types.as_ref()),
            "plist_path": format!("{directory}/launchctl/job.plist"),
            "launchctl_cmds": self.commands.iter().map(record).collect::<Vec<_>>(),
        });
        if let Some(shown) = &self.log_show {
            document["log_show"] = record(shown);
        }
        if let Some(Failure::Bootstrap { classification, rc, .. }) = failure {
            document["bootstrap_failure"] = json!({"classification": classification, "rc": rc});
        }
        document["stage_root"] = json!(plan.stage.root);
        document["wait"] = json!({
            "start_limit_s": plan.wait.start_limit_s, "limit_s": plan.wait.limit_s,
            "waited_s": self.waited.map(|(seconds, _)| seconds), "ended": self.waited.map(|(_, word)| word),
        });
        document["completion"] = json!(self.completion);
        document["failure"] = json!(failure.map(|failure| json!({
            "kind": failure.kind(), "message": failure.to_string(), "hint": failure.hint(),
        })));
        document["left_behind"] = json!(self.left);
        document["stand_in_tools"] = json!(plan.stand_in_tools.keys().collect::<Vec<_>>());
        document
    }

    /// The files beside the document: name inside the run's directory and content.
    #[must_use]
    pub fn files(&self, plan: &JobPlan) -> Vec<(String, Vec<u8>)> {
        let label = &plan.label;
        let mut files = Vec::new();
        for ran in self.commands.iter().chain(&self.log_show) {
            files.push((ran.file(label, "stdout"), ran.stdout.clone()));
            files.push((ran.file(label, "stderr"), ran.stderr.clone()));
        }
        for (path, bytes) in plan.output.iter().zip(&self.output) {
            let name = Path::file_name(path).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((name, bytes.clone()));
        }
        if !self.plist.is_empty() {
            files.push(("job.plist".to_owned(), self.plist.clone()));
        }
        let last = json!({"label": label, "run_id": plan.run_id, "stage_root": plan.stage.root});
        files.push(("launchctl_last_run.json".to_owned(), crate::base::json::to_pretty(&last).into_bytes()));
        files.into_iter().map(|(name, bytes)| (format!("launchctl/{name}"), bytes)).collect()
    }
}
