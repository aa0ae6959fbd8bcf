//! One trapped call: its arguments, the decisions made for it, and its answer.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::exec::Judged;
use super::hand_over::{Copies, Opened, hand_over};
use super::holds::Holds;
use super::mounts::Mounts;
use super::moved::Moves;
use super::network::BoundPaths;
use super::processes::{self, Born, Processes};
use super::records::{Records, now_unix_s};
use super::table::{self, Class};
use super::waits::Waits;
use crate::denial::{DecisionRecord, target_text};
use crate::os::linux::memory;
use crate::os::linux::seccomp::{Listener, Notification};
use crate::sandbox::weaken::{Protection, off};
use crate::sbpl::{Access, Fact, Judgement, Policy, Target, VnodeType};
use crate::vocab::{Decision, Operation, RuleRef};

/// What all workers of one supervisor share.
#[derive(Debug)]
pub(super) struct Shared<'s> {
    pub(super) policy: &'s Policy,
    pub(super) observe: bool,
    /// Whether permitted accesses are recorded too.
    pub(super) records_permitted: bool,
    pub(super) listener: Listener,
    pub(super) processes: &'s Processes,
    pub(super) records: &'s Records,
    pub(super) mounts: &'s Mounts,
    /// The directory that the run began in.
    pub(super) home: Vec<u8>,
    /// Paths of unix sockets bound in the tree.
    pub(super) bound: &'s BoundPaths,
    /// Calls that make and move entries.
    pub(super) moves: &'s Moves,
    /// Workers in calls that may block for long.
    pub(super) waits: &'s Waits,
    /// The processes known so far, where forks are told of.
    pub(super) born: Option<Born>,
    /// Who is held on one processor while a descriptor is handed over.
    pub(super) holds: Holds,
    /// What of descriptors that were handed over is still open here.
    pub(super) copies: Copies,
    /// Whether the kernel keeps the tree's signals inside.
    pub(super) signals_are_scoped: bool,
    /// Whether the profile allows every signal.
    pub(super) signals_are_free: bool,
    /// Whether a program is judged once more before its first instruction.
    pub(super) watch_exec: bool,
}

/// How a call is answered when nothing refuses it.
#[derive(Debug)]
pub(super) enum Answer {
    /// This value.
    Value(i64),
    /// A copy of a descriptor.
    Descriptor(Opened),
    /// The kernel runs the call itself. Only for decisions on register values, for exec, which the inner Landlock domain
    /// bounds exactly, and for chdir, which leads to nothing that is not judged.
    Run,
    /// The kernel executes a program, and what came of it is judged again before its first instruction.
    Execute(Judged),
}

impl Answer {
    pub(super) const DONE: Self = Self::Value(0);
}

pub(super) type Answered = Result<Answer, Errno>;

/// Errno of a refusal by the profile, as on macOS.
pub(super) const REFUSED: Errno = Errno::PERM;

/// A decision that becomes a record once the call's outcome is known.
#[derive(Debug)]
struct Pending {
    operation: &'static str,
    target: String,
    decision: Decision,
    rule: Option<RuleRef>,
    undecided: Option<String>,
}

/// What the records of a call say of it beside its decisions: which it is, its caller, and when.
#[derive(Debug)]
pub(super) struct Recorded {
    syscall: &'static str,
    pid: i32,
    process: Option<String>,
    turn: u64,
    at_unix_s: f64,
}

impl Recorded {
    /// `named`: whether its caller's name is needed.
    pub(super) fn now(shared: &Shared<'_>, syscall: &'static str, pid: i32, named: bool) -> Self {
        let process = if named { processes::name_of(pid) } else { None };
        Self { syscall, pid, process, turn: shared.records.next_turn(), at_unix_s: now_unix_s() }
    }
}

/// One trapped call in the hands of a worker.
#[derive(Debug)]
pub(super) struct Call<'s> {
    pub(super) shared: &'s Shared<'s>,
    pub(super) notification: Notification,
    pub(super) name: &'static str,
    pub(super) class: Class,
    /// Name of the extended attribute that the call is about.
    attribute: Option<String>,
    pending: Vec<Pending>,
}

impl<'s> Call<'s> {
    pub(super) fn new(shared: &'s Shared<'s>, notification: Notification) -> Self {
        let (name, class) = table::call(notification.number).unwrap_or(("unknown", Class::Enosys));
        Self { shared, notification, name, class, attribute: None, pending: Vec::new() }
    }

    pub(super) fn tid(&self) -> i32 {
        self.notification.tid
    }

    /// An argument as the kernel takes it for an `int` or `unsigned int`.
    #[expect(clippy::cast_possible_truncation, reason = "the kernel drops the upper half in the same way")]
    pub(super) fn int(&self, index: usize) -> i32 {
        self.notification.args[index] as i32
    }

    /// An argument as the kernel takes it for an `unsigned int`.
    pub(super) fn unsigned(&self, index: usize) -> u32 {
        self.int(index).cast_unsigned()
    }

