//! Sixteen callers at one root: they run, repair, validate, list and promote, and are killed at random. No reader sees a torn
//! state, nothing that was reported committed is lost, and the lock is honoured in both modes.
//!
//! The nightly form makes many more operations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::bound::{Bound, nightly};
use crate::small_run::{SmallRun, latest};
use crate::suite::RUNTIME;
use crate::support::{text, validate};

const CALLERS: u64 = 16;

/// Operations, and how many of them must have been made when the time is up; when it is not night, and when it is.
const SHORT: (usize, usize) = (40, 24);
const LONG: (usize, usize) = (2_000, 150);
const LIMIT: Duration = Duration::from_secs(300);

/// Runs that are damaged and repaired; none of them is ever the latest.
const VICTIMS: usize = 2;

struct Arena<'a> {
    small: &'a SmallRun,
    root: PathBuf,
    victims: Vec<String>,
    bound: Bound,
    counts: Mutex<BTreeMap<String, usize>>,
    committed: Mutex<BTreeSet<String>>,
}

impl Arena<'_> {
    fn count(&self, what: impl Into<String>) {
        *self.counts.lock().unwrap().entry(what.into()).or_insert(0) += 1;
    }

    /// Runs a command, perhaps killing it; what it printed, unless it was killed.
    fn call(&self, mut command: Command, random: &mut fastrand::Rng, kill: bool) -> Option<Output> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        if kill && random.u8(..) < 80 {
            std::thread::sleep(Duration::from_millis(random.u64(..120)));
            let ended = child.try_wait().unwrap().is_some();
            let _ = child.kill();
            if !ended {
                child.wait().unwrap();
                self.count("killed");
                return None;
            }
        }
        Some(child.wait_with_output().unwrap())
    }

    fn runtime(&self, words: &[&str]) -> Command {
        let mut command = Command::new(RUNTIME);
        command.args(words);
        command
    }

    fn run(&self, random: &mut fastrand::Rng) {
        let waits = random.bool();
        let mut command = self.small.command(&[], &self.root, random.u8(..) < 200);
        if waits {
            command.args(["--lock-mode", "wait", "--lock-timeout-seconds", "60"]);
        }
        let Some(output) = self.call(command, random, true) else { return };
        let (told, said) = (text(&output.stderr), text(&output.stdout));
        match output.status.code() {
            Some(0) => {
                let run = said.lines().find_map(|line| line.strip_prefix("[+] wrote ")).unwrap();
                let run = Path::new(run).file_name().unwrap().to_str().unwrap().to_owned();
                assert!(self.committed.lock().unwrap().insert(run), "a run id twice");
                self.count(if waits { "runs committed, waiting" } else { "runs committed, not waiting" });
            }
            Some(1) if told.contains("is held by") && !waits => self.count("runs refused, not waiting"),
            other => panic!("run, waits {waits}: {other:?}: {told}"),
        }
    }

    /// A victim gets other bytes now and then, and is repaired.
    fn repair(&self, random: &mut fastrand::Rng) {
        let victim = self.root.join(random.choice(&self.victims).unwrap());
        let damaged = random.bool();
        if damaged {
            let other = self.root.join(format!(".damage-{}", random.u64(..)));
            std::fs::write(&other, random.u64(..).to_string()).unwrap();
            std::fs::rename(&other, victim.join("summary.md")).unwrap();
        }
        let words = ["reindex-bundle", "--repair", "--lock-mode", "wait", "--lock-timeout-seconds", "60", "--bundle"];
        let mut command = self.runtime(&words);
        command.arg(&victim);
        let Some(output) = self.call(command, random, true) else { return };
        // It may be damaged again before it is looked at for the last time.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
        self.count(if text(&output.stdout).contains("reindexed") { "repairs" } else { "repairs of nothing" });
    }

    fn validate(&self, random: &mut fastrand::Rng) {
        let victim = random.u8(..) < 80;
        let path = if victim { self.root.join(random.choice(&self.victims).unwrap()) } else { self.root.clone() };
        let (exit, document) = validate(&path);
        if victim {
            // Whatever is damaged or half repaired is one of these two; anything else would be torn.
            let errors = document["findings"].as_array().unwrap().iter().filter(|f| f["severity"] == "error");
            let files: BTreeSet<&str> = errors.filter_map(|finding| finding["file"].as_str()).collect();
            assert!(files.is_subset(&BTreeSet::from(["summary.md", "repair_log.json"])), "{document}");
            self.count(if exit == 0 { "victims read, valid" } else { "victims read, refused" });
        } else {
            assert_eq!(exit, 0, "LATEST leads to a valid run at any time: {document}");
            self.count("roots read");
        }
    }

    fn promote(&self, random: &mut fastrand::Rng) {
        let packet = self.small.path().join(format!("packet-{}.json", random.u8(..8)));
        let mut command = self.runtime(&["emit-promotion", "--out"]);
        command.arg(&packet).arg("--bundle").arg(&self.root);
        let Some(output) = self.call(command, random, true) else { return };
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        // Others write packets to the same place: whichever stands there is whole, and true.
        let mut command = self.runtime(&["--json", "promotion", "verify", "--packet"]);
        command.arg(&packet);
        let Some(output) = self.call(command, random, false) else { return };
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &answer["ok"]), (Some(0), &true.into()), "{answer}");
        self.count("packets emitted and verified");
    }

    fn list(&self, random: &mut fastrand::Rng) {
        let committed: Vec<String> = self.committed.lock().unwrap().iter().cloned().collect();
        let command = self.runtime(&["--json", "bundle", "list", "--bundle", self.root.to_str().unwrap()]);
        let Some(output) = self.call(command, random, false) else { return };
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let runs = answer["runs"].as_array().unwrap();
        let at_work = runs.iter().filter(|run| run["life"] == "in-progress").count();
        assert!(at_work <= 1, "one writer at a time: {answer}");
        for run in committed {
            let listed = runs.iter().find(|listed| listed["run_id"] == run.as_str());
            assert_eq!(listed.map(|run| &run["life"]), Some(&"committed".into()), "{run}: {answer}");
        }
        self.count("lists");
    }

    fn caller(&self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        while self.bound.next().is_some() {
            match random.u8(..10) {
                0..4 => self.run(&mut random),
                4..6 => self.repair(&mut random),
                6..8 => self.validate(&mut random),
                8 => self.promote(&mut random),
                _ => self.list(&mut random),
            }
        }
    }
}

