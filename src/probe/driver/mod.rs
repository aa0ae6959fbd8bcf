//! The operations themselves: safe code, exactly one operation each, run inside the sandboxed process.

mod file;
mod network;
mod process;

use std::io::{self, Write};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::event::Effect;
use crate::os::{self, errno};
use crate::vocab::Driver;

/// What an operation that succeeded tells beside that; or the errno, with what is known all the same.
type Performed = Result<Map<String, Value>, Failed>;

/// A failed operation.
struct Failed {
    errno: Errno,
    details: Map<String, Value>,
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Self {
        Self { errno, details: Map::new() }
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
}

/// The first line of a report.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Announcement {
    /// The call that is about to be made.
    call: String,
    /// Open descriptors that are not ours.
    pub(super) inherited_fds: Vec<i32>,
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
    if announce(report, call, &setting.inherited).is_err() {
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
    };
    match report_result(report, call, result) {
        Ok(()) => REPORTED,
        Err(_) => NOT_REPORTED,
    }
}

fn nothing_more(result: Result<(), Errno>) -> Performed {
    result.map(|()| Map::new()).map_err(Failed::from)
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
    }
}

fn announce(report: &mut impl Write, call: &str, inherited: &[i32]) -> io::Result<()> {
    let line = Announcement { call: call.to_owned(), inherited_fds: inherited.to_vec() };
    write_line(report, &json!(line))
}

/// A line in one write: piece by piece it would be dozens of calls, made under the policy.
fn write_line(report: &mut impl Write, line: &Value) -> io::Result<()> {
    report.write_all(format!("{line}\n").as_bytes())
}

fn report_result(report: &mut impl Write, call: &str, result: Performed) -> io::Result<()> {
    let effect = match result {
        Ok(details) => Effect { call: call.to_owned(), errno: 0, errno_name: None, details },
        Err(Failed { errno, details }) => {
            let number = errno.raw_os_error();
            Effect { call: call.to_owned(), errno: number, errno_name: Some(errno::name(number)), details }
        }
    };
    write_line(report, &json!(effect))
}

fn details<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
