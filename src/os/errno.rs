//! Names of errno values of the system this program runs on.

/// The name of `errno`, such as `EACCES`; `E<number>` for values the system does not define.
#[must_use]
pub fn name(errno: i32) -> String {
    match nix::errno::Errno::from_raw(errno) {
        nix::errno::Errno::UnknownErrno => format!("E{errno}"),
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_agree_with_the_headers() {
        assert_eq!([1, 2, 13, 40].map(super::name), ["EPERM", "ENOENT", "EACCES", "ELOOP"]);
        assert_eq!(super::name(4000), "E4000");
    }
}
