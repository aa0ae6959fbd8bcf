//! A writer stopped at every step that changes the file system, and what readers must then say.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{
    BundleError, Checked, Identity, OpenBundle, Outcome, RunLock, SealedBundle, UnverifiedBundle, Verification, resolve,
};
use crate::base::ids::RunId;
use crate::base::rel_path::RelPath;
use crate::os::fs::fault_testing as fault;
use crate::os::lock::LockMode;

/// Every change of the file system a run makes, in order. Nothing before the batch is synced; the batch comes before
/// the index, the index before the pointer.
const ORDER: [&str; 20] = [
    "create directory ROOT",
    "create directory stopped",
    "write run_status.json",
    "rename run_status.json",
    "write summary.json",
    "rename summary.json",
    "create directory runtime_profiles",
    "write demo.sb",
    "rename demo.sb",
    "write run_status.json",
    "rename run_status.json",
    "sync batch in stopped",
    "write artifact_index.json",
    "sync artifact_index.json",
    "rename artifact_index.json",
    "sync directory artifact_index.json",
    "write LATEST",
    "sync LATEST",
    "rename LATEST",
    "sync directory LATEST",
];

fn write_run(root: &Path, run_id: &str) -> Result<SealedBundle, BundleError> {
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

fn read(path: &Path) -> Verification {
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
        let temp = tempfile::tempdir().unwrap();
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
            assert_eq!((refused, committed), (13, 6), "{at}");
            let root = temp.path().file_name().unwrap().to_str().unwrap();
            assert_eq!(passed, ORDER.map(|step| step.replace("ROOT", root)));
            return;
        }
    }
}
