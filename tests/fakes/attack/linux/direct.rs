//! One call each, straight at something denied. Their twins show that the filter brings the call before the supervisor.

use super::help::{
    CWD, area, contents, descriptor, errno, note, open, open_at, show_path, sys, text, won, write_file, zeroed,
};
use super::{Attack, Run};

pub(crate) const ATTACKS: &[Attack] = &[
    ("write", |_| note("open", &open_at(CWD, "closed/file", libc::O_WRONLY | libc::O_TRUNC))),
    ("create", |_| note("open", &open_at(CWD, "closed/made", libc::O_CREAT | libc::O_WRONLY | libc::O_EXCL))),
    ("creat-call", |_| note("creat", &sys!(SYS_creat, text("closed/made"), 0o644))),
    ("create-through-link", |_| {
        let _ = sys!(SYS_symlink, text("../closed/made"), text("opened/way"));
        note("open", &open_at(CWD, "opened/way", libc::O_CREAT | libc::O_WRONLY));
    }),
    ("truncate", |_| note("truncate", &sys!(SYS_truncate, text("closed/file"), 0))),
    ("unlink", |_| note("unlink", &sys!(SYS_unlink, text("closed/file")))),
    ("unlinkat", |_| note("unlinkat", &sys!(SYS_unlinkat, CWD, text("closed/file"), 0))),
    ("rmdir", |_| note("rmdir", &sys!(SYS_rmdir, text("closed/directory")))),
    ("mkdir", |_| note("mkdir", &sys!(SYS_mkdir, text("closed/made"), 0o755))),
    ("mkdirat", |_| note("mkdirat", &sys!(SYS_mkdirat, CWD, text("closed/made"), 0o755))),
    ("symlink", |_| note("symlink", &sys!(SYS_symlink, text("x"), text("closed/made")))),
    ("symlinkat", |_| note("symlinkat", &sys!(SYS_symlinkat, text("x"), CWD, text("closed/made")))),
    ("mknod", |_| note("mknod", &sys!(SYS_mknod, text("closed/made"), libc::S_IFIFO | 0o644, 0))),
    ("mknodat", |_| note("mknodat", &sys!(SYS_mknodat, CWD, text("closed/made"), libc::S_IFIFO | 0o644, 0))),
    ("chmod", |_| note("chmod", &sys!(SYS_chmod, text("closed/file"), 0o600))),
    ("fchmodat", |_| note("fchmodat", &sys!(SYS_fchmodat, CWD, text("closed/file"), 0o600))),
    ("fchmod", |_| note("fchmod", &open("vault/readable").and_then(|fd| sys!(SYS_fchmod, fd, 0o600)))),
    ("chown", |_| note("chown", &sys!(SYS_chown, text("closed/file"), 12345, 12345))),
    ("lchown", |_| note("lchown", &sys!(SYS_lchown, text("closed/file"), 12345, 12345))),
    ("fchown", |_| note("fchown", &open("vault/readable").and_then(|fd| sys!(SYS_fchown, fd, 12345, 12345)))),
    ("utimensat", |_| {
        let times = [1_i64, 0, 1, 0];
        note("utimensat", &sys!(SYS_utimensat, CWD, text("closed/file"), times.as_ptr(), 0));
    }),
    ("futimens", |_| {
        let times = [1_i64, 0, 1, 0];
        let done = open("vault/readable").and_then(|fd| sys!(SYS_utimensat, fd, 0, times.as_ptr(), 0));
        note("utimensat", &done);
    }),
    ("utime", |_| note("utime", &sys!(SYS_utime, text("closed/file"), [1_i64, 1].as_ptr()))),
    ("utimes", |_| note("utimes", &sys!(SYS_utimes, text("closed/file"), [1_i64, 0, 1, 0].as_ptr()))),
    ("setxattr", |_| note("setxattr", &set_attribute(libc::SYS_setxattr, "closed/file"))),
    ("lsetxattr", |_| note("lsetxattr", &set_attribute(libc::SYS_lsetxattr, "closed/file"))),
    ("fsetxattr", |_| {
        let (name, value) = (text("user.made"), text("x"));
        let done = open("vault/readable").and_then(|fd| sys!(SYS_fsetxattr, fd, name, value, 1, 0));
        note("fsetxattr", &done);
    }),
    ("removexattr", |_| note("removexattr", &sys!(SYS_removexattr, text("closed/file"), text("user.secret")))),
    ("getxattr", |_| {
        let (mut buffer, name) = ([0_u8; 200], text("user.secret"));
        note("getxattr", &sys!(SYS_getxattr, text("closed/file"), name, buffer.as_mut_ptr(), buffer.len()));
        print_buffer(&buffer);
    }),
    ("listxattr", |_| {
        let mut buffer = [0_u8; 200];
        note("listxattr", &sys!(SYS_listxattr, text("closed/file"), buffer.as_mut_ptr(), buffer.len()));
        print_buffer(&buffer);
    }),
    ("readlink", |_| {
        let mut buffer = [0_u8; 200];
        note("readlink", &sys!(SYS_readlink, text("closed/link"), buffer.as_mut_ptr(), buffer.len()));
        print_buffer(&buffer);
    }),
    ("readlinkat", |_| {
        let mut buffer = [0_u8; 200];
        note("readlinkat", &sys!(SYS_readlinkat, CWD, text("closed/link"), buffer.as_mut_ptr(), buffer.len()));
        print_buffer(&buffer);
    }),
    ("stat", |_| size_by(|stat| sys!(SYS_stat, text("closed/long"), stat))),
    ("lstat", |_| size_by(|stat| sys!(SYS_lstat, text("closed/long"), stat))),
    ("newfstatat", |_| size_by(|stat| sys!(SYS_newfstatat, CWD, text("closed/long"), stat, 0))),
    ("statx", |_| {
        let mut statx: libc::statx = zeroed();
        let done = sys!(SYS_statx, CWD, text("closed/long"), 0, libc::STATX_SIZE, &raw mut statx);
        note("statx", &done);
        println!("size={}", statx.stx_size);
    }),
    ("list-directory", |_| {
        let fd = open_at(CWD, "closed", libc::O_RDONLY | libc::O_DIRECTORY);
        note("open", &fd);
        let mut buffer = [0_u8; 4096];
        let _ = sys!(SYS_getdents64, fd.unwrap_or(-1), buffer.as_mut_ptr(), buffer.len());
        print_buffer(&buffer);
    }),
    ("access", |_| hidden_name(|path| sys!(SYS_access, text(path), libc::F_OK).is_ok())),
    ("faccessat2", |_| hidden_name(|path| sys!(SYS_faccessat2, CWD, text(path), libc::R_OK, 0).is_ok())),
    ("existence-by-errno", |_| {
        // What exists and is denied must not be told from what does not exist.
        hidden_name(|path| sys!(SYS_openat, CWD, text(path), libc::O_RDONLY) != Err(libc::ENOENT));
        hidden_name(|path| sys!(SYS_truncate, text(path), 0) != Err(libc::ENOENT));
        hidden_name(|path| sys!(SYS_unlink, text(format!("{path}/x"))) == Err(libc::ENOTDIR));
        hidden_name(|path| sys!(SYS_mkdir, text(path), 0o755) == Err(libc::EEXIST));
        hidden_name(|path| sys!(SYS_execve, text(path), 0, 0) == Err(libc::EACCES));
    }),
    ("existence-by-chdir", |_| hidden_name(|path| sys!(SYS_chdir, text(path)) != Err(libc::ENOENT))),
    ("link-text-by-chdir", |_| {
        let _ = sys!(SYS_chdir, text("closed/directory-link"));
        println!("{}", area());
    }),
    ("inotify", inotify),
    ("link-out", |_| {
        note("link", &sys!(SYS_link, text("closed/secret"), text("opened/taken")));
        show_path("opened/taken");
    }),
    ("linkat-out", |_| {
        note("linkat", &sys!(SYS_linkat, CWD, text("closed/secret"), CWD, text("opened/taken"), 0));
        show_path("opened/taken");
    }),
    ("link-in", |_| note("link", &sys!(SYS_link, text("opened/file"), text("closed/made")))),
    ("rename-out", |_| {
        note("rename", &sys!(SYS_rename, text("closed/secret"), text("opened/taken")));
        show_path("opened/taken");
    }),
    ("rename-in", |_| note("rename", &sys!(SYS_rename, text("opened/file"), text("closed/file")))),
    ("rename-directory", |_| {
        note("rename", &sys!(SYS_renameat, CWD, text("closed"), CWD, text("opened/taken")));
        show_path("opened/taken/secret");
    }),
    ("rename-exchange", |_| {
        let (from, to) = (text("closed/secret"), text("opened/file"));
        note("renameat2", &sys!(SYS_renameat2, CWD, from, CWD, to, libc::RENAME_EXCHANGE));
        show_path("opened/file");
    }),
    ("rename-ancestor", |_| {
        note("rename", &sys!(SYS_rename, text("vault"), text("opened/taken")));
        show_path("opened/taken/secret");
    }),
    ("exchange-ancestor", |_| {
        let (from, to) = (text("opened/inner"), text("vault"));
        note("renameat2", &sys!(SYS_renameat2, CWD, from, CWD, to, libc::RENAME_EXCHANGE));
        show_path("opened/inner/secret");
    }),
    ("rename-into-rule", |_| {
        let _ = sys!(SYS_mkdir, text("opened/side"), 0o755);
        let _ = sys!(SYS_mkdir, text("opened/side/under"), 0o755);
        write_file("opened/side/under/secret", "x");
        note("rename", &sys!(SYS_rename, text("opened/side"), text("opened/deep")));
        let under = open("opened/deep/under");
        let mut buffer = [0_u8; 4096];
        let _ = sys!(SYS_getdents64, under.unwrap_or(-1), buffer.as_mut_ptr(), buffer.len());
        if String::from_utf8_lossy(&buffer).contains("secret") {
            won("there is a file that nobody may make");
        }
    }),
    ("rename-to-plant", |_| {
        let _ = sys!(SYS_mkdir, text("opened/sub"), 0o755);
        write_file("opened/sub/new", "planted");
        note("rename", &sys!(SYS_rename, text("opened/sub"), text("vault/sub")));
    }),
    ("lock", |_| locked(|fd| sys!(SYS_flock, fd, libc::LOCK_SH))),
    ("lock-record", |_| {
        let mut lock: libc::flock = zeroed();
        lock.l_type = i16::try_from(libc::F_RDLCK).unwrap();
        locked(|fd| sys!(SYS_fcntl, fd, libc::F_SETLK, &raw const lock));
        locked(|fd| sys!(SYS_fcntl, fd, libc::F_OFD_SETLKW, &raw const lock));
    }),
    ("lock-lease", |_| locked(|fd| sys!(SYS_fcntl, fd, libc::F_SETLEASE, libc::F_RDLCK))),
    ("mode-by-acl", |_| {
        let acl = open_to_all();
        let name = text("system.posix_acl_access");
        note("setxattr", &sys!(SYS_setxattr, text("vault/readable"), name, acl.as_ptr(), acl.len(), 0));
    }),
    ("mode-by-acl-of-descriptor", |_| {
        let acl = open_to_all();
        let name = text("system.posix_acl_access");
        let set = |fd| sys!(SYS_fsetxattr, fd, name, acl.as_ptr(), acl.len(), 0);
        note("fsetxattr", &open("vault/readable").and_then(set));
    }),
    ("set-ids-by-mode", |_| {
        note("chmod", &sys!(SYS_chmod, text("vault/readable"), 0o6755));
        won_if_set_ids("vault/readable");
    }),
    ("set-ids-of-new-file", |_| {
        note("open", &sys!(SYS_open, text("opened/made"), libc::O_CREAT | libc::O_WRONLY, 0o6755));
        won_if_set_ids("opened/made");
    }),
    ("set-ids-of-temporary-file", |_| {
        let fd = sys!(SYS_open, text("opened"), libc::O_TMPFILE | libc::O_WRONLY, 0o6755);
        note("open", &fd);
        let mut stat: libc::stat = zeroed();
        let _ = sys!(SYS_fstat, fd.unwrap_or(-1), &raw mut stat);
        won_if_has_set_ids(&stat);
    }),
    ("set-ids-of-new-node", |_| {
        note("mknod", &sys!(SYS_mknod, text("opened/made"), libc::S_IFREG | 0o6755, 0));
        won_if_set_ids("opened/made");
    }),
    ("temporary-file-link", |_| {
        let fd = open_at(CWD, "opened", libc::O_TMPFILE | libc::O_WRONLY);
        note("open", &fd);
        let from = text(format!("/proc/self/fd/{}", fd.unwrap_or(-1)));
        let flags = libc::AT_SYMLINK_FOLLOW;
        note("linkat", &sys!(SYS_linkat, CWD, from, CWD, text("closed/made"), flags));
    }),
];

