//! The attacks, what holds each of them back, and what they need beside them.

use std::time::Duration;

use crate::beside::{Ipc, Outside};
use crate::row::{Row, Who, held, raced, refused, spelt, spelt_for_itself, trapped};

pub(crate) fn rows() -> Vec<Row> {
    [routes(), direct(), races(), kernel(), taken_away(), processes(), signals(), programs(), sockets()].concat()
}

fn routes() -> Vec<Row> {
    vec![
        trapped("plain", &["openat"]),
        trapped("open-call", &["open"]),
        spelt("dotdot"),
        spelt("dotdot-from-above-root"),
        spelt("double-slash"),
        spelt("dot-components"),
        spelt("link-to-file"),
        spelt("link-to-directory"),
        spelt("link-to-absolute"),
        spelt("link-chain"),
        spelt_for_itself("link-to-proc-cwd"),
        held("chdir-and-relative").off(&["callers_directory", "emulation"]).without(&["landlock"]),
        held("descriptor-and-relative").off(&["callers_directory", "emulation"]).without(&["landlock"]),
        spelt("descriptor-and-dotdot"),
        spelt("deleted-directory"),
        spelt("proc-self-cwd"),
        spelt("proc-self-root"),
        spelt("proc-root-of-root"),
        spelt("proc-thread-self-cwd"),
        spelt("proc-pid-cwd"),
        spelt_for_itself("proc-task-cwd"),
        spelt("proc-keeper-cwd"),
        spelt("proc-keeper-root"),
        spelt_for_itself("proc-self-fd"),
        spelt("proc-pid-fd"),
        spelt_for_itself("dev-fd"),
        spelt_for_itself("reopen-for-writing").rules("(allow file-write-data (subpath \"/proc\"))"),
        spelt_for_itself("own-executable").rules(IMAGE).outside(Outside::Image),
        Row { who: Who::Root, ..spelt_for_itself("own-mapping") }
            .without(&["capability_drop"])
            .rules(IMAGE)
            .outside(Outside::Image),
        spelt("openat2"),
        trapped("openat2-in-root", &["openat2"]),
        trapped("openat2-beneath", &["openat2"]),
        trapped("path-descriptor", &["openat"]),
        held("hard-link-from-outside").outside(Outside::HardLink).known(BY_NAME),
        held("bind-mount-from-outside").who(Who::RootAlone).outside(Outside::Started(BIND_MOUNT)).known(BY_NAME),
    ]
}

const BY_NAME: &str = "a file is judged by the name used, and somebody outside gave it another one";
const BIND_MOUNT: &[&str] = &["unshare", "-m", "sh", "-c", "mount --bind closed opened/directory && exec \"$@\"", "sh"];

const IMAGE: &str = "(deny file-read-data (literal \"$W/opened/image\"))";

