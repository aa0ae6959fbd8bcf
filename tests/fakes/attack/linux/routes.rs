//! Other ways to spell the path of a denied file.

use super::help::{CWD, area, contents, descriptor, exec_words, note, open, open_at, show, show_path, sys, text};
use super::{Attack, Run};

pub(crate) const ATTACKS: &[Attack] = &[
    ("plain", |_| show_path("closed/secret")),
    ("open-call", |_| show(sys!(SYS_open, text("closed/secret"), libc::O_RDONLY).map(descriptor))),
    ("dotdot", |_| show_path("opened/../closed/secret")),
    ("dotdot-from-above-root", |_| show_path(&format!("{0}/../../../../../..{0}/closed/secret", area()))),
    ("double-slash", |_| show_path(&format!("{}//closed///secret", area()))),
    ("dot-components", |_| show_path("./closed/././secret")),
    ("link-to-file", |_| through_link("../closed/secret", "opened/way")),
    ("link-to-directory", |_| through_link("../closed", "opened/way/secret")),
    ("link-to-absolute", |_| through_link(&format!("{}/closed/secret", area()), "opened/way")),
    ("link-chain", link_chain),
    ("link-to-proc-cwd", |_| through_link("/proc/self/cwd/closed/secret", "opened/way")),
    ("chdir-and-relative", chdir_and_relative),
    ("descriptor-and-relative", descriptor_and_relative),
    ("descriptor-and-dotdot", |_| {
        show(open("opened").and_then(|fd| open_at(fd, "../closed/secret", libc::O_RDONLY)));
    }),
    ("deleted-directory", deleted_directory),
    ("proc-self-cwd", |_| show_path("/proc/self/cwd/closed/secret")),
    ("proc-self-root", |_| show_path(&format!("/proc/self/root{}/closed/secret", area()))),
    ("proc-root-of-root", |_| show_path(&format!("/proc/self/root/proc/self/root{}/closed/secret", area()))),
    ("proc-thread-self-cwd", |_| show_path("/proc/thread-self/cwd/closed/secret")),
    ("proc-pid-cwd", |_| show_path(&format!("/proc/{}/cwd/closed/secret", std::process::id()))),
    ("proc-task-cwd", |_| show_path(&format!("/proc/self/task/{}/cwd/closed/secret", std::process::id()))),
    ("proc-keeper-cwd", |_| show_path(&format!("/proc/{}/cwd/closed/secret", std::os::unix::process::parent_id()))),
    ("proc-keeper-root", |_| {
        show_path(&format!("/proc/{}/root{}/closed/secret", std::os::unix::process::parent_id(), area()));
    }),
    ("proc-self-fd", |_| {
        let fd = open(".");
        note("open", &fd);
        show_path(&format!("/proc/self/fd/{}/closed/secret", fd.unwrap_or(-1)));
    }),
    ("proc-pid-fd", |_| {
        let fd = open(".");
        show_path(&format!("/proc/{}/fd/{}/closed/secret", std::process::id(), fd.unwrap_or(-1)));
    }),
    ("dev-fd", |_| {
        let fd = open(".");
        show_path(&format!("/dev/fd/{}/closed/secret", fd.unwrap_or(-1)));
    }),
    ("reopen-for-writing", reopen_for_writing),
    ("own-executable", |run| of_own_image(run, || "/proc/self/exe".to_owned())),
    ("own-mapping", |run| of_own_image(run, own_mapping)),
    ("openat2", |_| show(openat2("opened/../closed/secret", 0))),
    ("openat2-in-root", |_| show(openat2("/closed/secret", libc::RESOLVE_IN_ROOT))),
    ("openat2-beneath", |_| show(openat2("opened/../closed/secret", libc::RESOLVE_BENEATH))),
    ("hard-link-from-outside", |_| show_path("opened/hard")),
    ("bind-mount-from-outside", |_| show_path("opened/directory/secret")),
    ("path-descriptor", |_| {
        let fd = open_at(CWD, "closed/secret", libc::O_PATH);
        show_path(&format!("/proc/self/fd/{}", fd.unwrap_or(-1)));
    }),
];

fn through_link(to: &str, path: &str) {
    note("symlink", &sys!(SYS_symlink, text(to), text("opened/way")));
    show_path(path);
}

fn link_chain(_: &Run) {
    let _ = sys!(SYS_symlink, text("../closed"), text("opened/l0"));
    for at in 1..30 {
        let _ = sys!(SYS_symlink, text(format!("./../opened/l{}", at - 1)), text(format!("opened/l{at}")));
    }
    show_path("opened/l29/secret");
}

/// One may go to `vault`, and not read `vault/secret`.
fn chdir_and_relative(_: &Run) {
    note("chdir", &sys!(SYS_chdir, text("vault")));
    show_path("secret");
}

/// `vault` may be listed, `vault/secret` may not be read.
fn descriptor_and_relative(_: &Run) {
    show(open("vault").and_then(|fd| open_at(fd, "secret", libc::O_RDONLY)));
}

/// The kernel shows a deleted directory with a suffix; a link of that name stands in its place.
fn deleted_directory(_: &Run) {
    let area = area();
    let _ = sys!(SYS_mkdir, text("opened/gone"), 0o755);
    let _ = sys!(SYS_chdir, text("opened/gone"));
    let _ = sys!(SYS_rmdir, text(format!("{area}/opened/gone")));
    let _ = sys!(SYS_symlink, text("../closed"), text(format!("{area}/opened/gone (deleted)")));
    show_path("secret");
}

/// `vault/readable` may be read, not written.
fn reopen_for_writing(_: &Run) {
    let fd = open("vault/readable");
    note("open", &fd);
    let again = open_at(CWD, &format!("/proc/self/fd/{}", fd.unwrap_or(-1)), libc::O_RDWR);
    note("again", &again);
    if let Ok(fd) = again {
        note("write", &sys!(SYS_write, fd, c"changed", 7));
    }
}

/// `opened/image` is this program with a secret at its end; it may be executed, not read.
fn of_own_image(run: &Run, name: impl Fn() -> String) {
    if run.words.is_empty() {
        let own = std::env::args().nth(1).unwrap();
        exec_words(&text("opened/image"), &[text("image"), text(own), text("0"), text("inside")]);
        return;
    }
    let fd = open(&name());
    note("open", &fd);
    let fd = fd.unwrap_or(-1);
    let _ = sys!(SYS_lseek, fd, -100, libc::SEEK_END);
    show(Ok(fd));
}

fn own_mapping() -> String {
    let fd = open("/proc/self/maps").unwrap();
    let maps = contents(fd);
    let range = maps.split_whitespace().next().unwrap_or_default().to_owned();
    format!("/proc/self/map_files/{range}")
}

fn openat2(path: &str, resolve: u64) -> Result<i32, i32> {
    let how = [0_u64, 0, resolve];
    let directory = open(".").unwrap_or(CWD);
    sys!(SYS_openat2, directory, text(path), how.as_ptr(), 24).map(descriptor)
}
