//! The files that builds of others use: each command in them exists, and what they promise happens.
#![expect(clippy::disallowed_methods, reason = "tests write their own inputs and start the scripts under test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use regex_automata::meta::Regex;
use saphyr::{LoadableYamlNode as _, Yaml};

use crate::suite::{INDEX, Outcome, PLAN, PROBES, PROFILE_TEXT, PROFILES, Suite, run_in};

const PROGRAM: &str = "\"$RUNTIME\" ";

fn yaml(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn text<'y>(node: &'y Yaml<'_>, key: &str) -> Option<&'y str> {
    node.as_mapping_get(key).and_then(Yaml::as_str)
}

/// What is wrong with a command line of the program: words without `runtime` itself.
fn problems(words: &[&str]) -> Vec<String> {
    let commands: Vec<&str> =
        words.iter().take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).copied().collect();
    let help = run_in(Path::new("/"), &[&commands[..], &["--help"]].concat());
    if help.status != Some(0) || commands.is_empty() {
        return vec![format!("no such command: {words:?}")];
    }
    let known = |flag: &str| {
        help.stdout.lines().any(|line| {
            let line = line.trim_start();
            line.starts_with('-') && line.split([' ', ',', '=']).any(|word| word == flag)
        })
    };
    let mut problems = Vec::new();
    for (at, word) in words.iter().enumerate().filter(|(_, word)| word.starts_with("--") && **word != "--") {
        if !known(word) {
            problems.push(format!("{commands:?} has no flag {word}"));
        }
        // A word of a list must be one of the list.
        let value = words.get(at + 1).filter(|value| value.starts_with(|c: char| c.is_ascii_lowercase()));
        let own = help.stdout.split(&format!("{word} ")).nth(1).unwrap_or_default();
        let own = own.split("\n      --").next().unwrap_or_default();
        if let (Some(value), Some((_, values))) = (value, own.split_once("ossible values:"))
            && !values.lines().any(|line| {
                let mut words = line.trim().trim_start_matches("- ").split([':', ',', ']']).map(str::trim);
                // Either a list in one line, or a line for each with what it means after a colon.
                if line.contains(':') { words.next() == Some(value) } else { words.any(|word| word == *value) }
            })
        {
            problems.push(format!("{word} of {commands:?} does not take {value}"));
        }
    }
    problems
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    for (words, wrong) in [
        (&["plan-lint", "--format", "github", "--plan"][..], 0),
        (&["sbpl", "lint", "--deny", "warnings", "--"], 0),
        (&["sbpl", "lint", "--deny", "errors"], 1),
        (&["plan-lint", "--format", "gitlab", "--plans"], 2),
        (&["plans-lint", "--plan"], 1),
        (&["sbpl", "lints"], 1),
        (&["--plan"], 1),
    ] {
        assert_eq!(problems(words).len(), wrong, "{words:?} {:?}", problems(words));
    }
}

#[test]
fn every_command_of_the_hooks_exists_and_does_its_work() {
    let source = yaml(".pre-commit-hooks.yaml");
    let documents = Yaml::load_from_str(&source).unwrap();
    let hooks = documents[0].as_sequence().unwrap();
    assert_eq!(hooks.len(), 4);
    for hook in hooks {
        let of = |key: &str| text(hook, key).unwrap_or_else(|| panic!("{key} is missing in {hook:?}"));
        let (id, entry) = (of("id"), of("entry"));
        assert!(!of("name").is_empty() && of("language") == "rust", "{id}");
        let words: Vec<&str> = entry.split(' ').collect();
        assert_eq!(words[0], "runtime");
        assert_eq!(problems(&words[1..]), [""; 0], "{id}");
        let pattern = Regex::new(of("files")).unwrap();
        let suite = Suite::new();
        let files = [PLAN, PROBES, PROFILES, PROFILE_TEXT, INDEX, "AGENTS.md", "sb/a.sbx", "myplan.json"];
        let chosen: Vec<&str> = files.into_iter().filter(|file| pattern.is_match(*file)).collect();
        let (expected, broken): (&[&str], &[u8]) = match id {
            "sandbox-plan-lint" => (&[PLAN], b"{}"),
            "sandbox-registry-lint" => (&[PROBES, PROFILES], b"{}"),
            "sbpl-lint" => (&[PROFILE_TEXT], b"(version 1)(allow"),
            "sbpl-fmt" => (&[PROFILE_TEXT], b"(version 1)   (deny default)"),
            other => panic!("{other} is not tested"),
        };
        assert_eq!(chosen, expected, "{id}");
        // As pre-commit calls it: the entry, then the files.
        let run = || suite.run(&[&words[1..], &chosen].concat());
        let good = run();
        assert_eq!(good.status, Some(0), "{id} {} {}", good.stdout, good.stderr);
        suite.write(chosen[chosen.len() - 1], broken);
        let bad = run();
        // A profile that cannot be read to its end is 3.
        let expected = if id == "sbpl-lint" { 3 } else { 1 };
        assert_eq!(bad.status, Some(expected), "{id} {} {}", bad.stdout, bad.stderr);
    }
}

