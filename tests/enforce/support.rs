//! A place to run in, users to run as, and what came of a run.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Who a test runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Own,
    /// The system's nobody.
    Nobody,
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Tells what is not tested here, past the test harness, which shows only what failing tests print. Where the variable
/// `RUNTIME_TESTS_SKIP_NOTHING` says that the machine has everything, it is a failure.
#[track_caller]
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    assert!(std::env::var_os("RUNTIME_TESTS_SKIP_NOTHING").is_none(), "nothing may be skipped here: {what}");
}

/// Whether a race without its protection is won once in some runs: who wins one run is up to the scheduler. A race with its
/// protection is run once, and must not be won.
pub(crate) fn won_at_some_time(mut race: impl FnMut() -> u64) -> bool {
    (0..10).any(|_| race() > 0)
}

/// Runs a test once per user that can be had here.
pub(crate) fn each_user(test: impl Fn(&Place)) {
    if is_root() {
        test(&Place::new(User::Nobody));
    } else {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| skipped("the runs as another user, because the tests do not run as root"));
    }
    test(&Place::new(User::Own));
}

/// The programs under test, copied to where every user can read them.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<tempfile::TempDir> = OnceLock::new();
    PROGRAMS
        .get_or_init(|| {
            let directory = open_directory();
            for (name, from) in
                [("runtime", env!("CARGO_BIN_EXE_runtime")), ("fake", env!("CARGO_BIN_EXE_enforce-fake"))]
            {
                let to = directory.path().join(name);
                fs::copy(from, &to).unwrap();
                fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
            }
            directory
        })
        .path()
}

