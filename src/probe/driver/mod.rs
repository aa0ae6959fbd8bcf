//! The operations themselves: safe code, exactly one operation each, run inside the sandboxed process.

mod file;
#[cfg(target_os = "macos")]
mod native;
#[cfg(not(target_os = "macos"))]
#[path = "native_elsewhere.rs"]
mod native;
#[cfg(any(target_os = "macos", test))]
mod native_result;
mod network;
mod process;

use std::io::{self, Write};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::event::{Effect, SeatbeltAnswers};
use crate::os::{self, errno};
use crate::vocab::{Driver, ResultCode};

pub(super) use native::Preparation;

/// What an operation that succeeded tells beside that, or what became of it otherwise.
type Performed = Result<Map<String, Value>, NotDone>;

/// Everything but a success that shows that the operation was done.
#[cfg_attr(
    not(any(target_os = "macos", test)),
    expect(dead_code, reason = "results that are no errno come from calls of macOS")
)]
enum NotDone {
    /// It failed with an errno; what is known all the same.
    Errno { errno: Errno, details: Map<String, Value> },
    /// It failed with a result of another numbering.
    Code { code: ResultCode, details: Map<String, Value> },
    /// It returned success, which does not show that it was done; why not.
    Inconclusive { why: String, details: Map<String, Value> },
    /// It could not be tried: something it needs is not there.
    Unavailable(String),
}

impl From<Errno> for NotDone {
    fn from(errno: Errno) -> Self {
        Self::Errno { errno, details: Map::new() }
    }
}

/// What an operation is performed in.
pub(super) struct Setting<'a> {
    /// A process that the policy does not hold: whom a signal to `others` goes to.
    pub(super) outside: Option<Pid>,
    /// Whether to say by which path the system knows what was opened.
    pub(super) name_opened: bool,
    /// Open descriptors that are not ours.
    pub(super) inherited: Vec<i32>,
    /// What a process that the probe starts executes.
    pub(super) program: Option<&'a str>,
    /// What was made ready before the policy was entered.
    pub(super) prepared: Preparation,
}

/// A line of a report, in the order of their being written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// What the system was asked before the call.
    Asked(SeatbeltAnswers),
    /// The call is about to be made.
    Announced {
        /// The call.
        call: String,
        /// Open descriptors that are not ours.
        inherited_fds: Vec<i32>,
    },
    /// The call was made.
    Effect(Effect),
    /// The call could not be made; why not.
    Unavailable(String),
}

impl Line {
    /// Writes the line.
    pub(super) fn write(&self, report: &mut impl Write) -> io::Result<()> {
        // In one write: piece by piece it would be dozens of calls, made under the policy.
        report.write_all(format!("{}\n", json!(self)).as_bytes())
    }
}

/// Whether something must be made ready before the policy is entered.
pub(super) fn is_prepared(driver: Driver) -> bool {
    matches!(driver, Driver::Native(native) if native::is_prepared(native))
}

/// Makes ready what the call needs; to be done in the process that enters the policy, just before that.
pub(super) fn prepare(driver: Driver, target: &str) -> Preparation {
    match driver {
        Driver::Native(native) => native::prepare(native, target),
        _ => Preparation::default(),
    }
}

/// Exit status of a probe process that performed its operation and reported it.
pub(super) const REPORTED: u8 = 0;
/// Exit status when the report could not be written.
const NOT_REPORTED: u8 = 70;

/// Announces the call, performs it and reports its result as JSON lines on `report`; returns the exit status.
///
/// A driver that replaces the process image returns only when that failed; its announcement then stands alone.
///
pub(super) fn perform(driver: Driver, target: &str, setting: &Setting<'_>, report: &mut impl Write) -> u8 {
    let &Setting { outside, name_opened, .. } = setting;
    let path = Path::new(target);
    let call = call_name(driver);
    let announced = Line::Announced { call: call.to_owned(), inherited_fds: setting.inherited.clone() };
    if announced.write(report).is_err() {
        return NOT_REPORTED;
    }
    let result = match driver {
        Driver::FileRead => file::read(path, name_opened),
        Driver::InheritedRead => process::inherited_read(setting.program, path),
        Driver::FileStat => file::stat(path),
        Driver::FileCreate => file::create(path, name_opened),
        Driver::FileWrite => file::write(path, name_opened),
        Driver::FileUnlink => nothing_more(rustix::fs::unlink(path)),
        Driver::FileExists => nothing_more(rustix::fs::access(path, rustix::fs::Access::EXISTS)),
        Driver::FileListXattr => file::list_xattr(path),
        Driver::FileChmod => nothing_more(rustix::fs::chmod(path, rustix::fs::Mode::from(0o600))),
        Driver::FileTouch => file::touch(path),
        Driver::FileLink => file::link(path),
        Driver::Exec => Err(os::process::replace_image(path).into()),
        Driver::Fork => process::fork(),
        Driver::Connect => network::connect(target),
        Driver::Bind => network::bind(target),
        Driver::Signal => process::signal(target, outside),
        Driver::SysctlRead => process::read_sysctl(target),
        Driver::SysvShm => nothing_more(os::sysv::make_and_remove_segment()),
        Driver::Native(native) => native::perform(native, target, setting),
    };
    match told(call, result).write(report) {
        Ok(()) => REPORTED,
        Err(_) => NOT_REPORTED,
    }
}

