//! A question to `sandbox_check` as data, and how its answer is read. Pure: asking is the business of the system it is for.
//!
//! Two numberings of filters are about (`vocab::filter_numbers`). Which one a question was asked in is part of the
//! question and stays with the answer, so that a number is never read in the other one.

use crate::event::{Answer, CALLOUT_STAGE, CALLOUT_VERSION, Callout, CheckApi, CheckRequest, Numbering};
use crate::vocab::{CheckFilter, CompiledFilter};

/// `SANDBOX_CHECK_NO_REPORT` as stored answers show it; the flag in use is that of the running system.
pub const NO_REPORT_SEEN: i32 = 0x4000_0000;
/// `SANDBOX_CHECK_CANONICAL`, the same.
pub const CANONICAL_SEEN: i32 = 0x2000_0000;

/// The filter of a question, in one of the two numberings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedFilter {
    /// As the call itself numbers filters.
    Check(CheckFilter),
    /// As compiled profiles number them, which is what the earlier tool passed.
    Compiled(CompiledFilter),
}

impl AskedFilter {
    /// The numbering, as records store it.
    #[must_use]
    pub fn numbering(self) -> Numbering {
        match self {
            Self::Check(_) => Numbering::SandboxCheck,
            Self::Compiled(_) => Numbering::CompiledProfile,
        }
    }

    /// The number that is passed, before flags.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Check(filter) => filter.number(),
            Self::Compiled(filter) => filter.number(),
        }
    }

    /// The filter's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Check(filter) => filter.name(),
            Self::Compiled(filter) => filter.name(),
        }
    }

    /// Whether the call takes an argument after the number: it does for every number but 0.
    #[must_use]
    pub fn takes_argument(self) -> bool {
        self.number() != CheckFilter::NONE.number()
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'a> {
    /// The operation.
    pub operation: &'a str,
    /// The filter.
    pub filter: AskedFilter,
    /// What the filter is compared with.
    pub argument: &'a str,
    /// Whether the path is asked about in its canonical form.
    pub canonical: bool,
    /// The form of the call.
    pub api: CheckApi,
}

/// Why a question could not be put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// The running system does not export the function.
    #[error("{0} is not exported by this system")]
    NoInterface(&'static str),
    /// Operation or argument holds a NUL byte.
    #[error("the operation or its argument holds a NUL byte")]
    Nul,
    /// The process's audit token was not given.
    #[error("task_info(TASK_AUDIT_TOKEN) failed with {0}")]
    NoToken(i32),
    /// There is no such question on this system.
    #[error("sandbox_check is an interface of macOS")]
    OtherSystem,
}

/// What is to be asked about a probe: `operation` on `target`, of which the compiled numbering's `filter` says what kind of
/// argument it is. Only the call's own numbering is used; a filter that it does not have is left out and the operation alone is
/// asked about, which the request says.
#[must_use]
pub fn request(operation: &str, target: &str, filter: Option<CompiledFilter>) -> CheckRequest {
    let known = filter.and_then(|filter| CheckFilter::from_name(filter.name()));
    let asked = known.unwrap_or(CheckFilter::NONE);
    let operation_level_reason = match (known, filter) {
        (Some(_), _) => None,
        (None, Some(filter)) => Some(format!("the filter {filter} has no known number in sandbox_check")),
        (None, None) => Some("nothing says which filter the target is an argument of".to_owned()),
    };
    CheckRequest {
        operation: operation.to_owned(),
        filter_type: asked.number(),
        filter_name: asked.name().to_owned(),
        numbering: Numbering::SandboxCheck,
        argument: known.map(|_| target.to_owned()),
        canonicalization: (asked == CheckFilter::PATH).then(|| "both".to_owned()),
        operation_level_reason,
    }
}

