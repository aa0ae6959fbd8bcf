//! The schemas of documents that people write, made from the tables that the readers check with.

use runtime::fixture;
use runtime::links::{self, Inner, Shape};
use runtime::plan::{self, fixtures};
use runtime::registry::{
    self, INDEX_TAG, PROBES_TAG, PROFILES_TAG,
    check::{Field, Kind, LANES, MAX_ID_BYTES},
};
use runtime::template;
use serde_json::{Map, Value, json};

/// No control character. The ranges are those of the Unicode category Cc.
const TEXT: &str = r"[^\u0000-\u001f\u007f-\u009f]";

/// Every made schema with the name of its file.
pub(crate) fn generated() -> Vec<(&'static str, Value)> {
    vec![
        ("plan", plan()),
        ("probe-registry", probe_registry()),
        ("profile-registry", profile_registry()),
        ("registry-index", registry_index()),
        ("fixture-set", fixture_set()),
        ("plan-template", plan_template()),
        ("runtime-links", runtime_links()),
    ]
}

fn plan() -> Value {
    let mut schema = object(plan::PLAN_FIELDS, true);
    tag(&mut schema, plan::PLAN_TAG);
    more(&mut schema, "profiles", json!({"minItems": 1, "uniqueItems": true}));
    say(&mut schema, "profiles", "Profile ids of the registry, in run order; at least one, none twice.");
    say(&mut schema, "world_id", "An exact world, a family such as linux, or host; absent: the host it runs on.");
    say(&mut schema, "lanes", "Which lanes run; a lane that is not named is on.");
    say(&mut schema, "controls", "Digested, never acted on.");
    say(&mut schema, "apply_preflight_profile", "Path of a profile that is applied once before the run.");
    say(&mut schema, "fixtures", "Path of a fixture set.");
    more(&mut schema, "accepted_lints", json!({"additionalProperties": {"type": "string", "pattern": r"\S"}}));
    say(&mut schema, "accepted_lints", "Ids of warnings that are meant, each with the reason.");
    schema["properties"]["schema_versions"] = Value::Bool(false);
    document("Plan", "Which profiles of which registry run in which lanes.", schema, &["id"])
}

fn probe_registry() -> Value {
    let mut probe = object(registry::PROBE_FIELDS, false);
    say(&mut probe, "probe_id", "Equals the key of the entry.");
    more(&mut probe, "name", json!({"minLength": 1}));
    say(&mut probe, "operation", "An SBPL operation, which may end in *.");
    more(&mut probe, "target", json!({"pattern": r"^[^\u0000]+$"}));
    say(&mut probe, "target", "What the operation acts on; may begin with ${FIXTURES}.");
    let mut schema = object(registry::PROBE_REGISTRY_FIELDS, true);
    tag(&mut schema, PROBES_TAG);
    entries(&mut schema, "probes", probe);
    document(
        "Probe registry",
        "Probes by id: one operation on one target each, with the decision expected.",
        schema,
        &["id"],
    )
}

fn profile_registry() -> Value {
    let mut profile = object(registry::PROFILE_FIELDS, false);
    say(&mut profile, "profile_id", "Equals the key of the entry.");
    say(&mut profile, "profile_path", "Path of the policy's file.");
    more(&mut profile, "probe_refs", json!({"minItems": 1}));
    say(&mut profile, "probe_refs", "Probe ids of the registry, in run order; at least one, none twice.");
    profile["if"] = json!({"properties": {"mode": {"const": "sbpl"}}});
    profile["then"] = json!({"properties": {"profile_path": {
        "not": {"type": "string", "pattern": r"\.bin$"}, "description": "A profile of mode sbpl is a text, not a compiled blob.",
    }}});
    let mut schema = object(registry::PROFILE_REGISTRY_FIELDS, true);
    tag(&mut schema, PROFILES_TAG);
    entries(&mut schema, "profiles", profile);
    document(
        "Profile registry",
        "Profiles by id: one sandbox policy each, with its probes in run order.",
        schema,
        &["id"],
    )
}

fn registry_index() -> Value {
    let mut entry = object(registry::INDEX_ENTRY_FIELDS, true);
    for key in ["probes", "profiles"] {
        say(&mut entry, key, &format!("Path of the registry of {key}."));
    }
    let mut schema = object(registry::INDEX_FIELDS, true);
    tag(&mut schema, INDEX_TAG);
    schema["properties"]["registries"]["items"] = entry;
    document("Registry index", "Which registries there are, by id.", schema, &["id"])
}

