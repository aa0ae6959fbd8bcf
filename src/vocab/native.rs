//! The calls that only macOS has, as drivers: which one a probe gets, and what it is called.
//!
//! The calls themselves stand in `probe::driver::native`; here is what every system must know to read plans and records.

/// A call of macOS that a probe performs on its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Native {
    /// searchfs(2) on the volume of the target, for a name that no file has.
    FileSearch,
    /// Sets an extended attribute of the target.
    FileSetXattr,
    /// Opens the target's directory, then its last component relative to that, for reading.
    OpenAtRead,
    /// The same for writing one byte.
    OpenAtWrite,
    /// Opens the target, a path without a leading slash, relative to a descriptor of `/` that was opened before the policy.
    RootRelativeRead,
    /// The same for writing one byte.
    RootRelativeWrite,
    /// A call on the target's metadata.
    Metadata(MetadataCall),
    /// sysctlbyname(3).
    Sysctl,
    /// `bootstrap_look_up`.
    MachLookUp,
    /// `bootstrap_check_in`.
    MachRegister,
    /// A connection to a Mach service by XPC, and an empty message that is answered or not.
    XpcConnect,
    /// `IOServiceOpen` on the first service of a class.
    IoKitOpen,
    /// `notify_post`, with a registration of our own that shows whether it arrives.
    NotifyPost,
    /// `CFNotificationCenterPostNotification` in the distributed centre.
    DistributedPost,
    /// `CFPreferencesCopyKeyList` of a domain.
    PreferenceRead,
    /// `proc_pidinfo` with `PROC_PIDTBSDINFO`.
    PidInfo,
    /// `shm_open` of an object that must not exist.
    ShmCreate,
    /// `AuthorizationCopyRights` without asking anybody.
    RightObtain,
}

/// A call on metadata, by the names that plans use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetadataCall {
    /// getattrlist(2).
    GetAttrList(Attributes),
    /// setattrlist(2): gives attributes the values they have.
    SetAttrList(Attributes),
    /// fstat(2) on a descriptor opened before the policy.
    Fstat,
    /// chmod(2).
    Chmod,
    /// utimes(2).
    Utimes,
    /// fchmod(2) on a descriptor opened before the policy.
    Fchmod,
    /// futimes(2) on a descriptor opened before the policy.
    Futimes,
    /// lutimes(3).
    Lutimes,
    /// lchown(2) to the owner it has.
    Lchown,
    /// fchown(2) on a descriptor opened before the policy, to the owner it has.
    Fchown,
    /// fchownat(2), following links, to the owner it has.
    FchownAt,
}

/// Which attributes, by the names that plans use (getattrlist(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attributes {
    /// `cmn`: the object's type.
    Common,
    /// `cmn-name`: its name.
    Name,
    /// `cmn-times`: when it was made and last changed.
    Times,
    /// `file-size`: the length of its data.
    FileSize,
}

impl Attributes {
    /// Common and file attributes as bits (`sys/attr.h`).
    #[must_use]
    pub fn bits(self) -> (u32, u32) {
        const CMN_NAME: u32 = 0x0000_0001;
        const CMN_OBJTYPE: u32 = 0x0000_0008;
        const CMN_CRTIME: u32 = 0x0000_0200;
        const CMN_MODTIME: u32 = 0x0000_0400;
        const FILE_DATALENGTH: u32 = 0x0000_0200;
        match self {
            Self::Common => (CMN_OBJTYPE, 0),
            Self::Name => (CMN_NAME, 0),
            Self::Times => (CMN_CRTIME | CMN_MODTIME, 0),
            Self::FileSize => (0, FILE_DATALENGTH),
        }
    }

    fn named(payload: Option<&str>) -> Option<Self> {
        match payload {
            None | Some("cmn") => Some(Self::Common),
            Some("cmn-name") => Some(Self::Name),
            Some("cmn-times") => Some(Self::Times),
            Some("file-size") => Some(Self::FileSize),
            Some(_) => None,
        }
    }
}

impl MetadataCall {
    /// The call of this name; `None` for one that is not known, and for lstat, which is a driver of every system.
    #[must_use]
    pub fn named(syscall: &str, payload: Option<&str>) -> Option<Self> {
        match syscall {
            "getattrlist" => Attributes::named(payload).map(Self::GetAttrList),
            "setattrlist" => Attributes::named(payload).map(Self::SetAttrList),
            "fstat" => Some(Self::Fstat),
            "chmod" => Some(Self::Chmod),
            "utimes" => Some(Self::Utimes),
            "fchmod" => Some(Self::Fchmod),
            "futimes" => Some(Self::Futimes),
            "lutimes" => Some(Self::Lutimes),
            "lchown" => Some(Self::Lchown),
            "fchown" => Some(Self::Fchown),
            "fchownat" => Some(Self::FchownAt),
            _ => None,
        }
    }

