//! Running the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::arena::{Arena, User, attack, is_root, programs};
use crate::beside::{Beside, Outside};
use crate::row::{Expected, Row, Who};
use crate::table;

/// Fewer attacks than this are not a suite.
const LEAST: usize = 60;
/// At the same time. More than cores: most attacks wait for each other's processes.
const PARALLEL: usize = 8;
/// A race that must be won: this often for this long.
const TRY: Duration = Duration::from_millis(500);
const TRIES: usize = 10;
/// Any other attack may come too late on a busy machine; without its protection it must succeed in one of so many.
const TRIES_OF_A_TWIN: usize = 3;
/// How long an effect outside is waited for where none may come, and where one must come.
const NO_EFFECT: Duration = Duration::from_millis(60);
const AN_EFFECT: Duration = Duration::from_secs(2);
/// A run that is not over by then is ended, and is a failure.
const LIMIT: Duration = Duration::from_secs(30);

/// One run that was made.
struct Ran {
    effect: Option<String>,
    output: String,
    /// Why it is no evidence: it did not end, or never got to its attack.
    void: Option<&'static str>,
}

/// What came of one row for one user.
struct Outcome {
    name: &'static str,
    family: String,
    user: User,
    result: String,
    attempts: String,
    time: Duration,
    /// Why the suite fails.
    fault: Option<String>,
    hole: Option<String>,
}

