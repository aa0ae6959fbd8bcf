//! Where a test can make the next change of the file system fail, as if the process had died or the disk were full.

use std::path::Path;

use super::FsError;

/// Passed before every operation that changes the file system; fails only when a test asked for it.
pub(super) fn point(action: &'static str, path: &Path) -> Result<(), FsError> {
    #[cfg(test)]
    testing::check(action, path)?;
    let _ = (action, path);
    Ok(())
}

/// The switch tests use. Per thread, so tests do not disturb each other.
#[cfg(test)]
pub(crate) mod testing {
    use std::cell::{Cell, RefCell};
    use std::path::Path;

    use rustix::io::Errno;

    use super::FsError;

    #[derive(Debug, Clone, Copy)]
    enum Plan {
        /// After so many changes none succeeds any more.
        Stop(usize),
        /// The change after so many others fails, later ones do not.
        Fail(usize, Errno),
    }

    thread_local! {
        static PLAN: Cell<Option<Plan>> = const { Cell::new(None) };
        static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn begin(plan: Plan) {
        PLAN.set(Some(plan));
        SEEN.with_borrow_mut(Vec::clear);
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
    pub(crate) fn resume() -> Vec<String> {
        PLAN.set(None);
        SEEN.take()
    }

    pub(super) fn check(action: &'static str, path: &Path) -> Result<(), FsError> {
        match PLAN.get() {
            None => return Ok(()),
            Some(Plan::Stop(0)) => return Err(FsError::io(action, path, Errno::IO)),
            Some(Plan::Stop(left)) => PLAN.set(Some(Plan::Stop(left - 1))),
            Some(Plan::Fail(0, errno)) => {
                PLAN.set(Some(Plan::Fail(usize::MAX, errno)));
                return Err(FsError::io(action, path, errno));
            }
            Some(Plan::Fail(usize::MAX, _)) => {}
            Some(Plan::Fail(left, errno)) => PLAN.set(Some(Plan::Fail(left - 1, errno))),
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        SEEN.with_borrow_mut(|seen| seen.push(format!("{action} {name}")));
        Ok(())
    }
}
