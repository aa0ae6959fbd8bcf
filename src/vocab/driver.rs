//! Which operation a probe can perform where: the one table that `probe` implements and lint reads.

use super::Operation;
use super::native::{self, Asked, Choice, Native};

/// A system a probe can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Linux with the supervisor of `sandbox`.
    Linux,
    /// macOS with Seatbelt.
    MacOs,
}

impl Platform {
    /// The platform this program was built for; `None` on systems without drivers.
    #[must_use]
    pub fn of_this_build() -> Option<Self> {
        match std::env::consts::OS {
            "linux" => Some(Self::Linux),
            "macos" => Some(Self::MacOs),
            _ => None,
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Linux => "Linux",
            Self::MacOs => "macOS",
        })
    }
}

/// The one system operation a probe performs on its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Driver {
    /// Opens the target for reading and reads one byte (a directory: one entry).
    FileRead,
    /// Forks; the child executes another program, and that one opens the target for reading. See [`PROCESS_INHERITANCE`].
    InheritedRead,
    /// Asks for the target's metadata without following a final link.
    FileStat,
    /// Creates the target, which must not exist, as a regular file.
    FileCreate,
    /// Opens the existing target for writing and writes one byte.
    FileWrite,
    /// Removes the name of the target.
    FileUnlink,
    /// Replaces the worker's image by the target program.
    Exec,
    /// Creates one child process, which exits at once.
    Fork,
    /// Asks whether the target exists (access(2) with `F_OK`).
    FileExists,
    /// Lists the names of the target's extended attributes.
    FileListXattr,
    /// Sets the target's permission bits to 0600.
    FileChmod,
    /// Sets the target's times to now.
    FileTouch,
    /// Gives the target a second name: its own with `.link` at the end.
    FileLink,
    /// Connects a stream socket to the target.
    Connect,
    /// Binds a stream socket to the target.
    Bind,
    /// Sends SIGURG, which does nothing unless it is asked for, to the process the target stands for.
    Signal,
    /// Reads the target's value from `/proc/sys`.
    SysctlRead,
    /// Makes a private System V shared memory segment and removes it.
    SysvShm,
    /// A call that only macOS has.
    Native(Native),
}

impl Driver {
    /// Whether the driver's call follows a symbolic link in the target's last place; `None` when the target is no path.
    #[must_use]
    pub fn follows_final_link(self) -> Option<bool> {
        match self {
            Self::FileRead | Self::InheritedRead | Self::FileWrite | Self::Exec => Some(true),
            Self::FileExists | Self::FileListXattr | Self::FileChmod | Self::FileTouch => Some(true),
            Self::FileStat | Self::FileCreate | Self::FileUnlink | Self::FileLink => Some(false),
            Self::Fork | Self::Connect | Self::Bind | Self::Signal | Self::SysctlRead | Self::SysvShm => None,
            Self::Native(native) => native.follows_final_link(),
        }
    }
}

/// One row of the table: an operation as written in a plan, its driver, and where the driver exists.
struct Row {
    operation: &'static str,
    driver: Driver,
    platforms: &'static [Platform],
}

const fn everywhere(operation: &'static str, driver: Driver) -> Row {
    Row { operation, driver, platforms: &[Platform::Linux, Platform::MacOs] }
}

const fn linux(operation: &'static str, driver: Driver) -> Row {
    Row { operation, driver, platforms: &[Platform::Linux] }
}

/// A wildcard is probed by its most telling member: reading data for `file-read*`, writing data for `file-write*`.
const TABLE: &[Row] = &[
    everywhere("file-read*", Driver::FileRead),
    everywhere("file-read-data", Driver::FileRead),
    everywhere("file-read-metadata", Driver::FileStat),
    everywhere("file-write*", Driver::FileWrite),
    everywhere("file-write-data", Driver::FileWrite),
    everywhere("file-write-create", Driver::FileCreate),
    everywhere("file-write-unlink", Driver::FileUnlink),
    everywhere("process-exec*", Driver::Exec),
    everywhere("process-exec", Driver::Exec),
    everywhere("process-fork", Driver::Fork),
    everywhere("file-test-existence", Driver::FileExists),
    everywhere("file-read-xattr", Driver::FileListXattr),
    everywhere("file-write-mode", Driver::FileChmod),
    everywhere("file-write-times", Driver::FileTouch),
    everywhere("file-link", Driver::FileLink),
    everywhere("network-outbound", Driver::Connect),
    everywhere("network-bind", Driver::Bind),
    everywhere("signal", Driver::Signal),
    linux("sysctl-read", Driver::SysctlRead),
    everywhere("ipc-sysv-shm", Driver::SysvShm),
];

