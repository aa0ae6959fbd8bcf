//! What to do when somebody else holds a bundle root: the same options for every command that writes there.

use std::time::Duration;

use super::exit::Failure;
use crate::os::lock::LockMode;

// Arguments about the lock.
#[derive(Debug, clap::Args)]
pub(crate) struct LockArgs {
    /// What to do when another run holds the bundle root
    #[arg(long, default_value = "fail", value_parser = ["fail", "wait"])]
    lock_mode: String,
    /// How long to wait with --lock-mode wait
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    lock_timeout_seconds: f64,
}

impl LockArgs {
    /// The mode asked for.
    pub(crate) fn mode(&self) -> Result<LockMode, Failure> {
        let timeout = seconds("--lock-timeout-seconds", self.lock_timeout_seconds)?;
        Ok(if self.waits() { LockMode::Wait { timeout } } else { LockMode::Fail })
    }

    /// Whether to wait.
    pub(crate) fn waits(&self) -> bool {
        self.lock_mode == "wait"
    }
}

/// A number of seconds as a user gives it.
pub(crate) fn seconds(flag: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|limit| !limit.is_zero() && *limit <= Duration::from_secs(86_400))
        .ok_or_else(|| Failure::usage(format_args!("{flag} {value}: give a number of seconds above 0 and up to 86400")))
}