fn print_buffer(buffer: &[u8]) {
    println!("{}", String::from_utf8_lossy(buffer).replace('\0', " "));
}

fn set_attribute(number: libc::c_long, path: &str) -> Result<i64, i32> {
    let (name, value) = (text("user.made"), text("x"));
    super::help::syscall(number, &[&text(path), &name, &value, &1, &0])
}

fn size_by(stat: impl Fn(*mut libc::stat) -> Result<i64, i32>) {
    let mut buffer: libc::stat = zeroed();
    note("stat", &stat(&raw mut buffer));
    println!("size={}", buffer.st_size);
}

/// An access control list (linux/posix_acl_xattr.h) that lets everybody read and write: user, group and others.
fn open_to_all() -> Vec<u8> {
    const VERSION: u32 = 2;
    const READ_WRITE: u16 = 6;
    let mut acl = VERSION.to_le_bytes().to_vec();
    for tag in [0x01_u16, 0x04, 0x20] {
        acl.extend(tag.to_le_bytes());
        acl.extend(READ_WRITE.to_le_bytes());
        acl.extend(u32::MAX.to_le_bytes());
    }
    acl
}

fn won_if_set_ids(path: &str) {
    let mut stat: libc::stat = zeroed();
    let _ = sys!(SYS_stat, text(path), &raw mut stat);
    won_if_has_set_ids(&stat);
}

