//! Refusals in saved logs: the unified log of macOS as its tools write it, and our own JSON lines. Pure.
//!
//! A capture of the unified log begins with a banner and is often cut off in the middle of its array, so it is not one JSON
//! document: objects are read one by one, whatever stands between them. `SPEC.md`, section "Logs of refusals", lists the
//! shapes of messages. What cannot be read is counted, never guessed.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// One refusal, or a permission that a profile asked to be reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Operation as logged; may be a wildcard name.
    pub operation: String,
    /// What it was asked on; `None` for operations without an object. Spelled as its log spells it.
    pub argument: Option<String>,
    /// Who asked.
    pub pid: i32,
    /// Name of the asking process.
    pub process: String,
    /// The asking process's parent, where a long report names it.
    pub parent: Option<i32>,
    /// How many equal ones the line stands for.
    pub count: u64,
    /// Whether it was refused; otherwise a permission was reported.
    pub denied: bool,
    /// Further lines of the message: the text of a `message` modifier.
    pub tag: Option<String>,
    /// Set when an enforcement layer could not apply the profile to it: no rule can allow it.
    pub undecided: Option<String>,
    /// Spelling of `argument`.
    pub spelling: Spelling,
    /// When it was logged, in microseconds since 1970-01-01T00:00:00Z; `None` where the log does not say.
    pub at_unix_us: Option<i64>,
}

/// How a log spells the objects of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// The unified log of macOS.
    UnifiedLog,
    /// Decision records of our own ([`super::DecisionRecord::target`]).
    Record,
}

/// What a log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Refusals and reported permissions in the order of the log.
    pub entries: Vec<Logged>,
    /// Processes that `sandbox-exec` put into a sandbox, by their own notices.
    pub applied: Vec<i32>,
    /// Notices that messages were lost.
    pub losses: Vec<String>,
    /// Messages of other kinds.
    pub other_messages: usize,
    /// Messages that speak of a refusal in a shape that is not known.
    pub unread: Vec<String>,
    /// Whether the text ends within an object.
    pub cut_off: bool,
    /// Every message text, for looking for sentinels.
    pub messages: Vec<String>,
    /// Whether anything in the text is known as part of a log, be it a message about something else: a log without refusals is one,
    /// and a text that merely is none is not.
    pub is_log: bool,
}

/// What one line of a live stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A message, or something about the stream itself.
    Read,
    /// Nothing that the log tool writes: a message may have been lost with it.
    Garbage,
}

/// How the log tool begins, before the first message.
const BANNER: &str = "Filtering the log data using";

/// What the unified log is asked for, live or afterwards: the kernel's words about sandboxes, and those of its reporter.
pub const PREDICATE: &str = "(processID == 0 AND senderImagePath CONTAINS \"/Sandbox\") OR subsystem == \
                             \"com.apple.sandbox.reporting\" OR sender == \"Sandbox\"";

/// The notice of the log tool that it could not keep up.
const DROPPED: &str = "=== Messages dropped during live streaming";

/// Most messages kept as examples of what could not be read.
const MOST_UNREAD: usize = 100;

/// Reads a saved log of either kind.
#[must_use]
pub fn read(text: &str) -> Log {
    // What the log tool writes when it found nothing is an empty array.
    let mut log = Log { is_log: text.trim() == "[]", ..Log::default() };
    for line in text.lines().map(str::trim_start) {
        log.is_log |= line.starts_with(BANNER);
        if line.starts_with(DROPPED) {
            log.is_log = true;
            log.losses.push(line.trim_end().to_owned());
        }
    }
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let at_line_start = rest[..start]
            .rsplit('\n')
            .next()
            .is_some_and(|before| before.chars().all(|c| c.is_whitespace() || matches!(c, '[' | ',' | ']' | '}')));
        let object = &rest[start..];
        if !at_line_start {
            rest = &object[1..];
            continue;
        }
        let mut values = serde_json::Deserializer::from_str(object).into_iter::<Object>();
        match values.next() {
            Some(Ok(value)) => {
                log.object(value);
                rest = &object[values.byte_offset().max(1)..];
            }
            // The end of the text, or an object that was cut off before others: those are still read.
            Some(Err(error)) if error.is_eof() => {
                log.cut_off = true;
                rest = &object[1..];
            }
            _ => rest = &object[1..],
        }
    }
    // The compact styles of the log tool: one message a line. What is left of a cut-off object is none.
    let dated = text.lines().any(begins_with_date);
    if log.messages.is_empty() && log.entries.is_empty() && (dated || !log.cut_off) {
        log.cut_off = false;
        log.is_log |= dated;
        compact_messages(text, dated).iter().for_each(|message| log.compact(message));
    }
    log
}

