//! execve and execveat: judged by path, then run by the kernel under the inner Landlock domain.
//!
//! Judged are the program (`process-exec*`), every interpreter of a `#!` chain and the ELF interpreter, which the kernel
//! loads itself (both `process-exec-interpreter`). The kernel reads the path again when it runs the call, so a racing thread
//! can exchange it: unless the inner domain admits exactly what the profile allows, what the kernel did execute is judged
//! again before its first instruction (`exec_stop`).
//! A program that cannot be read cannot be judged and is refused; a file of no known format gets `ENOEXEC`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, MemfdFlags, Mode, OFlags, fstat, memfd_create, openat};
use rustix::io::{Errno, pread};

use super::call::{Answer, Answered, Call, REFUSED};
use super::hand_over::Opened;
use super::image::{self, HEAD, HEADER_SIZE, Image, ProgramHeaders};
use super::resolve::{Last, Located};
use crate::os::linux::{memory, object};
use crate::sandbox::weaken::{Protection, off};
use crate::vocab::{Decision, Operation};

/// The operation's name in the system's table; profiles may spell it `process-exec`.
pub(super) const EXEC: &str = "process-exec*";
pub(super) const INTERPRETER: &str = "process-exec-interpreter";

/// Of execveat(2): asks whether the program could be executed (linux/fcntl.h, Linux 6.14). The kernel alone answers it.
const AT_EXECVE_CHECK: i32 = 0x1_0000;

/// Interpreters of interpreters (fs/exec.c allows 5 rewrites).
const DEEPEST: usize = 5;

const EXCHANGEABLE: &str = "a script's name that leads through the files of another process can lead to another script when its \
                            interpreter opens it";

/// A `#!` script.
#[derive(Debug)]
pub(super) struct Script {
    /// The name by which its interpreter opens it.
    pub(super) name: Vec<u8>,
    /// Held open, so that its inode number is nobody else's.
    pub(super) file: OwnedFd,
}

/// What a permitted exec ends in.
#[derive(Debug)]
pub(super) struct Chain {
    /// The native program: the one asked for, or the last interpreter of a script. Held open, so that its inode number is
    /// nobody else's.
    pub(super) image: OwnedFd,
    /// Canonical path of its loader, if it has one.
    pub(super) loader: Option<Vec<u8>>,
    /// Of a script: what the kernel puts before the script's name in the arguments, in the place of the first: interpreters with
    /// their arguments, the last interpreter first (fs/binfmt_script.c). Empty for a program that is native itself.
    pub(super) words: Vec<Vec<u8>>,
    /// The scripts on the way there: the one asked for, and interpreters that are scripts themselves.
    pub(super) scripts: Vec<Script>,
}

/// A permitted exec before it happens.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) chain: Chain,
    /// The program's name as the kernel got it.
    pub(super) spelling: Vec<u8>,
}

