//! With the kernel's enforcement.

mod directory;
mod minimal;
mod noise;
mod programs;
mod record;
mod workflow;

use std::io::Write as _;

/// Whether what takes minutes is run too; says past the test harness that it is not.
fn long(what: &str) -> bool {
    let full = std::env::var_os("RUNTIME_TESTS_FULL").is_some();
    if !full {
        let _ = writeln!(std::io::stderr(), "LEFT TO NIGHTLY: {what}");
    }
    full
}
