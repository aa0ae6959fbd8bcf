//! The filters profiles use, as data: surface name, what it tests, which operations it fits, its kernel-level name.
//!
//! Sources: libsandbox vocabulary of Sonoma 14.4.1 (93 kernel-level names), rules shipped with macOS 26.4.1 (109 surface
//! names), public profiles. A filter on an operation it does not fit never matches. `SPEC.md`, section "SBPL".

use super::filter::Side;
use crate::vocab::{Operation, name_covers};

/// One surface name.
#[derive(Debug, Clone, Copy)]
pub struct FilterSpec {
    /// Name as written in a profile.
    pub name: &'static str,
    /// What it tests.
    pub kind: FilterKind,
    /// Operations it fits, as wildcards or names; `default` means every operation.
    pub operations: &'static [&'static str],
}

/// What a filter tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterKind {
    /// The object's path.
    Path(PathTest),
    /// The object's type.
    VnodeType,
    /// The object's permission bits.
    FileMode,
    /// The relation to the target process.
    Target,
    /// One end of a connection.
    Network(Side),
    /// The whole, the beginning or a part of a named attribute.
    Attribute {
        /// The attribute's name: the filter's name without `-prefix` or `-regex`.
        attribute: &'static str,
        /// How it is compared.
        test: TextTest,
    },
    /// State that an evaluator cannot see.
    State(&'static str),
}

/// How a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the filter names are the documentation")]
pub enum PathTest {
    Literal,
    Subpath,
    Prefix,
    Regex,
    Ancestors,
}

/// How a name is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum TextTest {
    Exact,
    Prefix,
    Regex,
}

impl FilterSpec {
    /// Looks a surface name up.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        if name.starts_with("syscall-group-") {
            return Some(&SYSCALL_GROUP);
        }
        FILTERS.iter().find(|spec| spec.name == name)
    }

    /// Whether the filter can match on this operation, or on one a wildcard covers.
    #[must_use]
    pub fn fits(&self, operation: &Operation) -> bool {
        self.operations.iter().any(|own| {
            let own = Operation::new(*own);
            own.covers(operation) || operation.covers(&own)
        })
    }
}

impl FilterSpec {
    /// The attribute that the filter asks for, as a question spells it; `None` where the target says it, or nothing does.
    fn attribute(&self) -> Option<&'static str> {
        match self.kind {
            FilterKind::Attribute { attribute, .. } => Some(attribute),
            FilterKind::VnodeType | FilterKind::FileMode | FilterKind::Target => Some(self.name),
            FilterKind::Path(_) | FilterKind::Network(_) | FilterKind::State(_) => None,
        }
    }

    /// Whether accesses of this very operation have what the filter asks for.
    pub(crate) fn fits_exactly(&self, operation: &Operation) -> bool {
        self.operations.iter().any(|own| name_covers(own, operation))
    }
}

/// Whether a named attribute exists on accesses of this very operation.
pub(crate) fn attribute_fits(attribute: &str, operation: &Operation) -> bool {
    FILTERS
        .iter()
        .filter(|spec| matches!(spec.kind, FilterKind::Attribute { attribute: own, .. } if own == attribute))
        .any(|spec| spec.fits_exactly(operation))
}

/// Whether some filter asks for an attribute of this name.
pub(crate) fn is_attribute(name: &str) -> bool {
    HELD.contains(&name) || FILTERS.iter().any(|spec| spec.attribute() == Some(name))
}

/// The attributes that accesses of this very operation may have, as far as a filter asks for them; each once.
pub(crate) fn attributes_of(operation: &Operation) -> Vec<&'static str> {
    let own = FILTERS.iter().filter(|spec| spec.fits_exactly(operation)).filter_map(FilterSpec::attribute);
    let mut names: Vec<&str> = HELD.into_iter().chain(own).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What the process is said to hold ([`super::holdings`]).
const HELD: [&str; 2] = ["extension", "entitlement"];

/// Whether accesses of this operation have a path.
pub(crate) fn path_fits(operation: &Operation) -> bool {
    PATHS.iter().any(|own| name_covers(own, operation))
}

/// Whether accesses of this operation have a target process.
pub(crate) fn target_fits(operation: &Operation) -> bool {
    TARGETS.iter().any(|own| name_covers(own, operation))
}

