//! Calls on processes, decided on register values alone: making one, signalling one, looking at or steering another.

use rustix::io::Errno;
use rustix::process::{Pid, getpgid};

use super::call::{Answer, Answered, Call, REFUSED};
use super::processes::Processes;
use crate::os::linux::process::parent_of;
use crate::sbpl::{ProcessTarget, Target};

const SIGNAL: &str = "signal";

impl Call<'_> {
    pub(super) fn fork(&mut self) -> Answered {
        self.plain("process-fork")
    }

    /// A decision without an object.
    pub(super) fn plain(&mut self, operation: &'static str) -> Answered {
        if self.allowed_on(operation, Target::None, String::new()) { Ok(Answer::Run) } else { Err(REFUSED) }
    }

    /// kill(2): one process, a group, or everything.
    pub(super) fn kill(&mut self) -> Answered {
        match self.int(0) {
            pid if pid > 0 => self.signal_process(pid),
            0 => self.signal(ProcessTarget::ProcessGroup, "group 0".to_owned()),
            -1 => self.signal(ProcessTarget::Others, "every process".to_owned()),
            group => {
                let leader = i32::try_from(group.unsigned_abs()).map_err(|_| Errno::SRCH)?;
                let inside = self.shared.processes.is_inside(leader);
                let target = if inside { ProcessTarget::SameSandbox } else { ProcessTarget::Others };
                self.signal(target, format!("group {leader}"))
            }
        }
    }

    /// tkill(2), tgkill(2) and their queueing forms name a thread; `process_at` its process where that is given.
    pub(super) fn signal_thread(&mut self, process_at: Option<usize>, thread_at: usize) -> Answered {
        let own = Processes::process_of(self.tid())?;
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
        let own = Processes::process_of(self.tid())?;
        let target = if pid == own {
            ProcessTarget::Itself
        } else if parent_of(pid) == Some(own) {
            ProcessTarget::Children
        } else if !self.shared.processes.is_inside(pid) {
            ProcessTarget::Others
        } else if same_group(pid, own) {
            ProcessTarget::ProcessGroup
        } else {
            ProcessTarget::SameSandbox
        };
        self.signal(target, format!("process {pid}"))
    }

    fn signal(&mut self, target: ProcessTarget, shown: String) -> Answered {
        if self.allowed_on(SIGNAL, Target::Process(target), shown) { Ok(Answer::Run) } else { Err(REFUSED) }
    }

    /// Steering another process: only inside the tree, whatever the profile says.
    pub(super) fn steer(&mut self, pid: i32) -> Answered {
        if pid <= 0 {
            return Err(Errno::PERM);
        }
        if self.shared.processes.is_inside(pid) { Ok(Answer::Run) } else { Err(Errno::PERM) }
    }

    /// setpriority(2) and ioprio_set(2): groups and users are refused, single processes as in [`Call::steer`].
    pub(super) fn priority(&mut self) -> Answered {
        let process = i32::from(self.name == "ioprio_set");
        if self.int(0) != process {
            return Err(Errno::PERM);
        }
        self.steer(self.int(1))
    }
}

fn same_group(pid: i32, own: i32) -> bool {
    let group = |pid: i32| Pid::from_raw(pid).and_then(|pid| getpgid(Some(pid)).ok());
    group(pid).is_some_and(|theirs| group(own) == Some(theirs))
}
