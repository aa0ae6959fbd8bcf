//! Starting worker processes with private descriptors, limits and certain clean-up.
//!
//! A worker reads one job from descriptor 3 and writes one answer to descriptor 4. Its standard streams carry nothing of
//! ours, so nothing a tested program prints can pass for a result. Workers lead a process group of their own and die
//! with the thread that started them.

pub mod attached;
mod inside;
pub mod lines;
pub mod program;
pub mod receiver;
mod spawn;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::base::cancel::Cancel;
use spawn::Start;

pub use inside::{
    alarm_after, die_with_parent, fork_and_wait, replace_image, run_program, wait_for_job, worker_channel,
};

/// Descriptor a worker reads its job from.
pub const JOB_FD: i32 = 3;
/// Descriptor a worker writes its answer to.
pub const ANSWER_FD: i32 = 4;

/// Descriptor on which a worker reads who started it, when its job is complete: a process id, four bytes in the machine's order.
pub const GO_FD: i32 = 5;

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
    let mut file = job_file(&command.cwd).map_err(WorkerError::Prepare)?;
    fill(&mut file, job).map_err(WorkerError::Prepare)?;
    let begun = Begun::now();
    AheadWorker::with(command, file)?.go(begun)?.end(limit, cancel)
}

/// A worker that was started before its job is known: its program gets ready meanwhile. Dropped without a job, it is killed.
#[derive(Debug)]
pub struct AheadWorker {
    worker: Worker,
    job: File,
    go: File,
}

impl AheadWorker {
    /// Starts it. It has to wait for [`GO_FD`] ([`wait_for_job`]) before it reads its job.
    ///
    /// # Errors
    /// [`WorkerError::Prepare`] and [`WorkerError::Spawn`].
    pub fn start(command: &WorkerCommand) -> Result<Self, WorkerError> {
        Self::with(command, job_file(&command.cwd).map_err(WorkerError::Prepare)?)
    }

    fn with(command: &WorkerCommand, job: File) -> Result<Self, WorkerError> {
        let (heard, go) = pipe().map_err(WorkerError::Prepare)?;
        let worker = Worker::start(command, &job, heard.as_fd())?;
        Ok(Self { worker, job, go: go.into() })
    }

    /// Whether it is still there.
    #[must_use]
    pub fn waits(&self) -> bool {
        !has_ended(self.worker.leader)
    }

    /// Hands the job over. From now on its time runs.
    ///
    /// # Errors
    /// [`WorkerError::Prepare`]: the job cannot be stored.
    pub fn give(mut self, job: &[u8]) -> Result<BusyWorker, WorkerError> {
        fill(&mut self.job, job).map_err(WorkerError::Prepare)?;
        self.go(Begun::now())
    }

    fn go(mut self, begun: Begun) -> Result<BusyWorker, WorkerError> {
        match self.go.write_all(&rustix::process::getpid().as_raw_nonzero().get().to_ne_bytes()) {
            // It is gone already: how it ended says more.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(WorkerError::Prepare(error)),
            _ => Ok(BusyWorker { worker: self.worker, begun }),
        }
    }
}

/// A worker with its job. Dropped, it is killed.
#[derive(Debug)]
pub struct BusyWorker {
    worker: Worker,
    begun: Begun,
}

impl BusyWorker {
    /// As [`run_worker`].
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub fn end(self, limit: Duration, cancel: &Cancel) -> Result<WorkerEnd, WorkerError> {
        self.worker.end(self.begun, limit, cancel)
    }
}

/// When a worker had its job.
#[derive(Debug, Clone, Copy)]
struct Begun {
    at: SystemTime,
    clock: Instant,
}

impl Begun {
    fn now() -> Self {
        Self { at: SystemTime::now(), clock: Instant::now() }
    }
}

/// A worker's process; its whole group is dead and the leader reaped when this is gone.
#[derive(Debug)]
struct Worker {
    leader: Pid,
    reaped: bool,
    /// What it writes to [`ANSWER_FD`] and to stderr.
    output: Option<(OwnedFd, OwnedFd)>,
}

