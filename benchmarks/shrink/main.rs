//! How many runs it takes to find out which rules of a profile are needed: `cargo bench -p benchmarks --bench shrink`.
//!
//! A profile of single `allow` forms, of which some are needed, scattered by a fixed seed; beside these the program asks for
//! more that it can do without. Every method asks the same thing of the same program: does it succeed under this profile,
//! enforced by `sandbox run`? All executions are counted, ours with those before and after the search and those repeated. All must end
//! with the same rules or fewer. Peers that are not installed are named. `docs/benchmarks.md` holds the bars and figures.
//!
//!   cargo bench -p benchmarks --bench shrink [-- [--quick] [--json] [--runtime FILE] [79] [200] [500]]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "whole processes are what is measured")]
#![expect(clippy::print_stderr, reason = "the result of a measurement")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use benchmarks::{Asked, Measured, find_program, load, version_of};

/// What makes this program the one that is confined: `WORD NEEDED.. -- MORE..` reads files, and fails when a needed one cannot be.
const WORD: &str = "__read";

/// Programs that make a text smaller by asking a test.
const PEERS: [&str; 3] = ["picire", "cvise", "shrinkray"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == WORD) {
        let (needed, more) = words[1..].split_at(words[1..].iter().position(|word| word == "--").unwrap());
        more.iter().for_each(|file| drop(std::fs::read(file)));
        return ExitCode::from(u8::from(!needed.iter().all(|file| std::fs::read(file).is_ok())));
    }
    let asked = Asked::from_arguments();
    let before = load();
    let mut results = Vec::new();
    for (name, rules, needed) in [("79", 79, 12), ("200", 200, 20), ("500", 500, 50)] {
        if asked.wants(name) && (!asked.quick || rules < 100) {
            Case::new(asked.runtime(), rules, needed).measure(name, asked.quick, &mut |measured| {
                eprintln!("  {}", measured.line());
                results.push(measured);
            });
        }
    }
    let peers: Vec<_> = PEERS.map(|name| (name, find_program(name))).into();
    // Not every peer says which version it is.
    let version = |path: &str| version_of(Some(path)).unwrap_or_else(|| path.to_owned());
    let versions: Vec<_> = peers.iter().map(|(name, path)| (*name, path.as_deref().map(version))).collect();
    asked.print(&versions, &results, &before);
    ExitCode::SUCCESS
}

/// A profile, the program that needs some of it, and a test for others that counts how often it is asked.
struct Case {
    directory: tempfile::TempDir,
    runtime: PathBuf,
    /// Arguments of the program.
    words: Vec<String>,
    /// Candidates: rules of the files, and those that start the program.
    candidates: usize,
    required: usize,
}

