//! A running `log stream`, and the refusals that are provoked at both ends of it.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::interval::{LONGEST_LINE, MOST_BYTES};
use super::{Captured, Capturing, Edge, Gap, Interval, sentinel_arguments, stream_arguments};
use crate::base::cancel::Cancel;
use crate::base::error_chain;
use crate::base::ids::RunId;
use crate::host::Tool;
use crate::os::fs::write_durable;
use crate::os::process::lines::LineStream;
use crate::os::process::run_tool;

/// A sentinel that is not seen by then is provoked again: the stream may not have been attached yet.
const AGAIN_AFTER: Duration = Duration::from_millis(400);
/// How often a waiting reader looks at `Cancel`.
const TICK: Duration = Duration::from_millis(50);
/// Bytes kept of what a sentinel's process prints: nobody reads it.
const KEEP: usize = 4096;

/// A log that is being captured. Dropping it ends the log tool.
#[derive(Debug)]
pub struct Capture {
    stream: LineStream,
    interval: Interval,
    how: Capturing,
}

impl Capture {
    /// Starts the log tool and waits until the first sentinel is in its stream.
    ///
    /// # Errors
    /// A [`Gap`]: whatever ran now would not be seen.
    pub fn begin(how: &Capturing, cancel: &Cancel) -> Result<Self, Gap> {
        let arguments: Vec<OsString> = stream_arguments().into_iter().map(OsString::from).collect();
        let stream = LineStream::start(&how.tool(Tool::Log), &arguments, LONGEST_LINE, MOST_BYTES)
            .map_err(|error| Gap::NotStarted { why: error_chain(&error) })?;
        let interval = Interval::new(RunId::random().as_str());
        let mut capture = Self { stream, interval, how: how.clone() };
        capture.await_sentinel(Edge::Start, cancel)?;
        Ok(capture)
    }

    /// Waits until the last sentinel is in the stream, and ends the log tool. What prevents that is a gap of what is returned.
    #[must_use]
    pub fn end(mut self, cancel: &Cancel) -> Captured {
        if let Err(gap) = self.await_sentinel(Edge::End, cancel) {
            self.interval.note(gap);
        }
        self.interval.captured()
    }

    fn await_sentinel(&mut self, edge: Edge, cancel: &Cancel) -> Result<(), Gap> {
        let until = Instant::now() + self.how.limit;
        let mut attempt = 0;
        loop {
            attempt += 1;
            // What has come so far first: a stream that has ended needs no sentinel.
            if self.read_until(Instant::now(), edge, cancel)? {
                return Ok(());
            }
            self.provoke(edge, attempt, until, cancel)?;
            if self.read_until(until.min(Instant::now() + AGAIN_AFTER), edge, cancel)? {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Gap::SentinelMissing { edge, limit_s: self.how.limit.as_secs_f64() });
            }
        }
    }

    /// Reads until the sentinel is there or the time has come; whether there is nothing more to wait for.
    fn read_until(&mut self, until: Instant, edge: Edge, cancel: &Cancel) -> Result<bool, Gap> {
        loop {
            match self.stream.next(until.min(Instant::now() + TICK)) {
                Some(said) => self.interval.take(&said),
                None if Instant::now() >= until => return Ok(self.interval.has(edge)),
                None if cancel.is_set() => return Err(Gap::Interrupted { edge }),
                None => {}
            }
            if self.interval.has(edge) {
                return Ok(true);
            }
            match (edge, self.interval.over()) {
                (Edge::Start, Some(gap)) => return Err(gap),
                // It stands among the gaps already.
                (Edge::End, Some(_)) => return Ok(true),
                _ => {}
            }
        }
    }

    /// Has a refusal logged.
    fn provoke(&self, edge: Edge, attempt: u32, until: Instant, cancel: &Cancel) -> Result<(), Gap> {
        let failed = |why: String| Gap::NoSentinel { edge, why };
        let file = self.how.directory.join(self.interval.sentinel(edge, attempt));
        write_durable(&file, b"").map_err(|error| failed(error_chain(&error)))?;
        let words: Vec<OsString> = sentinel_arguments(&file).into_iter().map(OsString::from).collect();
        let program = self.how.tool(Tool::SandboxExec);
        // One that hangs is not seen either.
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        let end = run_tool(&program, &words, left, KEEP, cancel).map_err(|error| failed(error_chain(&error)))?;
        let _ = crate::os::fs::remove(&file);
        if cancel.is_set() {
            return Err(Gap::Interrupted { edge });
        }
        // The time is up: whether it was logged will not be known.
        if end.timed_out {
            return Ok(());
        }
        match end.exit_status {
            // What cat says when it was started and could not open its file.
            Some(1) => Ok(()),
            Some(0) => Err(failed("the file that the profile denies was read".to_owned())),
            _ => Err(failed(end.told())),
        }
    }
}
