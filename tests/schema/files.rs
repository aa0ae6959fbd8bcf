//! The schema files themselves: made ones are up to date; all are usable, stand alone and are written in one form.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use runtime::base::json;
use runtime::schema::{self, Validator};
use runtime::template::{BuildOptions, build_plan_from_template};
use serde_json::{Value, json};

use crate::generate::generated;

/// The keywords that the schemas use, which is what a validator must know to read them. An unknown keyword means nothing to a
/// validator, so a misspelt one would check nothing.
const KEYWORDS: &[&str] = &[
    "$defs",
    "$ref",
    "$schema",
    "additionalProperties",
    "allOf",
    "const",
    "description",
    "else",
    "enum",
    "if",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "not",
    "pattern",
    "properties",
    "propertyNames",
    "required",
    "then",
    "title",
    "type",
    "uniqueItems",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

/// Calls `visit` with every schema inside `schema`, itself included.
fn walk(schema: &Value, visit: &mut dyn FnMut(&Value)) {
    visit(schema);
    let Some(members) = schema.as_object() else { return };
    for (keyword, value) in members {
        match keyword.as_str() {
            "properties" | "$defs" => value.as_object().unwrap().values().for_each(|inner| walk(inner, visit)),
            "allOf" => value.as_array().unwrap().iter().for_each(|inner| walk(inner, visit)),
            "items" | "additionalProperties" | "propertyNames" | "if" | "then" | "else" | "not" => walk(value, visit),
            _ => {}
        }
    }
}

/// What is wrong with a schema beyond the rules of JSON Schema.
fn faults(schema: &Value) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let definitions: Vec<&String> =
        schema.get("$defs").and_then(Value::as_object).into_iter().flat_map(|d| d.keys()).collect();
    let mut used = BTreeSet::new();
    walk(schema, &mut |inner| {
        for (keyword, value) in inner.as_object().into_iter().flatten() {
            if !KEYWORDS.contains(&keyword.as_str()) {
                faults.insert(format!("unknown keyword {keyword}"));
            }
            if keyword == "$ref" {
                let name = value.as_str().and_then(|to| to.strip_prefix("#/$defs/")).map(str::to_owned);
                match name {
                    Some(name) if definitions.contains(&&name) => drop(used.insert(name)),
                    _ => drop(faults.insert(format!("{value} leads nowhere"))),
                }
            }
        }
        let properties = inner.get("properties").and_then(Value::as_object);
        for key in inner.get("required").and_then(Value::as_array).into_iter().flatten() {
            let known = properties.is_none_or(|properties| properties.contains_key(key.as_str().unwrap()));
            if inner.get("type").is_some() && !known {
                faults.insert(format!("requires {key}, which it does not know"));
            }
        }
    });
    for name in definitions.into_iter().filter(|name| !used.contains(*name)) {
        faults.insert(format!("nothing uses $defs/{name}"));
    }
    faults
}

/// `UPDATE_SCHEMAS=1 cargo test --test schema` writes them.
#[test]
fn made_schemas_are_those_that_the_tables_make() {
    for (name, value) in generated() {
        let path = folder().join(format!("{name}.schema.json"));
        let text = json::to_pretty(&value);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{} is not what the tables make; UPDATE_SCHEMAS=1 writes it", path.display());
    }
}

