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

    use super::FsError;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
        static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// Lets `steps` changes pass and refuses every later one: what a killed process leaves behind.
    pub(crate) fn stop_after(steps: usize) {
        LEFT.set(Some(steps));
        SEEN.with_borrow_mut(Vec::clear);
    }

    /// Back to normal; returns the changes that passed.
    pub(crate) fn resume() -> Vec<String> {
        LEFT.set(None);
        SEEN.take()
    }

    pub(super) fn check(action: &'static str, path: &Path) -> Result<(), FsError> {
        match LEFT.get() {
            None => return Ok(()),
            Some(0) => return Err(FsError::io(action, path, std::io::Error::other("stopped by the test"))),
            Some(left) => LEFT.set(Some(left - 1)),
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        SEEN.with_borrow_mut(|seen| seen.push(format!("{action} {name}")));
        Ok(())
    }
}
