//! `validate-bundle`: every damage is named, nothing hangs, nothing panics.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Hand, LINUX, Laid, RUN, accused, code, ids, runtime, sha256, text, validate};

#[test]
fn a_good_bundle_is_ok_by_root_and_by_run_directory() {
    let laid = Hand::good(LINUX).lay();
    for path in [&laid.root, &laid.run] {
        let (exit, document) = validate(path);
        assert_eq!((exit, &document["ok"], &document["errors"]), (0, &json!(true), &json!([])), "{document}");
        assert_eq!(document["run_id"], RUN);
        assert_eq!(document["findings"], json!([]));
        let index = std::fs::read(laid.run.join("artifact_index.json")).unwrap();
        assert_eq!(document["artifact_index_sha256"], sha256(&index));
    }
    let output = runtime(&["validate-bundle", "--bundle", laid.root.to_str().unwrap(), "--jobs", "1"]);
    assert_eq!(code(&output), 0);
    assert!(text(&output.stdout).starts_with("[+] bundle ok\n    run run-demo-1: 13 artifacts, "), "{output:?}");
}

#[test]
fn one_flipped_byte_in_any_artifact_is_named() {
    let hand = Hand::good(LINUX);
    for (name, bytes) in &hand.files {
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let laid = hand.lay();
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(laid.run.join(name), &damaged).unwrap();
            let (exit, document) = validate(&laid.root);
            assert_eq!(exit, 1, "{name} byte {at}: {document}");
            assert!(accused(&document).contains(name), "{name} byte {at}: {document}");
            assert!(
                ids(&document, "error").contains(&"artifact-digest-mismatch".to_owned()),
                "{name} byte {at}: {document}"
            );
        }
    }
}

#[test]
fn one_line_per_finding_for_people() {
    let laid = Hand::good(LINUX).lay();
    std::fs::write(laid.run.join("summary.md"), "# demO\n").unwrap();
    std::fs::remove_file(laid.run.join("runtime_events.normalized.json")).unwrap();
    let output = runtime(&["validate-bundle", "--bundle", laid.root.to_str().unwrap()]);
    let lines = text(&output.stdout);
    assert_eq!(code(&output), 1);
    assert!(!lines.contains("[+]"), "{lines}");
    assert!(lines.contains("[!] summary.md has the digest "), "{lines}");
    assert!(
        lines.contains("[!] runtime_events.normalized.json is indexed, but not there [artifact-missing]"),
        "{lines}"
    );
    assert_eq!(lines.matches("[!]").count(), 2, "{lines}");
}

/// A change of the index, and the ids it must lead to (errors, warnings).
struct Case {
    what: &'static str,
    change: fn(&mut Hand, &mut Value),
    errors: &'static [&'static str],
    warnings: &'static [&'static str],
}

