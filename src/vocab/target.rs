//! What the target text of a probe names: one place for the forms that drivers take and lint checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Driver, Native};

/// A socket address as a probe's target writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `HOST:PORT`: an IPv4 address, `localhost` (127.0.0.1) or an IPv6 address in brackets; port 1 to 65535.
    Tcp(SocketAddr),
    /// An absolute path: a unix socket.
    Unix(String),
}

/// Whom a signal probe signals, in the words of the `target` filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `self`: the probe's own process.
    Itself,
    /// `children`: a process the probe makes first, which needs `process-fork`.
    Children,
    /// `same-sandbox`: a grandchild in a process group of its own, which needs `process-fork`.
    SameSandbox,
    /// `others`: the process that runs the plan.
    Others,
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTarget(String);

/// Directories that `/proc/sys` can hold (Linux `Documentation/admin-guide/sysctl`).
const SYSCTL_TREES: &[&str] =
    &["abi", "crypto", "debug", "dev", "fs", "fscache", "kernel", "net", "sunrpc", "user", "vm"];

/// What targets of an operation are, by the beginning of its name; the longest one decides. Operations that only macOS
/// has are listed as well: their probes stand in registries that every system reads.
const FORMS: &[(&str, &str)] = &[
    ("authorization-right-obtain", "right name"),
    ("darwin-notification-post", "notification name"),
    ("distributed-notification-post", "notification name"),
    ("file", "path"),
    ("iokit-open", "class name"),
    ("ipc-posix", "object name"),
    ("ipc-sysv", "self"),
    ("mach", "service name"),
    ("network", "address:port or path"),
    ("process-exec", "path"),
    ("process-fork", "self"),
    ("process-info", "self or process id"),
    ("signal", "relation"),
    ("sysctl", "sysctl name"),
    ("user-preference", "preference domain"),
];

/// What a target of `operation` is, in two or three words; `None` where no form is known.
#[must_use]
pub fn form(operation: &str) -> Option<&'static str> {
    let fits = FORMS.iter().filter(|(start, _)| operation.starts_with(start));
    fits.max_by_key(|(start, _)| start.len()).map(|(_, form)| *form)
}

/// Reads `HOST:PORT` or an absolute path.
///
/// # Errors
/// Neither of them: host names are not looked up, port 0 names no port.
pub fn endpoint(text: &str) -> Result<Endpoint, BadTarget> {
    let bad =
        |why: &str| BadTarget(format!("{why}; write ADDRESS:PORT, localhost:PORT or the absolute path of a socket"));
    if text.starts_with('/') {
        return Ok(Endpoint::Unix(text.to_owned()));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| bad("there is no port"))?;
    let ip: IpAddr = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| bad("the host is no IPv6 address"))?.into(),
        None if host == "localhost" => Ipv4Addr::LOCALHOST.into(),
        None => host.parse::<Ipv4Addr>().map_err(|_| bad("the host is no address (names are not looked up)"))?.into(),
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(Endpoint::Tcp(SocketAddr::new(ip, port))),
        _ => Err(bad("the port is no number from 1 to 65535")),
    }
}

/// Reads a relation.
///
/// # Errors
/// None of the four words.
pub fn relation(text: &str) -> Result<Relation, BadTarget> {
    match text {
        "self" => Ok(Relation::Itself),
        "children" => Ok(Relation::Children),
        "same-sandbox" => Ok(Relation::SameSandbox),
        "others" => Ok(Relation::Others),
        _ => Err(BadTarget("it is none of self, children, same-sandbox, others".to_owned())),
    }
}

/// The file below `/proc/sys` that a dotted name such as `kernel.ostype` stands for (sysctl(8)).
///
/// # Errors
/// Not two or more plain components, or not beneath a directory that Linux has.
pub fn sysctl_path(name: &str) -> Result<String, BadTarget> {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let parts: Vec<&str> = name.split('.').collect();
    if parts.len() < 2 || !parts.iter().all(|part| plain(part)) {
        return Err(BadTarget(
            "a sysctl name is two or more words with dots between, such as kernel.ostype".to_owned(),
        ));
    }
    if !SYSCTL_TREES.contains(&parts[0]) {
        return Err(BadTarget(format!("Linux has no sysctl beneath {:?}", parts[0])));
    }
    Ok(format!("/proc/sys/{}", parts.join("/")))
}

/// Longest name of the bootstrap server, in bytes: `BOOTSTRAP_MAX_NAME_LEN` of `servers/bootstrap.h` less the final zero.
const LONGEST_MACH_NAME: usize = 127;
/// Longest name of a shared memory object: `PSHMNAMLEN` of XNU's `posix_shm.c`.
const LONGEST_SHM_NAME: usize = 31;

