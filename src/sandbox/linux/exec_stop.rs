//! What was executed, judged before its first instruction.
//!
//! The kernel reads the program's path again when it runs an exec, so a racing thread can make it another one than was
//! judged. The worker that answers the call seizes the calling thread, lets the kernel run the exec, and looks at the result
//! while the process stands still: a program that the profile does not allow is ended, any other let go. A failed exec
//! stops the thread as well, and it is let go at once.
//!
//! Compared are, by what the kernel itself kept: the program's file (`/proc/<pid>/exe`, by inode), the name it was asked for
//! by (`AT_EXECFN`, which tells one script from another), of a script the words that the kernel put before that name (which tell it
//! from its interpreter run as a program), and the loader (the mapping at `AT_BASE`, by name). What differs from what was judged is
//! judged anew, by what it is.
//!
//! A script is opened by its interpreter, later and by its name. So the names of all scripts are looked up once more here, and must
//! lead to those that were judged. From then on nobody moves what such a name starts from: the threads that shared the working
//! directory are gone and no other process can share it (the filter allows `CLONE_FS` to threads only), the kernel has given
//! the process a table of descriptors of its own, and a name that leads through another process's files is refused. What stays
//! open is an exchange of the entries on the way, for which the report says `partly` where the program can make some.
//!
//! The worker waits meanwhile; no other process needs to wait for the sandboxed one's stops, and should the worker die, so does
//! the process.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

use super::call::{Call, REFUSED};
use super::exec::{Chain, EXEC, INTERPRETER, Judged, Script};
use super::resolve::Last;
use crate::os::linux::memory;
use crate::os::linux::trace::{Stop, Traced};

/// Entries of the auxiliary vector (linux/auxvec.h).
const AT_BASE: u64 = 7;
const AT_EXECFN: u64 = 31;

const UNTRACEABLE: &str = "the program cannot be held at the end of the exec, so what is executed could not be judged";
const ANOTHER: &str = "another program was executed than was judged, and it cannot be judged";

