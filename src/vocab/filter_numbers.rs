//! The two numberings of filters that macOS uses side by side, as types that cannot be taken for each other.
//!
//! Invariant: a number without its numbering is never handed from one to the other; a filter's name is the only bridge.
//! `SPEC.md` owns the row formats in which compiled numbers are stored.

use std::fmt;

/// A filter as numbered in compiled profiles: the position in the system library's table on Sonoma 14.4.1, 0 to 92.
///
/// These are kernel-level names: `literal`, `subpath`, `prefix` and `regex` in a profile all compile to `path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CompiledFilter(u8);

impl CompiledFilter {
    /// How many filters the system's table holds.
    pub const COUNT: usize = COMPILED.len();
    /// The object's path.
    pub const PATH: Self = Self(0);
    /// What is stored in place of a number when no filter is meant. Not the number of a filter.
    pub const NO_FILTER: i32 = -1;

    /// Every filter of the system's table, in its order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0_u8..).take(Self::COUNT).map(Self)
    }

    /// The filter with this number, or `None` outside 0 to 92.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        u8::try_from(number).ok().filter(|&index| usize::from(index) < Self::COUNT).map(Self)
    }

    /// The filter with this kernel-level name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|filter| filter.name() == name)
    }

    /// The number in compiled profiles, 0 to 92.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// The kernel-level name.
    #[must_use]
    pub fn name(self) -> &'static str {
        COMPILED[usize::from(self.0)]
    }
}

impl fmt::Display for CompiledFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A filter as numbered by the `sandbox_check` call, which asks the kernel for a decision.
///
/// The call is private and its header is not published. The numbers are those in public use and have not been checked
/// on a Mac; a number that is not in the table may well mean something to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckFilter {
    number: i32,
    name: &'static str,
}

impl CheckFilter {
    /// The question is about the operation alone.
    pub const NONE: Self = Self { number: 0, name: "none" };
    /// The object's path.
    pub const PATH: Self = Self { number: 1, name: "path" };

    /// Every filter whose number is believed to be known, by number.
    pub fn all() -> impl Iterator<Item = Self> {
        CHECK.iter().copied()
    }

    /// The filter with this number, or `None` where no meaning is known.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::all().find(|filter| i64::from(filter.number) == number)
    }

    /// The filter with this name; `none` is the name of asking without one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|filter| filter.name == name)
    }

    /// The number to pass to `sandbox_check`, before flag bits.
    #[must_use]
    pub fn number(self) -> i32 {
        self.number
    }

    /// The filter's name, spelled as in the compiled numbering.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }
}

impl fmt::Display for CheckFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Ascending by number.
const CHECK: [CheckFilter; 12] = [
    CheckFilter::NONE,
    CheckFilter::PATH,
    CheckFilter { number: 2, name: "global-name" },
    CheckFilter { number: 3, name: "local-name" },
    CheckFilter { number: 4, name: "appleevent-destination" },
    CheckFilter { number: 5, name: "right-name" },
    CheckFilter { number: 6, name: "preference-domain" },
    CheckFilter { number: 7, name: "kext-bundle-id" },
    CheckFilter { number: 8, name: "info-type" },
    CheckFilter { number: 9, name: "notification-name" },
    CheckFilter { number: 12, name: "xpc-service-name" },
    CheckFilter { number: 13, name: "iokit-connection" },
];