/// The messages of a compact style that may be about decisions. Where messages are dated, a line without a date goes on with the
/// message before it.
fn compact_messages(text: &str, dated: bool) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for line in text.lines() {
        match messages.last_mut() {
            Some(last) if dated && !begins_with_date(line) => {
                last.push('\n');
                last.push_str(line);
            }
            _ => messages.push(line.to_owned()),
        }
    }
    messages.retain(|message| message.contains("deny") || message.contains("allow"));
    messages
}

/// Whether a line begins as `2024-05-01 12:` does.
fn begins_with_date(line: &str) -> bool {
    let shape = b"dddd-dd-dd dd:";
    let begins = |(byte, shape): (&u8, &u8)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
    line.len() >= shape.len() && line.as_bytes().iter().zip(shape).all(begins)
}

/// The time of a message as the log tool writes it, `2024-05-01 12:00:00.123456+0200`.
fn unix_micros(text: &str) -> Option<i64> {
    jiff::Timestamp::strptime("%Y-%m-%d %H:%M:%S%.f%z", text).ok().map(jiff::Timestamp::as_microsecond)
}

/// What is looked at of an object: a message of the unified log, or a record of ours. `capture` is the last line of our records of
/// a live log, `finished` that of the log tool's style with an object a line.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "eventMessage")]
    message: Option<String>,
    timestamp: Option<String>,
    operation: Option<String>,
    target: Option<String>,
    pid: Option<i32>,
    process: Option<String>,
    count: Option<u64>,
    rule: Option<String>,
    undecided: Option<String>,
    capture: Option<IgnoredAny>,
    finished: Option<IgnoredAny>,
}

impl Log {
    /// Adds one line of a live stream in the style that writes an object a line.
    pub fn line(&mut self, line: &str) -> Line {
        let line = line.trim();
        if line.starts_with(DROPPED) {
            self.losses.push(line.to_owned());
            return Line::Read;
        }
        if line.is_empty() || line.starts_with(BANNER) {
            return Line::Read;
        }
        match serde_json::from_str::<Object>(line) {
            Ok(object) => {
                self.object(object);
                Line::Read
            }
            Err(_) => Line::Garbage,
        }
    }

    fn object(&mut self, object: Object) {
        self.is_log |= object.capture.is_some() || object.finished.is_some();
        if let Some(message) = object.message {
            self.is_log = true;
            self.message(message, object.timestamp.as_deref().and_then(unix_micros));
            return;
        }
        let (Some(operation), Some(target)) = (object.operation, object.target) else {
            self.other_messages += 1;
            return;
        };
        self.is_log = true;
        self.entries.push(Logged {
            operation,
            argument: Some(target).filter(|target| !target.is_empty()),
            pid: object.pid.unwrap_or(0),
            process: object.process.unwrap_or_default(),
            parent: None,
            count: object.count.unwrap_or(1),
            denied: true,
            tag: None,
            // What a rule left open can be decided by another rule.
            undecided: object.undecided.filter(|_| object.rule.is_none()),
            spelling: Spelling::Record,
            at_unix_us: None,
        });
    }

    /// A message of a compact style: what stands before its text is not known.
    fn compact(&mut self, text: &str) {
        let first = text.split('\n').next().unwrap_or_default();
        let begins = |mark| first.find(mark);
        let marked = begins("Sandbox: ").or_else(|| begins("Sandbox apply: "));
        let of_sandboxd = || {
            let after = first.find("sandboxd")?;
            Some(after + first[after..].find(": ")? + 2)
        };
        let at = marked.map(|at| at - duplicates_before(&first[..at])).or_else(of_sandboxd).unwrap_or(0);
        self.message(text[at..].to_owned(), None);
    }

