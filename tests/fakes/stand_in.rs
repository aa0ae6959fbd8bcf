//! Stand-ins for launchctl, plutil, log, sandbox-exec and sw_vers of macOS: which one is said by the name it is called by.
//!
//! Beside that name stand its switches (`faults/NAME`), its record (`calls.log`) and the jobs it holds (`jobs/LABEL`). It
//! behaves as the real programs do as far as their exit statuses, their words and the processes go; nothing here is macOS.
#![expect(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, reason = "a program of its own")]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use plist::{Dictionary, Value};
use rustix::process::{Pid, Signal};

/// Where a stand-in's switches and records are.
struct Place {
    directory: PathBuf,
    program: PathBuf,
}

impl Place {
    fn fault(&self, name: &str) -> bool {
        self.directory.join("faults").join(name).exists()
    }

    fn job(&self, label: &str) -> PathBuf {
        self.directory.join("jobs").join(label)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let program = PathBuf::from(&words[0]);
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let place = Place { directory: program.parent().unwrap_or(Path::new("/")).to_owned(), program };
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    if words.first() == Some(&"__kill_when") {
        return kill_when(Path::new(words[1]), words[2]);
    }
    log_call(&place, &name, &words);
    if place.fault("garbage") {
        println!("\u{1b}[31mgarbage on stdout \u{fffd}");
        eprintln!("dyld[1]: warning: garbage on stderr \"}}{{\n");
    }
    let status = match name.as_str() {
        "launchctl" => launchctl(&place, &words),
        "plutil" => plutil(&place, &words),
        "log" => log(&place, &words),
        "sw_vers" => sw_vers(),
        _ => 64,
    };
    ExitCode::from(status)
}

fn log_call(place: &Place, name: &str, words: &[&str]) {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().append(true).create(true).open(place.directory.join("calls.log"));
    if let Ok(mut file) = file {
        let _ = writeln!(file, "{name} {}", words.join(" "));
    }
}

fn launchctl(place: &Place, words: &[&str]) -> u8 {
    match words {
        ["print", target] => print(place, target),
        ["bootstrap", domain, plist] => bootstrap(place, domain, Path::new(plist)),
        ["bootout", _, plist] => match dictionary(Path::new(plist)) {
            Ok(list) => bootout(place, &text(&list, "Label")),
            Err(_) => 5,
        },
        ["bootout", target] => bootout(place, target.rsplit('/').next().unwrap_or_default()),
        _ => 64,
    }
}

fn print(place: &Place, target: &str) -> u8 {
    if let [_, _, label] = target.split('/').collect::<Vec<_>>()[..] {
        let Ok(pid) = std::fs::read_to_string(place.job(label)) else {
            eprintln!("Could not find service \"{label}\" in domain");
            return 113;
        };
        let state = if ended(pid.trim()) { "not running" } else { "running" };
        println!("{target} = {{\n\tstate = {state}\n\tpid = {}\n}}", pid.trim());
        return 0;
    }
    if place.fault("no_gui") {
        eprintln!("Bad request.\nCould not find domain for user gui");
        return 113;
    }
    println!("{target} = {{\n\ttype = login\n}}");
    0
}

fn dictionary(path: &Path) -> Result<Dictionary, String> {
    let value = Value::from_file(path).map_err(|error| error.to_string())?;
    value.into_dictionary().ok_or_else(|| "not a dictionary".to_owned())
}

fn text(list: &Dictionary, key: &str) -> String {
    list.get(key).and_then(Value::as_string).unwrap_or_default().to_owned()
}

fn strings(list: &Dictionary, key: &str) -> Vec<String> {
    let values = list.get(key).and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_string).map(str::to_owned).collect()
}

fn bootstrap(place: &Place, domain: &str, plist: &Path) -> u8 {
    if place.fault("bootstrap_hangs") {
        std::thread::sleep(Duration::from_secs(60));
    }
    if place.fault("bootstrap_refused") {
        eprintln!("Bootstrap failed: 5: Input/output error");
        return 5;
    }
    let list = match dictionary(plist) {
        Ok(list) => list,
        Err(error) => {
            eprintln!("Bootstrap failed: 109: Invalid property list: {error}");
            return 109;
        }
    };
    let background = strings(&list, "LimitLoadToSessionType") == ["Background"];
    if domain.starts_with("user/") != background || place.fault("wrong_domain") {
        eprintln!("Bootstrap failed: 125: Domain does not support specified action");
        return 125;
    }
    let (label, words) = (text(&list, "Label"), strings(&list, "ProgramArguments"));
    if label.is_empty() || words.is_empty() || list.get("RunAtLoad").and_then(Value::as_boolean) != Some(true) {
        eprintln!("Bootstrap failed: 109: Invalid property list");
        return 109;
    }
    if place.job(&label).exists() {
        eprintln!("Bootstrap failed: 37: Operation already in progress");
        return 37;
    }
    let pid = if place.fault("worker_never_starts") { None } else { start(place, &list, &label, &words) };
    let written = std::fs::create_dir_all(place.directory.join("jobs"))
        .and_then(|()| std::fs::write(place.job(&label), pid.map_or("0".to_owned(), |pid| pid.to_string())));
    if written.is_err() { 1 } else { 0 }
}

