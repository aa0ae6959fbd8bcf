//! Comparing documents leaf by leaf, and proof that no change of any leaf goes unseen.

use runtime::base::json::differences;
use serde_json::Value;

/// The pointers of all leaves; an empty array or object is one.
pub(crate) fn leaves(value: &Value) -> Vec<String> {
    let inside = |items: Vec<(String, &Value)>| -> Vec<String> {
        let below = |(key, value): (String, &Value)| leaves(value).into_iter().map(move |leaf| format!("/{key}{leaf}"));
        items.into_iter().flat_map(|item| below(item).collect::<Vec<_>>()).collect()
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            inside(members.iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Value::Array(items) if !items.is_empty() => {
            inside(items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect())
        }
        _ => vec![String::new()],
    }
}

/// Changes every leaf of `document` in turn: each change must be seen, under its own name.
#[track_caller]
pub(crate) fn assert_every_mutation_is_seen(document: &Value, what: &str) {
    let all = leaves(document);
    for leaf in &all {
        let mut mutated = document.clone();
        let place = mutated.pointer_mut(leaf).unwrap();
        *place = match place {
            Value::String(text) => Value::String(format!("{text}x")),
            Value::Bool(value) => Value::Bool(!*value),
            Value::Number(number) => serde_json::json!(number.as_f64().unwrap() + 1.0),
            _ => serde_json::json!("x"),
        };
        assert_eq!(differences(&mutated, document), std::slice::from_ref(leaf));
        println!("{what}: a change of {leaf} is seen");
    }
    assert!(all.len() > 20, "{what} has {} leaves", all.len());
}

/// The document meets its schema, and with any of its keys renamed or taken away it does not, where the schema needs the key.
#[track_caller]
pub(crate) fn assert_meets(schema: &str, document: &Value) {
    let schema = runtime::schema::by_name(schema).unwrap();
    let validator = runtime::schema::Validator::of(schema);
    let violations = validator.violations(document);
    assert!(violations.is_empty(), "{}: {violations:#?}", schema.name);
    let keys: Vec<String> = document.as_object().unwrap().keys().cloned().collect();
    let mut needed = 0;
    for key in keys {
        let mut renamed = document.clone();
        let members = renamed.as_object_mut().unwrap();
        let value = members.shift_remove(&key).unwrap();
        let without = Value::Object(members.clone());
        members.insert(format!("{key}x"), value);
        assert!(!validator.violations(&renamed).is_empty(), "{} takes {key}x", schema.name);
        needed += usize::from(!validator.violations(&without).is_empty());
    }
    assert!(needed > 5, "{} needs {needed} keys", schema.name);
}
