//! What a call returned, in the numbering it returned it in, and what that says about a refusal.
//!
//! A number of one kind is never read as one of another: `1100` of the bootstrap server is no errno, and `5` of Mach is none of
//! a POSIX call.

use serde::{Deserialize, Serialize};

use super::darwin_errno_name;

/// A numbering of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeKind {
    /// errno of a POSIX call on macOS (`sys/errno.h`).
    Errno,
    /// `kern_return_t` of Mach and of the bootstrap server (`mach/kern_return.h`, `servers/bootstrap.h`).
    KernReturn,
    /// `IOReturn` of IOKit (`IOKit/IOReturn.h`), as the 32 bits it is printed in.
    IoReturn,
    /// Status of the notification calls (`notify.h`).
    NotifyStatus,
    /// `OSStatus` of Authorization Services (`Security/Authorization.h`).
    OsStatus,
    /// An error object of XPC (`xpc/connection.h`). XPC numbers none of them: the numbers are those of [`XPC_ERRORS`].
    XpcError,
}

/// What a result says about whether the call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It did what was asked for.
    Done,
    /// It was refused as a sandbox refuses it. Others can refuse in the same way.
    Refused,
    /// Refused, or there is nothing of that name: this interface does not tell the two apart.
    RefusedOrMissing,
    /// There is nothing of that name.
    Missing,
    /// It failed for another reason, permission bits among them.
    Other,
}

/// XPC's errors in the order in which results number them, from 1.
pub const XPC_ERRORS: [&str; 4] =
    ["connection_interrupted", "connection_invalid", "termination_imminent", "other_error"];

/// Names by number.
type Names = &'static [(i64, &'static str)];

/// `mach/kern_return.h` and, from 1100, `servers/bootstrap.h`.
const KERN_RETURNS: Names = &[
    (0, "KERN_SUCCESS"),
    (1, "KERN_INVALID_ADDRESS"),
    (2, "KERN_PROTECTION_FAILURE"),
    (3, "KERN_NO_SPACE"),
    (4, "KERN_INVALID_ARGUMENT"),
    (5, "KERN_FAILURE"),
    (6, "KERN_RESOURCE_SHORTAGE"),
    (7, "KERN_NOT_RECEIVER"),
    (8, "KERN_NO_ACCESS"),
    (15, "KERN_INVALID_NAME"),
    (16, "KERN_INVALID_TASK"),
    (17, "KERN_INVALID_RIGHT"),
    (18, "KERN_INVALID_VALUE"),
    (46, "KERN_NOT_SUPPORTED"),
    (53, "KERN_DENIED"),
    (1100, "BOOTSTRAP_NOT_PRIVILEGED"),
    (1101, "BOOTSTRAP_NAME_IN_USE"),
    (1102, "BOOTSTRAP_UNKNOWN_SERVICE"),
    (1103, "BOOTSTRAP_SERVICE_ACTIVE"),
    (1104, "BOOTSTRAP_BAD_COUNT"),
    (1105, "BOOTSTRAP_NO_MEMORY"),
    (1106, "BOOTSTRAP_NO_CHILDREN"),
];

/// `IOKit/IOReturn.h`: `err_system(0x38) | n`.
const IO_RETURNS: Names = &[
    (0, "kIOReturnSuccess"),
    (0xe000_02bc, "kIOReturnError"),
    (0xe000_02bd, "kIOReturnNoMemory"),
    (0xe000_02be, "kIOReturnNoResources"),
    (0xe000_02c0, "kIOReturnNoDevice"),
    (0xe000_02c1, "kIOReturnNotPrivileged"),
    (0xe000_02c2, "kIOReturnBadArgument"),
    (0xe000_02c5, "kIOReturnExclusiveAccess"),
    (0xe000_02c7, "kIOReturnUnsupported"),
    (0xe000_02d5, "kIOReturnBusy"),
    (0xe000_02d8, "kIOReturnNotReady"),
    (0xe000_02e2, "kIOReturnNotPermitted"),
    (0xe000_02f0, "kIOReturnNotFound"),
];

/// `notify.h`.
const NOTIFY_STATUSES: Names = &[
    (0, "NOTIFY_STATUS_OK"),
    (1, "NOTIFY_STATUS_INVALID_NAME"),
    (2, "NOTIFY_STATUS_INVALID_TOKEN"),
    (3, "NOTIFY_STATUS_INVALID_PORT"),
    (4, "NOTIFY_STATUS_INVALID_FILE"),
    (5, "NOTIFY_STATUS_INVALID_SIGNAL"),
    (6, "NOTIFY_STATUS_INVALID_REQUEST"),
    (7, "NOTIFY_STATUS_NOT_AUTHORIZED"),
    (1_000_000, "NOTIFY_STATUS_FAILED"),
];

/// `Security/Authorization.h`.
const OS_STATUSES: Names = &[
    (0, "errAuthorizationSuccess"),
    (-60001, "errAuthorizationInvalidSet"),
    (-60002, "errAuthorizationInvalidRef"),
    (-60003, "errAuthorizationInvalidTag"),
    (-60004, "errAuthorizationInvalidPointer"),
    (-60005, "errAuthorizationDenied"),
    (-60006, "errAuthorizationCanceled"),
    (-60007, "errAuthorizationInteractionNotAllowed"),
    (-60008, "errAuthorizationInternal"),
];

