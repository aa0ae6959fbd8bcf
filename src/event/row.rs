//! Rows of `runtime_results.json`. `SPEC.md` section "Results".

use serde::Serialize;
use serde_json::Value;

use crate::denial::DecisionRecord;
use crate::vocab::driver::PROCESS_INHERITANCE;
use crate::vocab::{Asked, Decision, FailureKind, FailureStage};

use super::alias::LinkMet;
use super::callout::Applied;
use super::filter::FilterChoice;
use super::observation::ListenerRecord;

/// Schema tag stamped into each profile entry. v0.1: first form.
pub const RESULTS_SCHEMA: &str = "runtime-tools.runtime_results.v0.1";

/// Name of the document.
pub(super) const RESULTS_DOCUMENT: &str = "runtime_results.json";

/// In an intended target of a signal: the process that signals.
pub const SELF_PROCESS: &str = "process self";
/// In an intended target of a signal: the process that the probe made for it.
pub const MADE_PROCESS: &str = "process made";

/// What a row takes from the compiled plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFacts {
    /// Profile the probe runs under.
    pub profile_id: String,
    /// Probe name, unique within the profile.
    pub name: String,
    /// Identity of the expected decision.
    pub expectation_id: String,
    /// Operation as the plan writes it (may be a wildcard).
    pub operation: String,
    /// The driver that the plan asks for by name.
    pub driver: Option<String>,
    /// The call that the plan asks for by name.
    pub syscall: Option<String>,
    /// Which attributes a call on metadata is about.
    pub attr_payload: Option<String>,
    /// The concrete operation the driver performs; `None` when there is no driver here.
    pub performed: Option<String>,
    /// Target as the plan writes it, parameters not replaced.
    pub target: String,
    /// Target with parameters replaced, as the worker got it.
    pub resolved_target: String,
    /// The object that target names, as records name it: a canonical path with `/proc/self` kept, an address, a name, or
    /// `process` with [`SELF_PROCESS`], [`MADE_PROCESS`] or a number. Empty: it leads nowhere; `None`: there is no object.
    pub intended_target: Option<String>,
    /// Symbolic links on the way to that object.
    pub links_met: Vec<LinkMet>,
    /// Expected decision.
    pub expected: Decision,
    /// Additive keys of the probe carried through.
    pub anchor_ctx_id: Option<String>,
    /// Which filter of the operation the target is an argument of, and who says so.
    pub filter: Option<FilterChoice>,
}

impl ProbeFacts {
    /// What the plan says about how it is performed.
    #[must_use]
    pub fn asked(&self) -> Asked<'_> {
        Asked {
            driver: self.driver.as_deref(),
            syscall: self.syscall.as_deref(),
            payload: self.attr_payload.as_deref(),
        }
    }

    /// Whether a process that the probe starts is to do the work.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.performed.is_some() && self.driver.as_deref() == Some(PROCESS_INHERITANCE)
    }
}

/// One profile's entry in `runtime_results.json`.
#[derive(Debug, Clone, Serialize)]
pub struct ProfileResults {
    /// `ok`, `partial` or `blocked`.
    pub status: &'static str,
    /// The applied text, inside the bundle.
    pub profile_path: String,
    /// The profile as the registry names it.
    pub base_profile_path: String,
    /// Static preflight record; null when none was made.
    pub preflight: Option<Value>,
    /// One row per probe, in plan order.
    pub probes: Vec<ResultRow>,
    /// Why the status is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// [`RESULTS_SCHEMA`].
    pub schema_version: &'static str,
    /// Run the rows belong to.
    pub run_id: String,
    /// SHA-256 of the profile file as written.
    pub base_profile_sha256: String,
    /// SHA-256 of the text that was applied, overlays and appended rules included.
    pub applied_profile_sha256: String,
    /// Names of overlays added to the profile; empty when applied as written.
    pub overlays: Vec<String>,
}