    /// Whether it acts on a descriptor.
    #[must_use]
    pub fn takes_descriptor(self) -> bool {
        matches!(self, Self::Fstat | Self::Fchmod | Self::Futimes | Self::Fchown)
    }

    fn call(self) -> &'static str {
        match self {
            Self::GetAttrList(_) => "getattrlist",
            Self::SetAttrList(_) => "setattrlist",
            Self::Fstat => "fstat",
            Self::Chmod => "chmod",
            Self::Utimes => "utimes",
            Self::Fchmod => "fchmod",
            Self::Futimes => "futimes",
            Self::Lutimes => "lutimes",
            Self::Lchown => "lchown",
            Self::Fchown => "fchown",
            Self::FchownAt => "fchownat",
        }
    }

    fn performs(self) -> &'static str {
        match self {
            Self::GetAttrList(_) | Self::Fstat => "file-read-metadata",
            Self::SetAttrList(_) | Self::Utimes | Self::Futimes | Self::Lutimes => "file-write-times",
            Self::Chmod | Self::Fchmod => "file-write-mode",
            Self::Lchown | Self::Fchown | Self::FchownAt => "file-write-owner",
        }
    }
}

impl Native {
    /// Every driver; of the calls on metadata and attributes one each.
    pub const ALL: [Self; 28] = [
        Self::FileSearch,
        Self::FileSetXattr,
        Self::OpenAtRead,
        Self::OpenAtWrite,
        Self::RootRelativeRead,
        Self::RootRelativeWrite,
        Self::Metadata(MetadataCall::GetAttrList(Attributes::Common)),
        Self::Metadata(MetadataCall::SetAttrList(Attributes::Times)),
        Self::Metadata(MetadataCall::Fstat),
        Self::Metadata(MetadataCall::Chmod),
        Self::Metadata(MetadataCall::Utimes),
        Self::Metadata(MetadataCall::Fchmod),
        Self::Metadata(MetadataCall::Futimes),
        Self::Metadata(MetadataCall::Lutimes),
        Self::Metadata(MetadataCall::Lchown),
        Self::Metadata(MetadataCall::Fchown),
        Self::Metadata(MetadataCall::FchownAt),
        Self::Sysctl,
        Self::MachLookUp,
        Self::MachRegister,
        Self::XpcConnect,
        Self::IoKitOpen,
        Self::NotifyPost,
        Self::DistributedPost,
        Self::PreferenceRead,
        Self::PidInfo,
        Self::ShmCreate,
        Self::RightObtain,
    ];