impl Case {
    fn new(runtime: &str, rules: usize, needed: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().canonicalize().unwrap().join(name);
        let program = std::env::current_exe().unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        let mut order: Vec<usize> = (0..rules).collect();
        random.shuffle(&mut order);
        let needed: BTreeSet<usize> = order[..needed].iter().copied().collect();
        // As many as in a trace: six in ten of those needed are asked for beside them.
        let more: BTreeSet<usize> = order[needed.len()..needed.len() * 8 / 5].iter().copied().collect();
        // What starts the program is one rule that nobody can take apart, and is needed.
        let mut text = format!(
            "(version 1)\n(deny default)\n(allow process-exec* (literal \"{}\"))\n(allow process-exec-interpreter (subpath \"/\"))\n\
             (allow file-map-executable (subpath \"/\"))\n(allow file-read-metadata (subpath \"/\"))\n\
             (allow file-read-data (require-all (subpath \"/\") (require-not (subpath \"{}\"))))\n",
            program.display(),
            path("files").display()
        );
        std::fs::create_dir(path("files")).unwrap();
        for rule in 0..rules {
            let file = path("files").join(rule.to_string());
            std::fs::write(&file, "x").unwrap();
            writeln!(text, "(allow file-read-data (literal \"{}\"))", file.display()).unwrap();
        }
        std::fs::write(path("profile.sb"), &text).unwrap();
        let named = |set: &BTreeSet<usize>| -> Vec<String> {
            set.iter().map(|rule| path("files").join(rule.to_string()).to_str().unwrap().to_owned()).collect()
        };
        let mut words = vec![program.to_str().unwrap().to_owned(), WORD.to_owned()];
        words.extend(named(&needed));
        words.push("--".to_owned());
        words.extend(named(&more));
        let case =
            Self { directory, runtime: runtime.into(), words, candidates: rules + 5, required: needed.len() + 5 };
        case.write_test("test.sh", "profile=$1");
        // C-Vise names no file: it changes to a directory that holds one.
        case.write_test("here.sh", "profile=profile.sb");
        // Shrink Ray hands the text over on standard input.
        case.write_test("stdin.sh", "profile=$0.$$; trap 'rm -f \"$profile\"' EXIT; cat >\"$profile\"");
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    /// `find` sets `profile` to the file to be judged.
    fn write_test(&self, name: &str, find: &str) {
        let quoted: Vec<String> = self.words.iter().map(|word| format!("'{word}'")).collect();
        let text = format!(
            "#!/bin/sh\nprintf x >>'{}'\n{find}\n'{}' sandbox run --profile \"$profile\" -- {} </dev/null >/dev/null 2>&1\n",
            self.path("count").display(),
            self.runtime.display(),
            quoted.join(" ")
        );
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn succeeds(&self, profile: &Path) -> bool {
        Command::new(self.path("test.sh")).arg(profile).status().unwrap().success()
    }

    /// Executions since the last time.
    fn counted(&self) -> f64 {
        let count = std::fs::read(self.path("count")).map_or(0, |bytes| bytes.len());
        let _ = std::fs::remove_file(self.path("count"));
        count as f64
    }

    fn measure(&self, name: &str, quick: bool, found: &mut dyn FnMut(Measured)) {
        let (candidates, required) = (self.candidates as f64, self.required as f64);
        let (traced, repeats) = self.ours(&[]);
        found(runs(name, "traced / required + 10 + repeats", traced, required + 10.0 + repeats, Some(1.0)));
        let (blind, _) = self.ours(&["--blind"]);
        found(runs(
            name,
            "blind / candidates",
            blind,
            candidates,
            Some(if self.required * 10 <= self.candidates { 0.8 } else { 1.1 }),
        ));
        let all = self.one_by_one();
        found(runs(name, "traced / one by one", traced, all, None));
        found(runs(name, "blind / one by one", blind, all, None));
        for peer in PEERS {
            // The others need thousands of runs for the smallest profile.
            let patient = peer == "picire" || (!quick && self.candidates < 100);
            let Some(program) = find_program(peer).filter(|_| patient) else { continue };
            let mut command = match peer {
                "picire" => self.picire(&program),
                "cvise" => self.cvise(&program),
                _ => self.shrinkray(&program),
            };
            let _ = self.counted();
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            let count = self.counted();
            assert!(status.success() && count > 0.0, "{peer} ended with {status} after {count} runs");
            found(runs(name, &format!("traced / {peer}"), traced, count, Some(1.0)));
            found(runs(name, &format!("blind / {peer}"), blind, count, Some(1.0)));
        }
    }

    /// Runs of `shrink-trace shrink`, and how many of them repeat a run under the same profile.
    fn ours(&self, more: &[&str]) -> (f64, f64) {
        let mut command = Command::new(&self.runtime);
        command.args(["shrink-trace", "shrink", "--out", "out", "--profile", "profile.sb"]).args(more);
        command.arg("--cmd").arg(&self.words[0]).arg("--").args(&self.words[1..]);
        let output = command.current_dir(self.directory.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let record: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.path("out/run.json")).unwrap()).unwrap();
        assert_eq!(record["shrink"]["kept"], self.required, "{record:#}");
        // Both runs before the search and both after it are of two profiles that the search asks about anyway.
        (record["shrink"]["runs"].as_f64().unwrap(), 4.0)
    }

    /// Executions of the plain method, last rule first.
    fn one_by_one(&self) -> f64 {
        let _ = self.counted();
        let text = std::fs::read_to_string(self.path("profile.sb")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        for at in (2..lines.len()).rev() {
            let line = lines.remove(at);
            std::fs::write(self.path("less.sb"), lines.join("\n")).unwrap();
            if !self.succeeds(&self.path("less.sb")) {
                lines.insert(at, line);
            }
        }
        assert_eq!(lines.len() - 2, self.required);
        self.counted()
    }

    fn picire(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-i").arg(self.path("profile.sb")).arg("--test").arg(self.path("test.sh"));
        command.args(["--complement-first", "-q", "-o"]).arg(self.path("picire"));
        command
    }

    fn cvise(&self, program: &str) -> Command {
        let work = self.path("cvise");
        std::fs::create_dir_all(&work).unwrap();
        std::fs::copy(self.path("profile.sb"), work.join("profile.sb")).unwrap();
        let mut command = Command::new(program);
        command.args(["--not-c", "--n", "2"]).arg(self.path("here.sh")).arg("profile.sb").current_dir(work);
        command
    }

    fn shrinkray(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["--parallelism", "2", "--seed", "3"]).arg(self.path("stdin.sh")).arg(self.path("profile.sb"));
        command
    }
}

fn runs(name: &str, what: &str, first: f64, second: f64, bar: Option<f64>) -> Measured {
    Measured { name: format!("{name} rules: {what}"), sides: (first, second), unit: "runs", ratio: first / second, bar }
}
