//! The attack suite: every attack fails in the sandbox, and succeeds when the protection it is aimed at is switched off.
//!
//! Prints a table of what happened, whatever happened. With names (or parts of them) as arguments, only those run. An attack
//! that the kernel refuses to that user anyway is run without the sandbox to see that, and listed so. One that succeeds in
//! the sandbox fails the suite unless it stands among the known holes, which are printed at the end, and which must
//! succeed: one that is blocked by now no longer belongs there.
#![expect(clippy::print_stdout, reason = "a test program")]
#![cfg_attr(
    all(target_os = "linux", target_arch = "x86_64"),
    expect(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "tests start programs and look at files directly"
    )
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod arena;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod beside;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod row;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod suite;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod table;

fn main() -> std::process::ExitCode {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    return suite::run();
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    {
        println!("skipped: these attacks are written for Linux on x86-64");
        std::process::ExitCode::SUCCESS
    }
}