    /// The driver's name, as listings show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FileSearch => "file_search",
            Self::FileSetXattr => "file_set_xattr",
            Self::OpenAtRead => "openat_read",
            Self::OpenAtWrite => "openat_write",
            Self::RootRelativeRead => "openat_rootrel_read",
            Self::RootRelativeWrite => "openat_rootrel_write",
            Self::Metadata(call) => call.call(),
            Self::Sysctl => "sysctl_by_name",
            Self::MachLookUp => "mach_look_up",
            Self::MachRegister => "mach_register",
            Self::XpcConnect => "xpc_connect",
            Self::IoKitOpen => "iokit_open",
            Self::NotifyPost => "notify_post",
            Self::DistributedPost => "distributed_post",
            Self::PreferenceRead => "preference_read",
            Self::PidInfo => "pid_info",
            Self::ShmCreate => "shm_create",
            Self::RightObtain => "right_obtain",
        }
    }

    /// The library call, for people reading the evidence.
    #[must_use]
    pub fn call(self) -> &'static str {
        match self {
            Self::FileSearch => "searchfs",
            Self::FileSetXattr => "setxattr",
            Self::OpenAtRead | Self::RootRelativeRead => "openat(O_RDONLY)",
            Self::OpenAtWrite | Self::RootRelativeWrite => "openat(O_WRONLY|O_APPEND)",
            Self::Metadata(call) => call.call(),
            Self::Sysctl => "sysctlbyname",
            Self::MachLookUp => "bootstrap_look_up",
            Self::MachRegister => "bootstrap_check_in",
            Self::XpcConnect => "xpc_connection_send_message_with_reply_sync",
            Self::IoKitOpen => "IOServiceOpen",
            Self::NotifyPost => "notify_post",
            Self::DistributedPost => "CFNotificationCenterPostNotification",
            Self::PreferenceRead => "CFPreferencesCopyKeyList",
            Self::PidInfo => "proc_pidinfo(PROC_PIDTBSDINFO)",
            Self::ShmCreate => "shm_open(O_RDWR|O_CREAT|O_EXCL)",
            Self::RightObtain => "AuthorizationCopyRights",
        }
    }

    /// The operation that is really performed: what the system is asked about.
    #[must_use]
    pub fn performs(self) -> &'static str {
        match self {
            Self::FileSearch => "file-search",
            Self::FileSetXattr => "file-write-xattr",
            Self::OpenAtRead | Self::RootRelativeRead => "file-read-data",
            Self::OpenAtWrite | Self::RootRelativeWrite => "file-write-data",
            Self::Metadata(call) => call.performs(),
            Self::Sysctl => "sysctl-read",
            Self::MachLookUp | Self::XpcConnect => "mach-lookup",
            Self::MachRegister => "mach-register",
            Self::IoKitOpen => "iokit-open-service",
            Self::NotifyPost => "darwin-notification-post",
            Self::DistributedPost => "distributed-notification-post",
            Self::PreferenceRead => "user-preference-read",
            Self::PidInfo => "process-info-pidinfo",
            Self::ShmCreate => "ipc-posix-shm-write-create",
            Self::RightObtain => "authorization-right-obtain",
        }
    }

    /// Whether the call follows a symbolic link in the target's last place; `None` when the target is no path.
    #[must_use]
    pub fn follows_final_link(self) -> Option<bool> {
        match self {
            Self::Metadata(MetadataCall::Lutimes | MetadataCall::Lchown) => Some(false),
            Self::FileSearch | Self::FileSetXattr | Self::Metadata(_) => Some(true),
            Self::OpenAtRead | Self::OpenAtWrite | Self::RootRelativeRead | Self::RootRelativeWrite => Some(true),
            Self::Sysctl
            | Self::MachLookUp
            | Self::MachRegister
            | Self::XpcConnect
            | Self::IoKitOpen
            | Self::NotifyPost
            | Self::DistributedPost
            | Self::PreferenceRead
            | Self::PidInfo
            | Self::ShmCreate
            | Self::RightObtain => None,
        }
    }

    /// Whether the target is relative to `/` and has no slash in front.
    #[must_use]
    pub fn is_root_relative(self) -> bool {
        matches!(self, Self::RootRelativeRead | Self::RootRelativeWrite)
    }
}

/// The usual call for an operation that only macOS performs.
const USUAL: &[(&str, Native)] = &[
    ("file-search", Native::FileSearch),
    ("file-write-xattr", Native::FileSetXattr),
    ("file-write-owner", Native::Metadata(MetadataCall::Lchown)),
    ("sysctl-read", Native::Sysctl),
    ("mach-lookup", Native::MachLookUp),
    ("mach-register", Native::MachRegister),
    ("iokit-open-service", Native::IoKitOpen),
    ("darwin-notification-post", Native::NotifyPost),
    ("distributed-notification-post", Native::DistributedPost),
    ("user-preference-read", Native::PreferenceRead),
    ("process-info-pidinfo", Native::PidInfo),
    ("ipc-posix-shm-write-create", Native::ShmCreate),
    ("authorization-right-obtain", Native::RightObtain),
];

/// The operations with a call of their own here.
pub(super) fn operations() -> impl Iterator<Item = &'static str> {
    USUAL.iter().map(|(operation, _)| *operation)
}

/// What a probe may say about how it is performed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// `driver`.
    pub driver: Option<&'a str>,
    /// `syscall`.
    pub syscall: Option<&'a str>,
    /// `attr_payload`.
    pub payload: Option<&'a str>,
}

/// What becomes of a wish for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// This call.
    Native(Native),
    /// The operation's usual driver: the wish names it, or names none of the calls.
    Usual,
    /// The call that is asked for is not one that performs the operation.
    None,
}

/// The call that a probe asks for, among those that perform its operation.
pub(super) fn choose(operation: &str, asked: Asked<'_>) -> Choice {
    let reads = matches!(operation, "file-read*" | "file-read-data");
    let writes = matches!(operation, "file-write*" | "file-write-data");
    let by_access = |read, write| match (reads, writes) {
        (true, _) => Choice::Native(read),
        (_, true) => Choice::Native(write),
        _ => Choice::None,
    };
    match (asked.driver, asked.syscall) {
        (Some("xpc_probe"), _) | (_, Some("xpc_connection_create_mach_service")) if operation == "mach-lookup" => {
            Choice::Native(Native::XpcConnect)
        }
        (_, Some("openat")) => by_access(Native::OpenAtRead, Native::OpenAtWrite),
        (_, Some("openat_rootrel")) => by_access(Native::RootRelativeRead, Native::RootRelativeWrite),
        (Some("metadata_runner"), syscall) => metadata(operation, syscall, asked.payload),
        (_, Some(syscall)) if MetadataCall::named(syscall, None).is_some() => {
            metadata(operation, Some(syscall), asked.payload)
        }
        _ => match USUAL.iter().find(|(known, _)| *known == operation) {
            Some((_, native)) => Choice::Native(*native),
            None => Choice::Usual,
        },
    }
}

