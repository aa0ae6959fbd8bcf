//! Every lint rule fires on a document that breaks it, at the right place, and on nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::suite::{FIXTURES, INDEX, PLAN, PROBES, PROFILE_TEXT, PROFILES, Suite, position_in, probe};

/// One deliberate break: what is done, and the findings `id file pointer` that must follow.
struct Case {
    name: &'static str,
    break_it: fn(&Suite),
    expected: &'static [&'static str],
}

fn case(name: &'static str, break_it: fn(&Suite), expected: &'static [&'static str]) -> Case {
    Case { name, break_it, expected }
}

const PROBE_X: &str = "/probes/demo:a:x";

fn plan(suite: &Suite, key: &str, value: Value) {
    suite.change(PLAN, |plan| plan[key] = value);
}

pub(crate) fn probe_x(suite: &Suite, key: &str, value: Value) {
    suite.change(PROBES, |document| document.pointer_mut(PROBE_X).unwrap()[key] = value);
}

fn profile_a(suite: &Suite, key: &str, value: Value) {
    suite.change(PROFILES, |document| document["profiles"]["demo:a"][key] = value);
}

/// Makes the probe one of another operation, in a plan whose fixtures hold the port A.
fn network(suite: &Suite, operation: &str, target: &str) {
    suite.change(FIXTURES, |set| set["ports"] = json!([{"name": "A", "kind": "tcp_listener"}]));
    probe_x(suite, "operation", json!(operation));
    probe_x(suite, "target", json!(target));
}

pub(crate) fn fixture(suite: &Suite, entry: Value) {
    suite.change(FIXTURES, |set| set["entries"].as_array_mut().unwrap().push(entry));
}

fn remove(suite: &Suite, file: &str, pointer: &str, key: &str) {
    suite.change(file, |document| {
        document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    });
}

fn add_probe(suite: &Suite, probe: Value) {
    let id = probe["probe_id"].as_str().unwrap().to_owned();
    suite.change(PROBES, |document| document["probes"][&id] = probe);
    suite.change(PROFILES, |document| {
        document["profiles"]["demo:a"]["probe_refs"].as_array_mut().unwrap().push(json!(id));
    });
}

/// Breaks that `plan-lint` must find.
fn plan_cases() -> Vec<Case> {
    vec![
        // The plan document.
        case(
            "tag",
            |s| plan(s, "schema_version", json!("runtime-tools.plan.v9")),
            &["schema-tag plan.json /schema_version"],
        ),
        case("tag type", |s| plan(s, "schema_version", json!(1)), &["schema-tag plan.json /schema_version"]),
        case("tag absent", |s| remove(s, PLAN, "", "schema_version"), &["schema-tag plan.json "]),
        case("not an object", |s| s.write_json(PLAN, &json!([])), &["wrong-type plan.json "]),
        case("forbidden", |s| plan(s, "schema_versions", json!({})), &["forbidden-key plan.json /schema_versions"]),
        case("plan id empty", |s| plan(s, "plan_id", json!("")), &["unusable-id plan.json /plan_id"]),
        case("plan id type", |s| plan(s, "plan_id", json!(7)), &["wrong-type plan.json /plan_id"]),
        case("plan id control", |s| plan(s, "plan_id", json!("a\u{7}b")), &["unusable-id plan.json /plan_id"]),
        case("plan id NUL", |s| plan(s, "plan_id", json!("a\u{0}b")), &["unusable-id plan.json /plan_id"]),
        case("plan id parent", |s| plan(s, "plan_id", json!("..")), &["unusable-id plan.json /plan_id"]),
        case("plan id path", |s| plan(s, "plan_id", json!("../../etc")), &["unusable-id plan.json /plan_id"]),
        case("plan id absent", |s| remove(s, PLAN, "", "plan_id"), &["missing-key plan.json "]),
        case("registry id absent", |s| remove(s, PLAN, "", "registry_id"), &["missing-key plan.json "]),
        case("profiles absent", |s| remove(s, PLAN, "", "profiles"), &["missing-key plan.json "]),
        case("profiles type", |s| plan(s, "profiles", json!("demo:a")), &["wrong-type plan.json /profiles"]),
        case(
            "profile id type",
            |s| plan(s, "profiles", json!(["demo:a", null])),
            &["wrong-type plan.json /profiles/1"],
        ),
        case(
            "profile id control",
            |s| plan(s, "profiles", json!(["\u{1b}[2J"])),
            &["unusable-id plan.json /profiles/0"],
        ),
        case("no profiles", |s| plan(s, "profiles", json!([])), &["plan-without-profiles plan.json /profiles"]),
        case(
            "twice",
            |s| plan(s, "profiles", json!(["demo:a", "demo:a"])),
            &["duplicate-profile plan.json /profiles/1"],
        ),
        case("lane name", |s| plan(s, "lanes", json!({"senario": true})), &["unknown-lane plan.json /lanes/senario"]),
        case("lane type", |s| plan(s, "lanes", json!({"oracle": 1})), &["wrong-type plan.json /lanes/oracle"]),
        case("lanes type", |s| plan(s, "lanes", json!(true)), &["wrong-type plan.json /lanes"]),
        case(
            "lanes off",
            |s| plan(s, "lanes", json!({"scenario": false, "baseline": false, "oracle": false})),
            &["no-lane plan.json /lanes"],
        ),
        case("controls", |s| plan(s, "controls", json!([])), &["wrong-type plan.json /controls"]),
        case("notes", |s| plan(s, "notes", json!({})), &["wrong-type plan.json /notes"]),
        case("unknown key", |s| plan(s, "profile", json!([])), &["unknown-key plan.json /profile"]),
        case("world type", |s| plan(s, "world_id", json!(5)), &["wrong-type plan.json /world_id"]),
        case("world", |s| plan(s, "world_id", json!("macos")), &["world-mismatch plan.json /world_id"]),
        case(
            "preflight",
            |s| plan(s, "apply_preflight_profile", json!("./x.sb")),
            &["preflight-file-missing plan.json /apply_preflight_profile"],
        ),
        case(
            "preflight path",
            |s| plan(s, "apply_preflight_profile", json!("../x.sb")),
            &["path-leaves-bound plan.json /apply_preflight_profile"],
        ),
        // The registry the plan names.
        case(
            "profile",
            |s| plan(s, "profiles", json!(["demo:a", "demo:b"])),
            &["unknown-profile plan.json /profiles/1"],
        ),
        case(
            "registry",
            |s| {
                plan(s, "registry_id", json!("other"));
                for file in [PROBES, PROFILES] {
                    s.remove(file);
                }
            },
            &["unknown-registry plan.json /registry_id"],
        ),
        case(
            "registry id",
            |s| plan(s, "registry_id", json!("other")),
            &[
                "registry-id-mismatch registry/probes.json /registry_id",
                "registry-id-mismatch registry/profiles.json /registry_id",
            ],
        ),
        case("probes file", |s| s.remove(PROBES), &["registry-file-missing registry/probes.json "]),
        case("profiles file", |s| s.remove(PROFILES), &["registry-file-missing registry/profiles.json "]),
        case(
            "a probe used and broken",
            |s| probe_x(s, "target", json!(5)),
            &["wrong-type registry/probes.json /probes/demo:a:x/target"],
        ),
        // What the plan asks of its probes.
        case(
            "mach",
            |s| add_probe(s, probe("demo:a:m", "mach-lookup", "com.apple.x")),
            &[
                "mach-lookup-driver registry/probes.json /probes/demo:a:m",
                "no-driver registry/probes.json /probes/demo:a:m/operation",
            ],
        ),
        case(
            "blob",
            |s| profile_a(s, "mode", json!("blob")),
            &["blob-not-applicable registry/profiles.json /profiles/demo:a/mode"],
        ),
        case(
            "lane support",
            |s| probe_x(s, "supports_lanes", json!({"baseline": true, "scenario": true, "oracle": false})),
            &["lane-not-supported registry/probes.json /probes/demo:a:x/supports_lanes"],
        ),
        case(
            "capability",
            |s| probe_x(s, "capabilities_required", json!(["moon"])),
            &["unknown-capability registry/probes.json /probes/demo:a:x/capabilities_required/0"],
        ),
        case(
            "listener",
            |s| probe_x(s, "capabilities_required", json!(["loopback_listener"])),
            &["capability-not-provided registry/probes.json /probes/demo:a:x/capabilities_required/0"],
        ),
        case(
            "listener of a port",
            |s| {
                network(s, "network-outbound", "127.0.0.1:${PORT_A}");
                probe_x(s, "capabilities_required", json!(["loopback_listener"]));
            },
            &[],
        ),
        case(
            "closed port only",
            |s| {
                s.change(FIXTURES, |set| set["ports"] = json!([{"name": "A", "kind": "tcp_closed"}]));
                probe_x(s, "capabilities_required", json!(["loopback_listener"]));
            },
            &["capability-not-provided registry/probes.json /probes/demo:a:x/capabilities_required/0"],
        ),
        case(
            "control",
            |s| plan(s, "controls", json!({"base/line": true})),
            &["unknown-control plan.json /controls/base~1line"],
        ),
        case(
            "control value",
            |s| plan(s, "controls", json!({"baseline": "yes"})),
            &["control-value plan.json /controls/baseline"],
        ),
        case(
            "accepted for nothing",
            |s| plan(s, "accepted_lints", json!({"no/lane": "meant", "x": []})),
            &["accepted-lint plan.json /accepted_lints/no~1lane", "accepted-lint plan.json /accepted_lints/x"],
        ),
        case(
            "control of no probe",
            |s| plan(s, "controls", json!({"allow_default": true, "deny_default": false})),
            &[
                "control-not-supported registry/probes.json /probes/demo:a:x/controls_supported",
                "control-not-supported registry/probes.json /probes/demo:a:y/controls_supported",
            ],
        ),
        case(
            "no such world",
            |s| {
                plan(s, "world_id", json!("linnux"));
                for file in [PROBES, PROFILES] {
                    s.change(file, |d| d["world_id"] = json!("linnux"));
                }
            },
            &["unknown-world plan.json /world_id"],
        ),
        case(
            "preflight text",
            |s| {
                plan(s, "apply_preflight_profile", json!("./sb/p.sb"));
                s.write("sb/p.sb", b"(version 1)\n(allow default))\n");
            },
            &["sbpl-unbalanced sb/p.sb "],
        ),
        case(
            "profile lints",
            |s| s.write(PROFILE_TEXT, b"(version 1)\n(deny default)\n(deny signal)\n(allow signal)\n"),
            &["sbpl-shadowed-rule sb/a.sb "],
        ),
        case(
            "links of another system",
            |s| {
                s.write(PROFILE_TEXT, b"(version 1)\n(deny default)\n(allow file-read-data (subpath \"/tmp\"))\n");
            },
            &[],
        ),
        case(
            "two ports are two values",
            |s| {
                let ports = json!([{"name": "A", "kind": "tcp_listener"}, {"name": "B", "kind": "tcp_closed"}]);
                s.change(FIXTURES, |set| set["ports"] = ports);
                let rule = |name: &str| {
                    format!(
                        "(allow network-outbound (remote tcp (string-append \"localhost:\" (param \"PORT_{name}\"))))"
                    )
                };
                profile_a(s, "key_specific_rules", json!([rule("A"), rule("B")]));
            },
            &[],
        ),
        case(
            "driver",
            |s| probe_x(s, "operation", json!("file-ioctl")),
            &["no-driver registry/probes.json /probes/demo:a:x/operation"],
        ),
        case(
            "operation",
            |s| probe_x(s, "operation", json!("file-reed")),
            &[
                "unknown-operation registry/probes.json /probes/demo:a:x/operation",
                "no-driver registry/probes.json /probes/demo:a:x/operation",
            ],
        ),
        case(
            "relative target",
            |s| probe_x(s, "target", json!("d/f.txt")),
            &["unusable-target registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "NUL target",
            |s| probe_x(s, "target", json!("/a\u{0}b")),
            &["unusable-target registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "variable",
            |s| probe_x(s, "target", json!("${HOME}/x")),
            &["unknown-variable registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "unknown port",
            |s| network(s, "network-outbound", "127.0.0.1:${PORT_B}"),
            &["unknown-variable registry/probes.json /probes/demo:a:x/target"],
        ),
        case("known port", |s| network(s, "network-outbound", "127.0.0.1:${PORT_A}"), &[]),
        case("bind", |s| network(s, "network-bind", "${FIXTURES}/new.sock"), &[]),
        case(
            "somebody's port",
            |s| network(s, "network-outbound", "127.0.0.1:80"),
            &["listener-unknown registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "bad port",
            |s| network(s, "network-outbound", "127.0.0.1:99999"),
            &["unusable-target registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "no port",
            |s| network(s, "network-bind", "127.0.0.1"),
            &["unusable-target registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "bind where something is",
            |s| network(s, "network-bind", "${FIXTURES}/d/f.txt"),
            &["fixture-exists registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "sysctl of another system",
            |s| network(s, "sysctl-read", "hw.ncpu"),
            &["unusable-target registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "sysctl that climbs",
            |s| network(s, "sysctl-read", "kernel.../etc/passwd"),
            &["unusable-target registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "signal to a number",
            |s| network(s, "signal", "1"),
            &["unusable-target registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "port in a profile",
            |s| {
                let rule = "(allow network-outbound (remote tcp (string-append \"localhost:\" (param \"PORT_B\"))))";
                profile_a(s, "key_specific_rules", json!([rule]));
            },
            &["sbpl-missing-parameter registry/profiles.json /profiles/demo:a/key_specific_rules/0"],
        ),
        case(
            "name of a port",
            |s| s.change(FIXTURES, |set| set["ports"] = json!([{"name": "a b", "kind": "tcp_closed"}])),
            &["fixture-port fixtures.json /ports/0/name"],
        ),
        // Fixtures.
        case(
            "no fixtures",
            |s| remove(s, PLAN, "", "fixtures"),
            &["fixtures-undeclared registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "fixtures file",
            |s| plan(s, "fixtures", json!("./x.json")),
            &["fixtures-file-missing plan.json /fixtures"],
        ),
        case(
            "fixture missing",
            |s| probe_x(s, "target", json!("${FIXTURES}/d/g.txt")),
            &["fixture-missing registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "fixture exists",
            |s| probe_x(s, "operation", json!("file-write-create")),
            &["fixture-exists registry/probes.json /probes/demo:a:x/target"],
        ),
        case(
            "fixtures tag",
            |s| s.change(FIXTURES, |set| set["schema_version"] = json!("x")),
            &["schema-tag fixtures.json /schema_version"],
        ),
        case(
            "fixture path",
            |s| fixture(s, json!({"path": "../x", "kind": "file"})),
            &["fixture-path fixtures.json /entries/1/path"],
        ),
        case(
            "fixture kind",
            |s| fixture(s, json!({"path": "x", "kind": "socket"})),
            &["fixture-kind fixtures.json /entries/1/kind"],
        ),
        case(
            "fixture mode",
            |s| fixture(s, json!({"path": "x", "kind": "file", "mode": "4755"})),
            &["fixture-mode fixtures.json /entries/1/mode"],
        ),
        case(
            "fixture twice",
            |s| fixture(s, json!({"path": "d/f.txt", "kind": "file"})),
            &["fixture-duplicate fixtures.json /entries/1/path"],
        ),
        case(
            "fixture parent",
            |s| fixture(s, json!({"path": "d/f.txt/x", "kind": "file"})),
            &["fixture-parent fixtures.json /entries/1/path"],
        ),
        case(
            "fixture content",
            |s| fixture(s, json!({"path": "x", "kind": "fifo", "content": "x"})),
            &["fixture-content fixtures.json /entries/1/content"],
        ),
        case(
            "fixture target",
            |s| fixture(s, json!({"path": "x", "kind": "symlink", "target": "/etc"})),
            &["fixture-target fixtures.json /entries/1/target"],
        ),
        case(
            "fixture key",
            |s| fixture(s, json!({"path": "x", "kind": "file", "owner": 0})),
            &["unknown-key fixtures.json /entries/1/owner"],
        ),
    ]
}

/// Breaks that `registry-lint` must find.
fn registry_cases() -> Vec<Case> {
    vec![
        case("probes file", |s| s.remove(PROBES), &["registry-file-missing registry/probes.json "]),
        case("profiles file", |s| s.remove(PROFILES), &["registry-file-missing registry/profiles.json "]),
        case(
            "both files",
            |s| [PROBES, PROFILES].into_iter().for_each(|file| s.remove(file)),
            &["registry-file-missing registry/probes.json ", "registry-file-missing registry/profiles.json "],
        ),
        case(
            "old tag",
            |s| s.change(PROBES, |d| d["schema_version"] = json!("runtime-tools.probe_registry.v0.1")),
            &["schema-tag registry/probes.json /schema_version"],
        ),
        case(
            "profiles tag",
            |s| s.change(PROFILES, |d| d["schema_version"] = json!(null)),
            &["schema-tag registry/profiles.json /schema_version"],
        ),
        case(
            "probes list",
            |s| s.change(PROBES, |d| d["probes"] = json!([])),
            &[
                "wrong-type registry/probes.json /probes",
                "unknown-probe registry/profiles.json /profiles/demo:a/probe_refs/0",
                "unknown-probe registry/profiles.json /profiles/demo:a/probe_refs/1",
            ],
        ),
        case(
            "top level key",
            |s| s.change(PROBES, |d| d["extra"] = json!(1)),
            &["unknown-key registry/probes.json /extra"],
        ),
        case(
            "probe type",
            |s| s.change(PROBES, |d| d["probes"]["demo:a:x"] = json!("x")),
            &["wrong-type registry/probes.json /probes/demo:a:x"],
        ),
        case(
            "probe key",
            |s| probe_x(s, "targets", json!("x")),
            &["unknown-key registry/probes.json /probes/demo:a:x/targets"],
        ),
        case(
            "probe keys absent",
            |s| {
                remove(s, PROBES, PROBE_X, "name");
                remove(s, PROBES, PROBE_X, "target");
            },
            &["missing-key registry/probes.json /probes/demo:a:x", "missing-key registry/probes.json /probes/demo:a:x"],
        ),
        case(
            "probe id",
            |s| probe_x(s, "probe_id", json!("demo:a:z")),
            &["id-mismatch registry/probes.json /probes/demo:a:x/probe_id"],
        ),
        case(
            "probe name type",
            |s| probe_x(s, "name", json!(null)),
            &["wrong-type registry/probes.json /probes/demo:a:x/name"],
        ),
        case(
            "probe name empty",
            |s| probe_x(s, "name", json!("")),
            &["unusable-name registry/probes.json /probes/demo:a:x/name"],
        ),
        case(
            "expected",
            |s| probe_x(s, "expected", json!("maybe")),
            &["expected-word registry/probes.json /probes/demo:a:x/expected"],
        ),
        case(
            "expected list",
            |s| probe_x(s, "expected", json!(["deny"])),
            &["wrong-type registry/probes.json /probes/demo:a:x/expected"],
        ),
        case(
            "lanes",
            |s| probe_x(s, "supports_lanes", json!([])),
            &["wrong-type registry/probes.json /probes/demo:a:x/supports_lanes"],
        ),
        case(
            "lane",
            |s| probe_x(s, "supports_lanes", json!({"oracle": "no"})),
            &["wrong-type registry/probes.json /probes/demo:a:x/supports_lanes/oracle"],
        ),
        case(
            "lane name",
            |s| probe_x(s, "supports_lanes", json!({"orakel": true})),
            &["unknown-lane registry/probes.json /probes/demo:a:x/supports_lanes/orakel"],
        ),
        case(
            "array",
            |s| probe_x(s, "expected_predicates", json!({})),
            &["wrong-type registry/probes.json /probes/demo:a:x/expected_predicates"],
        ),
        case(
            "array member",
            |s| probe_x(s, "expected_primary_ops", json!(["a", 1])),
            &["wrong-type registry/probes.json /probes/demo:a:x/expected_primary_ops/1"],
        ),
        case(
            "control",
            |s| probe_x(s, "controls_supported", json!(["baseline", "x"])),
            &["control-word registry/probes.json /probes/demo:a:x/controls_supported/1"],
        ),
        case(
            "optional text",
            |s| probe_x(s, "driver", json!(1)),
            &["wrong-type registry/probes.json /probes/demo:a:x/driver"],
        ),
        case(
            "filter type",
            |s| probe_x(s, "filter_type", json!(true)),
            &["wrong-type registry/probes.json /probes/demo:a:x/filter_type"],
        ),
        case(
            "probe id control",
            |s| {
                let bad = probe("demo\u{1}", "file-read-data", "/x");
                s.change(PROBES, |d| d["probes"]["demo\u{1}"] = bad);
            },
            &[
                "unusable-id registry/probes.json /probes/demo\u{1}",
                "unusable-id registry/probes.json /probes/demo\u{1}/probe_id",
                "orphan-probe registry/probes.json /probes/demo\u{1}",
            ],
        ),
        case(
            "orphan",
            |s| s.change(PROBES, |d| d["probes"]["o/~"] = probe("o/~", "file-read-data", "/x")),
            &["orphan-probe registry/probes.json /probes/o~1~0"],
        ),
        case(
            "profile type",
            |s| s.change(PROFILES, |d| d["profiles"]["demo:b"] = json!(3)),
            &["wrong-type registry/profiles.json /profiles/demo:b"],
        ),
        case(
            "profile key",
            |s| profile_a(s, "probes", json!([])),
            &["unknown-key registry/profiles.json /profiles/demo:a/probes"],
        ),
        case(
            "profile key absent",
            |s| remove(s, PROFILES, "/profiles/demo:a", "notes"),
            &["missing-key registry/profiles.json /profiles/demo:a"],
        ),
        case(
            "profile id",
            |s| profile_a(s, "profile_id", json!("demo:b")),
            &["id-mismatch registry/profiles.json /profiles/demo:a/profile_id"],
        ),
        case(
            "mode",
            |s| profile_a(s, "mode", json!("text")),
            &["profile-mode registry/profiles.json /profiles/demo:a/mode"],
        ),
        case(
            "mode blob",
            |s| {
                s.write("sb/a.sb.bin", b"x");
                profile_a(s, "profile_path", json!("./../sb/a.sb.bin"));
            },
            &["profile-mode registry/profiles.json /profiles/demo:a/mode"],
        ),
        case(
            "refs type",
            |s| profile_a(s, "probe_refs", json!("demo:a:x")),
            &[
                "orphan-probe registry/probes.json /probes/demo:a:x",
                "orphan-probe registry/probes.json /probes/demo:a:y",
                "wrong-type registry/profiles.json /profiles/demo:a/probe_refs",
            ],
        ),
        case(
            "rules member",
            |s| profile_a(s, "key_specific_rules", json!([1])),
            &["wrong-type registry/profiles.json /profiles/demo:a/key_specific_rules/0"],
        ),
        case(
            "family",
            |s| profile_a(s, "family", json!([])),
            &["wrong-type registry/profiles.json /profiles/demo:a/family"],
        ),
        case(
            "profile file",
            |s| s.remove(PROFILE_TEXT),
            &["profile-file-missing registry/profiles.json /profiles/demo:a/profile_path"],
        ),
        case(
            "profile not SBPL",
            |s| s.write(PROFILE_TEXT, b"(version 1)\n(deny default))\n"),
            &["sbpl-unbalanced sb/a.sb "],
        ),
        case("profile not text", |s| s.write(PROFILE_TEXT, b"(version 1)\xff"), &["profile-not-text sb/a.sb "]),
        case(
            "rule not SBPL",
            |s| {
                let rules =
                    json!(["(allow file-read-data\n(literal \"/x\"))", "(allow file-read-data (literal \"/y\")))"]);
                profile_a(s, "key_specific_rules", rules);
            },
            &["sbpl-unbalanced registry/profiles.json /profiles/demo:a/key_specific_rules/1"],
        ),
        case(
            "driver",
            |s| probe_x(s, "driver", json!("mach-probe")),
            &["unknown-driver registry/probes.json /probes/demo:a:x/driver"],
        ),
        case(
            "filter name",
            |s| probe_x(s, "filter_name", json!("globalname")),
            &["unknown-filter registry/probes.json /probes/demo:a:x/filter_name"],
        ),
        case(
            "filter number",
            |s| {
                probe_x(s, "filter_name", json!("global-name"));
                probe_x(s, "filter_type", json!(2));
            },
            &["filter-number registry/probes.json /probes/demo:a:x/filter_type"],
        ),
        case(
            "no such world",
            |s| {
                for file in [PROBES, PROFILES] {
                    s.change(file, |d| d["world_id"] = json!("w-1"));
                }
            },
            &["unknown-world registry/probes.json /world_id"],
        ),
        case(
            "profile directory",
            |s| profile_a(s, "profile_path", json!("sb")),
            &["profile-file-missing registry/profiles.json /profiles/demo:a/profile_path"],
        ),
        case(
            "profile path",
            |s| profile_a(s, "profile_path", json!("./../../x.sb")),
            &["path-leaves-bound registry/profiles.json /profiles/demo:a/profile_path"],
        ),
        case(
            "profile path empty",
            |s| profile_a(s, "profile_path", json!("")),
            &["path-leaves-bound registry/profiles.json /profiles/demo:a/profile_path"],
        ),
        case(
            "profile path NUL",
            |s| profile_a(s, "profile_path", json!("a\u{0}")),
            &["path-leaves-bound registry/profiles.json /profiles/demo:a/profile_path"],
        ),
        case(
            "no refs",
            |s| profile_a(s, "probe_refs", json!([])),
            &[
                "orphan-probe registry/probes.json /probes/demo:a:x",
                "orphan-probe registry/probes.json /probes/demo:a:y",
                "profile-without-probes registry/profiles.json /profiles/demo:a/probe_refs",
            ],
        ),
        case(
            "unknown ref",
            |s| profile_a(s, "probe_refs", json!(["demo:a:x", "demo:a:y", "demo:a:z"])),
            &["unknown-probe registry/profiles.json /profiles/demo:a/probe_refs/2"],
        ),
        case(
            "ref twice",
            |s| profile_a(s, "probe_refs", json!(["demo:a:x", "demo:a:y", "demo:a:x"])),
            &["duplicate-expectation registry/profiles.json /profiles/demo:a/probe_refs/2"],
        ),
        case(
            "expectation twice",
            |s| probe_x(s, "expectation_id", json!("demo:a:y")),
            &["duplicate-expectation registry/profiles.json /profiles/demo:a/probe_refs/1"],
        ),
        case(
            "name twice",
            |s| probe_x(s, "name", json!("demo:a:y")),
            &["duplicate-name registry/profiles.json /profiles/demo:a/probe_refs/1"],
        ),
        case(
            "worlds",
            |s| s.change(PROFILES, |d| d["world_id"] = json!("sonoma")),
            &["world-mismatch registry/profiles.json /world_id"],
        ),
        case(
            "inner id",
            |s| s.change(PROBES, |d| d["registry_id"] = json!("x")),
            &["registry-id-mismatch registry/probes.json /registry_id"],
        ),
        case(
            "inner id parent",
            |s| s.change(PROBES, |d| d["registry_id"] = json!("..")),
            &["unusable-id registry/probes.json /registry_id"],
        ),
        case(
            "index entry",
            |s| s.change(INDEX, |d| d["registries"].as_array_mut().unwrap().push(json!({"id": "x"}))),
            &["missing-key index.json /registries/1", "missing-key index.json /registries/1"],
        ),
        case(
            "index twice",
            |s| {
                s.change(INDEX, |d| {
                    let first = d["registries"][0].clone();
                    d["registries"].as_array_mut().unwrap().push(first);
                })
            },
            &["duplicate-registry index.json /registries/1/id"],
        ),
        case(
            "index path",
            |s| s.change(INDEX, |d| d["registries"][0]["probes"] = json!("../x.json")),
            &["path-leaves-bound index.json /registries/0/probes"],
        ),
        case(
            "index tag",
            |s| s.change(INDEX, |d| d["schema_version"] = json!("x")),
            &["schema-tag index.json /schema_version"],
        ),
    ]
}

/// A finding as a case spells it: `id file pointer`.
pub(crate) fn spelled(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    format!("{} {} {}", text("id"), text("file"), text("pointer"))
}

/// Line and column of a finding are those of the value its pointer names, or of the words its message is about.
pub(crate) fn check_position(suite: &Suite, finding: &Value, name: &str) {
    let Some(pointer) = finding["pointer"].as_str() else { return };
    let file = finding["file"].as_str().unwrap();
    let text = std::fs::read_to_string(suite.path(file)).unwrap();
    let (line, column) = position_in(&text, pointer);
    assert_eq!((&finding["line"], &finding["column"]), (&json!(line), &json!(column)), "{name}: {finding}");
}

fn check(cases: Vec<Case>, lint: fn(&Suite) -> (Option<i32>, Vec<Value>), seen: &mut BTreeSet<String>) {
    assert_eq!(lint(&Suite::new()), (Some(0), vec![]), "the suite is clean before it is broken");
    for Case { name, break_it, expected } in cases {
        let suite = Suite::new();
        break_it(&suite);
        let (status, findings) = lint(&suite);
        let mut found: Vec<String> = findings.iter().map(spelled).collect();
        let mut expected: Vec<String> = expected.iter().map(|&finding| finding.to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{name}: {findings:#?}");
        let has_error = findings.iter().any(|finding| finding["severity"] == "error");
        assert_eq!(status, Some(i32::from(has_error)), "{name}");
        for finding in &findings {
            let id = finding["id"].as_str().unwrap();
            seen.insert(if id.starts_with("sbpl-") { "sbpl-*".to_owned() } else { id.to_owned() });
            check_position(&suite, finding, name);
        }
    }
}

#[test]
fn every_rule_fires_where_it_should_and_is_documented() {
    let mut seen = BTreeSet::new();
    check(plan_cases(), Suite::plan_lint, &mut seen);
    check(registry_cases(), Suite::registry_lint, &mut seen);
    // These two are about the bytes of a file; `broken` covers them for every document. The last one is about arguments.
    seen.extend(["unreadable-file".to_owned(), "not-json".to_owned(), "filter-without-match".to_owned()]);
    // Needs a digest to compare with; `frozen` covers it.
    seen.insert("frozen-digest".to_owned());
    // Documents of runtime links have commands of their own; `links` covers them.
    seen.extend(["input-digest".to_owned(), "unknown-word".to_owned()]);
    let documentation = include_str!("../../docs/lints.md");
    let documented: BTreeSet<String> = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(id, _)| id.to_owned())
        .collect();
    assert_eq!(seen, documented);
}

#[test]
fn rules_with_a_condition_stay_silent_without_it() {
    type Change = fn(&Suite);
    let quiet: [(&str, Change); 6] = [
        ("the driver applies the policy itself", |s| {
            let mut mach = probe("demo:a:m", "mach-lookup", "com.apple.x");
            mach["driver"] = json!("sandbox_mach_probe");
            add_probe(s, mach);
        }),
        ("the scenario lane is off", |s| {
            add_probe(s, probe("demo:a:m", "mach-lookup", "com.apple.x"));
            plan(s, "lanes", json!({"scenario": false}));
        }),
        ("the profile allows by default", |s| {
            add_probe(s, probe("demo:a:m", "mach-lookup", "com.apple.x"));
            s.write(PROFILE_TEXT, b"(version 1) ; (deny default)\n(allow default)\n");
        }),
        ("a broken profile that the plan does not use", |s| {
            s.change(PROFILES, |d| d["profiles"]["demo:b"] = json!({"profile_id": "x"}));
        }),
        ("a family and a member of it", |s| plan(s, "world_id", json!("linux-debian"))),
        ("this host", |s| plan(s, "world_id", json!("host"))),
    ];
    for (name, change) in quiet {
        let suite = Suite::new();
        change(&suite);
        let (status, findings) = suite.plan_lint();
        let others: Vec<&Value> = findings.iter().filter(|finding| finding["id"] != "no-driver").collect();
        assert_eq!((status, others), (Some(0), vec![]), "{name}");
    }
    // An absent lane is on, for lint as for run.
    let suite = Suite::new();
    add_probe(&suite, probe("demo:a:m", "mach-lookup", "com.apple.x"));
    remove(&suite, PLAN, "", "lanes");
    assert!(suite.plan_lint().1.iter().any(|finding| finding["id"] == "mach-lookup-driver"));
}

#[test]
fn everything_is_found_at_once() {
    let suite = Suite::new();
    plan(&suite, "profiles", json!(["demo:a", "demo:b", "demo:a"]));
    plan(&suite, "world_id", json!("sonoma"));
    plan(&suite, "apply_preflight_profile", json!("x.sb"));
    probe_x(&suite, "expected", json!("x"));
    probe_x(&suite, "name", json!(1));
    suite.remove(PROFILE_TEXT);
    fixture(&suite, json!({"path": "/x", "kind": "file"}));
    plan(&suite, "plan_id", json!(""));
    plan(&suite, "notes", json!(7));
    let (status, findings) = suite.plan_lint();
    let ids: BTreeSet<&str> = findings.iter().filter_map(|finding| finding["id"].as_str()).collect();
    assert_eq!(status, Some(1));
    for id in [
        "unusable-id",
        "duplicate-profile",
        "expected-word",
        "fixture-path",
        "preflight-file-missing",
        "profile-file-missing",
        "unknown-profile",
        "world-mismatch",
        "wrong-type",
    ] {
        assert!(ids.contains(id), "{id} is missing: {ids:?}");
    }
}
