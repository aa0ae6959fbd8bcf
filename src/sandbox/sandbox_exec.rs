//! Applying a profile by `sandbox-exec(1)`: a program of the system applies the text and becomes the command.
//!
//! The command's process is then the one that `sandbox-exec` was started as, so its number is known, and the system's log
//! has a notice of its own that the profile was applied to that number. Used where refusals are read from the live log.

use std::ffi::OsString;
use std::path::Path;

use super::{Command, End, EnforcementReport, Layers, ProfileText, SandboxError, Supervised};
use crate::os::fs::write_durable;
use crate::os::process::WorkerError;
use crate::os::process::attached::run_attached;

/// Statuses with which `sandbox-exec` ends where the command did not begin: usage, a profile that does not compile, one that is not
/// applied or a command that cannot be executed (sysexits(3)). A command may end with them too.
const OWN_STATUSES: [i32; 3] = [64, 65, 71];

/// A tree that ran under `sandbox-exec`.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What came of it. It holds no records: the system logs its decisions.
    pub supervised: Supervised,
    /// Process id of `sandbox-exec`, and of the command after it.
    pub pid: i32,
}

impl Applied {
    /// Why the profile was not applied, as far as that can be told; `applied` are the processes that the log has notices of.
    #[must_use]
    pub fn doubt(&self, applied: &[i32]) -> Option<String> {
        match self.supervised.end {
            End::Exited(status) if OWN_STATUSES.contains(&status) && !applied.contains(&self.pid) => Some(format!(
                "sandbox-exec ended with status {status}, and the log has no notice that it applied the profile"
            )),
            _ => None,
        }
    }
}

/// The arguments of `sandbox-exec` for a profile that stands in `file`.
#[must_use]
pub fn arguments(file: &Path, text: ProfileText<'_>, argv: &[OsString]) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["-f".into(), file.into()];
    for (key, value) in text.params {
        words.extend(["-D".into(), format!("{key}={value}").into()]);
    }
    words.extend(argv.iter().cloned());
    words
}

/// Runs a command under `program`, which is `sandbox-exec`. The profile is written to `file`, in a private directory of the caller's.
///
/// # Errors
/// [`SandboxError::SetUp`]; nothing of the command has run then.
pub fn run(program: &Path, file: &Path, text: ProfileText<'_>, command: &Command) -> Result<Applied, SandboxError> {
    let failed = |step| move |source: std::io::Error| SandboxError::SetUp { step, source };
    if command.program.as_encoded_bytes().first() == Some(&b'-') {
        // It would be taken for an option.
        return Err(failed("start a command whose name begins with -")(std::io::ErrorKind::InvalidInput.into()));
    }
    let whole: String = text.sources.iter().map(|source| format!("{}\n", source.text)).collect();
    write_durable(file, whole.as_bytes()).map_err(|error| failed("write the profile")(std::io::Error::other(error)))?;
    let mut argv = vec![command.program.clone()];
    argv.extend(command.argv.iter().skip(1).cloned());
    let words = arguments(file, text, &argv);
    let end =
        run_attached(program, &words, &command.env, &command.cwd, &command.cancel).map_err(|error| match error {
            WorkerError::Spawn { source, .. } => failed("start sandbox-exec")(source),
            other => failed("run sandbox-exec")(std::io::Error::other(other)),
        })?;
    Ok(Applied {
        supervised: Supervised {
            cancelled: end.cancelled,
            report: Some(report(program)),
            ..Supervised::ended(end.signal.map_or(End::Exited(end.exit_status.unwrap_or(0)), End::Signaled))
        },
        pid: end.pid,
    })
}

fn report(program: &Path) -> EnforcementReport {
    let mut layers = Layers::none(std::env::consts::OS);
    let uname = rustix::system::uname();
    layers.kernel_release = uname.release().to_string_lossy().into_owned();
    layers.uid = rustix::process::getuid().as_raw();
    layers.add("sandbox-exec", true, format!("the profile was handed to {}", program.display()));
    EnforcementReport {
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        layers,
        observe: false,
        operations: std::collections::BTreeMap::new(),
        d1_roots: Vec::new(),
        d2_roots: Vec::new(),
        backstop: "none".to_owned(),
        skipped_roots: Vec::new(),
        capabilities_dropped: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::Params;

    #[test]
    fn the_command_line_is_profile_parameters_command() {
        let params = Params::from([("B".to_owned(), "2 x".to_owned()), ("A".to_owned(), "1".to_owned())]);
        let text = ProfileText { sources: &[], params: &params };
        let words = arguments(Path::new("/d/applied.sb"), text, &["ls".into(), "-l".into()]);
        let words: Vec<String> = words.into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(words[..2], ["-f", "/d/applied.sb"]);
        let mut given = [words[3].as_str(), words[5].as_str()];
        given.sort_unstable();
        assert_eq!((words[2].as_str(), words[4].as_str(), given), ("-D", "-D", ["A=1", "B=2 x"]));
        assert_eq!(words[6..], ["ls", "-l"]);
    }

    #[test]
    fn a_status_of_sandbox_exec_is_the_commands_only_where_the_profile_was_applied() {
        let of = |end| Applied { supervised: Supervised::ended(end), pid: 4 };
        for status in [64, 65, 71] {
            assert!(of(End::Exited(status)).doubt(&[5]).is_some());
            assert_eq!(of(End::Exited(status)).doubt(&[5, 4]), None);
        }
        assert_eq!(of(End::Exited(1)).doubt(&[]), None);
        assert_eq!(of(End::Signaled(9)).doubt(&[]), None);
    }
}