/// Starts a job as launchd does: its own process group, the property list's environment and little else.
fn start(place: &Place, list: &Dictionary, label: &str, words: &[String]) -> Option<u32> {
    let (output, error) = (text(list, "StandardOutPath"), text(list, "StandardErrorPath"));
    if place.fault("early_noise") {
        std::fs::write(&error, "warning: something spoke before the worker did\n").ok()?;
    }
    let append = |path: &str| std::fs::OpenOptions::new().append(true).create(true).open(path).ok();
    let variables = list.get("EnvironmentVariables").and_then(Value::as_dictionary);
    let service = if place.fault("other_label") { "com.example.other" } else { label };
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .envs(variables.into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_string()?))))
        .env("XPC_SERVICE_NAME", service)
        .current_dir(text(list, "WorkingDirectory"))
        .stdin(Stdio::null())
        .stdout(append(&output)?)
        .stderr(append(&error)?)
        .process_group(0);
    if place.fault("preloaded") {
        command.env("DYLD_INSERT_LIBRARIES", "/nowhere");
    }
    let child = command.spawn().ok()?;
    if place.fault("kill_worker") {
        let started = format!("{}/state/progress.jsonl", text(list, "WorkingDirectory"));
        let helper = Command::new(&place.program)
            .args(["__kill_when", &started, &child.id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        helper.ok()?;
    }
    Some(child.id())
}

/// Kills a process once a file is there.
fn kill_when(path: &Path, pid: &str) -> ExitCode {
    let begun = Instant::now();
    while !path.exists() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(pid, Signal::KILL);
    ExitCode::SUCCESS
}

fn signal(pid: &str, signal: Signal) {
    if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Whether a process is gone, or dead and waiting for whoever inherited it.
fn ended(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
    matches!(state, None | Some('Z' | 'X'))
}

fn bootout(place: &Place, label: &str) -> u8 {
    if place.fault("slow_bootout") {
        std::thread::sleep(Duration::from_millis(700));
    }
    let once = place.directory.join("faults/bootout_fails_once");
    if std::fs::remove_file(&once).is_ok() || place.fault("bootout_fails") {
        eprintln!("Boot-out failed: 5: Input/output error");
        return 5;
    }
    let Ok(pid) = std::fs::read_to_string(place.job(label)) else {
        eprintln!("Boot-out failed: 3: No such process");
        return 3;
    };
    end(pid.trim());
    lose(place, label);
    match std::fs::remove_file(place.job(label)) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

/// Asks a process to end and, after a while, ends it.
fn end(pid: &str) {
    signal(pid, Signal::TERM);
    let begun = Instant::now();
    while !ended(pid) {
        if begun.elapsed() > Duration::from_secs(2) {
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Takes or changes something of what the job left, where a switch says so.
fn lose(place: &Place, label: &str) {
    for (fault, file, bytes) in [
        ("lose_index", "artifact_index.json", None),
        ("lose_artifact", "runtime_results.json", None),
        ("change_artifact", "summary.md", Some("changed")),
    ] {
        let target = std::fs::read_to_string(place.directory.join("staging_base")).unwrap_or_default();
        let found = find(&Path::new(&target).join(label), file);
        match (place.fault(fault), found, bytes) {
            (true, Some(path), None) => drop(std::fs::remove_file(path)),
            (true, Some(path), Some(bytes)) => drop(std::fs::write(path, bytes)),
            _ => {}
        }
    }
}

fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        let found = if path.is_dir() { find(&path, name) } else { (entry.file_name() == name).then_some(path) };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn plutil(place: &Place, words: &[&str]) -> u8 {
    let ["-lint", path] = words else { return 64 };
    match dictionary(Path::new(path)) {
        Ok(_) if !place.fault("lint_fails") => {
            println!("{path}: OK");
            0
        }
        _ => {
            println!("{path}: Unexpected character at line 1");
            1
        }
    }
}

fn log(place: &Place, words: &[&str]) -> u8 {
    match words.first() {
        Some(&"show") if place.fault("log_fails") => 64,
        Some(&"show") if words.contains(&"json") => {
            println!("[{{\n  \"eventMessage\" : \"Sandbox: cat(412) deny(1) file-read-data \\/private\\/x\"\n}}]");
            0
        }
        Some(&"show") => {
            println!("Timestamp               Ty Process[PID:TID]\nlaunchd[1]: bootstrap refused");
            0
        }
        _ => 64,
    }
}

fn sw_vers() -> u8 {
    println!("ProductName:\t\tmacOS\nProductVersion:\t\t14.4.1\nBuildVersion:\t\t23E224");
    0
}