pub(crate) fn open_directory() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("enforce-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A directory of the user's own, with a profile in it.
pub(crate) struct Place {
    pub(crate) user: User,
    directory: tempfile::TempDir,
    extra: Vec<String>,
}

/// Directories in each other.
pub(crate) struct Nested {
    root: PathBuf,
    pub(crate) last: std::os::fd::OwnedFd,
}

impl Nested {
    /// Makes one more in the last, which it is from now on.
    pub(crate) fn enter(&mut self, name: &str) {
        use rustix::fs::{Mode, OFlags, mkdirat, openat};
        mkdirat(&self.last, name, Mode::from_raw_mode(0o755)).unwrap();
        self.last = openat(&self.last, name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        // What removes the place holds a descriptor per level.
        let _ = Command::new("rm").arg("-rf").arg(&self.root).status();
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) denials: Vec<Value>,
    pub(crate) report: Value,
}

impl Place {
    /// Runs `race` while the link `name` is led to one of two targets and the other from outside, over and over.
    pub(crate) fn while_exchanging<T>(&self, name: &str, targets: [&str; 2], race: impl FnOnce() -> T) -> T {
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for target in targets {
                        std::os::unix::fs::symlink(target, self.path("next")).unwrap();
                        fs::rename(self.path("next"), self.path(name)).unwrap();
                    }
                }
            });
            let outcome = race();
            stop.store(true, Ordering::Relaxed);
            outcome
        })
    }

    pub(crate) fn new(user: User) -> Self {
        let place = Self { user, directory: open_directory(), extra: Vec::new() };
        fs::create_dir(place.root()).unwrap();
        place.own(&place.root());
        place
    }

    /// Further options of `sandbox run`.
    pub(crate) fn with(mut self, options: &[&str]) -> Self {
        self.extra = options.iter().map(|option| (*option).to_owned()).collect();
        self
    }

    /// The directory the tested programs work in.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("area")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.root().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn own(&self, path: &Path) {
        if self.user == User::Nobody {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// Makes a file of the user's.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.root().join(name);
        fs::write(&path, text).unwrap();
        self.own(&path);
        self.path(name)
    }

    pub(crate) fn directory(&self, name: &str) -> String {
        let path = self.root().join(name);
        fs::create_dir(&path).unwrap();
        self.own(&path);
        self.path(name)
    }

    /// Makes directories in each other, each called `a` but the first, and opens the last.
    pub(crate) fn nested(&self, name: &str, levels: usize) -> Nested {
        let last = fs::File::open(self.directory(name)).unwrap().into();
        let mut nested = Nested { root: self.root(), last };
        (1..levels).for_each(|_| nested.enter("a"));
        nested
    }

    pub(crate) fn link(&self, name: &str, to: &str) -> String {
        let path = self.root().join(name);
        std::os::unix::fs::symlink(to, &path).unwrap();
        if self.user == User::Nobody {
            std::os::unix::fs::lchown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        self.path(name)
    }

    pub(crate) fn fifo(&self, name: &str) -> String {
        let path = self.root().join(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        self.own(&path);
        self.path(name)
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.root().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root().join(name)).ok()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.root().join(name).symlink_metadata().is_ok()
    }

    /// The attacking program.
    pub(crate) fn fake(&self) -> String {
        programs().join("fake").to_str().unwrap().to_owned()
    }

    /// The profile of a run: rules with `$W` for the working directory, after a base that lets programs of `/usr` and the
    /// attacking program start.
    pub(crate) fn profile(&self, rules: &str) -> PathBuf {
        let base = format!(
            "(version 1)\n(deny default)\n(allow process-fork)\n\
             (allow process-exec* (subpath \"/usr/bin\") (literal \"{0}\"))\n\
             (allow file-read-data file-read-metadata (subpath \"/usr/bin\") (literal \"{0}\"))\n\
             (allow file-read-metadata (path-ancestors \"$W/x\") (literal \"/dev/fd\"))\n",
            self.fake()
        );
        let text = format!("{base}{rules}\n").replace("$W", self.root().to_str().unwrap());
        let path = self.directory.path().join("profile.sb");
        fs::write(&path, text).unwrap();
        path
    }

    /// The command line of a run, to be started as the place's user.
    pub(crate) fn command(&self, rules: &str, command: &[&str]) -> Command {
        self.confined(&self.profile(rules), command)
    }

    /// The command line of a run under the profile in a file.
    pub(crate) fn confined(&self, profile: &Path, command: &[&str]) -> Command {
        let out = self.directory.path().join("out");
        let _ = fs::create_dir(&out);
        self.own(&out);
        let mut run = Command::new(programs().join("runtime"));
        run.args(["sandbox", "run", "--overlay", "linux-base.sb", "--profile"]).arg(profile);
        run.arg("--denials").arg(out.join("denials")).arg("--report").arg(out.join("report"));
        run.args(&self.extra).arg("--").args(command);
        run.current_dir(self.root()).stdin(Stdio::null()).env_clear().env("PATH", "/usr/bin:/bin");
        if self.user == User::Nobody {
            run.uid(NOBODY).gid(NOBODY);
        }
        run
    }

    /// Has a command run as the place's user.
    pub(crate) fn runs_as_user(&self, command: &mut Command) {
        if self.user == User::Nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
    }

    /// The refusals that the last run recorded.
    pub(crate) fn denials(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("out/denials")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command under rules, at most 60 seconds.
    pub(crate) fn run(&self, rules: &str, command: &[&str]) -> Ran {
        self.run_reading(rules, command, Stdio::null())
    }

    /// The same with something to read.
    pub(crate) fn run_reading(&self, rules: &str, command: &[&str], stdin: impl Into<Stdio>) -> Ran {
        let run = self.command(rules, command);
        let mut guarded = self.guarded();
        guarded.stdin(stdin);
        guarded.arg(run.get_program()).args(run.get_args());
        self.ran(&guarded.output().unwrap())
    }

    /// What a command prints without any sandbox.
    pub(crate) fn plainly(&self, command: &[&str]) -> String {
        let output = self.guarded().args(command).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The start of a command line that ends by itself.
    pub(crate) fn guarded(&self) -> Command {
        let mut guarded = Command::new("timeout");
        guarded.args(["-s", "KILL", "60"]);
        guarded.current_dir(self.root()).stdin(Stdio::null()).env_clear().env("PATH", "/usr/bin:/bin");
        if self.user == User::Nobody {
            guarded.uid(NOBODY).gid(NOBODY);
        }
        guarded
    }

    pub(crate) fn ran(&self, output: &Output) -> Ran {
        let out = self.directory.path().join("out");
        let text = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_default();
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            denials: text("denials").lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            report: serde_json::from_str(&text("report")).unwrap_or(Value::Null),
        }
    }
}

impl Ran {
    /// Whether a refusal of that operation on that target was recorded, with the profile's line (from 1) if given.
    pub(crate) fn denied(&self, operation: &str, target: &str) -> bool {
        self.denials.iter().any(|denial| denial["operation"] == operation && denial["target"] == target)
    }

    /// The rule of a recorded refusal.
    pub(crate) fn rule(&self, operation: &str, target: &str) -> Option<&str> {
        self.denials
            .iter()
            .find(|denial| denial["operation"] == operation && denial["target"] == target)
            .and_then(|denial| denial["rule"].as_str())
    }

    /// Whether any refusal of that operation was recorded.
    pub(crate) fn denied_any(&self, operation: &str) -> bool {
        self.denials.iter().any(|denial| denial["operation"] == operation)
    }

    /// Asserts that the command ended well.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.status, 0, "{self:#?}");
        self
    }

    /// Asserts that the command failed.
    #[track_caller]
    pub(crate) fn bad(self) -> Self {
        assert_ne!(self.status, 0, "{self:#?}");
        self
    }
}