fn nothing_more(result: Result<(), Errno>) -> Performed {
    result.map(|()| Map::new()).map_err(NotDone::from)
}

/// The library call a driver performs, for people reading the evidence.
pub(super) fn call_name(driver: Driver) -> &'static str {
    match driver {
        Driver::FileRead => "open(O_RDONLY)",
        Driver::InheritedRead => "fork, execve, open(O_RDONLY)",
        Driver::FileStat => "lstat",
        Driver::FileCreate => "open(O_WRONLY|O_CREAT|O_EXCL)",
        Driver::FileWrite => "open(O_WRONLY|O_APPEND)",
        Driver::FileUnlink => "unlink",
        Driver::Exec => "execve",
        Driver::Fork => "fork",
        Driver::FileExists => "access(F_OK)",
        Driver::FileListXattr => "listxattr",
        Driver::FileChmod => "chmod",
        Driver::FileTouch => "utimensat",
        Driver::FileLink => "link",
        Driver::Connect => "connect",
        Driver::Bind => "bind",
        Driver::Signal => "kill(SIGURG)",
        Driver::SysctlRead => "open(O_RDONLY)",
        Driver::SysvShm => "shmget",
        Driver::Native(native) => native.call(),
    }
}

fn told(call: &str, result: Performed) -> Line {
    let done = |details| Effect::done(call, details);
    Line::Effect(match result {
        Ok(details) => done(details),
        Err(NotDone::Errno { errno, details }) => {
            let number = errno.raw_os_error();
            Effect { errno: number, errno_name: Some(errno::name(number)), ..done(details) }
        }
        Err(NotDone::Code { code, details }) => Effect { code: Some(code), ..done(details) },
        Err(NotDone::Inconclusive { why, details }) => Effect { inconclusive: Some(why), ..done(details) },
        Err(NotDone::Unavailable(why)) => return Line::Unavailable(why),
    })
}

fn details<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::Meaning;

    #[test]
    fn every_outcome_is_told_as_what_it_is() {
        let effect = |result| match told("call", result) {
            Line::Effect(effect) => effect,
            line => panic!("{line:?}"),
        };
        let details = || details([("kr", json!(1100))]);
        assert_eq!(effect(Ok(Map::new())).meaning(), Meaning::Done);
        let refused = effect(Err(Errno::PERM.into()));
        assert_eq!((refused.errno, refused.errno_name.as_deref()), (1, Some("EPERM")));
        let code = effect(Err(NotDone::Code { code: ResultCode::kern(1100), details: details() }));
        assert_eq!((code.errno, code.errno_name.as_deref(), code.meaning()), (0, None, Meaning::Refused));
        assert_eq!(code.details["kr"], 1100);
        let silent = effect(Err(NotDone::Inconclusive { why: "nobody says".into(), details: details() }));
        assert_eq!((silent.failed(), silent.inconclusive.as_deref()), (false, Some("nobody says")));
        assert!(
            matches!(told("call", Err(NotDone::Unavailable("no X".into()))), Line::Unavailable(why) if why == "no X")
        );
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let mut text = Vec::new();
        let line = Line::Announced { call: "open".into(), inherited_fds: vec![9] };
        line.write(&mut text).unwrap();
        assert!(
            matches!(serde_json::from_slice(&text).unwrap(), Line::Announced { inherited_fds, .. } if inherited_fds == [9])
        );
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn a_call_of_macos_is_unavailable_elsewhere_and_nothing_is_made_ready_for_it() {
        use crate::vocab::Native;
        for native in Native::ALL {
            let setting = Setting {
                outside: None,
                name_opened: false,
                inherited: Vec::new(),
                program: None,
                prepared: Preparation::default(),
            };
            let mut report = Vec::new();
            perform(Driver::Native(native), "/", &setting, &mut report);
            let last = String::from_utf8(report).unwrap().lines().last().map(str::to_owned).unwrap();
            assert!(matches!(serde_json::from_str(&last).unwrap(), Line::Unavailable(_)), "{native:?}: {last}");
            assert!(!is_prepared(Driver::Native(native)));
        }
    }
}
