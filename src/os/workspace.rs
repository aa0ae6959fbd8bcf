//! Private working directories of runs: copied from a template, taken away again; and output that goes to files.
#![expect(clippy::disallowed_methods, reason = "the one place that copies and removes whole directories")]

use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::fs::FsError;

/// Makes `to` a fresh copy of the tree `from`, or an empty directory without one. What was there is removed first.
///
/// Modes and times of modification are kept, links are copied as links; FIFOs and sockets are left out. `leave_out` is not
/// copied: a working directory may lie inside its own template.
///
/// # Errors
/// Something cannot be removed, read or written.
pub fn make_fresh(from: Option<&Path>, to: &Path, leave_out: &Path) -> Result<(), FsError> {
    remove_tree(to)?;
    std::fs::create_dir_all(to).map_err(|e| FsError::io("create directory", to, e))?;
    from.map_or(Ok(()), |from| copy_into(from, to, leave_out))
}

fn copy_into(from: &Path, to: &Path, leave_out: &Path) -> Result<(), FsError> {
    let entries = std::fs::read_dir(from).map_err(|e| FsError::io("read directory", from, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| FsError::io("read directory", from, e))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source == leave_out {
            continue;
        }
        let failed = |e| FsError::io("copy", &source, e);
        let metadata = source.symlink_metadata().map_err(failed)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            std::fs::create_dir(&target).map_err(failed)?;
            copy_into(&source, &target, leave_out)?;
            std::fs::set_permissions(&target, metadata.permissions()).map_err(failed)?;
        } else if kind.is_symlink() {
            std::fs::read_link(&source).and_then(|link| std::os::unix::fs::symlink(link, &target)).map_err(failed)?;
        } else if !kind.is_fifo() && !kind.is_socket() {
            copy_file(&source, &target, &metadata).map_err(failed)?;
        }
    }
    Ok(())
}

fn copy_file(source: &Path, target: &Path, metadata: &std::fs::Metadata) -> io::Result<()> {
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
    io::copy(&mut File::open(source)?, &mut to)?;
    to.set_permissions(std::fs::Permissions::from_mode(metadata.permissions().mode()))?;
    to.set_times(FileTimes::new().set_modified(metadata.modified()?))
}

/// Copies the file `from` to `to`, which must not exist, with permission bits `mode`; links are followed.
///
/// # Errors
/// `from` cannot be read, or `to` cannot be made.
pub fn copy_to_new(from: &Path, to: &Path, mode: u32) -> Result<(), FsError> {
    let copy = || {
        let mut target = OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
        io::copy(&mut File::open(from)?, &mut target)?;
        // Whatever the umask.
        target.set_permissions(std::fs::Permissions::from_mode(mode))
    };
    copy().map_err(|error| FsError::io("copy", from, error))
}

/// Removes a tree; nothing there is fine.
///
/// # Errors
/// Something in it cannot be removed.
pub fn remove_tree(path: &Path) -> Result<(), FsError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FsError::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Adds a line to a file that only ever grows.
///
/// # Errors
/// The file cannot be opened or written.
pub fn append_line(path: &Path, line: &str) -> Result<(), FsError> {
    let failed = |e| FsError::io("write", path, e);
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(failed)
}

/// Sends this process's standard output and error to files, made anew, and its input from nowhere.
///
/// # Errors
/// A file cannot be made.
pub fn redirect_output(stdout: &Path, stderr: &Path) -> io::Result<()> {
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(File::create(stdout)?)?;
    rustix::stdio::dup2_stderr(File::create(stderr)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_copy_has_what_the_template_has_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("from"), temp.path().join("from/out/work"));
        std::fs::create_dir_all(from.join("a")).unwrap();
        std::fs::write(from.join("a/f"), "x").unwrap();
        std::fs::set_permissions(from.join("a/f"), std::fs::Permissions::from_mode(0o750)).unwrap();
        std::os::unix::fs::symlink("a/f", from.join("l")).unwrap();
        std::fs::create_dir_all(&to).unwrap();
        std::fs::write(to.join("left"), "").unwrap();
        make_fresh(Some(&from), &to, &from.join("out")).unwrap();
        assert!(!to.join("left").exists() && !to.join("out").exists());
        assert_eq!(std::fs::read_to_string(to.join("l")).unwrap(), "x");
        let (old, new) = (from.join("a/f").metadata().unwrap(), to.join("a/f").metadata().unwrap());
        assert_eq!(old.modified().unwrap(), new.modified().unwrap());
        assert_eq!(new.permissions().mode() & 0o777, 0o750);
        remove_tree(&to).unwrap();
        remove_tree(&to).unwrap();
        assert!(make_fresh(Some(&temp.path().join("absent")), &to, &to).is_err());
    }
}
