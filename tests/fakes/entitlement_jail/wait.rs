//! Holding a probe back at a real named pipe, or until a path exists.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::{fault, millis};
use crate::flags::Flags;

/// A wait as declared.
pub(crate) struct Wait {
    pub(crate) path: PathBuf,
    pub(crate) fifo: bool,
    create: bool,
    pub(crate) timeout_ms: Option<u64>,
    interval: Duration,
}

/// How a wait ended.
pub(crate) enum Waited {
    Released,
    TimedOut,
    Failed,
}

/// The flags that declare one.
pub(crate) const WITH_VALUE: &[&str] = &[
    "--wait-fifo",
    "--wait-exists",
    "--wait-path-class",
    "--wait-name",
    "--wait-timeout-ms",
    "--wait-interval-ms",
    "--attach",
];

impl Wait {
    /// Reads what `flags` declare; `Err` for what is inconsistent.
    pub(crate) fn of(flags: &Flags, container: &Path, correlation_id: &str) -> Result<Option<Self>, String> {
        flags.at_most_one(&["--wait-fifo", "--wait-exists", "--wait-path-class", "--attach"])?;
        if flags.has("--wait-path-class") != flags.has("--wait-name") {
            return Err("--wait-path-class and --wait-name go together".to_owned());
        }
        let attach = flags.number("--attach", f64::MIN_POSITIVE)?;
        let (path, fifo) = match (flags.get("--wait-fifo"), flags.get("--wait-exists"), flags.get("--wait-name")) {
            (Some(path), ..) => (PathBuf::from(path), true),
            (_, Some(path), _) => (PathBuf::from(path), false),
            (.., Some(name)) => (container.join("tmp").join(name), true),
            _ if attach.is_some() => (container.join("tmp").join(format!("ej-attach-{correlation_id}.fifo")), true),
            _ => return Ok(None),
        };
        if !path.is_absolute() {
            return Err("a wait needs an absolute path".to_owned());
        }
        if flags.has("--wait-create") && !fifo {
            return Err("--wait-create is for named pipes".to_owned());
        }
        let timeout = flags.number("--wait-timeout-ms", 0.0)?;
        let interval = flags.number("--wait-interval-ms", 1.0)?.unwrap_or(200.0);
        let timeout_ms = attach.map(|seconds| seconds * 1000.0).or(timeout).map(|ms| ms as u64);
        let create = flags.has("--wait-create") || attach.is_some();
        Ok(Some(Self { path, fifo, create, timeout_ms, interval: Duration::from_secs_f64(interval / 1000.0) }))
    }

    /// Says that it waits, makes the pipe late, and waits.
    pub(crate) fn hold(&self) -> Waited {
        if !fault("wait-silent") {
            let mode = if self.fifo { "fifo" } else { "exists" };
            eprintln!("[client] wait-ready mode={mode} wait_path={}", self.path.display());
        }
        std::thread::sleep(millis("EJ_FAKE_FIFO_DELAY_MS", 100));
        let until = self.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        if !self.fifo {
            while !self.path.exists() {
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Waited::TimedOut;
                }
                std::thread::sleep(self.interval);
            }
            return Waited::Released;
        }
        if self.create && !fault("no-fifo") && make(&self.path).is_err() {
            return Waited::Failed;
        }
        if fault("no-fifo") || fault("fifo-unopened") {
            std::thread::sleep(until.map_or(Duration::from_secs(300), |until| until - Instant::now()));
            return Waited::TimedOut;
        }
        if !runtime::os::fifo::is_fifo(&self.path) {
            return Waited::Failed;
        }
        let (told, tell) = (self.path.clone(), mpsc::channel());
        // The open waits for somebody who writes.
        std::thread::spawn(move || tell.0.send(std::fs::File::open(told).is_ok()));
        let left = until.map_or(Duration::from_secs(300), |until| until - Instant::now());
        match tell.1.recv_timeout(left) {
            Ok(true) => Waited::Released,
            Ok(false) => Waited::Failed,
            Err(_) => Waited::TimedOut,
        }
    }
}

fn make(path: &Path) -> std::io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    std::fs::create_dir_all(parent)?;
    runtime::os::fifo::make_at(std::fs::File::open(parent)?.as_fd(), name, 0o600)
}
