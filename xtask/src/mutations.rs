//! Mutations of the clean channel: each changes one word of the sources in a copy of the tree, and the test it names must fail.
//!
//! A test that pins data can pin the wrong place; whether a change of the code is noticed is only known by changing the code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// One change and the test that must notice it.
struct Mutation {
    /// File below the project's root.
    file: &'static str,
    /// What stands there exactly once.
    from: &'static str,
    /// What it becomes.
    to: &'static str,
    /// The test, as cargo selects it.
    test: (&'static [&'static str], &'static str),
}

const JOB: &str = "src/launchd/job.rs";
const EXECUTE: &str = "src/launchd/execute.rs";
const WAIT: &str = "src/launchd/wait.rs";
const CLEAN: &str = "src/launchd/clean.rs";
const DIAGNOSTICS: &str = "src/launchd/diagnostics.rs";

const LAUNCHD: &[&str] = &["--test", "launchd"];
const LIBRARY: &[&str] = &["--lib"];
const PLAN: (&[&str], &str) = (LAUNCHD, "plan::the_printed_job_is_exactly_this");
const FIELDS: (&[&str], &str) = (LAUNCHD, "plan::every_field_of_the_diagnostics_is_exactly_this");
const RULE: (&[&str], &str) = (LIBRARY, "launchd::wait::tests::every_combination_of_what_is_seen_has_its_verdict");
const START: (&[&str], &str) = (LIBRARY, "launchd::clean::tests::every_fact_alone_makes_a_start_unclean");

const fn mutation(
    file: &'static str,
    from: &'static str,
    to: &'static str,
    test: (&'static [&'static str], &'static str),
) -> Mutation {
    Mutation { file, from, to, test }
}