/// The action with its inputs and the script of its step that lints.
struct Action {
    inputs: BTreeMap<String, String>,
    script: String,
    environment: BTreeMap<String, String>,
}

fn action() -> Action {
    let source = yaml("action.yml");
    let documents = Yaml::load_from_str(&source).unwrap();
    let root = &documents[0];
    assert!(text(root, "name").is_some() && text(root, "description").is_some());
    let inputs: BTreeMap<String, String> = root["inputs"]
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(name, input)| {
            assert!(text(input, "description").is_some_and(|text| !text.is_empty()), "{name:?}");
            (name.as_str().unwrap().to_owned(), text(input, "default").unwrap().to_owned())
        })
        .collect();
    assert_eq!(text(&root["runs"], "using"), Some("composite"));
    let steps = root["runs"]["steps"].as_sequence().unwrap();
    let mut used: Vec<String> = Vec::new();
    for step in steps {
        assert_eq!(text(step, "shell"), Some("bash"), "a step of a composite action names its shell: {step:?}");
        // Inputs reach scripts through variables: a text inside a script would be a script.
        assert!(!text(step, "run").unwrap().contains("${{"), "{step:?}");
    }
    for part in source.split("inputs.").skip(1) {
        used.push(part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect());
    }
    used.sort();
    used.dedup();
    assert_eq!(used, inputs.keys().cloned().collect::<Vec<_>>(), "declared inputs are used, used ones declared");
    let lint = steps.iter().find(|step| text(step, "name") == Some("Lint")).unwrap();
    let environment = lint["env"].as_mapping().unwrap().iter();
    let environment = environment.map(|(name, value)| {
        let value = value.as_str().unwrap().trim_start_matches("${{ inputs.").trim_end_matches(" }}");
        (name.as_str().unwrap().to_owned(), value.to_owned())
    });
    Action { inputs, script: text(lint, "run").unwrap().to_owned(), environment: environment.collect() }
}

impl Action {
    /// Runs the step in the suite's directory with these inputs, the others as they are declared.
    fn run(&self, suite: &Suite, given: &[(&str, &str)]) -> Outcome {
        let given: BTreeMap<&str, &str> = given.iter().copied().collect();
        let mut command = Command::new("bash");
        // As the runner calls bash for composite actions.
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &self.script]);
        command.current_dir(suite.path(""));
        for (name, input) in &self.environment {
            assert!(self.inputs.contains_key(input), "{input}");
            let value = given.get(input.as_str()).copied().unwrap_or(&self.inputs[input]);
            command.env(name, value);
        }
        assert!(given.keys().all(|input| self.inputs.contains_key(*input)), "{given:?}");
        if !given.contains_key("runtime") {
            command.env("RUNTIME", env!("CARGO_BIN_EXE_runtime"));
        }
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

