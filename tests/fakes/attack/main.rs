//! Attacks on a sandbox from inside, one per run, and what they need beside them on the outside.
//!
//! An attack works in the directory it is started in: `open` belongs to it, `closed` is denied to it. It succeeds when the
//! secret of `closed` stands in its output, when something in `closed` has changed, or when it saw an effect of its own
//! that the profile denies; then it prints a line that begins with `WON`.
#![expect(clippy::print_stdout, reason = "a test program's answer")]

#[cfg(target_os = "linux")]
mod linux;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
    #[cfg(not(target_os = "linux"))]
    println!("these attacks are aimed at Linux");
}
