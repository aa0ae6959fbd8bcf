//! One call of a program of the app: what was executed, how it ended, and what is wrong with it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::envelope::Answer;
use super::{Client, Problem};
use crate::base::cancel::Cancel;
use crate::base::error_chain;
use crate::base::time::unix_seconds;
use crate::os::process::program::{Attendant, Program, ProgramEnd, Until, run_program};

/// Most bytes of stdout that are kept. A record with them stays below the largest document that is read.
const STDOUT_KEEP: usize = 8 * 1024 * 1024;
/// Most bytes of stderr that are kept.
const STDERR_KEEP: usize = 1024 * 1024;
/// The exit status of a call that the app refused.
const MISUSE: i32 = 2;

/// A call that was tried.
#[derive(Debug)]
pub(super) struct Call {
    /// Program and arguments, exactly.
    pub(super) executed: Vec<String>,
    /// How it ended, or why it was not started.
    pub(super) end: Result<ProgramEnd, String>,
    /// When it began and ended, by the wall clock, in seconds since 1970.
    pub(super) started_at_unix_s: f64,
    pub(super) finished_at_unix_s: f64,
}

/// Calls a program for at most `limit`.
pub(super) fn call(client: &Client, argv: Vec<String>, limit: Duration, cancel: &Cancel) -> Call {
    let now = Instant::now();
    let until = now.checked_add(limit).unwrap_or(now + Duration::from_secs(86_400));
    attended(client, argv, &mut Until(until), cancel)
}

/// Calls a program that `attendant` looks after.
pub(super) fn attended(client: &Client, argv: Vec<String>, attendant: &mut dyn Attendant, cancel: &Cancel) -> Call {
    let (program, args) = argv.split_first().expect("argument vectors begin with their program");
    let program = Program {
        exe: Path::new(program).to_owned(),
        args: args.iter().map(Into::into).collect(),
        env: client.env.clone(),
        cwd: client.root.clone(),
        kill_after: client.kill_after,
        stdout_keep: STDOUT_KEEP,
        stderr_keep: STDERR_KEEP,
    };
    let tried_at = client.now_unix_s();
    let end = run_program(&program, attendant, cancel).map_err(|error| error_chain(&error));
    let times = end.as_ref().map(|end| (unix_seconds(end.started_at), unix_seconds(end.finished_at)));
    let (started_at_unix_s, finished_at_unix_s) = times.unwrap_or((tried_at, tried_at));
    Call { executed: argv, end, started_at_unix_s, finished_at_unix_s }
}

impl Call {
    pub(super) fn stdout(&self) -> &[u8] {
        self.end.as_ref().map_or(&[], |end| &end.stdout.bytes)
    }

    pub(super) fn stderr(&self) -> &[u8] {
        self.end.as_ref().map_or(&[], |end| &end.stderr.bytes)
    }

    /// What stdout is; nothing that was cut off is a document.
    pub(super) fn answer(&self) -> Answer {
        match &self.end {
            Ok(end) if end.stdout.is_truncated() => Answer::NotJson,
            _ => Answer::of(self.stdout()),
        }
    }

    /// The exit status, or minus the signal.
    pub(super) fn exit_code(&self) -> Option<i32> {
        let end = self.end.as_ref().ok()?;
        end.exit_status.or_else(|| end.signal.map(|signal| -signal))
    }

    /// Why it could not be run, or that its output is no text.
    pub(super) fn error(&self) -> Option<String> {
        let end = match &self.end {
            Err(error) => return Some(error.clone()),
            Ok(end) => end,
        };
        [("stdout", &end.stdout), ("stderr", &end.stderr)].iter().find_map(|(name, stream)| {
            // A character that the limit cut in two is no fault of the program.
            let error = std::str::from_utf8(&stream.bytes).err()?;
            let cut = stream.is_truncated() && error.error_len().is_none();
            (!cut).then(|| format!("InvalidUtf8: {name} at byte {}", error.valid_up_to()))
        })
    }

