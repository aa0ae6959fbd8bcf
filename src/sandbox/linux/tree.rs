//! The processes of one confined tree and how they are kept together.
//!
//! ```text
//! supervisor (the caller)  --fork-->  reaper  --fork-->  first process of the tree  -->  ...
//! ```
//!
//! The reaper adopts every orphan of the tree. It ends all of them when the first process has ended, and when the supervisor
//! is gone, which it learns from the end of a pipe. Where Landlock has scopes, it and the tree are a scope of signals: one call
//! of kill(2) reaches the whole tree and nobody else, and no process of the tree can fork meanwhile. The tree cannot signal it: it stands outside the inner domain. The
//! supervisor is an ancestor of the tree, so it may read its memory, and adopts the tree should the reaper die.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, kill_process, pidfd_open,
    set_child_subreaper, set_parent_process_death_signal, test_kill_process, wait, waitid,
};

use super::landlock;
use crate::os::linux::process::{self, Fork, SingleThreaded};
use crate::sandbox::End;
use crate::sandbox::weaken::{Protection, off};

/// How often the reaper collects processes that ended.
const TICK: Duration = Duration::from_millis(200);
/// Most processes collected before the next look for some that are alive.
const COLLECTED_AT_ONCE: usize = 1024;

/// What the tree's processes tell the supervisor, in one pipe; each message is written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// The first process is ready; the number of its listener, or −1 without a filter.
    Ready { pid: i32, listener: i32 },
    /// A step of its set-up failed.
    Failed { step: usize, errno: i32 },
    /// The program could not be executed.
    NotExecuted { errno: i32 },
    /// The first process ended and nothing of the tree is left.
    Ended(End),
}

const MESSAGE_SIZE: usize = 12;

