//! Every field of every document, broken one at a time: the finding names the field, and the place where it stands.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::lints::{check_position, fixture, probe_x, spelled};
use crate::suite::{FIXTURES, INDEX, PLAN, PROBES, PROFILES, Suite};

/// The objects that have fields, in [`Suite::full`]: file and pointer.
const OBJECTS: &[(&str, &str)] = &[
    (PLAN, ""),
    (FIXTURES, ""),
    (FIXTURES, "/entries/0"),
    (FIXTURES, "/entries/1"),
    (FIXTURES, "/ports/0"),
    (PROBES, ""),
    (PROBES, "/probes/demo:a:x"),
    (PROFILES, ""),
    (PROFILES, "/profiles/demo:a"),
    (INDEX, ""),
    (INDEX, "/registries/0"),
];

/// One field: whether it must be there, and a value it cannot hold with the finding that must follow, `id` at `rest` below
/// the field.
struct Field {
    object: usize,
    key: &'static str,
    required: bool,
    wrong: Value,
    id: &'static str,
    rest: &'static str,
}

fn fields() -> Vec<Field> {
    let field = |object, key, required, wrong, id, rest| Field { object, key, required, wrong, id, rest };
    let must = |object, key, wrong, id| field(object, key, true, wrong, id, "");
    let may = |object, key, wrong, id| field(object, key, false, wrong, id, "");
    let below = |object, key, wrong, id, rest| field(object, key, false, wrong, id, rest);
    vec![
        must(0, "schema_version", json!(7), "schema-tag"),
        must(0, "schema_version", json!("runtime-tools.plan.v0.2"), "schema-tag"),
        must(0, "plan_id", json!(["demo.v1"]), "wrong-type"),
        must(0, "plan_id", json!("./x"), "unusable-id"),
        must(0, "registry_id", json!(false), "wrong-type"),
        must(0, "registry_id", json!(""), "unusable-id"),
        must(0, "profiles", json!({"demo:a": true}), "wrong-type"),
        below(0, "profiles", json!(["demo:a", "demo:a"]), "duplicate-profile", "/1"),
        below(0, "profiles", json!([7]), "wrong-type", "/0"),
        below(0, "profiles", json!(["demo:z"]), "unknown-profile", "/0"),
        may(0, "world_id", json!(14.4), "wrong-type"),
        may(0, "world_id", json!("linux-"), "unknown-world"),
        may(0, "world_id", json!("sonoma"), "world-mismatch"),
        may(0, "lanes", json!(["scenario"]), "wrong-type"),
        below(0, "lanes", json!({"baseline": null}), "wrong-type", "/baseline"),
        below(0, "lanes", json!({"Oracle": true}), "unknown-lane", "/Oracle"),
        may(0, "controls", json!("baseline"), "wrong-type"),
        below(0, "controls", json!({"x": true}), "unknown-control", "/x"),
        may(0, "apply_preflight_profile", json!(true), "wrong-type"),
        may(0, "apply_preflight_profile", json!("./sb"), "preflight-file-missing"),
        may(0, "apply_preflight_profile", json!("a\tb"), "path-leaves-bound"),
        may(0, "notes", json!([]), "wrong-type"),
        may(0, "fixtures", json!(0), "wrong-type"),
        may(0, "fixtures", json!("./fixtures"), "fixtures-file-missing"),
        may(0, "fixtures", json!("./../f.json"), "path-leaves-bound"),
        may(0, "accepted_lints", json!(["no-lane"]), "wrong-type"),
        below(0, "accepted_lints", json!({"no-lane": ""}), "accepted-lint", "/no-lane"),
        below(0, "accepted_lints", json!({"no-lane": "meant"}), "accepted-lint", "/no-lane"),
        may(0, "note", json!("n"), "unknown-key"),
        must(1, "schema_version", json!(null), "schema-tag"),
        must(1, "entries", json!({"d": {}}), "wrong-type"),
        below(1, "entries", json!(["d/f.txt"]), "wrong-type", "/0"),
        may(1, "ports", json!("A"), "wrong-type"),
        below(1, "ports", json!([7]), "wrong-type", "/0"),
        may(1, "files", json!([]), "unknown-key"),
        must(2, "path", json!(["d"]), "wrong-type"),
        must(2, "path", json!("d//f.txt"), "fixture-path"),
        must(2, "kind", json!(null), "wrong-type"),
        must(2, "kind", json!("File"), "fixture-kind"),
        may(2, "mode", json!(644), "wrong-type"),
        may(2, "mode", json!("0999"), "fixture-mode"),
        may(2, "content", json!(["x"]), "wrong-type"),
        may(2, "target", json!("x"), "fixture-target"),
        may(2, "size", json!(1), "unknown-key"),
        must(3, "path", json!("d/f.txt"), "fixture-duplicate"),
        must(3, "path", json!("d/f.txt/l"), "fixture-parent"),
        must(3, "kind", json!(1), "wrong-type"),
        may(3, "target", json!(null), "wrong-type"),
        may(3, "target", json!("../../x"), "fixture-target"),
        may(3, "content", json!("x"), "fixture-content"),
        must(4, "name", json!(1), "wrong-type"),
        must(4, "name", json!("a"), "fixture-port"),
        must(4, "kind", json!({}), "wrong-type"),
        must(4, "kind", json!("udp_listener"), "fixture-kind"),
        may(4, "port", json!(80), "unknown-key"),
        must(5, "schema_version", json!(["runtime-tools.probe_registry.v0.2"]), "schema-tag"),
        must(5, "schema_version", json!("runtime-tools.profile_registry.v0.2"), "schema-tag"),
        must(5, "registry_id", json!({}), "wrong-type"),
        must(5, "registry_id", json!("Demo"), "registry-id-mismatch"),
        must(5, "world_id", json!(null), "wrong-type"),
        must(5, "world_id", json!(""), "unusable-id"),
        may(5, "schema_versions", json!({}), "unknown-key"),
        must(6, "probe_id", json!(1), "wrong-type"),
        must(6, "probe_id", json!("demo:a:X"), "id-mismatch"),
        must(6, "name", json!({}), "wrong-type"),
        must(6, "name", json!(""), "unusable-name"),
        must(6, "operation", json!(["file-read-data"]), "wrong-type"),
        must(6, "operation", json!("file-read-date"), "unknown-operation"),
        must(6, "target", json!(null), "wrong-type"),
        must(6, "target", json!(""), "unusable-target"),
        must(6, "expected", json!(true), "wrong-type"),
        must(6, "expected", json!("Deny"), "expected-word"),
        must(6, "supports_lanes", json!(null), "wrong-type"),
        below(6, "supports_lanes", json!({"baseline": 1}), "wrong-type", "/baseline"),
        below(6, "supports_lanes", json!({"shadow": true}), "unknown-lane", "/shadow"),
        must(6, "expected_primary_ops", json!("file-read-data"), "wrong-type"),
        below(6, "expected_primary_ops", json!([null]), "wrong-type", "/0"),
        must(6, "expected_predicates", json!(null), "wrong-type"),
        below(6, "expected_predicates", json!(["a", "b", 3]), "wrong-type", "/2"),
        must(6, "capabilities_required", json!({}), "wrong-type"),
        below(6, "capabilities_required", json!([["x"]]), "wrong-type", "/0"),
        must(6, "controls_supported", json!(true), "wrong-type"),
        below(6, "controls_supported", json!(["allow-default"]), "control-word", "/0"),
        below(6, "controls_supported", json!([0]), "wrong-type", "/0"),
        may(6, "expectation_id", json!(1), "wrong-type"),
        may(6, "mode", json!([]), "wrong-type"),
        may(6, "driver", json!({}), "wrong-type"),
        may(6, "driver", json!("Native"), "unknown-driver"),
        may(6, "syscall", json!(2), "wrong-type"),
        may(6, "attr_payload", json!(false), "wrong-type"),
        may(6, "anchor_ctx_id", json!(0), "wrong-type"),
        may(6, "filter_name", json!(5), "wrong-type"),
        may(6, "filter_name", json!("literal"), "unknown-filter"),
        may(6, "filter_type", json!("0"), "wrong-type"),
        may(6, "filter_type", json!(0.5), "wrong-type"),
        may(6, "filter_type", json!(1), "filter-number"),
        may(6, "Target", json!("/x"), "unknown-key"),
        must(7, "schema_version", json!(0.2), "schema-tag"),
        must(7, "schema_version", json!("runtime-tools.profile_registry.v0.1"), "schema-tag"),
        must(7, "registry_id", json!(7), "wrong-type"),
        must(7, "registry_id", json!("demo2"), "registry-id-mismatch"),
        must(7, "world_id", json!([]), "wrong-type"),
        must(7, "world_id", json!("macos"), "world-mismatch"),
        may(7, "profile", json!({}), "unknown-key"),
        must(8, "profile_id", json!(null), "wrong-type"),
        must(8, "profile_id", json!("demo:A"), "id-mismatch"),
        must(8, "profile_path", json!(7), "wrong-type"),
        must(8, "profile_path", json!("./../sb/b.sb"), "profile-file-missing"),
        must(8, "profile_path", json!("../x.sb"), "path-leaves-bound"),
        must(8, "mode", json!(["sbpl"]), "wrong-type"),
        must(8, "mode", json!("SBPL"), "profile-mode"),
        below(8, "probe_refs", json!(["demo:a:x", "demo:a:y", 1]), "wrong-type", "/2"),
        below(8, "probe_refs", json!(["demo:a:x", "demo:a:y", "demo:a:x"]), "duplicate-expectation", "/2"),
        below(8, "probe_refs", json!(["demo:a:x", "nobody", "demo:a:y"]), "unknown-probe", "/1"),
        must(8, "family", json!(1), "wrong-type"),
        must(8, "semantic_group", json!(false), "wrong-type"),
        must(8, "key_specific_rules", json!("(deny default)"), "wrong-type"),
        below(8, "key_specific_rules", json!(["(deny default)", null]), "wrong-type", "/1"),
        below(8, "key_specific_rules", json!(["(deny signal)", "(allow"]), "sbpl-unbalanced", "/1"),
        must(8, "notes", json!({}), "wrong-type"),
        may(8, "probes", json!([]), "unknown-key"),
        must(9, "schema_version", json!(false), "schema-tag"),
        must(9, "schema_version", json!("runtime-tools.registry_index.v1"), "schema-tag"),
        must(9, "registries", json!({"demo": {}}), "wrong-type"),
        below(9, "registries", json!([null]), "wrong-type", "/0"),
        may(9, "version", json!(1), "unknown-key"),
        must(10, "id", json!(1), "wrong-type"),
        must(10, "id", json!("a\u{7f}"), "unusable-id"),
        may(10, "description", json!(["a demo"]), "wrong-type"),
        must(10, "probes", json!(null), "wrong-type"),
        must(10, "probes", json!("../probes.json"), "path-leaves-bound"),
        must(10, "profiles", json!(true), "wrong-type"),
        must(10, "profiles", json!("./"), "path-leaves-bound"),
        may(10, "name", json!("demo"), "unknown-key"),
    ]
}

