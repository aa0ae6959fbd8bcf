//! Closing many files with few system calls.

use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::{IntoRawFd as _, RawFd};

use rustix::io::Errno;

use super::checked;
use super::process::close_range;

/// Files closed at once, where the process may have 1,024 open as usual.
const AT_ONCE: usize = 128;

/// A table of descriptors that only the thread that made it uses, so that nobody else's descriptor stands between its own: files
/// it is done with are closed in runs of numbers, many by one system call.
#[derive(Debug)]
pub struct OwnTable {
    /// Numbers in this table that nobody else knows.
    done: Vec<RawFd>,
    /// How many are kept; an eighth of what the process may have open at most, so that there is room for those in use.
    at_once: usize,
    /// It belongs to one thread.
    thread: PhantomData<*const ()>,
}

impl OwnTable {
    /// Gives the calling thread a table of its own: a copy of the one it had (unshare(2) with `CLONE_FILES`). What others open
    /// or close from now on is not seen here, so only a thread that ends with its work should ask for it.
    ///
    /// # Errors
    /// EPERM where a filter refuses the call; ENOMEM.
    pub fn of_this_thread() -> Result<Self, Errno> {
        // SAFETY: changes which table the calling thread uses; every descriptor keeps its number and its file.
        checked(unsafe { libc::unshare(libc::CLONE_FILES) }.into())?;
        let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let at_once = allowed.map_or(AT_ONCE, |allowed| usize::try_from(allowed / 8).unwrap_or(AT_ONCE).min(AT_ONCE));
        Ok(Self { done: Vec::with_capacity(at_once), at_once, thread: PhantomData })
    }

    /// Closes `file`, which this thread opened after it had its table; at the latest when the table is dropped.
    pub fn close(&mut self, file: File) {
        self.done.push(file.into_raw_fd());
        if self.done.len() >= self.at_once {
            self.close_all();
        }
    }

    fn close_all(&mut self) {
        self.done.sort_unstable();
        for run in self.done.chunk_by(|one, next| one + 1 == *next) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            // What could not be closed is closed when the thread ends.
            let _ = close_range(first.cast_unsigned(), last.cast_unsigned());
        }
        self.done.clear();
    }
}

impl Drop for OwnTable {
    fn drop(&mut self) {
        self.close_all();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn files_are_closed_in_this_table_and_in_no_other() {
        let before = File::open("/dev/null").unwrap();
        let open = || std::fs::read_dir("/proc/thread-self/fd").unwrap().count();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut table = OwnTable::of_this_thread().unwrap();
                let at_first = open();
                for round in 0..3 {
                    let mut kept = Vec::new();
                    for number in 0..AT_ONCE {
                        let file = File::open("/dev/null").unwrap();
                        // Some stay open between those that are done with.
                        if number % 10 == 0 { kept.push(file) } else { table.close(file) }
                    }
                    kept.iter().for_each(|file| assert!(file.metadata().is_ok(), "{round}"));
                    assert!(open() - at_first <= AT_ONCE + kept.len());
                    kept.into_iter().for_each(|file| table.close(file));
                }
                drop(table);
                assert_eq!(open(), at_first);
                // The copy of a descriptor that others have is theirs to close.
                assert!(rustix::io::fcntl_getfd(&before).is_ok());
            });
        });
        assert!(before.metadata().is_ok() && before.as_raw_fd() >= 0);
    }
}
