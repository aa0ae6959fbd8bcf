//! Which lines of a stream lie between the sentinels, and what speaks against having seen everything there. Pure.

use super::{Captured, Edge, Gap};
use crate::denial::log::{Line, Log};
use crate::os::process::lines::Said;

/// Longest line of a stream, in bytes: a long report has some thousand.
pub(super) const LONGEST_LINE: usize = 1024 * 1024;
/// Most bytes of a stream.
pub(super) const MOST_BYTES: usize = 256 * 1024 * 1024;

/// A stream that is being read.
#[derive(Debug)]
pub struct Interval {
    nonce: String,
    log: Log,
    text: String,
    garbage: u64,
    too_long: u64,
    begun: bool,
    ended: bool,
    gaps: Vec<Gap>,
}

impl Interval {
    /// An interval between sentinels whose names hold `nonce`.
    #[must_use]
    pub fn new(nonce: &str) -> Self {
        Self {
            nonce: nonce.to_owned(),
            log: Log::default(),
            text: String::new(),
            garbage: 0,
            too_long: 0,
            begun: false,
            ended: false,
            gaps: Vec::new(),
        }
    }

    /// Name of the file that a sentinel is refused. Every attempt has its own: the kernel sums equal refusals up, and would say so
    /// late.
    #[must_use]
    pub fn sentinel(&self, edge: Edge, attempt: u32) -> String {
        format!("{}{attempt}", self.mark(edge))
    }

    fn mark(&self, edge: Edge) -> String {
        let word = if edge == Edge::Start { "start" } else { "end" };
        format!("sentinel-{}-{word}-", self.nonce)
    }

    /// Whether a sentinel of that edge was seen.
    #[must_use]
    pub fn has(&self, edge: Edge) -> bool {
        if edge == Edge::Start { self.begun } else { self.ended }
    }

