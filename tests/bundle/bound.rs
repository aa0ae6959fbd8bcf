//! How far a test with many points goes: through all of them, or until its time is up. It says which, and fails when it did less
//! than what makes it worth anything. The limits of the nightly forms stand in `CONTRIBUTING.md`.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The points of a test, by number, given out to any number of threads.
pub(crate) struct Bound {
    what: &'static str,
    all: usize,
    least: usize,
    begun: Instant,
    limit: Duration,
    /// From one point to the next; prime to `all`.
    step: usize,
    given: AtomicUsize,
}

/// Whether the long form is wanted.
pub(crate) fn nightly() -> bool {
    std::env::var_os("RUNTIME_TESTS_FULL").is_some()
}

/// How long a command may take on a machine that has much else to do, in seconds.
const PATIENCE: u64 = 300;

/// Runs a command to its end. When it takes too long it is killed with all that it started, and the test fails: a hang is no
/// wait.
pub(crate) fn output_in_time(command: &Command) -> Output {
    let mut limited = Command::new("timeout");
    limited.args(["--signal=KILL", &PATIENCE.to_string()]).arg(command.get_program()).args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let begun = Instant::now();
    let output = limited.output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(PATIENCE), "killed after {PATIENCE} s: {command:?}: {output:?}");
    output
}

fn common_factor(one: usize, other: usize) -> usize {
    if other == 0 { one } else { common_factor(other, one % other) }
}

impl Bound {
    /// `all` points, of which at least `least` must be done within `limit`.
    pub(crate) fn new(what: &'static str, all: usize, least: usize, limit: Duration) -> Self {
        // About the golden section: wherever it stops, the points done are spread over all.
        let step = (all * 5 / 8..).find(|step| common_factor(*step, all) == 1).unwrap_or(1);
        Self { what, all, least, begun: Instant::now(), limit, step, given: AtomicUsize::new(0) }
    }

    /// The next point, from 0; nothing when all are given out or the time is up.
    pub(crate) fn next(&self) -> Option<usize> {
        let in_time = self.begun.elapsed() < self.limit;
        let take = |given| (in_time && given < self.all).then_some(given + 1);
        let at = self.given.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(at * self.step % self.all)
    }

    /// Does the points on some threads.
    pub(crate) fn each(self, threads: usize, point: impl Fn(usize) + Sync) {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(at) = self.next() {
                        point(at);
                    }
                });
            }
        });
        self.close();
    }

    /// Says how many points were done.
    #[expect(clippy::print_stdout, reason = "it is what the calling test prints")]
    pub(crate) fn close(self) {
        let Self { what, all, least, limit, .. } = self;
        let (done, took) = (self.given.into_inner(), self.begun.elapsed());
        let why = if done < all { ": the time is up" } else { "" };
        println!("{what}: {done} of {all} points in {:.0} s of at most {} s{why}", took.as_secs_f64(), limit.as_secs());
        assert!(done >= least, "{what}: {done} points are fewer than {least}");
    }
}

#[test]
fn every_point_is_given_once_and_none_after_the_time() {
    for all in [1, 2, 7, 8, 90, 924, 92_160] {
        let bound = Bound::new("points", all, all, Duration::from_secs(3600));
        let mut seen = vec![false; all];
        while let Some(at) = bound.next() {
            assert!(!std::mem::replace(&mut seen[at], true), "{at} of {all} twice");
        }
        assert!(seen.iter().all(|seen| *seen), "{all}");
        bound.close();
    }
    let late = Bound::new("no time", 7, 0, Duration::ZERO);
    assert_eq!(late.next(), None);
    late.close();
    let few = Bound::new("too few", 7, 1, Duration::ZERO);
    assert!(std::panic::catch_unwind(|| few.close()).is_err());
}