impl Message {
    fn encode(self) -> [u8; MESSAGE_SIZE] {
        let (kind, first, second) = match self {
            Self::Ready { pid, listener } => (0, pid, listener),
            Self::Failed { step, errno } => (1, i32::try_from(step).unwrap_or(0), errno),
            Self::NotExecuted { errno } => (2, errno, 0),
            Self::Ended(End::Exited(status)) => (3, status, 0),
            Self::Ended(End::Signaled(signal)) => (4, signal, 0),
        };
        let mut bytes = [0; MESSAGE_SIZE];
        for (at, word) in [kind, first, second].into_iter().enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&i32::to_le_bytes(word));
        }
        bytes
    }

    fn decode(bytes: [u8; MESSAGE_SIZE]) -> Option<Self> {
        let word = |at: usize| i32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().expect("four bytes"));
        let (first, second) = (word(1), word(2));
        Some(match word(0) {
            0 => Self::Ready { pid: first, listener: second },
            1 => Self::Failed { step: usize::try_from(first).ok()?, errno: second },
            2 => Self::NotExecuted { errno: first },
            3 => Self::Ended(End::Exited(first)),
            4 => Self::Ended(End::Signaled(first)),
            _ => return None,
        })
    }

    /// Tells the supervisor; one that is gone hears nothing.
    pub(super) fn send(self, to: BorrowedFd<'_>) {
        while rustix::io::write(to, &self.encode()) == Err(Errno::INTR) {}
    }

    /// Waits for the next message; `None` at the end of the pipe.
    pub(super) fn receive(from: &mut File) -> std::io::Result<Option<Self>> {
        let mut bytes = [0; MESSAGE_SIZE];
        match from.read_exact(&mut bytes) {
            Ok(()) => Ok(Self::decode(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The supervisor's ends of the pipes to its tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// The process that keeps the tree together.
    pub(super) reaper: Pid,
    /// Messages come from here.
    pub(super) messages: File,
    /// One byte here lets the first process go on.
    release: Option<File>,
    /// Closing this ends the tree.
    alive: Option<OwnedFd>,
}

/// The first process's ends of the pipes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inside<'fd> {
    /// Messages go here.
    pub(super) messages: BorrowedFd<'fd>,
    /// One byte comes from here when the supervisor is ready.
    pub(super) release: BorrowedFd<'fd>,
}

/// What becomes of the first process once it is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// It executes a program.
    Program,
    /// It goes on with code of this one.
    Worker,
}

impl Tree {
    /// Forks reaper and first process; `first` runs in the latter and returns its exit status. `scoped`: signals of the tree stay
    /// inside by Landlock.
    pub(super) fn grow(
        only: SingleThreaded,
        becomes: Becomes,
        scoped: bool,
        first: impl FnOnce(Inside<'_>) -> u8,
    ) -> Result<Self, process::ForkError> {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(process::ForkError::System);
        let (messages, messages_end) = pipe()?;
        let (release_end, release) = pipe()?;
        let (alive_end, alive) = pipe()?;
        // Should the reaper die, its orphans come here.
        set_child_subreaper(Some(rustix::process::getpid())).map_err(process::ForkError::System)?;
        match process::fork(only)? {
            Fork::Parent(reaper) => Ok(Self {
                reaper,
                messages: File::from(messages),
                release: Some(File::from(release)),
                alive: Some(alive),
            }),
            Fork::Child(only) => {
                drop((messages, release, alive));
                reap((only, becomes, scoped), &messages_end, &release_end, &alive_end, first)
            }
        }
    }

    /// Lets the first process go on.
    pub(super) fn release(&mut self) -> std::io::Result<()> {
        match self.release.take() {
            Some(mut release) => release.write_all(b"g"),
            None => Ok(()),
        }
    }

    /// Asks the reaper to end the tree.
    pub(super) fn end(&mut self) {
        self.release = None;
        self.alive = None;
    }

    /// Waits until the reaper is gone; should it have left anything behind, ends that.
    pub(super) fn bury(&mut self) {
        self.end();
        while matches!(rustix::process::waitpid(Some(self.reaper), WaitOptions::empty()), Err(Errno::INTR)) {}
        end_children(Reach::Children);
    }
}

/// Whom the ending process can reach at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Its children, one by one.
    Children,
    /// The whole tree: see [`enter_scope`].
    Tree,
}

/// Makes the calling process and all that it will start a scope of signals. [`Reach::Tree`] only when that is seen to hold: the
/// parent, which has the same user, cannot be signalled any more.
fn enter_scope() -> Reach {
    let Some(parent) = rustix::process::getppid() else { return Reach::Children };
    if test_kill_process(parent).is_err() || landlock::scope_signals().is_err() {
        return Reach::Children;
    }
    if test_kill_process(parent) == Err(Errno::PERM) { Reach::Tree } else { Reach::Children }
}

/// The reaper's life.
fn reap(
    (only, becomes, scoped): (SingleThreaded, Becomes, bool),
    messages: &OwnedFd,
    release: &OwnedFd,
    alive: &OwnedFd,
    first: impl FnOnce(Inside<'_>) -> u8,
) -> ! {
    let fail = |errno: Errno| -> ! {
        Message::Failed { step: STEP_FORK, errno: errno.raw_os_error() }.send(messages.as_fd());
        process::exit_now(1)
    };
    let own = rustix::process::getpid();
    if let Err(errno) = set_child_subreaper(Some(own)) {
        fail(errno);
    }
    let reach = if scoped { enter_scope() } else { Reach::Children };
    // It closes what else it was handed once it is confined.
    let first = || {
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        // The reaper may have died before the line above.
        if rustix::process::getppid() != Some(own) {
            return 1;
        }
        first(Inside { messages: messages.as_fd(), release: release.as_fd() })
    };
    let started = match becomes {
        // Should the supervisor die while the reaper stands still, the end of the pipe ends the first process, or its exec fails.
        Becomes::Program => process::fork_until_exec(only, first),
        Becomes::Worker => match process::fork(only) {
            Ok(Fork::Child(_)) => process::exit_now(first()),
            Ok(Fork::Parent(target)) => Ok(target),
            Err(error) => Err(error),
        },
    };
    let target = match started {
        Ok(target) => target,
        Err(process::ForkError::System(errno)) => fail(errno),
        Err(process::ForkError::Threads(_)) => fail(Errno::BUSY),
    };
    // A terminal's signals are for the program; the reaper stays until the program has decided what to do.
    process::ignore_terminal_signals();
    // Whoever kills the supervisor's group must not take away the one that ends the tree.
    let _ = rustix::process::setpgid(None, None);
    let _ = process::close_all_but(&[messages.as_raw_fd(), alive.as_raw_fd()]);
    let end = watch(target, alive.as_fd(), reach);
    end_children(reach);
    Message::Ended(end).send(messages.as_fd());
    process::exit_now(0)
}

/// Number of the set-up step that [`reap`] can fail at; the others are numbered by the caller.
pub(super) const STEP_FORK: usize = 0;

/// Waits until the first process has ended, or ends it when the supervisor is gone.
fn watch(target: Pid, alive: BorrowedFd<'_>, reach: Reach) -> End {
    let process = pidfd_open(target, PidfdFlags::empty());
    loop {
        if let Some(end) = collect(target) {
            return end;
        }
        let mut fds = vec![PollFd::from_borrowed_fd(alive, PollFlags::empty())];
        fds.extend(process.as_ref().ok().map(|process| PollFd::new(process, PollFlags::IN)));
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        let _ = poll(&mut fds, Some(&tick));
        if fds[0].revents().contains(PollFlags::HUP) && !off(Protection::EndOfTree) {
            // The first one may take long to end; nobody shall go on meanwhile.
            match reach {
                Reach::Tree => process::kill_all_within_reach(),
                Reach::Children => drop(kill_process(target, Signal::KILL)),
            }
            return wait_for(target);
        }
    }
}

/// Collects processes that have ended; the end of `target` if that is among them.
fn collect(target: Pid) -> Option<End> {
    // Not until there are none: a tree can bring them forth as fast as they are collected.
    for _ in 0..COLLECTED_AT_ONCE {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == target => return Some(end_of(status)),
            Ok(Some(_)) => {}
            _ => break,
        }
    }
    None
}

fn wait_for(target: Pid) -> End {
    loop {
        match rustix::process::waitpid(Some(target), WaitOptions::empty()) {
            Ok(Some((_, status))) => return end_of(status),
            Err(Errno::INTR) | Ok(None) => {}
            Err(_) => return End::Signaled(Signal::KILL.as_raw()),
        }
    }
}

fn end_of(status: rustix::process::WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(exit), _) => End::Exited(exit),
        (None, Some(signal)) => End::Signaled(signal),
        (None, None) => End::Signaled(Signal::KILL.as_raw()),
    }
}

