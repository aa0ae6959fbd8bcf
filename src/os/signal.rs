//! What this process does on signals.

/// Whether a signal is ignored, as `nohup` and shells ask of what they start.
#[must_use]
pub fn is_ignored(number: i32) -> bool {
    // SAFETY: all-zero bytes are a valid `sigaction`; without a new action the call only fills the old one in.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use super::is_ignored;

    #[test]
    fn the_signal_that_rust_ignores_is_told_from_one_that_it_does_not() {
        assert!(is_ignored(libc::SIGPIPE));
        assert!(!is_ignored(libc::SIGUSR2) && !is_ignored(-1));
    }
}
