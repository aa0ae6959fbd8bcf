//! A writer, a repair and a removal stopped at every step that changes the file system, or told there that it failed, and what
//! readers must then say.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rustix::io::Errno;
use serde_json::Value;

use super::{
    BundleError, Checked, Identity, OpenBundle, Outcome, PruneRequest, ReindexRequest, RunLock, SealedBundle,
    UnverifiedBundle, Verification, prune_runs, reindex_bundle, resolve,
};
use crate::base::ids::RunId;
use crate::base::rel_path::RelPath;
use crate::os::fs::fault_testing as fault;
use crate::os::lock::LockMode;

/// Every change of the file system a run makes, in order. Nothing before the batch is synced; the index gets its name after
/// the batch, the pointer after the index.
const ORDER: [&str; 33] = [
    "create directory ROOT",
    "create the lock .runtime.lock",
    "write the holder to .runtime.lock",
    "create directory stopped",
    "create a temporary file beside run_status.json",
    "write run_status.json",
    "rename run_status.json",
    "create a temporary file beside summary.json",
    "write summary.json",
    "rename summary.json",
    "create directory runtime_profiles",
    "create a temporary file beside demo.sb",
    "write demo.sb",
    "rename demo.sb",
    "create a temporary file beside run_status.json",
    "write run_status.json",
    "rename run_status.json",
    "create a temporary file beside artifact_index.json",
    "write artifact_index.json",
    "create a temporary file beside LATEST",
    "write LATEST",
    "sync run_status.json",
    "sync summary.json",
    "sync demo.sb",
    "sync artifact_index.json",
    "sync LATEST",
    "sync directory runtime_profiles",
    "sync directory stopped",
    "sync directory ROOT",
    "rename artifact_index.json",
    "sync directory stopped",
    "rename LATEST",
    "sync directory ROOT",
];

/// A directory in memory where there is one: nothing here depends on a disk, and syncing one is most of the time.
pub(super) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) fn write_run(root: &Path, run_id: &str) -> Result<SealedBundle, BundleError> {
    let identity = Identity {
        run_id: RunId::try_from(run_id.to_owned()).unwrap(),
        world_id: "linux-demo".to_owned(),
        channel: "direct".to_owned(),
        plan_id: "demo".to_owned(),
        plan_digest: "0".repeat(64),
    };
    let lock = RunLock::acquire(root, LockMode::Fail, &|| false)?;
    let mut bundle = OpenBundle::create(lock, root, identity, UNIX_EPOCH)?;
    for name in ["summary.json", "runtime_profiles/demo.sb"] {
        bundle.write(&RelPath::try_from(name).unwrap(), b"{}")?;
    }
    bundle.seal(Outcome::Complete, &[], UNIX_EPOCH)
}

pub(super) fn read(path: &Path) -> Verification {
    UnverifiedBundle::read(resolve(path).unwrap()).verify(1)
}

fn latest(root: &Path) -> String {
    std::fs::read_to_string(root.join("LATEST")).unwrap()
}

#[test]
fn a_writer_stopped_anywhere_leaves_a_committed_bundle_or_one_refused_by_name() {
    let mut refused = 0;
    let mut committed = 0;
    for steps in 0.. {
        let temp = scratch();
        write_run(temp.path(), "before").unwrap();
        fault::stop_after(steps);
        let outcome = write_run(temp.path(), "stopped");
        let passed = fault::resume();
        let at = format!("stopped after {passed:?}");

        let run_dir = temp.path().join("stopped");
        let indexed = run_dir.join("artifact_index.json").exists();
        if run_dir.exists() {
            let verification = read(&run_dir);
            assert_eq!(verification.is_valid(), indexed, "{at}: {:?}", verification.findings);
            if indexed {
                committed += 1;
                assert!(matches!(verification.bundle, Checked::Verified(_)), "{at}");
            } else {
                refused += 1;
                let all: Vec<&str> = verification.findings.iter().map(|finding| finding.message.as_str()).collect();
                let all = all.join("; ");
                assert!(all.contains("run stopped was never committed"), "{at}: {all}");
                let status = std::fs::read_to_string(run_dir.join("run_status.json")).unwrap_or_default();
                let marked = status.contains("in_progress");
                assert_eq!(
                    all.contains("run stopped was never committed and its writer is gone"),
                    marked,
                    "{at}: {all}"
                );
            }
        }
        // The pointer names the previous run until the new one is committed, and only ever a valid one.
        assert!(latest(temp.path()) == "before\n" || (latest(temp.path()) == "stopped\n" && indexed), "{at}");
        assert!(read(temp.path()).is_valid(), "{at}");
        // Nobody is in the way of the next run.
        write_run(temp.path(), "after").unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(latest(temp.path()), "after\n");

        if let Ok(sealed) = outcome {
            assert_eq!(sealed.run_id.as_str(), "stopped");
            assert_eq!((refused, committed), (26, 4), "{at}");
            let root = temp.path().file_name().unwrap().to_str().unwrap();
            assert_eq!(passed, ORDER.map(|step| step.replace("ROOT", root)));
            return;
        }
    }
}