#[test]
fn sixteen_callers_that_are_killed_at_random_lose_and_tear_nothing() {
    let small = SmallRun::new();
    let root = small.path().join("out");
    let victims = (0..VICTIMS).map(|_| small.commit(&root)).collect();
    let first = small.commit(&root);
    let (all, least) = if nightly() { LONG } else { SHORT };
    let bound = Bound::new("operations of sixteen callers", all, least, LIMIT);
    let committed = Mutex::new(BTreeSet::from([first]));
    let arena = Arena { small: &small, root, victims, bound, counts: Mutex::default(), committed };
    std::thread::scope(|scope| {
        for seed in 0..CALLERS {
            let arena = &arena;
            scope.spawn(move || arena.caller(seed));
        }
    });
    // Nobody is left: every run is valid, or refused by name because its writer was killed; victims can be repaired.
    for victim in &arena.victims {
        let run = arena.root.join(victim);
        let output =
            arena.runtime(&["reindex-bundle", "--repair", "--bundle", run.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let output = arena.runtime(&["--json", "bundle", "verify-all", arena.root.to_str().unwrap()]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let committed = arena.committed.into_inner().unwrap();
    let mut abandoned = 0;
    for bundle in answer["bundles"].as_array().unwrap() {
        let path = bundle["path"].as_str().unwrap();
        if bundle["ok"] == true {
            continue;
        }
        assert!(!committed.contains(path) && !arena.victims.iter().any(|v| v == path), "{bundle}");
        let ids: Vec<&str> = bundle["findings"].as_array().unwrap().iter().filter_map(|f| f["id"].as_str()).collect();
        assert!(ids.contains(&"index-missing"), "{bundle}");
        abandoned += 1;
    }
    assert_eq!(answer["in_progress"], 0, "{answer}");
    let (valid, counts) = (answer["valid"].as_u64().unwrap(), arena.counts.into_inner().unwrap());
    assert!(valid >= (committed.len() + VICTIMS) as u64, "{valid} {committed:?}");
    // A run that was killed after its pointer moved may be the latest, and is as good as any.
    assert_eq!(validate(&arena.root.join(latest(&arena.root))).0, 0);
    println!(
        "{valid} runs valid, {} of them reported, {abandoned} abandoned; none torn, none lost\n{counts:#?}",
        committed.len()
    );
    assert!(counts.get("killed").is_some_and(|killed| *killed > 0), "{counts:#?}");
    arena.bound.close();
}