    fn message(&mut self, message: String, at_unix_us: Option<i64>) {
        if message.starts_with(DROPPED) {
            self.losses.push(message.clone());
        } else if let Some(rest) = message.strip_prefix("Sandbox apply: ") {
            let pid = rest
                .split_once('[')
                .and_then(|(_, rest)| rest.split_once(']'))
                .and_then(|(pid, _)| pid.parse::<i32>().ok());
            self.is_log |= pid.is_some();
            self.applied.extend(pid);
        } else if let Some(entry) = entry(&message) {
            self.is_log = true;
            self.entries.push(Logged { at_unix_us, ..entry });
        } else if speaks_of_refusal(&message) {
            if self.unread.len() < MOST_UNREAD {
                self.unread.push(message.clone());
            }
        } else {
            self.other_messages += 1;
        }
        self.messages.push(message);
    }
}

fn speaks_of_refusal(message: &str) -> bool {
    message.contains(" deny(") || message.contains(" deny ") || message.contains("forbidden")
}

/// Reads one message. The first line says what was decided:
///
/// ```text
/// [N duplicate report[s] for ]Sandbox: NAME(PID) deny(1) OPERATION[ ARGUMENT]
/// Sandbox: NAME(PID) allow OPERATION[ ARGUMENT]
/// NAME(PID) deny OPERATION[ ARGUMENT]
/// ```
///
/// Names and arguments may hold spaces and parentheses, so the process's number is the last parenthesised one before the
/// decision. A long report goes on with `Field: value` lines, a tagged one with the text of the tag.
fn entry(message: &str) -> Option<Logged> {
    let (first, further) = match message.split_once('\n') {
        Some((first, further)) => (first, Some(further)),
        None => (message, None),
    };
    let (count, line) = duplicates(first);
    let line = line.strip_prefix("Sandbox: ").unwrap_or(line);
    let (subject, denied, access) = decision(line)?;
    let (process, pid) = subject.strip_suffix(')')?.rsplit_once('(')?;
    let pid = pid.parse().ok()?;
    let (operation, argument) = match access.split_once(' ') {
        Some((operation, argument)) => (operation, Some(argument)),
        None => (access, None),
    };
    let is_operation = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '*');
    if operation.is_empty() || !operation.chars().all(is_operation) {
        return None;
    }
    let report = further.is_some_and(|text| text.lines().any(|line| line.starts_with("Violation:")));
    let field = |name: &str| further?.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some(Logged {
        operation: operation.to_owned(),
        argument: argument.map(str::to_owned).filter(|argument| !argument.is_empty()),
        pid,
        process: process.to_owned(),
        parent: field("Parent Process:").and_then(|text| text.strip_suffix(']')?.rsplit_once('[')?.1.parse().ok()),
        count,
        denied,
        tag: further.filter(|_| !report).map(|text| text.trim_end().to_owned()).filter(|text| !text.is_empty()),
        undecided: None,
        spelling: Spelling::UnifiedLog,
        at_unix_us: None,
    })
}

/// Length of the words of [`duplicates`] at the end of `text`, their number included.
fn duplicates_before(text: &str) -> usize {
    for words in [" duplicate reports for ", " duplicate report for "] {
        if let Some(before) = text.strip_suffix(words) {
            let digits = before.bytes().rev().take_while(u8::is_ascii_digit).count();
            return if digits == 0 { 0 } else { digits + words.len() };
        }
    }
    0
}

/// The number of reports a line stands for, and the line.
fn duplicates(line: &str) -> (u64, &str) {
    for words in [" duplicate reports for ", " duplicate report for "] {
        if let Some((number, rest)) = line.split_once(words)
            && let Ok(count) = number.parse()
        {
            return (count, rest);
        }
    }
    (1, line)
}

