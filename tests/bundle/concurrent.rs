//! Writers and readers in one root at the same time: no torn read, no lost run, one writer at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use runtime::base::ids::RunId;
use runtime::bundle::{Identity, OpenBundle, Outcome, RunLock, UnverifiedBundle, resolve};
use runtime::os::lock::LockMode;

use crate::support::validate;
use crate::writer::{fill, identity};

#[test]
fn readers_see_committed_runs_only_while_writers_queue() {
    const WRITERS: usize = 3;
    const RUNS: usize = 4;
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let write = |identity: Identity| {
        let mode = LockMode::Wait { timeout: Duration::from_secs(60) };
        let lock = RunLock::acquire(&root, mode, &|| false).unwrap();
        let mut bundle = OpenBundle::create(lock, temp.path(), identity, SystemTime::now()).unwrap();
        fill(&mut bundle);
        bundle.seal(Outcome::Complete, &[], SystemTime::now()).unwrap();
    };
    write(identity("first"));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..RUNS {
                        write(Identity { run_id: RunId::random(), ..identity("any") });
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let verification = UnverifiedBundle::read(resolve(&root).unwrap()).verify(1);
                    assert!(verification.is_valid(), "{:?}", verification.findings);
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(reads.load(Ordering::SeqCst) > 10);
    let runs: Vec<_> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()).collect();
    assert_eq!(runs.len(), 1 + WRITERS * RUNS);
    for run in &runs {
        assert_eq!(validate(run).0, 0, "{}", run.display());
    }
}
