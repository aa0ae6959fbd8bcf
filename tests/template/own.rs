//! Templates of a user's own: parameters, files, and what is refused, each by name.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::{self, Elsewhere, expect, text, tree};

/// A small template in `../templates/mine`.
fn mine() -> Value {
    let probe = json!({"probe_id": "${OWNER}:a:x", "name": "x", "operation": "file-read-data", "target": "${PATH_A}",
        "expected": "deny", "supports_lanes": {"baseline": true, "scenario": true, "oracle": true},
        "expected_primary_ops": ["file-read-data"], "expected_predicates": ["${PATH_A}"], "capabilities_required": [],
        "controls_supported": ["baseline"]});
    json!({
        "schema_version": "runtime-tools.plan_template.v0.1", "template_id": "mine", "description": "one file, shut",
        "world_id": "linux", "registry_id": "mine",
        "parameters": {
            "PATH_A": {"description": "the file", "pattern": "/.+"},
            "OWNER": {"description": "whose", "default": "me"},
            "DEFAULT": {"description": "what is not named", "choices": ["allow", "deny"], "default": "deny"}
        },
        "files": ["sb/a.sb", "data/raw.bin", "map.json"],
        "plan": {"schema_version": "runtime-tools.plan.v0.1", "plan_id": "${OWNER}.v1", "registry_id": "mine",
            "world_id": "linux", "profiles": ["${OWNER}:a"]},
        "probes": {"schema_version": "runtime-tools.probe_registry.v0.2", "registry_id": "mine", "world_id": "linux",
            "probes": {"${OWNER}:a:x": probe}},
        "profiles": {"schema_version": "runtime-tools.profile_registry.v0.2", "registry_id": "mine", "world_id": "linux",
            "profiles": {"${OWNER}:a": {"profile_id": "${OWNER}:a", "profile_path": "./../sb/a.sb", "mode": "sbpl",
                "probe_refs": ["${OWNER}:a:x"], "family": null, "semantic_group": null, "key_specific_rules": [],
                "notes": null}}}
    })
}

fn with(template: &Value) -> Elsewhere {
    let place = Elsewhere::new();
    place.write("templates/mine/template.json", template.to_string());
    place.write(
        "templates/mine/sb/a.sb",
        "(version 1)\n(${DEFAULT} default)\n(deny file-read-data (literal \"${PATH_A}\"))\n",
    );
    place.write("templates/mine/data/raw.bin", [0, 159, b'$', b'{', b'X', b'}']);
    place.write("templates/mine/map.json", "{\"of\": \"${OWNER}\"}");
    place
}

fn build(place: &Elsewhere, more: &[&str]) -> std::process::Output {
    let args = ["plan-build", "--template", "mine", "--templates", "../templates", "--out", "../suite"];
    place.runtime(&[&args[..], more].concat())
}

const PATH: &[&str] = &["--param", "PATH_A=/etc/hostname"];

#[test]
fn values_go_into_documents_profiles_and_data() {
    let place = with(&mine());
    expect(&build(&place, &[PATH, &["--param", "OWNER=team"]].concat()), 0);
    let files = tree(&place.path("suite"));
    assert_eq!(support::json(&files["plan.json"])["profiles"], json!(["team:a"]));
    let probes = support::json(&files["registry/probes.json"]);
    assert_eq!(probes["probes"]["team:a:x"]["target"], "/etc/hostname");
    assert_eq!(support::json(&files["map.json"]), json!({"of": "team"}));
    assert_eq!(files["data/raw.bin"], [0, 159, b'$', b'{', b'X', b'}'], "what is no text is copied");
    let profile = String::from_utf8(files["sb/a.sb"].clone()).unwrap();
    assert_eq!(profile, "(version 1)\n(deny default)\n(deny file-read-data (literal \"/etc/hostname\"))\n");
    expect(&place.runtime(&["plan-lint", "--plan", "../suite/plan.json"]), 0);
    let described = place.runtime(&[
        "plan-build",
        "--template",
        "mine",
        "--templates",
        "../templates",
        "--out",
        "../b",
        "--param",
        "PATH_A=/x=y",
        "--json",
    ]);
    expect(&described, 0);
    let values = &support::json(&described.stdout)["parameters"];
    assert_eq!(*values, json!({"DEFAULT": "deny", "OWNER": "me", "PATH_A": "/x=y"}));
}

