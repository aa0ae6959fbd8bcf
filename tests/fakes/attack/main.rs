//! Attacks on a sandbox from inside, one per run, and what they need beside them on the outside.
//!
//! An attack works in the directory it is started in: `open` belongs to it, `closed` is denied to it. It succeeds when the
//! secret of `closed` stands in its output, when something in `closed` has changed, or when it saw an effect of its own
//! that the profile denies; then it prints a line that begins with `WON`.
//!
//! Many name system calls that x86-64 alone still has (`open`, `stat`, `rename`): the suite is for that architecture.
#![expect(clippy::print_stdout, reason = "a test program's answer")]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;

fn main() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    linux::main();
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    println!("these attacks are written for Linux on x86-64");
}
