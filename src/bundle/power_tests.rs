//! Power loss: the changes of a run and of a repair are recorded, and every state is made that a disk could be in when the
//! power goes. What was synced is there; of the rest any part may be, in any order. The model is stricter than any one file
//! system: names and contents are lost independently.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::crash_tests::{read, scratch, write_run};
use super::{ReindexRequest, reindex_bundle};
use crate::os::fs::Dir;
use crate::os::fs::fault_testing::{self as fault, Made};
use crate::os::lock::LockMode;

/// A file on the disk of the model: its content, when that was synced, and what was last written.
#[derive(Debug, Clone, Default)]
struct Content {
    durable: Option<Vec<u8>>,
    latest: Vec<u8>,
}

/// A change of a directory that may or may not have reached the disk.
#[derive(Debug, Clone)]
enum Entry {
    MakeDirectory(PathBuf),
    /// This path names the file of this number.
    Name(PathBuf, usize),
}

impl Entry {
    fn path(&self) -> &Path {
        match self {
            Self::MakeDirectory(path) | Self::Name(path, _) => path,
        }
    }
}

/// The disk of the model.
#[derive(Debug, Clone, Default)]
struct Disk {
    files: Vec<Content>,
    /// The file behind a name, as a running system sees it.
    names: BTreeMap<PathBuf, usize>,
    durable: Vec<Entry>,
    pending: Vec<Entry>,
}

impl Disk {
    fn apply(&mut self, made: &Made, syncs: bool) {
        let number = |disk: &Self, path: &Path| disk.names.get(path).copied();
        match made.action {
            "create directory" => self.pending.push(Entry::MakeDirectory(made.path.clone())),
            "write" => {
                let temp = made.temp.clone().unwrap();
                self.files.push(Content { durable: None, latest: made.bytes.clone() });
                self.names.insert(temp, self.files.len() - 1);
            }
            "rename" => {
                let number = self.names.remove(made.temp.as_ref().unwrap()).unwrap();
                self.names.insert(made.path.clone(), number);
                self.pending.push(Entry::Name(made.path.clone(), number));
            }
            "sync" if syncs => {
                let path = made.temp.as_ref().unwrap_or(&made.path);
                let number =
                    number(self, path).unwrap_or_else(|| panic!("{} is synced and was not written", path.display()));
                self.files[number].durable = Some(self.files[number].latest.clone());
            }
            "sync directory" if syncs => {
                let (reached, pending) = std::mem::take(&mut self.pending)
                    .into_iter()
                    .partition(|entry| entry.path().parent() == Some(&made.path));
                self.pending = pending;
                let reached: Vec<Entry> = reached;
                self.durable.extend(reached);
            }
            // The lock says nothing about bundles.
            _ => {}
        }
    }

    /// Makes the state in which of the changes not synced those of `kept` reached the disk, and unsynced contents are `lost`.
    fn make(&self, from: &Path, to: &Path, kept: impl Fn(usize) -> bool, lost: Lost) {
        let place = |path: &Path| to.join(path.strip_prefix(from).unwrap());
        let pending = self.pending.iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, entry)| entry);
        let entries: Vec<&Entry> = self.durable.iter().chain(pending).collect();
        let mut directories: Vec<&PathBuf> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::MakeDirectory(path) => Some(path),
                Entry::Name(..) => None,
            })
            .collect();
        // The entry of an inner directory may have been synced before that of the outer one.
        directories.sort_by_key(|directory| directory.components().count());
        for directory in &directories {
            // Without its parent it cannot be reached.
            if place(directory).parent().is_some_and(Path::is_dir) {
                let _ = std::fs::create_dir(place(directory));
            }
        }
        for entry in entries {
            let Entry::Name(path, number) = entry else { continue };
            let content = &self.files[*number];
            let bytes = content.durable.clone().unwrap_or_else(|| lost.of(&content.latest));
            if let (Some(parent), Some(name)) = (place(path).parent(), path.file_name().and_then(|name| name.to_str()))
                && let Ok(dir) = Dir::open(parent)
            {
                dir.write(&name.try_into().unwrap(), &bytes).unwrap();
            }
        }
    }
}

/// What becomes of a content that was never synced.
#[derive(Debug, Clone, Copy)]
enum Lost {
    Empty,
    Half,
    Zeros,
    Nothing,
}

impl Lost {
    fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Half => bytes[..bytes.len() / 2].to_vec(),
            Self::Zeros => vec![0; bytes.len()],
            Self::Nothing => bytes.to_vec(),
        }
    }
}