/// The questions of a request, in the order in which they are put: by process id as written, by process id on the canonical
/// path, by audit token as written.
pub fn questions(request: &CheckRequest) -> impl Iterator<Item = Question<'_>> {
    let filter = CheckFilter::from_number(request.filter_type.into()).unwrap_or(CheckFilter::NONE);
    let question = move |api, canonical| Question {
        operation: &request.operation,
        filter: AskedFilter::Check(filter),
        argument: request.argument.as_deref().unwrap_or_default(),
        canonical,
        api,
    };
    let both = request.canonicalization.is_some();
    [
        Some(question(CheckApi::SandboxCheck, false)),
        both.then(|| question(CheckApi::SandboxCheck, true)),
        Some(question(CheckApi::SandboxCheckByAuditToken, false)),
    ]
    .into_iter()
    .flatten()
}

/// The flags of the running system; `None`: it has no such symbol. A symbol may hold 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// `SANDBOX_CHECK_NO_REPORT`.
    pub no_report: Option<i32>,
    /// `SANDBOX_CHECK_CANONICAL`.
    pub canonical: Option<i32>,
}

/// What to pass: the type with flags, and why a flag is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// The third argument of the call.
    pub check_type: i32,
    /// Why the call may report; `None`: it was told not to.
    pub no_report_reason: Option<&'static str>,
    /// Why the path is not made canonical; `None`: it is.
    pub canonical_flag_reason: Option<&'static str>,
}

/// A flag's bits, or why there are none.
fn bits(flag: Option<i32>) -> Result<i32, &'static str> {
    match flag {
        None => Err("symbol_missing"),
        Some(0) => Err("flag_zero"),
        Some(bits) => Ok(bits),
    }
}

