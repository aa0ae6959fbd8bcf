//! Where a test can make a change of the file system fail, as if the process had died or the disk were full, and learn which
//! changes were made.

use std::path::Path;

use rustix::io::Errno;

use super::FsError;

/// A change that is about to be made.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "tests alone look at what is written"))]
pub(in crate::os) struct Change<'a> {
    /// The step, as a verb.
    pub(in crate::os) action: &'static str,
    /// The path it is about.
    pub(in crate::os) path: &'a Path,
    /// The temporary file: what is written or synced under another name, or renamed.
    pub(in crate::os) temp: Option<&'a Path>,
    /// What is written.
    pub(in crate::os) bytes: &'a [u8],
}

impl<'a> Change<'a> {
    pub(in crate::os) fn new(action: &'static str, path: &'a Path) -> Self {
        Self { action, path, temp: None, bytes: &[] }
    }

    pub(in crate::os) fn temp(self, temp: &'a Path) -> Self {
        Self { temp: Some(temp), ..self }
    }

    pub(in crate::os) fn bytes(self, bytes: &'a [u8]) -> Self {
        Self { bytes, ..self }
    }
}

/// Makes one change: passed before every operation that changes the file system. A signal that arrives first (`EINTR`) is no
/// reason to give up.
pub(in crate::os) fn attempt<T>(change: Change<'_>, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, FsError> {
    until_answered(change, || check(change).and_then(|()| call()))
}

fn until_answered<T>(change: Change<'_>, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, FsError> {
    loop {
        match call() {
            Ok(done) => return Ok(done),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(FsError::io(change.action, change.path, errno)),
        }
    }
}

/// Passed before a change that [`attempt`] cannot make itself.
pub(in crate::os) fn point(action: &'static str, path: &Path) -> Result<(), FsError> {
    attempt(Change::new(action, path), || Ok(()))
}

/// A change that another thread makes. Which of them fail is settled where they are handed out, in their order, so that a test
/// can name one; the thread that makes it meets the failure.
#[derive(Debug)]
pub(in crate::os) struct HandedOut {
    #[cfg(test)]
    answers: Vec<Result<(), Errno>>,
}

/// Hands out a change to another thread.
#[cfg_attr(not(test), expect(unused_variables, reason = "tests alone settle what fails"))]
pub(in crate::os) fn hand_out(change: Change<'_>) -> HandedOut {
    HandedOut {
        #[cfg(test)]
        answers: testing::answers(change),
    }
}

impl HandedOut {
    /// As [`attempt`].
    pub(in crate::os) fn attempt<T>(
        &self,
        change: Change<'_>,
        mut call: impl FnMut() -> Result<T, Errno>,
    ) -> Result<T, FsError> {
        #[cfg(test)]
        let mut answers = self.answers.iter().copied();
        until_answered(change, || {
            #[cfg(test)]
            answers.next().unwrap_or(Ok(()))?;
            call()
        })
    }
}

#[cfg(not(test))]
fn check(_: Change<'_>) -> Result<(), Errno> {
    Ok(())
}

#[cfg(test)]
fn check(change: Change<'_>) -> Result<(), Errno> {
    testing::check(change)
}

/// The switch tests use. Per thread, so tests do not disturb each other.
#[cfg(test)]
pub(crate) mod testing {
    use std::cell::{Cell, RefCell};
    use std::path::PathBuf;

    use rustix::io::Errno;

    use super::Change;

    #[derive(Debug, Clone, Copy)]
    enum Plan {
        /// After so many changes none succeeds any more.
        Stop(usize),
        /// The change after so many others fails, later ones do not.
        Fail(usize, Errno),
    }

    /// A change that was made.
    #[derive(Debug, Clone)]
    pub(crate) struct Made {
        pub(crate) action: &'static str,
        pub(crate) path: PathBuf,
        pub(crate) temp: Option<PathBuf>,
        pub(crate) bytes: Vec<u8>,
    }

    thread_local! {
        static PLAN: Cell<Option<Plan>> = const { Cell::new(None) };
        static MADE: RefCell<Vec<Made>> = const { RefCell::new(Vec::new()) };
        static FAILED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    fn begin(plan: Plan) {
        PLAN.set(Some(plan));
        FAILED.set(None);
        MADE.with_borrow_mut(Vec::clear);
    }

    /// Lets `steps` changes pass and refuses every later one: what a killed process leaves behind.
    pub(crate) fn stop_after(steps: usize) {
        begin(Plan::Stop(steps));
    }

    /// Lets every change pass but the one after `steps` others, which fails once.
    pub(crate) fn fail_after(steps: usize, errno: Errno) {
        begin(Plan::Fail(steps, errno));
    }

    /// Back to normal; returns the changes that passed.
    pub(crate) fn made() -> Vec<Made> {
        PLAN.set(None);
        MADE.take()
    }

    /// The action that was the first to fail, since the plan was made.
    pub(crate) fn failed() -> Option<&'static str> {
        FAILED.get()
    }

    /// As [`made`]: each as its action and the name of its file.
    pub(crate) fn resume() -> Vec<String> {
        let name =
            |made: Made| format!("{} {}", made.action, made.path.file_name().unwrap_or_default().to_string_lossy());
        made().into_iter().map(name).collect()
    }

    /// What the attempts at a change will meet: at most one signal first.
    pub(super) fn answers(change: Change<'_>) -> Vec<Result<(), Errno>> {
        match check(change) {
            Err(Errno::INTR) => vec![Err(Errno::INTR), check(change)],
            answer => vec![answer],
        }
    }

    pub(super) fn check(change: Change<'_>) -> Result<(), Errno> {
        match PLAN.get() {
            None => return Ok(()),
            Some(Plan::Stop(0)) => {
                FAILED.set(FAILED.get().or(Some(change.action)));
                return Err(Errno::IO);
            }
            Some(Plan::Stop(left)) => PLAN.set(Some(Plan::Stop(left - 1))),
            Some(Plan::Fail(0, errno)) => {
                PLAN.set(Some(Plan::Fail(usize::MAX, errno)));
                FAILED.set(Some(change.action));
                return Err(errno);
            }
            Some(Plan::Fail(usize::MAX, _)) => {}
            Some(Plan::Fail(left, errno)) => PLAN.set(Some(Plan::Fail(left - 1, errno))),
        }
        let made = Made {
            action: change.action,
            path: change.path.to_owned(),
            temp: change.temp.map(ToOwned::to_owned),
            bytes: change.bytes.to_vec(),
        };
        MADE.with_borrow_mut(|all| all.push(made));
        Ok(())
    }
}
