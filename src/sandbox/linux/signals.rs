//! Signals: judged by the relation of each process that would get one.
//!
//! Signals sent by number are run by the kernel after the decision, which rests on register values; where Landlock has
//! scopes they cannot leave the tree. A signal to a group, or to everything, is refused as a whole when the profile refuses
//! it for one member: the kernel cannot be asked to leave a member out. What a pidfd names can be exchanged under its
//! number, so that form is performed by the supervisor on a copy of the descriptor.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::call::{Answer, Answered, Call, REFUSED};
use super::processes::Processes;
use crate::os::linux::process;

pub(super) const SIGNAL: &str = "signal";
const OUTSIDER: &str = "a signal to a process outside the sandbox through a pidfd is refused whatever the profile says";
const KEEPER: &str = "a signal to what keeps the sandbox is refused whatever the profile says";

const BY_MEMORY: &str = "who gets the signal is named in memory, which can change after the decision";

/// Flags of pidfd_send_signal(2) (linux/pidfd.h): to the thread, or to its process. A group is not offered.
const TO_ONE: u32 = 0b11;

impl Call<'_> {
    /// kill(2): one process, a group, or everything.
    pub(super) fn kill(&mut self) -> Answered {
        self.signal_number(self.int(0))
    }

    /// A process or group as kill(2) takes it.
    fn signal_number(&mut self, number: i32) -> Answered {
        match number {
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

    /// Judges every process (number and group) that is meant. Those outside are passed over where the kernel keeps
    /// signals inside.
    fn signal_all(&mut self, meant: impl Fn(i32, i32) -> bool) -> Answered {
        let own = self.own_process()?;
        let (mut found, mut refused) = (false, false);
        for pid in process::all().map_err(|_| Errno::SRCH)? {
            // What cannot be looked at may be a member: the signal is not sent then.
            let Some(ids) = process::ids_of(pid)? else { continue };
            if !meant(pid, ids.group) || (self.shared.signals_are_scoped && !self.shared.processes.is_inside(pid)?) {
                continue;
            }
            match self.may_signal(own, pid) {
                // It has ended meanwhile.
                Err(Errno::SRCH) => {}
                judged => (found, refused) = (true, refused | !judged?),
            }
        }
        match (found, refused) {
            (_, true) => Err(REFUSED),
            (true, false) => Ok(Answer::Run),
            (false, false) => Err(Errno::SRCH),
        }
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
        let owner = self.int(2);
        if owner == 0 || owner == self.own_process()? { Ok(Answer::Run) } else { self.signal_number(owner) }
    }
}
