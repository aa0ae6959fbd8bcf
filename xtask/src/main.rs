//! Task runner of the project: `cargo xtask <task>`.
//!
//! One list of steps ([`check::steps`]) serves developers (`cargo xtask check`) and the build machine (`.ci/run`).
#![expect(clippy::print_stdout, reason = "a task runner talks to the person who started it")]
#![expect(
    clippy::disallowed_methods,
    reason = "tasks start cargo and the scripts under ci/; this is no part of the product"
)]

mod check;
mod dist;
mod licences;
mod mutations;
mod step;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

/// Tasks of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Everything a change must pass, except the end-to-end run: format, lints, tests, documentation, licences, other targets
    Check,
    /// What the build machine runs: the programs that tests need, `check`, and the README's main command end to end
    Ci,
    /// Check the licence of every dependency and the number of crates in a default Linux build
    Licences,
    /// Type-check for aarch64 Linux and macOS, link for macOS
    Cross,
    /// Build the program that is handed out; on Linux it needs no library of the system. The last line says where it is
    Dist,
    /// Change one word of the clean channel at a time, in a copy of the tree; the test it names must fail each time
    Mutations,
    /// The tests again with many more generated cases per property
    Nightly {
        /// Generated cases per property
        #[arg(long, default_value_t = 20_000)]
        cases: u32,
    },
}

fn main() -> ExitCode {
    match run(&Task::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::from(3)
        }
    }
}

/// Runs one task; `false` means that the answer is no.
fn run(task: &Task) -> anyhow::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent directory")?;
    let plan = match task {
        Task::Dist => return dist::build(root),
        Task::Mutations => return mutations::check(root),
        Task::Check => check::steps(),
        Task::Ci => [check::tools()].into_iter().chain(check::steps()).chain([check::end_to_end()]).collect(),
        Task::Licences => vec![check::licences()],
        Task::Cross => vec![check::foreign_targets()],
        Task::Nightly { cases } => {
            vec![
                check::long_properties(*cases),
                check::quick_benchmark(),
                check::mutations(),
                check::foreign_targets().env("RUNTIME_TESTS_FULL", "1"),
            ]
        }
    };
    let from = std::time::Instant::now();
    let results = step::run_all(&plan, root)?;
    println!("\n{}", step::table(&results, from.elapsed()));
    Ok(step::all_good(&results))
}
