//! Where the works run: files made once, profiles, and the command lines of every variant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Peers, text};

/// Profile with the rights that [`bwrap`] gives.
pub(crate) const SAME_RIGHTS: &str = "same rights";

/// A directory with everything the works need; removed at the end.
pub(crate) struct Place {
    runtime: String,
    directory: tempfile::TempDir,
}

/// Reading is allowed but for secrets, writing in the working directory. Nothing is allowed everywhere, so every call on a
/// path is brought before the supervisor.
const TRAPPED: &str = r##"
(allow file-read* file-test-existence (subpath "/"))
(deny file-read*
  (subpath "/root/.ssh") (subpath "/root/.gnupg") (subpath "/root/.aws") (literal "/root/.netrc")
  (regex #"^/home/[^/]+/\.(ssh|gnupg|aws|netrc)(/|$)") (regex #"/\.env(\.[a-z]+)?$") (regex #"\.(pem|key)$"))
(allow file-read* (regex #"^/usr/.*\.(pem|key)$") (regex #"^/etc/ssl/certs/") (regex #"/target/"))
"##;

/// The same for writing; reading and looking are allowed everywhere, and left to the kernel.
const UNTRAPPED: &str = "(allow file-read* file-test-existence)\n";

const COMMON: &str = r#"(version 1)
(deny default)
(allow process-fork)
(allow process-exec* file-map-executable file-ioctl (subpath "/"))
(allow signal (target same-sandbox))
(allow sysctl-read)
(allow file-write* file-lock (subpath (param "WORK")) (subpath "/tmp"))
(allow file-write-data (literal "/dev/null") (literal "/dev/tty"))
"#;

/// What bubblewrap's root below gives: the system to read and execute, devices, one directory to write in, no network. It names the
/// loader's and the C library's directories itself and needs no overlay.
fn rights_of_root() -> String {
    let system: String = SYSTEM.iter().map(|at| format!(" (subpath \"{at}\")")).collect();
    format!(
        r#"(version 1)
(deny default)
(allow process-fork sysctl-read)
(allow signal (target same-sandbox))
(allow file-read* file-test-existence file-map-executable file-ioctl file-lock process-exec*{system})
(allow file-read* file-test-existence file-ioctl (subpath "/proc") (subpath "/dev"))
(allow file-write-data (literal "/dev/null") (literal "/dev/zero") (literal "/dev/full") (literal "/dev/tty"))
(allow file* (subpath (param "WORK")))
"#
    )
}

/// Directories of the system; some are links into another on most systems.
const SYSTEM: [&str; 5] = ["/usr", "/bin", "/lib", "/lib64", "/etc"];

impl Place {
    pub(crate) fn new(runtime: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("bench-enforce-").tempdir().unwrap();
        let place = Self { directory, runtime: runtime.to_owned() };
        fs::create_dir(place.work()).unwrap();
        for (name, rules) in [("trapped", TRAPPED), ("untrapped", UNTRAPPED)] {
            fs::write(place.profile(name), format!("{COMMON}{rules}")).unwrap();
        }
        fs::write(place.profile(SAME_RIGHTS), rights_of_root()).unwrap();
        place
    }

    /// The works' own directory.
    pub(crate) fn work(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("work")
    }

    fn profile(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.sb"))
    }

    /// Puts a copy of a program beside the profiles, and says where.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A git repository with `count` committed files in directories of 50.
    pub(crate) fn repository(&self, name: &str, count: usize) -> PathBuf {
        let at = self.work().join(name);
        for number in 0..count {
            self.file(&format!("{name}/part{}/file{number}.txt", number / 50), format!("{number}\n").as_bytes());
        }
        let git = |arguments: &[&str]| {
            let output = Command::new("git").arg("-C").arg(&at).args(arguments).output().unwrap();
            assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        git(&["init", "--quiet"]);
        git(&["add", "."]);
        git(&["-c", "user.name=n", "-c", "user.email=e@localhost", "commit", "--quiet", "-m", "all"]);
        at
    }

    /// `command` under `sandbox run` with the named profile.
    pub(crate) fn ours(&self, profile: &str, command: &[&str]) -> Command {
        let mut line = Command::new(&self.runtime);
        line.args(["sandbox", "run", "-D"]).arg(format!("WORK={}", text(&self.work()))).arg("--profile");
        line.arg(self.profile(profile));
        if profile != SAME_RIGHTS {
            line.args(["--overlay", "linux-base.sb"]);
        }
        line.arg("--").args(command);
        line
    }
}

/// `command` by itself.
pub(crate) fn native(command: &[&str]) -> Command {
    let mut line = Command::new(command[0]);
    line.args(&command[1..]);
    line
}

/// `command` under strace, which looks at every call on a path and writes it nowhere.
pub(crate) fn strace(peers: &Peers, command: &[&str]) -> Option<Command> {
    let mut line = Command::new(peers.strace.as_ref()?);
    line.args(["-f", "--seccomp-bpf", "-e", "trace=%file", "-o", "/dev/null", "--"]).args(command);
    Some(line)
}

/// `command` under syd, with its checks of reading, writing, looking and executing switched on and answered with "allow".
pub(crate) fn syd(peers: &Peers, command: &[&str]) -> Option<Command> {
    let mut line = Command::new(peers.syd.as_ref()?);
    // Everything else off: what is on without rules refuses. Names with "!" or "(" are refused by default.
    line.arg("-poff");
    for option in [
        "trace/allow_unsafe_exec_nopie:1",
        "trace/allow_unsafe_filename:1",
        "sandbox/read,write,stat,exec:on",
        "allow/read,write,stat,exec+/***",
    ] {
        line.args(["-m", option]);
    }
    line.arg("--").args(command);
    Some(line)
}

/// `command` in a root of the system directories only.
pub(crate) fn bwrap(peers: &Peers, command: &[&str]) -> Option<Command> {
    let mut line = Command::new(peers.bwrap.as_ref()?);
    for directory in SYSTEM {
        match fs::read_link(directory) {
            Ok(to) => line.args(["--symlink", &text(&to), directory]),
            Err(_) if Path::new(directory).exists() => line.args(["--ro-bind", directory, directory]),
            Err(_) => &mut line,
        };
    }
    line.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--unshare-all", "--die-with-parent"]);
    line.args(command);
    Some(line)
}