fn index_cases() -> Vec<Case> {
    fn case(what: &'static str, errors: &'static [&'static str], change: fn(&mut Hand, &mut Value)) -> Case {
        Case { what, change, errors, warnings: &[] }
    }
    vec![
        case("wrong size", &["artifact-size-mismatch"], |_, index| index["artifacts"][5]["file_size"] = json!(1)),
        case("no size", &["entry-size-missing"], |_, index| index["artifacts"][5]["file_size"] = json!("7")),
        case("no digest", &["entry-digest-missing"], |_, index| index["artifacts"][5]["sha256"] = json!(null)),
        case("zero digest", &["artifact-digest-mismatch"], |_, index| {
            index["artifacts"][5]["sha256"] = json!("0".repeat(64));
        }),
        case("digest in capitals", &["entry-malformed"], |_, index| {
            let digest = index["artifacts"][5]["sha256"].as_str().unwrap().to_uppercase();
            index["artifacts"][5]["sha256"] = json!(digest);
        }),
        case("digest is a number", &["entry-malformed"], |_, index| index["artifacts"][5]["sha256"] = json!(1)),
        case("listed twice", &["entry-duplicate"], |_, index| {
            let entry = index["artifacts"][5].clone();
            index["artifacts"].as_array_mut().unwrap().push(entry);
        }),
        case("listed twice, differing", &["artifact-digest-mismatch", "entry-duplicate"], |_, index| {
            let mut entry = index["artifacts"][5].clone();
            entry["sha256"] = json!("0".repeat(64));
            index["artifacts"].as_array_mut().unwrap().push(entry);
        }),
        case("listed, not there", &["artifact-missing"], |_, index| {
            index["artifacts"][5]["path"] = json!(format!("out/{RUN}/other.md"));
            index["artifacts"][5]["name"] = json!("other.md");
        }),
        case("path climbs", &["entry-outside-bundle"], |_, index| {
            index["artifacts"][5]["path"] = json!(format!("out/{RUN}/../x/{RUN}/summary.md"));
        }),
        case("name climbs", &["entry-outside-bundle"], |_, index| {
            index["artifacts"][5]["path"] = json!(format!("out/{RUN}/../../etc/passwd"));
            index["artifacts"][5]["name"] = json!("../../etc/passwd");
        }),
        case("absolute name", &["entry-outside-bundle"], |_, index| {
            index["artifacts"][5]["path"] = json!("/etc/passwd");
            index["artifacts"][5]["name"] = json!("/etc/passwd");
        }),
        case("path elsewhere, name here", &["entry-name-mismatch"], |_, index| {
            index["artifacts"][5]["path"] = json!("/etc/passwd");
        }),
        case("another run's path", &["entry-name-mismatch"], |_, index| {
            index["artifacts"][5]["path"] = json!("out/run-demo-2/summary.md");
        }),
        case("path elsewhere, no name", &["entry-outside-bundle"], |_, index| {
            index["artifacts"][5].as_object_mut().unwrap().remove("name");
            index["artifacts"][5]["path"] = json!("/etc/passwd");
        }),
        case("no path", &["entry-malformed"], |_, index| {
            index["artifacts"][5].as_object_mut().unwrap().remove("path");
        }),
        case("entry is text", &["entry-malformed"], |_, index| index["artifacts"][5] = json!("summary.md")),
        case("schema version is a number", &["entry-malformed"], |_, index| {
            index["artifacts"][5]["schema_version"] = json!(1);
        }),
        case("name longer than any file's", &["artifact-unreadable"], |_, index| {
            let name = "x".repeat(300);
            index["artifacts"][5]["path"] = json!(format!("out/{RUN}/{name}"));
            index["artifacts"][5]["name"] = json!(name);
        }),
        case("index lists itself", &["entry-malformed"], |_, index| {
            index["artifacts"][5]["path"] = json!(format!("out/{RUN}/artifact_index.json"));
            index["artifacts"][5]["name"] = json!("artifact_index.json");
        }),
        case("no artifacts", &["index-empty"], |_, index| index["artifacts"] = json!([])),
        case("artifacts is an object", &["index-malformed"], |_, index| index["artifacts"] = json!({})),
        case("no missing", &["index-inconsistent"], |_, index| {
            index.as_object_mut().unwrap().remove("missing");
        }),
        case("missing is text", &["index-malformed"], |_, index| index["missing"] = json!("x")),
        case("missing listed, status ok", &["expected-missing", "index-inconsistent"], |_, index| {
            index["missing"] = json!([format!("out/{RUN}/oracle_results.json")]);
        }),
        case("missing listed, status partial", &["expected-missing"], |_, index| {
            index["missing"] = json!([format!("out/{RUN}/oracle_results.json")]);
            index["status"] = json!("partial");
        }),
        case("status partial for nothing", &["index-inconsistent"], |_, index| index["status"] = json!("partial")),
        case("status unknown", &["index-status-unknown"], |_, index| index["status"] = json!("fine")),
        case("no status", &["index-status-unknown"], |_, index| {
            index.as_object_mut().unwrap().remove("status");
        }),
        case("unknown tag", &["schema-unknown"], |_, index| {
            index["schema_version"] = json!("runtime-tools.artifact_index.v9");
        }),
        case("no tag", &["schema-unknown"], |_, index| {
            index.as_object_mut().unwrap().remove("schema_version");
        }),
        case("other world", &["world-id-mismatch"], |_, index| index["world_id"] = json!("linux-other")),
        case("no world", &["world-id-mismatch"], |_, index| {
            index.as_object_mut().unwrap().remove("world_id");
        }),
        case("other run", &["entry-name-mismatch", "run-id-mismatch"], |_, index| {
            index["run_id"] = json!("run-demo-2")
        }),
        case("empty run", &["entry-name-mismatch", "run-id-mismatch"], |_, index| index["run_id"] = json!("")),
        case("status of another run", &["run-id-mismatch"], |hand, index| {
            hand.set("run_status.json", "/run_id", json!("run-demo-2"));
            *index = hand.make_index();
        }),
        case("manifest of another world", &["world-id-mismatch"], |hand, index| {
            hand.set("run_manifest.json", "/world_id", json!("linux-other"));
            *index = hand.make_index();
        }),
        case("manifest of another plan", &["identity-mismatch"], |hand, index| {
            hand.set("run_manifest.json", "/plan_digest", json!("1".repeat(64)));
            *index = hand.make_index();
        }),
        case("manifest of unknown tag", &["schema-unknown"], |hand, index| {
            hand.set("run_manifest.json", "/schema_version", json!("x"));
            *index = hand.make_index();
        }),
        case("manifest is an array", &["manifest-malformed"], |hand, index| {
            hand.put("run_manifest.json", b"[]");
            *index = hand.make_index();
        }),
        case("status is not JSON", &["run-status-malformed"], |hand, index| {
            hand.put("run_status.json", b"{\"state\": ");
            *index = hand.make_index();
        }),
        case("status says a key twice", &["run-status-malformed"], |hand, index| {
            hand.put("run_status.json", b"{\"state\": \"in_progress\", \"state\": \"complete\"}");
            *index = hand.make_index();
        }),
        case("unknown state", &["run-status-unknown-state"], |hand, index| {
            hand.set("run_status.json", "/state", json!("finished"));
            *index = hand.make_index();
        }),
        case("no status at all", &["run-status-missing"], |hand, index| {
            hand.remove("run_status.json");
            *index = hand.make_index();
        }),
        case("status not indexed", &["index-inconsistent"], |hand, index| {
            *index = hand.make_index();
            index["artifacts"].as_array_mut().unwrap().remove(0);
        }),
        case("failed run", &["run-failed"], |hand, index| {
            hand.set("run_status.json", "/state", json!("failed"));
            hand.set("run_status.json", "/error", json!("the matrix could not be built"));
            *index = hand.make_index();
            index["status"] = json!("failed");
        }),
        case("failed run, index says ok", &["index-inconsistent", "run-failed"], |hand, index| {
            hand.set("run_status.json", "/state", json!("failed"));
            *index = hand.make_index();
        }),
        case("in progress with an index", &["run-in-progress"], |hand, index| {
            hand.set("run_status.json", "/state", json!("in_progress"));
            *index = hand.make_index();
        }),
        Case {
            what: "an unindexed file is reported, not refused",
            change: |hand, index| {
                *index = hand.make_index();
                hand.put("sb_build/extra.bin", b"x");
            },
            errors: &[],
            warnings: &["unindexed-file"],
        },
        Case {
            what: "a dry run behind LATEST",
            change: |hand, index| {
                hand.set("run_manifest.json", "/dry_run", json!(true));
                *index = hand.make_index();
            },
            errors: &[],
            warnings: &["latest-dry-run"],
        },
        Case {
            what: "a repair log",
            change: |hand, index| {
                *index = hand.make_index();
                hand.put("repair_log.json", b"{}");
            },
            errors: &[],
            warnings: &["repaired"],
        },
    ]
}

#[test]
fn every_damage_of_index_and_documents_has_its_own_finding() {
    for case in index_cases() {
        let mut hand = Hand::good(LINUX);
        let mut index = hand.make_index();
        (case.change)(&mut hand, &mut index);
        hand.index = index;
        let laid = hand.lay();
        let (exit, document) = validate(&laid.root);
        // Taking an entry out of the index leaves its file unindexed; that warning is expected and not the point.
        let mut warnings = ids(&document, "warning");
        if case.warnings.is_empty() {
            warnings.retain(|id| id != "unindexed-file");
        }
        assert_eq!(ids(&document, "error"), case.errors, "{}: {document}", case.what);
        assert_eq!(warnings, case.warnings, "{}: {document}", case.what);
        assert_eq!(exit, i32::from(!case.errors.is_empty()), "{}", case.what);
        // The same index written in a way that no program of ours writes is judged the same.
        let path = laid.run.join("artifact_index.json");
        let other = text(&std::fs::read(&path).unwrap()).replace('/', "\\/");
        std::fs::write(&path, other).unwrap();
        let (exit_of_other, mut document_of_other) = validate(&laid.root);
        document_of_other["artifact_index_sha256"] = document["artifact_index_sha256"].clone();
        assert_eq!((exit_of_other, document_of_other), (exit, document), "{}", case.what);
    }
}

/// A change on disk, after the bundle was laid down.
fn expect_refused(what: &str, error: &str, change: impl FnOnce(&Laid)) {
    let laid = Hand::good(LINUX).lay();
    change(&laid);
    let (exit, document) = validate(&laid.root);
    assert_eq!(exit, 1, "{what}: {document}");
    assert!(ids(&document, "error").contains(&error.to_owned()), "{what}: {document}");
}

fn replace(path: &Path, make: impl FnOnce(&Path)) {
    std::fs::remove_file(path).unwrap();
    make(path);
}

fn mkfifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn things_that_are_not_files_are_named_and_never_opened_for_long() {
    for (name, kinds) in [
        ("summary.md", ["artifact-link", "artifact-not-regular", "artifact-not-regular"]),
        ("runtime_profiles/demo.sb", ["artifact-link", "artifact-not-regular", "artifact-not-regular"]),
        ("run_status.json", ["run-status-malformed"; 3]),
        ("run_manifest.json", ["manifest-malformed"; 3]),
        ("artifact_index.json", ["index-malformed"; 3]),
    ] {
        expect_refused(&format!("{name} is a link"), kinds[0], |laid| {
            let elsewhere = laid.temp.path().join("elsewhere");
            std::fs::rename(laid.run.join(name), &elsewhere).unwrap();
            symlink(&elsewhere, laid.run.join(name)).unwrap();
        });
        expect_refused(&format!("{name} is a FIFO"), kinds[1], |laid| replace(&laid.run.join(name), mkfifo));
        expect_refused(&format!("{name} is a directory"), kinds[2], |laid| {
            replace(&laid.run.join(name), |path| std::fs::create_dir(path).unwrap());
        });
    }
    expect_refused("a directory on the way is a link", "artifact-link", |laid| {
        let elsewhere = laid.temp.path().join("profiles");
        std::fs::rename(laid.run.join("runtime_profiles"), &elsewhere).unwrap();
        symlink(&elsewhere, laid.run.join("runtime_profiles")).unwrap();
    });
}

#[test]
fn a_file_with_a_second_name_is_refused_wherever_that_lies() {
    for (name, error) in [
        ("summary.md", "artifact-hard-linked"),
        ("runtime_profiles/demo.sb", "artifact-hard-linked"),
        ("run_status.json", "run-status-malformed"),
        ("run_manifest.json", "manifest-malformed"),
        ("artifact_index.json", "index-malformed"),
    ] {
        expect_refused(name, error, |laid| {
            std::fs::hard_link(laid.run.join(name), laid.temp.path().join("outside")).unwrap();
        });
    }
    let laid = Hand::good(LINUX).lay();
    std::fs::hard_link(laid.root.join("LATEST"), laid.temp.path().join("outside")).unwrap();
    let (exit, document) = validate(&laid.root);
    assert_eq!((exit, ids(&document, "error")), (1, vec!["latest-unreadable".to_owned()]), "{document}");
    assert!(document["errors"][0].as_str().unwrap().contains("has 2 names"), "{document}");
}

#[test]
fn truncation_growth_and_giants_are_named() {
    for name in ["artifact_index.json", "run_status.json", "run_manifest.json", "summary.json"] {
        for keep in [0usize, 1, 40] {
            expect_refused(
                &format!("{name} cut to {keep} bytes"),
                match name {
                    "artifact_index.json" => "index-malformed",
                    "run_status.json" => "run-status-malformed",
                    "run_manifest.json" => "manifest-malformed",
                    _ => "artifact-size-mismatch",
                },
                |laid| {
                    let bytes = std::fs::read(laid.run.join(name)).unwrap();
                    std::fs::write(laid.run.join(name), &bytes[..keep]).unwrap();
                },
            );
        }
    }
    for (name, error) in [
        ("artifact_index.json", "index-malformed"),
        ("run_status.json", "run-status-malformed"),
        ("summary.md", "artifact-size-mismatch"),
    ] {
        expect_refused(&format!("{name} is 1 GiB and sparse"), error, |laid| {
            std::fs::File::options().write(true).open(laid.run.join(name)).unwrap().set_len(1 << 30).unwrap();
        });
    }
}

#[test]
fn malformed_text_is_named_with_its_place() {
    let deep = "[".repeat(200_000);
    for (what, bytes, needle) in [
        ("invalid UTF-8", b"{\n\"run_id\": \"\xff\"}".as_slice(), "invalid UTF-8 at byte 13 (line 2)"),
        ("not JSON", b"{]", "line 1 column 2"),
        ("a key twice", b"{\"status\": \"ok\",\n \"status\": \"ok\"}", "duplicate key \"status\" at line 2"),
        ("deep", deep.as_bytes(), "recursion limit"),
        ("huge number", b"{\"a\": 1e999}", "number out of range"),
        ("no object", b"7", "not a JSON object"),
        ("empty", b"", "EOF"),
    ] {
        let laid = Hand::good(LINUX).lay();
        std::fs::write(laid.run.join("artifact_index.json"), bytes).unwrap();
        let (exit, document) = validate(&laid.root);
        assert_eq!(exit, 1, "{what}");
        assert_eq!(ids(&document, "error"), ["index-malformed"], "{what}: {document}");
        assert!(document["errors"][0].as_str().unwrap().contains(needle), "{what}: {document}");
    }
}

#[test]
fn the_pointer_is_one_plain_component_of_an_existing_run() {
    for (what, bytes, error) in [
        ("climbs", b"../out/run-demo-1\n".as_slice(), "latest-invalid"),
        ("absolute", b"/tmp\n", "latest-invalid"),
        ("dot", b".\n", "latest-invalid"),
        ("two lines", b"run-demo-1\nrun-demo-2\n", "latest-invalid"),
        ("NUL", b"run-demo-1\0\n", "latest-invalid"),
        ("long", &[b'x'; 300], "latest-invalid"),
        ("giant", &[b'x'; 5000], "latest-unreadable"),
        ("not UTF-8", b"run-\xff\n", "latest-not-text"),
        ("empty", b"", "latest-missing"),
        ("blank", b" \n", "latest-missing"),
        ("dangling", b"run-demo-2\n", "latest-dangling"),
    ] {
        let laid = Hand::good(LINUX).lay();
        std::fs::write(laid.root.join("LATEST"), bytes).unwrap();
        let (exit, document) = validate(&laid.root);
        assert_eq!((exit, ids(&document, "error")), (1, vec![error.to_owned()]), "{what}: {document}");
        let message = document["errors"][0].as_str().unwrap();
        if matches!(error, "latest-dangling" | "latest-missing") {
            assert!(message.contains("committed runs there: run-demo-1"), "{what}: {message}");
        }
        // The run itself is untouched and says so when named.
        assert_eq!(validate(&laid.run).0, 0, "{what}");
    }
    let laid = Hand::good(LINUX).lay();
    replace(&laid.root.join("LATEST"), mkfifo);
    let (exit, document) = validate(&laid.root);
    assert_eq!((exit, ids(&document, "error")), (1, vec!["latest-unreadable".to_owned()]), "{document}");
    let laid = Hand::good(LINUX).lay();
    let moved = laid.temp.path().join("moved");
    std::fs::rename(&laid.run, &moved).unwrap();
    symlink(&moved, &laid.run).unwrap();
    let (exit, document) = validate(&laid.root);
    assert_eq!((exit, ids(&document, "error")), (1, vec!["latest-target-unusable".to_owned()]), "{document}");
}

#[test]
fn a_directory_is_a_root_or_a_run_not_both() {
    let laid = Hand::good(LINUX).lay();
    std::fs::write(laid.run.join("LATEST"), "run-demo-1\n").unwrap();
    let (exit, document) = validate(&laid.run);
    assert_eq!((exit, ids(&document, "error")), (1, vec!["bundle-ambiguous".to_owned()]), "{document}");
}

#[test]
fn what_cannot_be_read_is_no_answer() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [temp.path().join("nowhere"), file] {
        let output = runtime(&["validate-bundle", "--bundle", path.to_str().unwrap()]);
        assert_eq!(code(&output), 3, "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert!(text(&output.stderr).contains(path.to_str().unwrap()), "{output:?}");
    }
    let empty = temp.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let (exit, document) = validate(&empty);
    assert_eq!((exit, ids(&document, "error")), (1, vec!["index-missing".to_owned()]), "{document}");
    assert_eq!(code(&runtime(&["validate-bundle"])), 2);
}

#[test]
fn a_moved_bundle_is_judged_by_its_own_files() {
    let laid = Hand::good(LINUX).lay();
    let elsewhere = laid.temp.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let copy = elsewhere.join(RUN);
    assert!(std::process::Command::new("cp").arg("-r").arg(&laid.run).arg(&copy).status().unwrap().success());
    assert_eq!(validate(&copy).0, 0);
    // Damage to the original does not touch the copy, and the other way round.
    std::fs::write(laid.run.join("summary.md"), "x").unwrap();
    assert_eq!((validate(&copy).0, validate(&laid.run).0), (0, 1));
}
