//! Steps: run one after the other, all of them, then one table of what took how long and how it ended.
//!
//! A step that fails does not stop the others, so that one run shows every failure; only steps that need an earlier
//! one's result are left out when that one failed, and are then reported as not run, never as passed.
//!
//! Tests wait for processes half of the time. Steps that only compile go on beside them, one after the other and at the lowest
//! priority; what they print is shown at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

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
    /// Whether the steps after it do not wait for it. It has a build directory of its own.
    pub(crate) beside: bool,
}

impl Step {
    /// A step that needs no other.
    pub(crate) fn new(name: &'static str, action: Action) -> Self {
        Self { name, action, needs: None, beside: false }
    }

    /// The same step, run only when the step called `name` has passed.
    pub(crate) fn needs(mut self, name: &'static str) -> Self {
        self.needs = Some(name);
        self
    }

    /// The same step, run beside those that follow; it needs none of them.
    pub(crate) fn beside(mut self) -> Self {
        self.beside = true;
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

/// Runs all steps in order; returns their ends in that order.
pub(crate) fn run_all(plan: &[Step], root: &Path) -> anyhow::Result<Vec<Ended>> {
    let mut printed = tempfile::tempfile()?;
    let mut results = std::thread::scope(|scope| {
        let (give, queue) = std::sync::mpsc::channel::<(usize, &Step)>();
        let output = &printed;
        let beside =
            scope.spawn(move || queue.iter().map(|(at, step)| (at, timed(step, root, Some(output)))).collect());
        let mut front: Vec<(usize, Ended)> = Vec::with_capacity(plan.len());
        for (at, step) in plan.iter().enumerate() {
            let missing = step.needs.is_some_and(|needed| {
                front.iter().any(|(_, earlier)| earlier.name == needed && earlier.outcome != Outcome::Passed)
            });
            if missing {
                front.push((at, Ended { name: step.name, outcome: Outcome::NotRun, took: Duration::ZERO }));
            } else if step.beside {
                give.send((at, step)).expect("the other side takes all there are");
            } else {
                front.push((at, timed(step, root, None)));
            }
        }
        drop(give);
        let beside: Vec<_> = beside.join().expect("steps do not panic");
        front.extend(beside);
        front
    });
    printed.rewind()?;
    std::io::copy(&mut printed, &mut std::io::stdout())?;
    results.sort_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, ended)| ended).collect())
}

fn timed(step: &Step, root: &Path, output: Option<&File>) -> Ended {
    let from = Instant::now();
    let outcome = run_one(step, root, output).unwrap_or_else(|error| {
        println!("error: {}: {error:#}", step.name);
        Outcome::Failed
    });
    let ended = Ended { name: step.name, outcome, took: from.elapsed() };
    if output.is_some() {
        println!("=== beside: {}", ended.line());
    }
    ended
}

/// Runs one step; with `output`, it prints there, at the lowest priority.
fn run_one(step: &Step, root: &Path, output: Option<&File>) -> anyhow::Result<Outcome> {
    match &step.action {
        Action::Task(task) => {
            println!("\n=== {}", step.name);
            Ok(if task(root)? { Outcome::Passed } else { Outcome::Failed })
        }
        Action::Command { program, args, env } => {
            let variables: String = env.iter().map(|(key, value)| format!("{key}={value:?} ")).collect();
            let title = format!("\n=== {}: {variables}{program} {}", step.name, args.join(" "));
            let mut command;
            if let Some(mut output) = output {
                writeln!(output, "{title}")?;
                command = Command::new("nice");
                // Two builds in one directory would wait for each other.
                let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
                command.args(["-n", "19", program]).env("CARGO_TARGET_DIR", target.join("beside"));
                command.stdout(output.try_clone()?).stderr(output.try_clone()?);
            } else {
                println!("{title}");
                command = Command::new(program);
            }
            command.args(args).envs(env.iter().map(|(key, value)| (key, value))).current_dir(root).stdin(Stdio::null());
            // cargo sets these for the programs it runs; inner cargo calls would take them for this package's own.
            for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
                command.env_remove(name);
            }
            let status = command.status().with_context(|| format!("cannot start {program}"))?;
            Ok(outcome_of(status.code()))
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

impl Ended {
    /// One line of the closing table.
    fn line(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "SKIPPED in part or whole, see its output",
            Outcome::NotRun => "not run: an earlier step it needs failed",
        };
        format!("{:<16} {:>7.1} s  {outcome}", self.name, self.took.as_secs_f64())
    }
}

/// The closing table: step, seconds, outcome, and the seconds that all of them `took`.
pub(crate) fn table(results: &[Ended], took: Duration) -> String {
    let mut text = String::new();
    for ended in results {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", ended.line());
    }
    let _ = write!(text, "{:<16} {:>7.1} s", "total", took.as_secs_f64());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(plan: &[Step]) -> Vec<Outcome> {
        run_all(plan, Path::new("/")).unwrap().iter().map(|ended| ended.outcome).collect()
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
        let results = run_all(&[shell("foreign", "exit 77"), shell("fine", "exit 0")], Path::new("/")).unwrap();
        assert_eq!(results[0].outcome, Outcome::Skipped);
        assert!(all_good(&results));
        let text = table(&results, Duration::from_secs(1));
        assert!(text.contains("SKIPPED"), "{text}");
        assert_eq!(text.matches("passed").count(), 1, "{text}");
    }

    #[test]
    fn one_failure_or_one_step_not_run_makes_the_whole_run_fail() {
        assert_eq!(outcomes(&[shell("a", "exit 0"), shell("b", "exit 1")]), [Outcome::Passed, Outcome::Failed]);
        assert!(!all_good(&run_all(&[shell("a", "exit 0"), shell("b", "exit 1")], Path::new("/")).unwrap()));
        let not_run = [Ended { name: "a", outcome: Outcome::NotRun, took: Duration::ZERO }];
        assert!(!all_good(&not_run));
    }

    #[test]
    fn commands_get_their_variables_and_no_input() {
        let plan = [shell("env", r#"test "$MARK" = yes && ! read -r line"#).env("MARK", "yes")];
        assert_eq!(outcomes(&plan), [Outcome::Passed]);
    }

    #[test]
    fn steps_beside_are_waited_for_and_keep_their_places() {
        let temp = tempfile::tempdir().unwrap();
        let mark = temp.path().join("mark").display().to_string();
        let wait = format!("until [ -e {mark} ]; do sleep 0.01; done; test \"$(nice)\" = 19 && exit 77");
        let (front, back) = (format!("touch {mark}"), format!("test -e {mark}"));
        let plan = [
            shell("beside", &wait).beside(),
            // Without this one, the one before would never end.
            shell("front", &front),
            shell("beside too", &back).beside(),
        ];
        let results = run_all(&plan, Path::new("/")).unwrap();
        let names: Vec<_> = results.iter().map(|ended| ended.name).collect();
        assert_eq!(names, ["beside", "front", "beside too"]);
        let outcomes: Vec<_> = results.iter().map(|ended| ended.outcome).collect();
        assert_eq!(outcomes, [Outcome::Skipped, Outcome::Passed, Outcome::Passed]);
    }
}
