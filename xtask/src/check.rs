//! The steps a change must pass, in order, each defined once.

use super::licences as licence_check;
use super::step::{Action, Step};

/// Name of the step that compiles everything; the steps that need its result name it.
const BUILD: &str = "build";

/// The steps of `cargo xtask check`.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        cargo("format", &["fmt", "--all", "--check"]),
        cargo("clippy", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).beside(),
        // The documentation is for people who work on the code: it shows private items, so links to them are no fault.
        cargo("documentation", &["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links")
            .beside(),
        foreign_targets().beside(),
        // As the tests are run: with the whole workspace the features of crates are others, and everything is built twice.
        cargo(BUILD, &["test", "--locked", "--no-run"]),
        // The README's own command, so that what it promises is what is checked.
        cargo("test", &["test"]).needs(BUILD),
        cargo("test xtask", &["test", "--package", "xtask"]).needs(BUILD),
        licences(),
    ]
}

/// The programs that run inside the sandbox in tests; what cannot be had is skipped there.
pub(crate) fn tools() -> Step {
    script("tools", "ci/tools.sh")
}

/// The README's main job, and everything that follows from its bundle.
pub(crate) fn end_to_end() -> Step {
    script("end to end", "ci/end-to-end.sh").needs(BUILD)
}

/// Licences of all dependencies, crates of a default Linux build.
pub(crate) fn licences() -> Step {
    Step::new("licences", Action::Task(licence_check::check))
}

/// The other systems; skipped where their standard library cannot be had.
pub(crate) fn foreign_targets() -> Step {
    script("foreign targets", "ci/foreign-targets.sh")
}

/// All tests with `cases` generated cases per property, and the gates over every combination of facts.
pub(crate) fn long_properties(cases: u32) -> Step {
    // Read by proptest for every property that does not fix its own number.
    cargo("long properties", &["test"]).env("PROPTEST_CASES", &cases.to_string()).env("RUNTIME_TESTS_FULL", "1")
}

/// The benchmark of enforcement still runs; its figures mean nothing here. What it needs is compiled by clippy every time.
pub(crate) fn quick_benchmark() -> Step {
    let works = ["open", "stat", "start", "find", "git", "memory"];
    let command =
        ["bench", "--quiet", "--profile", "dev", "--package", "benchmarks", "--bench", "enforce", "--", "--quick"];
    cargo("quick benchmark", &[&command[..], &works[..]].concat())
}

/// Changes of the sources that a test must notice, each.
pub(crate) fn mutations() -> Step {
    Step::new("mutations", Action::Task(super::mutations::check))
}

fn cargo(name: &'static str, args: &[&str]) -> Step {
    Step::new(name, Action::command("cargo", args))
}

fn script(name: &'static str, path: &str) -> Step {
    Step::new(name, Action::command("bash", &[path]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_needed_step_comes_earlier() {
        let mut plan = vec![tools()];
        plan.extend(steps());
        plan.push(end_to_end());
        for (position, step) in plan.iter().enumerate() {
            if let Some(needed) = step.needs {
                let waited_for = |earlier: &Step| earlier.name == needed && !earlier.beside;
                assert!(!step.beside && plan[..position].iter().any(waited_for), "{}", step.name);
            }
        }
    }
}