    /// Whether nothing more can come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended || self.over().is_some()
    }

    /// Why nothing more can come, where something stands in the way.
    #[must_use]
    pub fn over(&self) -> Option<Gap> {
        let is_end = |gap: &&Gap| matches!(gap, Gap::StreamEnded { .. } | Gap::TooMuch { .. });
        self.gaps.iter().find(is_end).cloned()
    }

    /// Takes what the log tool said.
    pub fn take(&mut self, said: &Said) {
        if self.is_over() {
            return;
        }
        match said {
            Said::Line(line) => self.line(line),
            Said::TooLong if self.begun => self.too_long += 1,
            Said::TooLong => {}
            Said::TooMuch => self.gaps.push(Gap::TooMuch { limit_bytes: MOST_BYTES as u64 }),
            Said::End(status) => self.gaps.push(Gap::StreamEnded { status: *status }),
        }
    }

    fn line(&mut self, line: &str) {
        let mut own = Log::default();
        let kind = own.line(line);
        // A sentinel is a refusal that the system logged; any other word about its file proves nothing.
        let refused = |mark: &str| {
            let names = |argument: &str| argument.rsplit('/').next().is_some_and(|name| name.starts_with(mark));
            own.entries.iter().any(|entry| entry.denied && entry.argument.as_deref().is_some_and(names))
        };
        if !self.begun {
            // What is lost before the command begins is no loss.
            self.begun = refused(&self.mark(Edge::Start));
            return;
        }
        self.text.push_str(line);
        self.text.push('\n');
        self.garbage += u64::from(kind == Line::Garbage);
        self.ended = refused(&self.mark(Edge::End));
        let mine = format!("sentinel-{}-", self.nonce);
        own.entries.retain(|entry| !entry.argument.as_deref().is_some_and(|argument| argument.contains(&mine)));
        self.log.entries.append(&mut own.entries);
        self.log.applied.append(&mut own.applied);
        self.log.losses.append(&mut own.losses);
        self.log.unread.append(&mut own.unread);
    }

    /// Notes something else for which a refusal may be missing.
    pub fn note(&mut self, gap: Gap) {
        self.gaps.push(gap);
    }

    /// What lies between the sentinels.
    #[must_use]
    pub fn captured(self) -> Captured {
        let mut gaps = self.gaps;
        gaps.extend(self.log.losses.into_iter().map(|notice| Gap::Dropped { notice }));
        if self.garbage > 0 {
            gaps.push(Gap::Garbage { lines: self.garbage });
        }
        if self.too_long > 0 {
            gaps.push(Gap::TooLong { lines: self.too_long, limit_bytes: LONGEST_LINE as u64 });
        }
        if !self.log.unread.is_empty() {
            gaps.push(Gap::UnknownShape { messages: self.log.unread.len() as u64 });
        }
        Captured { entries: self.log.entries, applied: self.log.applied, gaps, text: self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Said {
        Said::Line(serde_json::json!({"eventMessage": text}).to_string())
    }

    fn refused(name: &str) -> Said {
        message(&format!("Sandbox: cat(9) deny(1) file-read-data /private/x/{name}"))
    }

    fn of(all: &[Said]) -> (Interval, Captured) {
        let read = || {
            let mut interval = Interval::new("n");
            all.iter().for_each(|said| interval.take(said));
            interval
        };
        (read(), read().captured())
    }

    #[test]
    fn only_what_lies_between_the_sentinels_counts() {
        let (interval, captured) = of(&[
            refused("before"),
            Said::Line("not json".to_owned()),
            Said::TooLong,
            refused("sentinel-n-start-2"),
            refused("between"),
            // A late one of an earlier attempt.
            refused("sentinel-n-start-1"),
            message("Sandbox apply: sandbox-exec[44] <bytes>"),
            refused("sentinel-n-end-1"),
            refused("after"),
            Said::End(None),
        ]);
        assert!(interval.has(Edge::Start) && interval.has(Edge::End) && interval.is_over());
        let found: Vec<_> = captured.entries.iter().map(|entry| entry.argument.as_deref().unwrap()).collect();
        assert_eq!((found, captured.applied.as_slice()), (vec!["/private/x/between"], &[44][..]));
        assert_eq!(captured.gaps, []);
    }

    #[test]
    fn words_about_a_sentinel_are_none() {
        for other in [
            "Sandbox: cat(9) allow file-read-data /x/sentinel-n-start-1",
            "Sandbox: cat(9) deny(1) file-read-data /x/sentinel-m-start-1",
            "Sandbox: cat(9) deny(1) file-read-data /x/sentinel-n-start-1/y",
            "sentinel-n-start-1",
        ] {
            assert!(!of(&[message(other)]).0.has(Edge::Start), "{other}");
        }
    }

    #[test]
    fn every_way_to_lose_something_is_a_gap() {
        let begun = refused("sentinel-n-start-1");
        let gaps = |said: Said| of(&[begun.clone(), said, refused("sentinel-n-end-1")]).1.gaps;
        let dropped = "=== Messages dropped during live streaming (use `log show`)";
        assert_eq!(gaps(Said::Line(dropped.to_owned())), [Gap::Dropped { notice: dropped.to_owned() }]);
        assert_eq!(gaps(message(dropped)), [Gap::Dropped { notice: dropped.to_owned() }]);
        assert_eq!(gaps(Said::Line("{\"eventMess".to_owned())), [Gap::Garbage { lines: 1 }]);
        assert_eq!(gaps(Said::TooLong), [Gap::TooLong { lines: 1, limit_bytes: 1024 * 1024 }]);
        assert_eq!(gaps(Said::TooMuch), [Gap::TooMuch { limit_bytes: 256 * 1024 * 1024 }]);
        assert_eq!(gaps(Said::End(Some(1))), [Gap::StreamEnded { status: Some(1) }]);
        assert_eq!(gaps(message("Sandbox: x deny(1) in a new shape")), [Gap::UnknownShape { messages: 1 }]);
        assert_eq!(gaps(message("hello")), [], "the twin");
    }
}