impl Call<'_> {
    pub(super) fn execve(&mut self) -> Answered {
        let raw = self.path(0)?;
        let located = self.locate(libc::AT_FDCWD, &raw, Last::Follow)?;
        let chain = self.judge_program(located, &raw)?;
        Ok(self.run_program(chain, raw))
    }

    pub(super) fn execveat(&mut self) -> Answered {
        let raw = self.path(1)?;
        if raw.is_empty() && self.int(4) & libc::AT_EMPTY_PATH == 0 {
            return Err(Errno::NOENT);
        }
        let flags = self.flags(4, libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH | AT_EXECVE_CHECK)?;
        let last = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
        let located = self.locate_or_own(self.int(0), &raw, last, flags)?;
        if located.path.first() != Some(&b'/') || located.path.ends_with(b" (deleted)") {
            // A program without a path: only a profile that allows any program allows it.
            if !self.allowed(EXEC, &located.path, located.object()) {
                return Err(REFUSED);
            }
            if !self.any_program() && !off(Protection::ProgramsWithoutPath) {
                return Err(self.turn_down(
                    EXEC,
                    &located.path,
                    "a program without a path needs exec allowed everywhere",
                ));
            }
        }
        let spelling = spelling(self.int(0), raw);
        let chain = self.judge_program(located, &spelling)?;
        Ok(self.run_program(chain, spelling))
    }

    fn run_program(&self, chain: Chain, spelling: Vec<u8>) -> Answer {
        if self.holds_executed() { Answer::Execute(Judged { chain, spelling }) } else { Answer::Run }
    }

    /// Whether what is executed is judged again before its first instruction.
    fn holds_executed(&self) -> bool {
        self.shared.watch_exec && !self.shared.observe && !off(Protection::ExecStop)
    }

    /// Files in memory lie in no tree that Landlock could bound, so a race during exec could run one. Unless any program may
    /// run, they are made without the right to be executed, for good.
    pub(super) fn memfd_create(&mut self) -> Answered {
        let flags = self.unsigned(1);
        // Asked before one of the two is taken away. What else is wrong with them is the kernel's to say.
        if flags & libc::MFD_EXEC != 0 && flags & libc::MFD_NOEXEC_SEAL != 0 {
            return Err(Errno::INVAL);
        }
        // MFD_NAME_MAX_LEN with its NUL.
        let name =
            self.string(0, 250).map_err(|errno| if errno == Errno::NAMETOOLONG { Errno::INVAL } else { errno })?;
        let as_asked = self.any_program() || off(Protection::MemoryFilesNotExecutable);
        let flags = if as_asked { flags } else { (flags & !libc::MFD_EXEC) | libc::MFD_NOEXEC_SEAL };
        let wanted = MemfdFlags::from_bits_retain(flags | libc::MFD_CLOEXEC);
        self.still_waiting()?;
        let fd = memfd_create(name.as_c_str(), wanted)?;
        let close_on_exec = flags & libc::MFD_CLOEXEC != 0;
        Ok(Answer::Descriptor(Opened { fd, close_on_exec, closes_first: true }))
    }

    fn any_program(&self) -> bool {
        self.shared.policy.unconditional(&Operation::new(EXEC)) == Some(Decision::Allow) || self.shared.observe
    }

    /// Judges a program, executed by that name, with everything the kernel loads along with it.
    pub(super) fn judge_program(&mut self, program: Located, name: &[u8]) -> Result<Chain, Errno> {
        let (mut located, mut name) = (program, name.to_vec());
        let mut operation = EXEC;
        let (mut words, mut scripts) = (Vec::new(), Vec::new());
        for _ in 0..=DEEPEST {
            if matches!(located.object, Err(Errno::NOENT)) && self.may_see(&located.path) {
                return Err(Errno::NOENT);
            }
            let unjudged = operation == INTERPRETER && off(Protection::Interpreters);
            if !unjudged && !self.allowed(operation, &located.path, located.object()) {
                return Err(REFUSED);
            }
            let file = self.readable(operation, &located)?;
            match image::identify(&head_of(file.as_fd())?) {
                Image::Unknown => return Err(Errno::NOEXEC),
                Image::Elf(headers) => {
                    let loader = self.judge_loader(file.as_fd(), headers)?;
                    return Ok(Chain { image: file, loader, words, scripts });
                }
                Image::Script { interpreter, argument } => {
                    if located.by_another && self.holds_executed() {
                        return Err(self.turn_down(operation, &located.path, EXCHANGEABLE));
                    }
                    scripts.push(Script { name: std::mem::replace(&mut name, interpreter.clone()), file });
                    words.splice(0..0, std::iter::once(interpreter.clone()).chain(argument));
                    located = self.locate(libc::AT_FDCWD, &interpreter, Last::Follow)?;
                    operation = INTERPRETER;
                }
            }
        }
        Err(Errno::LOOP)
    }

    fn readable(&mut self, operation: &'static str, located: &Located) -> Result<OwnedFd, Errno> {
        let object = located.found()?;
        match FileType::from_raw_mode(fstat(object)?.st_mode) {
            FileType::Directory => return Err(Errno::ACCESS),
            _ if located.must_be_directory => return Err(Errno::NOTDIR),
            FileType::RegularFile => {}
            _ => return Err(Errno::ACCESS),
        }
        // Execution is asked for first: a file without that right is not "unreadable" but refused by its mode.
        object::access(object, libc::X_OK, libc::AT_EACCESS)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        openat(CWD, object::link(object), flags, Mode::empty()).map_err(|errno| {
            if errno == Errno::ACCESS {
                self.turn_down(
                    operation,
                    &located.path,
                    "the program cannot be read, so its interpreter cannot be judged",
                )
            } else {
                errno
            }
        })
    }

    fn judge_loader(&mut self, file: BorrowedFd<'_>, headers: ProgramHeaders) -> Result<Option<Vec<u8>>, Errno> {
        let mut table = vec![0; usize::from(headers.count) * HEADER_SIZE];
        read_at(file, &mut table, headers.offset)?;
        let Some((offset, size)) = image::interpreter(&table) else { return Ok(None) };
        let size = usize::try_from(size).ok().filter(|size| (2..=memory::PATH_MAX).contains(size));
        let mut text = vec![0; size.ok_or(Errno::NOEXEC)?];
        read_at(file, &mut text, offset)?;
        if text.pop() != Some(0) {
            return Err(Errno::NOEXEC);
        }
        text.truncate(text.iter().position(|&byte| byte == 0).unwrap_or(text.len()));
        let loader = self.locate(libc::AT_FDCWD, &text, Last::Follow)?;
        if !off(Protection::Interpreters) && !self.allowed(INTERPRETER, &loader.path, loader.object()) {
            return Err(REFUSED);
        }
        loader.found()?;
        Ok(Some(loader.path))
    }
}

/// The name the kernel gives a program of execveat(2) (fs/exec.c, `alloc_bprm`).
fn spelling(descriptor: i32, raw: Vec<u8>) -> Vec<u8> {
    if descriptor == libc::AT_FDCWD || raw.first() == Some(&b'/') {
        return raw;
    }
    let own = format!("/dev/fd/{descriptor}").into_bytes();
    if raw.is_empty() { own } else { super::path::join(&own, &raw) }
}

fn head_of(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut head = vec![0; HEAD];
    let mut length = 0;
    while length < HEAD {
        match pread(file, &mut head[length..], length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    head.truncate(length);
    Ok(head)
}

/// Fills the buffer; a file that ends early is not a program.
fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<(), Errno> {
    let mut length = 0;
    while length < buffer.len() {
        match pread(file, &mut buffer[length..], offset.saturating_add(length as u64)) {
            Ok(0) | Err(Errno::INVAL) => return Err(Errno::NOEXEC),
            Ok(read) => length += read,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