/// The attribute that an operation's object is named by when only a name is given.
#[must_use]
pub fn primary_attribute(operation: &Operation) -> Option<&'static str> {
    PRIMARY.iter().find(|(own, _)| name_covers(own, operation)).map(|(_, attribute)| *attribute)
}

/// Attributes of which an object has at most one: the namespaces of Mach look-ups.
pub(crate) fn exclusive(left: &str, right: &str) -> bool {
    left != right && SERVICE_NAMES.contains(&left) && SERVICE_NAMES.contains(&right)
}

const SERVICE_NAMES: [&str; 3] = ["global-name", "local-name", "xpc-service-name"];

/// By operation, first match: what a bare name means.
const PRIMARY: &[(&str, &str)] = &[
    ("mach-lookup", "global-name"),
    ("mach-register", "global-name"),
    ("mach-cross-domain-lookup", "global-name"),
    ("mach-per-user-lookup", "global-name"),
    ("ipc-posix*", "ipc-posix-name"),
    ("sysctl*", "sysctl-name"),
    ("user-preference*", "preference-domain"),
    ("managed-preference-read", "preference-domain"),
    ("darwin-notification-post", "notification-name"),
    ("distributed-notification-post", "notification-name"),
    ("appleevent-send", "appleevent-destination"),
    ("authorization-right-obtain", "right-name"),
    ("nvram*", "nvram-variable"),
    ("boot-arg-set", "boot-arg"),
    ("iokit-open-user-client", "iokit-user-client-class"),
    ("iokit-open*", "iokit-registry-entry-class"),
    ("iokit-get-properties", "iokit-property"),
    ("iokit-set-properties", "iokit-property"),
    ("iokit-external-method", "iokit-method-number"),
    ("iokit-async-external-method", "iokit-method-number"),
    ("iokit-external-trap", "iokit-trap-number"),
    ("system-kext*", "kext-bundle-id"),
    ("system-info", "info-type"),
    ("system-privilege", "privilege-id"),
    ("system-socket", "socket-domain"),
    ("system-fsctl", "fsctl-command"),
    ("system-fcntl", "fcntl-command"),
    ("system-mac-syscall", "mac-policy-name"),
    ("system-necp-client-action", "necp-client-action"),
    ("system-memorystatus-control", "memorystatus-control-command"),
    ("system-kas-info", "kas-info-selector"),
    ("system-reboot", "reboot-flags"),
    ("socket-ioctl", "ioctl-command"),
    ("socket-option*", "socket-option-name"),
    ("syscall-unix", "syscall-number"),
    ("syscall-mach", "machtrap-number"),
    ("syscall-mig", "kernel-mig-routine"),
    ("process-codesigning", "codesigning-operation"),
    ("mach-message-send", "message-number"),
    ("xpc-message-send", "message-name"),
    ("mach-host-special-port-set", "host-special-port"),
    ("mach-task-special-port*", "task-special-port"),
    ("mach-derive-port", "mach-derived-port-role"),
    ("device*", "device-conforms-to"),
];

/// Operations whose object has a path: `file*`, program images, unix sockets, volumes.
const PATHS: &[&str] = &[
    "file*",
    "process-exec*",
    "network*",
    "fs-quota*",
    "fs-rename",
    "fs-snapshot*",
    "system-acct",
    "system-fsctl",
    "system-swap",
];
const FILES: &[&str] = &["file*"];
const ANY: &[&str] = &["default"];
const TARGETS: &[&str] = &["signal", "process-info*", "mach-task*", "mach-priv-task-port", "process-codesigning"];
const SERVICES: &[&str] = &["mach-lookup", "mach-register", "mach-cross-domain-lookup", "mach-per-user-lookup"];
const EXTENSIONS: &[&str] = &[
    "device*",
    "file*",
    "mach-lookup",
    "mach-register",
    "generic-issue-extension",
    "iokit*",
    "ipc-posix*",
    "mach-issue-extension",
];
const NETWORK: &[&str] = &["network*"];
const SOCKETS: &[&str] = &["system-socket", "network*", "socket-option*", "socket-ioctl"];
const PREFERENCES: &[&str] = &["user-preference*", "managed-preference-read"];
const IOKIT: &[&str] = &["iokit*"];
const XATTR: &[&str] = &["file-read-xattr", "file-write-xattr"];