/// Ends every descendant. The children of one that dies come here, because the calling process adopts orphans; so it goes on until
/// there are none. With [`Reach::Children`] a program whose processes fork and end faster than they can be listed can draw that out.
fn end_children(reach: Reach) {
    if off(Protection::EndOfTree) {
        return;
    }
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let nobody = |waited: Result<Option<WaitIdStatus>, Errno>| matches!(waited, Err(Errno::CHILD));
    while !nobody(waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)) {
        match reach {
            Reach::Tree => process::kill_all_within_reach(),
            Reach::Children => process::children_of(own).unwrap_or_default().into_iter().for_each(|child| {
                let _ = kill_process(child, Signal::KILL);
            }),
        }
        // One that was killed, then those that have ended by now: not for ever, others may still be alive.
        let mut ended = waitid(WaitId::All, WaitIdOptions::EXITED);
        for _ in 0..COLLECTED_AT_ONCE {
            let Ok(Some(_)) = ended else { break };
            ended = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_pipe() {
        for message in [
            Message::Ready { pid: 7, listener: -1 },
            Message::Failed { step: 3, errno: 13 },
            Message::NotExecuted { errno: 2 },
            Message::Ended(End::Exited(255)),
            Message::Ended(End::Signaled(9)),
        ] {
            assert_eq!(Message::decode(message.encode()), Some(message));
        }
        assert_eq!(Message::decode([0xff; MESSAGE_SIZE]), None);
    }
}