#[test]
fn a_bad_value_is_refused_by_name_and_nothing_is_written() {
    let place = with(&mine());
    for (more, words) in [
        (&[][..], &["\"PATH_A\"", "\"mine\"", "needs a value: the file"][..]),
        (&["--param", "PATH_A=etc"], &["\"PATH_A\"", "\"etc\"", "does not match \"/.+\""]),
        (&["--param", "PATH_A=/a\"b"], &["\"PATH_A\"", "holds the character '\"'"]),
        (&["--param", "PATH_A=/a", "--param", "DEFAULT=ask"], &["\"DEFAULT\"", "none of allow, deny"]),
        (
            &["--param", "PATH_A=/a", "--param", "OTHER=1"],
            &["\"OTHER\"", "no such parameter", "PATH_A, OWNER, DEFAULT"],
        ),
        (&["--param", "PATH_A=/a", "--param", "PATH_A=/b"], &["\"PATH_A\"", "two values"]),
        (&["--param", "PATH_A"], &["PATH_A", "no '='"]),
    ] {
        let output = build(&place, more);
        expect(&output, 2);
        for word in words {
            assert!(text(&output).contains(word), "{more:?}: {word}: {}", text(&output));
        }
        assert!(!place.path("suite").exists(), "{more:?}");
        let with_json = build(&place, &[more, &["--json"]].concat());
        assert_eq!(support::json(&with_json.stdout)["error"]["exit_code"], 2, "{more:?}");
    }
}