/// What makes a step fail.
#[derive(Debug, Clone, Copy)]
enum Failure {
    Kill,
    Error(Errno),
}

const FAILURES: [Failure; 5] = [
    Failure::Kill,
    Failure::Error(Errno::NOSPC),
    Failure::Error(Errno::IO),
    Failure::Error(Errno::ACCESS),
    Failure::Error(Errno::INTR),
];

/// Something that changes a bundle root.
struct Work {
    name: &'static str,
    /// Changes the root; says whether it was told that it failed.
    run: fn(&Path) -> bool,
    /// Whether the root is as after the whole work.
    done: fn(&Path) -> bool,
    /// Whether runs other than `victim` must be as they were, whatever happened.
    victim: &'static str,
}

fn repair(root: &Path) -> bool {
    let run = root.join("damaged");
    let request = ReindexRequest { bundle: &run, jobs: 1, lock_mode: LockMode::Fail, now: UNIX_EPOCH };
    reindex_bundle(request, &|| false).is_err()
}

fn prune(root: &Path) -> bool {
    let request = PruneRequest { root, keep: 2, abandoned: false, dry_run: false, lock_mode: LockMode::Fail };
    prune_runs(request, &|| false).is_err()
}

const WORKS: [Work; 3] = [
    Work {
        name: "run",
        run: |root| write_run(root, "new").is_err(),
        done: |root| latest(root) == "new\n",
        victim: "new",
    },
    Work { name: "repair", run: repair, done: |root| read(&root.join("damaged")).is_valid(), victim: "damaged" },
    Work { name: "removal", run: prune, done: |root| !root.join("a-old").exists(), victim: "a-old" },
];

/// A root with an old run, a damaged one and a good one.
fn root_of_three() -> tempfile::TempDir {
    let temp = scratch();
    for run_id in ["a-old", "damaged", "z-good"] {
        write_run(temp.path(), run_id).unwrap();
    }
    let dir = crate::os::fs::Dir::open(&temp.path().join("damaged")).unwrap();
    dir.write(&RelPath::try_from("summary.json").unwrap(), b"{ }").unwrap();
    temp
}

/// What stands under `root` when some work on `victim` failed half-way must be said by name, and disturb nobody.
fn judge(root: &Path, victim: &str, at: &str) -> &'static str {
    let named = latest(root);
    let named = root.join(named.trim());
    assert!(named.file_name().is_some_and(|name| name != "damaged"), "{at}: LATEST names {}", named.display());
    assert!(read(&named).is_valid(), "{at}: LATEST names a bundle that is not valid");
    for run in ["a-old", "z-good"].into_iter().filter(|run| *run != victim) {
        assert!(read(&root.join(run)).is_valid(), "{at}: {run} was harmed");
    }
    let run = root.join(victim);
    if !run.exists() {
        return "absent";
    }
    let verification = read(&run);
    if verification.is_valid() {
        return "valid";
    }
    let named = verification.findings.iter().any(|finding| !finding.message.is_empty());
    assert!(named && verification.findings.len() < 8, "{at}: {:?}", verification.findings);
    assert!(victim != "a-old", "{at}: a run is there or it is not: {:?}", verification.findings);
    "refused"
}

/// A run whose errors nobody is told about: what the table below must find.
fn run_in_silence(root: &Path) -> bool {
    let _ = write_run(root, "new");
    false
}

/// Whether a step failed, for good, of which nobody was told.
fn is_swallowed(failure: Failure, failed: Option<&'static str>, told: bool, done: bool) -> bool {
    match (failure, failed) {
        // A signal that arrives first is no failure.
        (Failure::Error(Errno::INTR), _) => told || !done,
        // What cannot be seen from outside counts too: a file that was not synced may be gone tomorrow.
        (_, Some(_)) => !told,
        (_, None) => told || !done,
    }
}

