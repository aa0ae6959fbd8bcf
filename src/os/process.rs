//! Starting worker processes with private descriptors, limits and certain clean-up.
//!
//! A worker reads one job from descriptor 3 and writes one answer to descriptor 4. Its standard streams carry nothing of
//! ours, so nothing a tested program prints can pass for a result. Workers lead a process group of their own and die
//! with the thread that started them.
#![expect(clippy::disallowed_methods, reason = "the one place that starts processes")]

pub mod attached;
mod inside;
pub mod lines;
pub mod program;
pub mod receiver;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::base::cancel::Cancel;

pub use inside::{alarm_after, die_with_parent, fork_and_wait, is_awaited, replace_image, run_program, worker_channel};

/// Descriptor a worker reads its job from.
pub const JOB_FD: i32 = 3;
/// Descriptor a worker writes its answer to.
pub const ANSWER_FD: i32 = 4;

/// The most bytes of answer kept; a longer answer is an error, never cut silently.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// The most bytes of stderr kept for diagnosis.
const MAX_STDERR_BYTES: usize = 64 * 1024;
/// How often a waiting caller looks at its deadline and at `Cancel`.
const TICK: Duration = Duration::from_millis(50);

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// Executable.
    pub exe: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// The whole environment of the worker.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; files can be made in it.
    pub cwd: PathBuf,
}

/// How a worker ended and what it said.
#[derive(Debug)]
pub struct WorkerEnd {
    /// Exit status 0 to 255, when it exited by itself.
    pub exit_status: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Whether its time limit passed (it was then killed).
    pub timed_out: bool,
    /// Whether `Cancel` stopped it.
    pub cancelled: bool,
    /// Everything it wrote to [`ANSWER_FD`]; empty when it wrote nothing.
    pub answer: Vec<u8>,
    /// The first 64 KiB of its stderr.
    pub stderr: Vec<u8>,
    /// Its process id.
    pub pid: u32,
    /// Wall clock at start and end.
    pub started_at: SystemTime,
    /// Wall clock at the end.
    pub finished_at: SystemTime,
    /// Duration by the monotonic clock.
    pub duration: Duration,
}

