//! Running a program on this process's own standard streams, as a shell does.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use super::spawn::{self, Start};
use super::{WorkerError, has_ended, kill_group, started};
use crate::base::cancel::Cancel;

/// How often a waiting caller looks at `Cancel`.
const TICK: Duration = Duration::from_millis(5);

/// How an attached program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachedEnd {
    /// Its process id.
    pub pid: i32,
    /// Exit status 0 to 255, when it exited by itself.
    pub exit_status: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Whether `Cancel` ended it.
    pub cancelled: bool,
}

/// Runs a program with this process's standard streams, in a process group of its own, to its end or until cancelled; what is left
/// of its group is dead on return.
///
/// # Errors
/// It cannot be started or waited for.
pub fn run_attached(
    exe: &Path,
    args: &[OsString],
    env: &[(OsString, OsString)],
    cwd: &Path,
    cancel: &Cancel,
) -> Result<AttachedEnd, WorkerError> {
    let leader = started(&Start { exe, args, env, cwd: Some(cwd) }, &[])?;
    let pid = leader.as_raw_nonzero().get();
    let mut cancelled = false;
    while !has_ended(leader) {
        if cancel.is_set() {
            cancelled = true;
            break;
        }
        std::thread::sleep(TICK);
    }
    kill_group(leader);
    let status = spawn::wait(leader).map_err(|source| WorkerError::Wait { pid: pid.unsigned_abs(), source })?;
    Ok(AttachedEnd { pid, exit_status: status.code(), signal: status.signal(), cancelled })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, cancel: &Cancel) -> AttachedEnd {
        let env = [("PATH".into(), "/usr/bin:/bin".into())];
        run_attached(Path::new("/bin/sh"), &["-c".into(), script.into()], &env, Path::new("/tmp"), cancel).unwrap()
    }

    #[test]
    fn status_signal_and_cancellation_are_told_apart() {
        let cancel = Cancel::default();
        assert_eq!(shell("test \"$PWD\" = /tmp && exit 7", &cancel).exit_status, Some(7));
        assert_eq!(shell("kill -15 $$", &cancel).signal, Some(15));
        cancel.set();
        let end = shell("sleep 60", &cancel);
        assert!(end.cancelled && end.signal == Some(9), "{end:?}");
    }
}