/// Splits a line at its decision: who, whether refused, what. The first place counts at which a process's number stands
/// before the word: what follows may hold anything.
fn decision(line: &str) -> Option<(&str, bool, &str)> {
    let numbered = |subject: &str| {
        subject
            .strip_suffix(')')
            .and_then(|text| text.rsplit_once('('))
            .is_some_and(|(_, pid)| pid.parse::<i32>().is_ok())
    };
    line.match_indices(") ").find_map(|(at, _)| {
        let (subject, rest) = (&line[..=at], &line[at + 2..]);
        if !numbered(subject) {
            return None;
        }
        if let Some(access) = rest.strip_prefix("allow ") {
            return Some((subject, false, access));
        }
        if let Some(access) = rest.strip_prefix("deny ") {
            return Some((subject, true, access));
        }
        let (code, access) = rest.strip_prefix("deny(")?.split_once(") ")?;
        code.bytes().all(|byte| byte.is_ascii_digit()).then_some((subject, true, access))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(message: &str) -> Logged {
        entry(message).unwrap_or_else(|| panic!("{message}"))
    }

    #[test]
    fn every_shape_of_message_is_read() {
        let denied = one("Sandbox: tool(412) deny(1) file-read-data /private/etc/hosts");
        assert_eq!(
            (denied.operation.as_str(), denied.pid, denied.count, denied.denied),
            ("file-read-data", 412, 1, true)
        );
        assert_eq!((denied.process.as_str(), denied.argument.as_deref()), ("tool", Some("/private/etc/hosts")));
        assert_eq!(one("Sandbox: tool(412) deny(1) process-fork").argument, None);
        let many = one("3 duplicate reports for Sandbox: tool(412) deny(1) file-read-data /x");
        assert_eq!((many.count, many.argument.as_deref()), (3, Some("/x")));
        assert_eq!(one("1 duplicate report for Sandbox: tool(412) deny(1) process-fork").count, 1);
        let ioctl = one("Sandbox: tool(412) deny(1) file-ioctl path:/dev/dtracehelper ioctl-command:(_IO \"h\" 4)");
        assert_eq!(ioctl.argument.as_deref(), Some("path:/dev/dtracehelper ioctl-command:(_IO \"h\" 4)"));
        assert!(!one("Sandbox: tool(412) allow file-read-data /x").denied);
        assert_eq!(one("tool(412) deny file-read-data /x").argument.as_deref(), Some("/x"));
        let tagged = one("Sandbox: tool(412) deny(1) file-read-data /x\nrun-17");
        assert_eq!(tagged.tag.as_deref(), Some("run-17"));
        let report =
            one("Sandbox: a(7) deny(1) mach-lookup com.example\nViolation:       deny(1) mach-lookup com.example \n\
             Process:         a [7]\nParent Process:  zsh (x) [412]\nMetaData: {\"a\":1}");
        assert_eq!((report.parent, report.tag.as_deref()), (Some(412), None));
    }

    #[test]
    fn names_and_paths_may_look_like_messages() {
        let odd = one(
            "Sandbox: My App (Beta) x(3)(88) deny(1) file-read-data /a b (c) deny(1) file-write* \"q\" (9) allow x",
        );
        assert_eq!((odd.process.as_str(), odd.pid), ("My App (Beta) x(3)", 88));
        assert_eq!(odd.argument.as_deref(), Some("/a b (c) deny(1) file-write* \"q\" (9) allow x"));
        for other in [
            "Sandbox: (412) deny",
            "Sandbox: tool deny(1) file-read-data /x",
            "hello",
            "",
            "tool(4) deny(x) file-read* /",
        ] {
            assert_eq!(entry(other), None, "{other}");
        }
    }

    #[test]
    fn a_capture_that_was_cut_off_is_read_as_far_as_it_goes() {
        let text = "Filtering the log data using \"process == 0 {\"\n[{\n  \"traceID\" : 1,\n  \"eventMessage\" : \"Sandbox: t(4) deny(1) \
             file-read-data \\/etc\\/x\\\"y\",\n  \"backtrace\" : {\"frames\" : [{\"imageOffset\" : 1}]}\n},{\n  \"eventMessage\" : \"Sandbox apply: \
             sandbox-exec[4] <bytes>\"\n},{\n  \"eventMessage\" : \"noise\"\n},{\n  \"eventMess";
        let log = read(text);
        assert_eq!(log.entries.len(), 1);
        assert_eq!(log.entries[0].argument.as_deref(), Some("/etc/x\"y"));
        assert_eq!((log.applied.as_slice(), log.other_messages, log.cut_off), (&[4][..], 1, true));
    }

    /// Every shape that `SPEC.md` lists, in the style of a saved capture, of a live one, and compact.
    #[test]
    fn every_shape_is_read_in_every_style() {
        type Expected<'a> = (&'a str, &'a str, i32, Option<&'a str>, u64, bool);
        let shapes: [(&str, Expected<'_>); 15] = [
            (
                "Sandbox: tool(412) deny(1) file-read-data /private/etc/hosts",
                ("tool", "file-read-data", 412, Some("/private/etc/hosts"), 1, true),
            ),
            ("Sandbox: tool(412) deny(1) process-fork", ("tool", "process-fork", 412, None, 1, true)),
            (
                "3 duplicate reports for Sandbox: tool(412) deny(1) file-read-data /x",
                ("tool", "file-read-data", 412, Some("/x"), 3, true),
            ),
            (
                "1 duplicate report for Sandbox: tool(412) deny(1) process-fork",
                ("tool", "process-fork", 412, None, 1, true),
            ),
            (
                "Sandbox: tool(412) deny(1) file-ioctl path:/dev/dtracehelper ioctl-command:(_IO \"h\" 4)",
                ("tool", "file-ioctl", 412, Some("path:/dev/dtracehelper ioctl-command:(_IO \"h\" 4)"), 1, true),
            ),
            (
                "Sandbox: tool(412) deny(1) network-outbound remote:*:2000",
                ("tool", "network-outbound", 412, Some("remote:*:2000"), 1, true),
            ),
            (
                "Sandbox: tool(412) deny(1) network-bind local:*:8080",
                ("tool", "network-bind", 412, Some("local:*:8080"), 1, true),
            ),
            (
                "Sandbox: tool(412) deny(1) network-outbound /private/var/run/mDNSResponder",
                ("tool", "network-outbound", 412, Some("/private/var/run/mDNSResponder"), 1, true),
            ),
            (
                "Sandbox: tool(412) deny(1) mach-lookup com.example\nViolation:       deny(1) mach-lookup com.example\nProcess:         tool [412]\nPath:            /x/tool\nLoad Address:    0x1\nIdentifier:      tool\nVersion:         1\nCode Type:       arm64\nParent Process:  zsh [411]\nResponsible:     /x\nUser ID:         501\nDate/Time:       2024-05-01\nOS Version:      14.4.1\nRelease Type:    User\nReport Version:  8\nMetaData: {\"a\":\"b\"}",
                ("tool", "mach-lookup", 412, Some("com.example"), 1, true),
            ),
            ("Sandbox: tool(412) allow file-read-data /x", ("tool", "file-read-data", 412, Some("/x"), 1, false)),
            (
                "2 duplicate reports for Sandbox: tool(412) allow file-read-data /x",
                ("tool", "file-read-data", 412, Some("/x"), 2, false),
            ),
            (
                "Sandbox: tool(412) deny(1) file-read-data /x\nrun-17",
                ("tool", "file-read-data", 412, Some("/x"), 1, true),
            ),
            ("tool(412) deny file-read-data /x", ("tool", "file-read-data", 412, Some("/x"), 1, true)),
            (
                "Sandbox: My App (b)(412) deny(1) file-read-data /a b (c).txt",
                ("My App (b)", "file-read-data", 412, Some("/a b (c).txt"), 1, true),
            ),
            (
                "Sandbox: tool(412) deny(1) sysctl-read kern.osversion",
                ("tool", "sysctl-read", 412, Some("kern.osversion"), 1, true),
            ),
        ];
        for (message, expected) in shapes {
            let object = |style: fn(&serde_json::Value) -> serde_json::Result<String>| {
                let object =
                    serde_json::json!({"timestamp": "2024-05-01 12:00:00.500000+0200", "eventMessage": message});
                style(&object).unwrap().replace('/', "\\/")
            };
            let saved = read(&format!("{BANNER} \"x\"\n[{},", object(serde_json::to_string_pretty)));
            let mut live = Log::default();
            assert_eq!(live.line(&object(serde_json::to_string)), Line::Read);
            let dated = format!(
                "2024-05-01 12:00:00.500 E  kernel[0:1a] (Sandbox) {message}\n2024-05-01 12:00:01.000 Df kernel[0:1a] x"
            );
            for (style, log) in [("saved", saved), ("live", live), ("compact", read(&dated))] {
                let told = format!("{style}: {message}");
                assert_eq!((log.entries.len(), log.unread.len(), log.losses.len()), (1, 0, 0), "{told}: {log:?}");
                let own = &log.entries[0];
                let found = (
                    own.process.as_str(),
                    own.operation.as_str(),
                    own.pid,
                    own.argument.as_deref(),
                    own.count,
                    own.denied,
                );
                // In front of the oldest shape stands what a compact line begins with.
                let expected = match style == "compact" && !message.contains("Sandbox: ") {
                    true => (found.0, expected.1, expected.2, expected.3, expected.4, expected.5),
                    false => expected,
                };
                assert_eq!(found, expected, "{told}");
                let report = message.contains("Parent Process");
                assert_eq!(own.parent, report.then_some(411), "{told}");
                assert_eq!(own.tag.as_deref(), message.contains("run-17").then_some("run-17"), "{told}");
                let at = (style != "compact").then_some(1_714_557_600_500_000);
                assert_eq!(own.at_unix_us, at, "{told}");
            }
        }
    }

    #[test]
    fn a_line_of_a_live_stream_is_read_or_called_garbage() {
        let mut log = Log::default();
        let lines = [
            ("", Line::Read),
            ("Filtering the log data using \"process == 0\"", Line::Read),
            ("=== Messages dropped during live streaming (use `log show` to see what they were)", Line::Read),
            ("{\"eventMessage\":\"hello\"}", Line::Read),
            ("{\"eventMessage\":\"Sandbox: t deny(1) in a new shape\"}", Line::Read),
            ("{\"eventMessage\":\"Sandbox: t(4) den", Line::Garbage),
            ("\u{fffd}\u{fffd}", Line::Garbage),
        ];
        for (line, expected) in lines {
            assert_eq!(log.line(line), expected, "{line}");
        }
        assert_eq!((log.losses.len(), log.unread.len(), log.other_messages, log.entries.len()), (1, 1, 1, 0));
    }

    #[test]
    fn what_stands_after_a_cut_off_object_is_read() {
        let log = read("{\"a\":[\n{\"eventMessage\":\"Sandbox: t(4) deny(1) process-fork\"}\n");
        assert_eq!((log.entries.len(), log.cut_off), (1, true));
    }

    #[test]
    fn what_is_no_log_is_told_from_a_log_without_refusals() {
        let logs = [
            "[]",
            "Filtering the log data using \"process == 0\"\n",
            "{\"eventMessage\":\"noise\"}",
            "{\"count\":0,\"finished\":1}",
            "{\"capture\":{\"complete\":true}}",
            "2026-01-02 03:04:05.000000+0000 0x1 Default 0x0 0 0 kernel: noise",
            "tool(4) deny process-fork",
        ];
        let brackets = "[".repeat(200_000);
        let none = [
            "",
            "{\"eventMessage\":\"Sandbox: t(4) deny(1) file-read-data /x",
            "\u{fffd}\u{fffd}",
            &brackets,
            "{\"a\":1}",
            "I allow that, and deny this.",
        ];
        for (texts, expected) in [(&logs[..], true), (&none[..], false)] {
            for text in texts {
                let log = read(text);
                assert_eq!(log.is_log, expected, "{}: {log:?}", &text[..text.len().min(80)]);
                assert!(expected || log.entries.is_empty(), "{log:?}");
            }
        }
    }

    #[test]
    fn losses_and_what_cannot_be_read_are_told() {
        let log = read(
            "=== Messages dropped during live streaming (use `log show` to see what they were)\n{\"eventMessage\":\"Sandbox: \
             weird deny(1) things\"}\n{\"eventMessage\":\"=== Messages dropped during live streaming\"}\n",
        );
        assert_eq!((log.losses.len(), log.unread.len(), log.entries.len()), (2, 1, 0));
    }

    #[test]
    fn our_own_records_are_read() {
        let log = read(
            "{\"operation\":\"file-read-data\",\"target\":\"/a\\\\x0ab\",\"pid\":7,\"process\":\"x\",\"rule\":\"p.sb:2\",\"count\":4,\
             \"first_at_unix_s\":1.0,\"last_at_unix_s\":2.0}\n{\"operation\":\"process-fork\",\"target\":\"\",\"pid\":7,\"count\":1}\n",
        );
        assert_eq!(log.entries.len(), 2);
        assert_eq!((log.entries[0].count, log.entries[0].spelling), (4, Spelling::Record));
        assert_eq!(log.entries[1].argument, None);
    }
}
