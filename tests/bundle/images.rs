//! Power loss on a real file system: a run into ext4 on a loop device is stopped at a call, the device's bytes are copied, and
//! what the journal gives back of the copy is judged. What was not synced is in the memory of the running system only.
//!
//! The nightly form stops at every call that changes the root; the other one at a few.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::bound::{Bound, nightly, output_in_time};
use crate::hostile::skipped;
use crate::small_run::{SmallRun, calls};
use crate::suite::RUNTIME;

/// Arguments: folder, name and number of the call to stop at, then the command. Writes `said`, `trace`, `answer` (of a check of
/// every bundle), `latest` and `next` (status of another run). Timed commits of the journal are put off, and the copy counts
/// only when nothing was written meanwhile.
const SCRIPT: &str = r#"
set -eu
work=$1 call=$2 number=$3; shift 3
rm -f "$work/trace" "$work/said" "$work/answer" "$work/latest" "$work/next"
cp --sparse=always "$work/base.img" "$work/live.img"
mount -o loop,commit=300 "$work/live.img" "$work/disk"
device=$(grep " $work/disk " /proc/mounts | cut -d' ' -f1)
strace -o "$work/trace" -e trace="$call" -e inject="$call:signal=SIGSTOP:when=$number" "$@" >"$work/said" 2>&1 &
tracer=$!
until grep -q 'stopped by SIGSTOP' "$work/trace" 2>/dev/null || [ ! -d /proc/$tracer ] ||
  grep -q '^[0-9]* (strace) Z' /proc/$tracer/stat; do
  sleep 0.01
done
settled=
for attempt in 1 2 3 4 5; do
  before=$(cat /sys/block/${device#/dev/}/stat)
  cp --sparse=always "$work/live.img" "$work/lost.img"
  if [ "$before" = "$(cat /sys/block/${device#/dev/}/stat)" ]; then settled=yes; break; fi
done
[ -n "$settled" ] || { echo 'the disk was never still'; exit 9; }
for child in $(cat /proc/$tracer/task/$tracer/children 2>/dev/null || true); do kill -KILL "$child"; done
wait $tracer || true
umount -l "$work/disk"
mount -o loop "$work/lost.img" "$work/disk"
"$RUNTIME" --json bundle verify-all "$work/disk" >"$work/answer" 2>"$work/answer.told" || true
cat "$work/disk/out/LATEST" >"$work/latest" 2>/dev/null || true
status=0
"$RUNTIME" run --dry --plan "$PLAN" --out "$work/disk/out" >"$work/next.said" 2>&1 || status=$?
echo $status >"$work/next"
"#;

struct Lab<'a> {
    small: &'a SmallRun,
}

/// Runs a shell script where mounts are seen by nobody else and end with it.
fn private(script: &str, arguments: &[&str], small: &SmallRun) -> Output {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).args(arguments);
    command.env("RUNTIME", RUNTIME).env("PLAN", small.plan()).env("TMPDIR", small.path());
    output_in_time(&command)
}

impl Lab<'_> {
    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.small.path().join(name)).unwrap_or_default()
    }

    /// Makes `base.img`, with what `fill` puts on it; says why that is not possible.
    fn base(&self, fill: &str) -> Result<(), String> {
        let script = format!(
            "set -eu; cd \"$1\"; rm -f base.img; truncate -s 24M base.img; mkfs.ext4 -q base.img; mkdir -p disk
             mount -o loop base.img disk; {fill}; umount disk"
        );
        let output = private(&script, &[self.small.path().to_str().unwrap()], self.small);
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
    }

    /// Loses the power while `command` is at a call; judges what is left. `before` was committed before.
    fn lose(&self, call: &str, number: usize, command: &[String], before: Option<&str>) -> Result<String, String> {
        let number = number.to_string();
        let mut arguments = vec![self.small.path().to_str().unwrap(), call, &number];
        arguments.extend(command.iter().map(String::as_str));
        let output = private(SCRIPT, &arguments, self.small);
        assert!(output.status.success(), "{call} {number}: {output:?}");
        let stopped = self.file("trace").contains("stopped by SIGSTOP");
        let done = self.file("said").contains("[+] updated");
        let reached = if number == NEVER.to_string() { done } else { stopped };
        assert!(reached, "{call} {number} was not reached: {}", self.file("said"));
        let answer: Value = serde_json::from_str(&self.file("answer")).unwrap_or_default();
        let bundles = answer["bundles"].as_array().cloned().unwrap_or_default();
        let latest = self.file("latest").trim().to_owned();
        let ok = |run: &str| bundles.iter().any(|b| b["path"] == format!("out/{run}") && b["ok"] == true);
        if let Some(before) = before.filter(|before| !ok(before)) {
            return Err(format!("the run before, {before}, is lost: {answer}"));
        }
        if !latest.is_empty() && !ok(&latest) {
            return Err(format!("LATEST names {latest:?}, which is not valid: {answer}"));
        }
        let silent = |b: &&Value| b["ok"] == false && b["errors"].as_array().is_none_or(Vec::is_empty);
        if let Some(bundle) = bundles.iter().find(silent) {
            return Err(format!("refused without a reason: {bundle}"));
        }
        if done && (latest.is_empty() || Some(latest.as_str()) == before) {
            return Err(format!("what was reported done is lost: {answer}"));
        }
        if self.file("next").trim() != "0" {
            return Err(format!("the next run: {}", self.file("next.said")));
        }
        let new: Vec<&Value> =
            bundles.iter().filter(|b| Some(&*format!("out/{}", before.unwrap_or(""))) != b["path"].as_str()).collect();
        let state = match (new.is_empty(), new.iter().all(|bundle| bundle["ok"] == true)) {
            (true, _) => "absent",
            (false, true) => "valid",
            (false, false) => "refused",
        };
        let pointed = if Some(latest.as_str()) == before { "the run before" } else { "the new run" };
        Ok(format!("{state}, LATEST names {pointed}{}", if done { ", reported" } else { "" }))
    }
}

