//! What an environment offers and what was enforced in it, as documents.
//!
//! `SPEC.md`, section "Enforcement report", owns the keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::digest::Sha256Hex;

/// One layer of enforcement, present or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Whether it can be used.
    pub present: bool,
    /// What was found, for a reader: a version, a mode, or why it is not there.
    pub detail: String,
}

/// The layers of enforcement of an environment, as probed before anything was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Operating system.
    pub system: String,
    /// Kernel release, as `uname -r` prints it.
    pub kernel_release: String,
    /// Version of the Landlock interface; 0 when there is none.
    pub landlock_abi: u32,
    /// Real user id of the asking process.
    pub uid: u32,
    /// `kernel.yama.ptrace_scope`; null without Yama.
    pub yama_ptrace_scope: Option<u32>,
    /// Whether the asking process was confined already: a seccomp filter or `no_new_privs` was in force, or Seatbelt says so.
    /// Null when the system has no interface that says it, which is not "no".
    pub already_sandboxed: Option<bool>,
    /// The layers by name.
    pub layers: BTreeMap<String, Layer>,
    /// Names of the layers that are absent, or left out on purpose.
    pub missing: Vec<String>,
}

impl Layers {
    /// An environment without any layer.
    #[must_use]
    pub fn none(system: &str) -> Self {
        Self {
            system: system.to_owned(),
            kernel_release: String::new(),
            landlock_abi: 0,
            uid: 0,
            yama_ptrace_scope: None,
            already_sandboxed: None,
            layers: BTreeMap::new(),
            missing: Vec::new(),
        }
    }

    /// Whether a layer is present.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.layers.get(name).is_some_and(|layer| layer.present)
    }

    /// Adds a layer's finding.
    pub fn add(&mut self, name: &str, present: bool, detail: impl Into<String>) {
        self.layers.insert(name.to_owned(), Layer { present, detail: detail.into() });
        self.missing.retain(|missing| missing != name);
        if !present {
            self.missing.push(name.to_owned());
        }
    }

    /// The same environment with some layers left out on purpose.
    #[must_use]
    pub fn without(mut self, names: &[String]) -> Self {
        for name in names {
            self.add(name, false, "left out on purpose");
        }
        self
    }
}

/// How far one operation is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every access was decided by the profile and the decision applied.
    Enforced,
    /// Decided and applied with a named gap, or refused where the profile may allow.
    Partly,
    /// Not decided; the reason says whether it runs free or is refused.
    NotEnforceable,
}

/// How far one operation is enforced, and why not fully.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStatus {
    /// How far.
    pub status: Status,
    /// Why not fully; null when enforced.
    pub reason: Option<String>,
}

/// One tree or file that a Landlock domain admits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Root {
    /// Absolute path.
    pub path: String,
    /// What may be done beneath it: any of `read`, `write`, `execute`.
    pub rights: Vec<String>,
    /// Why it is admitted when the profile does not name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A root that could not be admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRoot {
    /// Absolute path.
    pub path: String,
    /// Which domain: `d1` or `d2`.
    pub domain: String,
    /// Why it was skipped.
    pub reason: String,
}

/// What was enforced for one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcementReport {
    /// Operating system and architecture, for instance `linux-x86_64`.
    pub platform: String,
    /// The environment, with what was left out on purpose.
    pub layers: Layers,
    /// Whether nothing was refused and refusals were only recorded.
    pub observe: bool,
    /// By operation name.
    pub operations: BTreeMap<String, OperationStatus>,
    /// What the supervisor itself can reach: the outer Landlock domain.
    pub d1_roots: Vec<Root>,
    /// What the confined program can reach by itself: the inner Landlock domain.
    pub d2_roots: Vec<Root>,
    /// `landlock` when the outer domain bounds the supervisor; `none` when it is absent or one of its roots is `/`.
    pub backstop: String,
    /// Roots that could not be admitted.
    pub skipped_roots: Vec<SkippedRoot>,
    /// Capabilities the tree and its supervisor gave up (those the caller held).
    pub capabilities_dropped: Vec<String>,
}

/// An overlay of an applied profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedOverlay {
    /// The path as given, or the bare name of a shipped one.
    pub name: String,
    /// Whether it is the text that this program ships under that name.
    pub shipped: bool,
    /// SHA-256 of its text.
    pub sha256: Sha256Hex,
}

/// What was applied to one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedProfile {
    /// The profile's path as given.
    pub base_profile_path: String,
    /// SHA-256 of the profile's text.
    pub base_profile_sha256: Sha256Hex,
    /// SHA-256 of the text that was applied: profile and overlays, one after the other.
    pub applied_profile_sha256: Sha256Hex,
    /// In the order they were appended.
    pub overlays: Vec<AppliedOverlay>,
    /// Files that `(import …)` led to, in the order they were found.
    pub imports: Vec<AppliedImport>,
    /// Values of `(param "KEY")` as given.
    pub parameters: BTreeMap<String, String>,
}

/// A file whose text a profile imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedImport {
    /// The search directory as given and the name below it.
    pub path: String,
    /// SHA-256 of the text.
    pub sha256: Sha256Hex,
}

/// The report of `sandbox run`. A bundle says by itself what it applied, and how many decisions each row lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReport {
    /// What was enforced.
    #[serde(flatten)]
    pub enforced: EnforcementReport,
    /// What was applied.
    #[serde(flatten)]
    pub applied: AppliedProfile,
    /// Decisions that were not kept, because too many different ones had been kept already.
    pub records_dropped: u64,
}

impl EnforcementReport {
    /// Notes how far an operation is enforced.
    pub fn note(&mut self, operation: &str, status: Status, reason: Option<&str>) {
        let entry = OperationStatus { status, reason: reason.map(str::to_owned) };
        self.operations.insert(operation.to_owned(), entry);
    }
}
