//! Stand-ins for launchctl, plutil, log, sandbox-exec and sw_vers of macOS: which one is said by the name it is called by.
//!
//! Beside that name stand its switches (`faults/NAME`), its record (`calls.log`), the jobs it holds (`jobs/LABEL`) and what
//! was logged (`messages.jsonl`). It behaves as the real programs do as far as their exit statuses, their words and the processes go; nothing here is macOS.
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
        "log" if words.first() == Some(&"stream") => stream(&place),
        "log" => log(&place, &words),
        "sandbox-exec" => sandbox_exec(&place, &words),
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
    if place.fault("print_hangs") {
        std::thread::sleep(Duration::from_secs(60));
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

/// Where the stand-in of sandbox-exec leaves what the kernel of macOS would log, one object a line.
fn messages(place: &Place) -> PathBuf {
    place.directory.join("messages.jsonl")
}

fn logged(message: &str) -> String {
    let object = serde_json::json!({
        "timestamp": "2024-05-01 12:00:00.500000+0000", "processID": 0, "subsystem": "", "traceID": 1,
        "senderImagePath": "/System/Library/Extensions/Sandbox.kext/Contents/MacOS/Sandbox", "eventMessage": message,
    });
    object.to_string().replace('/', "\\/")
}

/// Tells every message that comes after its own start, until it is ended.
fn stream(place: &Place) -> u8 {
    use std::io::{Read as _, Seek as _, Write as _};
    if place.fault("stream_fails") {
        return 64;
    }
    let mut out = std::io::stdout();
    let _ = writeln!(out, "Filtering the log data using \"processID == 0 AND senderImagePath CONTAINS /Sandbox\"");
    if place.fault("slow_stream") {
        std::thread::sleep(Duration::from_millis(700));
    }
    let path = messages(place);
    let Ok(mut file) = std::fs::OpenOptions::new().read(true).append(true).create(true).open(&path) else { return 1 };
    let _ = file.seek(std::io::SeekFrom::End(0));
    let mut rest = String::new();
    loop {
        let _ = file.read_to_string(&mut rest);
        while let Some((line, more)) = rest.split_once('\n') {
            let (line, more) = (line.to_owned(), more.to_owned());
            rest = more;
            let sentinel = line.contains("sentinel-");
            let hidden = [("no_start_sentinel", "-start-"), ("no_end_sentinel", "-end-")];
            if sentinel && hidden.iter().any(|(fault, mark)| place.fault(fault) && line.contains(mark)) {
                continue;
            }
            let refusal = !sentinel && line.contains(" deny(");
            if refusal {
                if place.fault("foreign") {
                    let other = logged(
                        "2 duplicate reports for Sandbox: Messenger (Beta)(1) deny(1) file-read-data /Users/u/private",
                    );
                    let _ = writeln!(out, "{other}");
                }
                if place.fault("garbage_stream") {
                    let _ = out.write_all(b"\xff\xfe\x00 not a message\n{\"eventMessage\":\"Sandbox: cat(4) den\n");
                }
                if place.fault("huge_line") {
                    let _ = writeln!(out, "{}", logged(&"x".repeat(2 * 1024 * 1024)));
                }
            }
            let _ = writeln!(out, "{line}");
            if refusal && place.fault("dropped") {
                let _ =
                    writeln!(out, "=== Messages dropped during live streaming (use `log show` to see what they were)");
            }
            let told = out.flush();
            if told.is_err() || (refusal && place.fault("crash_stream")) {
                return 1;
            }
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Applies a profile by the enforcement of this machine, and leaves what the kernel of macOS would log.
///
/// The number of the first process is its own there; here it is made so: the smallest of those that were refused something.
fn sandbox_exec(place: &Place, words: &[&str]) -> u8 {
    if place.fault("exec_refused") {
        eprintln!("sandbox-exec: sandbox_apply: Operation not permitted");
        return 71;
    }
    let Ok(work) = tempfile::tempdir_in(&place.directory) else { return 71 };
    let (profile, denials) = (work.path().join("profile.sb"), work.path().join("denials.jsonl"));
    let mut text = String::new();
    let mut parameters = Vec::new();
    let mut rest = words;
    loop {
        match rest {
            ["-p", given, more @ ..] => (text, rest) = ((*given).to_owned(), more),
            ["-f", file, more @ ..] => (text, rest) = (std::fs::read_to_string(file).unwrap_or_default(), more),
            ["-D", pair, more @ ..] => {
                parameters.extend(["-D", pair]);
                rest = more;
            }
            _ => break,
        }
    }
    let [command, arguments @ ..] = rest else { return 64 };
    if place.fault("nothing_refused") {
        return Command::new(command).args(arguments).status().ok().and_then(|status| status.code()).map_or(71, low);
    }
    let runtime = std::env::current_exe().ok().map(|own| own.with_file_name("runtime")).unwrap_or_default();
    if std::fs::write(&profile, &text).is_err() {
        return 71;
    }
    let ended = Command::new(runtime)
        .args(["sandbox", "run", "--profile"])
        .arg(&profile)
        .args(&parameters)
        .arg("--denials")
        .arg(&denials)
        .arg("--")
        .arg(command)
        .args(arguments)
        .status();
    let status = match ended.ok().and_then(|status| status.code()) {
        // The profile does not compile; nothing was applied, so nothing is logged.
        Some(125) | None => return 65,
        Some(126 | 127) => 71,
        Some(status) => low(status),
    };
    let told = std::fs::read_to_string(&denials).unwrap_or_default();
    let records: Vec<serde_json::Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let first = records.iter().filter_map(|record| record["pid"].as_i64()).min();
    let own = std::process::id();
    let tag = text.split("(with message \"").nth(1).and_then(|rest| rest.split('"').next());
    let tag = tag.map_or_else(String::new, |tag| format!("\n{tag}"));
    let mut lines = vec![logged(&format!("Sandbox apply: sandbox-exec[{own}] <bytes>"))];
    for record in &records {
        let pid = record["pid"].as_i64().filter(|pid| Some(*pid) != first).unwrap_or(own.into());
        let name = record["process"].as_str().unwrap_or("unknown");
        let target = record["target"].as_str().and_then(runtime::denial::target_bytes).unwrap_or_default();
        let target = String::from_utf8_lossy(&target).into_owned();
        let operation = record["operation"].as_str().unwrap_or_default();
        let access = if target.is_empty() { operation.to_owned() } else { format!("{operation} {target}") };
        let message = format!("Sandbox: {name}({pid}) deny(1) {access}{tag}");
        lines.push(logged(&message));
        match record["count"].as_u64().unwrap_or(1) {
            0 | 1 => {}
            2 => lines.push(logged(&format!("1 duplicate report for {message}"))),
            many => lines.push(logged(&format!("{} duplicate reports for {message}", many - 1))),
        }
    }
    use std::io::Write as _;
    let all: String = lines.iter().map(|line| format!("{line}\n")).collect();
    // In one piece: others may be writing too.
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(messages(place))
        .and_then(|mut file| file.write_all(all.as_bytes()));
    if written.is_err() { 71 } else { status }
}

fn low(status: i32) -> u8 {
    u8::try_from(status).unwrap_or(u8::MAX)
}

fn sw_vers() -> u8 {
    println!("ProductName:\t\tmacOS\nProductVersion:\t\t14.4.1\nBuildVersion:\t\t23E224");
    0
}
