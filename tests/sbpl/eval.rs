//! `sbpl eval`: one answer per question, in order, also for what is not a question.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use super::support::fixture;

#[expect(clippy::disallowed_methods, reason = "a test of the command line runs the command")]
fn start(profile: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_runtime"))
        .args(["sbpl", "eval", "--profile", fixture(profile).to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn answers(input: &str) -> (Vec<serde_json::Value>, Option<i32>) {
    let mut child = start("decisions/precedence.sb");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), output.status.code())
}

#[test]
fn questions_are_answered_in_order() {
    let (answers, code) = answers(
        "{\"id\": [1], \"operation\": \"file-read-data\", \"target\": \"/a/x\"}\n\n\
         {\"operation\": \"process-fork\", \"target\": null}\n\
         {\"id\": \"last\", \"operation\": \"file-write-data\", \"target\": \"/a/x\"}",
    );
    assert_eq!(code, Some(0));
    let shown: Vec<String> =
        answers.iter().map(|a| format!("{} {} {}", a["id"], a["decision"], a["rule"]["line"])).collect();
    assert_eq!(shown, ["[1] \"allow\" 4", "null \"allow\" 17", "\"last\" \"deny\" 8"]);
}

#[test]
fn an_operation_that_no_table_holds_is_noted() {
    let (answers, code) = answers("{\"operation\": \"file-red-data\"}\n{\"operation\": \"process-fork\"}\n");
    assert_eq!(code, Some(0));
    assert_eq!(answers[0]["note"], "the operation is not in the system's table; did you mean \"file-read-data\"?");
    assert!(answers[1]["note"].is_null() && answers[1].as_object().unwrap().contains_key("note"));
}

#[test]
fn what_is_not_a_question_is_answered_with_its_line() {
    let long = format!("{{\"id\": \"{}\"}}", "x".repeat(1 << 20));
    for (line, needle) in [
        ("nope", "expected"),
        ("[]", "expected an object"),
        ("{\"operation\": 1}", "/operation"),
        ("{\"operation\": \"signal\", \"operation\": \"signal\"}", "duplicate key"),
        ("{\"operation\": 1,}", "at column"),
        ("{\"operation\": \"signal\", \"attributes\": {\"bogus\": \"1\"}}", "no filter asks for `bogus`"),
        ("{\"operation\": \"signal\", \"target\": \"me\"}", "not a relation"),
        ("{\"operation\": \"file-read-data\", \"target\": \"/a/../b\"}", "not canonical"),
        ("{\"operation\": \"signal\", \"tarket\": \"self\"}", "unknown key"),
        (
            "{\"operation\": \"file-read-data\", \"target\": \"/a\", \"attributes\": {\"file-mode\": \"9\"}}",
            "file mode",
        ),
        (long.as_str(), "more than"),
    ] {
        let fork = "{\"operation\": \"process-fork\"}";
        let (answers, code) = answers(&format!("{fork}\n{line}\n{fork}\n{line}"));
        assert_eq!((code, answers.len()), (Some(3), 4), "{needle}");
        for (at, answer) in answers.iter().enumerate() {
            if at % 2 == 0 {
                assert_eq!(answer["decision"], "allow", "{needle}");
                continue;
            }
            assert_eq!(answer["line"], at + 1);
            let error = answer["error"].as_str().unwrap();
            // The line is that of the stream.
            assert!(error.contains(needle) && !error.contains("at line"), "{error}");
        }
    }
}

#[test]
fn an_answer_does_not_wait_for_the_next_question() {
    let mut child = start("decisions/precedence.sb");
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..3 {
        input.write_all(b"{\"operation\": \"process-fork\"}\n").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.contains("allow"), "{line}");
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
