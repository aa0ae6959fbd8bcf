//! What the benchmarks of whole programs share: command line, rounds and ratios, the printed table, the program under test.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "whole processes are what is measured")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a measurement")]

mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use measure::{Measured, Rounds, Variant, answer_peak, median, peak_bytes, timed};

/// What the command line asks for: `[--quick] [--json] [--runtime FILE] [WORK…]`.
#[derive(Debug)]
pub struct Asked {
    /// One round of everything at a fraction of its size: shows that the benchmark works, measures nothing.
    pub quick: bool,
    json: bool,
    runtime: PathBuf,
    only: Vec<String>,
}

impl Asked {
    /// Reads the command line; without `--runtime` the program is built as it is handed out (`cargo xtask dist`).
    ///
    /// # Panics
    /// Unknown options, and a build that fails.
    #[must_use]
    pub fn from_arguments() -> Self {
        let (mut quick, mut json, mut runtime, mut only) = (false, false, None, Vec::new());
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => quick = true,
                "--json" => json = true,
                "--runtime" => runtime = Some(PathBuf::from(arguments.next().expect("--runtime takes a file"))),
                // What cargo adds.
                "--bench" => {}
                option if option.starts_with('-') => panic!("unknown option {option}"),
                work => only.push(work.to_owned()),
            }
        }
        let runtime = runtime.unwrap_or_else(built);
        assert!(runtime.is_file(), "{} is not there", runtime.display());
        Self { quick, json, runtime: runtime.canonicalize().unwrap(), only }
    }

    /// Whether a work is to be measured.
    #[must_use]
    pub fn wants(&self, work: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| work.starts_with(only.as_str()))
    }

    /// The program under test, by absolute path.
    #[must_use]
    pub fn runtime(&self) -> &str {
        self.runtime.to_str().unwrap()
    }

    /// Prints all results. `peers` are the programs compared with and their versions; `before` is the load average at the
    /// start ([`load`]).
    pub fn print(&self, peers: &[(&'static str, Option<String>)], results: &[Measured], before: &str) {
        assert!(!results.is_empty(), "no such work");
        let after = load();
        if self.json {
            let peers: std::collections::BTreeMap<_, _> = peers.iter().cloned().collect();
            let document = serde_json::json!({
                "machine": machine(),
                "quick": self.quick,
                "load_average": { "before": before, "after": after },
                "peers": peers,
                "results": results.iter().map(Measured::json).collect::<Vec<_>>(),
            });
            println!("{document:#}");
            return;
        }
        println!("{}", machine());
        println!("load average before: {before}; after: {after}");
        for (name, version) in peers {
            println!("{name}: {}", version.as_deref().unwrap_or("not installed, not compared"));
        }
        if self.quick {
            println!("quick: the figures below show that the benchmark works, nothing else");
        }
        println!();
        println!("{:<44} {:>12} {:>12} {:>8} {:>8}  ", "ratio", "first", "second", "ratio", "bar");
        for measured in results {
            println!("{}", measured.line());
        }
    }
}

/// Builds the program as it is handed out and says where it is.
fn built() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("cargo xtask dist");
    let output =
        Command::new(cargo).args(["xtask", "dist"]).current_dir(root).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the build failed");
    let printed = String::from_utf8(output.stdout).unwrap();
    PathBuf::from(printed.lines().last().expect("the last line is the path"))
}

/// The first file of this name in `PATH`.
#[must_use]
pub fn find_program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())?;
    found.to_str().map(str::to_owned)
}

/// The first line that a program prints when asked for its version.
#[must_use]
pub fn version_of(program: Option<&str>) -> Option<String> {
    let output = Command::new(program?).arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

/// The load averages of the last 1, 5 and 15 minutes; empty where the system does not say.
#[must_use]
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn machine() -> String {
    let uname = rustix::system::uname();
    let cores = std::thread::available_parallelism().unwrap();
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |name| name.trim_start_matches([' ', '\t', ':']));
    let system = format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
    format!("{system}, {cores} cores, {cpu}{}", idle().map(|idle| format!(", {idle}")).unwrap_or_default())
}

/// How processors of a virtual machine wait for work, which decides what waking one costs: those that poll answer at once, those
/// that halt have to be started by the host (Linux, Documentation/virt/guest-halt-polling.rst; 200,000 ns unless set).
fn idle() -> Option<String> {
    let governor = std::fs::read_to_string("/sys/devices/system/cpu/cpuidle/current_governor").ok()?;
    if governor.trim() != "haltpoll" {
        return None;
    }
    let polls = std::fs::read_to_string("/sys/module/haltpoll/parameters/guest_halt_poll_ns").ok()?;
    Some(format!("idle ones poll for at most {} ns before they halt", polls.trim()))
}
