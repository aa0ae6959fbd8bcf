//! A root with a stand-in app in its default place, and what came of a command there.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use runtime::base::json;
use runtime::schema::{self, Validator};
use serde_json::Value;

/// The command under test.
pub(crate) const RUNTIME: &str = env!("CARGO_BIN_EXE_runtime");
const FAKE: &str = env!("CARGO_BIN_EXE_entitlement-jail-fake");
const APP: &str = "book/tools/entitlement/EntitlementJail.app/Contents/MacOS";

/// A place for one test.
pub(crate) struct Place(tempfile::TempDir);

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        json::read(self.stdout.as_bytes()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Place {
    /// A place whose app has both programs.
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::Builder::new().prefix("ej-").tempdir_in("/tmp").unwrap());
        for folder in [APP, "home", "tmp"] {
            std::fs::create_dir_all(place.path(folder)).unwrap();
        }
        std::fs::write(place.path("AGENTS.md"), "").unwrap();
        for program in ["entitlement-jail", "sandbox-log-observer"] {
            std::os::unix::fs::symlink(FAKE, place.path(APP).join(program)).unwrap();
        }
        place
    }

    pub(crate) fn without_observer(self) -> Self {
        std::fs::remove_file(self.path(APP).join("sandbox-log-observer")).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// A command of the program under test, in an environment that holds nothing else.
    pub(crate) fn command(&self, words: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(RUNTIME);
        command.args(words).current_dir(self.path("")).env_clear().env("PATH", "/usr/bin:/bin").env("TZ", "UTC0");
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp")).env("EJ_FAKE_PIDS", self.path("pids"));
        command.envs(env.iter().copied());
        command
    }

    pub(crate) fn run(&self, words: &[&str], env: &[(&str, &str)]) -> Ran {
        let begin = Instant::now();
        let output = self.command(words, env).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            took: begin.elapsed(),
        }
    }

    /// Runs a command that leaves a record, and looks at everything it left: no process, no named pipe, no private directory;
    /// a bundle that is what its index says; a record that meets its schema. Returns the record.
    pub(crate) fn record(&self, words: &[&str], env: &[(&str, &str)]) -> (Ran, Value) {
        let all: Vec<&str> = ["entitlement-jail"].into_iter().chain(words.iter().copied()).collect();
        let ran = self.run(&all, env);
        self.nothing_is_left();
        let latest =
            std::fs::read_to_string(self.path("out/LATEST")).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let run_dir = self.path("out").join(latest.trim());
        let record = json::read(&std::fs::read(run_dir.join("entitlement_jail.json")).unwrap()).unwrap();
        let bundle = self.run(&["validate-bundle", "--bundle", run_dir.to_str().unwrap()], &[]);
        assert_eq!(bundle.status, 0, "{bundle:?}");
        meets_schema(&record);
        (ran, record)
    }

    /// The file that a record names, relative to the root.
    pub(crate) fn bytes(&self, recorded: &Value) -> Vec<u8> {
        let path = self.path(recorded.as_str().unwrap_or_else(|| panic!("no path: {recorded}")));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn nothing_is_left(&self) {
        let pids = std::fs::read_to_string(self.path("pids")).unwrap_or_default();
        let until = Instant::now() + Duration::from_secs(20);
        for pid in pids.lines() {
            while is_alive(pid) {
                assert!(Instant::now() < until, "process {pid} is left");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let fifos: Vec<PathBuf> = walkdir::WalkDir::new(self.path(""))
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_fifo())
            .map(walkdir::DirEntry::into_path)
            .filter(|path| !path.ends_with("own.fifo"))
            .collect();
        assert_eq!(fifos, Vec::<PathBuf>::new());
        let left: Vec<PathBuf> =
            std::fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, Vec::<PathBuf>::new());
    }
}

/// Whether a process runs; one that ended and that nobody has waited for does not.
fn is_alive(pid: &str) -> bool {
    if cfg!(target_os = "linux") {
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
        return stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']));
    }
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}

/// Holds a record to the schema that its tag names.
pub(crate) fn meets_schema(record: &Value) {
    let tag = schema::tag_of(record).unwrap_or_else(|| panic!("no tag: {record:#}"));
    let schema = schema::by_tag(tag, record).unwrap_or_else(|| panic!("no schema for {tag}"));
    let violations = Validator::of(schema).violations(record);
    assert!(violations.is_empty(), "{violations:#?}\n{record:#}");
}

/// The words of a list in a record.
pub(crate) fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}