const EXTENSION: FilterKind = FilterKind::State("it depends on a sandbox extension the process holds");
const ENTITLEMENT: FilterKind = FilterKind::State("it depends on the entitlements of a program");
const SYSTEM: FilterKind = FilterKind::State("it depends on the state of the system");
const CALLER: FilterKind = FilterKind::State("it depends on the calling process");
const MOUNT: FilterKind = FilterKind::State("it depends on where the file's volume is mounted");
const DISK: FilterKind = FilterKind::State("it depends on the disk");

const SYSCALL_GROUP: FilterSpec = FilterSpec {
    name: "syscall-group-",
    kind: FilterKind::State("which calls the group holds is known to the system only"),
    operations: &["syscall-unix", "syscall-mach"],
};

const fn path(name: &'static str, test: PathTest) -> FilterSpec {
    FilterSpec { name, kind: FilterKind::Path(test), operations: PATHS }
}

const fn exact(name: &'static str, operations: &'static [&'static str]) -> FilterSpec {
    FilterSpec { name, kind: FilterKind::Attribute { attribute: name, test: TextTest::Exact }, operations }
}

const fn beginning(name: &'static str, attribute: &'static str, operations: &'static [&'static str]) -> FilterSpec {
    FilterSpec { name, kind: FilterKind::Attribute { attribute, test: TextTest::Prefix }, operations }
}

const fn regex(name: &'static str, attribute: &'static str, operations: &'static [&'static str]) -> FilterSpec {
    FilterSpec { name, kind: FilterKind::Attribute { attribute, test: TextTest::Regex }, operations }
}

