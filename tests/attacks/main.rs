//! The attack suite: every attack fails in the sandbox, and succeeds when the protection it is aimed at is switched off.
//!
//! Prints a table of what happened, whatever happened. With names (or parts of them) as arguments, only those run. An attack
//! that the kernel refuses to that user anyway is run without the sandbox to see that, and listed so. One that succeeds in
//! the sandbox fails the suite unless it stands among the known holes, which are printed at the end, and which must
//! succeed: one that is blocked by now no longer belongs there.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a test program")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and look at files directly")]

#[cfg(target_os = "linux")]
mod arena;
#[cfg(target_os = "linux")]
mod beside;
#[cfg(target_os = "linux")]
mod row;
#[cfg(target_os = "linux")]
mod suite;
#[cfg(target_os = "linux")]
mod table;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return suite::run();
    #[cfg(not(target_os = "linux"))]
    {
        println!("skipped: these attacks are aimed at Linux");
        std::process::ExitCode::SUCCESS
    }
}