impl Call<'_> {
    /// Lets the kernel execute the program and judges what came of it.
    ///
    /// # Errors
    /// The errno to answer with, when the call was not run.
    pub(super) fn execute(&mut self, judged: Judged) -> Result<(), Errno> {
        let traced = match Traced::seize(self.tid()) {
            Ok(traced) => traced,
            Err(Errno::SRCH) => return Err(Errno::SRCH),
            // One that is ending cannot be seized either. Nothing is executed for a caller that does not wait.
            Err(_) if !self.shared.listener.is_waiting(self.notification.id) => return Err(Errno::SRCH),
            Err(_) => return Err(self.turn_down(EXEC, &judged.spelling, UNTRACEABLE)),
        };
        // A caller that is gone, or whose number is another's by now, stops or ends like any other and is let go.
        let ran = self.shared.listener.run_unchanged(self.notification.id);
        match traced.wait() {
            Stop::Executed(pid) if ran.is_ok() => match self.judge_executed(&traced, pid, judged) {
                Ok(()) => traced.release(pid, 0),
                Err(_) => traced.end(pid),
            },
            Stop::Executed(pid) => traced.release(pid, 0),
            Stop::Elsewhere(pid, signal) => traced.release(pid, signal),
            Stop::Ended => {}
        }
        ran
    }

    /// Judges the program that process `pid` is about to start. Every error means that it must not.
    /// Of one that was killed meanwhile little can be read, and nothing is told: it starts nothing.
    fn judge_executed(&mut self, traced: &Traced, pid: i32, judged: Judged) -> Result<(), Errno> {
        // A thread that was not its process's first is the only one now, by the process's number.
        self.notification.tid = pid;
        let mark = self.mark();
        let outcome = self.compare(pid, judged);
        if outcome.is_ok() {
            self.forget_permitted_since(mark);
        } else if !self.refused_since(mark) && traced.still_stands(pid) {
            let shown = readlinkat(CWD, format!("/proc/{pid}/exe"), Vec::new())
                .map_or_else(|_| b"?".to_vec(), |t| t.into_bytes());
            self.turn_down(EXEC, &shown, ANOTHER);
        }
        outcome
    }

    fn compare(&mut self, pid: i32, judged: Judged) -> Result<(), Errno> {
        let vector = std::fs::read(format!("/proc/{pid}/auxv")).map_err(|_| Errno::ACCESS)?;
        let asked = memory::read_string(pid, entry(&vector, AT_EXECFN).ok_or(Errno::ACCESS)?, memory::PATH_MAX)?;
        let chain = if asked == judged.spelling && self.still_lead_to(&judged.chain.scripts)? {
            judged.chain
        } else {
            let located = self.locate(libc::AT_FDCWD, &asked, Last::Follow)?;
            self.judge_program(located, &asked)?
        };
        self.compare_image(pid, &asked, &chain)?;
        self.compare_loader(pid, &vector, &chain)
    }

    /// Whether the names by which interpreters open their scripts lead to those that were judged. One that leads nowhere has nothing
    /// interpreted.
    fn still_lead_to(&mut self, scripts: &[Script]) -> Result<bool, Errno> {
        for script in scripts {
            let located = self.locate(libc::AT_FDCWD, &script.name, Last::Follow)?;
            let same = match &located.object {
                Ok(object) => is_same(object.as_fd(), script.file.as_fd())?,
                Err(Errno::NOENT | Errno::NOTDIR) => true,
                Err(errno) => return Err(*errno),
            };
            if !same || located.by_another {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Another file than was judged is taken for a program: that it may be an interpreter says nothing about what it was
    /// given to interpret. So is the interpreter of a script that was not given that script.
    fn compare_image(&mut self, pid: i32, asked: &[u8], chain: &Chain) -> Result<(), Errno> {
        let link = format!("/proc/{pid}/exe");
        let image = openat(CWD, &link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        if is_same(image.as_fd(), chain.image.as_fd())? && begins_with(pid, &chain.words, asked)? {
            return Ok(());
        }
        let path = readlinkat(CWD, &link, Vec::new())?.into_bytes();
        if self.allowed(EXEC, &path, Some(image.as_fd())) { Ok(()) } else { Err(REFUSED) }
    }

    fn compare_loader(&mut self, pid: i32, vector: &[u8], chain: &Chain) -> Result<(), Errno> {
        let base = entry(vector, AT_BASE).unwrap_or(0);
        if base == 0 {
            return Ok(());
        }
        let maps = std::fs::read(format!("/proc/{pid}/maps")).map_err(|_| Errno::ACCESS)?;
        let loader = mapped_at(&maps, base).ok_or(Errno::ACCESS)?;
        if chain.loader.as_deref() == Some(loader) {
            return Ok(());
        }
        if self.allowed(INTERPRETER, loader, None) { Ok(()) } else { Err(REFUSED) }
    }
}

fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool, Errno> {
    let (one, other) = (fstat(one)?, fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Whether the arguments of a process that was just executed are those that the kernel makes of a script's. Who wrote them by hand
/// instead has the interpreter do what it would do for that script.
fn begins_with(pid: i32, words: &[Vec<u8>], script: &[u8]) -> Result<bool, Errno> {
    if words.is_empty() {
        return Ok(true);
    }
    let mut wanted = Vec::new();
    for word in words.iter().map(Vec::as_slice).chain([script]) {
        wanted.extend_from_slice(word);
        wanted.push(0);
    }
    let mut found = Vec::with_capacity(wanted.len());
    let file = File::open(format!("/proc/{pid}/cmdline")).map_err(|_| Errno::ACCESS)?;
    file.take(wanted.len() as u64).read_to_end(&mut found).map_err(|_| Errno::ACCESS)?;
    Ok(found == wanted)
}

/// A value of an auxiliary vector: pairs of 64-bit words.
fn entry(vector: &[u8], key: u64) -> Option<u64> {
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    vector.chunks_exact(16).find(|pair| word(&pair[..8]) == key).map(|pair| word(&pair[8..]))
}

/// Path of the file mapped at an address (proc_pid_maps(5)).
fn mapped_at(maps: &[u8], address: u64) -> Option<&[u8]> {
    let start = format!("{address:x}-");
    let line = maps.split(|&byte| byte == b'\n').find(|line| {
        // Addresses are padded to eight digits.
        let digits = line.iter().position(|&byte| byte != b'0').unwrap_or(0);
        line[digits..].starts_with(start.as_bytes())
    })?;
    let path = line.iter().position(|&byte| byte == b'/')?;
    Some(&line[path..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_vector_and_maps_are_read() {
        let vector = std::fs::read("/proc/self/auxv").unwrap();
        let name = entry(&vector, AT_EXECFN).unwrap();
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let name = memory::read_string(own, name, memory::PATH_MAX).unwrap();
        assert!(name.windows(8).any(|part| part == b"runtime-"), "{}", String::from_utf8_lossy(&name));
        assert_eq!(entry(&vector, 0xffff), None);
        let base = entry(&vector, AT_BASE).unwrap();
        let maps = std::fs::read("/proc/self/maps").unwrap();
        assert!(base == 0 || mapped_at(&maps, base).unwrap().starts_with(b"/usr/lib"));
        assert_eq!(mapped_at(&maps, 1), None);
        assert_eq!(mapped_at(b"00400000-00401000 r--p 00000000 fe:00 7    /a b\n", 0x40_0000), Some(&b"/a b"[..]));
    }
}
