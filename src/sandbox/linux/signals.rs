//! Signals: judged by the relation of each process that would get one.
//!
//! Signals sent by number are run by the kernel after the decision, which rests on register values; where Landlock has
//! scopes they cannot leave the tree. A signal to a group, or to everything, is refused as a whole when the profile refuses
//! it for one member. Who is a member can change after the decision (setpgid), so unless the profile allows every signal the
//! supervisor sends to each member that it judged. What a pidfd names can be exchanged under its number, so that form is
//! performed by the supervisor on a copy of the descriptor.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::call::{Answer, Answered, Call, REFUSED};
use super::processes::{Processes, user_of};
use crate::os::linux::process;

pub(super) const SIGNAL: &str = "signal";
const OUTSIDER: &str = "a signal to a process outside the sandbox through a pidfd is refused whatever the profile says";
const OUTSIDE_MEMBER: &str =
    "a signal to a group that has members outside the sandbox is refused whatever the profile says";
const KEEPER: &str = "a signal to what keeps the sandbox is refused whatever the profile says";

const BY_MEMORY: &str = "who gets the signal is named in memory, which can change after the decision";
const FOR_LATER: &str = "a group is named for later, and who joins it by then is not known";

/// Flags of pidfd_send_signal(2) (linux/pidfd.h): to the thread, or to its process. A group is not offered.
const TO_ONE: u32 = 0b11;

/// How often those are looked for who came meanwhile: a tree can bring them forth as fast.
const MOST_ROUNDS: usize = 64;

/// One that a signal to several is meant for. The descriptor was opened before anything was asked about the number, so all that was
/// learnt is about its process, or that has ended and a signal through the descriptor reaches nobody.
struct Member {
    pid: i32,
    pidfd: OwnedFd,
    inside: bool,
}

/// A search for those that a signal is meant for.
struct Search<'m> {
    /// The caller's process.
    own: i32,
    seen: HashSet<i32>,
    /// By process and group.
    meant: &'m dyn Fn(i32, i32) -> bool,
}

