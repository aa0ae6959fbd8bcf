//! Every expectation of the shipped templates for macOS is what the evaluator decides for the profile, on the request as
//! macOS sees it.
#![expect(clippy::disallowed_methods, reason = "a test changes a file of a suite that it has built")]

use std::collections::{BTreeMap, BTreeSet};

use runtime::registry::Probe;
use runtime::sbpl::{NoImports, Params, Policy, Query};
use runtime::vocab::Decision;
use serde_json::Value;

use crate::macos_templates::{Built, SUITES};

/// Links that a request may lead through, where they lead, and whether looking at them has to be allowed (measured on macOS
/// 14; the last one is the suite's own).
const LINKS: &[(&str, &str, bool)] = &[
    ("/tmp", "/private/tmp", false),
    ("/var", "/private/var", true),
    ("/etc", "/private/etc", true),
    ("/private/tmp/vfs_link", "/private/tmp/vfs_dir", true),
];

/// Why the text of a target is not what is decided.
///
/// The target leads through a link: the resolved path is compared.
const LINK: &str = "link";
/// The link is an object of its own, and looking at it has to be allowed too.
const LOOKED_AT: &str = "link that is looked at";
/// `..` is resolved before anything is compared.
const DOT_DOT: &str = "dot-dot";
/// The data volume's mount point is not part of what is compared.
const MOUNT_POINT: &str = "data volume";
/// The directory is opened first, and that is a read of it.
const RELATIVE: &str = "relative open";

const DATA_VOLUME: &str = "/System/Volumes/Data";

/// What a request for a path asks of the policy on macOS, and why that is more than the path as it is spelled.
struct Request {
    /// Accesses that come before: a link that is looked at, a directory that is opened.
    before: Vec<(&'static str, String)>,
    path: String,
    reasons: BTreeSet<&'static str>,
}

impl Request {
    fn new(probe: &Probe, target: &str) -> Self {
        let mut request = Self { before: Vec::new(), path: target.to_owned(), reasons: BTreeSet::new() };
        if !probe.operation.as_str().starts_with("file-") {
            return request;
        }
        match probe.syscall.as_deref() {
            Some("openat_rootrel") => {
                request.before.push(("file-read-data", "/".to_owned()));
                request.path = format!("/{target}");
                request.reasons.insert(RELATIVE);
            }
            Some("openat") => {
                let (directory, _) = target.rsplit_once('/').unwrap();
                request.before.push(("file-read-data", directory.to_owned()));
                request.reasons.insert(RELATIVE);
            }
            _ => {}
        }
        if let Some(rest) = request.path.strip_prefix(DATA_VOLUME) {
            request.path = rest.to_owned();
            request.reasons.insert(MOUNT_POINT);
        }
        if request.path.contains("/../") {
            request.reasons.insert(DOT_DOT);
            let mut kept: Vec<&str> = Vec::new();
            for part in request.path.split('/') {
                if part == ".." { kept.truncate(kept.len() - 1) } else { kept.push(part) }
            }
            request.path = kept.join("/");
        }
        for (link, leads_to, is_looked_at) in LINKS {
            let rest = request.path.strip_prefix(link).filter(|rest| rest.starts_with('/'));
            let Some(path) = rest.map(|rest| format!("{leads_to}{rest}")) else { continue };
            request.path = path;
            if *is_looked_at {
                request.before.push(("file-read-metadata", (*link).to_owned()));
            }
            request.reasons.insert(if *is_looked_at { LOOKED_AT } else { LINK });
        }
        request
    }
}

fn ask(policy: &Policy, operation: &str, target: &str, attributes: &[(String, String)]) -> &'static str {
    Query::new(operation, Some(target), attributes).unwrap().decide(policy).decision
}

/// The target in the spelling of questions to the evaluator.
fn question(probe: &Probe, params: &Params) -> String {
    let target = runtime::plan::resolve_target(&probe.target, params);
    match probe.operation.as_str() {
        "network-outbound" => format!("tcp:{target}"),
        // launchd: neither a relative nor in any sandbox.
        "process-info-pidinfo" if target == "1" => "others".to_owned(),
        _ => target,
    }
}

/// What the evaluator is told about an object beside its path: kind and mode of a fixture, the filter a name is meant for.
fn attributes(probe: &Probe, path: &str, fixtures: &Value) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    if let Some(filter) = &probe.filter_name {
        return vec![pair(filter, path)];
    }
    let entries = fixtures["entries"].as_array().into_iter().flatten();
    let mut entries = entries.filter(|entry| path == format!("/fixtures/{}", entry["path"].as_str().unwrap()));
    match entries.next() {
        Some(entry) if entry["kind"] == "directory" => vec![pair("vnode-type", "DIRECTORY"), pair("file-mode", "755")],
        Some(entry) => {
            vec![pair("vnode-type", "REGULAR-FILE"), pair("file-mode", entry["mode"].as_str().unwrap_or("0644"))]
        }
        None => Vec::new(),
    }
}

