//! Running a program of others: time limit, SIGTERM and then SIGKILL for its process group, bounded output.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process_group};

use super::spawn::{self, Start};
use super::{WorkerError, has_ended, kill_group, nothing, pipe, started, wait_readable};
use crate::base::cancel::Cancel;

/// How often a program that says nothing is looked after.
const TICK: Duration = Duration::from_millis(20);
/// How long output is still read after the program has ended while another process holds its end open.
const DRAIN: Duration = Duration::from_millis(500);
/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// How to run a program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Executable.
    pub exe: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// How long after SIGTERM it is killed.
    pub kill_after: Duration,
    /// Most bytes of stdout that are kept.
    pub stdout_keep: usize,
    /// Most bytes of stderr that are kept.
    pub stderr_keep: usize,
}

/// What a program wrote to one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// The first bytes.
    pub bytes: Vec<u8>,
    /// How many bytes there were.
    pub total_bytes: u64,
    keep: usize,
}

impl Stream {
    /// Whether more was written than kept.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.total_bytes > self.bytes.len() as u64
    }

    fn add(&mut self, chunk: &[u8]) {
        self.total_bytes += chunk.len() as u64;
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(self.keep.saturating_sub(self.bytes.len()))]);
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct ProgramEnd {
    /// Exit status 0 to 255, when it exited by itself.
    pub exit_status: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Whether its time limit passed. It was then asked to end.
    pub timed_out: bool,
    /// Whether `Cancel` stopped it.
    pub cancelled: bool,
    /// Whether it was killed because it did not end when it was asked to.
    pub killed: bool,
    /// What it wrote to stdout.
    pub stdout: Stream,
    /// What it wrote to stderr.
    pub stderr: Stream,
    /// Its process id.
    pub pid: u32,
    /// Wall clock at its start.
    pub started_at: SystemTime,
    /// Wall clock at its end.
    pub finished_at: SystemTime,
    /// Duration by the monotonic clock.
    pub duration: Duration,
}

/// Who looks after a running program.
pub trait Attendant {
    /// Takes what the program has just written to stderr.
    fn stderr(&mut self, _chunk: &[u8]) {}

    /// Called many times a second. Returns until when the program may run; must not wait for anything.
    fn tick(&mut self, now: Instant) -> Instant;
}

/// A fixed time limit.
#[derive(Debug, Clone, Copy)]
pub struct Until(pub Instant);

impl Attendant for Until {
    fn tick(&mut self, _now: Instant) -> Instant {
        self.0
    }
}

/// Runs a program to its end, or until its attendant's limit or `cancel` ends it, with an empty stdin. What is left of its
/// process group is dead on return; processes that left the group are not followed.
///
/// # Errors
/// It cannot be started or waited for.
pub fn run_program(
    program: &Program,
    attendant: &mut dyn Attendant,
    cancel: &Cancel,
) -> Result<ProgramEnd, WorkerError> {
    let started_at = SystemTime::now();
    let clock = Instant::now();
    let (leader, stdout, stderr) = start(program)?;
    let pid = leader.as_raw_nonzero().get().unsigned_abs();
    let pipe = |end: OwnedFd, keep| Pipe { end: Some(end.into()), stream: Stream { keep, ..Stream::default() } };
    let mut run = Running {
        stdout: pipe(stdout, program.stdout_keep),
        stderr: pipe(stderr, program.stderr_keep),
        ended_at: None,
    };
    let mut timed_out = false;
    while !run.is_over(leader) {
        let now = Instant::now();
        let until = attendant.tick(now);
        if run.ended_at.is_none() && (cancel.is_set() || now >= until) {
            timed_out = !cancel.is_set();
            break;
        }
        run.read(TICK, attendant);
    }
    let mut killed = false;
    if run.ended_at.is_none() {
        let _ = kill_process_group(leader, Signal::TERM);
        let until = Instant::now() + program.kill_after;
        while !run.is_over(leader) && Instant::now() < until {
            run.read(TICK, attendant);
        }
        killed = run.ended_at.is_none();
    }
    kill_group(leader);
    let status = spawn::wait(leader).map_err(|source| WorkerError::Wait { pid, source })?;
    run.rest(attendant);
    Ok(ProgramEnd {
        exit_status: status.code(),
        signal: status.signal(),
        timed_out,
        cancelled: cancel.is_set(),
        killed,
        stdout: run.stdout.stream,
        stderr: run.stderr.stream,
        pid,
        started_at,
        finished_at: SystemTime::now(),
        duration: clock.elapsed(),
    })
}

/// The program's process, and what its stdout and stderr come from.
fn start(program: &Program) -> Result<(Pid, OwnedFd, OwnedFd), WorkerError> {
    let (stdout, stdout_end) = pipe().map_err(WorkerError::Prepare)?;
    let (stderr, stderr_end) = pipe().map_err(WorkerError::Prepare)?;
    let nothing = nothing().map_err(WorkerError::Prepare)?;
    let start = Start { exe: &program.exe, args: &program.args, env: &program.env, cwd: Some(&program.cwd) };
    let leader = started(&start, &[(nothing.as_fd(), 0), (stdout_end.as_fd(), 1), (stderr_end.as_fd(), 2)])?;
    Ok((leader, stdout, stderr))
}

/// One end of a pipe, and what came out of it.
struct Pipe {
    end: Option<std::fs::File>,
    stream: Stream,
}