/// A relative path of plain components.
fn plain_path() -> String {
    let component = format!(
        "({}|{}|{})",
        r"[^\u0000-\u001f\u007f-\u009f./]", r"\.[^\u0000-\u001f\u007f-\u009f./]", r"\.\.[^\u0000-\u001f\u007f-\u009f/]"
    );
    let rest = r"[^\u0000-\u001f\u007f-\u009f/]*";
    format!("^{component}{rest}(/{component}{rest})*$")
}

fn plan_template() -> Value {
    let mut parameter = object(template::PARAMETER_FIELDS, false);
    say(&mut parameter, "pattern", "A regular expression that the whole value must match.");
    let mut schema = object(template::TEMPLATE_FIELDS, true);
    tag(&mut schema, template::TEMPLATE_TAG);
    let names =
        json!({"pattern": "^[A-Z][A-Z0-9_]{0,63}$", "description": "Upper-case letters, digits and underscores."});
    more(&mut schema, "parameters", json!({"propertyNames": names, "additionalProperties": parameter}));
    schema["properties"]["files"]["items"]["pattern"] = json!(plain_path());
    say(&mut schema, "files", "Files of the template's folder that are part of the suite.");
    // Either the suite is written down, or a generator makes it, which the template or its folder's name says.
    let keys = |fields: &[&[Field]]| -> Vec<&str> { fields.iter().copied().flatten().map(|field| field.key).collect() };
    schema["if"] = object(template::STATIC_FIELDS, true);
    schema["then"] = json!({"propertyNames": {"enum": keys(&[template::TEMPLATE_FIELDS, template::STATIC_FIELDS])}});
    let mut generated = object(template::HEAD_FIELDS, true);
    let mut all = keys(&[template::TEMPLATE_FIELDS, template::HEAD_FIELDS]);
    let mut branches = Vec::new();
    for (generator, own) in template::GENERATOR_FIELDS {
        all.extend(keys(&[own]));
        let asked = json!({"properties": {"generator": {"const": generator}}, "required": ["generator"]});
        branches.push(json!({"if": asked, "then": object(own, true)}));
    }
    all.sort_unstable();
    all.dedup();
    generated["propertyNames"] = json!({"enum": all});
    generated["allOf"] = Value::Array(branches);
    schema["else"] = generated;
    let about = "What a suite is built from: plan and registry with parameters, or the input of a generator.";
    document("Plan template", about, schema, &["id"])
}

fn fixture_set() -> Value {
    let mut entry = object(fixtures::ENTRY_FIELDS, false);
    more(&mut entry, "path", json!({"pattern": plain_path()}));
    say(&mut entry, "path", "A relative path of plain components, declared once.");
    more(&mut entry, "mode", json!({"pattern": "^0?[0-7]{3}$"}));
    say(&mut entry, "mode", "Three or four octal digits, \"0000\" to \"0777\".");
    say(&mut entry, "content", "The text of a file; other kinds have none.");
    say(
        &mut entry,
        "target",
        "What a symbolic link, hard link or bind mount leads to, beneath the folder; other kinds have none.",
    );
    let kind_is = |words: &[&str]| json!({"properties": {"kind": {"enum": words}}, "required": ["kind"]});
    entry["allOf"] = json!([
        {"if": kind_is(&["file"]), "else": {"properties": {"content": false}}},
        {
            "if": kind_is(&["symlink", "hard_link", "bind_mount"]),
            "then": {"required": ["target"]}, "else": {"properties": {"target": false}},
        },
        {"if": kind_is(&["hard_link", "bind_mount"]), "then": {"properties": {"mode": false}}},
    ]);
    let target = &mut entry["properties"]["target"];
    target["pattern"] = json!(format!("^{}{TEXT}*$", r"[^\u0000-\u001f\u007f-\u009f/]"));
    let mut port = object(fixtures::PORT_FIELDS, false);
    more(&mut port, "name", json!({"pattern": "^[A-Z0-9_]{1,32}$"}));
    say(&mut port, "name", "1 to 32 upper-case letters, digits and underscores, declared once.");
    let mut schema = object(fixtures::FIXTURE_SET_FIELDS, true);
    tag(&mut schema, fixture::SCHEMA_VERSION);
    schema["properties"]["entries"]["items"] = json!({"$ref": "#/$defs/fixture_entry"});
    schema["properties"]["ports"]["items"] = json!({"$ref": "#/$defs/fixture_port"});
    let mut schema =
        document("Fixture set", "The files, sockets and ports that the probes of a plan work on.", schema, &[]);
    schema["$defs"] = json!({"fixture_entry": entry, "fixture_port": port});
    schema
}

