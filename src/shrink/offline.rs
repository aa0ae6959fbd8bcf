//! Learning from saved logs, on any system and without running anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::claim::claim;
use super::layout::{self, Layout, Phase};
use super::learn::{Learner, Scope};
use super::lint::lint_profile;
use super::provenance::Provenance;
use super::record::UNFINISHED;
use super::rule::{NetworkRules, Places};
use super::seed::Seed;
use super::session::{DenyScope, read_text};
use super::trace::STATUS_SCHEMA;
use super::{Completeness, ShrinkError, Verdict};
use crate::base::json as document;
use crate::base::text::counted;
use crate::denial::log::{self, Spelling};
use crate::os::fs::{exists, read_bounded};
use crate::sbpl::{NoImports, Source};
use crate::vocab::Platform;

/// What is learned from which logs.
#[derive(Debug, Clone)]
pub struct FromLog {
    /// Saved logs, in order.
    pub files: Vec<PathBuf>,
    /// Directory of the run.
    pub out: PathBuf,
    /// What stored paths are relative to.
    pub root: PathBuf,
    /// The profile to extend; made when it is not there.
    pub profile: Option<PathBuf>,
    /// What a new profile holds.
    pub seed: Seed<'static>,
    /// Whose refusals count.
    pub deny_scope: DenyScope,
    /// First processes of the scope; without one those that the log says were put into a sandbox.
    pub pids: Vec<i32>,
    /// Text of the `message` modifier that marks the run.
    pub tag: Option<String>,
    /// Text that begins the first and the last message of a whole log: `TEXT begin`, `TEXT end`.
    pub sentinel: Option<String>,
    /// What happens to network accesses.
    pub network_rules: NetworkRules,
    /// Directories that rules name by a parameter.
    pub work: Option<PathBuf>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Whether a log that may have lost something is no success.
    pub require_complete: bool,
    /// The host.
    pub world_id: String,
}

/// Learns; gives `run.json` as written and whether everything that was asked for succeeded. Nothing is written before every log was
/// read.
///
/// # Errors
/// [`ShrinkError`], among them [`ShrinkError::NoLog`].
pub fn learn_from_log(options: &FromLog) -> Result<(Value, bool), ShrinkError> {
    let read = options.files.iter().map(|file| read_log(file)).collect::<Result<Vec<_>, _>>()?;
    let _held = claim(&options.out)?;
    let layout = Layout::of(&options.out, &options.root)?;
    let working = options.profile.clone().unwrap_or_else(|| layout.trace_profile());
    let (text, provenance) = if exists(&working) {
        let known = layout::read_document(&layout.rules()).map(|own| Provenance::read(&own)).transpose();
        let path = layout.rules().display().to_string();
        let known = known.map_err(|reason| ShrinkError::Provenance { path, reason })?;
        (read_text(&working)?, known.unwrap_or_default())
    } else {
        (options.seed.text(), Provenance::default())
    };
    let places = Places::new(options.work.as_deref(), options.home.as_deref());
    let first_run = provenance.last_run();
    let mut learner = Learner::new(text, provenance, options.network_rules, places);
    let mut verdict = Completeness::unknown("a saved log does not say that nothing was lost");
    let mut foreign: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let mut logs = Vec::new();
    let mut metrics = String::new();
    let (mut denials, mut new_rules) = (0, 0);
    let mut all_whole = true;
    // Only macOS has the unified log; records are this system's own.
    let unified = read.iter().flat_map(|found| &found.entries).any(|entry| entry.spelling == Spelling::UnifiedLog);
    let system = Platform::of_this_build().filter(|_| !unified).unwrap_or(Platform::MacOs);
    for (index, (file, found)) in options.files.iter().zip(read).enumerate() {
        all_whole &= judge(&found, options.sentinel.as_deref(), file, &mut verdict);
        let scope = scope(options, &found);
        let selected = scope.select(found.entries);
        for (process, count) in selected.foreign {
            *foreign.entry(process).or_default() += count;
        }
        let run = first_run + u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let new = learner.learn(&selected.entries, run, "log");
        let refused = selected.entries.iter().filter(|entry| entry.denied).count();
        denials += refused;
        new_rules += new;
        let processes: BTreeSet<String> = selected.processes;
        logs.push(json!({
            "file": layout.stored(file), "denials": refused, "new_rules": new, "processes": processes,
            "unread": found.unread, "cut_off": found.cut_off,
        }));
        let line = json!({
            "iter": run, "return_code": Value::Null, "denies_seen": refused, "new_rules": new,
            "profile_lines": learner.text.matches('\n').count(), "mode": "log",
        });
        metrics.push_str(&(document::to_line(&line) + "\n"));
    }
    if options.sentinel.is_some() && all_whole && verdict.verdict != Verdict::Lossy {
        verdict = Completeness::observed("saved log, which is whole from its first sentinel to its last,");
    }
    let success = !options.require_complete || verdict.verdict == Verdict::Complete;
    let status = json!({
        "schema_version": STATUS_SCHEMA, "status": "from_log", "reason": "from_log", "iter": options.files.len(), "new_rules": new_rules, "denies_seen": denials,
        "completeness": verdict, "source": "log",
    });
    let record = json!({
        "schema_version": super::record::SCHEMA, "tool": {"name": "runtime", "version": env!("CARGO_PKG_VERSION")},
        "command": "trace", "world_id": options.world_id, "success": success, "error": Value::Null,
        "knobs": {
            "network_rules": options.network_rules, "deny_scope": options.deny_scope, "seed_dyld": u8::from(options.seed.loader),
            "import_dyld_support": u8::from(options.seed.import), "loader_set": options.seed.loader_set(),
        },
        "paths": {
            "run_dir": layout.stored(layout.out()),
            "profiles": {"trace": layout.stored(&layout.trace_profile()), "shrunk": Value::Null},
            "rules": layout.stored(&layout.rules()),
        },
        "trace": {
            "status": "from_log", "status_path": layout.stored(&layout.phase(Phase::Trace, "status.json")),
            "metrics_path": layout.stored(&layout.phase(Phase::Trace, "metrics.jsonl")),
            "iterations": options.files.len(), "profile_lines": learner.text.matches('\n').count(),
            "bad_rules": learner.bad.len(), "issue_dir": Value::Null, "completeness": verdict,
            "denies_seen": denials, "new_rules": new_rules, "foreign": foreign, "logs": logs,
        },
        "shrink": {"status": "skipped", "reason": "from_log"},
    });
    // The mark of the directory comes first; whoever kills this process finds a record that says so.
    let mut unfinished = record.clone();
    (unfinished["success"], unfinished["error"]) = (json!(false), json!(UNFINISHED));
    layout::write_sorted(&layout.path("run.json"), &unfinished)?;
    layout.make_directories()?;
    layout::write(&layout.trace_profile(), learner.text.as_bytes())?;
    if working != layout.trace_profile() {
        layout::write(&working, learner.text.as_bytes())?;
    }
    layout::write_sorted(&layout.rules(), &learner.provenance.document())?;
    let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let phase = |name: &str, text: &str| layout::write(&layout.phase(Phase::Trace, name), text.as_bytes());
    phase("metrics.jsonl", &metrics)?;
    phase("bad_rules.txt", &lines(&learner.bad))?;
    let params = Places::new(options.work.as_deref(), options.home.as_deref()).params();
    let lint = lint_profile(&Source::new("trace.sb", learner.text.as_str()), &params, &NoImports, system);
    phase("validation/lint.txt", &lines(&lint.lines()))?;
    layout::write_sorted(&layout.phase(Phase::Trace, "status.json"), &status)?;
    layout::write_record(&layout.path("run.json"), &record)?;
    Ok((record, success))
}

