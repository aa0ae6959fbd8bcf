//! Waiting for the app to say that it waits, and triggering it once: a state machine that never waits itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use super::settings::LONGEST;
use crate::base::time::unix_seconds;
use crate::os::fifo;
use crate::os::fs::{exists, make_durable};
use crate::os::process::program::Attendant;

/// What is written to a trigger.
const GO: &[u8] = b"go";
/// The longest line of stderr that is looked at.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// How the app waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Fifo,
    Exists,
}

impl Mode {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Exists => "exists",
        }
    }
}

/// What the arguments that declare a wait say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) path: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) wait_timeout_ms: Option<u64>,
    /// The longest that the app may take by what it was told, beyond its own work.
    pub(super) holds: Duration,
}

impl Hints {
    /// Reads the declaring arguments.
    pub(super) fn of(args: &[String]) -> Self {
        let mut hints = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map(String::as_str).unwrap_or_default();
            let seconds = |text: &str| {
                let told = text.parse::<f64>().ok().filter(|told| *told > 0.0);
                let time = told.map(|told| Duration::try_from_secs_f64(told).unwrap_or(LONGEST));
                time.unwrap_or_default().min(LONGEST)
            };
            match word.as_str() {
                "--wait-fifo" => (hints.path, hints.mode) = (Some(value().to_owned()), Some(Mode::Fifo)),
                "--wait-exists" => (hints.path, hints.mode) = (Some(value().to_owned()), Some(Mode::Exists)),
                "--wait-timeout-ms" => hints.wait_timeout_ms = value().parse().ok(),
                // It waits so long, and holds open for as long unless told otherwise.
                "--attach" => {
                    hints.mode = Some(Mode::Fifo);
                    hints.holds += seconds(value()) * 2;
                }
                "--hold-open" => hints.holds += seconds(value()),
                _ => {}
            }
        }
        hints
    }
}

/// The line by which the app says that it waits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ready {
    pub(super) line: String,
    pub(super) at_unix_s: f64,
    pub(super) info: Map<String, Value>,
}

impl Ready {
    /// Reads a line of stderr; `None` when it is another.
    fn read(line: &str, at_unix_s: f64) -> Option<Self> {
        let (_, mut rest) = line.split_once("wait-ready")?;
        let mut info = Map::new();
        while let Some((key, value)) = rest.trim_start().split_once('=') {
            // A path and a name are the last of a line, and may hold blanks.
            let (value, after) = match key {
                "wait_path" | "wait_name" => (value, ""),
                _ => value.split_once(' ').unwrap_or((value, "")),
            };
            info.insert(key.to_owned(), json!(value));
            rest = after;
        }
        let kept = info.contains_key("wait_path") || info.contains_key("mode");
        kept.then(|| Self { line: line.to_owned(), at_unix_s, info })
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.info.get(key)?.as_str()
    }
}

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) ready: Duration,
    pub(super) delay: Duration,
    pub(super) trigger: Duration,
    /// The wait after which a second trigger is sent; `None`: there is none.
    pub(super) post: Option<Duration>,
    pub(super) process: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitReady { until: Instant },
    Delay { until: Instant },
    Primary { until: Instant },
    PostDelay { until: Instant },
    Done { until: Instant },
}

/// Looks after an app that waits.
pub(super) struct Attending {
    hints: Hints,
    limits: Limits,
    clock: fn() -> SystemTime,
    line: Vec<u8>,
    state: State,
    pub(super) ready: Option<Ready>,
    pub(super) ready_timed_out: bool,
    pub(super) ready_missing: bool,
    pub(super) correlation_id: Option<String>,
    pub(super) events: Vec<Value>,
    pub(super) trigger_failed: bool,
    pub(super) path: Option<PathBuf>,
    pub(super) mode: Option<Mode>,
    /// Whether something stood at the path that was declared, before the app began.
    stood_before: bool,
    /// Whether the file that triggered was made here.
    made: bool,
    since: SystemTime,
    attempts: u64,
}

