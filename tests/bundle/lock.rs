//! The lock of a bundle root: modes, messages, and what happens when somebody unlinks the file.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use runtime::bundle::{BundleError, RunLock};
use runtime::os::lock::{FileLock, LockError, LockMode};

const WAIT_2S: LockMode = LockMode::Wait { timeout: Duration::from_secs(2) };

#[test]
fn a_held_lock_refuses_at_once_and_names_the_holder() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    let held = RunLock::acquire(&root, LockMode::Fail, &|| false).unwrap();
    let refused = RunLock::acquire(&root, LockMode::Fail, &|| false).unwrap_err();
    let BundleError::Lock(error @ LockError::Held { .. }) = refused else { panic!("{refused:?}") };
    let expected = format!(".runtime.lock is held by process {}", std::process::id());
    assert!(error.to_string().ends_with(&expected), "{error}");
    drop(held);
    // Released, and the file stays with the last holder's pid.
    assert_eq!(std::fs::read_to_string(root.join(".runtime.lock")).unwrap(), format!("pid={}\n", std::process::id()));
    RunLock::acquire(&root, LockMode::Fail, &|| false).unwrap();
}

#[test]
fn a_waiter_gets_the_lock_when_it_is_released() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("lock");
    let held = FileLock::acquire(&path, LockMode::Fail, &|| false).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let started = Instant::now();
            FileLock::acquire(&path, WAIT_2S, &|| false).map(|_| started.elapsed())
        });
        std::thread::sleep(Duration::from_millis(200));
        held.release();
        let waited = waiter.join().unwrap().unwrap();
        assert!(waited >= Duration::from_millis(150) && waited < Duration::from_secs(2), "{waited:?}");
    });
}

#[test]
fn a_wait_ends_by_time_or_by_the_caller() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("lock");
    let _held = FileLock::acquire(&path, LockMode::Fail, &|| false).unwrap();
    let started = Instant::now();
    let mode = LockMode::Wait { timeout: Duration::from_millis(120) };
    let refused = FileLock::acquire(&path, mode, &|| false).unwrap_err();
    assert!(
        matches!(refused, LockError::TimedOut { holder_pid: Some(pid), waited_ms: 120.., .. } if pid == std::process::id())
    );
    assert!(started.elapsed() < Duration::from_secs(1));

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| FileLock::acquire(&path, WAIT_2S, &|| stop.load(Ordering::SeqCst)));
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::SeqCst);
        let stopped = Instant::now();
        assert!(matches!(waiter.join().unwrap(), Err(LockError::Cancelled { .. })));
        assert!(stopped.elapsed() < Duration::from_millis(500));
    });
}

#[test]
fn a_contender_never_touches_the_holders_pid() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("lock");
    let held = FileLock::acquire(&path, LockMode::Fail, &|| false).unwrap();
    std::fs::write(&path, "pid=4242\n").unwrap();
    let refused = FileLock::acquire(&path, LockMode::Fail, &|| false).unwrap_err();
    assert!(matches!(refused, LockError::Held { holder_pid: Some(4242), .. }), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "pid=4242\n");
    // A holder that has not written anything sensible is still a holder.
    for text in ["", "pid=", "pid=x\n", "\u{fffd}", "pid=-1\n"] {
        std::fs::write(&path, text).unwrap();
        let refused = FileLock::acquire(&path, LockMode::Fail, &|| false).unwrap_err();
        assert!(matches!(refused, LockError::Held { holder_pid: None, .. }), "{refused:?}");
    }
    drop(held);
}

#[test]
fn an_unlinked_lock_file_does_not_make_two_holders_of_the_new_one() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("lock");
    let first = FileLock::acquire(&path, LockMode::Fail, &|| false).unwrap();
    // The earlier tool unlinks its file on release; whoever comes next locks a new file ...
    std::fs::remove_file(&path).unwrap();
    let second = FileLock::acquire(&path, LockMode::Fail, &|| false).unwrap();
    // ... and from then on the path has one holder, whatever happens to the old file.
    drop(first);
    assert!(FileLock::acquire(&path, LockMode::Fail, &|| false).is_err());
    drop(second);
    assert!(path.exists());
}

#[test]
fn a_lock_file_that_is_no_file_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    for (what, make) in [
        ("link", (|path| std::os::unix::fs::symlink("/dev/null", path).unwrap()) as fn(&std::path::Path)),
        ("directory", |path| std::fs::create_dir(path).unwrap()),
        ("FIFO", |path| {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
    ] {
        let path = temp.path().join(what);
        make(&path);
        let refused = FileLock::acquire(&path, LockMode::Fail, &|| false).unwrap_err();
        assert!(matches!(refused, LockError::Io { .. }), "{what}: {refused:?}");
    }
}

#[test]
fn files_unlinked_while_locked_never_make_two_holders() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("lock");
    let holders = std::sync::atomic::AtomicUsize::new(0);
    let turns = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while turns.load(Ordering::SeqCst) < 200 {
                    let Ok(lock) = FileLock::acquire(&path, LockMode::Fail, &|| false) else { continue };
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                    turns.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    holders.fetch_sub(1, Ordering::SeqCst);
                    std::fs::remove_file(&path).unwrap();
                    drop(lock);
                }
            });
        }
    });
}