impl Worker {
    fn start(command: &WorkerCommand, job: &File, go: BorrowedFd<'_>) -> Result<Self, WorkerError> {
        let (answer, answer_end) = pipe().map_err(WorkerError::Prepare)?;
        let (stderr, stderr_end) = pipe().map_err(WorkerError::Prepare)?;
        let nothing = nothing().map_err(WorkerError::Prepare)?;
        let start = Start { exe: &command.exe, args: &command.args, env: &command.env, cwd: Some(&command.cwd) };
        let handed = [
            (nothing.as_fd(), 0),
            (nothing.as_fd(), 1),
            (stderr_end.as_fd(), 2),
            (job.as_fd(), JOB_FD),
            (answer_end.as_fd(), ANSWER_FD),
            (go, GO_FD),
        ];
        Ok(Self { leader: started(&start, &handed)?, reaped: false, output: Some((answer, stderr)) })
    }

    fn end(mut self, begun: Begun, limit: Duration, cancel: &Cancel) -> Result<WorkerEnd, WorkerError> {
        let pid = self.leader.as_raw_nonzero().get().unsigned_abs();
        let until = begun.clock + limit;
        let collected =
            self.output.take().map(|(answer, stderr)| collect(answer, Some(stderr), until, cancel)).unwrap_or_default();
        self.reaped = true;
        let (exit, late) =
            end_group(self.leader, &collected, until, cancel).map_err(|source| WorkerError::Wait { pid, source })?;
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
            started_at: begun.at,
            finished_at: SystemTime::now(),
            duration: begun.clock.elapsed(),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.reaped {
            kill_group(self.leader);
            let _ = spawn::wait(self.leader);
        }
    }
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

impl ToolEnd {
    /// How it ended and what it said on stderr, as one sentence's rest.
    #[must_use]
    pub fn told(&self) -> String {
        let how = match self.exit_status {
            Some(status) => format!("exit status {status}"),
            None if self.timed_out => "the time limit passed".to_owned(),
            None => "ended by a signal".to_owned(),
        };
        let said = String::from_utf8_lossy(&self.stderr);
        match said.trim() {
            "" => how,
            said => format!("{how}: {said}"),
        }
    }
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
    let clock = Instant::now();
    let (stdout, stdout_end) = pipe().map_err(WorkerError::Prepare)?;
    let (stderr, stderr_end) = pipe().map_err(WorkerError::Prepare)?;
    let nothing = nothing().map_err(WorkerError::Prepare)?;
    let env = [("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into()), ("LC_ALL".into(), "C".into())];
    let start = Start { exe, args, env: &env, cwd: None };
    let leader = started(&start, &[(nothing.as_fd(), 0), (stdout_end.as_fd(), 1), (stderr_end.as_fd(), 2)])?;
    drop((stdout_end, stderr_end));
    let pid = leader.as_raw_nonzero().get().unsigned_abs();
    let mut collected = collect(stdout, Some(stderr), clock + limit, cancel);
    let (exit, late) =
        end_group(leader, &collected, clock + limit, cancel).map_err(|source| WorkerError::Wait { pid, source })?;
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

/// A file without a name for the job: unlike a pipe it takes any size without a reader. In memory where the system has such files,
/// else in `dir`.
fn job_file(dir: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    if let Ok(file) = rustix::fs::memfd_create("job", rustix::fs::MemfdFlags::CLOEXEC) {
        return Ok(file.into());
    }
    tempfile::tempfile_in(dir)
}

/// Puts the job into its file, and its place, which the worker shares, at the beginning.
fn fill(file: &mut File, job: &[u8]) -> io::Result<()> {
    file.write_all(job)?;
    file.rewind()
}

/// What a program reads nothing from, and what takes what nobody wants to know.
fn nothing() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

fn started(start: &Start<'_>, handed: &[(BorrowedFd<'_>, i32)]) -> Result<Pid, WorkerError> {
    spawn::spawn(start, handed).map_err(|source| WorkerError::Spawn { exe: start.exe.display().to_string(), source })
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
fn end_group(leader: Pid, collected: &Collected, deadline: Instant, cancel: &Cancel) -> io::Result<(ExitStatus, bool)> {
    let mut late = false;
    if !collected.timed_out && !collected.stopped {
        let mut pause = Duration::from_micros(100);
        loop {
            if has_ended(leader) {
                break;
            }
            if cancel.is_set() || Instant::now() >= deadline {
                late = !cancel.is_set();
                break;
            }
            wait_a_while(leader, pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
    kill_group(leader);
    Ok((spawn::wait(leader)?, late))
}

/// Until the worker has ended, or so long.
fn wait_a_while(leader: Pid, pause: Duration) {
    // A sleep of a tenth of a millisecond takes half as long again, and a run has thousands of them.
    #[cfg(target_os = "linux")]
    if let Ok(process) = rustix::process::pidfd_open(leader, rustix::process::PidfdFlags::empty()) {
        let timeout = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
        let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout));
        return;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = leader;
    std::thread::sleep(pause);
}

/// Whether the worker has ended, without reaping it.
fn has_ended(leader: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(leader), options), Ok(None))
}

/// Kills what is left of a worker's process group. The group id cannot have been reused: the leader is not reaped yet.
fn kill_group(leader: Pid) {
    let _ = kill_process_group(leader, Signal::KILL);
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
    fn a_worker_that_was_started_ahead_waits_for_its_job() {
        let ahead = AheadWorker::start(&shell("head -c 4 <&5 >&4; cat <&3 >&4")).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let given = SystemTime::now();
        let end = ahead.give(b"the job").unwrap().end(Duration::from_secs(10), &Cancel::default()).unwrap();
        assert_eq!(end.answer, [&std::process::id().to_ne_bytes()[..], b"the job"].concat());
        assert!(end.started_at >= given, "its time runs from the job");
        // One that is gone before tells so.
        let ahead = AheadWorker::start(&shell("exit 9")).unwrap();
        while ahead.waits() {
            std::thread::yield_now();
        }
        let end = ahead.give(b"").unwrap().end(Duration::from_secs(10), &Cancel::default()).unwrap();
        assert_eq!((end.exit_status, end.answer.len()), (Some(9), 0));
    }

    #[test]
    fn a_worker_without_a_job_does_not_stay() {
        let ahead = AheadWorker::start(&shell("sleep 60 & sleep 60")).unwrap();
        let leader = ahead.worker.leader;
        assert!(lives(leader));
        drop(ahead);
        let started = Instant::now();
        while lives(leader) {
            assert!(started.elapsed() < Duration::from_secs(20), "it stays");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether a process of the group can still do something. What has been killed may be there until the system's first process
    /// takes note of that, and some never do.
    fn lives(group: Pid) -> bool {
        if !cfg!(target_os = "linux") {
            return rustix::process::test_kill_process_group(group) != Err(rustix::io::Errno::SRCH);
        }
        std::fs::read_dir("/proc").unwrap().any(|entry| {
            // proc_pid_stat(5): the name in parentheses, the state, the parent, the group.
            let stat = std::fs::read_to_string(entry.unwrap().path().join("stat")).unwrap_or_default();
            let mut after_name = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
            let state = after_name.next();
            state.is_some_and(|state| !matches!(state, "Z" | "X"))
                && after_name.nth(1) == Some(group.as_raw_nonzero().to_string().as_str())
        })
    }

    #[test]
    fn a_missing_executable_is_named() {
        let command = WorkerCommand { exe: "/nonexistent/worker".into(), ..shell("") };
        let error = run_worker(&command, b"", Duration::from_secs(1), &Cancel::default()).unwrap_err();
        assert_eq!(error.to_string(), "cannot start /nonexistent/worker");
    }
}