impl Attending {
    pub(super) fn new(hints: Hints, limits: Limits, clock: fn() -> SystemTime) -> Self {
        let stood_before = hints.path.as_deref().is_some_and(|path| exists(Path::new(path)));
        let until = Instant::now() + limits.ready;
        Self {
            hints,
            limits,
            clock,
            line: Vec::new(),
            state: State::AwaitReady { until },
            ready: None,
            ready_timed_out: false,
            ready_missing: false,
            correlation_id: None,
            events: Vec::new(),
            trigger_failed: false,
            path: None,
            mode: None,
            stood_before,
            made: false,
            since: clock(),
            attempts: 0,
        }
    }

    /// Whether a trigger was tried, or is not to be.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done { .. } | State::PostDelay { .. })
    }

    fn now_unix_s(&self) -> f64 {
        unix_seconds((self.clock)())
    }

    fn take_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if self.ready.is_none() {
            self.ready = Ready::read(line.trim_end_matches('\r'), self.now_unix_s());
        }
        if self.correlation_id.is_none() && line.contains("pid-ready") {
            let id = line.split(' ').find_map(|word| word.strip_prefix("correlation_id="));
            self.correlation_id = id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        }
    }

    /// Path and mode: as the app says, else as declared. A path that a line break cut off is the declared one.
    fn choose(&mut self) {
        let said = self.ready.as_ref().and_then(|ready| ready.text("wait_path"));
        let path = match (said, &self.hints.path) {
            (Some(said), Some(declared)) if declared.starts_with(said) => Some(declared.clone()),
            (Some(said), _) => Some(said.to_owned()),
            (None, declared) => declared.clone(),
        };
        let mode = match self.ready.as_ref().and_then(|ready| ready.text("mode")) {
            Some("fifo") => Some(Mode::Fifo),
            Some("exists") => Some(Mode::Exists),
            _ => self.hints.mode,
        };
        (self.path, self.mode) = (path.map(PathBuf::from), mode);
    }

    /// Tries to trigger once. `None`: not yet possible, may be tried again.
    fn trigger(&mut self, last_try: bool) -> Option<Result<(), String>> {
        self.attempts += 1;
        let (Some(path), Some(mode)) = (&self.path, self.mode) else {
            return Some(Err("neither fifo nor exists".to_owned()));
        };
        match mode {
            Mode::Fifo => match fifo::post(path, GO) {
                Ok(()) => Some(Ok(())),
                Err(error) => match error.raw_os_error() {
                    // Whoever waited was released by the opening, and is gone.
                    Some(libc::EPIPE) => Some(Ok(())),
                    Some(libc::ENOENT | libc::ENXIO) if !last_try => None,
                    _ => Some(Err(error.to_string())),
                },
            },
            // A file that stands there already is what the app waits for, and the user's.
            Mode::Exists => {
                let made = make_durable(path, GO).map_err(|error| crate::base::error_chain(&error));
                Some(made.map(|made| self.made |= made))
            }
        }
    }

    fn event(&mut self, kind: &str, result: &Result<(), String>) {
        let error = result.as_ref().err();
        let attempts = std::mem::take(&mut self.attempts);
        self.events.push(json!({"kind": kind, "at_unix_s": self.now_unix_s(), "error": error, "attempts": attempts}));
    }

    /// Takes away what the wait left: a named pipe that was not there before, and the file that triggered. Returns what.
    pub(super) fn clean(&self) -> Option<String> {
        let path = self.path.clone().or_else(|| {
            let said = self.ready.as_ref().and_then(|ready| ready.text("wait_path"));
            said.or(self.hints.path.as_deref()).map(PathBuf::from)
        })?;
        let declared = self.hints.path.as_deref().map(Path::new) == Some(path.as_path());
        // A place of the app's own choosing: of this call when it carries the name that the app makes up for one, or was made
        // during it.
        let made_up = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ej-attach-"))
            || fifo::made_since(&path, self.since);
        if (declared && self.stood_before) || (!declared && !made_up) {
            return None;
        }
        let removed = match self.mode.or(self.hints.mode) {
            Some(Mode::Exists) if self.made => crate::os::fs::remove(&path).is_ok(),
            _ => fifo::is_fifo(&path) && fifo::remove(&path).is_ok(),
        };
        removed.then(|| path.display().to_string())
    }
}

