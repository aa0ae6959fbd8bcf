//! A writer that dies between two steps, judged by the real binary. (Every single step: the unit tests of `bundle`.)

use std::path::Path;

use runtime::bundle::Outcome;

use crate::support::{code, ids, runtime, text, validate};
use crate::writer::{fill, name, open, seal};

fn committed_before(root: &Path) {
    let mut bundle = open(root, root, "run-before");
    fill(&mut bundle);
    seal(bundle, Outcome::Complete, &[]);
}

#[test]
fn a_writer_dropped_before_the_seal_is_refused_by_name_and_latest_stays() {
    for writes in 0..4 {
        let temp = tempfile::tempdir().unwrap();
        committed_before(temp.path());
        let mut bundle = open(temp.path(), temp.path(), "run-dropped");
        for at in 0..writes {
            bundle.write(&name(&format!("runtime_profiles/{at}.sb")), b"(version 1)").unwrap();
        }
        drop(bundle);
        let (exit, document) = validate(&temp.path().join("run-dropped"));
        assert_eq!((exit, ids(&document, "error")), (1, vec!["index-missing".to_owned(), "run-abandoned".to_owned()]));
        let errors = document["errors"].to_string();
        let expected = format!(
            "run run-dropped was never committed and its writer is gone (writer: process {})",
            std::process::id()
        );
        assert!(errors.contains(&expected), "{errors}");
        let (exit, document) = validate(temp.path());
        assert_eq!((exit, document["run_id"].as_str()), (0, Some("run-before")), "{document}");
    }
}

#[test]
fn a_run_at_work_is_told_from_one_whose_writer_is_gone() {
    let temp = tempfile::tempdir().unwrap();
    let bundle = open(temp.path(), temp.path(), "run-1");
    let run = temp.path().join("run-1");
    let (exit, document) = validate(&run);
    let expected = vec!["index-missing".to_owned(), "run-in-progress".to_owned()];
    assert_eq!((exit, ids(&document, "error")), (1, expected));
    assert!(document["errors"].to_string().contains("run run-1 is in progress (writer: process"), "{document}");
    // Whoever looks does not disturb the writer, and the pid alone says nothing: it is that of this process, which lives.
    drop(bundle);
    let (_, document) = validate(&run);
    assert_eq!(ids(&document, "error"), ["index-missing", "run-abandoned"]);
    // Without the writer's word that it took a lock, a free lock proves nothing.
    let status = run.join("run_status.json");
    let text = std::fs::read_to_string(&status).unwrap();
    std::fs::write(&status, text.replace("\"writer_lock\": true", "\"writer_lock\": false")).unwrap();
    assert_eq!(ids(&validate(&run).1, "error"), ["index-missing", "run-in-progress"]);
}

#[test]
fn a_first_run_that_dies_leaves_no_pointer() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    drop(open(&root, temp.path(), "run-dropped"));
    assert!(!root.join("LATEST").exists());
    let output = runtime(&["validate-bundle", "--bundle", root.to_str().unwrap()]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stdout).contains("run-dropped is abandoned"), "{output:?}");
}

#[test]
fn a_pointer_that_cannot_be_moved_leaves_a_loadable_run() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    let mut bundle = open(&root, temp.path(), "run-1");
    fill(&mut bundle);
    // A directory cannot be replaced by a file.
    std::fs::create_dir_all(root.join("LATEST/x")).unwrap();
    let error = bundle.seal(Outcome::Complete, &[], std::time::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.to_string(), "run run-1 is committed, but LATEST could not be moved to it durably");
    assert_eq!(validate(&root.join("run-1")).0, 0);
    let names: Vec<String> =
        std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.starts_with(".tmp-")), "{names:?}");
}
