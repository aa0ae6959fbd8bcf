//! `sbpl eval`

use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::profile::{ProfileArgs, compile, show_diagnostics};
use crate::base::json::{self as document, JsonError};
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit, StdoutError};
use crate::sbpl::{Policy, Query};

// Arguments of `sbpl eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    profile: ProfileArgs,
}

const HELP: &str = "\
Reads questions from standard input and answers each at once:
  in   {\"id\": 1, \"operation\": \"file-read-data\", \"target\": \"/x\", \"attributes\": {\"vnode-type\": \"SYMLINK\"}}
  out  {\"id\":1,\"decision\":\"allow\",\"rule\":{\"file\":\"a.sb\",\"line\":3,\"text\":\"(allow default)\"},\"reason\":null,
       \"note\":null}
id (any value), target and attributes may be left out. A line that is not a question is answered with
  {\"line\":7,\"id\":null,\"error\":\"…\"}

Examples:
  runtime sbpl eval --profile a.sb < questions.jsonl > decisions.jsonl
  echo '{\"operation\": \"process-fork\"}' | runtime sbpl eval --profile a.sb -D HOME=/home/u

Exit status: 0 every line answered, 2 usage, 3 a line is not a question, or the profile cannot be read or compiled.";

pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let policy = match compile(&args.profile, context)? {
        Ok(policy) => policy,
        Err(diagnostics) => return show_diagnostics(&diagnostics, json, context),
    };
    let mut input = BufReader::new(std::io::stdin().lock());
    let mut output = BufWriter::new(std::io::stdout().lock());
    let mut exit = Exit::Yes;
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let limit = MAX_QUESTION_BYTES + 1;
        if input.by_ref().take(limit).read_until(b'\n', &mut line).context("cannot read standard input")? == 0 {
            break;
        }
        let whole = line.last() == Some(&b'\n') || (line.len() as u64) < limit;
        if !whole {
            // Passed over in the reader's own buffer; the questions after it are answered too.
            input.skip_until(b'\n').context("cannot read standard input")?;
        }
        let answer = if whole { answer(&line, number, &policy) } else { Err(too_long(number)) };
        let text = match &answer {
            Ok(Some(answer)) => document::to_line(answer),
            Ok(None) => continue,
            Err(error) => {
                exit = Exit::CannotAnswer;
                document::to_line(error)
            }
        };
        let written = writeln!(output, "{text}").and_then(|()| {
            // A question that waits for its answer gets it at once; a file is answered in blocks.
            if input.buffer().is_empty() { output.flush() } else { Ok(()) }
        });
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(exit),
            other => other.map_err(StdoutError)?,
        }
    }
    match output.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(StdoutError(error).into()),
        _ => Ok(exit),
    }
}

/// The longest question, in bytes.
const MAX_QUESTION_BYTES: u64 = 1 << 20;

/// Answers one line; `None` for an empty one.
fn answer(line: &[u8], number: u64, policy: &Policy) -> Result<Option<Value>, Value> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let fail = |id: &Value, error: String| json!({"line": number, "id": id, "error": error});
    let question = document::read(line).map_err(|error| {
        fail(&Value::Null, format!("expected one JSON object with \"operation\": {}", within(&error)))
    })?;
    let id = question.get("id").cloned().unwrap_or(Value::Null);
    let query = question_of(&question).map_err(|error| fail(&id, error))?;
    let decided = query.decide(policy);
    Ok(Some(json!({
        "id": id, "decision": decided.decision, "rule": decided.rule, "reason": decided.reason, "note": decided.note,
    })))
}

/// What is wrong within one line: the line is named by its number in the stream.
fn within(error: &JsonError) -> String {
    match error {
        JsonError::Syntax { message, column, .. } => format!("{message} at column {column}"),
        JsonError::Utf8 { offset, .. } => format!("invalid UTF-8 at byte {offset}"),
        JsonError::TooLarge { .. } => error.to_string(),
    }
}

fn question_of(question: &Value) -> Result<Query, String> {
    let object = question.as_object().ok_or("expected an object")?;
    if let Some(unknown) =
        object.keys().find(|key| !matches!(key.as_str(), "id" | "operation" | "target" | "attributes"))
    {
        return Err(format!("unknown key \"{unknown}\"; known are id, operation, target, attributes"));
    }
    let operation = object.get("operation").and_then(Value::as_str).ok_or("/operation: expected a string")?;
    let target = match object.get("target") {
        None | Some(Value::Null) => None,
        Some(target) => Some(target.as_str().ok_or("/target: expected a string or null")?),
    };
    let mut attributes = Vec::new();
    if let Some(given) = object.get("attributes") {
        for (name, value) in given.as_object().ok_or("/attributes: expected an object")? {
            let value = value.as_str().ok_or_else(|| format!("/attributes/{name}: expected a string"))?;
            attributes.push((name.clone(), value.to_owned()));
        }
    }
    Query::new(operation, target, &attributes).map_err(|error| error.to_string())
}

fn too_long(number: u64) -> Value {
    json!({"line": number, "id": null, "error": format!("the line has more than {MAX_QUESTION_BYTES} bytes")})
}