fn runtime_links() -> Value {
    let mut schema = shape(&links::DOCUMENT);
    // It holds the tag, so it is more than a part that may be absent.
    schema["required"] = json!(["meta"]);
    schema["properties"]["meta"]["type"] = json!("object");
    let meta = &mut schema["properties"]["meta"];
    tag(meta, links::LINKS_TAG);
    say(meta, "inputs", "Paths of the files it was made from.");
    say(meta, "input_hashes", "The digest of every input, by path.");
    say(&mut schema, "links", "The mappings that the ids refer to, by path.");
    say(&mut schema, "packets", "The run behind each promotion packet, by the packet's path.");
    say(&mut schema, "profiles", "What is known of each profile, by its id.");
    say(&mut schema, "expectations", "What was expected of one operation each, by the expectation's id.");
    let about = "Which observations, profiles and expectations belong together, as an earlier step recorded it.";
    document("Runtime links", about, schema, &[])
}

/// The object that a shape describes, with what is in it.
fn shape(of: &Shape) -> Value {
    let mut schema = object(of.fields, true);
    for (key, inner) in of.inner {
        let mut inside = match inner {
            Inner::Object(inner) => shape(inner),
            Inner::Objects(inner) => json!({"additionalProperties": shape(inner)}),
            Inner::Values(kind) => json!({"additionalProperties": value_of(*kind)}),
        };
        // Whether it may be null, the field says.
        inside.as_object_mut().unwrap().shift_remove("type");
        more(&mut schema, key, inside);
    }
    schema
}

/// The object that a table describes; `open` admits other keys, which readers warn about.
fn object(fields: &[Field], open: bool) -> Value {
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.key).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.key.to_owned(), value_of(field.kind))).collect();
    let mut schema = json!({"type": "object", "required": required});
    if !open {
        schema["additionalProperties"] = Value::Bool(false);
    }
    schema["properties"] = Value::Object(properties);
    schema
}

fn value_of(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Id => json!({"$ref": "#/$defs/id"}),
        Kind::OptionalText => json!({"type": ["string", "null"]}),
        Kind::OptionalInteger => json!({"type": ["integer", "null"], "maximum": i64::MAX}),
        Kind::TextList => json!({"type": "array", "items": {"type": "string"}}),
        Kind::IdList => json!({"type": "array", "items": {"$ref": "#/$defs/id"}}),
        Kind::Count => json!({"type": "integer", "minimum": 0}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Sha256 => json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
        Kind::Object => json!({"type": "object"}),
        Kind::OptionalObject => json!({"type": ["object", "null"]}),
        Kind::Array => json!({"type": "array"}),
        Kind::Word(_, words) => json!({"enum": words}),
        Kind::WordList(_, words) => json!({"type": "array", "items": {"enum": words}}),
        Kind::Lanes => {
            let lanes: Map<String, Value> =
                LANES.iter().map(|lane| ((*lane).to_owned(), json!({"type": "boolean"}))).collect();
            json!({"type": "object", "additionalProperties": false, "properties": lanes})
        }
    }
}

/// What `check::id_problem` asks for, as far as a schema can: it counts characters, the reader bytes.
fn id() -> Value {
    let none = r"\u0000-\u001f\u007f-\u009f";
    let begins = format!("([^{none}.]|\\.[^{none}./]|\\.\\.[^{none}/])");
    json!({
        "type": "string", "maxLength": MAX_ID_BYTES,
        "pattern": format!("^{begins}{TEXT}*$"),
        "description": "An id: 1 to 1024 bytes without control characters that do not read as a relative path.",
    })
}

fn tag(schema: &mut Value, tag: &str) {
    schema["properties"]["schema_version"] = json!({"const": tag});
}

fn entries(schema: &mut Value, key: &str, entry: Value) {
    schema["properties"][key]["propertyNames"] = json!({"$ref": "#/$defs/id"});
    schema["properties"][key]["additionalProperties"] = entry;
}

/// Adds what the reader or the lint asks beyond the table.
fn more(schema: &mut Value, key: &str, keywords: Value) {
    let Value::Object(keywords) = keywords else { panic!("keywords are an object") };
    for (keyword, value) in keywords {
        schema["properties"][key][keyword] = value;
    }
}

fn say(schema: &mut Value, key: &str, text: &str) {
    assert!(schema["properties"].get(key).is_some(), "no field {key}");
    schema["properties"][key]["description"] = Value::from(text);
}

fn document(title: &str, description: &str, schema: Value, definitions: &[&str]) -> Value {
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, "description": description,
    });
    let (Value::Object(all), Value::Object(schema)) = (&mut document, schema) else { panic!("objects") };
    all.extend(schema);
    if definitions.contains(&"id") {
        document["$defs"] = json!({"id": id()});
    }
    document
}
