#![expect(clippy::disallowed_methods, reason = "tests start programs and look at files directly")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod cases;
mod learn;
mod program;
mod server;
#[path = "../../enforce/support.rs"]
#[expect(dead_code, reason = "shared with the enforcement tests, which use all of it")]
mod support;
mod toolchain;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use program::Program;
use support::User;

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for program in cases::ALL {
        for &user in users() {
            for (way, run) in [
                ("works", Program::works as fn(&Program, User)),
                ("needs_its_rule", Program::needs_its_rule),
                ("can_be_learnt", Program::can_be_learnt),
            ] {
                let missing = program.missing();
                let name = format!("{}::{way}::{user:?}", program.name).to_lowercase();
                let trial = Trial::test(name, move || {
                    run(program, user);
                    Ok(())
                });
                let trial = match &missing {
                    Some(tool) => trial.with_kind(format!("no {tool} here")).with_ignored_flag(true),
                    None => trial,
                };
                trials.push(trial);
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Root can be two users; another user is itself only.
fn users() -> &'static [User] {
    if rustix::process::geteuid().is_root() { &[User::Nobody, User::Own] } else { &[User::Own] }
}
