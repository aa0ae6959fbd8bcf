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

#[test]
fn a_shipped_overlay_is_taken_by_its_bare_name() {
    let directory = tempfile::tempdir().unwrap();
    // The overlay says that the loader's cache may be read, so the deny before it never takes effect.
    let text = "(version 1)\n(deny default)\n(deny file-read-data (literal \"/etc/ld.so.cache\"))\n";
    let profile = write(&directory, "p.sb", text);
    let lint = |overlay: &str| {
        let output = runtime(&["sbpl", "lint", "--system", "linux", "--overlay", overlay, &profile]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = lint("linux-base.sb");
    assert!(code == Some(1) && text.contains("error[shadowed-rule]") && text.contains("linux-base.sb:"), "{text}");
    // A path is a file, as everywhere, and so is a name that is not shipped.
    for absent in ["./linux-base.sb", "linux-base"] {
        let (code, text) = lint(absent);
        assert!(code == Some(3) && text.contains("error[unreadable-file]"), "{absent}: {text}");
        assert!(text.contains("shipped overlays, by their bare names: linux-base.sb"), "{absent}: {text}");
    }
    // `sbpl diff` appends it to both sides: what only the overlay allows is no difference between them.
    let same = write(&directory, "q.sb", "(version 1)\n(deny default)\n");
    let diff = |more: &[&str]| {
        let output = runtime(&[&["sbpl", "diff", "--fail-if-wider", &profile], more].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(diff(&[&same, "--overlay", "linux-base.sb"]), (Some(0), String::new()));
    let wider =
        write(&directory, "r.sb", "(version 1)\n(deny default)\n(allow file-read-data (literal \"/etc/hosts\"))\n");
    let (code, text) = diff(&[&wider, "--overlay", "linux-base.sb"]);
    assert!(code == Some(1) && text.contains("/etc/hosts") && !text.contains("ld.so.cache"), "{text}");
    // Nor is what one side says besides and the overlay allows too.
    let cache = write(
        &directory,
        "s.sb",
        "(version 1)\n(deny default)\n(allow file-read-data (literal \"/etc/ld.so.cache\"))\n",
    );
    assert_eq!((diff(&[&cache]).0, diff(&[&cache, "--overlay", "linux-base.sb"]).0), (Some(1), Some(0)));
}

#[test]
fn lints_about_macos_are_left_out_for_linux() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/profiles/linux");
    let mut profiles: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect();
    profiles.sort();
    let lint = |files: &[&str], more: &[&str]| {
        let output = runtime(&[&["sbpl", "lint", "--deny", "warnings"], more, files].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    let (code, text) = lint(&profiles, &["--system", "linux"]);
    assert_eq!((code, text.lines().count()), (Some(0), 1), "{text}");
    for system in [&["--system", "macos"][..], &[]] {
        let (code, text) = lint(&profiles, system);
        assert_eq!((code, text.matches("error[link-in-path]").count()), (Some(1), 17), "{text}");
        assert!(text.contains("about macOS, `sbpl lint --system linux`"), "{text}");
    }
    // Only these two lints are about one system.
    for (id, status) in [("link-in-path", 0), ("data-volume-path", 0), ("shadowed-rule", 1), ("relative-path", 1)] {
        let failing = fixture(&format!("lint/{id}/fail.sb"));
        let (code, text) = lint(&[failing.to_str().unwrap()], &["--system", "linux"]);
        assert_eq!((code, text.contains(&format!("[{id}]"))), (Some(status), status == 1), "{id}: {text}");
    }
}

#[test]
fn what_cannot_be_read_does_not_hide_the_rest_in_any_form() {
    let wrong = fixture("lint/shadowed-rule/fail.sb").to_str().unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent.sb").to_str().unwrap().to_owned();
    let no_text = write(&directory, "no-text.sb", b"(version 1)\n(deny \xff default)\n");
    for (format, others, unread, not_text) in [
        ("human", "error[shadowed-rule]", "error[unreadable-file]", "error[profile-not-text]"),
        ("json", "\"id\": \"shadowed-rule\"", "\"id\": \"unreadable-file\"", "\"id\": \"profile-not-text\""),
        ("sarif", "\"ruleId\": \"shadowed-rule\"", "\"ruleId\": \"unreadable-file\"", "\"startColumn\": 7"),
        ("github", "title=shadowed-rule", "title=unreadable-file", "line=2,col=7,title=profile-not-text"),
        ("junit", "type=\"shadowed-rule\"", "type=\"unreadable-file\"", "type=\"profile-not-text\""),
    ] {
        let output = runtime(&["sbpl", "lint", "--format", format, &absent, &wrong, &no_text]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{format}");
        for part in [others, unread, not_text, "No such file or directory"] {
            assert!(text.contains(part), "{format}: {part} is not in {text}");
        }
        let says = text.matches("not complete: ").count();
        assert_eq!(says, if format == "json" { 0 } else { 2 }, "{format}: {text}");
        assert!(format != "json" || text.contains("\"complete\": false"), "{text}");
    }
    // Without the text that is appended to it, nothing is known of a profile.
    let output = runtime(&["sbpl", "lint", "--json", &wrong, "--overlay", &absent]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids: Vec<_> = report["findings"].as_array().unwrap().iter().map(|finding| finding["id"].clone()).collect();
    assert_eq!(
        (output.status.code(), ids, &report["complete"]),
        (Some(3), vec!["unreadable-file".into()], &false.into())
    );
}

#[test]
fn a_byte_order_mark_is_named_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let text = "\u{feff}(version 1)\n(deny   default)\n";
    let marked = write(&directory, "p.sb", text);
    let output = runtime(&["sbpl", "lint", "--json", &marked]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!((output.status.code(), findings.len()), (Some(3), 1), "{findings:#?}");
    assert_eq!(
        (&findings[0]["id"], &findings[0]["line"], &findings[0]["column"]),
        (&"byte-order-mark".into(), &1.into(), &1.into())
    );
    let formatted = runtime(&["sbpl", "fmt", &marked]);
    assert_eq!(formatted.status.code(), Some(3));
    assert!(String::from_utf8(formatted.stderr).unwrap().contains("begins with a byte order mark"));
    assert_eq!(std::fs::read_to_string(&marked).unwrap(), text);
    // The twin: the same character elsewhere is what it was.
    let inside = write(&directory, "q.sb", "(version 1)\n\u{feff}(deny default)\n");
    let output = String::from_utf8(runtime(&["sbpl", "lint", &inside]).stdout).unwrap();
    assert!(output.contains("error[unbound]") && !output.contains("byte-order-mark"), "{output}");
}