/// A saved log; a file in which nothing is known as part of one is refused.
fn read_log(file: &Path) -> Result<log::Log, ShrinkError> {
    let bytes = read_bounded(file, layout::MAX_BYTES)?;
    let found = log::read(&String::from_utf8_lossy(&bytes));
    if found.is_log {
        return Ok(found);
    }
    let reason = if bytes.is_empty() {
        "it is empty"
    } else if found.cut_off {
        "it ends within its first object"
    } else if std::str::from_utf8(&bytes).is_err() {
        "it is not text in UTF-8"
    } else {
        "it holds neither messages of the unified log nor lines of `sandbox run --denials`"
    };
    Err(ShrinkError::NoLog { path: file.display().to_string(), reason })
}

/// What speaks against having seen everything; true when both sentinels are there and nothing does.
fn judge(found: &log::Log, sentinel: Option<&str>, file: &Path, verdict: &mut Completeness) -> bool {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    for loss in &found.losses {
        verdict.lossy(&format!("{name}: {loss}"));
    }
    if !found.unread.is_empty() {
        let unread = counted(found.unread.len(), "message", "messages");
        verdict.lossy(&format!("{name}: {unread} about refusals could not be read"));
    }
    let Some(sentinel) = sentinel else { return false };
    let mut whole = found.losses.is_empty() && found.unread.is_empty();
    for end in ["begin", "end"] {
        let text = format!("{sentinel} {end}");
        if !found.messages.iter().any(|message| message.contains(&text)) {
            verdict.lossy(&format!("{name}: the sentinel `{text}` is missing"));
            whole = false;
        }
    }
    whole
}

fn scope(options: &FromLog, found: &log::Log) -> Scope {
    let given: BTreeSet<i32> = options.pids.iter().copied().collect();
    let roots = if given.is_empty() { found.applied.iter().copied().collect() } else { given };
    Scope {
        all: options.deny_scope == DenyScope::All,
        children: options.deny_scope == DenyScope::Tree,
        roots,
        tag: options.tag.clone(),
    }
}
