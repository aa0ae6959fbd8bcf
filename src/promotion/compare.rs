//! A packet against the packet that its bundle gives now.

use serde_json::{Map, Value};

use super::facts;
use super::packet::{OPTIONAL_POINTERS, PACKET_TAG, POINTERS};
use super::packet_file::PacketFile;
use crate::base::json;
use crate::bundle::layout::{self, ARTIFACT_INDEX};
use crate::bundle::{UnverifiedBundle, Verification};
use crate::vocab::{Finding, Severity};

/// Tag of packets from before promotability was recorded.
const POINTERS_ONLY_TAG: &str = "runtime-tools.promotion_packet.v0.1";

/// Pointers that packets of every age have.
const ALWAYS: [&str; 4] = ["run_manifest", "expected_matrix", "runtime_results", "runtime_events"];

/// Members that bind a packet to content; the earlier tool wrote none of them.
const BINDING: [&str; 5] = ["run_id", "world_id", "artifact_index", "artifact_index_sha256", "export_digests"];

/// Members of `promotability` that the earlier tool wrote.
const EARLIER_CLAIMS: [&str; 3] = ["promotable_decision_stage", "reasons", "gating_inputs"];

/// Characters of a value shown in a message.
const SHOWN: usize = 160;

/// Whether the packet names digests at all.
pub(super) fn is_bound(packet: &PacketFile) -> bool {
    BINDING.iter().any(|key| packet.members().contains_key(*key))
}

/// Everything in which `packet` differs from `derived`, the packet of the same bundle as it is now.
pub(super) fn differences(
    packet: &PacketFile,
    derived: &Map<String, Value>,
    verification: &Verification,
) -> Vec<Finding> {
    let mut differences = Differences { packet, derived, bound: is_bound(packet), findings: Vec::new() };
    let documents = facts::documents(verification);
    differences.shape();
    differences.pointers(documents);
    if differences.bound {
        differences.identity(documents, verification.verified().is_some());
    } else {
        let message = "the packet carries no digests: only what it claims could be compared, not what it was made from";
        differences.add("packet-unbound", Severity::Warning, "", message);
    }
    differences.claims();
    differences.findings
}

struct Differences<'a> {
    packet: &'a PacketFile,
    derived: &'a Map<String, Value>,
    bound: bool,
    findings: Vec<Finding>,
}