/// Why a worker could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The job or the pipes could not be set up.
    #[error("cannot prepare a worker process")]
    Prepare(#[source] io::Error),
    /// The executable could not be started.
    #[error("cannot start {exe}")]
    Spawn {
        /// The executable.
        exe: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Waiting for it failed.
    #[error("cannot wait for worker process {pid}")]
    Wait {
        /// Its process id.
        pid: u32,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It wrote more than the limit.
    #[error("worker process {pid} answered with more than {MAX_ANSWER_BYTES} bytes")]
    AnswerTooLarge {
        /// Its process id.
        pid: u32,
    },
}

/// Runs a worker to its end, or to its time limit, or until cancelled; its whole process group is dead on return.
///
/// # Errors
/// See [`WorkerError`]. A worker that fails, dies or times out is not an error but a [`WorkerEnd`].
pub fn run_worker(
    command: &WorkerCommand,
    job: &[u8],
    limit: Duration,
    cancel: &Cancel,
) -> Result<WorkerEnd, WorkerError> {
    let (answer_read, answer_write) = pipe().map_err(WorkerError::Prepare)?;
    let job_fd = job_file(job, &command.cwd).map_err(WorkerError::Prepare)?;
    let started_at = SystemTime::now();
    let start = Instant::now();
    let mut child = spawn(command, job_fd, answer_write)?;
    let pid = child.id();
    let stderr = child.stderr.take().map(OwnedFd::from);
    let collected = collect(answer_read, stderr, start + limit, cancel);
    let (exit, late) =
        end_group(&mut child, &collected, start + limit, cancel).map_err(|source| WorkerError::Wait { pid, source })?;
    if collected.answer.len() > MAX_ANSWER_BYTES {
        return Err(WorkerError::AnswerTooLarge { pid });
    }
    Ok(WorkerEnd {
        exit_status: exit.code(),
        signal: exit.signal(),
        timed_out: collected.timed_out || late,
        cancelled: cancel.is_set(),
        answer: collected.answer,
        stderr: collected.stderr,
        pid,
        started_at,
        finished_at: SystemTime::now(),
        duration: start.elapsed(),
    })
}

/// How a program that was asked something ended.
#[derive(Debug)]
pub struct ToolEnd {
    /// Exit status 0 to 255, when it exited by itself.
    pub exit_status: Option<i32>,
    /// Whether its time limit passed (it was then killed).
    pub timed_out: bool,
    /// What it wrote to stdout, at most as much as was asked for.
    pub stdout: Vec<u8>,
    /// Whether it wrote more.
    pub truncated: bool,
    /// The first 64 KiB of its stderr.
    pub stderr: Vec<u8>,
}

/// Runs another program to its end, or to its time limit, or until cancelled, with an empty stdin and a small environment; its
/// whole process group is dead on return. Of its stdout, `keep` bytes are kept.
///
/// # Errors
/// It cannot be started or waited for.
pub fn run_tool(
    exe: &Path,
    args: &[OsString],
    limit: Duration,
    keep: usize,
    cancel: &Cancel,
) -> Result<ToolEnd, WorkerError> {
    let start = Instant::now();
    let mut child = Command::new(exe)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| WorkerError::Spawn { exe: exe.display().to_string(), source })?;
    let pid = child.id();
    let stderr = child.stderr.take().map(OwnedFd::from);
    let Some(stdout) = child.stdout.take().map(OwnedFd::from) else {
        return Err(WorkerError::Wait { pid, source: io::ErrorKind::BrokenPipe.into() });
    };
    let mut collected = collect(stdout, stderr, start + limit, cancel);
    let (exit, late) =
        end_group(&mut child, &collected, start + limit, cancel).map_err(|source| WorkerError::Wait { pid, source })?;
    let truncated = collected.answer.len() > keep;
    collected.answer.truncate(keep);
    Ok(ToolEnd {
        exit_status: exit.code(),
        timed_out: collected.timed_out || late,
        stdout: collected.answer,
        truncated,
        stderr: collected.stderr,
    })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read.into(), write.into()))
}

/// An unlinked file in `dir` holding the job: unlike a pipe it takes any size without a reader.
fn job_file(job: &[u8], dir: &Path) -> io::Result<OwnedFd> {
    let mut file = tempfile::tempfile_in(dir)?;
    file.write_all(job)?;
    file.rewind()?;
    Ok(file.into())
}

