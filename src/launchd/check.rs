//! Whether a plan is what its own givens lead to. Pure.
//!
//! Most of a plan follows from little: run, user, directories, programs, limits. Whoever executes a plan reads these givens out of
//! it, plans anew and compares: a word of a command line, a key of the property list or a path of the rule of waiting that was
//! changed alone contradicts the rest, and such a plan is not executed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::job::{Argument, JobPlan, OWN_VARIABLES, Request};
use crate::base::json::differences;

/// The places, as JSON pointers, where a plan says something else than its givens lead to; none: it may be executed.
#[must_use]
pub fn contradictions(plan: &Value) -> Vec<String> {
    let text = |pointer: &str| plan.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let path = |pointer: &str| PathBuf::from(text(pointer));
    let list = |pointer: &str| plan.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let pairs = |pointer: &str| {
        let members = plan.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
        members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
    };
    let seconds = |pointer: &str| plan.pointer(pointer).and_then(Value::as_f64).unwrap_or_default();

    let (run_id, label, stage) = (text("/run_id"), text("/label"), path("/stage/root"));
    let from = list("/stage/files").filter_map(|file| file["from"].as_str()).map(PathBuf::from).collect::<Vec<_>>();
    let (program, inputs) = from.split_first().map_or((Path::new(""), &[][..]), |(first, rest)| (first, rest));
    let arguments: Vec<Argument> =
        list("/job/arguments").filter_map(Value::as_str).map(|word| Argument::Word(word.to_owned())).collect();
    let environment: BTreeMap<String, String> = pairs("/domains/0/plist/EnvironmentVariables")
        .filter(|(name, _)| !OWN_VARIABLES.contains(&name.as_str()))
        .collect();
    let again = JobPlan::new(&Request {
        run_id,
        uid: text("/domains/0/domain").strip_prefix("gui/").and_then(|uid| uid.parse().ok()).unwrap_or_default(),
        staging_base: stage.parent().unwrap_or(Path::new("")),
        label_prefix: label.strip_suffix(run_id).and_then(|rest| rest.strip_suffix('.')).unwrap_or_default(),
        program,
        root: &path("/root"),
        inputs,
        out: path("/collect/to").parent().unwrap_or(Path::new("")),
        recorded_dir: text("/job/recorded_dir"),
        arguments: &arguments,
        environment,
        stand_in_tools: pairs("/stand_in_tools").map(|(name, path)| (name, PathBuf::from(path))).collect(),
        helper_limit_s: seconds("/helper_limit_s"),
        start_limit_s: seconds("/wait/start_limit_s"),
        limit_s: seconds("/wait/limit_s"),
    });
    let again = serde_json::to_value(&again).expect("a plan is made of text and numbers");
    differences(plan, &again)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a plan is made of: nothing else of it says the same, so a change is another plan and no contradiction.
    const GIVEN: [&str; 8] = [
        "/stage/files/0/from",
        "/job/arguments/0",
        "/job/arguments/1",
        "/job/arguments/2",
        "/job/recorded_dir",
        "/helper_limit_s",
        "/wait/start_limit_s",
        "/wait/limit_s",
    ];

    fn plan(stand_in: bool) -> Value {
        let tools = [("launchctl", "/stand-ins/launchctl"), ("plutil", "/stand-ins/plutil"), ("log", "/stand-ins/log")];
        let tools = tools.map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        let arguments = [
            Argument::Word("run".to_owned()),
            Argument::Word("--plan".to_owned()),
            Argument::Path("/suite/plan.json".into()),
        ];
        let plan = JobPlan::new(&Request {
            run_id: "run",
            uid: 501,
            staging_base: Path::new("/stages"),
            label_prefix: "demo.runtime",
            program: Path::new("/bin/program"),
            root: Path::new("/suite"),
            inputs: &["/suite/plan.json".into(), "/elsewhere/p.sb".into()],
            out: Path::new("/suite/out"),
            recorded_dir: "out/run",
            arguments: &arguments,
            environment: BTreeMap::from([("SANDBOX_LORE_PREFLIGHT".to_owned(), "0".to_owned())]),
            stand_in_tools: if stand_in { tools.into() } else { BTreeMap::new() },
            helper_limit_s: 5.0,
            start_limit_s: 6.0,
            limit_s: 7.0,
        });
        serde_json::to_value(&plan).unwrap()
    }

    fn leaves(value: &Value, at: &str, all: &mut Vec<String>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                members.iter().for_each(|(key, value)| leaves(value, &format!("{at}/{key}"), all));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(index, value)| leaves(value, &format!("{at}/{index}"), all));
            }
            _ => all.push(at.to_owned()),
        }
    }

    #[test]
    fn every_word_key_and_rule_that_is_changed_alone_is_refused() {
        for stand_in in [false, true] {
            let plan = plan(stand_in);
            assert_eq!(contradictions(&plan), Vec::<String>::new());
            let mut all = Vec::new();
            leaves(&plan, "", &mut all);
            assert!(all.len() > 110, "{}", all.len());
            for leaf in &all {
                let mut mutated = plan.clone();
                let place = mutated.pointer_mut(leaf).unwrap();
                *place = match place {
                    Value::String(text) => Value::String(format!("{text}x")),
                    Value::Bool(value) => Value::Bool(!*value),
                    Value::Number(number) => serde_json::json!(number.as_f64().unwrap() + 1.0),
                    _ => serde_json::json!("x"),
                };
                let found = contradictions(&mutated);
                let given = GIVEN.contains(&leaf.as_str());
                assert_eq!(found.is_empty(), given, "{leaf}: {found:?}");
                println!("{}: {leaf}", if given { "given" } else { "refused" });
            }
        }
    }

    #[test]
    fn every_key_that_is_missing_and_every_one_too_many_is_refused() {
        let plan = plan(false);
        let mut objects = vec![String::new()];
        let mut seen = 0;
        while let Some(at) = objects.pop() {
            let Some(Value::Object(members)) = plan.pointer(&at) else { continue };
            for (key, value) in members {
                if value.is_object() {
                    objects.push(format!("{at}/{key}"));
                }
                let mut without = plan.clone();
                without.pointer_mut(&at).unwrap().as_object_mut().unwrap().shift_remove(key);
                assert!(!contradictions(&without).is_empty(), "{at}/{key}");
                seen += 1;
            }
            // A variable more in one of the two property lists, or a key more anywhere, contradicts the rest.
            let mut more = plan.clone();
            more.pointer_mut(&at).unwrap().as_object_mut().unwrap().insert("more".to_owned(), "x".into());
            assert!(!contradictions(&more).is_empty(), "{at}");
        }
        assert!(seen > 40, "{seen}");
    }
}
