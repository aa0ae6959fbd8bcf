//! Documents made wrong, one place at a time.

use runtime::base::position::escape;
use serde_json::{Value, json};

/// A document with one change, and which.
pub(crate) struct Mutant {
    pub(crate) what: String,
    pub(crate) document: Value,
}

/// Values that take the place of every value of a document.
fn strangers() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(7),
        json!(-7),
        json!(7.5),
        json!(18_446_744_073_709_551_615_u64),
        json!(""),
        json!("x"),
        json!("X"),
        json!("a\u{1}b"),
        json!("a\u{0}b"),
        json!("../x"),
        json!(".."),
        json!("./x"),
        json!("/x"),
        json!("a//b"),
        json!("a/../b"),
        json!(".a/..b/c..d"),
        json!("0777"),
        json!("0888"),
        json!("1777"),
        json!("x.bin"),
        json!("é".repeat(600)),
        json!("x".repeat(1025)),
        json!([]),
        json!(["x"]),
        json!(["x", "x"]),
        json!([7]),
        json!([null]),
        json!({}),
        json!({"x": 1}),
        json!({"x": {}}),
    ]
}

/// Every mutant of `document`: each value replaced by each stranger, each key dropped, keys and members added.
pub(crate) fn mutants(document: &Value) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for pointer in pointers(document) {
        let mut add = |what: String, change: &dyn Fn(&mut Value)| {
            let mut changed = document.clone();
            change(changed.pointer_mut(&pointer).unwrap());
            if changed != *document {
                mutants.push(Mutant { what, document: changed });
            }
        };
        for stranger in strangers() {
            let mut shown = stranger.to_string();
            shown.truncate(shown.char_indices().nth(30).map_or(shown.len(), |(at, _)| at));
            add(format!("{pointer} = {shown}"), &|value| *value = stranger.clone());
        }
        match document.pointer(&pointer).unwrap() {
            Value::Object(members) => {
                for key in members.keys() {
                    add(format!("{pointer} without {key}"), &|value| {
                        drop(value.as_object_mut().unwrap().shift_remove(key))
                    });
                }
                for (key, value) in [
                    ("Surplus", json!(null)),
                    ("schema_versions", json!({})),
                    ("", json!({})),
                    ("..", json!({})),
                    ("a\u{7}", json!([])),
                ] {
                    add(format!("{pointer} with {key:?}"), &|object| object[key] = value.clone());
                }
                if let Some(value) = members.values().next() {
                    for name in ["copy", "..", ""] {
                        add(format!("{pointer} with a copy called {name:?}"), &|object| object[name] = value.clone());
                    }
                }
            }
            Value::Array(members) => {
                for (number, member) in members.iter().enumerate() {
                    add(format!("{pointer} with {number} twice"), &|array| {
                        array.as_array_mut().unwrap().push(member.clone())
                    });
                    add(format!("{pointer} without {number}"), &|array| {
                        drop(array.as_array_mut().unwrap().remove(number))
                    });
                }
                for (number, key, value) in foreign(members) {
                    add(format!("{pointer}/{number} with the {key} of another"), &|array| {
                        array[number][key] = value.clone()
                    });
                }
                add(format!("{pointer} with a number"), &|array| array.as_array_mut().unwrap().push(json!(7)));
            }
            Value::String(text) => {
                add(format!("{pointer} spelt otherwise"), &|value| *value = json!(format!("{text}x")))
            }
            _ => {}
        }
    }
    mutants
}

/// Keys of the members of an array that other members lack: the number of the one that lacks it, the key, and a value.
fn foreign(members: &[Value]) -> Vec<(usize, &String, &Value)> {
    let keys: Vec<(&String, &Value)> = members.iter().filter_map(Value::as_object).flatten().collect();
    let lacking = |(number, member): (usize, &Value)| {
        let lacks = |key: &str| member.is_object() && member.get(key).is_none();
        keys.iter().filter(|(key, _)| lacks(key)).map(|(key, value)| (number, *key, *value)).collect::<Vec<_>>()
    };
    members.iter().enumerate().flat_map(lacking).collect()
}

/// The places of all values of a document, its own included. Of the members of an array only the first four are taken:
/// the others are alike.
fn pointers(document: &Value) -> Vec<String> {
    fn go(value: &Value, at: &str, into: &mut Vec<String>) {
        into.push(at.to_owned());
        match value {
            Value::Object(members) => members.iter().for_each(|(key, v)| go(v, &format!("{at}/{}", escape(key)), into)),
            Value::Array(members) => {
                members.iter().enumerate().take(8).for_each(|(number, v)| go(v, &format!("{at}/{number}"), into));
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    go(document, "", &mut all);
    all
}

/// A schema with one keyword or one word of it taken away, and which: each admits more than the whole one, or, of `required`
/// and closed objects, asks for less.
pub(crate) fn weakened(schema: &Value) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for pointer in keywords(schema) {
        let (parent, keyword) = pointer.rsplit_once('/').unwrap();
        let drop_it = |change: &dyn Fn(&mut Value)| {
            let mut changed = schema.clone();
            change(changed.pointer_mut(parent).unwrap());
            changed
        };
        if keyword == "required" {
            for at in 0..schema.pointer(&pointer).unwrap().as_array().unwrap().len() {
                let what = format!("{pointer} without {}", schema.pointer(&pointer).unwrap()[at]);
                let document = drop_it(&|object| drop(object["required"].as_array_mut().unwrap().remove(at)));
                mutants.push(Mutant { what, document });
            }
        } else {
            let document = drop_it(&|object| drop(object.as_object_mut().unwrap().shift_remove(keyword)));
            mutants.push(Mutant { what: format!("without {pointer}"), document });
        }
    }
    mutants
}

/// The places of all keywords that demand something.
fn keywords(schema: &Value) -> Vec<String> {
    fn go(schema: &Value, at: &str, into: &mut Vec<String>) {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let here = format!("{at}/{keyword}");
            match keyword.as_str() {
                "title" | "description" | "$schema" => {}
                "properties" | "$defs" => {
                    for (key, inner) in value.as_object().unwrap() {
                        let below = format!("{here}/{}", escape(key));
                        match inner {
                            Value::Bool(_) => into.push(below),
                            _ => go(inner, &below, into),
                        }
                    }
                }
                "allOf" => {
                    value.as_array().unwrap().iter().enumerate().for_each(|(n, v)| go(v, &format!("{here}/{n}"), into))
                }
                "items" | "propertyNames" | "then" | "else" => go(value, &here, into),
                "additionalProperties" if value.is_object() => go(value, &here, into),
                // What an `if` asks is a condition, not a demand.
                "if" => {}
                _ => into.push(here),
            }
        }
    }
    let mut all = Vec::new();
    go(schema, "", &mut all);
    all
}