    /// Everything that is wrong with how it ended, and with its answer, which should be of this kind.
    pub(super) fn problems(&self, answer: &Answer, kind: &str) -> Vec<Problem> {
        let end = match &self.end {
            Err(_) => return vec![Problem::NotStarted],
            Ok(end) => end,
        };
        let mut problems = Vec::new();
        let mut note = |holds: bool, problem| problems.extend(holds.then_some(problem));
        note(end.cancelled, Problem::Cancelled);
        note(end.timed_out, Problem::TimedOut);
        note(end.signal.is_some() && !end.timed_out && !end.cancelled, Problem::EndedBySignal);
        let refused = end.exit_status == Some(MISUSE) && *answer == Answer::Empty;
        note(refused, Problem::Refused);
        note(*answer == Answer::Empty && !refused, Problem::StdoutEmpty);
        note(end.stdout.is_truncated(), Problem::StdoutTruncated);
        let is_text = std::str::from_utf8(&end.stdout.bytes).is_ok();
        note(!is_text && !end.stdout.is_truncated(), Problem::StdoutNotUtf8);
        note(*answer == Answer::NotJson && is_text && !end.stdout.is_truncated(), Problem::StdoutNotJson);
        if let Some(document) = answer.json() {
            note(document.get("kind").and_then(Value::as_str) != Some(kind), Problem::WrongKind);
            let ok = document.pointer("/result/ok").and_then(Value::as_bool);
            note(ok != Some(true), Problem::ResultNotOk);
            note(contradicts(end.exit_status, document), Problem::ExitContradictsResult);
        }
        note(end.exit_status.is_some_and(|status| status != 0), Problem::ExitNonzero);
        problems
    }

    /// The keys of a record that tell how the program ended, after those that are always there.
    pub(super) fn more(&self, client: &Client) -> Map<String, Value> {
        let end = self.end.as_ref().ok();
        let stream = |of: fn(&ProgramEnd) -> &crate::os::process::program::Stream| end.map(of);
        let (out, err) = (stream(|end| &end.stdout), stream(|end| &end.stderr));
        let value = json!({
            "command_executed": self.executed,
            "exit_status": end.and_then(|end| end.exit_status),
            "signal": end.and_then(|end| end.signal),
            "timed_out": end.is_some_and(|end| end.timed_out),
            "killed": end.is_some_and(|end| end.killed),
            "kill_after_s": client.kill_after.as_secs_f64(),
            "stdout_bytes": out.map_or(0, |stream| stream.total_bytes),
            "stderr_bytes": err.map_or(0, |stream| stream.total_bytes),
            "stdout_truncated": out.is_some_and(|stream| stream.is_truncated()),
            "stderr_truncated": err.is_some_and(|stream| stream.is_truncated()),
        });
        members(value)
    }
}

/// Whether an exit status is another than the answer leads to: the low byte of `result.rc`, or `result.exit_code`, and never 0
/// with a result that is not ok.
fn contradicts(exit_status: Option<i32>, document: &Value) -> bool {
    let Some(status) = exit_status else { return false };
    let result = |key: &str| document.pointer(&format!("/result/{key}"));
    let number = |key: &str| result(key).and_then(Value::as_i64);
    let expected = number("rc").map(|rc| rc & 0xff).or_else(|| number("exit_code"));
    let not_ok = result("ok").and_then(Value::as_bool) == Some(false);
    expected.is_some_and(|expected| expected != i64::from(status)) || (not_ok && status == 0)
}

/// The members of an object.
pub(super) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => unreachable!("written as an object: {other}"),
    }
}

/// Bytes as text for a record; what is not UTF-8 becomes U+FFFD, and the bytes themselves lie beside the record.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_and_result_must_agree() {
        for (status, result, expected) in [
            (Some(0), json!({"ok": true, "rc": 0}), false),
            (Some(1), json!({"ok": false, "rc": 257}), false),
            (Some(0), json!({"ok": false, "rc": 256}), true),
            (Some(0), json!({"ok": false}), true),
            (Some(0), json!({"ok": true, "rc": 1}), true),
            (Some(3), json!({"ok": false, "exit_code": 3}), false),
            (Some(0), json!({"ok": true, "exit_code": 3}), true),
            (Some(1), json!({"ok": false}), false),
            (None, json!({"ok": false}), false),
        ] {
            assert_eq!(contradicts(status, &json!({"result": result})), expected, "{status:?} {result}");
        }
    }
}