fn direct() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("write", "openat"),
        ("create", "openat"),
        ("creat-call", "creat"),
        ("create-through-link", "openat"),
        ("truncate", "truncate"),
        ("unlink", "unlink"),
        ("unlinkat", "unlinkat"),
        ("rmdir", "rmdir"),
        ("mkdir", "mkdir"),
        ("mkdirat", "mkdirat"),
        ("symlink", "symlink"),
        ("symlinkat", "symlinkat"),
        ("mknod", "mknod"),
        ("mknodat", "mknodat"),
        ("chmod", "chmod"),
        ("fchmodat", "fchmodat"),
        ("fchmod", "fchmod"),
        ("utimensat", "utimensat"),
        ("futimens", "utimensat"),
        ("utime", "utime"),
        ("utimes", "utimes"),
        ("setxattr", "setxattr"),
        ("lsetxattr", "lsetxattr"),
        ("fsetxattr", "fsetxattr"),
        ("removexattr", "removexattr"),
        ("getxattr", "getxattr"),
        ("listxattr", "listxattr"),
        ("readlink", "readlink"),
        ("readlinkat", "readlinkat"),
        ("stat", "stat"),
        ("lstat", "lstat"),
        ("newfstatat", "newfstatat"),
        ("statx", "statx"),
        ("list-directory", "openat"),
        ("access", "access"),
        ("faccessat2", "faccessat2"),
        ("existence-by-errno", "openat"),
        ("link-out", "link"),
        ("linkat-out", "linkat"),
        ("link-in", "link"),
        ("rename-out", "rename"),
        ("rename-in", "rename"),
        ("rename-directory", "renameat"),
        ("rename-exchange", "renameat2"),
        ("temporary-file-link", "linkat"),
    ]
    .map(|(name, call)| trapped(name, &[call]).who(Who::Either))
    .into();
    // Only root may give files away.
    rows.extend(["chown", "lchown", "fchown"].map(|name| trapped(name, &[name]).who(Who::Root)));
    rows.extend([
        trapped("inotify", &["inotify_add_watch"]).outside(Outside::BusyDirectory),
        trapped("existence-by-chdir", &["chdir"]),
        trapped("link-text-by-chdir", &["chdir", "getcwd"]),
    ]);
    let unlocked = "(deny file-lock (subpath \"$W/vault\"))";
    rows.extend([
        trapped("lock", &["flock"]).rules(unlocked),
        trapped("lock-record", &["fcntl"]).rules(unlocked),
        trapped("lock-lease", &["fcntl"]).rules(unlocked),
    ]);
    let attributes = "(allow file-write-xattr (subpath \"$W/vault\"))";
    let modes = "(allow file-write-mode (subpath \"$W\"))(deny file-write-setugid)";
    rows.extend([
        trapped("mode-by-acl", &["setxattr"]).rules(attributes),
        trapped("mode-by-acl-of-descriptor", &["fsetxattr"]).rules(attributes),
        trapped("set-ids-by-mode", &["chmod"]).rules(modes),
        trapped("set-ids-of-new-file", &["open"]).rules(modes),
        trapped("set-ids-of-temporary-file", &["open"]).rules(modes),
        trapped("set-ids-of-new-node", &["mknod"]).rules(modes),
    ]);
    let moved = |name| held(name).off(&["moved_entries"]);
    let vault = "(allow file-write* (subpath \"$W/vault\"))(deny file* (literal \"$W/vault/secret\"))";
    let new = "(allow file-write* (subpath \"$W/vault\"))(deny file* (literal \"$W/vault/sub/new\"))";
    rows.extend([
        moved("rename-ancestor").rules(vault),
        moved("exchange-ancestor").rules(vault),
        moved("rename-into-rule").rules("(deny file* (regex #\"/deep/under/secret$\"))"),
        moved("rename-to-plant").rules(new),
    ]);
    rows
}