#[test]
fn whoever_hides_a_failure_is_found() {
    let mut hidden = Vec::new();
    for step in 0.. {
        let temp = root_of_three();
        fault::fail_after(step, Errno::IO);
        let told = run_in_silence(temp.path());
        let failed = fault::failed();
        fault::made();
        let Some(action) = failed else { break };
        let done = latest(temp.path()) == "new\n";
        assert!(is_swallowed(Failure::Error(Errno::IO), failed, told, done), "after {step}: {action}");
        // These leave the new run in place, as if nothing had happened.
        hidden.extend(done.then_some(action));
    }
    assert_eq!(hidden, ["sync directory"], "the pointer was moved, and may be gone tomorrow");
}

#[test]
fn whatever_fails_wherever_every_bundle_is_valid_or_refused_and_no_error_is_swallowed() {
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    let (mut points, mut syncs) = (0, 0);
    for work in &WORKS {
        for failure in FAILURES {
            for step in 0.. {
                let temp = root_of_three();
                let root = temp.path();
                match failure {
                    Failure::Kill => fault::stop_after(step),
                    Failure::Error(errno) => fault::fail_after(step, errno),
                }
                let told = (work.run)(root);
                let failed = fault::failed();
                let made = fault::resume();
                let at = format!("{} {failure:?} after {step} of {made:?}", work.name);
                let outcome = judge(root, work.victim, &at);
                let done = (work.done)(root);
                assert!(!is_swallowed(failure, failed, told, done), "{at}: {failed:?} was swallowed");
                // The next of its kind works.
                if !done {
                    assert!(!(work.run)(root) || work.name == "run", "{at}: it cannot be repeated");
                }
                write_run(root, "next").unwrap_or_else(|error| panic!("{at}: {error}"));
                assert_eq!(latest(root), "next\n", "{at}");
                let Some(failed) = failed else { break };
                syncs += usize::from(failed.starts_with("sync"));
                points += 1;
                *table.entry(format!("{:8} {:28} {outcome}", work.name, format!("{failure:?}"))).or_default() += 1;
            }
        }
    }
    println!("{points} points, {syncs} of them syncs\n{table:#?}");
    assert!(points > 250 && syncs > 80, "{points} {syncs}");
}

#[test]
fn a_repair_that_was_killed_is_in_no_history() {
    let repair = |run: &Path, at_s: u64| {
        let now = UNIX_EPOCH + std::time::Duration::from_secs(at_s);
        reindex_bundle(ReindexRequest { bundle: run, jobs: 1, lock_mode: LockMode::Fail, now }, &|| false)
    };
    let times = |run: &Path| -> Vec<f64> {
        let index: Value = serde_json::from_slice(&std::fs::read(run.join("artifact_index.json")).unwrap()).unwrap();
        let repairs = index["repairs"].as_array().unwrap();
        repairs.iter().map(|repair| repair["repaired_at_unix"].as_f64().unwrap()).collect()
    };
    let earlier_log =
        br#"{"schema_version": "runtime-tools.repair_log.v0.1", "repaired_at_unix": 1.0, "before": {}, "after": {}}"#;
    let mut left = 0;
    for (log, before) in [(None, vec![]), (Some(earlier_log), vec![1.0])] {
        for steps in 0.. {
            let temp = root_of_three();
            let run = temp.path().join("damaged");
            if let Some(log) = log {
                let dir = crate::os::fs::Dir::open(&run).unwrap();
                dir.write(&RelPath::try_from("repair_log.json").unwrap(), log).unwrap();
            }
            // Killed twice, then not.
            for at_s in [2, 3] {
                fault::stop_after(steps);
                let done = repair(&run, at_s).is_ok();
                fault::made();
                if done {
                    break;
                }
                left += usize::from(run.join("repair_log.json").exists() && log.is_none());
            }
            let committed = std::fs::read_to_string(run.join("artifact_index.json")).unwrap().contains("\"repairs\"");
            repair(&run, 4).unwrap();
            let expected = if committed { [&before[..], &[2.0]].concat() } else { [&before[..], &[4.0]].concat() };
            assert_eq!(times(&run), expected, "killed after {steps} steps");
            assert!(read(&run).is_valid());
            if committed {
                break;
            }
        }
    }
    assert!(left > 10, "a log without its index was left {left} times");
}