/// The driver for `operation` on `platform`; `None` means the probe cannot be performed there and is not observed.
#[must_use]
pub fn driver(operation: &Operation, platform: Platform) -> Option<Driver> {
    driver_asked_for(operation, Asked::default(), platform)
}

fn usual(operation: &Operation, platform: Platform) -> Option<Driver> {
    TABLE
        .iter()
        .find(|row| row.operation == operation.as_str() && row.platforms.contains(&platform))
        .map(|row| row.driver)
}

/// The word by which a probe of reading asks that a process the probe's own has started does it: forked, and then another
/// program. What holds that process is the policy it inherited. On Linux the program is one of the fixtures, of our own making
/// and a few hundred bytes long, so nothing in it, such as an `inherit` entitlement, can be the reason.
pub const PROCESS_INHERITANCE: &str = "process_inheritance";

/// Like [`driver`], for a probe that may ask for a driver or a call by name. On Linux only [`PROCESS_INHERITANCE`] chooses
/// another one: the other names are programs of the earlier tool and calls of macOS.
#[must_use]
pub fn driver_asked_for(operation: &Operation, asked: Asked<'_>, platform: Platform) -> Option<Driver> {
    match (asked.driver, platform) {
        (Some(PROCESS_INHERITANCE), Platform::Linux) => {
            usual(operation, platform).filter(|usual| *usual == Driver::FileRead).map(|_| Driver::InheritedRead)
        }
        (Some(PROCESS_INHERITANCE), Platform::MacOs) => None,
        (_, Platform::Linux) => usual(operation, platform),
        (_, Platform::MacOs) => match native::choose(operation.as_str(), asked) {
            Choice::Native(native) => Some(Driver::Native(native)),
            Choice::Usual => usual(operation, platform),
            Choice::None => None,
        },
    }
}

/// The operations that have a driver on some platform.
pub fn operations() -> impl Iterator<Item = &'static str> {
    let only_there = native::operations().filter(|operation| TABLE.iter().all(|row| row.operation != *operation));
    TABLE.iter().map(|row| row.operation).chain(only_there)
}

impl Driver {
    /// Whether the target is a path, and nothing but a path; the other forms are those of [`super::target`].
    #[must_use]
    pub fn takes_path(self) -> bool {
        self.follows_final_link().is_some()
    }

    /// Whether the driver makes its target, which must not be there before.
    #[must_use]
    pub fn makes_target(self) -> bool {
        matches!(self, Self::FileCreate | Self::Bind)
    }