/// A deliberate fault in the template, and words of the refusal.
type Fault = (&'static str, fn(&mut Value), &'static [&'static str]);

#[test]
fn a_broken_template_is_refused_by_file_place_and_reason() {
    let faults: &[Fault] = &[
        (
            "tag",
            |t| t["schema_version"] = json!("runtime-tools.plan_template.v9"),
            &["schema_version", "plan_template.v0.1"],
        ),
        ("id", |t| t["template_id"] = json!("other"), &["at /template_id", "\"other\"", "\"mine\""]),
        ("unknown key", |t| t["fiels"] = json!([]), &["at /fiels", "unknown key"]),
        ("files type", |t| t["files"] = json!("sb/a.sb"), &["at /files", "an array of strings"]),
        ("file leaves", |t| t["files"] = json!(["../a.sb"]), &["at /files/0", "\"..\""]),
        ("file absolute", |t| t["files"] = json!(["/etc/passwd"]), &["at /files/0", "absolute"]),
        ("file twice", |t| t["files"] = json!(["sb/a.sb", "sb/a.sb"]), &["at /files/1", "twice"]),
        ("file reserved", |t| t["files"] = json!(["plan.json"]), &["at /files/0", "plan.json"]),
        ("file of runs", |t| t["files"] = json!(["out/LATEST"]), &["at /files/0", "out/LATEST"]),
        ("file absent", |t| t["files"] = json!(["sb/a.sb", "none"]), &["file \"none\"", "\"mine\""]),
        ("file a directory", |t| t["files"] = json!(["sb"]), &["file \"sb\"", "not a regular file"]),
        ("file not listed", |t| t["files"] = json!([]), &["./../sb/a.sb", "no file of the template"]),
        ("no plan", |t| drop(t.as_object_mut().unwrap().remove("plan")), &["lacks the key \"plan\""]),
        (
            "generator",
            |t| {
                t.as_object_mut().unwrap().remove("plan");
                t["generator"] = json!("x");
            },
            &["at /generator", "vfs-canonicalization"],
        ),
        ("registry ids", |t| t["probes"]["registry_id"] = json!("x"), &["at /probes/registry_id", "\"mine\""]),
        (
            "no registry id",
            |t| {
                t.as_object_mut().unwrap().remove("registry_id");
                t["plan"]["registry_id"] = json!("");
            },
            &["registry_id"],
        ),
        ("worlds", |t| t["profiles"]["world_id"] = json!("macos"), &["at /profiles/world_id", "\"macos\""]),
        ("inner tag", |t| t["plan"]["schema_version"] = json!("x"), &["plan.json", "at /schema_version"]),
        (
            "probe",
            |t| t["probes"]["probes"]["${OWNER}:a:x"]["expected"] = json!("maybe"),
            &["probes.json", "\"maybe\""],
        ),
        (
            "reference",
            |t| t["profiles"]["profiles"]["${OWNER}:a"]["probe_refs"] = json!(["y"]),
            &["does not fit together", "probes that registry \"mine\" does not have: y"],
        ),
        ("profile", |t| t["plan"]["profiles"] = json!(["none"]), &["does not fit together", "none"]),
        ("undeclared", |t| t["plan"]["notes"] = json!("${WHAT}"), &["at /plan/notes", "\"WHAT\""]),
        (
            "undeclared in a key",
            |t| t["probes"]["probes"]["${WHAT}"] = json!({}),
            &["at /probes/probes/${WHAT}", "\"WHAT\""],
        ),
        (
            "parameter",
            |t| t["parameters"]["FIXTURES"] = json!({"description": "d"}),
            &["at /parameters/FIXTURES", "runs give"],
        ),
        ("fixtures", |t| t["plan"]["fixtures"] = json!("./f.json"), &["./f.json", "no file of the template"]),
    ];
    for (name, fault, words) in faults {
        let mut template = mine();
        fault(&mut template);
        let place = with(&template);
        let output = build(&place, PATH);
        expect(&output, 3);
        for word in *words {
            assert!(text(&output).contains(word), "{name}: {word}: {}", text(&output));
        }
        assert!(!place.path("suite").exists(), "{name}");
    }
    let place = with(&mine());
    expect(&build(&place, PATH), 0);
}

#[test]
fn names_in_files_must_be_declared_and_files_must_be_texts() {
    let place = with(&mine());
    place.write("templates/mine/sb/a.sb", "(version 1) ; ${TYPO}\n");
    let output = build(&place, PATH);
    expect(&output, 3);
    assert!(text(&output).contains("\"sb/a.sb\"") && text(&output).contains("\"TYPO\""), "{}", text(&output));
    place.write("templates/mine/sb/a.sb", [b'(', 0xff]);
    let output = build(&place, PATH);
    expect(&output, 3);
    assert!(text(&output).contains("\"sb/a.sb\"") && text(&output).contains("UTF-8"), "{}", text(&output));
    assert!(!place.path("suite").exists());
}

#[test]
fn nothing_outside_the_templates_folder_is_opened() {
    for (what, words) in [("file", "symbolic link"), ("folder", "symbolic link"), ("document", "symbolic link")] {
        let place = with(&mine());
        place.write("outside/a.sb", "(version 1)\n(allow default)\n");
        let name = match what {
            "file" => "templates/mine/sb/a.sb",
            "folder" => "templates/mine/sb",
            _ => "templates/mine/template.json",
        };
        let path = place.path(name);
        let aim = if what == "document" {
            place.write("outside/template.json", mine().to_string());
            place.path("outside/template.json")
        } else if what == "file" {
            place.path("outside/a.sb")
        } else {
            place.path("outside")
        };
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap()
        } else {
            std::fs::remove_file(&path).unwrap()
        }
        symlink(aim, &path).unwrap();
        let output = build(&place, PATH);
        expect(&output, 3);
        assert!(text(&output).contains(words), "{what}: {}", text(&output));
        assert!(!place.path("suite").exists());
    }
    let place = with(&mine());
    std::fs::rename(place.path("templates/mine"), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path("templates/mine")).unwrap();
    let output = build(&place, PATH);
    expect(&output, 3);
    assert!(text(&output).contains("symbolic link"), "{}", text(&output));
    for id in ["../elsewhere", "/etc", "", ".", "a/b"] {
        let output =
            place.runtime(&["plan-build", "--template", id, "--templates", "../templates", "--out", "../suite"]);
        expect(&output, 3);
        assert!(text(&output).contains("unknown template"), "{id}: {}", text(&output));
    }
}

#[test]
fn a_directory_of_templates_is_listed_and_wins() {
    let place = with(&mine());
    let mut other = mine();
    other["template_id"] = json!("linux-baseline");
    place.write("templates/linux-baseline/template.json", other.to_string());
    place.write("templates/broken/template.json", "{");
    place.write("templates/none/readme.txt", "no template");
    let output = place.runtime(&["list-templates", "--templates", "../templates"]);
    expect(&output, 0);
    let listed = support::json(&output.stdout);
    let find = |id: &str| {
        let found: Vec<&Value> = listed.as_array().unwrap().iter().filter(|entry| entry["template_id"] == id).collect();
        assert!(found.len() < 2, "{id} stands once");
        found.first().copied().cloned()
    };
    assert_eq!(find("mine").unwrap()["description"], "one file, shut");
    let path = |entry: Option<Value>| entry.unwrap()["path"].as_str().unwrap().to_owned();
    assert!(path(find("linux-baseline")).ends_with("templates/linux-baseline/template.json"));
    assert!(
        !path(find("linux-baseline")).starts_with("embedded:") && path(find("linux-edge")).starts_with("embedded:")
    );
    assert!(find("broken").unwrap()["error"].as_str().unwrap().contains("not a JSON document"));
    assert_eq!(find("none"), None);
    let unknown = place.runtime(&["plan-build", "--template", "none", "--templates", "../templates", "--out", "../x"]);
    expect(&unknown, 3);
    assert!(
        text(&unknown).contains("unknown template \"none\"") && text(&unknown).contains("mine"),
        "{}",
        text(&unknown)
    );
    let absent = place.runtime(&["list-templates", "--templates", "../absent"]);
    expect(&absent, 3);
    assert!(text(&absent).contains("absent"), "{}", text(&absent));
}