fn races() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        "flip-open",
        "flip-openat",
        "flip-creat",
        "flip-openat2-path",
        "flip-openat2-how",
        "flip-stat",
        "flip-newfstatat",
        "flip-empty-path",
        "flip-readlink",
        "flip-getxattr",
        "flip-access",
        "flip-truncate",
        "flip-unlink",
        "flip-rmdir",
        "flip-mkdir",
        "flip-symlink",
        "flip-mknod",
        "flip-rename-source",
        "flip-rename-target",
        "flip-link-source",
        "flip-link-target",
        "flip-chmod",
        "flip-utimensat",
        "flip-setxattr",
        "flip-24-threads",
        "flip-from-other-process",
        "swap-descriptor",
        "swap-directory",
        "exchange-link-inside",
        "exchange-directory-inside",
    ]
    .map(raced)
    .into();
    rows.extend([
        raced("flip-connect-port")
            .rules("(allow network-outbound (remote ip \"localhost:$2\"))")
            .outside(Outside::TwoTcp),
        raced("flip-send-port")
            .rules("(allow network-outbound (remote udp \"localhost:$2\"))")
            .outside(Outside::TwoUdp),
        raced("flip-connect-path")
            .rules("(allow network-outbound (remote unix-socket (subpath \"$W/opened\")))")
            .outside(Outside::TwoLocal),
        Row {
            race: Some(Duration::from_millis(600)),
            who: Who::Either,
            ..trapped("flip-ipv6-only", &["bind", "listen"])
        }
        .rules("(allow network-inbound)(allow network-bind (local ip6 \"*:*\"))"),
        raced("flip-bind-path").rules("(allow network-bind (local unix-socket (subpath \"$W/opened\")))"),
    ]);
    rows.extend(["fill-while-moving", "exchange-while-moving"].map(|name| {
        Row { race: Some(Duration::from_millis(600)), who: Who::Either, ..held(name) }
            .rules("(deny file-write-create (literal \"$W/opened/moved/new\"))")
            .off(&["still_entries"])
    }));
    let past_missing = |name| {
        Row { race: Some(Duration::from_millis(600)), who: Who::Either, ..held(name) }
            .off(&["missing_way_up"])
            .without(&["landlock"])
    };
    rows.extend(
        ["open-past-missing", "mkdir-past-missing", "symlink-past-missing", "mknod-past-missing", "link-past-missing"]
            .map(past_missing),
    );
    rows.push(past_missing("rename-past-missing").off(&["still_entries"]));
    rows.push(
        past_missing("bind-past-missing").rules("(allow network-bind (local unix-socket (subpath \"$W/opened\")))"),
    );
    // The kernel runs chdir after the decision; what tells where that led is held back by itself.
    let led = |name| Row { race: Some(Duration::from_millis(600)), who: Who::Either, ..held(name) };
    rows.extend([
        led("flip-chdir").known("a race while the working directory is changed tells that a directory exists"),
        led("flip-chdir-and-name").off(&["call:getcwd"]),
        led("flip-chdir-and-link").off(&["call:readlink"]),
        led("flip-chdir-and-look").off(&["call:newfstatat"]),
    ]);
    let exchanged = |name| {
        Row { race: Some(Duration::from_millis(600)), ..held(name) }
            .off(&["no_link_proof"])
            .outside(Outside::ExchangedLink)
    };
    rows.extend(["exchange-link-outside", "exchange-link-mkdir", "exchange-link-unlink"].map(exchanged));
    rows
}

fn kernel() -> Vec<Row> {
    let unprivileged = |name, calls: &[&str]| trapped(name, calls);
    let privileged = |name, calls: &[&str]| trapped(name, calls).without(&["capability_drop"]).who(Who::Root);
    vec![
        held("entry-32-bit").off(&["architecture"]),
        refused("entry-x32"),
        refused("unknown-number"),
        unprivileged("fchmodat2", &["fchmodat2"]),
        unprivileged("setxattrat", &["setxattrat"]),
        unprivileged("getxattrat", &["getxattrat"]),
        unprivileged("removexattrat", &["removexattrat"]),
        unprivileged("file-setattr", &["file_setattr"]),
        unprivileged("open-tree", &["open_tree"]),
        unprivileged("open-tree-attr", &["open_tree_attr"]),
        unprivileged("inode-flags", &["ioctl"]),
        privileged("handle", &["name_to_handle_at", "open_by_handle_at"]),
        unprivileged("io-uring", &["io_uring_setup", "io_uring_enter"]),
        unprivileged("user-namespace", &["unshare"]),
        privileged("mount-namespace", &["unshare"]),
        unprivileged("clone-user-namespace", &["clone"]),
        unprivileged("clone3-user-namespace", &["clone3"]),
        privileged("join-namespace", &["setns"]).off(&["outsider_files"]).outside(Outside::OutsiderElsewhere),
        privileged("chroot", &["chroot", "getcwd"]),
        privileged("mount", &["mount"]).outside(Outside::Started(&["unshare", "-m"])),
        held("own-listener").without(&["seccomp_notify"]),
        held("own-filter").without(&["seccomp_notify", "landlock"]),
        unprivileged("keyring", &["keyctl"]).outside(Outside::Started(&["$A", "beside", "keyring", "$S"])),
        unprivileged("shared-memory", &["shmget", "shmat"]).outside(Outside::Ipc(Ipc::Key)),
        unprivileged("message-queue", &["msgget", "msgrcv"]).outside(Outside::Ipc(Ipc::Key)),
        unprivileged("posix-message-queue", &["mq_open"]).outside(Outside::Ipc(Ipc::Name)),
        trapped("sysctl", &["openat"]).who(Who::Root).outside(Outside::Started(&["unshare", "-n"])),
        trapped("sysctl-beside-all-files", &["openat"])
            .rules("(allow file*)(deny sysctl-write)")
            .who(Who::Root)
            .outside(Outside::Started(&["unshare", "-n"])),
        trapped("shared-memory-beside-all-files", &["openat"]).rules("(allow file*)(deny ipc-posix-shm*)"),
    ]
}