    /// The driver's name, as listings show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FileRead => "file_read",
            Self::InheritedRead => PROCESS_INHERITANCE,
            Self::FileStat => "file_stat",
            Self::FileCreate => "file_create",
            Self::FileWrite => "file_write",
            Self::FileUnlink => "file_unlink",
            Self::Exec => "exec",
            Self::Fork => "fork",
            Self::FileExists => "file_exists",
            Self::FileListXattr => "file_list_xattr",
            Self::FileChmod => "file_chmod",
            Self::FileTouch => "file_touch",
            Self::FileLink => "file_link",
            Self::Connect => "connect",
            Self::Bind => "bind",
            Self::Signal => "signal",
            Self::SysctlRead => "sysctl_read",
            Self::SysvShm => "sysv_shm",
            Self::Native(native) => native.name(),
        }
    }

    /// The operation the driver really performs: what a recorded decision about it is called.
    #[must_use]
    pub fn performs(self) -> &'static str {
        match self {
            Self::FileRead | Self::InheritedRead => "file-read-data",
            Self::FileStat => "file-read-metadata",
            Self::FileCreate => "file-write-create",
            Self::FileWrite => "file-write-data",
            Self::FileUnlink => "file-write-unlink",
            Self::Exec => "process-exec*",
            Self::Fork => "process-fork",
            Self::FileExists => "file-test-existence",
            Self::FileListXattr => "file-read-xattr",
            Self::FileChmod => "file-write-mode",
            Self::FileTouch => "file-write-times",
            Self::FileLink => "file-link",
            Self::Connect => "network-outbound",
            Self::Bind => "network-bind",
            Self::Signal => "signal",
            Self::SysctlRead => "sysctl-read",
            Self::SysvShm => "ipc-sysv-shm",
            Self::Native(native) => native.performs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_known_operation_once_and_covers_what_it_performs() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            let operation = Operation::new(row.operation);
            assert!(operation.is_known(), "{operation}");
            assert!(seen.insert(row.operation), "{operation} twice");
            let performed = Operation::new(row.driver.performs());
            assert!(operation.covers(&performed) || performed.covers(&operation), "{operation}");
            assert_eq!(driver(&operation, Platform::Linux), Some(row.driver));
        }
        assert_eq!(driver(&Operation::new("mach-lookup"), Platform::Linux), None);
        assert_eq!(driver(&Operation::new("file*"), Platform::Linux), None);
    }

    #[test]
    fn a_driver_that_is_asked_for_is_used_for_its_operation_or_none_is() {
        let of = |operation: &str, driver, platform| {
            driver_asked_for(&Operation::new(operation), Asked { driver, ..Asked::default() }, platform)
        };
        let inherited = Some(PROCESS_INHERITANCE);
        assert_eq!(of("file-read-data", inherited, Platform::Linux), Some(Driver::InheritedRead));
        assert_eq!(of("file-read*", inherited, Platform::Linux), Some(Driver::InheritedRead));
        assert_eq!(of("file-write-data", inherited, Platform::Linux), None);
        assert_eq!(of("file-read-data", inherited, Platform::MacOs), None);
        assert_eq!(of("file-read-data", Some("file_probe"), Platform::Linux), Some(Driver::FileRead));
        assert_eq!(of("mach-lookup", Some("xpc_probe"), Platform::Linux), None);
        assert_eq!(of("mach-lookup", Some("xpc_probe"), Platform::MacOs), Some(Driver::Native(Native::XpcConnect)));
    }

    /// Every operation that the earlier tool's registries and templates probe, with what its driver performs on macOS.
    const CENSUS: [(&str, &str); 20] = [
        ("file-read*", "file-read-data"),
        ("file-write*", "file-write-data"),
        ("mach-lookup", "mach-lookup"),
        ("iokit-open-service", "iokit-open-service"),
        ("network-outbound", "network-outbound"),
        ("process-info-pidinfo", "process-info-pidinfo"),
        ("darwin-notification-post", "darwin-notification-post"),
        ("sysctl-read", "sysctl-read"),
        ("file-read-data", "file-read-data"),
        ("file-search", "file-search"),
        ("file-read-xattr", "file-read-xattr"),
        ("file-write-xattr", "file-write-xattr"),
        ("distributed-notification-post", "distributed-notification-post"),
        ("signal", "signal"),
        ("file-test-existence", "file-test-existence"),
        ("file-write-data", "file-write-data"),
        ("mach-register", "mach-register"),
        ("ipc-posix-shm-write-create", "ipc-posix-shm-write-create"),
        ("authorization-right-obtain", "authorization-right-obtain"),
        ("user-preference-read", "user-preference-read"),
    ];

    #[test]
    fn every_operation_of_the_census_has_a_driver_on_macos() {
        let others = [
            ("process-fork", "process-fork"),
            ("file-read-metadata", "file-read-metadata"),
            ("process-exec*", "process-exec*"),
        ];
        for (operation, performed) in CENSUS.into_iter().chain(others) {
            let driver = driver(&Operation::new(operation), Platform::MacOs);
            assert_eq!(driver.map(Driver::performs), Some(performed), "{operation}");
        }
        let syscalls = [
            ("file-read-metadata", ["lstat", "getattrlist", "setattrlist", "fstat"].as_slice()),
            (
                "file-write*",
                ["chmod", "utimes", "fchmod", "futimes", "lchown", "fchown", "fchownat", "lutimes"].as_slice(),
            ),
        ];
        for (operation, calls) in syscalls {
            for call in calls {
                let asked = Asked { driver: Some("metadata_runner"), syscall: Some(call), payload: None };
                let driver = driver_asked_for(&Operation::new(operation), asked, Platform::MacOs);
                assert!(driver.is_some_and(|driver| driver.performs().starts_with("file-")), "{operation} {call}");
            }
        }
        assert_eq!(driver(&Operation::new("lsopen"), Platform::MacOs), None, "the twin: nothing performs it");
    }
}
