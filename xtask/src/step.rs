//! Steps: run one after the other, all of them, then one table of what took how long and how it ended.
//!
//! A step that fails does not stop the others, so that one run shows every failure; only steps that need an earlier
//! one's result are left out when that one failed, and are then reported as not run, never as passed.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Exit status by which a script says: nothing failed, but something could not be checked here.
const SKIPPED_STATUS: i32 = 77;

/// What a step does.
pub(crate) enum Action {
    /// Starts a program in the project's root with no standard input.
    Command {
        /// Program, looked up in `PATH`.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables set for it.
        env: Vec<(String, String)>,
    },
    /// Calls a function with the project's root; `false` means the answer is no.
    Task(fn(&Path) -> anyhow::Result<bool>),
}

impl Action {
    /// A program with its arguments.
    pub(crate) fn command(program: &str, args: &[&str]) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Self::Command { program: program.to_owned(), args, env: Vec::new() }
    }
}

/// One step of a plan.
pub(crate) struct Step {
    /// What the tables and other steps call it.
    pub(crate) name: &'static str,
    action: Action,
    /// The step that must have passed before this one makes sense.
    pub(crate) needs: Option<&'static str>,
}

impl Step {
    /// A step that needs no other.
    pub(crate) fn new(name: &'static str, action: Action) -> Self {
        Self { name, action, needs: None }
    }

    /// The same step, run only when the step called `name` has passed.
    pub(crate) fn needs(mut self, name: &'static str) -> Self {
        self.needs = Some(name);
        self
    }

    /// The same step with an environment variable; functions have none.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        if let Action::Command { env, .. } = &mut self.action {
            env.push((key.to_owned(), value.to_owned()));
        }
        self
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything it checks holds.
    Passed,
    /// Something it checks does not hold, or it could not be run.
    Failed,
    /// Nothing failed, but not everything could be checked here; the step's own output says what.
    Skipped,
    /// Not run, because the step it needs failed.
    NotRun,
}

/// A step's name, outcome and wall time.
#[derive(Debug)]
pub(crate) struct Ended {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// Runs all steps in order.
pub(crate) fn run_all(plan: &[Step], root: &Path) -> Vec<Ended> {
    let mut results: Vec<Ended> = Vec::with_capacity(plan.len());
    for step in plan {
        let missing = step.needs.is_some_and(|needed| {
            results.iter().any(|earlier| earlier.name == needed && earlier.outcome != Outcome::Passed)
        });
        let from = Instant::now();
        let outcome = if missing { Outcome::NotRun } else { run_one(step, root) };
        results.push(Ended { name: step.name, outcome, took: from.elapsed() });
    }
    results
}

fn run_one(step: &Step, root: &Path) -> Outcome {
    match &step.action {
        Action::Task(task) => {
            println!("\n=== {}", step.name);
            match task(root) {
                Ok(true) => Outcome::Passed,
                Ok(false) => Outcome::Failed,
                Err(error) => {
                    println!("error: {error:#}");
                    Outcome::Failed
                }
            }
        }
        Action::Command { program, args, env } => {
            let variables: String = env.iter().map(|(key, value)| format!("{key}={value:?} ")).collect();
            println!("\n=== {}: {variables}{program} {}", step.name, args.join(" "));
            let mut command = Command::new(program);
            command.args(args).envs(env.iter().map(|(key, value)| (key, value))).current_dir(root).stdin(Stdio::null());
            // cargo sets these for the programs it runs; inner cargo calls would take them for this package's own.
            for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
                command.env_remove(name);
            }
            match command.status() {
                Ok(status) => outcome_of(status.code()),
                Err(error) => {
                    println!("error: cannot start {program}: {error}");
                    Outcome::Failed
                }
            }
        }
    }
}

/// The outcome that an exit status stands for; `None` is death by a signal.
fn outcome_of(code: Option<i32>) -> Outcome {
    match code {
        Some(0) => Outcome::Passed,
        Some(SKIPPED_STATUS) => Outcome::Skipped,
        _ => Outcome::Failed,
    }
}

/// Whether nothing failed. A skip is no failure: it was reported as one and is never counted as passed.
pub(crate) fn all_good(results: &[Ended]) -> bool {
    results.iter().all(|ended| matches!(ended.outcome, Outcome::Passed | Outcome::Skipped))
}

/// The closing table: step, seconds, outcome, and the total.
pub(crate) fn table(results: &[Ended]) -> String {
    let mut text = String::new();
    for ended in results {
        let outcome = match ended.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "SKIPPED in part or whole, see its output",
            Outcome::NotRun => "not run: an earlier step it needs failed",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<16} {:>7.1} s  {outcome}", ended.name, ended.took.as_secs_f64());
    }
    let total: Duration = results.iter().map(|ended| ended.took).sum();
    let _ = write!(text, "{:<16} {:>7.1} s", "total", total.as_secs_f64());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(plan: &[Step]) -> Vec<Outcome> {
        run_all(plan, Path::new("/")).iter().map(|ended| ended.outcome).collect()
    }

    fn shell(name: &'static str, script: &str) -> Step {
        Step::new(name, Action::command("sh", &["-c", script]))
    }

    #[test]
    fn a_failure_stops_only_the_steps_that_need_it() {
        let plan = [
            shell("build", "exit 101"),
            shell("test", "exit 0").needs("build"),
            shell("licences", "exit 0"),
            shell("crash", "kill -9 $$"),
            Step::new("absent", Action::command("/no/such/program", &[])),
            Step::new("no", Action::Task(|_| Ok(false))),
            Step::new("broken", Action::Task(|_| anyhow::bail!("cannot answer"))),
        ];
        use Outcome::{Failed, NotRun, Passed};
        assert_eq!(outcomes(&plan), [Failed, NotRun, Passed, Failed, Failed, Failed, Failed]);
    }

    #[test]
    fn a_skip_is_neither_a_failure_nor_a_pass() {
        let results = run_all(&[shell("foreign", "exit 77"), shell("fine", "exit 0")], Path::new("/"));
        assert_eq!(results[0].outcome, Outcome::Skipped);
        assert!(all_good(&results));
        let text = table(&results);
        assert!(text.contains("SKIPPED"), "{text}");
        assert_eq!(text.matches("passed").count(), 1, "{text}");
    }

    #[test]
    fn one_failure_or_one_step_not_run_makes_the_whole_run_fail() {
        assert!(!all_good(&run_all(&[shell("a", "exit 0"), shell("b", "exit 1")], Path::new("/"))));
        let not_run = [Ended { name: "a", outcome: Outcome::NotRun, took: Duration::ZERO }];
        assert!(!all_good(&not_run));
    }

    #[test]
    fn commands_get_their_variables_and_no_input() {
        let plan = [shell("env", r#"test "$MARK" = yes && ! read -r line"#).env("MARK", "yes")];
        assert_eq!(outcomes(&plan), [Outcome::Passed]);
    }
}