/// What the sandbox takes from the program and itself before it starts, and what it keeps for itself.
fn taken_away() -> Vec<Row> {
    let terminal = Outside::Started(&["$A", "beside", "terminal"]);
    vec![
        held("inherited-descriptor").off(&["closed_descriptors"]).outside(Outside::Started(&[
            "$A",
            "beside",
            "descriptor",
        ])),
        held("private-file-as-root").without(&["capability_drop"]).who(Who::Root).outside(Outside::Private),
        held("make-device").without(&["capability_drop"]).who(Who::Root),
        held("become-another-user").without(&["capability_drop"]).who(Who::Root),
        held("umask").off(&["callers_umask"]),
        trapped("hide-from-supervisor", &["prctl"]),
        trapped("terminal-input", &["ioctl"]).outside(terminal),
        held("terminal-of-another-session")
            .rules("(allow file-write-data (literal \"/dev/tty\"))")
            .off(&["own_terminal"])
            .outside(terminal),
        trapped("terminal-multiplexer", &["openat"]),
        trapped("terminal-signal", &["ioctl"])
            .rules("(allow file-read* file-write* file-ioctl (literal \"/dev/ptmx\"))"),
        trapped("page-fault-device", &["ioctl"])
            .rules("(allow file-read* file-write* file-ioctl (literal \"/dev/userfaultfd\"))")
            .who(Who::RootAlone),
        held("starve-with-fifos").off(&["more_workers"]),
    ]
}

/// A tracer must hold the capabilities of whom it traces, and stand in a Landlock domain around it.
const TRACER: &[&str] = &["landlock", "capability_drop"];

/// Everything about files is allowed, so that all that can be is left to the kernel.
const ALL_FILES: &str = "(allow file*)";

/// Looking at every file is allowed, and reading some.
const METADATA: &str = "(allow file-read-metadata)";

