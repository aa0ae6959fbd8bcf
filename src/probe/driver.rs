//! The operations themselves: safe code, exactly one operation each, run inside the sandboxed process.

use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use crate::event::Effect;
use crate::os::{errno, process};
use crate::vocab::Driver;

/// Exit status of a probe process that performed its operation and reported it.
pub(super) const REPORTED: u8 = 0;
/// Exit status when the report could not be written.
const NOT_REPORTED: u8 = 70;

/// Announces the call, performs it and reports its result as JSON lines on `report`; returns the exit status.
///
/// A driver that replaces the process image returns only when that failed; its announcement then stands alone.
pub(super) fn perform(driver: Driver, target: &str, report: &mut impl Write) -> u8 {
    let path = Path::new(target);
    let call = call_name(driver);
    if announce(report, call).is_err() {
        return NOT_REPORTED;
    }
    let result = match driver {
        Driver::FileRead => read(path),
        Driver::FileStat => rustix::fs::lstat(path).map(|stat| details([("size_bytes", json!(stat.st_size))])),
        Driver::FileCreate => create(path),
        Driver::FileWrite => write(path),
        Driver::FileUnlink => rustix::fs::unlink(path).map(|()| Map::new()),
        Driver::Exec => Err(process::replace_image(path)),
        Driver::Fork => fork(),
    };
    match report_result(report, call, result) {
        Ok(()) => REPORTED,
        Err(_) => NOT_REPORTED,
    }
}

/// The library call a driver performs, for people reading the evidence.
pub(super) fn call_name(driver: Driver) -> &'static str {
    match driver {
        Driver::FileRead => "open(O_RDONLY)",
        Driver::FileStat => "lstat",
        Driver::FileCreate => "open(O_WRONLY|O_CREAT|O_EXCL)",
        Driver::FileWrite => "open(O_WRONLY|O_APPEND)",
        Driver::FileUnlink => "unlink",
        Driver::Exec => "execve",
        Driver::Fork => "fork",
    }
}

fn announce(report: &mut impl Write, call: &str) -> io::Result<()> {
    writeln!(report, "{}", json!({"call": call}))
}

fn report_result(report: &mut impl Write, call: &str, result: Result<Map<String, Value>, Errno>) -> io::Result<()> {
    let effect = match result {
        Ok(details) => Effect { call: call.to_owned(), errno: 0, errno_name: None, details },
        Err(errno) => {
            let number = errno.raw_os_error();
            Effect { call: call.to_owned(), errno: number, errno_name: Some(errno::name(number)), details: Map::new() }
        }
    };
    writeln!(report, "{}", json!(effect))
}

fn details<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Opens for reading; the open is the operation. Reading one byte only shows that the descriptor is usable.
fn read(path: &Path) -> Result<Map<String, Value>, Errno> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?;
    let mut byte = [0u8; 1];
    match rustix::io::read(&file, &mut byte) {
        Ok(n) => Ok(details([("bytes_read", json!(n))])),
        Err(Errno::ISDIR) => Ok(details([("directory", json!(true))])),
        Err(errno) => Err(errno),
    }
}

fn create(path: &Path) -> Result<Map<String, Value>, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from(0o644)).map(|_created| Map::new())
}

fn write(path: &Path) -> Result<Map<String, Value>, Errno> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let n = rustix::io::write(&file, b"x")?;
    Ok(details([("bytes_written", json!(n))]))
}

fn fork() -> Result<Map<String, Value>, Errno> {
    let status = process::fork_and_wait()?;
    Ok(details([("child_exit_status", json!(status))]))
}