impl Differences<'_> {
    fn add(&mut self, id: &str, severity: Severity, pointer: &str, message: impl Into<String>) {
        let file = self.packet.path().to_string_lossy();
        self.findings.push(Finding::new(id, severity, &file, message).at(pointer));
    }

    fn error(&mut self, id: &str, pointer: &str, message: impl Into<String>) {
        self.add(id, Severity::Error, pointer, message);
    }

    fn says(&mut self, id: &str, pointer: &str, said: &Value, derived: &Value) {
        let message = format!("the packet says {}, the bundle gives {}", shown(said), shown(derived));
        self.error(id, pointer, message);
    }

    /// The tag, and members that no packet has.
    fn shape(&mut self) {
        let tag = self.packet.text("schema_version").unwrap_or_default();
        if tag != PACKET_TAG && (self.bound || tag != POINTERS_ONLY_TAG) {
            self.error("packet-schema-unknown", "/schema_version", format!("the schema version {tag:?} is unknown"));
        }
        let optional = OPTIONAL_POINTERS.map(|(key, _)| key);
        let known = |key: &str| self.derived.contains_key(key) || optional.contains(&key);
        let unknown: Vec<String> = self.packet.members().keys().filter(|key| !known(key)).cloned().collect();
        for key in unknown {
            self.error("packet-key-unknown", &format!("/{key}"), format!("no packet has a member {key:?}"));
        }
    }

    /// Every pointer leads to the file of its name in this very run.
    fn pointers(&mut self, documents: &UnverifiedBundle) {
        let index = [("artifact_index", ARTIFACT_INDEX)];
        let directory = documents.run_dir().file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (key, constant) in POINTERS.into_iter().chain(OPTIONAL_POINTERS).chain(index) {
            let at = format!("/{key}");
            let needed = match self.bound {
                true => self.derived.contains_key(key),
                false => ALWAYS.contains(&key),
            };
            match self.packet.members().get(key) {
                None if needed => self.error("packet-key-missing", &at, format!("the packet has no member {key:?}")),
                None => {}
                Some(Value::String(path)) => {
                    let ends = |run: &str| format!("/{path}").ends_with(&format!("/{run}/{constant}"));
                    if !ends(documents.run_id()) && !ends(&directory) {
                        let message = format!("{path:?} is not {constant} of run {}", documents.run_id());
                        self.error("packet-pointer-mismatch", &at, message);
                    } else if !self.derived.contains_key(key) && !documents.has_file(&layout::name(constant)) {
                        self.error("packet-pointer-mismatch", &at, format!("the bundle has no {constant}"));
                    }
                }
                Some(other) => {
                    let message = format!("{} is not a path", shown(other));
                    self.error("packet-pointer-mismatch", &at, message);
                }
            }
        }
    }

    /// Run, world, digest of the index and digests of the exports. Of a refused bundle only the index is compared: what
    /// the others would be compared with is not proven, and the bundle's own findings say so.
    fn identity(&mut self, documents: &UnverifiedBundle, verified: bool) {
        for key in BINDING.iter().filter(|key| !self.packet.members().contains_key(**key)) {
            if *key != "artifact_index" {
                self.error("packet-key-missing", &format!("/{key}"), format!("the packet has no member {key:?}"));
            }
        }
        let packet = self.packet;
        let said = |key: &str| packet.members().get(key);
        if let Some(run) = said("run_id").filter(|run| Some(*run) != self.derived.get("run_id")) {
            self.says("packet-run-mismatch", "/run_id", run, &self.derived["run_id"]);
        }
        let index = documents.index().digest().map_or(Value::Null, |(sha256, _)| sha256.to_string().into());
        if let Some(digest) = said("artifact_index_sha256").filter(|digest| verified || !digest.is_null())
            && *digest != index
        {
            self.says("packet-index-mismatch", "/artifact_index_sha256", digest, &index);
        }
        if !verified {
            return;
        }
        if let Some(world) = said("world_id").filter(|world| Some(*world) != self.derived.get("world_id")) {
            self.says("packet-world-mismatch", "/world_id", world, &self.derived["world_id"]);
        }
        let Some(digests) = said("export_digests") else { return };
        let Some(digests) = digests.as_object() else {
            self.error("packet-digest-mismatch", "/export_digests", "the digests are not an object");
            return;
        };
        let derived = self.derived["export_digests"].as_object().cloned().unwrap_or_default();
        for (key, digest) in &derived {
            let at = format!("/export_digests/{key}");
            match digests.get(key) {
                None => self.error("packet-digest-mismatch", &at, format!("the packet has no digest of {key}")),
                Some(said) if said != digest => self.says("packet-digest-mismatch", &at, said, digest),
                Some(_) => {}
            }
        }
        for key in digests.keys().filter(|key| !derived.contains_key(*key)) {
            let message = format!("the bundle exports no {key}");
            self.error("packet-digest-mismatch", &format!("/export_digests/{key}"), message);
        }
    }

    /// What the gates answered, and what they looked at.
    fn claims(&mut self) {
        let derived = self.derived["promotability"].as_object().cloned().unwrap_or_default();
        let packet = self.packet;
        let claimed = match packet.members().get("promotability") {
            Some(Value::Object(claimed)) => claimed,
            None if !self.bound && packet.text("schema_version") == Some(POINTERS_ONLY_TAG) => return,
            None => return self.error("packet-key-missing", "/promotability", "the packet has no promotability"),
            Some(_) => return self.error("packet-claim-mismatch", "/promotability", "promotability is not an object"),
        };
        for (key, value) in &derived {
            let at = format!("/promotability/{key}");
            match claimed.get(key) {
                Some(said) if said != value => self.says("packet-claim-mismatch", &at, said, value),
                None if self.bound || EARLIER_CLAIMS.contains(&key.as_str()) => {
                    self.says("packet-claim-mismatch", &at, &Value::Null, value);
                }
                _ => {}
            }
        }
        for (key, said) in claimed.iter().filter(|(key, _)| !derived.contains_key(*key)) {
            self.says("packet-claim-mismatch", &format!("/promotability/{key}"), said, &Value::Null);
        }
    }
}

/// A value as a message shows it.
fn shown(value: &Value) -> String {
    let text = json::to_line(value);
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