impl Pipe {
    /// Reads once if there is something; true when there was.
    fn read(&mut self, buffer: &mut [u8], mut told: impl FnMut(&[u8])) -> bool {
        let Some(end) = &mut self.end else { return false };
        if !wait_readable(Some(end), None, Duration::ZERO) {
            return false;
        }
        match io::Read::read(end, buffer) {
            Ok(count) if count > 0 => {
                self.stream.add(&buffer[..count]);
                told(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            _ => {
                self.end = None;
                false
            }
        }
    }
}

struct Running {
    stdout: Pipe,
    stderr: Pipe,
    /// When the program was first seen to have ended.
    ended_at: Option<Instant>,
}

impl Running {
    /// Whether the program has ended and its output with it.
    fn is_over(&mut self, leader: Pid) -> bool {
        if self.ended_at.is_none() && has_ended(leader) {
            self.ended_at = Some(Instant::now());
        }
        let closed = self.stdout.end.is_none() && self.stderr.end.is_none();
        self.ended_at.is_some_and(|ended_at| closed || ended_at.elapsed() > DRAIN)
    }

    fn read(&mut self, limit: Duration, attendant: &mut dyn Attendant) {
        if self.stdout.end.is_none() && self.stderr.end.is_none() {
            std::thread::sleep(limit.min(Duration::from_millis(5)));
            return;
        }
        if wait_readable(self.stdout.end.as_ref(), self.stderr.end.as_ref(), limit) {
            let mut buffer = [0; CHUNK];
            self.stdout.read(&mut buffer, |_| {});
            self.stderr.read(&mut buffer, |chunk| attendant.stderr(chunk));
        }
    }

    /// What is left in the pipes once everybody of the group is dead.
    fn rest(&mut self, attendant: &mut dyn Attendant) {
        let mut buffer = [0; CHUNK];
        // A pipe holds far less than this many chunks; whoever left the group and goes on writing is not waited for.
        for _ in 0..64 {
            let out = self.stdout.read(&mut buffer, |_| {});
            let err = self.stderr.read(&mut buffer, |chunk| attendant.stderr(chunk));
            if !out && !err {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program {
            exe: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cwd: "/tmp".into(),
            kill_after: Duration::from_millis(200),
            stdout_keep: 1024,
            stderr_keep: 1024,
        }
    }

    fn run(script: &str, limit: Duration) -> ProgramEnd {
        run_program(&shell(script), &mut Until(Instant::now() + limit), &Cancel::default()).unwrap()
    }

    #[test]
    fn output_status_and_signal_are_kept_apart() {
        let end = run("printf 'a\\377b'; echo trouble >&2; exit 7", Duration::from_secs(10));
        assert_eq!((end.exit_status, end.signal, end.timed_out, end.killed), (Some(7), None, false, false));
        assert_eq!((end.stdout.bytes.as_slice(), end.stderr.bytes.as_slice()), (&b"a\xffb"[..], &b"trouble\n"[..]));
        let end = run("kill -SEGV $$", Duration::from_secs(10));
        assert_eq!((end.exit_status, end.signal), (None, Some(11)));
    }

    #[test]
    fn output_is_bounded_and_counted() {
        let end = run("head -c 300000 /dev/zero; head -c 5000 /dev/zero >&2", Duration::from_secs(10));
        assert_eq!((end.stdout.bytes.len(), end.stdout.total_bytes), (1024, 300_000));
        assert_eq!((end.stderr.bytes.len(), end.stderr.total_bytes), (1024, 5000));
        assert!(end.stdout.is_truncated() && end.stderr.is_truncated());
    }

    #[test]
    fn a_program_is_asked_to_end_and_then_killed() {
        let end = run("sleep 60", Duration::from_millis(100));
        assert_eq!((end.timed_out, end.signal, end.killed), (true, Some(15), false));
        let end = run("trap '' TERM; while :; do sleep 0.05; done", Duration::from_millis(100));
        assert_eq!((end.timed_out, end.signal, end.killed), (true, Some(9), true));
        assert!(end.duration < Duration::from_secs(5));
        let cancel = Cancel::default();
        cancel.set();
        let far = Instant::now() + Duration::from_secs(60);
        let end = run_program(&shell("sleep 60"), &mut Until(far), &cancel).unwrap();
        assert!(end.cancelled && !end.timed_out);
    }

    #[test]
    fn whoever_keeps_the_output_open_is_not_waited_for() {
        let end = run("sleep 60 & echo done", Duration::from_secs(30));
        assert_eq!((end.exit_status, end.timed_out), (Some(0), false));
        assert!(end.duration < Duration::from_secs(5), "{:?}", end.duration);
        assert_eq!(end.stdout.bytes, b"done\n");
    }

    #[test]
    fn what_stderr_says_is_told_while_the_program_runs() {
        struct Waits(Vec<u8>, Instant);
        impl Attendant for Waits {
            fn stderr(&mut self, chunk: &[u8]) {
                self.0.extend_from_slice(chunk);
            }
            fn tick(&mut self, now: Instant) -> Instant {
                if self.0.ends_with(b"ready\n") { now } else { self.1 }
            }
        }
        let mut waits = Waits(Vec::new(), Instant::now() + Duration::from_secs(30));
        let end = run_program(&shell("echo ready >&2; sleep 60"), &mut waits, &Cancel::default()).unwrap();
        assert!(end.timed_out && end.duration < Duration::from_secs(5));
    }
}
