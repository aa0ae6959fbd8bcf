//! Loops around one system call, run by this program itself inside and outside the sandbox: nothing but the call is inside
//! the measured time.

use std::ffi::{CStr, CString};
use std::time::Instant;

use rustix::fs::{Mode, OFlags, open, stat};

/// The word by which this program is asked to loop instead of measuring.
pub(crate) const WORD: &str = "loop";

/// Calls of one batch: few enough that most batches are not interrupted by other programs.
const BATCH: u32 = 50;

/// Repeats an action on `path` `count` times and prints the nanoseconds of one: the median of batches.
pub(crate) fn repeat(action: &str, count: &str, path: &str) {
    let path = CString::new(path).unwrap();
    let count: u32 = count.parse().unwrap();
    let once: fn(&CStr) = match action {
        // open(2) for reading and close(2).
        "open" => |path| drop(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap()),
        "stat" => |path| {
            stat(path).unwrap();
        },
        _ => panic!("unknown action {action}"),
    };
    once(&path);
    let mut batches: Vec<f64> = (0..count.div_ceil(BATCH).max(1))
        .map(|_| {
            let start = Instant::now();
            (0..BATCH).for_each(|_| once(&path));
            start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
        })
        .collect();
    println!("{:.0}", benchmarks::median(std::mem::take(&mut batches)));
}