const fn state(name: &'static str, kind: FilterKind, operations: &'static [&'static str]) -> FilterSpec {
    FilterSpec { name, kind, operations }
}

/// Every known surface name but `syscall-group-…`.
pub const FILTERS: &[FilterSpec] = &[
    path("literal", PathTest::Literal),
    path("path", PathTest::Literal),
    path("path-literal", PathTest::Literal),
    path("subpath", PathTest::Subpath),
    path("path-subpath", PathTest::Subpath),
    path("prefix", PathTest::Prefix),
    path("path-prefix", PathTest::Prefix),
    path("regex", PathTest::Regex),
    path("path-regex", PathTest::Regex),
    path("path-ancestors", PathTest::Ancestors),
    state("mount-relative-literal", MOUNT, FILES),
    state("mount-relative-subpath", MOUNT, FILES),
    state("mount-relative-prefix", MOUNT, FILES),
    state("mount-relative-regex", MOUNT, FILES),
    state("mount-relative-path", MOUNT, FILES),
    state("mount-root-path", MOUNT, FILES),
    FilterSpec { name: "vnode-type", kind: FilterKind::VnodeType, operations: &["file*", "network-outbound"] },
    FilterSpec { name: "file-mode", kind: FilterKind::FileMode, operations: FILES },
    exact("file-attribute", FILES),
    exact("xattr", XATTR),
    beginning("xattr-prefix", "xattr", XATTR),
    regex("xattr-regex", "xattr", XATTR),
    state("extension", EXTENSION, EXTENSIONS),
    state("extension-prefix", EXTENSION, EXTENSIONS),
    state("extension-class", EXTENSION, EXTENSIONS),
    state("extension-class-prefix", EXTENSION, EXTENSIONS),
    state("extension-class-regex", EXTENSION, EXTENSIONS),
    state("extension-path-ancestor", EXTENSION, EXTENSIONS),
    state("user-intent-extension", EXTENSION, EXTENSIONS),
    state("storage-class-extension", EXTENSION, ANY),
    exact("global-name", SERVICES),
    beginning("global-name-prefix", "global-name", SERVICES),
    regex("global-name-regex", "global-name", SERVICES),
    exact("local-name", SERVICES),
    beginning("local-name-prefix", "local-name", SERVICES),
    regex("local-name-regex", "local-name", SERVICES),
    exact("xpc-service-name", SERVICES),
    beginning("xpc-service-name-prefix", "xpc-service-name", SERVICES),
    regex("xpc-service-name-regex", "xpc-service-name", SERVICES),
    exact("ipc-posix-name", &["ipc-posix*"]),
    beginning("ipc-posix-name-prefix", "ipc-posix-name", &["ipc-posix*"]),
    regex("ipc-posix-name-regex", "ipc-posix-name", &["ipc-posix*"]),
    exact("semaphore-owner", &["ipc-posix-sem*"]),
    exact("sysctl-name", &["sysctl*"]),
    beginning("sysctl-name-prefix", "sysctl-name", &["sysctl*"]),
    regex("sysctl-name-regex", "sysctl-name", &["sysctl*"]),
    exact("iokit-registry-entry-class", IOKIT),
    beginning("iokit-registry-entry-class-prefix", "iokit-registry-entry-class", IOKIT),
    regex("iokit-registry-entry-class-regex", "iokit-registry-entry-class", IOKIT),
    exact("iokit-registry-entry-attribute", IOKIT),
    exact("iokit-user-client-class", IOKIT),
    beginning("iokit-user-client-class-prefix", "iokit-user-client-class", IOKIT),
    regex("iokit-user-client-class-regex", "iokit-user-client-class", IOKIT),
    exact("iokit-user-client-type", IOKIT),
    exact("iokit-connection", IOKIT),
    exact("iokit-property", IOKIT),
    beginning("iokit-property-prefix", "iokit-property", IOKIT),
    regex("iokit-property-regex", "iokit-property", IOKIT),
    exact("iokit-method-number", IOKIT),
    exact("iokit-trap-number", IOKIT),
    exact("iokit-usb-interface-class", IOKIT),
    exact("iokit-usb-interface-subclass", IOKIT),
    FilterSpec { name: "local", kind: FilterKind::Network(Side::Local), operations: NETWORK },
    FilterSpec { name: "remote", kind: FilterKind::Network(Side::Remote), operations: NETWORK },
    exact("socket-domain", SOCKETS),
    exact("socket-type", SOCKETS),
    exact("socket-protocol", SOCKETS),
    exact("socket-option-level", &["socket-option*"]),
    exact("socket-option-name", &["socket-option*"]),
    exact("control-name", &["network-outbound", "system-socket"]),
    beginning("control-name-prefix", "control-name", &["network-outbound", "system-socket"]),
    regex("control-name-regex", "control-name", &["network-outbound", "system-socket"]),
    FilterSpec { name: "target", kind: FilterKind::Target, operations: TARGETS },
    exact("signing-identifier", ANY),
    beginning("signing-identifier-prefix", "signing-identifier", ANY),
    exact("target-signing-identifier", ANY),
    exact("ancestor-signing-identifier", ANY),
    exact("process-path", ANY),
    beginning("process-path-prefix", "process-path", ANY),
    regex("process-path-regex", "process-path", ANY),
    state("process-attribute", CALLER, ANY),
    state("process-is-plugin", CALLER, ANY),
    state("persona-type", CALLER, ANY),
    state("debug-mode", SYSTEM, ANY),
    state("entitlement-value", ENTITLEMENT, ANY),
    state("entitlement-is-present", ENTITLEMENT, ANY),
    state("require-entitlement", ENTITLEMENT, ANY),
    state("require-ancestor-with-entitlement", ENTITLEMENT, ANY),
    state("require-target-with-entitlement", ENTITLEMENT, ANY),
    state("require-responsible-binary-with-entitlement", ENTITLEMENT, ANY),
    state("%entitlement-load", ENTITLEMENT, ANY),
    state("%entitlement-boolean", ENTITLEMENT, ANY),
    state("%entitlement-string", ENTITLEMENT, ANY),
    state("%entitlement-is-bool-true", ENTITLEMENT, ANY),
    state("%entitlement-is-present", ENTITLEMENT, ANY),
    exact("preference-domain", PREFERENCES),
    beginning("preference-domain-prefix", "preference-domain", PREFERENCES),
    regex("preference-domain-regex", "preference-domain", PREFERENCES),
    exact("notification-name", &["darwin-notification-post", "distributed-notification-post"]),
    beginning(
        "notification-name-prefix",
        "notification-name",
        &["darwin-notification-post", "distributed-notification-post"],
    ),
    regex(
        "notification-name-regex",
        "notification-name",
        &["darwin-notification-post", "distributed-notification-post"],
    ),
    exact("notification-payload", &["darwin-notification-post", "distributed-notification-post"]),
    exact("appleevent-destination", &["appleevent-send"]),
    beginning("appleevent-destination-prefix", "appleevent-destination", &["appleevent-send"]),
    exact("right-name", &["authorization-right-obtain"]),
    beginning("right-name-prefix", "right-name", &["authorization-right-obtain"]),
    regex("right-name-regex", "right-name", &["authorization-right-obtain"]),
    exact("info-type", &["system-info"]),
    exact("nvram-variable", &["nvram*"]),
    beginning("nvram-variable-prefix", "nvram-variable", &["nvram*"]),
    regex("nvram-variable-regex", "nvram-variable", &["nvram*"]),
    exact("kext-bundle-id", &["system-kext*"]),
    exact("privilege-id", &["system-privilege"]),
    exact("ioctl-command", &["file-ioctl", "socket-ioctl"]),
    exact("fsctl-command", &["system-fsctl"]),
    exact("fcntl-command", &["system-fcntl"]),
    exact("syscall-number", &["syscall-unix"]),
    exact("machtrap-number", &["syscall-mach"]),
    exact("kernel-mig-routine", &["syscall-mig"]),
    exact("mac-policy-name", &["system-mac-syscall"]),
    exact("mac-syscall-number", &["system-mac-syscall"]),
    exact("necp-client-action", &["system-necp-client-action"]),
    exact("memorystatus-control-command", &["system-memorystatus-control"]),
    exact("kas-info-selector", &["system-kas-info"]),
    exact("codesigning-operation", &["process-codesigning"]),
    exact("message-number", &["mach-message-send"]),
    exact("message-name", &["xpc-message-send", "mach-message-send"]),
    exact("host-special-port", &["mach-host-special-port-set"]),
    exact("task-special-port", &["mach-task-special-port*"]),
    exact("mach-derived-port-role", &["mach-derive-port"]),
    exact("signal-number", &["signal"]),
    exact("reboot-flags", &["system-reboot"]),
    exact("snapshot-name", &["fs-snapshot*"]),
    exact("device-conforms-to", &["device*", "iokit*", "hid-control"]),
    exact("device-major", ANY),
    exact("device-minor", ANY),
    exact("filesystem-name", ANY),
    exact("storage-class", ANY),
    exact("uid", ANY),
    exact("boot-arg", ANY),
    state("system-attribute", SYSTEM, ANY),
    state("csr", SYSTEM, ANY),
    state("state-flag", SYSTEM, ANY),
    state("fileprovider-syncroot-path", SYSTEM, FILES),
    state("rootless-boot-device-filter", DISK, ANY),
    state("rootless-disk-filter", DISK, ANY),
    state("datavault-disk-filter", DISK, ANY),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_operations_known() {
        let distinct: std::collections::BTreeSet<_> = FILTERS.iter().map(|spec| spec.name).collect();
        assert_eq!(distinct.len(), FILTERS.len());
        for spec in FILTERS {
            for operation in spec.operations {
                assert!(Operation::new(*operation).is_known(), "{} names {operation}", spec.name);
            }
        }
        for (operation, attribute) in PRIMARY {
            assert!(Operation::new(*operation).is_known(), "{operation}");
            assert!(attribute_fits(attribute, &Operation::new(*operation)), "{operation} {attribute}");
        }
    }

    #[test]
    fn wildcards_fit_when_one_of_theirs_does() {
        for (filter, operation, expected) in [
            ("global-name", "mach*", true),
            ("global-name", "mach-lookup", true),
            ("global-name", "mach-task-name", false),
            ("literal", "file-read-data", true),
            ("literal", "mach-lookup", false),
            ("extension", "default", true),
            ("uid", "process-fork", true),
            ("syscall-group-open", "syscall-unix", true),
        ] {
            let spec = FilterSpec::find(filter).unwrap();
            assert_eq!(spec.fits(&Operation::new(operation)), expected, "{filter} {operation}");
        }
    }
}
