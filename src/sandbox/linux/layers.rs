//! What this environment offers: probed, not assumed. Nothing here changes the process.

use std::fs::File;

use crate::os::linux::{memory, read_proc};
use crate::sandbox::SandboxError;
use crate::sandbox::report::Layers;

/// Oldest kernel: `WAIT_KILLABLE_RECV`, without which interrupted calls run twice.
const OLDEST: (u32, u32) = (5, 19);

/// Names of layers, as in reports and in `without_layers`.
pub(super) const SECCOMP: &str = "seccomp_notify";
pub(super) const LANDLOCK: &str = "landlock";
pub(super) const SIGNAL_SCOPE: &str = "landlock_scopes";
pub(super) const EXEC_STOP: &str = "exec_stop";
pub(super) const CAPABILITIES: &str = "capability_drop";

/// Layers without which nothing can be enforced.
const NEEDED: [&str; 6] = [SECCOMP, "kernel", "pidfd_getfd", "process_memory", "procfs", "yama"];

/// What `/proc/self/status` says: a filter or a loss of privileges that somebody else put this process under.
pub(in crate::sandbox) fn self_check() -> crate::sandbox::SelfCheck {
    crate::sandbox::SelfCheck { source: "proc_status", answer: Ok(probe().already_sandboxed == Some(true)) }
}

/// Names what keeps anything from being enforced here, with what was found of it.
pub(in crate::sandbox) fn obstacle(layers: &Layers) -> Option<SandboxError> {
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|name| !layers.has(name))
        .map(|name| match layers.layers.get(*name) {
            Some(layer) => format!("{name} ({})", layer.detail),
            None => (*name).to_owned(),
        })
        .collect();
    (!missing.is_empty()).then_some(SandboxError::MissingLayers { missing })
}

/// Probes the environment of this process.
pub(in crate::sandbox) fn probe() -> Layers {
    let mut layers = Layers::none("linux");
    let uname = rustix::system::uname();
    layers.kernel_release = uname.release().to_string_lossy().into_owned();
    layers.uid = rustix::process::getuid().as_raw();
    layers.yama_ptrace_scope = read_number("/proc/sys/kernel/yama/ptrace_scope");
    kernel(&mut layers);
    status(&mut layers);
    seccomp(&mut layers);
    landlock(&mut layers);
    process_access(&mut layers);
    layers
}

fn kernel(layers: &mut Layers) {
    let release = layers.kernel_release.clone();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (major, minor) = OLDEST;
    layers.add("kernel", version >= OLDEST, format!("{release}; {major}.{minor} or later is needed"));
    // Both came before the oldest kernel accepted.
    layers.add("addfd_send", version >= OLDEST, "descriptors are handed over and answered in one step (5.14)");
    let procfs = std::path::Path::new("/proc/self/stat").exists();
    layers.add("procfs", procfs, if procfs { "mounted at /proc" } else { "/proc is not a procfs" });
}

fn status(layers: &mut Layers) {
    let status = text("/proc/self/status").unwrap_or_default();
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let filtered = field("Seccomp:").is_some_and(|mode| mode != "0");
    let no_new_privs = field("NoNewPrivs:").is_some_and(|mode| mode != "0");
    layers.already_sandboxed = Some(filtered || no_new_privs);
    layers.add("no_new_privs", true, if no_new_privs { "in force already" } else { "can be set" });
    layers.add(CAPABILITIES, true, format!("effective now: {}", field("CapEff:").unwrap_or("unknown")));
}

fn seccomp(layers: &mut Layers) {
    let known = crate::os::linux::seccomp::action_available(libc::SECCOMP_RET_USER_NOTIF);
    let detail = if known { "user notification is known to this kernel" } else { "no user notification" };
    layers.add(SECCOMP, known, detail);
}

fn landlock(layers: &mut Layers) {
    let version = crate::os::linux::process::landlock_abi();
    layers.landlock_abi = version;
    layers.add(LANDLOCK, version >= 1, format!("ABI {version}"));
    layers.add(SIGNAL_SCOPE, version >= 6, "signals and abstract sockets stay inside (ABI 6)");
}

fn process_access(layers: &mut Layers) {
    // On oneself neither Yama nor credentials are asked, so this finds out whether the calls exist and are not filtered.
    let mut byte = [0];
    let probe = [7_u8];
    let own = std::process::id().cast_signed();
    let read = memory::read_exact(own, probe.as_ptr() as u64, &mut byte).map(|()| byte[0]);
    let readable = read == Ok(7);
    layers.add("process_memory", readable, if readable { "process_vm_readv works" } else { "process_vm_readv fails" });
    let pidfd =
        rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()).and_then(|own| {
            let flags = rustix::process::PidfdGetfdFlags::empty();
            let file = File::open("/proc/self/stat").map_err(|_| rustix::io::Errno::NOENT)?;
            let number = crate::os::linux::process::number_of(std::os::fd::AsFd::as_fd(&file));
            rustix::process::pidfd_getfd(own, number, flags)
        });
    let detail = match &pidfd {
        Ok(_) => "works".to_owned(),
        Err(errno) => format!("fails: {errno}"),
    };
    layers.add("pidfd_getfd", pidfd.is_ok(), detail);
    match crate::os::linux::trace::available() {
        Ok(()) => layers.add(EXEC_STOP, true, "programs can be held before their first instruction (ptrace)"),
        Err(errno) => layers.add(EXEC_STOP, false, format!("ptrace fails: {errno}")),
    }
    match layers.yama_ptrace_scope {
        Some(scope) if scope >= 2 => {
            layers.add(
                "yama",
                false,
                format!("ptrace_scope {scope} lets no ordinary ancestor read a program's memory"),
            );
        }
        Some(scope) => layers.add("yama", true, format!("ptrace_scope {scope}; an ancestor may read its descendants")),
        None => layers.add("yama", true, "not active"),
    }
}

fn read_number(path: &str) -> Option<u32> {
    text(path)?.trim().parse().ok()
}

fn text(path: &str) -> Option<String> {
    String::from_utf8(read_proc(&File::open(path).ok()?).ok()?).ok()
}