impl Attendant for Attending {
    fn stderr(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            if byte == b'\n' {
                self.take_line();
            } else if self.line.len() < MAX_LINE_BYTES {
                self.line.push(byte);
            }
        }
    }

    fn tick(&mut self, now: Instant) -> Instant {
        loop {
            match self.state {
                State::AwaitReady { until } if self.ready.is_some() || now >= until => {
                    self.ready_timed_out = self.ready.is_none();
                    self.choose();
                    self.ready_missing = self.path.is_none();
                    self.state = match self.path {
                        Some(_) => State::Delay { until: now + self.limits.delay },
                        None => State::Done { until: now + self.limits.process },
                    };
                }
                State::Delay { until } if now >= until => {
                    self.state = State::Primary { until: now + self.limits.trigger };
                }
                State::Primary { until } => {
                    let Some(result) = self.trigger(now >= until) else { return far(now) };
                    self.event("primary", &result);
                    self.trigger_failed = result.is_err();
                    self.state = match self.limits.post.filter(|_| result.is_ok()) {
                        Some(delay) => State::PostDelay { until: now + delay },
                        None => State::Done { until: now + self.limits.process },
                    };
                }
                State::PostDelay { until } if now >= until => {
                    let result = self.trigger(true).unwrap_or(Ok(()));
                    self.event("post", &result);
                    self.state = State::Done { until: now + self.limits.process };
                }
                State::Done { until } => return until,
                // Each of these steps ends by itself.
                State::AwaitReady { .. } | State::Delay { .. } | State::PostDelay { .. } => return far(now),
            }
        }
    }
}

/// Not yet.
fn far(now: Instant) -> Instant {
    now + Duration::from_secs(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_say_the_app_waits_keep_paths_with_blanks() {
        let read = |line: &str| Ready::read(line, 1.0).map(|ready| Value::Object(ready.info));
        assert_eq!(
            read("[client] wait-ready mode=fifo wait_path=/a b/c=d e"),
            Some(json!({"mode": "fifo", "wait_path": "/a b/c=d e"}))
        );
        assert_eq!(
            read("[client] wait-ready mode=fifo wait_path_class=tmp wait_name=x y"),
            Some(json!({"mode": "fifo", "wait_path_class": "tmp", "wait_name": "x y"}))
        );
        for other in ["[client] pid-ready pid=1", "wait-ready", "wait-ready foo=1", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn hints_come_from_the_declaring_arguments() {
        let hints = |words: &[&str]| Hints::of(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let own = hints(&["--wait-fifo", "/a b", "--wait-timeout-ms", "7000", "--hold-open", "1.5"]);
        assert_eq!((own.path.as_deref(), own.mode, own.wait_timeout_ms), (Some("/a b"), Some(Mode::Fifo), Some(7000)));
        assert_eq!(own.holds, Duration::from_millis(1500));
        assert_eq!(hints(&["--attach", "4"]).holds, Duration::from_secs(8));
        assert_eq!(hints(&["--wait-exists", "/x"]).mode, Some(Mode::Exists));
        assert_eq!(hints(&["--wait-path-class", "tmp", "--wait-name", "x"]), Hints::default());
        assert_eq!(hints(&["--attach", "1e300", "--hold-open", "x"]).holds, LONGEST * 2);
        assert_eq!(hints(&["--wait-fifo"]).path.as_deref(), Some(""));
    }
}
