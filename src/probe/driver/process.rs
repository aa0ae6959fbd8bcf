//! Operations on processes and the kernel's own values.

use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use serde_json::{Map, Value, json};

use super::{NotDone, Performed, details};
use crate::event::{REACHED, SIGNALLED, STARTED_PID};
use crate::fixture::program::OPENED_STATUS;
use crate::os::process::receiver::{self, Receiver};
use crate::os::process::run_program;
use crate::vocab::target::{Relation, relation, sysctl_path};

pub(super) fn fork() -> Performed {
    let status = crate::os::process::fork_and_wait()?;
    Ok(details([("child_exit_status", json!(status))]))
}

/// Forks, and lets the child execute `program`, which opens `target` for reading and ends with what came of it.
pub(super) fn inherited_read(program: Option<&str>, target: &Path) -> Performed {
    let program = program.ok_or(Errno::INVAL)?;
    let started = run_program(Path::new(program), target)?;
    let details = details([
        (STARTED_PID, json!(started.pid.as_raw_nonzero().get())),
        ("program", json!(program)),
        ("program_ran", json!(started.executed.is_ok())),
        ("program_exit_status", json!(started.exit_status)),
    ]);
    let errno = match (started.executed, started.exit_status) {
        (Err(errno), _) => errno,
        (Ok(()), Some(OPENED_STATUS)) => return Ok(details),
        (Ok(()), Some(errno)) if errno > 0 => Errno::from_raw_os_error(errno),
        // Ended by a signal, or by a program that is not the one.
        (Ok(()), _) => Errno::IO,
    };
    Err(NotDone::Errno { errno, details })
}

/// Signals the process that stands in the relation; says which one it was and, where that can be seen, whether it got it.
pub(super) fn signal(target: &str, outside: Option<Pid>) -> Performed {
    match relation(target).map_err(|_| Errno::INVAL)? {
        Relation::Itself => {
            receiver::block_signal();
            let own = getpid();
            let sent = receiver::send_signal(own);
            sent_to(own, sent, Some(receiver::signal_is_pending()))
        }
        Relation::Children => signal_receiver(false),
        Relation::SameSandbox => signal_receiver(true),
        Relation::Others => {
            let other = outside.ok_or(Errno::SRCH)?;
            sent_to(other, receiver::send_signal(other), None)
        }
    }
}

fn signal_receiver(apart: bool) -> Performed {
    let receiver = Receiver::fork(apart)?;
    let pid = receiver.pid();
    let sent = receiver::send_signal(pid);
    let reached = receiver.was_reached()?;
    sent_to(pid, sent, reached)
}

fn sent_to(pid: Pid, sent: Result<(), Errno>, reached: Option<bool>) -> Performed {
    let mut details: Map<String, Value> = details([(SIGNALLED, json!(pid.as_raw_nonzero().get()))]);
    if let Some(reached) = reached {
        details.insert(REACHED.to_owned(), json!(reached));
    }
    match sent {
        Ok(()) => Ok(details),
        Err(errno) => Err(NotDone::Errno { errno, details }),
    }
}

pub(super) fn read_sysctl(name: &str) -> Performed {
    let path = sysctl_path(name).map_err(|_| Errno::INVAL)?;
    super::file::read(Path::new(&path), false)
}