/// Fields whose absence or other type leaves other entries without what they refer to; `lints` has them with all that
/// follows.
const ELSEWHERE: &[(usize, &str)] = &[(5, "probes"), (7, "profiles"), (8, "probe_refs")];

/// What else must be found: an operation that nobody knows has no driver, and a set without ports no listener.
const ALSO: &[&str] = &["no-driver", "capability-not-provided"];

fn lint_of(file: &str) -> fn(&Suite) -> (Option<i32>, Vec<Value>) {
    if matches!(file, PLAN | FIXTURES) { Suite::plan_lint } else { Suite::registry_lint }
}

fn judge(suite: &Suite, file: &str, expected: &str, name: &str) {
    let (status, findings) = lint_of(file)(suite);
    let own: Vec<&Value> = findings.iter().filter(|finding| !ALSO.contains(&finding["id"].as_str().unwrap())).collect();
    assert_eq!(own.iter().map(|finding| spelled(finding)).collect::<Vec<_>>(), [expected], "{name}: {findings:#?}");
    let is_error = own[0]["severity"] == "error";
    assert_eq!(status, Some(i32::from(is_error)), "{name}");
    check_position(suite, own[0], name);
}

#[test]
fn every_field_that_is_broken_is_named_with_its_place() {
    let mut mutations = 0;
    for Field { object, key, required, wrong, id, rest } in fields() {
        let (file, pointer) = OBJECTS[object];
        let name = format!("{file} {pointer} {key} = {wrong}");
        let suite = Suite::full();
        suite.change(file, |document| document.pointer_mut(pointer).unwrap()[key] = wrong.clone());
        judge(&suite, file, &format!("{id} {file} {pointer}/{key}{rest}"), &name);
        mutations += 1;
        if required {
            let suite = Suite::full();
            suite.change(file, |document| {
                document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key).unwrap();
            });
            let id = if key == "schema_version" { "schema-tag" } else { "missing-key" };
            judge(&suite, file, &format!("{id} {file} {pointer}"), &format!("{name} absent"));
            mutations += 1;
        }
    }
    assert!(mutations >= 150, "{mutations}");
}

