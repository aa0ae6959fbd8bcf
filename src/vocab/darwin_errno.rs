//! Names of macOS's errno values, whatever system reads them: evidence of a Mac must not be named by another system's table.
//!
//! Source: `sys/errno.h` of XNU, 1 to 106.

/// The name of a macOS errno; `None` for a number that the system does not define.
#[must_use]
pub fn darwin_errno_name(errno: i32) -> Option<&'static str> {
    usize::try_from(errno).ok()?.checked_sub(1).and_then(|at| NAMES.get(at)).copied()
}

const NAMES: [&str; 106] = [
    "EPERM",
    "ENOENT",
    "ESRCH",
    "EINTR",
    "EIO",
    "ENXIO",
    "E2BIG",
    "ENOEXEC",
    "EBADF",
    "ECHILD",
    "EDEADLK",
    "ENOMEM",
    "EACCES",
    "EFAULT",
    "ENOTBLK",
    "EBUSY",
    "EEXIST",
    "EXDEV",
    "ENODEV",
    "ENOTDIR",
    "EISDIR",
    "EINVAL",
    "ENFILE",
    "EMFILE",
    "ENOTTY",
    "ETXTBSY",
    "EFBIG",
    "ENOSPC",
    "ESPIPE",
    "EROFS",
    "EMLINK",
    "EPIPE",
    "EDOM",
    "ERANGE",
    "EAGAIN",
    "EINPROGRESS",
    "EALREADY",
    "ENOTSOCK",
    "EDESTADDRREQ",
    "EMSGSIZE",
    "EPROTOTYPE",
    "ENOPROTOOPT",
    "EPROTONOSUPPORT",
    "ESOCKTNOSUPPORT",
    "ENOTSUP",
    "EPFNOSUPPORT",
    "EAFNOSUPPORT",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "ENETDOWN",
    "ENETUNREACH",
    "ENETRESET",
    "ECONNABORTED",
    "ECONNRESET",
    "ENOBUFS",
    "EISCONN",
    "ENOTCONN",
    "ESHUTDOWN",
    "ETOOMANYREFS",
    "ETIMEDOUT",
    "ECONNREFUSED",
    "ELOOP",
    "ENAMETOOLONG",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "ENOTEMPTY",
    "EPROCLIM",
    "EUSERS",
    "EDQUOT",
    "ESTALE",
    "EREMOTE",
    "EBADRPC",
    "ERPCMISMATCH",
    "EPROGUNAVAIL",
    "EPROGMISMATCH",
    "EPROCUNAVAIL",
    "ENOLCK",
    "ENOSYS",
    "EFTYPE",
    "EAUTH",
    "ENEEDAUTH",
    "EPWROFF",
    "EDEVERR",
    "EOVERFLOW",
    "EBADEXEC",
    "EBADARCH",
    "ESHLIBVERS",
    "EBADMACHO",
    "ECANCELED",
    "EIDRM",
    "ENOMSG",
    "EILSEQ",
    "ENOATTR",
    "EBADMSG",
    "EMULTIHOP",
    "ENODATA",
    "ENOLINK",
    "ENOSR",
    "ENOSTR",
    "EPROTO",
    "ETIME",
    "EOPNOTSUPP",
    "ENOPOLICY",
    "ENOTRECOVERABLE",
    "EOWNERDEAD",
    "EQFULL",
];

#[cfg(test)]
mod tests {
    use super::darwin_errno_name;

    #[test]
    fn numbers_that_differ_from_other_systems_have_their_own_names() {
        for (number, name) in
            [(1, "EPERM"), (13, "EACCES"), (35, "EAGAIN"), (45, "ENOTSUP"), (61, "ECONNREFUSED"), (106, "EQFULL")]
        {
            assert_eq!(darwin_errno_name(number), Some(name));
        }
        for number in [-6, 0, 107] {
            assert_eq!(darwin_errno_name(number), None);
        }
    }
}