    pub(super) fn word(&self, index: usize) -> u64 {
        self.notification.args[index]
    }

    /// An argument of flags. Those that the call does not know are an error before anything is looked at, and never ignored: a
    /// program that asks for more than it would get has to learn it.
    pub(super) fn flags(&self, index: usize, known: i32) -> Result<i32, Errno> {
        Some(self.int(index)).filter(|flags| flags & !known == 0).ok_or(Errno::INVAL)
    }

    /// A path argument, read once.
    pub(super) fn path(&self, index: usize) -> Result<Vec<u8>, Errno> {
        memory::read_string(self.tid(), self.word(index), memory::PATH_MAX)
    }

    /// A short string argument, read once.
    pub(super) fn string(&self, index: usize, limit: usize) -> Result<CString, Errno> {
        CString::new(memory::read_string(self.tid(), self.word(index), limit)?).map_err(|_| Errno::INVAL)
    }

    pub(super) fn read(&self, index: usize, buffer: &mut [u8]) -> Result<(), Errno> {
        memory::read_exact(self.tid(), self.word(index), buffer)
    }

    /// Writes a result into the caller's memory, if it still waits for it.
    pub(super) fn write(&self, index: usize, bytes: &[u8]) -> Result<(), Errno> {
        self.still_waiting()?;
        memory::write_exact(self.tid(), self.word(index), bytes)
    }

    /// Fails when the caller no longer waits: then its memory and number may be another's. Asked before every side effect.
    pub(super) fn still_waiting(&self) -> Result<(), Errno> {
        if off(Protection::Emulation) {
            // Nothing is performed; `finish` lets the kernel run the call.
            return Err(Errno::INTR);
        }
        if self.shared.listener.is_waiting(self.notification.id) { Ok(()) } else { Err(Errno::INTR) }
    }

    /// Says which extended attribute the call is about. One whose name is no UTF-8 stays unknown.
    pub(super) fn about_attribute(&mut self, name: &CStr) {
        self.attribute = name.to_str().ok().map(str::to_owned);
    }