/// One probe's row.
#[derive(Debug, Clone, Serialize)]
pub struct ResultRow {
    /// Probe name.
    pub name: String,
    /// Identity of the expectation.
    pub expectation_id: String,
    /// Carried from the probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_ctx_id: Option<String>,
    /// Operation as the plan writes it.
    pub operation: String,
    /// Target as the plan writes it.
    pub path: String,
    /// Expected decision.
    pub expected: Decision,
    /// Observed decision; null when not observed.
    pub actual: Option<Decision>,
    /// Whether expected and observed agree; null when not observed.
    #[serde(rename = "match")]
    pub matches: Option<bool>,
    /// The structured result.
    pub runtime_result: RuntimeResult,
    /// `EPERM` when the operation or the apply was refused with that errno.
    pub violation_summary: Option<&'static str>,
    /// Command line of the worker.
    pub command: Vec<String>,
    /// Exit status of the probe's process; null when it did not exit by itself.
    pub exit_code: Option<i32>,
    /// Always empty: workers report on a private descriptor.
    pub stdout: String,
    /// Diagnosis of the worker, bounded.
    pub stderr: String,
    /// What the driver reported.
    pub probe_details: Option<Value>,
    /// Start, seconds since 1970-01-01T00:00:00Z.
    pub cmd_started_at_unix_s: f64,
    /// End.
    pub cmd_finished_at_unix_s: f64,
    /// Duration by the monotonic clock.
    pub cmd_duration_s: f64,
    /// Why the row has no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Stable word for `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// Who said so: `linux_supervisor` when `actual` comes from a decision record, else one of [`super::seatbelt`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_source: Option<&'static str>,
    /// Target as the worker got it.
    pub resolved_target: String,
    /// Concrete operation performed.
    pub performed_operation: Option<String>,
    /// Name of the errno on the system it ran on.
    pub errno_name: Option<String>,
    /// Whether the receiving end saw the effect: a connection, a signal; null where nobody looks.
    pub effect_seen: Option<bool>,
    /// What the run's own listener saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<ListenerRecord>,
    /// Signal that ended the probe's process.
    pub signal: Option<i32>,
    /// Whether the time limit passed.
    pub timeout: bool,
    /// Set when the profile could not be evaluated for this access; deny was applied, the row counts as not observed.
    pub undecided: Option<String>,
    /// Why `actual` is null although the probe ran.
    pub not_observed: Option<String>,
    /// Every decision of the enforcement layer during this execution.
    pub decision_records: Vec<DecisionRecord>,
    /// Which of them, from 0, is about this row's own call; null when none is.
    pub own_record: Option<usize>,
    /// Decisions that were not kept.
    pub decision_records_dropped: u64,
    /// Symbolic links on the way to the target, in the order they were met.
    pub links_met: Vec<LinkMet>,
    /// What an observer outside the sandbox saw of this execution; only when one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observer: Option<Value>,
}

/// The structured result of one row.
#[derive(Debug, Clone, Serialize)]
pub struct RuntimeResult {
    /// `success`, `errno` or `blocked`.
    pub status: &'static str,
    /// The operation's real errno; null on success and when it did not run.
    pub errno: Option<i32>,
    /// 1.
    pub runtime_result_schema_version: u32,
    /// 2.
    pub tool_marker_schema_version: u32,
    /// Where it failed.
    pub failure_stage: Option<FailureStage>,
    /// How it failed.
    pub failure_kind: Option<FailureKind>,
    /// How the policy was applied; null when it was not.
    pub apply_report: Option<ApplyReport>,
    /// What performed the operation.
    pub runner_info: Option<RunnerInfo>,
    /// Call-outs of the macOS oracle; null on other systems.
    pub seatbelt_callouts: Option<Value>,
    /// True only when a record proves that the intended operation on the intended target was decided.
    pub intended_op_witnessed: Option<bool>,
    /// What the macOS oracle was to be asked; null on other systems.
    pub sandbox_check_request: Option<Value>,
    /// What the worker inherited.
    pub resource_hygiene: Value,
}

