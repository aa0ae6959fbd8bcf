//! `sbpl fmt` from outside: in place, by check, and not at all when a file cannot be read.

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