/// The system's table on Sonoma 14.4.1; the position is the number in compiled profiles.
const COMPILED: [&str; 93] = [
    "path",
    "mount-relative-path",
    "xattr",
    "file-mode",
    "ipc-posix-name",
    "global-name",
    "local-name",
    "local",
    "remote",
    "control-name",
    "socket-domain",
    "socket-type",
    "socket-protocol",
    "target",
    "fsctl-command",
    "ioctl-command",
    "iokit-registry-entry-class",
    "iokit-property",
    "iokit-connection",
    "device-major",
    "device-minor",
    "device-conforms-to",
    "extension",
    "extension-class",
    "appleevent-destination",
    "system-attribute",
    "right-name",
    "preference-domain",
    "vnode-type",
    "%entitlement-load",
    "%entitlement-boolean",
    "%entitlement-string",
    "kext-bundle-id",
    "info-type",
    "notification-name",
    "notification-payload",
    "semaphore-owner",
    "sysctl-name",
    "process-path",
    "rootless-boot-device-filter",
    "rootless-disk-filter",
    "privilege-id",
    "process-attribute",
    "uid",
    "nvram-variable",
    "csr",
    "host-special-port",
    "filesystem-name",
    "boot-arg",
    "xpc-service-name",
    "signing-identifier",
    "signal-number",
    "target-signing-identifier",
    "reboot-flags",
    "datavault-disk-filter",
    "extension-path-ancestor",
    "file-attribute",
    "storage-class",
    "storage-class-extension",
    "iokit-usb-interface-class",
    "iokit-usb-interface-subclass",
    "ancestor-signing-identifier",
    "require-ancestor-with-entitlement",
    "persona-type",
    "syscall-number",
    "require-target-with-entitlement",
    "iokit-registry-entry-attribute",
    "user-intent-extension",
    "snapshot-name",
    "mach-derived-port-role",
    "message-number",
    "message-name",
    "iokit-method-number",
    "iokit-trap-number",
    "machtrap-number",
    "kernel-mig-routine",
    "iokit-user-client-type",
    "fcntl-command",
    "socket-option-level",
    "socket-option-name",
    "mac-policy-name",
    "mac-syscall-number",
    "necp-client-action",
    "memorystatus-control-command",
    "state-flag",
    "require-responsible-binary-with-entitlement",
    "%entitlement-is-bool-true",
    "%entitlement-is-present",
    "task-special-port",
    "fileprovider-syncroot-path",
    "mount-root-path",
    "codesigning-operation",
    "kas-info-selector",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_compiled_numbering_has_93_distinct_names() {
        assert_eq!(CompiledFilter::all().map(CompiledFilter::name).collect::<BTreeSet<_>>().len(), 93);
        let numbers: Vec<i32> = CompiledFilter::all().map(CompiledFilter::number).collect();
        assert_eq!(numbers, (0..93).collect::<Vec<_>>());
    }

    #[test]
    fn known_compiled_numbers_have_their_names() {
        for (number, name) in [
            (0, "path"),
            (1, "mount-relative-path"),
            (4, "ipc-posix-name"),
            (5, "global-name"),
            (6, "local-name"),
            (9, "control-name"),
            (16, "iokit-registry-entry-class"),
            (18, "iokit-connection"),
            (22, "extension"),
            (26, "right-name"),
            (27, "preference-domain"),
            (34, "notification-name"),
            (37, "sysctl-name"),
            (44, "nvram-variable"),
            (49, "xpc-service-name"),
            (76, "iokit-user-client-type"),
            (92, "kas-info-selector"),
        ] {
            assert_eq!(CompiledFilter::from_number(number).map(CompiledFilter::name), Some(name));
        }
        assert_eq!(CompiledFilter::from_name("path"), Some(CompiledFilter::PATH));
    }

    #[test]
    fn numbers_and_names_lead_back_to_the_filter() {
        for filter in CompiledFilter::all() {
            assert_eq!(CompiledFilter::from_number(filter.number().into()), Some(filter));
            assert_eq!(CompiledFilter::from_name(filter.name()), Some(filter));
        }
        for filter in CheckFilter::all() {
            assert_eq!(CheckFilter::from_number(filter.number().into()), Some(filter));
            assert_eq!(CheckFilter::from_name(filter.name()), Some(filter));
        }
    }

    #[test]
    fn numbers_and_names_outside_the_tables_are_no_filter() {
        for number in [CompiledFilter::NO_FILTER.into(), 93, 256, i64::MIN, i64::MAX] {
            assert_eq!(CompiledFilter::from_number(number), None, "{number}");
        }
        for number in [-1, 10, 11, 14, 1 << 32, i64::MIN, i64::MAX] {
            assert_eq!(CheckFilter::from_number(number), None, "{number}");
        }
        // Surface spellings and the other numbering's words.
        for name in ["literal", "subpath", "none", "", "Path"] {
            assert_eq!(CompiledFilter::from_name(name), None, "{name}");
        }
        for name in ["sysctl-name", "extension", "mount-relative-path", ""] {
            assert_eq!(CheckFilter::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn no_filter_has_the_same_number_in_both() {
        for (name, compiled, check) in [
            ("path", 0, 1),
            ("global-name", 5, 2),
            ("local-name", 6, 3),
            ("right-name", 26, 5),
            ("preference-domain", 27, 6),
            ("notification-name", 34, 9),
            ("xpc-service-name", 49, 12),
            ("iokit-connection", 18, 13),
        ] {
            assert_eq!(CompiledFilter::from_name(name).map(CompiledFilter::number), Some(compiled), "{name}");
            assert_eq!(CheckFilter::from_name(name).map(CheckFilter::number), Some(check), "{name}");
        }
        assert_ne!(CompiledFilter::NO_FILTER, CheckFilter::NONE.number());
        for check in CheckFilter::all().filter(|&filter| filter != CheckFilter::NONE) {
            let compiled =
                CompiledFilter::from_name(check.name()).expect("every name is one of the compiled numbering");
            assert_ne!(compiled.number(), check.number(), "{check}");
        }
        // A compiled number in the place of the other asks something else: a path nothing, a service a right.
        assert_eq!(CheckFilter::from_number(CompiledFilter::PATH.number().into()), Some(CheckFilter::NONE));
        assert_eq!(CheckFilter::from_number(5).map(CheckFilter::name), Some("right-name"));
    }
}
