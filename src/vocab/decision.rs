//! Decisions and the ways a probe can fail to give one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was decided for one access. "Not observed" is the absence of a decision (`Option::None`, JSON null).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The access was let through.
    Allow,
    /// The access was refused.
    Deny,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// What evaluating a profile says: three-valued, because parts of SBPL depend on state an evaluator cannot see.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict3 {
    /// The access is allowed.
    Allow,
    /// The access is denied.
    Deny,
    /// The profile's answer depends on something unknown; the text names it. Enforced as deny.
    Unknown(String),
}

impl Verdict3 {
    /// The two-valued decision that enforcement applies: unknown is refused.
    #[must_use]
    pub fn enforced(&self) -> Decision {
        match self {
            Self::Allow => Decision::Allow,
            Self::Deny | Self::Unknown(_) => Decision::Deny,
        }
    }
}

/// Where a probe stopped before it could give a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureStage {
    /// A static check refused to apply the profile.
    Preflight,
    /// The profile could not be applied.
    Apply,
    /// The worker could not be started under the profile.
    Bootstrap,
    /// The operation itself failed.
    Probe,
}

/// The kind of failure inside its [`FailureStage`]; spellings of the formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The static preflight found an apply-gate signature.
    PreflightApplyGateSignature,
    /// The process was sandboxed already.
    ApplyAlreadySandboxed,
    /// `sandbox_init` failed.
    SandboxInitFailed,
    /// `sandbox_apply` failed.
    SandboxApplyFailed,
    /// Applying failed without a more precise cause.
    ApplyFailed,
    /// The profile denied starting the program.
    BootstrapDenyProcessExec,
    /// The program could not be started.
    BootstrapExecFailed,
    /// The probe did not finish within its limit.
    ProbeTimeout,
    /// The probe's process ended with a status other than 0 and gave no result.
    ProbeNonzeroExit,
    /// The operation returned an errno.
    ProbeErrno,
}
