//! Requests on descriptors the program holds: mapping as executable, ioctl(2), locks, inode flags.
//!
//! The object is the one behind the descriptor, under the name the kernel has for it. Inode flags are set by the supervisor on
//! a copy of the descriptor. The others are run by the kernel after the decision, and a racing thread can exchange the
//! descriptor meanwhile: they are **advisory**. A record lock belongs to the process that asks for it, so nobody can take it on
//! another's behalf; and waiting for any lock ends at a signal, which a call in the supervisor's hands does not. They bound nothing that matters, since a program can read a file into memory
//! and make that executable, and since what a descriptor may be asked for is bounded by how it was opened.

use std::os::fd::AsFd;

use super::call::{Answer, Answered, Call, REFUSED};
use super::filter::{F_SETOWN_EX, FLAG_REQUESTS, FLAG_STRUCTURE_REQUEST, LOCK_COMMANDS, SIGNAL_REQUESTS};
use super::resolve::name_of_object;
use crate::os::linux::{object, process};
use crate::sbpl::{Fact, Target};

const MAP: &str = "file-map-executable";
const IOCTL: &str = "file-ioctl";
const FLAGS: &str = "file-write-flags";
const LOCK: &str = "file-lock";

/// Size of `struct fsxattr` (linux/fs.h).
const FLAG_STRUCTURE_SIZE: usize = 28;

impl Call<'_> {
    pub(super) fn map_executable(&mut self) -> Answered {
        let located = self.own(self.int(4))?;
        if self.allowed(MAP, &located.path, located.object()) { Ok(Answer::Run) } else { Err(REFUSED) }
    }

    /// fcntl(2), for what the filter does not let pass.
    pub(super) fn fcntl(&mut self) -> Answered {
        match self.unsigned(1) {
            command if LOCK_COMMANDS.contains(&command) => self.lock(),
            F_SETOWN_EX => Err(self.refuse_by_memory()),
            _ => self.signal_owner(),
        }
    }

    /// flock(2), and the forms of fcntl(2). What has no path has no rule.
    pub(super) fn lock(&mut self) -> Answered {
        let located = self.own(self.int(0))?;
        let allowed = located.path.first() != Some(&b'/') || self.allowed(LOCK, &located.path, located.object());
        if !allowed {
            return Err(REFUSED);
        }
        drop(located);
        // What the program has closed may be open here still, and locked for as long.
        self.shared.copies.wait_for_close();
        Ok(Answer::Run)
    }

    pub(super) fn ioctl(&mut self) -> Answered {
        let request = self.unsigned(1);
        if SIGNAL_REQUESTS.contains(&request) {
            return Err(self.refuse_by_memory());
        }
        if FLAG_REQUESTS.contains(&request) {
            return self.set_flags(request, size_of::<libc::c_int>());
        }
        if request == FLAG_STRUCTURE_REQUEST {
            return self.set_flags(request, FLAG_STRUCTURE_SIZE);
        }
        let path = self.own(self.int(0))?.path;
        // Sockets, pipes and what else has no path are no files.
        if path.first() != Some(&b'/') {
            return Ok(Answer::Run);
        }
        let target = Target::Path { path: &path, vnode_type: None, mode: None };
        let command = request.to_string();
        let facts = [Fact { filter: "ioctl-command", value: &command }];
        let target = Target::Described { target: &target, facts: &facts };
        let shown = crate::denial::target_text(&path);
        if self.allowed_on(IOCTL, target, shown) { Ok(Answer::Run) } else { Err(REFUSED) }
    }

    fn set_flags(&mut self, request: u32, size: usize) -> Answered {
        let mut value = [0; FLAG_STRUCTURE_SIZE];
        let value = &mut value[..size];
        self.read(2, value)?;
        let descriptor = process::take_descriptor_of_thread(self.tid(), self.int(0))?;
        let path = name_of_object(descriptor.as_fd())?;
        if !self.allowed(FLAGS, &path, Some(descriptor.as_fd())) {
            return Err(REFUSED);
        }
        self.still_waiting()?;
        object::set_inode_flags(descriptor.as_fd(), request, value)?;
        Ok(Answer::DONE)
    }
}