/// lstat has a driver on every system and is the usual one; what is written by default is the mode.
fn metadata(operation: &str, syscall: Option<&str>, payload: Option<&str>) -> Choice {
    let changes = operation.starts_with("file-write");
    match (operation, syscall) {
        ("file-read-metadata", None | Some("lstat")) => Choice::Usual,
        (_, None) if changes => Choice::Native(Native::Metadata(MetadataCall::Chmod)),
        (_, Some(syscall)) if changes || operation == "file-read-metadata" => {
            MetadataCall::named(syscall, payload).map_or(Choice::None, |call| Choice::Native(Native::Metadata(call)))
        }
        _ => Choice::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_gets_the_call_it_asks_for_or_none() {
        let of = |operation, driver, syscall, payload| choose(operation, Asked { driver, syscall, payload });
        let native = Choice::Native;
        for (chosen, expected) in [
            (of("mach-lookup", None, None, None), native(Native::MachLookUp)),
            (
                of("mach-lookup", Some("sandbox_mach_probe"), Some("bootstrap_look_up"), None),
                native(Native::MachLookUp),
            ),
            (of("mach-lookup", Some("xpc_probe"), None, None), native(Native::XpcConnect)),
            (of("mach-lookup", None, Some("xpc_connection_create_mach_service"), None), native(Native::XpcConnect)),
            (of("file-read*", None, None, None), Choice::Usual),
            (of("file-read*", None, Some("openat"), None), native(Native::OpenAtRead)),
            (of("file-write-data", None, Some("openat"), None), native(Native::OpenAtWrite)),
            (of("file-read*", None, Some("openat_rootrel"), None), native(Native::RootRelativeRead)),
            (of("file-read-metadata", None, Some("openat"), None), Choice::None),
            (of("file-read-metadata", Some("metadata_runner"), None, None), Choice::Usual),
            (of("file-read-metadata", Some("metadata_runner"), Some("lstat"), None), Choice::Usual),
            (
                of("file-read-metadata", Some("metadata_runner"), Some("getattrlist"), Some("file-size")),
                native(Native::Metadata(MetadataCall::GetAttrList(Attributes::FileSize))),
            ),
            (of("file-read-metadata", Some("metadata_runner"), Some("getattrlist"), Some("other")), Choice::None),
            (of("file-read-metadata", Some("metadata_runner"), Some("nosuchcall"), None), Choice::None),
            (
                of("file-write*", Some("metadata_runner"), Some("chmod"), None),
                native(Native::Metadata(MetadataCall::Chmod)),
            ),
            (of("file-write*", Some("metadata_runner"), None, None), native(Native::Metadata(MetadataCall::Chmod))),
            (
                of("file-write*", Some("metadata_runner"), Some("fchownat"), None),
                native(Native::Metadata(MetadataCall::FchownAt)),
            ),
            (of("file-read-data", Some("metadata_runner"), Some("fstat"), None), Choice::None),
            (of("darwin-notification-post", None, Some("notify_post"), None), native(Native::NotifyPost)),
        ] {
            assert_eq!(chosen, expected);
        }
    }

    #[test]
    fn payloads_are_the_bits_of_the_header() {
        let bits =
            ["cmn", "cmn-name", "cmn-times", "file-size"].map(|name| Attributes::named(Some(name)).unwrap().bits());
        assert_eq!(bits, [(8, 0), (1, 0), (0x600, 0), (0, 0x200)]);
        assert_eq!(Attributes::named(Some("cmn-nothing")), None);
    }

    #[test]
    fn every_call_performs_a_known_operation_and_none_is_named_twice() {
        let names: std::collections::BTreeSet<&str> = Native::ALL.iter().map(|native| native.name()).collect();
        assert_eq!(names.len(), Native::ALL.len());
        for native in Native::ALL {
            assert!(crate::vocab::Operation::new(native.performs()).index().is_some(), "{native:?}");
        }
        for (operation, native) in USUAL {
            assert_eq!(*operation, native.performs());
        }
    }
}
