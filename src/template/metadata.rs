//! The generator of `metadata-runner`: every metadata call on every spelling of every path, under every profile.
//!
//! Paths come in pairs, the alias (through a symbolic link of the system) and the canonical spelling. A profile names the
//! spellings it is expected to allow. Rows: profiles in order; reads, then writes; alias and canonical of each pair in turn;
//! calls in list order; payloads in list order for the calls that take one.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::build::Suite;
use super::generator::{self, Head, add, pairs, texts};
use crate::registry::check::{self, Field, Kind, Sink, optional, required};
use crate::registry::{LaneSupport, Probe, ProfileMode};
use crate::vocab::{Decision, Severity};

/// The driver of every probe.
const DRIVER: &str = "metadata_runner";

const READ: &str = "file-read-metadata";
const WRITE: &str = "file-write*";

/// The keys that only templates of this generator have.
pub(super) const OWN_FIELDS: &[Field] = &[required("path_pairs", Kind::Array), required("ops", Kind::Object)];

const READ_FIELDS: &[Field] = &[
    required("syscalls", Kind::TextList),
    optional("attr_payloads", Kind::TextList),
    optional("attr_payload_syscalls", Kind::TextList),
];
const WRITE_FIELDS: &[Field] = &[required("syscalls", Kind::TextList)];
const OPS_FIELDS: &[Field] = &[required(READ, Kind::Object), required(WRITE, Kind::Object)];

const PROFILE_FIELDS: &[Field] = &[
    required("sbpl", Kind::Text),
    required("allowed_sets", Kind::WordList("template-generator", SETS)),
    optional("mode", Kind::Word("profile-mode", &["sbpl", "blob"])),
    optional("family", Kind::OptionalText),
    optional("semantic_group", Kind::OptionalText),
    optional("key_specific_rules", Kind::TextList),
    optional("notes", Kind::OptionalText),
];

/// The names of the sets of paths.
const SETS: &[&str] = &["alias", "alias_tmp", "alias_var", "canonical", "all"];

/// Whether `set` holds the path of this spelling.
fn holds(set: &str, path: &str, is_alias: bool) -> bool {
    match set {
        "alias" => is_alias,
        "alias_tmp" => is_alias && path.starts_with("/tmp/"),
        "alias_var" => is_alias && path.starts_with("/var/tmp"),
        "canonical" => !is_alias,
        _ => true,
    }
}

/// One call on a target: what the probe's name says, before the path.
struct Call<'t> {
    operation: &'static str,
    syscall: &'t str,
    payload: Option<&'t str>,
}

impl Call<'_> {
    fn name(&self, path: &str) -> String {
        let verb = if self.operation == READ { "readmeta" } else { "writemeta" };
        let payload = self.payload.map_or_else(String::new, |payload| format!("_{payload}"));
        format!("{verb}_{}{payload}_{path}", self.syscall)
    }
}

/// Makes plan and registry of the template; what is wrong with it goes to `sink`.
pub(super) fn generate(template: &Map<String, Value>, sink: &mut Sink<'_>) -> Option<Suite> {
    let default_lanes = LaneSupport { oracle: false, ..LaneSupport::default() };
    let head = Head::read(template, OWN_FIELDS, default_lanes, sink)?;
    let pairs = template.get("path_pairs").map(|given| pairs(given, "/path_pairs", sink)).unwrap_or_default();
    let targets: Vec<(&str, bool)> =
        pairs.into_iter().flat_map(|(alias, canonical)| [(alias, true), (canonical, false)]).collect();
    let calls = template.get("ops").map(|ops| calls(ops, sink)).unwrap_or_default();
    let mut probes: IndexMap<String, Probe> = IndexMap::new();
    let mut profiles = IndexMap::new();
    for (id, profile, pointer) in &head.profiles {
        let what = format!("profile {id:?}");
        check::object(&Value::Object((*profile).clone()), PROFILE_FIELDS, Severity::Error, &what, pointer, sink);
        let allowed: Vec<&str> = texts(profile.get("allowed_sets")).collect();
        let mut probe_refs = Vec::new();
        for operation in [READ, WRITE] {
            for (path, is_alias) in targets.iter().copied() {
                let allow = allowed.iter().any(|set| holds(set, path, is_alias));
                let expected = if allow { Decision::Allow } else { Decision::Deny };
                for call in calls.iter().filter(|call| call.operation == operation) {
                    let probe = Probe {
                        driver: Some(DRIVER.to_owned()),
                        syscall: Some(call.syscall.to_owned()),
                        attr_payload: call.payload.map(str::to_owned),
                        ..head.probe(id, call.name(path), operation, path, expected)
                    };
                    add(&mut probes, &mut probe_refs, probe, pointer, sink);
                }
            }
        }
        let mode = match profile.get("mode").and_then(Value::as_str) {
            Some("blob") => ProfileMode::Blob,
            _ => ProfileMode::Sbpl,
        };
        // Here a null that is given stands for itself; only an absent key falls back to the template's.
        let tag = |key: &str| match profile.get(key) {
            Some(value) => value.as_str().map(str::to_owned),
            None => head.shared(key),
        };
        let tags = [tag("family"), tag("semantic_group")];
        profiles.insert((*id).to_owned(), generator::profile(id, profile, mode, probe_refs, tags));
    }
    Some(head.suite(&probes, &profiles))
}