/// A name, as macOS takes it.
fn native_target(native: Native, text: &str) -> Result<(), BadTarget> {
    let limit = match native {
        Native::MachLookUp | Native::MachRegister | Native::XpcConnect => LONGEST_MACH_NAME,
        Native::ShmCreate => LONGEST_SHM_NAME,
        _ => usize::MAX,
    };
    if native == Native::PidInfo && text != "self" && !text.parse::<i32>().is_ok_and(|pid| pid > 0) {
        return Err(BadTarget("it is neither self nor a process id".to_owned()));
    }
    if text.is_empty() || text.contains('\0') {
        return Err(BadTarget("it is no name: empty, or with a NUL byte in it".to_owned()));
    }
    if text.len() > limit {
        return Err(BadTarget(format!("it has {} bytes, and the system takes at most {limit}", text.len())));
    }
    Ok(())
}

/// Checks that `text`, parameters replaced, is a target of `driver`.
///
/// # Errors
/// It is not, with the reason.
pub fn check(driver: Driver, text: &str) -> Result<(), BadTarget> {
    match driver {
        Driver::Connect | Driver::Bind => endpoint(text).map(drop),
        Driver::Signal => relation(text).map(drop),
        Driver::SysctlRead => sysctl_path(text).map(drop),
        Driver::Fork | Driver::SysvShm if text != "self" => Err(BadTarget("it is always self".to_owned())),
        Driver::Fork | Driver::SysvShm => Ok(()),
        Driver::Native(native) if !driver.takes_path() => native_target(native, text),
        _ if text.starts_with('/') => Ok(()),
        _ => Err(BadTarget("it is not an absolute path".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_with_a_driver_has_a_form() {
        for (operation, expected) in [
            ("file-read*", "path"),
            ("process-exec*", "path"),
            ("process-fork", "self"),
            ("network-bind", "address:port or path"),
            ("mach-lookup", "service name"),
            ("signal", "relation"),
        ] {
            assert_eq!(form(operation), Some(expected));
        }
        assert_eq!(form("lsopen"), None);
        for operation in crate::vocab::driver::operations() {
            assert!(form(operation).is_some(), "{operation}");
        }
    }

    #[test]
    fn every_form_is_read_and_near_misses_are_refused() {
        const LONG: &str = match str::from_utf8(&[b'n'; 128]) {
            Ok(text) => text,
            Err(_) => "",
        };
        for (driver, good, bad) in [
            (
                Driver::Connect,
                &["127.0.0.1:1", "localhost:65535", "[::1]:80", "/run/x.sock"][..],
                &[
                    "127.0.0.1",
                    "127.0.0.1:99999",
                    "127.0.0.1:0",
                    "127.0.0.1:+1",
                    "127.0.0.1:",
                    "::1:80",
                    "example.com:80",
                    ":80",
                    "x.sock",
                    "",
                ][..],
            ),
            (Driver::Bind, &["127.0.0.1:8080"], &["8080"]),
            (Driver::Signal, &["self", "children", "same-sandbox", "others"], &["1", "pgrp", "Self", ""]),
            (
                Driver::SysctlRead,
                &["kernel.ostype", "net.ipv4.ip_forward"],
                &["hw.ncpu", "kernel", "kernel..ostype", "kernel.../etc/passwd", "kernel/ostype", ""],
            ),
            (Driver::Native(Native::PidInfo), &["self", "1"], &["0", "-1", "me", ""]),
            (Driver::Native(Native::MachLookUp), &["com.apple.cfprefsd.agent"], &["", "a\0b", LONG]),
            (Driver::Native(Native::ShmCreate), &["runtime"], &["", &LONG[..32]]),
            (Driver::Native(Native::FileSearch), &["/x"], &["x"]),
            (Driver::Fork, &["self"], &["other"]),
            (Driver::FileChmod, &["/x"], &["x", "127.0.0.1:80"]),
        ] {
            for text in good {
                assert_eq!(check(driver, text), Ok(()), "{driver:?} {text}");
            }
            for text in bad {
                assert!(check(driver, text).is_err(), "{driver:?} {text}");
            }
        }
        assert_eq!(endpoint("localhost:80").unwrap(), endpoint("127.0.0.1:80").unwrap());
        assert_eq!(sysctl_path("kernel.ostype").unwrap(), "/proc/sys/kernel/ostype");
    }
}