pub(crate) fn run() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let began = Instant::now();
    let (families, mut faults) = check_names();
    let jobs = jobs(&wanted);
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some((row, user)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = judge(row, *user, families.get(row.name).map_or("?", String::as_str));
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    // A static's destructor never runs.
    let _ = std::fs::remove_dir_all(programs());
    remove_shared_memory();
    let outcomes = outcomes.into_inner().unwrap();
    show(&outcomes);
    println!("{} runs of {} attacks in {:.1} s", outcomes.len(), families.len(), began.elapsed().as_secs_f32());
    if !is_root() {
        let skipped = "the attacks as root, because the suite does not run as root";
        println!("SKIPPED: {skipped}");
        if std::env::var_os("RUNTIME_TESTS_SKIP_NOTHING").is_some() {
            faults.push(format!("nothing may be skipped here: {skipped}"));
        }
    }
    faults.extend(outcomes.iter().filter_map(|o| Some(format!("{} ({:?}): {}", o.name, o.user, o.fault.as_ref()?))));
    let holes: BTreeSet<_> = outcomes.iter().filter_map(|o| Some((o.name, o.hole.as_ref()?))).collect();
    for (name, why) in &holes {
        println!("KNOWN HOLE: {name}: {why}");
    }
    faults.iter().for_each(|fault| println!("FAILED: {fault}"));
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// An attack that was let make shared memory may not be let take it away again.
fn remove_shared_memory() {
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("attack-"));
        if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Every attack of the program stands in the table exactly once, and the other way round.
fn check_names() -> (BTreeMap<String, String>, Vec<String>) {
    let listed = Command::new(attack()).arg("list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut families = BTreeMap::new();
    let mut faults = Vec::new();
    for (family, name) in listed.lines().filter_map(|line| line.split_once(' ')) {
        if families.insert(name.to_owned(), family.to_owned()).is_some() {
            faults.push(format!("{name}: two attacks have this name"));
        }
    }
    let mut rows = BTreeSet::new();
    for row in table::rows() {
        if !rows.insert(row.name) {
            faults.push(format!("{}: stands in the table twice", row.name));
        }
        if !families.contains_key(row.name) {
            faults.push(format!("{}: no attack has this name", row.name));
        }
        if row.expected == Expected::Blocked && row.weakened.is_empty() {
            faults.push(format!("{}: nothing is switched off in its twin", row.name));
        }
    }
    faults.extend(
        families.keys().filter(|name| !rows.contains(name.as_str())).map(|name| format!("{name}: not in the table")),
    );
    if families.len() < LEAST {
        faults.push(format!("{} attacks, {LEAST} are needed", families.len()));
    }
    (families, faults)
}

/// Races first: they take longest.
fn jobs(wanted: &[String]) -> Vec<(Row, User)> {
    let mut jobs = Vec::new();
    for row in table::rows() {
        if !wanted.is_empty() && !wanted.iter().any(|word| row.name.contains(word.as_str())) {
            continue;
        }
        for user in User::all() {
            let makes_sense = match row.who {
                Who::Everyone | Who::Root => true,
                Who::RootAlone => user == User::Root,
                Who::Ordinary | Who::Either => user == User::Ordinary,
            };
            if makes_sense {
                jobs.push((row.clone(), user));
            }
        }
    }
    jobs.sort_by_key(|(row, _)| std::cmp::Reverse(row.race));
    jobs
}

fn judge(row: &Row, user: User, family: &str) -> Outcome {
    let began = Instant::now();
    let mut outcome = Outcome {
        name: row.name,
        family: family.to_owned(),
        user,
        result: String::new(),
        attempts: String::new(),
        time: Duration::ZERO,
        fault: None,
        hole: None,
    };
    let by_kernel = row.expected == Expected::RefusedByKernel || row.who == Who::Root && user != User::Root;
    if by_kernel {
        let ran = once(row, user, None, TRY, NO_EFFECT);
        "refused by the kernel".clone_into(&mut outcome.result);
        if let Some(why) = ran.void {
            outcome.fault = Some(format!("{why}\n{}", ran.output));
        }
        if let Some(effect) = ran.effect {
            outcome.fault = Some(format!("is not refused by the kernel: {effect}\n{}", ran.output));
        }
    } else {
        judge_in_sandbox(row, user, &mut outcome);
    }
    outcome.time = began.elapsed();
    outcome
}

fn judge_in_sandbox(row: &Row, user: User, outcome: &mut Outcome) {
    let mut real = once(row, user, Some(&[]), row.race.unwrap_or(TRY), NO_EFFECT);
    for _ in 1..if row.race.is_some() && row.expected != Expected::Blocked { TRIES } else { 1 } {
        if real.effect.is_some() {
            break;
        }
        real = once(row, user, Some(&[]), TRY, NO_EFFECT);
    }
    outcome.attempts = attempts(&real.output);
    if let Some(why) = real.void {
        outcome.fault = Some(format!("{why}\n{}", real.output));
        return;
    }
    match (row.expected, real.effect) {
        (Expected::KnownHole(why), Some(effect)) => {
            outcome.result = format!("HOLE: {effect}");
            outcome.hole = Some(why.to_owned());
            return;
        }
        (Expected::KnownHole(_), None) => {
            outcome.fault = Some(format!("is blocked by now: no known hole any more\n{}", real.output));
            return;
        }
        (_, Some(effect)) => {
            outcome.fault = Some(format!("SUCCEEDED in the sandbox: {effect}\n{}", real.output));
            return;
        }
        (_, None) => {}
    }
    let tries = if row.race.is_some() { TRIES } else { TRIES_OF_A_TWIN };
    let mut last = String::new();
    for at in 1..=tries {
        let twin = once(row, user, Some(&row.weakened), TRY, AN_EFFECT);
        last = twin.output;
        if let Some(effect) = twin.effect {
            outcome.result = format!("blocked; weakened: {effect}");
            if row.race.is_some() {
                outcome.attempts += &format!(" / {}, try {at}", attempts(&last));
            } else if at > 1 {
                outcome.result += &format!(", at try {at}");
            }
            return;
        }
    }
    outcome.fault = Some(format!("fails without its protection too, so it shows nothing\n{last}"));
}

fn attempts(output: &str) -> String {
    output.lines().find_map(|line| line.strip_prefix("attempts=")).unwrap_or_default().to_owned()
}

/// One run; `None` for the options means without the sandbox.
fn once(row: &Row, user: User, options: Option<&[String]>, time: Duration, patience: Duration) -> Ran {
    let mut arena = Arena::new(user);
    let mut beside = Beside::start(row.outside, &arena, user);
    arena.settle();
    let output = arena.beside("output");
    let mut words: Vec<String> = Vec::new();
    // Only root may make the surroundings that `unshare` makes.
    if let Outside::Started(by) = row.outside
        && (by[0] != "unshare" || user == User::Root)
    {
        words.extend(by.iter().map(|word| word.replace("$A", attack().to_str().unwrap()).replace("$S", &arena.secret)));
    }
    if let Some(options) = options {
        words.push(programs().join("runtime").to_str().unwrap().to_owned());
        words.extend(["sandbox", "run", "--overlay", "linux-base.sb", "-D"].map(str::to_owned));
        // Stands in the supervisor's arguments only.
        words.extend([format!("KEEP={}", arena.secret), "--profile".to_owned()]);
        words.push(arena.profile(row.rules, &beside.words).to_str().unwrap().to_owned());
        words.extend(options.iter().cloned());
        words.push("--".to_owned());
    }
    words.extend([attack().to_str().unwrap().to_owned(), row.name.to_owned(), time.as_millis().to_string()]);
    words.extend(beside.words.iter().cloned());
    let file = File::create(&output).unwrap();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(arena.root()).stdin(Stdio::null());
    command.stdout(file.try_clone().unwrap()).stderr(file).env_clear().env("PATH", "/usr/bin:/bin");
    command.process_group(0);
    if let Some(id) = user.change_to() {
        command.uid(id).gid(id);
    }
    let mut child = command.spawn().unwrap();
    beside.started(&child, &arena);
    let (status, in_time) = wait(&mut child);
    let text = String::from_utf8_lossy(&std::fs::read(&output).unwrap()).into_owned();
    let effect = arena.effect(&text).or_else(|| beside.effect(&arena, &text, status, patience));
    let void = if !in_time {
        Some("did not end")
    } else if text.contains("panicked at") || matches!(status.code(), Some(125..=127)) {
        Some("did not get to its attack")
    } else {
        None
    };
    Ran { effect, output: text, void }
}

fn wait(child: &mut Child) -> (ExitStatus, bool) {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, true);
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let _ = child.kill();
    (child.wait().unwrap(), false)
}

fn show(outcomes: &[Outcome]) {
    let mut sorted: Vec<_> = outcomes.iter().collect();
    sorted.sort_by_key(|outcome| (outcome.family.clone(), outcome.name, outcome.user == User::Root));
    println!("{:<11} {:<30} {:<9} {:>5}  result", "family", "attack", "as", "s");
    for o in sorted {
        let result = if o.fault.is_some() { "FAILED, see below" } else { o.result.as_str() };
        let attempts = if o.attempts.is_empty() { String::new() } else { format!(" [attempts {}]", o.attempts) };
        let user = if o.user == User::Root { "root" } else { "ordinary" };
        println!("{:<11} {:<30} {user:<9} {:>5.1}  {result}{attempts}", o.family, o.name, o.time.as_secs_f32());
    }
}
