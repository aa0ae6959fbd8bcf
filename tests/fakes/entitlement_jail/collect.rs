//! `run-matrix` and `bundle-evidence`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::{before_answer, envelope, fault, misuse, now_ms, print, rust_text, support};
use crate::flags::Flags;
use crate::xpc::{PROFILES, service_of};

pub(crate) fn matrix(args: &[String]) -> u8 {
    run_matrix(args).unwrap_or_else(|why| misuse(&why))
}

pub(crate) fn evidence(args: &[String]) -> u8 {
    bundle_evidence(args).unwrap_or_else(|why| misuse(&why))
}

/// The directory that is wiped and written to.
fn output(flags: &Flags, default: PathBuf) -> Result<PathBuf, String> {
    let out = flags.get("--out").map_or(default, PathBuf::from);
    let out = if fault("output-elsewhere") || fault("output-stale") { support().join("elsewhere") } else { out };
    if out == Path::new("/") || out.is_symlink() || out.is_file() {
        return Err(format!("will not wipe {}", out.display()));
    }
    if fault("no-output") || fault("output-stale") {
        return Ok(out);
    }
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out).map_err(|error| error.to_string())?;
    Ok(out)
}

fn write(out: &Path, name: &str, text: &str) -> Result<(), String> {
    if fault("no-output") || fault("output-stale") {
        return Ok(());
    }
    let path = out.join(name);
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, text)).map_err(|error| error.to_string())
}

fn run_matrix(args: &[String]) -> Result<u8, String> {
    let flags = Flags::read(args, &["--group", "--out", "--ack-risk"], &[])?;
    let group = flags.get("--group").ok_or("--group is required")?;
    let members: &[&str] = match group {
        "baseline" => &["minimal"],
        "debug" => &["minimal", "get-task-allow"],
        "inject" => &["minimal", "fully_injectable"],
        _ => return Err(format!("unknown group {group}")),
    };
    let (probe, probe_args) = flags.rest.split_first().ok_or("no probe")?;
    before_answer();
    let out = output(&flags, support().join("matrix").join(group).join("latest"))?;
    let (mut runs, mut skipped, mut table) = (Vec::new(), Vec::new(), String::new());
    table.push_str("profile_id\tbundle_id\texit_code\trc\tnormalized_outcome\tduration_ms\tnote");
    for &id in members {
        let (service, tier) =
            (service_of(id), PROFILES.iter().find(|(own, _)| *own == id).map_or(0, |(_, tier)| *tier));
        let acknowledged = flags.get("--ack-risk").is_some_and(|ack| ack == id || ack == service);
        if tier == 2 && !acknowledged {
            table.push_str(&format!("\n{id}\t{service}\t-\t-\t-\t-\tskipped: tier2_requires_ack"));
            skipped.push(
                json!({"profile_id": id, "bundle_id": service, "reason": "tier2_requires_ack", "risk_tier": tier,
                                "risk_reasons": []}),
            );
            continue;
        }
        let failed = fault("runs-fail");
        table.push_str(&format!("\n{id}\t{service}\t{}\t0\tok\t5\t-", u8::from(failed)));
        runs.push(json!({
            "profile_id": id, "bundle_id": service, "label": id, "risk_tier": tier, "risk_reasons": [],
            "exit_code": u8::from(failed), "duration_ms": 5, "rc": (!failed).then_some(0),
            "normalized_outcome": (!failed).then_some("ok"), "error": failed.then_some("connection interrupted"),
            "parse_error": failed.then_some("empty"), "response": null,
        }));
    }
    let result = json!({"ok": true, "rc": null, "exit_code": 0, "normalized_outcome": null, "errno": null, "error": null,
                        "stdout": null, "stderr": null});
    let report = envelope(
        "run_matrix_report",
        result,
        json!({"group_id": group, "probe_id": probe, "probe_argv": probe_args, "generated_at_unix_ms": now_ms(),
               "output_dir": out, "profiles": members, "runs": runs, "skipped": skipped}),
    );
    let text = rust_text(&report);
    write(&out, "run-matrix.json", &text)?;
    write(&out, "run-matrix.table.txt", &table)?;
    print(&text);
    Ok(0)
}

fn bundle_evidence(args: &[String]) -> Result<u8, String> {
    let flags = Flags::read(args, &["--out", "--ack-risk"], &["--include-health-check"])?;
    if let Some(stranger) = flags.rest.first() {
        return Err(format!("unknown argument {stranger}"));
    }
    before_answer();
    let out = output(&flags, support().join("evidence/latest"))?;
    let document = |what: &str| rust_text(&json!({"what": what}));
    for name in ["Evidence/manifest.json", "Evidence/symbols.json", "Evidence/profiles.json", "bundle_meta.json"] {
        write(&out, name, &document(name))?;
    }
    let verified = !fault("verify-fails");
    for name in ["verify-evidence.json", "list-profiles.json", "profiles/minimal.json"] {
        write(&out, name, &document(name))?;
    }
    if flags.has("--include-health-check") {
        write(&out, "health-check.json", &document("health"))?;
    }
    let acknowledged = flags.get("--ack-risk") == Some("fully_injectable");
    let skipped: Vec<Value> = if acknowledged {
        Vec::new()
    } else {
        vec![
            json!({"profile_id": "fully_injectable", "bundle_id": service_of("fully_injectable"), "reason": "tier2_requires_ack"}),
        ]
    };
    let exit = if verified { 0 } else { 3 };
    let report = envelope(
        "bundle_evidence_report",
        json!({"ok": verified, "rc": null, "exit_code": exit, "normalized_outcome": null, "errno": null, "error": null,
               "stdout": null, "stderr": null}),
        json!({"generated_at_unix_ms": now_ms(), "app_root": "/", "app_bundle_id": "com.yourteam.entitlement-jail",
               "output_dir": out, "args": args, "include_health_check": flags.has("--include-health-check"),
               "ack_risk": flags.get("--ack-risk").into_iter().collect::<Vec<_>>(), "verify_ok": verified, "health_ok": true,
               "profiles_included": ["minimal"], "profiles_skipped": skipped}),
    );
    print(&rust_text(&report));
    Ok(exit)
}