impl Call<'_> {
    /// kill(2): one process, a group, or everything.
    pub(super) fn kill(&mut self) -> Answered {
        match self.int(0) {
            pid if pid > 0 => self.signal_process(pid),
            -1 => {
                let own = self.own_process()?;
                self.signal_all(|pid, _| pid != own)
            }
            0 => {
                let own = process::ids_of(self.own_process()?)?.ok_or(Errno::SRCH)?.group;
                self.signal_all(|_, group| group == own)
            }
            group => {
                let group = i32::try_from(group.unsigned_abs()).map_err(|_| Errno::SRCH)?;
                self.signal_all(|_, own| own == group)
            }
        }
    }

    /// tkill(2), tgkill(2) and their queueing forms name a thread; `process_at` its process where that is given.
    pub(super) fn signal_thread(&mut self, process_at: Option<usize>, thread_at: usize) -> Answered {
        let own = self.own_process()?;
        let thread = self.int(thread_at);
        if thread <= 0 {
            return Err(Errno::INVAL);
        }
        let target = match process_at {
            Some(index) => self.int(index),
            None => Processes::process_of(thread)?,
        };
        // Signals between threads of one process stay inside it; macOS does not ask the sandbox for them either.
        if target == own { Ok(Answer::Run) } else { self.signal_process(target) }
    }

    pub(super) fn signal_process(&mut self, pid: i32) -> Answered {
        if pid <= 0 {
            return Err(Errno::INVAL);
        }
        let own = self.own_process()?;
        if self.may_signal(own, pid)? { Ok(Answer::Run) } else { Err(REFUSED) }
    }

    fn may_signal(&mut self, own: i32, pid: i32) -> Result<bool, Errno> {
        // Otherwise the profile or the kernel refuses it. While observing it would take every record along.
        if self.shared.observe && self.shared.processes.keeps_the_tree(pid) {
            self.turn_down(SIGNAL, format!("process {pid}").as_bytes(), KEEPER);
            return Ok(false);
        }
        let relation = self.relation(own, pid)?;
        Ok(self.allowed_on_process(SIGNAL, &relation, format!("process {pid}")))
    }

    /// A signal to every process (number and group) that is meant.
    fn signal_all(&mut self, meant: impl Fn(i32, i32) -> bool) -> Answered {
        let mut search = Search { own: self.own_process()?, seen: HashSet::new(), meant: &meant };
        let mut members = Vec::new();
        // Until nobody new is found: one that forks while others are looked at takes its child along.
        for _ in 0..MOST_ROUNDS {
            let more = self.judged_members(&mut search)?;
            if more.is_empty() {
                break;
            }
            members.extend(more);
        }
        if members.is_empty() {
            return Err(Errno::SRCH);
        }
        if self.shared.signals_are_free {
            return Ok(Answer::Run);
        }
        match self.int(1) {
            0 => Ok(Answer::DONE),
            signal => self.send_to(signal, members, search),
        }
    }

    /// Sends to each of these; to the caller last, which may end by it.
    fn send_to(&mut self, signal: i32, members: Vec<Member>, mut search: Search<'_>) -> Answered {
        let own = search.own;
        let info = process::info_of_sender(signal, own, user_of(self.tid())?);
        let mut answered = Err(Errno::SRCH);
        let mut send = |to: &Member| match process::send_signal(to.pidfd.as_fd(), signal, Some(&info), 0) {
            Ok(()) => answered = Ok(Answer::DONE),
            Err(errno) if answered.is_err() => answered = Err(errno),
            Err(_) => {}
        };
        let (caller, others): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| member.pid == own);
        self.still_waiting()?;
        others.iter().for_each(&mut send);
        drop(others);
        // Whoever was forked before its parent was reached. Other signals a program may handle by starting a process, which they are
        // not meant for.
        let rounds = if matches!(signal, libc::SIGKILL | libc::SIGSTOP) { MOST_ROUNDS } else { 0 };
        for _ in 0..rounds {
            let more = self.judged_members(&mut search)?;
            if more.is_empty() {
                break;
            }
            self.still_waiting()?;
            more.iter().for_each(&mut send);
        }
        caller.iter().for_each(&mut send);
        answered
    }

    /// Judges those that are meant and were not seen before. One refusal refuses all.
    fn judged_members(&mut self, search: &mut Search<'_>) -> Result<Vec<Member>, Errno> {
        let (mut judged, mut refused) = (Vec::new(), false);
        for member in self.unseen_members(search)? {
            match self.may_signal_member(search.own, member.pid, member.inside) {
                // It has ended meanwhile.
                Err(Errno::SRCH) => {}
                may => {
                    refused |= !may?;
                    judged.push(member);
                }
            }
        }
        if refused { Err(REFUSED) } else { Ok(judged) }
    }

    fn may_signal_member(&mut self, own: i32, pid: i32, inside: bool) -> Result<bool, Errno> {
        let may = self.may_signal(own, pid)?;
        if may && !inside && !self.shared.signals_are_free {
            self.turn_down(SIGNAL, format!("process {pid}").as_bytes(), OUTSIDE_MEMBER);
            return Ok(false);
        }
        Ok(may)
    }

    /// Those that are meant and were not seen before. Those outside are passed over where the kernel keeps signals inside.
    fn unseen_members(&self, search: &mut Search<'_>) -> Result<Vec<Member>, Errno> {
        let mut members = Vec::new();
        for pid in process::all().map_err(|_| Errno::SRCH)? {
            if !search.seen.insert(pid) {
                continue;
            }
            let Some(number) = Pid::from_raw(pid) else { continue };
            let pidfd = match pidfd_open(number, PidfdFlags::empty()) {
                Err(Errno::SRCH) => continue,
                opened => opened?,
            };
            // What cannot be looked at may be a member: the signal is not sent then.
            let Some(ids) = process::ids_of(pid)? else { continue };
            if !(search.meant)(pid, ids.group) {
                continue;
            }
            let inside = self.shared.processes.is_inside(pid)?;
            if inside || !self.shared.signals_are_scoped {
                members.push(Member { pid, pidfd, inside });
            }
        }
        Ok(members)
    }

    /// pidfd_send_signal(2).
    pub(super) fn signal_pidfd(&mut self) -> Answered {
        let (signal, flags) = (self.int(1), self.unsigned(3));
        if flags & !TO_ONE != 0 {
            return Err(Errno::INVAL);
        }
        let mut info = [0; process::SIGNAL_INFO_SIZE];
        let info = match self.word(2) {
            0 => None,
            _ => {
                self.read(2, &mut info)?;
                Some(&info)
            }
        };
        let pidfd = process::take_descriptor_of_thread(self.tid(), self.int(0))?;
        let pid = Processes::process_of(process::process_behind(pidfd.as_fd())?)?;
        let own = self.own_process()?;
        if !self.may_signal(own, pid)? {
            return Err(REFUSED);
        }
        if pid != own && !self.shared.processes.is_inside(pid)? {
            return Err(self.turn_down(SIGNAL, format!("process {pid}").as_bytes(), OUTSIDER));
        }
        self.still_waiting()?;
        process::send_signal(pidfd.as_fd(), signal, info, flags)?;
        Ok(Answer::DONE)
    }

    /// Forms that name in memory who shall get a descriptor's signals, or to whom one is sent. Performed by the supervisor they would
    /// lose the kernel's scope of signals; while observing, a program could end what keeps the sandbox.
    pub(super) fn refuse_by_memory(&mut self) -> Errno {
        self.turn_down(SIGNAL, b"", BY_MEMORY)
    }

    /// fcntl(2) with `F_SETOWN`: who gets the signals of a descriptor. 0 is nobody.
    pub(super) fn signal_owner(&mut self) -> Answered {
        match self.int(2) {
            0 => Ok(Answer::Run),
            owner if owner == self.own_process()? => Ok(Answer::Run),
            owner if owner > 0 => self.signal_process(owner),
            owner => self.signal_owning_group(i32::try_from(owner.unsigned_abs()).map_err(|_| Errno::INVAL)?),
        }
    }

    /// A group is those who belong to it when something happens to the descriptor, not those who do now.
    fn signal_owning_group(&mut self, group: i32) -> Answered {
        let meant = |_, own| own == group;
        let mut search = Search { own: self.own_process()?, seen: HashSet::new(), meant: &meant };
        if self.shared.signals_are_free {
            self.judged_members(&mut search)?;
            return Ok(Answer::Run);
        }
        if self.unseen_members(&mut search)?.is_empty() {
            return Err(Errno::SRCH);
        }
        Err(self.turn_down(SIGNAL, format!("group {group}").as_bytes(), FOR_LATER))
    }
}