/// The member that a probe of a whole family performs.
fn member(operation: &str) -> &str {
    match operation {
        "file-read*" => "file-read-data",
        "file-write*" => "file-write-data",
        other => other,
    }
}

/// What the evaluator says about the rows of one suite.
#[derive(Default)]
struct Judged {
    rows: usize,
    /// Rows whose expectation is not what the profile says.
    wrong: Vec<String>,
    /// Rows in which the request as macOS sees it is decided otherwise than the text of the target, by the reasons.
    differing: BTreeMap<String, usize>,
}

fn judge(suite: &Built) -> Judged {
    let mut judged = Judged::default();
    let (params, fixtures) = (suite.parameters(), suite.fixtures());
    for profile in &suite.profiles {
        let policy = Policy::compile(&suite.sources(profile), &params, &NoImports).unwrap();
        for probe in profile.probe_refs.iter().map(|id| &suite.probes[id]) {
            judged.rows += 1;
            let operation = probe.operation.as_str();
            let spelled = question(probe, &params);
            let request = Request::new(probe, &spelled);
            let facts = attributes(probe, &request.path, &fixtures);
            let mut decided = ask(&policy, operation, &request.path, &facts);
            let before = request.before.iter();
            if decided == "allow" && before.clone().any(|(before, path)| ask(&policy, before, path, &[]) != "allow") {
                decided = "deny";
            }
            let of_member = ask(&policy, member(operation), &request.path, &facts);
            let expected = serde_json::to_value(probe.expected).unwrap();
            if expected != decided || (before.len() == 0 && of_member != decided) {
                let what = format!("{} {}", profile.profile_id, probe.name);
                judged
                    .wrong
                    .push(format!("{what}: expected {expected}, is {decided}, the performed member {of_member}"));
            }
            let plain = Query::new(operation, Some(&spelled), &facts).map(|query| query.decide(&policy).decision);
            if plain != Ok(decided) {
                let reasons: Vec<&str> = request.reasons.into_iter().collect();
                *judged.differing.entry(reasons.join(", ")).or_default() += 1;
            }
        }
    }
    judged
}

/// Every expectation is what the evaluator decides on the request as macOS sees it, and it decides them all. Where that
/// differs from what it decides on the text of the target alone, suite, reason and number of rows are listed.
#[test]
fn every_expectation_is_what_the_profile_says() {
    let mut differing = Vec::new();
    let mut rows = 0;
    for &(id, ..) in SUITES {
        let judged = judge(&Built::new(id));
        assert_eq!(judged.wrong, [""; 0], "{id}");
        rows += judged.rows;
        differing.extend(judged.differing.into_iter().map(|(reason, count)| (id, reason, count)));
    }
    // 250 probes of one profile each, three of 25 profiles (49 rows), and the generated ones.
    assert_eq!(rows, 250 + 49 + 127 + 1296);
    let expected = [
        ("metadata-runner", LINK, 378),
        ("metadata-runner", LOOKED_AT, 126),
        ("runtime-adversarial", DOT_DOT, 4),
        ("runtime-closure", LINK, 3),
        ("runtime-closure", LOOKED_AT, 3),
        ("vfs-canonicalization", MOUNT_POINT, 4),
        ("vfs-canonicalization", DOT_DOT, 4),
        ("vfs-canonicalization", LINK, 24),
        ("vfs-canonicalization", LOOKED_AT, 8),
        ("vfs-canonicalization", "link, relative open", 2),
        ("vfs-canonicalization", RELATIVE, 5),
    ];
    let listed: Vec<(&str, &str, usize)> =
        differing.iter().map(|(id, reason, count)| (*id, reason.as_str(), *count)).collect();
    assert_eq!(listed, expected);
}

/// The twin: one expectation turned round, or one rule taken out of a profile, is seen.
#[test]
fn a_wrong_expectation_is_seen() {
    let mut suite = Built::new("hardened-runtime");
    let probe = suite.probes.get_mut("hardened-runtime:sysctl_named:read_named").unwrap();
    probe.expected = Decision::Deny;
    assert_eq!(judge(&suite).wrong.len(), 1);
    let suite = Built::new("vfs-canonicalization");
    let profile = suite.path().join("s/sb/etc_link_metadata.sb");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace("(literal \"/etc\")", "(literal \"/elsewhere\")")).unwrap();
    assert_eq!(judge(&suite).wrong.len(), 2);
}