impl CodeKind {
    /// The name of a result of this kind; `None` for a number that stands in no table here.
    #[must_use]
    pub fn name_of(self, number: i64) -> Option<&'static str> {
        let named = |names: Names| names.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
        match self {
            Self::Errno => i32::try_from(number).ok().and_then(darwin_errno_name),
            Self::KernReturn => named(KERN_RETURNS),
            Self::IoReturn => named(IO_RETURNS),
            Self::NotifyStatus => named(NOTIFY_STATUSES),
            Self::OsStatus => named(OS_STATUSES),
            Self::XpcError => {
                let at = usize::try_from(number).ok()?.checked_sub(1)?;
                XPC_ERRORS.get(at).copied()
            }
        }
    }

    /// What a result of this kind says.
    ///
    /// EACCES is no refusal in this sense: Seatbelt refuses with EPERM, permission bits with EACCES.
    #[must_use]
    pub fn meaning(self, number: i64) -> Meaning {
        match (self, self.name_of(number)) {
            (_, _) if number == 0 => Meaning::Done,
            (Self::Errno, Some("EPERM")) => Meaning::Refused,
            (Self::Errno, Some("ENOENT" | "ESRCH" | "ENOATTR")) => Meaning::Missing,
            (Self::KernReturn, Some("BOOTSTRAP_NOT_PRIVILEGED" | "KERN_NO_ACCESS" | "KERN_DENIED")) => Meaning::Refused,
            (Self::KernReturn, Some("BOOTSTRAP_UNKNOWN_SERVICE")) => Meaning::Missing,
            (Self::IoReturn, Some("kIOReturnNotPermitted" | "kIOReturnNotPrivileged")) => Meaning::Refused,
            (Self::IoReturn, Some("kIOReturnNoDevice" | "kIOReturnNotFound")) => Meaning::Missing,
            (Self::NotifyStatus, Some("NOTIFY_STATUS_NOT_AUTHORIZED")) => Meaning::Refused,
            // Who was not asked anything was refused by rule; -60007 says that somebody would have had to be asked.
            (Self::OsStatus, Some("errAuthorizationDenied")) => Meaning::Refused,
            (Self::XpcError, Some("connection_invalid")) => Meaning::RefusedOrMissing,
            _ => Meaning::Other,
        }
    }
}

/// A result that is no errno.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultCode {
    /// Its numbering.
    pub kind: CodeKind,
    /// The number; 0 is success in every kind.
    pub number: i64,
    /// Its name, where it is known.
    pub name: Option<String>,
}

impl ResultCode {
    /// A result with the name it has.
    #[must_use]
    pub fn new(kind: CodeKind, number: i64) -> Self {
        Self { kind, number, name: kind.name_of(number).map(str::to_owned) }
    }

    /// A `kern_return_t`.
    #[must_use]
    pub fn kern(number: i32) -> Self {
        Self::new(CodeKind::KernReturn, number.into())
    }

    /// An `IOReturn`: a `kern_return_t` whose bits are read without a sign.
    #[must_use]
    pub fn io(number: i32) -> Self {
        Self::new(CodeKind::IoReturn, number.cast_unsigned().into())
    }

    /// What it says.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        self.kind.meaning(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [CodeKind; 6] = [
        CodeKind::Errno,
        CodeKind::KernReturn,
        CodeKind::IoReturn,
        CodeKind::NotifyStatus,
        CodeKind::OsStatus,
        CodeKind::XpcError,
    ];

    #[test]
    fn one_number_means_another_thing_in_every_kind() {
        assert_eq!(KINDS.map(|kind| kind.meaning(0)), [Meaning::Done; 6]);
        assert_eq!(
            KINDS.map(|kind| kind.meaning(1)),
            [Meaning::Refused, Meaning::Other, Meaning::Other, Meaning::Other, Meaning::Other, Meaning::Other]
        );
        assert_eq!(
            KINDS.map(|kind| kind.meaning(1100)),
            [Meaning::Other, Meaning::Refused, Meaning::Other, Meaning::Other, Meaning::Other, Meaning::Other]
        );
        assert_eq!(CodeKind::Errno.meaning(13), Meaning::Other, "permission bits");
    }

    #[test]
    fn results_are_named_by_their_headers() {
        for (code, name, meaning) in [
            (ResultCode::kern(1102), Some("BOOTSTRAP_UNKNOWN_SERVICE"), Meaning::Missing),
            (ResultCode::kern(268_435_459), None, Meaning::Other),
            // As `IOServiceOpen` gives it: a negative number of 32 bits.
            (ResultCode::io(-536_870_174), Some("kIOReturnNotPermitted"), Meaning::Refused),
            (ResultCode::io(-536_870_201), Some("kIOReturnUnsupported"), Meaning::Other),
            (ResultCode::new(CodeKind::NotifyStatus, 7), Some("NOTIFY_STATUS_NOT_AUTHORIZED"), Meaning::Refused),
            (ResultCode::new(CodeKind::OsStatus, -60005), Some("errAuthorizationDenied"), Meaning::Refused),
            (
                ResultCode::new(CodeKind::OsStatus, -60007),
                Some("errAuthorizationInteractionNotAllowed"),
                Meaning::Other,
            ),
            (ResultCode::new(CodeKind::XpcError, 2), Some("connection_invalid"), Meaning::RefusedOrMissing),
            (ResultCode::new(CodeKind::XpcError, 5), None, Meaning::Other),
        ] {
            assert_eq!((code.name.as_deref(), code.meaning()), (name, meaning), "{code:?}");
        }
        assert_eq!(ResultCode::io(-536_870_174).number, 0xe000_02e2);
    }

    #[test]
    fn no_table_names_a_number_twice() {
        for names in [KERN_RETURNS, IO_RETURNS, NOTIFY_STATUSES, OS_STATUSES] {
            let numbers: std::collections::BTreeSet<i64> = names.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers.len(), names.len());
        }
    }
}