/// Which of the unsynced changes of directories survive.
fn choices(pending: usize, random: usize, seed: &mut u64) -> Vec<u64> {
    let all = if pending >= 64 { u64::MAX } else { (1 << pending) - 1 };
    let mut chosen = vec![0, all];
    for at in 0..pending.min(63) {
        chosen.extend([1 << at, all & !(1 << at), (1 << at) - 1]);
    }
    for _ in 0..random {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        chosen.push(*seed & all);
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Replays `made` and judges every state; returns how many were looked at and what was wrong.
fn replay(
    root: &Path,
    made: &[Made],
    syncs: bool,
    random: usize,
    judge: &dyn Fn(&Path, bool) -> Result<(), String>,
    before: &dyn Fn(&Path),
) -> (usize, Vec<String>) {
    let (mut disk, mut states, mut bad, mut seed) = (Disk::default(), 0, Vec::new(), 0x9e37_79b9_7f4a_7c15);
    for step in 0..=made.len() {
        if let Some(step) = step.checked_sub(1) {
            disk.apply(&made[step], syncs);
        }
        for lost in [Lost::Empty, Lost::Half, Lost::Zeros, Lost::Nothing] {
            for choice in choices(disk.pending.len(), random, &mut seed) {
                let temp = scratch();
                before(temp.path());
                disk.make(root, temp.path(), |at| at >= 64 || choice >> at & 1 == 1, lost);
                states += 1;
                if let Err(why) = judge(temp.path(), step == made.len()) {
                    bad.push(format!("after {step} changes, {lost:?}, {choice:b}: {why}"));
                }
            }
        }
    }
    (states, bad)
}

/// How many random subsets are made of each step's unsynced changes.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment how long they may take")]
fn random() -> usize {
    let full = std::env::var_os("RUNTIME_TESTS_FULL").is_some();
    if full { 400 } else { 0 }
}

/// The index is there: then everything is. The pointer is there: it names such a run. The writer was told that it is done: both
/// are there.
fn judge_run(root: &Path, done: bool) -> Result<(), String> {
    let run = root.join("new");
    let pointer = std::fs::read_to_string(root.join("LATEST")).ok();
    if pointer.as_ref().is_some_and(|pointer| pointer != "new\n") {
        return Err(format!("LATEST says {pointer:?}"));
    }
    let valid = run.is_dir() && read(&run).is_valid();
    let indexed = run.join("artifact_index.json").exists();
    match (valid, indexed, pointer) {
        (false, true, _) => Err(format!("an index without its files: {:?}", read(&run).findings)),
        (false, _, Some(_)) => Err("LATEST names a run that is not valid".to_owned()),
        (valid, _, pointer) if done && !(valid && pointer.is_some()) => {
            Err("what was reported done is lost".to_owned())
        }
        _ => Ok(()),
    }
}

fn recorded_run() -> (tempfile::TempDir, Vec<Made>) {
    let temp = scratch();
    fault::stop_after(usize::MAX);
    write_run(temp.path(), "new").unwrap();
    (temp, fault::made())
}

#[test]
fn no_loss_of_power_leaves_an_index_without_its_files_or_takes_a_reported_commit() {
    let (temp, made) = recorded_run();
    let (states, bad) = replay(temp.path(), &made, true, random(), &judge_run, &|_| {});
    println!("run: {} changes, {states} states, {} bad", made.len(), bad.len());
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(states > 300, "{states}");
}

#[test]
fn without_syncs_the_same_model_finds_bad_states() {
    let (temp, made) = recorded_run();
    let (_, bad) = replay(temp.path(), &made, false, 0, &judge_run, &|_| {});
    assert!(bad.iter().any(|why| why.contains("an index without its files")), "{bad:#?}");
    assert!(bad.iter().any(|why| why.contains("what was reported done is lost")), "{bad:#?}");
    // Nor is any sync of files or directories there for nothing but good measure.
    let unneeded = |left_out: &dyn Fn(&Made) -> bool| {
        let needed: Vec<Made> = made.iter().filter(|made| !left_out(made)).cloned().collect();
        replay(temp.path(), &needed, true, 0, &judge_run, &|_| {}).1.is_empty()
    };
    let sync_of = |made: &Made, name: &str| made.action == "sync" && made.path.ends_with(name);
    for name in ["summary.json", "run_status.json", "artifact_index.json", "LATEST"] {
        assert!(!unneeded(&|made| sync_of(made, name)), "{name}");
    }
    assert!(!unneeded(&|made| made.action == "sync directory"));
}

#[test]
fn no_loss_of_power_makes_a_repair_lose_what_it_found() {
    let temp = scratch();
    write_run(temp.path(), "new").unwrap();
    let damage = |root: &Path| {
        Dir::open(&root.join("new")).unwrap().write(&"summary.json".try_into().unwrap(), b"{ }").unwrap();
    };
    damage(temp.path());
    let original: Vec<(PathBuf, Vec<u8>)> = walkdir::WalkDir::new(temp.path())
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.is_file())
        .map(|path| (path.strip_prefix(temp.path()).unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    let before = |root: &Path| {
        let dir = Dir::open(root).unwrap();
        for (path, bytes) in &original {
            dir.write(&path.to_str().unwrap().try_into().unwrap(), bytes).unwrap();
        }
    };
    let request =
        ReindexRequest { bundle: &temp.path().join("new"), jobs: 1, lock_mode: LockMode::Fail, now: UNIX_EPOCH };
    fault::stop_after(usize::MAX);
    reindex_bundle(request, &|| false).unwrap();
    // What the repair read was durable already; it writes the log and the index.
    let made: Vec<Made> = fault::made()
        .into_iter()
        .filter(|made| made.action != "sync" || made.temp.is_some() || made.path.ends_with("repair_log.json"))
        .filter(|made| made.action != "create directory")
        .collect();
    let judge = |root: &Path, done: bool| {
        let verification = read(&root.join("new"));
        let repaired = std::fs::read_to_string(root.join("new/artifact_index.json")).unwrap().contains("\"repairs\"");
        match (verification.is_valid(), repaired) {
            (true, true) | (false, false) if repaired || !done => Ok(()),
            _ => Err(format!("repaired {repaired}: {:?}", verification.findings)),
        }
    };
    let (states, bad) = replay(temp.path(), &made, true, random(), &judge, &before);
    println!("repair: {} changes, {states} states, {} bad", made.len(), bad.len());
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(states > 40, "{states}");
}