/// Command lines, keys of the property list, the rule of waiting, what a start is judged by, fields of the diagnostics.
const MUTATIONS: &[Mutation] = &[
    mutation(JOB, r#"&["bootstrap", &domain, &plist]"#, r#"&["load", &domain, &plist]"#, PLAN),
    mutation(
        JOB,
        r#"bootout: launchctl(&["bootout", &domain, &plist])"#,
        r#"bootout: launchctl(&["bootout", &domain])"#,
        PLAN,
    ),
    mutation(
        JOB,
        r#"bootout_by_label: launchctl(&["bootout", &label_in])"#,
        r#"bootout_by_label: launchctl(&["bootout", &label])"#,
        PLAN,
    ),
    mutation(
        JOB,
        r#"print_job: launchctl(&["print", &label_in])"#,
        r#"print_job: launchctl(&["list", &label_in])"#,
        PLAN,
    ),
    mutation(
        JOB,
        r#"choose_domain: launchctl(&["print", &gui])"#,
        r#"choose_domain: launchctl(&["print", "system"])"#,
        PLAN,
    ),
    mutation(JOB, r#"&["-lint", "#, r#"&["-p", "#, PLAN),
    mutation(JOB, r#""--last", "2m""#, r#""--last", "9m""#, PLAN),
    mutation(JOB, r#"Some(vec!["Background"])"#, r#"Some(vec!["Aqua"])"#, PLAN),
    mutation(JOB, r#"list.insert("RunAtLoad".to_owned(), Value::Boolean(true));"#, "", PLAN),
    mutation(JOB, r#"list.insert("WorkingDirectory".to_owned()"#, r#"list.insert("RootDirectory".to_owned()"#, PLAN),
    mutation(JOB, "Value::String(text(&output[1]))", "Value::String(text(&output[0]))", PLAN),
    mutation(JOB, r#""__launchd-job".to_owned()"#, r#""run".to_owned()"#, PLAN),
    mutation(JOB, "poll_ms: 100", "poll_ms: 500", PLAN),
    mutation(JOB, "limit_s: request.limit_s,", "limit_s: 60.0,", PLAN),
    mutation(JOB, r#"mode: "0600""#, r#"mode: "0644""#, PLAN),
    mutation(
        EXECUTE,
        "usize::from(asked.rc != Some(0))",
        "usize::from(asked.rc == Some(0))",
        (LAUNCHD, "scenarios::without_a_graphical_session_the_job_goes_to_the_user_domain"),
    ),
    mutation(
        EXECUTE,
        "let second = run(\"bootout_by_label\", &domain.bootout_by_label",
        "let second = run(\"bootout_by_label\", &domain.bootstrap",
        (LAUNCHD, "scenarios::a_bootout_that_fails_once_is_tried_by_label"),
    ),
    mutation(WAIT, "if seen.finished {", "if seen.finished && seen.alive {", RULE),
    mutation(WAIT, "seen.started && !seen.alive", "seen.started && seen.alive", RULE),
    mutation(WAIT, "passed(rule.start_limit_s)", "passed(rule.limit_s)", RULE),
    mutation(CLEAN, "Some(true) => reasons.push", "Some(true) if false => reasons.push", START),
    mutation(CLEAN, "launchd != start.parent_pid", "launchd == 0", START),
    mutation(DIAGNOSTICS, r#""rc": self.rc"#, r#""rc": 0"#, FIELDS),
    mutation(DIAGNOSTICS, r#"document["log_show"] = record(shown);"#, "let _ = shown;", FIELDS),
    mutation(
        DIAGNOSTICS,
        r#""classification": classification, "rc": rc"#,
        r#""classification": classification, "rc": 0"#,
        FIELDS,
    ),
    mutation(DIAGNOSTICS, "json!(self.left)", "json!([])", (LAUNCHD, "scenarios::a_job_that_launchd_keeps_is_named")),
];

/// What cargo said about a test.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Passed,
    Failed,
}

/// Makes every change, one at a time, after having shown that the tests pass without.
pub(crate) fn check(root: &Path) -> anyhow::Result<bool> {
    let tree = root.join("target/mutations");
    copy(root, &tree)?;
    let mut tests: Vec<_> = MUTATIONS.iter().map(|mutation| mutation.test).collect();
    tests.sort_unstable();
    tests.dedup();
    for test in tests {
        ensure!(run(&tree, root, test)? == Said::Passed, "{} fails without any change", test.1);
    }
    let mut unseen = 0;
    for mutation in MUTATIONS {
        let file = tree.join(mutation.file);
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", mutation.file))?;
        std::fs::write(&file, mutated(&text, mutation)?)?;
        let said = run(&tree, root, mutation.test);
        std::fs::write(&file, text)?;
        let said = said.with_context(|| format!("{}: {}", mutation.file, mutation.to))?;
        let word = if said == Said::Failed { "noticed" } else { "NOT NOTICED" };
        println!("{word}: {}: {} -> {} ({})", mutation.file, mutation.from, mutation.to, mutation.test.1);
        unseen += usize::from(said == Said::Passed);
    }
    println!("{} of {} changes noticed", MUTATIONS.len() - unseen, MUTATIONS.len());
    Ok(unseen == 0)
}

/// The text with the change made.
fn mutated(text: &str, mutation: &Mutation) -> anyhow::Result<String> {
    let found = text.matches(mutation.from).count();
    ensure!(found == 1, "{}: {:?} stands there {found} times", mutation.file, mutation.from);
    Ok(text.replacen(mutation.from, mutation.to, 1))
}

/// Runs one test in `tree`; dependencies come from the project's own target directory.
fn run(tree: &Path, root: &Path, (target, test): (&[&str], &str)) -> anyhow::Result<Said> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--offline", "--locked", "--package", "runtime"])
        .args(target)
        .args(["--", "--exact", test])
        .env("CARGO_TARGET_DIR", root.join("target"))
        .current_dir(tree)
        .stdin(Stdio::null())
        .output()
        .context("cargo cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    // A change that does not compile, and a name that selects nothing, show nothing.
    if text.contains(&format!("test {test} ... FAILED")) {
        return Ok(Said::Failed);
    }
    if text.contains(&format!("test {test} ... ok")) {
        return Ok(Said::Passed);
    }
    bail!("{test} was not run:\n{}", String::from_utf8_lossy(&output.stderr))
}

/// Copies what git knows, so that times of files that did not change stay what they were.
fn copy(root: &Path, tree: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    ensure!(listed.status.success(), "git cannot list the project's files");
    for name in listed.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let name = PathBuf::from(String::from_utf8(name.to_vec())?);
        let (from, to) = (root.join(&name), tree.join(&name));
        // Deleted and not yet committed.
        let Ok(bytes) = std::fs::read(&from) else { continue };
        if std::fs::read(&to).is_ok_and(|known| known == bytes) {
            continue;
        }
        std::fs::create_dir_all(to.parent().context("a file of the project has no directory")?)?;
        std::fs::copy(&from, &to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_fits_the_sources_and_names_a_test_that_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for mutation in MUTATIONS {
            let text = std::fs::read_to_string(root.join(mutation.file)).unwrap();
            assert_ne!(mutated(&text, mutation).unwrap(), text);
            let (module, name) = mutation.test.1.rsplit_once("::").unwrap();
            let file = match mutation.test.0 {
                LAUNCHD => format!("tests/launchd/{module}.rs"),
                _ => format!("src/{}.rs", module.trim_end_matches("::tests").replace("::", "/")),
            };
            let tests = std::fs::read_to_string(root.join(&file)).unwrap();
            assert!(tests.contains(&format!("fn {name}()")), "{file} has no {name}");
        }
    }
}