/// How a policy was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApplyReport {
    /// `linux_supervisor`, or the function that macOS applied it by.
    pub api: String,
    /// 0 when applied.
    pub rc: i32,
    /// 0 when applied.
    pub errno: i32,
    /// Message of a failed apply.
    pub errbuf: Option<String>,
    /// `ok`, `already_sandboxed`, `errno_eperm`, `errno_eacces`, `errno_other` or `unknown`.
    pub err_class: &'static str,
    /// `none`, `errbuf_regex`, `errno_only` or `errbuf_present`.
    pub err_class_source: &'static str,
}

impl Applied {
    /// The report with the class of the outcome.
    #[must_use]
    pub fn report(&self) -> ApplyReport {
        let (err_class, err_class_source) = self.class();
        ApplyReport {
            api: self.api.clone(),
            rc: self.rc,
            errno: self.errno,
            errbuf: self.errbuf.clone(),
            err_class,
            err_class_source,
        }
    }

    /// How a failed apply is called.
    #[must_use]
    pub fn failure_kind(&self) -> FailureKind {
        match (self.class().0, self.api.as_str()) {
            ("already_sandboxed", _) => FailureKind::ApplyAlreadySandboxed,
            (_, "sandbox_init" | "sandbox_init_with_parameters") => FailureKind::SandboxInitFailed,
            (_, "sandbox_apply") => FailureKind::SandboxApplyFailed,
            _ => FailureKind::ApplyFailed,
        }
    }

    fn class(&self) -> (&'static str, &'static str) {
        apply_class(
            &self.api,
            Some(self.rc.into()),
            Some(self.errno.into()),
            self.errbuf.as_deref().unwrap_or_default(),
        )
    }
}

/// The class of an apply's outcome; the same rule that the earlier tools used.
pub(super) fn apply_class(api: &str, rc: Option<i64>, errno: Option<i64>, text: &str) -> (&'static str, &'static str) {
    let lower = text.to_lowercase();
    if rc == Some(0) {
        return ("ok", "none");
    }
    if api.starts_with("sandbox_init") && lower.contains("already") && lower.contains("sandbox") {
        return ("already_sandboxed", "errbuf_regex");
    }
    match errno {
        Some(1) => ("errno_eperm", "errno_only"),
        Some(13) => ("errno_eacces", "errno_only"),
        Some(errno) if errno != 0 => ("errno_other", "errno_only"),
        _ if !text.is_empty() => ("unknown", "errbuf_present"),
        _ => ("unknown", "none"),
    }
}

/// The program that performed the operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunnerInfo {
    /// `runtime_worker`.
    pub entrypoint: &'static str,
    /// `self_apply`: the policy is entered by the very process that performs the operation.
    pub apply_model: &'static str,
    /// `pre_syscall`.
    pub apply_timing: &'static str,
    /// Whether the process seemed sandboxed before.
    pub preexisting_sandbox_suspected: bool,
    /// The worker's executable.
    pub entrypoint_path: String,
    /// Its digest.
    pub entrypoint_sha256: String,
    /// The same digest.
    pub tool_build_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_apply_is_classed_and_named_by_its_interface() {
        for (api, rc, errno, text, class, kind) in [
            ("sandbox_init", 0, 0, None, "ok", None),
            ("sandbox_init", -1, 1, None, "errno_eperm", Some(FailureKind::SandboxInitFailed)),
            (
                "sandbox_init_with_parameters",
                -1,
                22,
                Some("the process is Already in a Sandbox"),
                "already_sandboxed",
                Some(FailureKind::ApplyAlreadySandboxed),
            ),
            ("sandbox_apply", -1, 13, None, "errno_eacces", Some(FailureKind::SandboxApplyFailed)),
            (
                "sandbox_apply",
                -1,
                22,
                Some("already in a sandbox"),
                "errno_other",
                Some(FailureKind::SandboxApplyFailed),
            ),
            ("sandbox_compile_string", -1, 0, Some("line 1: unbound"), "unknown", Some(FailureKind::ApplyFailed)),
        ] {
            let applied = Applied { api: api.into(), rc, errno, errbuf: text.map(str::to_owned) };
            assert_eq!(applied.report().err_class, class, "{applied:?}");
            if let Some(kind) = kind {
                assert_eq!(applied.failure_kind(), kind, "{applied:?}");
            }
        }
    }
}