/// The calls of both operations, reads first.
fn calls<'t>(ops: &'t Value, sink: &mut Sink<'_>) -> Vec<Call<'t>> {
    check::object(ops, OPS_FIELDS, Severity::Error, "ops", "/ops", sink);
    let mut calls = Vec::new();
    for (operation, fields) in [(READ, READ_FIELDS), (WRITE, WRITE_FIELDS)] {
        let Some(of) = ops.get(operation) else { continue };
        let pointer = format!("/ops/{operation}");
        check::object(of, fields, Severity::Error, operation, &pointer, sink);
        if of.get("syscalls").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            let message = format!("{operation} names no call");
            sink.error("template-generator", &format!("{pointer}/syscalls"), message);
        }
        let takes: Vec<&str> = texts(of.get("attr_payload_syscalls")).collect();
        for (at, syscall) in takes.iter().enumerate() {
            if !texts(of.get("syscalls")).any(|known| known == *syscall) {
                let message = format!("{syscall:?} is none of the calls of {operation}");
                sink.error("template-generator", &format!("{pointer}/attr_payload_syscalls/{at}"), message);
            }
        }
        if !takes.is_empty() && texts(of.get("attr_payloads")).next().is_none() {
            let message = format!("{operation} has calls with a payload and names no payload");
            sink.error("template-generator", &pointer, message);
        }
        for syscall in texts(of.get("syscalls")) {
            if takes.contains(&syscall) {
                let payloads = texts(of.get("attr_payloads"));
                calls.extend(payloads.map(|payload| Call { operation, syscall, payload: Some(payload) }));
            } else {
                calls.push(Call { operation, syscall, payload: None });
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template() -> Value {
        json!({"schema_version": "runtime-tools.plan_template.v0.1", "template_id": "t", "world_id": "sonoma",
            "family": "f", "semantic_group": "g",
            "path_pairs": [["/tmp/x", "/private/tmp/x"], ["/var/tmp/y", "/private/var/tmp/y"]],
            "ops": {"file-read-metadata": {"syscalls": ["lstat", "getattrlist"], "attr_payloads": ["cmn", "file-size"],
                        "attr_payload_syscalls": ["getattrlist"]},
                    "file-write*": {"syscalls": ["chmod"]}},
            "profiles": {"t:p": {"sbpl": "./../sb/p.sb", "allowed_sets": []}}})
    }

    fn make(template: &Value) -> (Option<Suite>, Vec<String>) {
        let mut sink = Sink::new("template.json");
        let suite = generate(template.as_object().unwrap(), &mut sink);
        let findings = sink.into_findings();
        (suite, findings.into_iter().map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default())).collect())
    }

    #[test]
    fn rows_follow_operations_targets_calls_and_payloads() {
        let suite = make(&template()).0.unwrap();
        let refs: Vec<&str> = texts(suite.profiles["profiles"]["t:p"].get("probe_refs")).collect();
        let mut expected = Vec::new();
        for path in ["/tmp/x", "/private/tmp/x", "/var/tmp/y", "/private/var/tmp/y"] {
            for call in ["lstat", "getattrlist_cmn", "getattrlist_file-size"] {
                expected.push(format!("t:p:readmeta_{call}_{path}"));
            }
        }
        for path in ["/tmp/x", "/private/tmp/x", "/var/tmp/y", "/private/var/tmp/y"] {
            expected.push(format!("t:p:writemeta_chmod_{path}"));
        }
        assert_eq!(refs, expected);
        let ids: Vec<&str> = suite.probes["probes"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(ids, expected);
        let probe = &suite.probes["probes"]["t:p:readmeta_getattrlist_cmn_/tmp/x"];
        let last: Vec<&str> = probe.as_object().unwrap().keys().skip(10).map(String::as_str).collect();
        assert_eq!(last, ["driver", "syscall", "attr_payload"]);
        assert_eq!((&probe["driver"], &probe["syscall"]), (&json!("metadata_runner"), &json!("getattrlist")));
        assert_eq!(probe["supports_lanes"], json!({"baseline": true, "scenario": true, "oracle": false}));
        assert_eq!(suite.probes["probes"]["t:p:writemeta_chmod_/tmp/x"].get("attr_payload"), None);
        assert_eq!(suite.plan["lanes"], json!({"baseline": true, "scenario": true, "oracle": false}));
        assert_eq!(suite.plan.get("notes"), None);
    }

    #[test]
    fn a_path_is_allowed_when_one_of_the_sets_holds_it() {
        // In the order of the pairs: /tmp/x, /private/tmp/x, /var/tmp/y, /private/var/tmp/y.
        for (sets, allowed) in [
            (json!([]), [false, false, false, false]),
            (json!(["alias"]), [true, false, true, false]),
            (json!(["alias_tmp"]), [true, false, false, false]),
            (json!(["alias_var"]), [false, false, true, false]),
            (json!(["canonical"]), [false, true, false, true]),
            (json!(["canonical", "alias_tmp"]), [true, true, false, true]),
            (json!(["all"]), [true, true, true, true]),
        ] {
            let mut template = template();
            template["profiles"]["t:p"]["allowed_sets"] = sets.clone();
            let suite = make(&template).0.unwrap();
            for (path, allowed) in ["/tmp/x", "/private/tmp/x", "/var/tmp/y", "/private/var/tmp/y"].iter().zip(allowed)
            {
                for name in ["readmeta_lstat", "readmeta_getattrlist_cmn", "writemeta_chmod"] {
                    let expected = &suite.probes["probes"][format!("t:p:{name}_{path}")]["expected"];
                    assert_eq!(expected, if allowed { "allow" } else { "deny" }, "{sets} {path}");
                }
            }
        }
    }

    #[test]
    fn a_null_tag_overrides_the_shared_one() {
        let mut template = template();
        template["notes"] = json!("n");
        template["profiles"]["t:p"]["family"] = json!(null);
        template["profiles"]["t:p"]["mode"] = json!("blob");
        let suite = make(&template).0.unwrap();
        let profile = &suite.profiles["profiles"]["t:p"];
        assert_eq!((&profile["family"], &profile["semantic_group"]), (&json!(null), &json!("g")));
        assert_eq!((&profile["mode"], &suite.plan["notes"]), (&json!("blob"), &json!("n")));
    }

    #[test]
    fn what_a_template_gets_wrong_is_named() {
        for (pointer, value, finding) in [
            ("/profiles/t:p/allowed_sets", json!(["aliases"]), "template-generator /profiles/t:p/allowed_sets/0"),
            ("/profiles/t:p/mode", json!("text"), "profile-mode /profiles/t:p/mode"),
            ("/profiles/t:p/sbpl", json!(null), "wrong-type /profiles/t:p/sbpl"),
            ("/ops/file-read-metadata/syscalls", json!([]), "template-generator /ops/file-read-metadata/syscalls"),
            ("/ops/file-write*/syscalls", json!([]), "template-generator /ops/file-write*/syscalls"),
            ("/ops/file-read-metadata/attr_payloads", json!([]), "template-generator /ops/file-read-metadata"),
            (
                "/ops/file-read-metadata/attr_payload_syscalls",
                json!(["fstat"]),
                "template-generator /ops/file-read-metadata/attr_payload_syscalls/0",
            ),
            ("/path_pairs/1", json!(["/a"]), "wrong-type /path_pairs/1"),
            ("/path_pairs", json!({}), "wrong-type /path_pairs"),
            ("/ops", json!({"file-read*": {}}), "unknown-key /ops/file-read*"),
        ] {
            let mut broken = template();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            match broken.pointer_mut(parent).unwrap() {
                Value::Array(members) => members[key.parse::<usize>().unwrap()] = value,
                object => object[key] = value,
            }
            let found = make(&broken).1;
            assert_eq!(found.first().map(String::as_str), Some(finding), "{pointer}: {found:?}");
        }
        for key in ["path_pairs", "ops", "profiles", "world_id"] {
            let mut broken = template();
            broken.as_object_mut().unwrap().shift_remove(key);
            assert_eq!(make(&broken).1, ["missing-key "], "{key}");
        }
    }
}
