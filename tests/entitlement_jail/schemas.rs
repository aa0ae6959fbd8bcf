//! The schemas of records: every record of these tests meets its own ([`crate::support::Place::record`]); here, that they ask
//! for what is written and for nothing less.

use runtime::schema::{self, Validator};
use serde_json::{Map, Value, json};

use crate::support::Place;

/// One rich record of every kind, and one of a program that was not started.
fn records() -> Vec<Value> {
    let place = Place::new();
    let fifo = place.path("go");
    let fifo = fifo.to_str().unwrap();
    let mut records: Vec<Value> = Vec::new();
    for words in [
        &["run-xpc", "--profile", "minimal", "--observer", "always", "--log", "l", "fs_op"][..],
        &["wait-xpc", "--profile", "minimal", "--observer", "always", "--wait-fifo", fifo, "--wait-create", "fs_op"],
        &["probe-wait", "--profile", "minimal", "fs_op_wait", "--wait-fifo", fifo, "--wait-create"],
        &["run-matrix", "--group", "inject"],
        &["bundle-evidence"],
        &["observe", "--pid", "42", "--process-name", "P"],
    ] {
        let (ran, record) = place.record(words, &[("EJ_FAKE_FAULT", "deny")]);
        assert_eq!(ran.status, 0, "{ran:?}");
        records.push(record);
    }
    let program = place.path("book/tools/entitlement/EntitlementJail.app/Contents/MacOS/entitlement-jail");
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, "no program").unwrap();
    for words in [&["run-xpc", "--profile", "minimal", "fs_op"][..], &["run-matrix", "--group", "debug"]] {
        records.push(place.record(words, &[]).1);
    }
    records
}

/// Every object in a value, with its pointer; not those that the app made.
fn objects(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(pointer.to_owned());
            for (key, inner) in members.iter().filter(|(key, _)| *key != "stdout_json" && *key != "wait_info") {
                objects(inner, &format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| objects(item, &format!("{pointer}/{at}"), found));
        }
        _ => {}
    }
}

/// Keys that a record of this kind need not have.
fn may_be_absent(pointer: &str, key: &str, record: &Value) -> bool {
    let at_top = ["error", "stdout_json", "stdout_json_error", "wait_args", "wait_args_source", "group"];
    let tag = schema::tag_of(record).unwrap_or_default();
    match pointer {
        "" => at_top.contains(&key) && (!tag.contains("_wait.") || !key.starts_with("stdout_json")),
        "/request" => key == "group",
        // What a record of the observer has depends on how far it came.
        "/observer" => !["command", "command_executed", "exit_status", "signal", "timed_out", "killed"].contains(&key),
        _ => false,
    }
}

#[test]
fn a_record_with_a_key_too_few_or_too_many_or_of_another_type_is_refused() {
    let mut count = 0;
    for record in records() {
        let tag = schema::tag_of(&record).unwrap();
        let validator = Validator::of(schema::by_tag(tag, &record).unwrap());
        let mut pointers = Vec::new();
        objects(&record, "", &mut pointers);
        for pointer in pointers {
            let members: Map<String, Value> = record.pointer(&pointer).unwrap().as_object().unwrap().clone();
            let changed = |change: &dyn Fn(&mut Map<String, Value>)| {
                let mut document = record.clone();
                change(document.pointer_mut(&pointer).unwrap().as_object_mut().unwrap());
                document
            };
            let strange = changed(&|own| drop(own.insert("stranger".to_owned(), json!(1))));
            assert!(!validator.accepts(&strange), "{tag} {pointer}: a stranger");
            for key in members.keys() {
                let without = changed(&|own| drop(own.shift_remove(key)));
                let refused = !validator.accepts(&without);
                assert!(refused || may_be_absent(&pointer, key, &record), "{tag} {pointer}/{key} is not asked for");
                let other = if members[key].is_array() { json!({"x": 1}) } else { json!([[1]]) };
                let other = changed(&|own| drop(own.insert(key.clone(), other.clone())));
                assert!(key == "stdout_json" || !validator.accepts(&other), "{tag} {pointer}/{key} may be anything");
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

#[test]
fn every_tag_of_a_record_has_its_schema() {
    let named = schema::all().iter().filter(|schema| schema.name.starts_with("entitlement-jail-"));
    let tags: Vec<String> = named.flat_map(schema::Schema::tags).collect();
    let word = |name: &str| format!("runtime-tools.entitlement_jail_{name}.v0.1");
    assert_eq!(tags, ["run", "wait", "collection", "observation"].map(word));
}
