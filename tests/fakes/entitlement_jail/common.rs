//! Switches, documents and paths that both programs share.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runtime::base::json;
use serde_json::{Map, Value, json};

/// Whether a switch is on.
pub(crate) fn fault(name: &str) -> bool {
    std::env::var("EJ_FAKE_FAULT").is_ok_and(|all| all.split(',').any(|own| own == name))
}

/// A number of milliseconds from the environment.
pub(crate) fn millis(name: &str, default: u64) -> Duration {
    Duration::from_millis(std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default))
}

pub(crate) fn note_pid(pid: u32) {
    let Ok(path) = std::env::var("EJ_FAKE_PIDS") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let _ = file.and_then(|mut file| file.write_all(format!("{pid}\n").as_bytes()));
}

pub(crate) fn misuse(why: &str) -> u8 {
    eprintln!("error: {why}");
    2
}

/// Help goes to stderr.
pub(crate) fn help(text: &str) -> u8 {
    let dropped = std::env::var("EJ_FAKE_HELP_WITHOUT").unwrap_or_default();
    for line in text.lines().filter(|line| dropped.is_empty() || !line.contains(&dropped)) {
        eprintln!("{line}");
    }
    0
}

pub(crate) fn home() -> PathBuf {
    std::env::var("HOME").map_or_else(|_| PathBuf::from("/nonexistent"), PathBuf::from)
}

pub(crate) fn support() -> PathBuf {
    home().join("Library/Application Support/entitlement-jail")
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

/// The envelope around every document.
pub(crate) fn envelope(kind: &str, result: Value, data: Value) -> Value {
    json!({"schema_version": 1, "kind": kind, "generated_at_unix_ms": now_ms(), "result": result, "data": data})
}

/// As the Rust parts of the app write: two spaces, sorted, null for what is not there.
pub(crate) fn rust_text(value: &Value) -> String {
    json::to_pretty_sorted(value)
}

/// As its Swift parts write: one line, sorted, nothing for what is not there, slashes escaped.
pub(crate) fn swift_text(value: &Value) -> String {
    json::to_line(&sorted(value)).replace('/', "\\/")
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.iter().filter(|(_, v)| !v.is_null()).map(|(key, _)| key).collect();
            keys.sort_unstable();
            Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&members[key]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Writes a document to stdout the way the switches say. True: the program ends now.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout();
    let bytes = if fault("no-json") {
        b"probe done, nothing to see\n".to_vec()
    } else if fault("noise") {
        format!("loading service\n{text}\n").into_bytes()
    } else if fault("bad-utf8") {
        [b"\xff\xfe", text.as_bytes(), b"\n"].concat()
    } else if fault("no-stdout") {
        Vec::new()
    } else if fault("big-stdout") {
        vec![b'x'; 9 * 1024 * 1024]
    } else {
        format!("{text}\n").into_bytes()
    };
    let _ = out.write_all(&bytes).and_then(|()| out.flush());
}

/// Goes wrong before anything is answered, where a switch says so.
pub(crate) fn before_answer() {
    if fault("big-stderr") {
        let line = [b"e".repeat(1023), b"\n".to_vec()].concat();
        let mut err = std::io::stderr();
        for _ in 0..3 * 1024 {
            let _ = err.write_all(&line);
        }
    }
    if fault("signal") {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
    if fault("ignore-term") {
        let _ = signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::new(AtomicBool::new(false)));
    }
    if fault("hang") || fault("ignore-term") {
        hang();
    }
    if fault("leave-child") {
        child();
    }
}

/// Never ends by itself, and neither does its child, which holds stdout open.
pub(crate) fn hang() -> ! {
    child();
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn child() {
    if let Ok(child) = std::process::Command::new("sleep").arg("300").spawn() {
        note_pid(child.id());
    }
}