/// How long power is lost for.
const LIMIT: Duration = Duration::from_secs(480);

/// Calls at which it must have been lost in the nightly form.
const LEAST: usize = 40;

/// A call that no process makes so often: the command comes to its end, and the power is lost after it.
const NEVER: usize = 60_000;

#[test]
fn no_loss_of_power_on_ext4_leaves_a_bundle_that_is_neither_valid_nor_refused() {
    let small = SmallRun::new();
    let lab = Lab { small: &small };
    let disk = small.path().join("disk");
    let root = disk.join("out");
    // Whether this machine can, first.
    if let Err(why) = lab.base("true") {
        return skipped(&format!("power loss on ext4: no image can be mounted here: {why}"));
    }
    let shown = |words: Vec<String>| words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let seed = format!("{} >/dev/null; cat disk/out/LATEST >before", shown(small.command_line(&root, true)));
    lab.base(&seed).unwrap();
    let before = lab.file("before").trim().to_owned();
    // The calls of a run into a root of the same path, on any file system.
    std::fs::create_dir_all(&root).unwrap();
    let trace = small.path().join("whole");
    let strace = ["strace", "-y", "-e", "trace=openat,mkdirat,write,fsync,renameat", "-o", trace.to_str().unwrap()];
    let whole = small.command(&strace.map(str::to_owned), &root, false).output().unwrap();
    assert!(whole.status.success(), "{whole:?}");
    std::fs::remove_dir_all(&root).unwrap();
    let traced = std::fs::read_to_string(&trace).unwrap();
    let mut stops: Vec<_> = calls(&traced, &root).into_iter().filter(|call| call.changes(&root)).collect();
    // How many files the followed thread syncs differs by run; the nine syncs around them are always its own.
    let fsyncs = stops.iter().filter(|call| call.name == "fsync").count();
    stops.retain(|call| call.name != "fsync" || call.number <= fsyncs.min(9));
    let all = stops.len();
    assert!(all > 60, "{all}");
    if !nightly() {
        // The commit is where it counts: three stops around the index and the pointer.
        let is_commit = |name: &str| stops.iter().position(|call| call.name == "renameat" && call.line.contains(name));
        let few = [is_commit("\"artifact_index.json\""), is_commit("\"LATEST\"")].map(Option::unwrap);
        stops = few.iter().map(|at| stops[*at].clone()).collect();
    }
    let command = small.command_line(&root, false);
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    let mut bad = Vec::new();
    let mut lose = |call: &str, number| match lab.lose(call, number, &command, Some(&before)) {
        Ok(outcome) => *table.entry(outcome).or_default() += 1,
        Err(why) => bad.push(format!("{call} {number}: {why}")),
    };
    lose("renameat", NEVER);
    let bound = Bound::new("power lost on ext4", stops.len(), stops.len().min(LEAST), LIMIT);
    while let Some(at) = bound.next() {
        lose(&stops[at].name, stops[at].number);
    }
    bound.close();
    println!("of {all} calls that change the root; {} bad states\n{table:#?}", bad.len());
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(table.keys().filter(|outcome| outcome.ends_with("reported")).count(), 1, "{table:?}");

    // Twin: the same files put there without syncing any, and reported.
    let kept = small.path().join("kept");
    small.commit(&kept);
    lab.base("true").unwrap();
    let careless = format!("cp -r {} {}; echo '[+] updated'", kept.display(), root.display());
    let command = ["sh", "-c", &careless].map(str::to_owned);
    let why = lab.lose("renameat", NEVER, &command, None).unwrap_err();
    assert!(why.contains("lost") || why.contains("not valid"), "{why}");
}