fn processes() -> Vec<Row> {
    let outsider = Outside::Outsider;
    // What every user may read is held back by the supervisor; what only a tracer may read, by Landlock as well.
    let public = |name| held(name).off(&["outsider_files"]);
    let traceable = |name| held(name).off(&["outsider_files"]).without(TRACER);
    vec![
        public("outsider-cmdline").outside(outsider),
        traceable("outsider-environ").outside(outsider),
        public("outsider-comm").outside(outsider),
        public("outsider-status").outside(outsider),
        public("outsider-thread-cmdline").outside(outsider),
        public("outsider-through-root").outside(outsider),
        spelt("outsider-cwd").without(TRACER).outside(outsider),
        traceable("outsider-cwd-link").rules("(allow file-read-metadata (literal \"$W/closed\"))").outside(outsider),
        spelt("outsider-descriptor-file").without(TRACER).outside(outsider),
        traceable("outsider-mem-file").outside(outsider),
        public("supervisor-cmdline").outside(Outside::Supervisor),
        public("supervisor-environ").outside(Outside::Supervisor),
        public("supervisor-descriptors").outside(Outside::Supervisor),
        public("supervisor-mem-file").rules("(allow file-write-data (subpath \"/proc\"))").outside(Outside::Supervisor),
        public("outsider-oom-score").rules(ALL_FILES).outside(outsider),
        public("supervisor-oom-score").rules(ALL_FILES).outside(Outside::Supervisor),
        trapped("process-vm-readv", &["process_vm_readv"]).without(&["capability_drop"]).outside(outsider),
        trapped("ptrace", &["ptrace"]).without(&["capability_drop"]).outside(outsider),
        trapped("traced-child", &["ptrace", "openat"]).rules("(allow signal (target self))"),
        trapped("pidfd-getfd", &["pidfd_open", "pidfd_getfd"]).without(&["capability_drop"]).outside(outsider),
        trapped("outsider-limits", &["prlimit64"]).without(&["capability_drop"]).outside(outsider),
        trapped("outsider-priority", &["setpriority"]).without(&["capability_drop"]).outside(outsider),
        trapped("outsider-affinity", &["sched_setaffinity"]).without(&["capability_drop"]).outside(outsider),
        trapped("outsider-existence", &["getpgid", "getsid"]).outside(outsider),
        trapped("outsider-scheduling", &["getpriority", "sched_getaffinity"]).outside(outsider),
        trapped("outsider-clock", &["clock_gettime"]).outside(outsider),
        trapped("outsider-clock-resolution", &["clock_getres"]).outside(outsider),
        trapped("outsider-clock-sleep", &["clock_nanosleep"]).outside(outsider),
        trapped("outsider-timer", &["timer_create"]).outside(outsider),
        trapped("outsider-capabilities", &["capget"]).outside(outsider),
        trapped("outsider-robust-list", &["get_robust_list"]).outside(outsider),
        public("outsider-look").rules(METADATA).outside(outsider),
        public("outsider-access").rules("(allow file-read-metadata file-test-existence)").outside(outsider),
        public("outsider-directory").rules(METADATA).outside(outsider),
        public("outsider-attributes").rules("(allow file-read-metadata file-read-xattr)").outside(outsider),
        trapped("child-links", &["readlink"]).rules("(allow file-read-metadata)(deny process-info*)"),
        held("outlive-first-process").off(&["end_of_tree"]).outside(Outside::Watched),
        held("outlive-supervisor").off(&["end_of_tree"]).outside(Outside::KilledAndWatched),
        held("hop-past-first-process").off(&["end_of_tree"]).outside(Outside::Watched),
        held("hop-past-supervisor").off(&["end_of_tree"]).outside(Outside::KilledAndWatched),
        held("work-on-without-supervisor")
            .off(&["end_of_tree"])
            .without(&["seccomp_notify", "landlock"])
            .outside(Outside::KilledSupervisor),
    ]
}

/// Even a profile that allows every signal lets none out.
fn signals() -> Vec<Row> {
    let scoped = |name| held(name).rules("(allow signal)").without(&["landlock_scopes"]);
    let outsider = Outside::Outsider;
    vec![
        scoped("signal-outsider").outside(outsider),
        scoped("signal-outsider-thread").outside(outsider),
        scoped("signal-outsider-queued").outside(outsider),
        scoped("signal-outsider-by-descriptor").off(&["call:pidfd_open"]).outside(outsider),
        scoped("signal-outsider-by-owner").outside(outsider),
        scoped("signal-supervisor").outside(Outside::Supervisor),
        scoped("signal-supervisor-thread").outside(Outside::Supervisor),
        scoped("signal-keeper").outside(Outside::Supervisor),
        scoped("signal-group-of-keeper").outside(Outside::Supervisor),
    ]
}

