//! A question to `sandbox_check` as data, and how its answer is read. Pure: asking is the business of the system it is for.
//!
//! Two numberings of filters are about (`vocab::filter_numbers`). Which one a question was asked in is part of the
//! question and stays with the answer, so that a number is never read in the other one.

use serde::Serialize;

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
    /// The numbering's name, as records store it.
    #[must_use]
    pub fn numbering(self) -> &'static str {
        match self {
            Self::Check(_) => "sandbox_check",
            Self::Compiled(_) => "compiled_profile",
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
}

/// The flags of the running system; `None`: it has no such symbol. A symbol may hold 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// `SANDBOX_CHECK_NO_REPORT`.
    pub no_report: Option<i32>,
    /// `SANDBOX_CHECK_CANONICAL`.
    pub canonical: Option<i32>,
}

/// A question with its answer, as a row stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Callout {
    /// `sandbox_check`.
    pub api: &'static str,
    /// The operation.
    pub operation: String,
    /// The filter's number, in `numbering`.
    pub filter_type: i32,
    /// Its name.
    pub filter_type_name: &'static str,
    /// `sandbox_check` or `compiled_profile`.
    pub numbering: &'static str,
    /// The number passed, flags included.
    pub check_type: i32,
    /// Arguments passed after it.
    pub varargs_count: u8,
    /// What was asked about.
    pub argument: String,
    /// `raw` or `canonical`.
    pub canonicalization: &'static str,
    /// Whether the flag for it was passed.
    pub canonical_flag_used: bool,
    /// Why not.
    pub canonical_flag_reason: Option<&'static str>,
    /// Whether the system was told to report nothing.
    pub no_report: bool,
    /// Why not.
    pub no_report_reason: Option<&'static str>,
    /// What the call returned.
    pub rc: i32,
    /// `errno` after it; 0 when it was not set.
    pub errno: i32,
    /// `allow` (0), `deny` (1), `error` (anything else).
    pub decision: &'static str,
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

    /// The question with the answer it got.
    #[must_use]
    pub fn answered(&self, encoded: Encoded, rc: i32, errno: i32) -> Callout {
        Callout {
            api: "sandbox_check",
            operation: self.operation.to_owned(),
            filter_type: self.filter.number(),
            filter_type_name: self.filter.name(),
            numbering: self.filter.numbering(),
            check_type: encoded.check_type,
            varargs_count: u8::from(self.filter.takes_argument()),
            argument: self.argument.to_owned(),
            canonicalization: if self.canonical { "canonical" } else { "raw" },
            canonical_flag_used: encoded.canonical_flag_reason.is_none(),
            canonical_flag_reason: encoded.canonical_flag_reason,
            no_report: encoded.no_report_reason.is_none(),
            no_report_reason: encoded.no_report_reason,
            rc,
            errno,
            decision: match rc {
                0 => "allow",
                1 => "deny",
                _ => "error",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Flags = Flags { no_report: Some(NO_REPORT_SEEN), canonical: Some(CANONICAL_SEEN) };

    fn about(filter: AskedFilter, canonical: bool) -> Question<'static> {
        Question { operation: "mach-lookup", filter, argument: "com.example", canonical }
    }

    #[test]
    fn the_two_numberings_ask_different_things_and_say_which() {
        let check = about(AskedFilter::Check(CheckFilter::from_name("global-name").unwrap()), false);
        let compiled = about(AskedFilter::Compiled(CompiledFilter::from_name("global-name").unwrap()), false);
        let answered = |question: &Question<'_>| question.answered(question.encode(BOTH), 0, 0);
        let (check, compiled) = (answered(&check), answered(&compiled));
        assert_eq!((check.filter_type, check.numbering, check.check_type), (2, "sandbox_check", 0x4000_0002));
        assert_eq!(
            (compiled.filter_type, compiled.numbering, compiled.check_type),
            (5, "compiled_profile", 0x4000_0005)
        );
        assert_eq!(check.filter_type_name, compiled.filter_type_name);
    }

    #[test]
    fn a_path_in_the_compiled_numbering_is_asked_without_its_argument() {
        let callout = |filter| about(filter, true).answered(about(filter, true).encode(BOTH), 0, 0);
        assert_eq!(callout(AskedFilter::Compiled(CompiledFilter::PATH)).varargs_count, 0);
        let check = callout(AskedFilter::Check(CheckFilter::PATH));
        assert_eq!((check.varargs_count, check.check_type), (1, 0x6000_0001));
        assert_eq!((check.canonicalization, check.canonical_flag_used), ("canonical", true));
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
        let decision = |rc| question.answered(question.encode(BOTH), rc, 0).decision;
        assert_eq!([0, 1, -1, 2].map(decision), ["allow", "deny", "error", "error"]);
    }
}
