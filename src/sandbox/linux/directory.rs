//! The working directory: going to another one by path, and asking where one is.
//!
//! Nobody can change the working directory of another process, so the kernel runs chdir(2) after the decision, and reads the
//! path again: a racing thread can lead it elsewhere. What such a race wins is bounded by everything that uses the directory.
//! A relative path is judged by the canonical path it makes, and the name of the directory is told by the supervisor where
//! the profile lets the program look at it. What is left is that chdir(2) succeeded: a directory is there.
//!
//! The directory that the run began in was given to the program, like the descriptors it holds: it may ask for its name, and
//! come back to it.

use std::os::fd::AsFd;

use rustix::fs::fstat;
use rustix::io::Errno;

use super::call::{Answer, Answered, Call, REFUSED};
use super::metadata::{METADATA, is_directory};
use super::resolve::Last;

impl Call<'_> {
    /// chdir(2). What a look at the judged object can tell is answered without the kernel.
    pub(super) fn chdir(&mut self) -> Answered {
        let raw = self.path(0)?;
        let mut located = self.locate(libc::AT_FDCWD, &raw, Last::Follow)?;
        if located.path != self.shared.home {
            located = self.judge_located(located, METADATA)?;
        }
        if is_directory(located.found()?) { Ok(Answer::Run) } else { Err(Errno::NOTDIR) }
    }

    /// getcwd(2).
    pub(super) fn getcwd(&mut self) -> Answered {
        let located = self.own(libc::AT_FDCWD)?;
        let mut name = located.path;
        let object = located.object?;
        if name != self.shared.home && !self.allowed(METADATA, &name, Some(object.as_fd())) {
            return Err(REFUSED);
        }
        if fstat(&object)?.st_nlink == 0 {
            return Err(Errno::NOENT);
        }
        name.push(0);
        if name.len() > usize::try_from(self.word(1)).unwrap_or(usize::MAX) {
            return Err(Errno::RANGE);
        }
        self.write(0, &name)?;
        Ok(Answer::Value(i64::try_from(name.len()).unwrap_or(0)))
    }

    /// Whether the link in `/proc` at this path may be read where it tells another process's, or the own, working directory.
    pub(super) fn may_tell_directory(&mut self, link: &[u8], text: &[u8]) -> bool {
        !link.ends_with(b"/cwd")
            || super::path::proc_pid(link).is_none()
            || text == self.shared.home
            || self.allowed(METADATA, text, None)
    }
}