#[test]
fn the_table_has_every_field() {
    let suite = Suite::full();
    assert_eq!(suite.plan_lint(), (Some(0), vec![]));
    assert_eq!(suite.registry_lint(), (Some(0), vec![]));
    let named: BTreeSet<(usize, String)> = fields().iter().map(|field| (field.object, field.key.to_owned())).collect();
    for (object, (file, pointer)) in OBJECTS.iter().enumerate() {
        let document = suite.read_json(file);
        for key in document.pointer(pointer).unwrap().as_object().unwrap().keys() {
            let elsewhere = ELSEWHERE.contains(&(object, key.as_str()));
            assert!(elsewhere || named.contains(&(object, key.clone())), "{file} {pointer} {key}");
        }
    }
}

/// What is wrong with one field of a fixture entry hides neither its other fields nor what probes act on.
#[test]
fn a_wrong_field_of_a_fixture_hides_no_other() {
    let suite = Suite::new();
    fixture(&suite, json!({"path": "../x", "kind": "fil", "mode": "9999", "content": 5}));
    probe_x(&suite, "target", json!("${FIXTURES}/nope"));
    let expected = [
        "fixture-kind fixtures.json /entries/1/kind",
        "fixture-missing registry/probes.json /probes/demo:a:x/target",
        "fixture-mode fixtures.json /entries/1/mode",
        "fixture-path fixtures.json /entries/1/path",
        "wrong-type fixtures.json /entries/1/content",
    ];
    let found = |suite: &Suite| {
        let mut found: Vec<String> = suite.plan_lint().1.iter().map(spelled).collect();
        found.sort();
        found
    };
    assert_eq!(found(&suite), expected);
    suite.change(FIXTURES, |set| set["entries"][1]["kind"] = json!("file"));
    assert_eq!(found(&suite), expected[1..]);
    // An entry or a port with an error is there all the same, and what stands below it is not known.
    for (entry, target, port, more) in [
        (
            json!({"path": "x", "kind": "file", "mode": "9"}),
            "${FIXTURES}/x",
            json!([]),
            "fixture-mode fixtures.json /entries/1/mode",
        ),
        (
            json!({"path": "x/y", "kind": "fil"}),
            "${FIXTURES}/x/y/z",
            json!([]),
            "fixture-kind fixtures.json /entries/1/kind",
        ),
        (
            json!({"path": "y", "kind": "file"}),
            "${FIXTURES}/${PORT_A}",
            json!([{"name": "A", "kind": "udp"}]),
            "fixture-kind fixtures.json /ports/0/kind",
        ),
    ] {
        let suite = Suite::new();
        fixture(&suite, entry);
        probe_x(&suite, "target", json!(target));
        suite.change(FIXTURES, |set| set["ports"] = port);
        assert_eq!(found(&suite), [more], "{target}");
    }
}
