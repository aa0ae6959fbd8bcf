//! Real programs under the profiles of `fixtures/profiles/linux`.
//!
//! Each runs as an ordinary user and, when the tests run as root, as root too, and each is looked at in three ways:
//!
//! - `works`: under its profile it does what it does without a sandbox;
//! - `needs_its_rule`: with one rule taken out it fails, and a record names operation and target;
//! - `can_be_learnt`: `--observe` under an empty profile refuses nothing, and the rules made from what it recorded suffice.
//!
//! A program that is not installed is reported as ignored, with its name.

#[cfg(not(target_os = "linux"))]
#[expect(clippy::print_stdout, reason = "a test program")]
fn main() {
    println!("the programs run on Linux");
}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod linux;
