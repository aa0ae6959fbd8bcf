//! The attacking and the cooperating side of the enforcement tests. One action per run; the answer is one line on stdout.
#![expect(clippy::print_stdout, reason = "a test program's answer")]

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod rows;

#[cfg(not(target_os = "linux"))]
use elsewhere as platform;
#[cfg(target_os = "linux")]
use linux as platform;

fn main() {
    platform::main();
}