    /// [`Call::allowed`] without regard to other words that a profile may have for the file.
    pub(super) fn allowed_as_file(
        &mut self,
        operation: &'static str,
        path: &[u8],
        object: Option<BorrowedFd<'_>>,
    ) -> bool {
        let name = Operation::named(operation);
        let attribute = self.attribute.as_deref().map(|value| Fact { filter: "xattr", value });
        let judge = |target: Target<'_>| {
            let described = Target::Described { target: &target, facts: attribute.as_slice() };
            let target = if attribute.is_some() { described } else { target };
            self.shared.policy.judge(&Access { operation: &name, target })
        };
        let mut judgement = judge(Target::Path { path, vnode_type: None, mode: None });
        if judgement.decision().is_none()
            && let Some(stat) = object.and_then(|fd| rustix::fs::fstat(fd).ok())
        {
            let (vnode_type, mode) = (vnode_type(&stat), Some(stat.st_mode & 0o7777));
            judgement = judge(Target::Path { path, vnode_type, mode });
        }
        self.note(operation, &judgement, || target_text(path))
    }

    /// As [`Call::allowed_as_file`] for something whose type is known without looking.
    pub(super) fn allowed_as_file_of_type(
        &mut self,
        operation: &'static str,
        path: &[u8],
        vnode_type: VnodeType,
    ) -> bool {
        let name = Operation::named(operation);
        let target = Target::Path { path, vnode_type: Some(vnode_type), mode: None };
        let judgement = self.shared.policy.judge(&Access { operation: &name, target });
        self.note(operation, &judgement, || target_text(path))
    }

    /// Decides an access that is not aimed at a path.
    pub(super) fn allowed_on(&mut self, operation: &'static str, target: Target<'_>, shown: String) -> bool {
        let name = Operation::named(operation);
        let judgement = self.shared.policy.judge(&Access { operation: &name, target });
        self.note(operation, &judgement, || shown)
    }

    /// Turns an access down whatever the profile says; recorded as undecided, since the profile was not applied.
    pub(super) fn turn_down(&mut self, operation: &'static str, path: &[u8], reason: &str) -> Errno {
        let undecided = Some(reason.to_owned());
        let decision = Decision::Deny;
        self.pending.push(Pending { operation, target: target_text(path), decision, rule: None, undecided });
        REFUSED
    }

    fn note(&mut self, operation: &'static str, judgement: &Judgement<'_>, shown: impl FnOnce() -> String) -> bool {
        let decision = judgement.decision().unwrap_or(Decision::Deny);
        if decision == Decision::Deny || self.shared.records_permitted {
            let (rule, undecided) = (judgement.rule().cloned(), judgement.reason());
            self.pending.push(Pending { operation, target: shown(), decision, rule, undecided });
        }
        decision == Decision::Allow || self.shared.observe
    }

    /// Whether a decision of this call so far is a refusal.
    pub(super) fn has_refused(&self) -> bool {
        self.refused_since(0)
    }

    /// A point to return to when an attempt turns out to be aimed at something else.
    pub(super) fn mark(&self) -> usize {
        self.pending.len()
    }

    /// Forgets the decisions since a mark: they were not about what is acted on.
    pub(super) fn forget_since(&mut self, mark: usize) {
        self.pending.truncate(mark);
    }

    /// Whether a refusal was noted since a mark.
    pub(super) fn refused_since(&self, mark: usize) -> bool {
        self.pending[mark..].iter().any(|pending| pending.decision == Decision::Deny)
    }

    /// Forgets permissions noted since a mark and keeps refusals: steps on the way to what was asked for.
    pub(super) fn forget_permitted_since(&mut self, mark: usize) {
        let mut index = 0;
        self.pending.retain(|pending| {
            index += 1;
            index <= mark || pending.decision == Decision::Deny
        });
    }

    /// Whether the caller's memory is closed to the supervisor (ptrace(2), access mode checking): it runs a program that its user
    /// may execute and not read.
    fn is_unreadable(&self) -> bool {
        memory::read_exact(self.tid(), 1, &mut [0]) == Err(Errno::PERM)
    }

    /// Answers the caller and turns the decisions into records.
    pub(super) fn finish(mut self, answered: Answered) {
        let answered = match answered {
            Err(REFUSED) => answered,
            _ if off(Protection::Emulation) => Ok(Answer::Run),
            _ => answered,
        };
        if matches!(answered, Err(REFUSED))
            && !self.has_refused()
            && let Class::Trap(handler) = self.class
            && self.is_unreadable()
        {
            // Opening has no operation that could leave it to the kernel.
            let operation = handler.operations().first().unwrap_or(&"file-read-data");
            self.turn_down(operation, b"", "the program cannot be read, so what it asks for is not known");
        }
        let listener = &self.shared.listener;
        let id = self.notification.id;
        // Asked while the caller still waits: afterwards it may be gone, or be another program.
        let watched = matches!(answered, Ok(Answer::Execute(_)));
        let of = (watched || !self.pending.is_empty()).then(|| {
            // A refusal is worth a look at who it is.
            let named = self.has_refused() || watched;
            Recorded::now(self.shared, self.name, self.shared.processes.recorded_process_of(self.tid(), named), named)
        });
        let (sent, errno) = match answered {
            Ok(Answer::Value(value)) => (listener.answer(id, Ok(value)), None),
            Ok(Answer::Run) => (listener.run_unchanged(id), None),
            Ok(Answer::Execute(judged)) => match self.execute(judged) {
                Ok(()) => (Ok(()), None),
                Err(errno) => (listener.answer(id, Err(errno)), Some(errno)),
            },
            Ok(Answer::Descriptor(opened)) => match hand_over(self.shared, &self.notification, opened) {
                Ok(()) => (Ok(()), None),
                Err(Errno::NOENT) => (Err(Errno::NOENT), None),
                Err(errno) => (listener.answer(id, Err(errno)), Some(errno)),
            },
            Err(errno) => (listener.answer(id, Err(errno)), Some(errno)),
        };
        // A caller that is gone got nothing; what was decided for it is still a decision.
        let errno = if sent.is_ok() { errno } else { None };
        if let Some(of) = of {
            self.record(errno, &of);
        }
    }

    /// In observe mode a refusal is recorded and not applied, so it carries no errno.
    pub(super) fn record(&mut self, errno: Option<Errno>, of: &Recorded) {
        for (index, pending) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            let deny = pending.decision == Decision::Deny;
            let record = DecisionRecord {
                operation: pending.operation.to_owned(),
                target: pending.target,
                decision: pending.decision,
                rule: pending.rule,
                undecided: pending.undecided,
                errno: errno.map(Errno::raw_os_error),
                pid: of.pid,
                process: of.process.clone().filter(|_| deny),
                syscall: of.syscall.to_owned(),
                at_unix_s: of.at_unix_s,
            };
            self.shared.records.add((of.turn, index), record);
        }
    }
}

/// Type of an object in the words of the `vnode-type` filter.
pub(super) fn vnode_type(stat: &Stat) -> Option<VnodeType> {
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => VnodeType::RegularFile,
        FileType::Directory => VnodeType::Directory,
        FileType::Symlink => VnodeType::Symlink,
        FileType::Fifo => VnodeType::Fifo,
        FileType::Socket => VnodeType::Socket,
        // Majors of terminals: 4 (tty), 5 (tty, console, ptmx), 136 to 143 (pts); admin-guide/devices.txt.
        FileType::CharacterDevice if matches!(rustix::fs::major(stat.st_rdev), 4 | 5 | 136..=143) => VnodeType::Tty,
        FileType::CharacterDevice => VnodeType::CharacterDevice,
        FileType::BlockDevice => VnodeType::BlockDevice,
        _ => return None,
    })
}
