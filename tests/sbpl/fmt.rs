//! `sbpl fmt` from outside: in place, by check, and not at all when a file cannot be read.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::support::{fixture, profiles, runtime};

#[test]
fn check_changes_nothing_and_fmt_changes_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.sb");
    std::fs::copy(fixture("broken/typo.sb"), &file).unwrap();
    let odd = fixture("odd-layout.sb");
    let text = std::fs::read_to_string(&odd).unwrap();
    std::fs::copy(&odd, &file).unwrap();
    let name = file.to_str().unwrap();
    let check = runtime(&["sbpl", "fmt", "--check", name]);
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(String::from_utf8(check.stdout).unwrap(), format!("would change {name}\n"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let printed = String::from_utf8(runtime(&["sbpl", "fmt", "--stdout", name]).stdout).unwrap();
    assert_eq!(runtime(&["sbpl", "fmt", name]).status.code(), Some(0));
    let laid_out = std::fs::read_to_string(&file).unwrap();
    assert_eq!(laid_out, printed);
    assert_eq!(laid_out, std::fs::read_to_string(fixture("odd-layout.expected")).unwrap());
    assert_eq!(runtime(&["sbpl", "fmt", "--check", name]).status.code(), Some(0));
    assert!(runtime(&["sbpl", "fmt", name]).stdout.is_empty());
}

/// Mode, owner and group of a file.
fn held_by(file: &std::path::Path) -> (u32, u32, u32) {
    let metadata = file.metadata().unwrap();
    (metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test prepares its files")]
fn a_changed_file_keeps_its_mode_and_owner() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.sb");
    let is_root = directory.path().metadata().unwrap().uid() == 0;
    for mode in [0o600, 0o640, 0o755, 0o444, 0o666] {
        for (owner, group) in [(None, None), (Some(1000), Some(1001))] {
            let _ = std::fs::remove_file(&file);
            std::fs::write(&file, "(version 1)   (deny default)\n").unwrap();
            if is_root {
                std::os::unix::fs::chown(&file, owner, group).unwrap();
            }
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let before = held_by(&file);
            let output = runtime(&["sbpl", "fmt", file.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(0), "{mode:o}: {output:?}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "(version 1)\n(deny default)\n", "{mode:o}");
            assert_eq!(held_by(&file), before, "{mode:o}");
        }
    }
    if !is_root {
        eprintln!("NOT TESTED: only root can give a file to somebody else");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test prepares its files")]
fn a_file_with_two_names_or_a_foreign_owner_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (file, second) = (directory.path().join("p.sb"), directory.path().join("second.sb"));
    let text = "(version 1)   (deny default)\n";
    std::fs::write(&file, text).unwrap();
    std::fs::hard_link(&file, &second).unwrap();
    let untouched = |told: &str, output: std::process::Output| {
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("p.sb") && stderr.contains(told), "{stderr}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        let mut names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let names = untouched("has 2 names (hard links)", runtime(&["sbpl", "fmt", file.to_str().unwrap()]));
    assert_eq!(names, ["p.sb", "second.sb"]);
    assert_eq!(file.metadata().unwrap().ino(), second.metadata().unwrap().ino());
    std::fs::remove_file(&second).unwrap();
    if directory.path().metadata().unwrap().uid() != 0 {
        return eprintln!("NOT TESTED: only root can lay down a file of somebody else");
    }
    // A user whose directory it is may replace it, and may not give it back to its owner.
    std::os::unix::fs::chown(directory.path(), Some(1000), Some(1000)).unwrap();
    let before = (held_by(&file), file.metadata().unwrap().ino());
    let names = untouched("cannot keep the owner and mode of", as_user(&["sbpl", "fmt", file.to_str().unwrap()]));
    assert_eq!((names, (held_by(&file), file.metadata().unwrap().ino())), (vec!["p.sb".into()], before));
}

/// Runs the binary as an ordinary user.
#[expect(clippy::disallowed_methods, reason = "a test of the command line runs the command")]
fn as_user(arguments: &[&str]) -> std::process::Output {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_runtime"));
    command.args(arguments).uid(1000).gid(1000).output().expect("the binary starts")
}

#[test]
fn the_layout_as_a_document_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (odd, tidy) = (directory.path().join("odd.sb"), directory.path().join("tidy.sb"));
    std::fs::copy(fixture("odd-layout.sb"), &odd).unwrap();
    std::fs::copy(fixture("odd-layout.expected"), &tidy).unwrap();
    let names = [&odd, &tidy].map(|path| path.to_str().unwrap());
    let output = runtime(&["sbpl", "fmt", "--stdout", "--json", names[0], names[1]]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = std::fs::read_to_string(fixture("odd-layout.expected")).unwrap();
    assert_eq!((&answer["ok"], &answer["changed"]), (&true.into(), &serde_json::json!([names[0]])));
    let texts = names.map(|file| serde_json::json!({"file": file, "text": expected}));
    assert_eq!(answer["texts"], serde_json::json!(texts));
    assert_eq!(std::fs::read(&odd).unwrap(), std::fs::read(fixture("odd-layout.sb")).unwrap());
}

#[test]
fn a_file_that_cannot_be_read_leaves_all_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let (odd, broken) = (directory.path().join("odd.sb"), directory.path().join("broken.sb"));
    std::fs::copy(fixture("odd-layout.sb"), &odd).unwrap();
    std::fs::copy(fixture("broken/unbalanced.sb"), &broken).unwrap();
    let output = runtime(&["sbpl", "fmt", odd.to_str().unwrap(), broken.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("broken.sb:2:1"));
    assert_eq!(std::fs::read(&odd).unwrap(), std::fs::read(fixture("odd-layout.sb")).unwrap());
}

#[test]
fn layouts_keep_every_decision() {
    use runtime::sbpl::{NoImports, Params, Policy, Source, format};
    for (name, text) in profiles("decisions") {
        let laid_out = format(&Source::new(&name, &text)).unwrap();
        let params: Params = [("HOME".to_owned(), "/h".to_owned()), ("EMPTY".to_owned(), String::new())].into();
        let compile = |text: &str| Policy::compile(&[Source::new(&name, text)], &params, &NoImports).unwrap();
        let rules = |policy: &Policy| -> Vec<String> {
            policy
                .rules()
                .iter()
                .map(|rule| format!("{} {:?} {:?}", rule.action, rule.operations, rule.filter))
                .collect()
        };
        assert_eq!(rules(&compile(&text)), rules(&compile(&laid_out)), "{name}");
    }
}

/// Every form the reader knows, with the places where one could be printed as another.
const FORMS: &str = r##"(version 1)
'a `b ,c ,@d , @e ,@@f ,,g ,@,h , ,@i '() '"s" '#"r" (' a) (, @a ,@b , ,c) `(1 ,(x) ,@(y) , @z (w , @v))
"\" \\ \n \t \r \x41" #"^/\.x[0-9]+$" "" #"" #t #f 1 -2 +3 #o17 #xff #b101 #d9 a-b %c * + ... () (()) ((a) . b)
(define (f a . rest) ; one
  ; two
  (list ' ; between
    a `(, @b
      ,@c)))
"##;

#[test]
fn a_layout_reads_as_what_it_was_made_of() {
    use runtime::sbpl::{Diagnostics, Source, format, parse, parse_with_comments};
    let read = |text: &str| {
        let mut diagnostics = Diagnostics::new();
        let sources = [Source::new("t.sb", text)];
        let forms = (parse(&sources, 0, &mut diagnostics), parse_with_comments(&sources, 0, &mut diagnostics));
        assert!(diagnostics.is_empty(), "{text}\n{diagnostics}");
        forms
    };
    // As a whole, and each line alone: on one line and broken.
    for text in [FORMS].into_iter().chain(FORMS.lines().take(3)) {
        for text in [text.to_owned(), format!("(a\n {text})")] {
            let laid_out = format(&Source::new("t.sb", &text)).unwrap();
            assert_eq!(read(&laid_out), read(&text), "{laid_out}");
            assert_eq!(format(&Source::new("t.sb", &laid_out)).unwrap(), laid_out);
        }
    }
}

#[test]
fn the_profiles_of_the_documentation_are_laid_out() {
    for name in ["agent.sb", "browser.sb", "build_system.sb", "lib/dynamic-program.sb"] {
        let file = fixture(&format!("profiles/{name}"));
        let output = runtime(&["sbpl", "fmt", "--check", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
