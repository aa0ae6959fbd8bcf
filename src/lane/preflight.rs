//! The apply preflight: one profile applied once before the run, to show that applying works at all.

use serde_json::{Value, json};

use crate::base::cancel::Cancel;
use crate::event::{APPLY_API, ProbeFacts};
use crate::fixture::{FixtureDir, FixtureSet};
use crate::host::Host;
use crate::sbpl::Source;
use crate::vocab::{Decision, FailureStage};

use super::execute::{Execution, Workers, execute};

/// Schema tag of the record. v0.1: first form.
const SCHEMA: &str = "runtime-tools.apply_preflight.v0.1";

/// What said whether this process is in a sandbox: see [`crate::sandbox::self_check`].
const SELF_CHECK: &str = if cfg!(target_os = "macos") { "sandbox_check" } else { "proc_status" };

/// Applies the profile `text` in a worker that then performs one harmless operation, and records how that went.
///
/// Whether the operation was allowed does not matter; whether the profile could be applied does.
#[must_use]
pub fn apply_preflight(
    text: &str,
    stored_path: &str,
    run_id: &str,
    already_sandboxed: Option<bool>,
    fixture_dir: Result<FixtureDir, String>,
    host: &Host,
    cancel: &Cancel,
) -> Value {
    let sources = [Source::new(stored_path, text)];
    let probe = ProbeFacts {
        profile_id: "apply_preflight_profile".to_owned(),
        name: "apply".to_owned(),
        expectation_id: "apply".to_owned(),
        operation: "process-fork".to_owned(),
        driver: None,
        syscall: None,
        attr_payload: None,
        performed: Some("process-fork".to_owned()),
        target: "self".to_owned(),
        resolved_target: "self".to_owned(),
        intended_target: None,
        expected: Decision::Allow,
        anchor_ctx_id: None,
        links_met: Vec::new(),
        filter: None,
    };
    let self_check = match already_sandboxed {
        Some(already) => json!({"source": SELF_CHECK, "rc": i32::from(already), "sandboxed": already}),
        None => json!({"source": SELF_CHECK, "error": "the system does not say whether this process is in a sandbox"}),
    };
    let mut record = json!({
        "world_id": host.world_id, "run_id": run_id, "profile": stored_path,
        "runner": host.worker_exe.display().to_string(), "sandbox_check_self": self_check,
    });
    let outcome = match fixture_dir {
        Err(error) => json!({"status": "error", "error": error}),
        Ok(fixture_dir) => {
            let fixtures = FixtureSet::empty();
            let what = Execution {
                probe: &probe,
                sources: Some(&sources),
                compiled: false,
                fixtures: &fixtures,
                fixture_dir: &fixture_dir,
            };
            let (_, seen, report) = execute(&what, &mut Workers::default(), host, cancel);
            let applied = report.is_some();
            let fault = seen.fault.as_ref();
            let apply_failed = fault.is_some_and(|fault| fault.stage == FailureStage::Apply);
            let apply_report = match &seen.applied {
                Some(applied) => json!(applied.report()),
                None => json!({
                    "api": APPLY_API, "rc": if applied { 0 } else { -1 }, "errno": 0,
                    "errbuf": fault.map(|fault| fault.message.clone()),
                    "err_class": if applied { "ok" } else { "unknown" },
                    "err_class_source": if applied { "none" } else { "errbuf_present" },
                }),
            };
            json!({
                "status": if applied { "ok" } else { "error" },
                "error": fault.map(|fault| fault.message.clone()),
                "command": seen.command, "exit_code": seen.exit_status, "stdout": "", "stderr": seen.stderr,
                "apply_report": apply_report,
                "apply_marker_pid": null,
                "apply_ok": applied,
                "failure_stage": apply_failed.then_some("apply"),
            })
        }
    };
    let fields = record.as_object_mut().expect("the record is written as an object above");
    fields.extend(outcome.as_object().cloned().unwrap_or_default());
    fields.insert("schema_version".to_owned(), json!(SCHEMA));
    record
}