#[test]
fn every_command_of_the_action_exists() {
    let script = action().script;
    let lines: Vec<&str> = script.lines().filter_map(|line| line.trim().strip_prefix(PROGRAM)).collect();
    assert_eq!(lines.len(), 4, "{script}");
    assert_eq!(script.matches("$RUNTIME\"").count(), lines.len() + 1, "a command that is not looked at: {script}");
    let options = ["--deny warnings", "--frozen"];
    assert!(options.iter().all(|option| script.contains(&format!("({option}"))), "{script}");
    for line in lines {
        let words: Vec<&str> = line.split(' ').take_while(|word| *word != "||").collect();
        assert_eq!(problems(&words), [""; 0], "{line}");
        let command = words.iter().take_while(|word| !word.starts_with(['-', '"'])).copied();
        for option in options.iter().filter(|option| **option != "--frozen" || line.contains("frozen")) {
            let words: Vec<&str> = command.clone().chain(option.split(' ')).collect();
            assert_eq!(problems(&words), [""; 0], "{line} with {option}");
        }
    }
}

#[test]
fn the_action_lints_what_it_is_given() {
    let (action, suite) = (action(), Suite::new());
    let digest = suite.run(&["describe-plan", "--plan", PLAN]).stdout;
    let digest: serde_json::Value = serde_json::from_str(&digest).unwrap();
    let frozen = digest["compiled_digest"].as_str().unwrap();
    let everything = [("plans", "**/plan.json\n"), ("registries", "./registry\n"), ("profiles", "sb/*.sb\n\n")];
    let good = action.run(&suite, &[&everything[..], &[("frozen", frozen)]].concat());
    assert_eq!((good.status, good.stdout.as_str()), (Some(0), ""), "{}", good.stderr);
    // Every part is looked at, also after one that fails.
    suite.change(PROBES, |probes| probes["probes"]["demo:a:x"]["expected"] = serde_json::json!("maybe"));
    suite.write(PROFILE_TEXT, b"(version 1)\n(deny default)\n(allow file-read* (literal \"/x\")\n");
    let bad = action.run(&suite, &everything);
    // The worst status wins: the profile cannot be read to its end.
    assert_eq!(bad.status, Some(3), "{} {}", bad.stdout, bad.stderr);
    for said in ["::error file=registry/probes.json", "::error file=sb/a.sb"] {
        assert!(bad.stdout.contains(said), "{said}: {}", bad.stdout);
    }
    let suite = Suite::new();
    suite.write("sb/b.sb", b"(version 1)\n(deny default)\n(allow file-read-data (subpath \"/etc/ssl\"))\n");
    let strict = [("profiles", "sb/b.sb"), ("deny-warnings", "true")];
    let on_linux = action.run(&suite, &[&strict[..], &[("system", "linux")]].concat());
    assert_eq!((on_linux.status, on_linux.stdout.as_str()), (Some(0), ""), "{}", on_linux.stderr);
    for (inputs, status, said) in [
        (&strict[..], 1, "link-in-path"),
        (&[("profiles", "sb/b.sb"), ("system", "windows")], 2, "windows"),
        (&[], 2, "nothing to lint"),
        (&[("plans", "absent*.json")], 3, "no file matches absent*.json"),
        (&[("frozen", "x")], 2, "frozen is about a plan"),
        (&[("profiles", "sb/a.sb"), ("deny-warnings", "maybe")], 2, "neither true nor false"),
        (&[("registries", "absent")], 3, "absent"),
    ] {
        let outcome = action.run(&suite, inputs);
        assert_eq!(outcome.status, Some(status), "{inputs:?} {} {}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains(said) || outcome.stderr.contains(said), "{inputs:?} {}", outcome.stdout);
    }
}

#[test]
fn the_action_takes_warnings_for_errors_when_told_to_and_notices_drift() {
    let (action, suite) = (action(), Suite::new());
    suite.change(PLAN, |plan| plan["remark"] = serde_json::json!("an unknown key"));
    let plans = ("plans", "plan.json");
    assert_eq!(action.run(&suite, &[plans]).status, Some(0));
    let denied = action.run(&suite, &[plans, ("deny-warnings", "true")]);
    assert_eq!(denied.status, Some(1), "{} {}", denied.stdout, denied.stderr);
    let drifted = action.run(&suite, &[plans, ("frozen", &"0".repeat(64))]);
    assert!(drifted.status == Some(1) && drifted.stdout.contains("compiled digest"), "{}", drifted.stdout);
}
