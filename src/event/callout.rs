//! A question to `sandbox_check` with its answer, as rows store it. An answer of the oracle, never a decision about a call.

use serde::{Deserialize, Serialize};

/// In which numbering a filter's number is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbering {
    /// That of the call itself.
    SandboxCheck,
    /// That of compiled profiles, which the earlier tool passed to the call.
    CompiledProfile,
}

/// The form of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckApi {
    /// The process is named by its id.
    SandboxCheck,
    /// The process is named by its audit token.
    SandboxCheckByAuditToken,
}

impl CheckApi {
    /// The function's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SandboxCheck => "sandbox_check",
            Self::SandboxCheckByAuditToken => "sandbox_check_by_audit_token",
        }
    }
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The call returned 0.
    Allow,
    /// It returned 1.
    Deny,
    /// It returned something else.
    Error,
}

impl Answer {
    /// The answer that a return value is.
    #[must_use]
    pub fn of(rc: i32) -> Self {
        match rc {
            0 => Self::Allow,
            1 => Self::Deny,
            _ => Self::Error,
        }
    }

    /// The stored word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
        }
    }
}

/// When rows of ours are asked about: after the policy was entered, before the call.
pub const CALLOUT_STAGE: &str = "pre_syscall";

/// A question with its answer, as a row stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callout {
    /// [`CALLOUT_STAGE`] in rows of ours.
    pub stage: String,
    /// The form of the call.
    pub api: CheckApi,
    /// The operation.
    pub operation: String,
    /// The filter's number, in `numbering`.
    pub filter_type: i32,
    /// Its name.
    pub filter_type_name: String,
    /// Whose number it is.
    pub numbering: Numbering,
    /// The number passed, flags included.
    pub check_type: i32,
    /// Arguments passed after it.
    pub varargs_count: u8,
    /// What was asked about; null when the question is about the operation alone.
    pub argument: Option<String>,
    /// `raw` or `canonical`.
    pub canonicalization: String,
    /// Whether the flag for it was passed.
    pub canonical_flag_used: bool,
    /// Why not.
    pub canonical_flag_reason: Option<String>,
    /// Whether the system was told to report nothing.
    pub no_report: bool,
    /// Why not.
    pub no_report_reason: Option<String>,
    /// `pid`: none is needed; `ok`: this process's was passed.
    pub token_status: String,
    /// What Mach returned when it was asked for the token; null when it was not.
    pub token_mach_kr: Option<i32>,
    /// What the call returned.
    pub rc: i32,
    /// `errno` after it; 0 when it was not set.
    pub errno: i32,
    /// What `rc` means.
    pub decision: Answer,
}

/// What was to be asked, as a row stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The operation.
    pub operation: String,
    /// The filter's number in `numbering`.
    pub filter_type: i32,
    /// Its name.
    pub filter_name: String,
    /// Whose number it is.
    pub numbering: Numbering,
    /// What the filter is compared with; null when the operation alone is asked about.
    pub argument: Option<String>,
    /// `both`: as written and as canonical path; null: as written.
    pub canonicalization: Option<String>,
    /// Why the operation alone is asked about although the probe has a target.
    pub operation_level_reason: Option<String>,
}

/// What was asked about one probe under Seatbelt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatbeltAnswers {
    /// What was to be asked.
    pub request: CheckRequest,
    /// Answers in the order of the questions.
    pub callouts: Vec<Callout>,
    /// Questions that could not be put, with the reason of each.
    pub not_asked: Vec<String>,
}

/// How a profile was applied, or why it was not, in the words of the interface that did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The function.
    pub api: String,
    /// What it returned; 0 is success.
    pub rc: i32,
    /// `errno` after a failure, else 0.
    pub errno: i32,
    /// Its words after a failure.
    pub errbuf: Option<String>,
}
