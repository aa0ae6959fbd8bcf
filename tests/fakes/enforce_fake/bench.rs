//! Loops around one system call, for benchmarks: nothing but the call is inside the measured time.
#![expect(clippy::unwrap_used, reason = "a test program")]

use std::ffi::{CStr, CString};
use std::time::Instant;

/// Calls of one batch: few enough that most batches are not interrupted by other programs.
const BATCH: u32 = 50;

/// Repeats an action on `path` `count` times and prints the nanoseconds of one: the median of batches.
pub(crate) fn call(action: &str, count: &str, path: &str) {
    let path = CString::new(path).unwrap();
    let count: u32 = count.parse().unwrap();
    let once: fn(&CStr) = match action {
        "open" => open,
        "stat" => stat,
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
    batches.sort_by(f64::total_cmp);
    println!("{:.0}", batches[batches.len() / 2]);
}

/// open(2) for reading and close(2).
fn open(path: &CStr) {
    // SAFETY: a NUL-terminated path; the descriptor is closed by who opened it.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        libc::close(fd);
    }
}

fn stat(path: &CStr) {
    // SAFETY: a NUL-terminated path and room for one structure, which the kernel fills.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        let done = libc::stat(path.as_ptr(), &raw mut stat);
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}