fn programs() -> Vec<Row> {
    vec![
        trapped("exec", &["execve"]),
        trapped("exec-from-thread", &["execve"]),
        spelt("exec-link").without(&["landlock"]),
        spelt("exec-dotdot").without(&["landlock"]),
        trapped("exec-descriptor", &["execveat"]),
        trapped("exec-proc-fd", &["execve"]),
        held("exec-interpreter").off(&["interpreters"]).without(&["landlock"]),
        held("exec-interpreter-chain").off(&["interpreters"]).without(&["landlock"]),
        held("exec-loader").off(&["interpreters"]).without(&["landlock"]).outside(Outside::OtherLoader),
        trapped("exec-through-loader", &["execve"]),
        held("exec-memory-file").off(&["memory_files_not_executable", "call:execveat"]),
        held("exec-memory-file-by-path").off(&["memory_files_not_executable", "call:execve"]),
        held("exec-set-uid")
            .off(&["no_new_privs"])
            .without(&["seccomp_notify", "landlock", "capability_drop"])
            .who(Who::Ordinary)
            .outside(Outside::Private),
        // The inner domain admits neither tool; the loader it must admit.
        watched("flip-exec").without(&["landlock"]),
        watched("flip-exec-from-threads").without(&["landlock"]),
        watched("flip-exec-to-loader"),
        watched("exchange-program-link").without(&["landlock"]),
        watched("exchange-interpreter-line").without(&["landlock"]),
        watched("exchange-script")
            .rules("(deny process-exec* (subpath \"$W/opened/denied\"))")
            .known("an interpreter opens its script by itself, after the exec was judged"),
    ]
}

/// A race during exec, held back by a second judgement of what was executed.
fn watched(name: &'static str) -> Row {
    // Few fit into a second.
    Row { race: Some(Duration::from_secs(2)), who: Who::Either, ..held(name) }.off(&["exec_stop"])
}

/// Everywhere but to the listener beside the attack.
const NOT_HERE: &str = "(allow network-outbound)(deny network-outbound (remote ip \"localhost:$1\"))";

const TO_LOCAL_SOCKETS: &str = "(allow network-outbound (remote unix-socket))";

fn sockets() -> Vec<Row> {
    vec![
        trapped("connect-tcp", &["connect"]).outside(Outside::Tcp),
        trapped("connect-any-address", &["connect"]).rules(NOT_HERE).outside(Outside::Tcp),
        trapped("connect-mapped-address", &["connect"]).rules(NOT_HERE).outside(Outside::Tcp),
        trapped("connect-mptcp", &["connect", "socket"]).outside(Outside::Tcp),
        trapped("connect-fastopen", &["sendto"]).outside(Outside::Tcp),
        trapped("connect-fastopen-message", &["sendmsg"]).outside(Outside::Tcp),
        trapped("udp-to-address", &["socket", "sendto"]).outside(Outside::Udp),
        trapped("udp-message", &["socket", "sendmsg"]).outside(Outside::Udp),
        trapped("udp-connected", &["socket", "connect"]).outside(Outside::Udp),
        trapped("listen-without-bind", &["listen"]),
        trapped("bind-tcp", &["bind"]),
        trapped("bind-local", &["bind"]),
        trapped("connect-local", &["connect"]).outside(Outside::Local),
        trapped("connect-local-through-link", &["connect"]).outside(Outside::Local),
        trapped("connect-abstract", &["connect"]).outside(Outside::Abstract),
        trapped("datagram-local", &["socket", "sendto"]).outside(Outside::Datagram),
        trapped("datagram-from-pair", &["socketpair", "sendto"]).outside(Outside::Datagram),
        trapped("receive-descriptor", &["connect"]).outside(Outside::Giver),
        trapped("receive-datagram-socket", &["sendmsg"])
            .rules("(allow network-bind network-inbound (local unix-socket (subpath \"$W/opened\")))")
            .outside(Outside::Visitor),
        trapped("bind-by-credentials", &["setsockopt"]).rules(TO_LOCAL_SOCKETS),
        trapped("bind-by-process-descriptor", &["setsockopt"]).rules(TO_LOCAL_SOCKETS),
        trapped("choose-interface", &["setsockopt"]).rules("(allow network-outbound (remote udp \"localhost:*\"))"),
        trapped("socket-netlink", &["socket"]),
        trapped("socket-packet", &["socket"]).without(&["capability_drop"]).who(Who::Root),
        trapped("socket-raw", &["socket"]).without(&["capability_drop"]).who(Who::Root),
        trapped("socket-vsock", &["socket"]),
    ]
}