#[test]
fn every_file_is_embedded_usable_and_in_one_form() {
    let files: BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let embedded: BTreeSet<String> =
        schema::all().iter().map(|schema| format!("{}.schema.json", schema.name)).collect();
    assert_eq!(files, embedded);
    for schema in schema::all() {
        let value = json::read(schema.text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", schema.name));
        assert_eq!(json::to_pretty(&value), schema.text, "{} is written in another form", schema.name);
        jsonschema::draft202012::meta::validate(&value).unwrap_or_else(|error| panic!("{}: {error}", schema.name));
        assert_eq!(value["$schema"], "https://json-schema.org/draft/2020-12/schema", "{}", schema.name);
        assert_eq!(faults(&value), BTreeSet::new(), "{}", schema.name);
        assert!(value["title"].is_string() && !schema.description().is_empty(), "{}", schema.name);
        let _ = Validator::of(schema);
        for tag in schema.tags() {
            let members =
                value["required"].as_array().unwrap().iter().map(|key| (key.as_str().unwrap().to_owned(), json!(0)));
            assert_eq!(schema::by_tag(&tag, &Value::Object(members.collect())), Some(schema), "{tag}");
            assert!(schema::by_tag(&tag, &json!({})).is_some(), "{tag}");
        }
    }
    for unknown in ["runtime-tools.plan.v9", "runtime-tools", ""] {
        assert_eq!(schema::by_tag(unknown, &json!({})), None, "{unknown}");
    }
}

#[test]
fn a_definition_is_the_same_wherever_it_stands() {
    let mut first: BTreeMap<String, (&str, Value)> = BTreeMap::new();
    for schema in schema::all() {
        for (name, definition) in schema.value().get("$defs").and_then(Value::as_object).into_iter().flatten() {
            let (owner, known) = first.entry(name.clone()).or_insert_with(|| (schema.name, definition.clone()));
            assert!(known == definition, "$defs/{name} of {} and {owner} differ", schema.name);
        }
    }
    assert!(first.len() > 10);
}

#[test]
fn a_faulty_schema_is_seen() {
    for (schema, fault) in [
        (json!({"requried": ["a"]}), "unknown keyword requried"),
        (json!({"items": {"properties": {"a": {"typ": "string"}}}}), "unknown keyword typ"),
        (json!({"allOf": [{"then": {"$ref": "#/$defs/x"}}]}), "\"#/$defs/x\" leads nowhere"),
        (json!({"$ref": "https://example.org/x"}), "\"https://example.org/x\" leads nowhere"),
        (json!({"$defs": {"x": {}}}), "nothing uses $defs/x"),
        (json!({"type": "object", "required": ["a"], "properties": {}}), "requires \"a\", which it does not know"),
    ] {
        assert_eq!(faults(&schema), BTreeSet::from([fault.to_owned()]), "{schema}");
    }
    assert!(Validator::compile(json!({"type": "strin"})).is_err());
    assert!(Validator::compile(json!({"pattern": "("})).is_err());
}

/// Copies a directory with all in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn shipped_templates_meet_their_schema() {
    let templates = folder().join("../plans/templates");
    let validator = Validator::of(schema::by_name("plan-template").unwrap());
    let mut count = 0;
    for entry in std::fs::read_dir(templates).unwrap() {
        let path = entry.unwrap().path().join("template.json");
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let document = json::read(&bytes).unwrap();
        assert_eq!(validator.violations(&document), [], "{}", path.display());
        // Every key of every level that has a table can be broken, and is refused.
        let id = document["template_id"].as_str().unwrap();
        let templates = tempfile::tempdir().unwrap();
        let folder = templates.path().join(id);
        copy(path.parent().unwrap(), &folder);
        for (pointer, wrong) in [
            ("/schema_version", json!("runtime-tools.plan_template.v9")),
            ("/template_id", json!("")),
            ("/description", json!(1)),
            ("/world_id", json!([])),
            ("/registry_id", json!({})),
            ("/parameters", json!({"lower": {"description": "x"}})),
            ("/parameters", json!({"UPPER": {}})),
            ("/parameters", json!({"UPPER": {"description": "x", "defualt": "y"}})),
            ("/files", json!(["/absolute"])),
            ("/files", json!(["a/../b"])),
            ("/files", json!("a")),
            ("/generator", json!("none")),
            ("/profiles", json!([])),
            ("/stranger", json!(1)),
        ] {
            let mut bad = document.clone();
            bad[&pointer[1..]] = wrong.clone();
            assert!(!validator.accepts(&bad), "{} {pointer} {wrong}", path.display());
            // So does the reader: what a schema refuses cannot be built.
            std::fs::write(folder.join("template.json"), bad.to_string()).unwrap();
            let options =
                BuildOptions { templates: Some(templates.path().to_path_buf()), dry: true, ..BuildOptions::default() };
            let built = build_plan_from_template(id, &templates.path().join("out"), &options);
            assert!(built.is_err(), "{} {pointer} {wrong}", path.display());
        }
        let mut bare = document.clone();
        bare.as_object_mut().unwrap().shift_remove("template_id");
        assert!(!validator.accepts(&bare), "{}", path.display());
        count += 1;
    }
    assert!(count > 5, "{count}");
}