fn won_if_has_set_ids(stat: &libc::stat) {
    if stat.st_mode & 0o6000 != 0 {
        won(format!("its mode is {:o}", stat.st_mode));
    }
}

/// `vault/readable` may be read.
fn locked(lock: impl Fn(i32) -> Result<i64, i32>) {
    let done = open("vault/readable").and_then(lock);
    note("lock", &done);
    if done.is_ok() {
        won("a lock is held");
    }
}

/// One of 16 names exists; finding out which is the attack.
fn hidden_name(exists: impl Fn(&str) -> bool) {
    let found: Vec<String> = (0..16).map(|at| format!("closed/n{at:x}")).filter(|path| exists(path)).collect();
    if let [only] = found.as_slice() {
        println!("found={}", &only["closed/".len()..]);
    } else {
        println!("{} of 16 look as if they existed, errno {}", found.len(), errno());
    }
}

/// Somebody outside makes and removes an entry whose name is the secret.
fn inotify(run: &Run) {
    let fd = sys!(SYS_inotify_init1, libc::IN_NONBLOCK).map(descriptor).unwrap();
    note("watch", &sys!(SYS_inotify_add_watch, fd, text("closed/busy"), libc::IN_CREATE));
    let end = std::time::Instant::now() + run.time;
    while std::time::Instant::now() < end {
        let seen = contents(fd);
        if !seen.is_empty() {
            won(seen.replace('\0', " "));
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