fn spawn(command: &WorkerCommand, job: OwnedFd, answer: OwnedFd) -> Result<Child, WorkerError> {
    let mut process = Command::new(&command.exe);
    process
        .args(&command.args)
        .env_clear()
        .envs(command.env.iter().cloned())
        .current_dir(&command.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .fd_mappings(vec![
            FdMapping { parent_fd: job, child_fd: JOB_FD },
            FdMapping { parent_fd: answer, child_fd: ANSWER_FD },
        ])
        .map_err(|error| WorkerError::Prepare(io::Error::other(error)))?;
    process.spawn().map_err(|source| WorkerError::Spawn { exe: command.exe.display().to_string(), source })
}

#[derive(Default)]
struct Collected {
    answer: Vec<u8>,
    stderr: Vec<u8>,
    timed_out: bool,
    stopped: bool,
}

/// Reads answer and stderr until both are closed, the deadline passes or somebody cancels.
fn collect(answer: OwnedFd, stderr: Option<OwnedFd>, deadline: Instant, cancel: &Cancel) -> Collected {
    let mut answer = Some(File::from(answer));
    let mut stderr = stderr.map(File::from);
    let mut collected = Collected::default();
    while answer.is_some() {
        if cancel.is_set() {
            collected.stopped = true;
            break;
        }
        let now = Instant::now();
        if now >= deadline {
            collected.timed_out = true;
            break;
        }
        if wait_readable(answer.as_ref(), stderr.as_ref(), TICK.min(deadline - now)) {
            read_some(&mut answer, &mut collected.answer, MAX_ANSWER_BYTES + 1);
            read_some(&mut stderr, &mut collected.stderr, MAX_STDERR_BYTES);
        }
    }
    // What is left in the stderr pipe now was written before the answer was closed; more is not waited for.
    while wait_readable(None, stderr.as_ref(), Duration::ZERO) {
        read_some(&mut stderr, &mut collected.stderr, MAX_STDERR_BYTES);
    }
    collected
}

fn wait_readable(a: Option<&File>, b: Option<&File>, limit: Duration) -> bool {
    let mut fds: Vec<PollFd<'_>> =
        a.into_iter().chain(b).map(|f| PollFd::from_borrowed_fd(f.as_fd(), PollFlags::IN)).collect();
    let timeout = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
    !fds.is_empty() && matches!(poll(&mut fds, Some(&timeout)), Ok(n) if n > 0)
}

/// Reads once if there is something; closes the file at its end. Bytes beyond `keep` are dropped.
fn read_some(file: &mut Option<File>, into: &mut Vec<u8>, keep: usize) {
    let Some(open) = file else { return };
    if !wait_readable(Some(open), None, Duration::ZERO) {
        return;
    }
    let mut buffer = [0u8; 16 * 1024];
    match open.read(&mut buffer) {
        Ok(n) if n > 0 => into.extend_from_slice(&buffer[..n.min(keep.saturating_sub(into.len()))]),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        _ => *file = None,
    }
}

/// Waits for the worker (which closed its answer) until the deadline, then kills its group; reaps it in any case.
fn end_group(
    child: &mut Child,
    collected: &Collected,
    deadline: Instant,
    cancel: &Cancel,
) -> io::Result<(std::process::ExitStatus, bool)> {
    let mut late = false;
    if !collected.timed_out && !collected.stopped {
        let mut pause = Duration::from_micros(100);
        loop {
            if has_ended(child) {
                break;
            }
            if cancel.is_set() || Instant::now() >= deadline {
                late = !cancel.is_set();
                break;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
    kill_group(child.id());
    Ok((child.wait()?, late))
}

/// Whether the worker has ended, without reaping it.
fn has_ended(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        Some(pid) => !matches!(waitid(WaitId::Pid(pid), options), Ok(None)),
        None => true,
    }
}

/// Kills what is left of a worker's process group. The group id cannot have been reused: the leader is not reaped yet.
fn kill_group(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> WorkerCommand {
        WorkerCommand {
            exe: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cwd: "/tmp".into(),
        }
    }

    #[test]
    fn job_arrives_answer_and_stderr_come_back_apart() {
        let end = run_worker(
            &shell("cat <&3 >&4; echo noise; echo trouble >&2; exit 7"),
            b"the job",
            Duration::from_secs(10),
            &Cancel::default(),
        )
        .unwrap();
        assert_eq!(end.answer, b"the job");
        assert_eq!(end.stderr, b"trouble\n");
        assert_eq!((end.exit_status, end.signal, end.timed_out), (Some(7), None, false));
    }

    #[test]
    fn a_hanging_worker_is_killed_with_its_children() {
        let end =
            run_worker(&shell("sleep 60 & sleep 60"), b"", Duration::from_millis(200), &Cancel::default()).unwrap();
        assert!(end.timed_out);
        assert_eq!(end.signal, Some(9));
        assert!(end.duration < Duration::from_secs(5));
    }

    #[test]
    fn a_worker_that_answers_and_then_hangs_is_late() {
        let end =
            run_worker(&shell("echo x >&4; exec 4>&-; sleep 60"), b"", Duration::from_millis(200), &Cancel::default())
                .unwrap();
        assert!(end.timed_out);
        assert_eq!(end.answer, b"x\n");
    }

    #[test]
    fn cancelling_ends_the_worker() {
        let cancel = Cancel::default();
        cancel.set();
        let end = run_worker(&shell("sleep 60"), b"", Duration::from_secs(60), &cancel).unwrap();
        assert!(end.cancelled && !end.timed_out);
    }

    #[test]
    fn a_missing_executable_is_named() {
        let command = WorkerCommand { exe: "/nonexistent/worker".into(), ..shell("") };
        let error = run_worker(&command, b"", Duration::from_secs(1), &Cancel::default()).unwrap_err();
        assert_eq!(error.to_string(), "cannot start /nonexistent/worker");
    }
}