impl Question<'_> {
    /// How the question is put with the flags of the running system.
    #[must_use]
    pub fn encode(&self, flags: Flags) -> Encoded {
        let no_report = bits(flags.no_report);
        let canonical = if self.canonical { bits(flags.canonical) } else { Err("not_requested") };
        Encoded {
            check_type: self.filter.number() | no_report.unwrap_or(0) | canonical.unwrap_or(0),
            no_report_reason: no_report.err(),
            canonical_flag_reason: canonical.err(),
        }
    }

    /// The question with the answer it got; `token` is what Mach returned for the audit token, where one was needed.
    #[must_use]
    pub fn answered(&self, encoded: Encoded, token: Option<i32>, rc: i32, errno: i32) -> Callout {
        let with_argument = self.filter.takes_argument();
        Callout {
            marker_schema_version: CALLOUT_VERSION,
            stage: CALLOUT_STAGE.to_owned(),
            api: self.api,
            operation: self.operation.to_owned(),
            filter_type: self.filter.number(),
            filter_type_name: self.filter.name().to_owned(),
            numbering: self.filter.numbering(),
            check_type: encoded.check_type,
            varargs_count: u8::from(with_argument),
            argument: with_argument.then(|| self.argument.to_owned()),
            canonicalization: if self.canonical { "canonical" } else { "raw" }.to_owned(),
            canonical_flag_used: encoded.canonical_flag_reason.is_none(),
            canonical_flag_reason: encoded.canonical_flag_reason.map(str::to_owned),
            no_report: encoded.no_report_reason.is_none(),
            no_report_reason: encoded.no_report_reason.map(str::to_owned),
            token_status: if token.is_some() { "ok" } else { "pid" }.to_owned(),
            token_mach_kr: token,
            rc,
            errno,
            decision: Answer::of(rc),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Flags = Flags { no_report: Some(NO_REPORT_SEEN), canonical: Some(CANONICAL_SEEN) };

    fn about(filter: AskedFilter, canonical: bool) -> Question<'static> {
        Question { operation: "mach-lookup", filter, argument: "com.example", canonical, api: CheckApi::SandboxCheck }
    }

    #[test]
    fn the_two_numberings_ask_different_things_and_say_which() {
        let check = about(AskedFilter::Check(CheckFilter::from_name("global-name").unwrap()), false);
        let compiled = about(AskedFilter::Compiled(CompiledFilter::from_name("global-name").unwrap()), false);
        let answered = |question: &Question<'_>| question.answered(question.encode(BOTH), None, 0, 0);
        let (check, compiled) = (answered(&check), answered(&compiled));
        assert_eq!((check.filter_type, check.numbering, check.check_type), (2, Numbering::SandboxCheck, 0x4000_0002));
        assert_eq!(
            (compiled.filter_type, compiled.numbering, compiled.check_type),
            (5, Numbering::CompiledProfile, 0x4000_0005)
        );
        assert_eq!(check.filter_type_name, compiled.filter_type_name);
    }

    #[test]
    fn a_path_in_the_compiled_numbering_is_asked_without_its_argument() {
        let callout = |filter| about(filter, true).answered(about(filter, true).encode(BOTH), None, 0, 0);
        assert_eq!(callout(AskedFilter::Compiled(CompiledFilter::PATH)).argument, None);
        let check = callout(AskedFilter::Check(CheckFilter::PATH));
        assert_eq!((check.varargs_count, check.check_type), (1, 0x6000_0001));
        assert_eq!((check.canonicalization.as_str(), check.canonical_flag_used), ("canonical", true));
    }

    #[test]
    fn a_path_is_asked_about_as_written_and_as_canonical() {
        let of = |name: &str| request("file-read-data", "/f/x", CompiledFilter::from_name(name)).canonicalization;
        assert_eq!((of("path").as_deref(), of("global-name")), (Some("both"), None));
    }

    #[test]
    fn a_flag_that_the_system_lacks_is_left_out_and_named() {
        let question = about(AskedFilter::Check(CheckFilter::PATH), true);
        let encode = |no_report, canonical| question.encode(Flags { no_report, canonical });
        let none = encode(None, Some(0));
        assert_eq!(none.check_type, 1);
        assert_eq!((none.no_report_reason, none.canonical_flag_reason), (Some("symbol_missing"), Some("flag_zero")));
        let raw = about(AskedFilter::Check(CheckFilter::PATH), false).encode(BOTH);
        assert_eq!((raw.check_type, raw.canonical_flag_reason), (0x4000_0001, Some("not_requested")));
    }

    #[test]
    fn only_0_and_1_are_decisions() {
        let question = about(AskedFilter::Check(CheckFilter::NONE), false);
        let decision = |rc| question.answered(question.encode(BOTH), None, rc, 0).decision.word();
        assert_eq!([0, 1, -1, 2].map(decision), ["allow", "deny", "error", "error"]);
    }

    #[test]
    fn a_request_is_put_in_the_calls_own_numbering_or_about_the_operation_alone() {
        let of = |operation: &str, name: &str| request(operation, "t", CompiledFilter::from_name(name));
        for (operation, name, number, argument) in [
            ("file-read-data", "path", 1, true),
            ("mach-lookup", "global-name", 2, true),
            ("mach-lookup", "xpc-service-name", 12, true),
            ("authorization-right-obtain", "right-name", 5, true),
            // Numbers of compiled profiles that mean something else, or nothing known, to the call.
            ("sysctl-read", "sysctl-name", 0, false),
            ("ipc-posix-shm-write-create", "ipc-posix-name", 0, false),
            ("network-outbound", "remote", 0, false),
        ] {
            let request = of(operation, name);
            assert_eq!((request.filter_type, request.argument.is_some()), (number, argument), "{name}");
            assert_eq!(request.operation_level_reason.is_none(), argument, "{name}");
            assert_eq!(request.numbering, Numbering::SandboxCheck);
        }
        let path = of("file-read-data", "path");
        let asked: Vec<_> = questions(&path).map(|question| (question.api, question.canonical)).collect();
        let (pid, token) = (CheckApi::SandboxCheck, CheckApi::SandboxCheckByAuditToken);
        assert_eq!(asked, [(pid, false), (pid, true), (token, false)]);
        let fork = request("process-fork", "self", None);
        let asked: Vec<_> = questions(&fork).map(|question| (question.api, question.filter.takes_argument())).collect();
        assert_eq!(asked, [(pid, false), (token, false)]);
    }
}
