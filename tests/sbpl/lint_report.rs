//! How `sbpl lint` shows what it found: texts that are imported, warnings that count as errors.

use super::support::{fixture, runtime, write};

#[test]
fn findings_in_imported_files_are_shown_with_their_line() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, "lib.sb", "(deny file-read-data (literal \"/a/x\"))\n");
    let text = "(version 1)\n(deny default)\n(import \"lib.sb\")\n(allow file-read* (subpath \"/a\"))\n";
    let main = write(&directory, "main.sb", text);
    let arguments = ["sbpl", "lint", "--import-dir", directory.path().to_str().unwrap(), &main];
    let output = String::from_utf8(runtime(&arguments).stdout).unwrap();
    assert!(output.contains("lib.sb:1:1"), "{output}");
    assert!(output.contains("1 | (deny file-read-data (literal \"/a/x\"))\n  | ^^^^^^^^"), "{output}");
}

#[test]
fn warnings_that_count_as_errors_are_shown_as_errors() {
    let warned = fixture("lint/trace/fail.sb").to_str().unwrap().to_owned();
    for (format, as_error, as_warning) in [
        ("human", "error[trace]", "warning[trace]"),
        ("json", "\"severity\": \"error\"", "\"severity\": \"warning\""),
        ("sarif", "\"level\": \"error\"", "\"level\": \"warning\""),
        ("github", "::error file=", "::warning file="),
        ("junit", "<failure type=\"trace\"", "[trace]"),
    ] {
        let say = |more: &[&str]| {
            let mut arguments = vec!["sbpl", "lint", "--format", format, &warned];
            arguments.extend(more);
            let output = runtime(&arguments);
            (String::from_utf8(output.stdout).unwrap(), output.status.code())
        };
        let (plain, code) = say(&[]);
        assert!(plain.contains(as_warning) && !plain.contains(as_error), "{format}: {plain}");
        assert_eq!(code, Some(0));
        let (denied, code) = say(&["--deny", "warnings"]);
        assert!(denied.contains(as_error), "{format}: {denied}");
        assert_eq!(code, Some(1));
    }
}
