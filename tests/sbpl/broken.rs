//! Profiles that do not compile: each is refused at the place a reader would look at, and nothing panics or hangs.

use runtime::sbpl::{NoImports, Params, Policy, Source};

/// The first error of a text: id, line, column.
fn first_error(text: &str) -> (String, u32, u32) {
    let result = Policy::compile(&[Source::new("b.sb", text)], &Params::new(), &NoImports);
    let diagnostics = result.err().unwrap_or_else(|| panic!("compiles: {}", text.chars().take(80).collect::<String>()));
    let error = diagnostics
        .items()
        .iter()
        .find(|item| item.severity == runtime::vocab::Severity::Error)
        .expect("a refusal has an error");
    assert!(!diagnostics.render(false).is_empty());
    (error.id.to_owned(), error.span.line, error.span.column)
}

#[test]
fn broken_profiles_are_refused_at_their_place() {
    let rows: &[(&str, &str, u32, u32)] = &[
        // Syntax.
        ("(version 1)\n(deny default", "unbalanced", 2, 1),
        ("(version 1)\n(deny default))", "unbalanced", 2, 15),
        ("(version 1)\n)", "unbalanced", 2, 1),
        ("(version 1)\n(allow file-read* (literal \"/a))", "unterminated-string", 2, 28),
        ("(version 1)\n(allow file-read* (regex #\"a))", "unterminated-string", 2, 26),
        ("(version 1)\n(deny default)\n#if X\n#endif", "preprocessor-line", 3, 1),
        ("(version 1)\n(deny \u{7}default)", "control-character", 2, 7),
        ("(version 1)\n(allow file-read* (literal \"/a\u{1}b\"))", "control-character", 2, 31),
        ("(version 1)\n(allow file-read* (literal \"/a\\x1b\"))", "control-character", 2, 28),
        ("(version 1)\n(allow file-read* (literal \"/a\\nb\"))", "control-character", 2, 28),
        ("(version 1)\n(allow file-read* (literal \"\\x00\"))", "bad-escape", 2, 29),
        ("(version 99999999999999999999999)", "bad-number", 1, 10),
        ("(version 1)\n(allow file-read* (file-mode #o9))", "bad-number", 2, 30),
        ("(version 1)\n(allow file-read* (file-mode #q1))", "unknown-syntax", 2, 30),
        ("(version 1)\n(allow file-read* ')", "dangling-quote", 2, 19),
        ("(version 1)\n(allow ,x)", "unquote", 2, 8),
        // Version.
        ("(deny default)", "missing-version", 1, 1),
        ("", "missing-version", 1, 1),
        ("(version 2)", "bad-version", 1, 10),
        ("(version \"1\")", "bad-version", 1, 10),
        ("(version)", "wrong-arity", 1, 1),
        // Names and calls.
        ("(version 1)\n(alow default)", "unbound", 2, 2),
        ("(version 1)\n(allow file-read* (subpth \"/a\"))", "unbound", 2, 20),
        ("(version 1)\n(allow file-read* (literal (home \"/a\")))", "unbound", 2, 29),
        ("(version 1)\n(allow file-read* (literal HOME))", "wrong-type", 2, 28),
        ("(version 1)\n()", "empty-call", 2, 1),
        ("(version 1)\n(\"allow\" default)", "not-a-procedure", 2, 1),
        ("(version 1)\n(define (f x) x)\n(f)", "wrong-arity", 3, 1),
        ("(version 1)\n(define (f x) x)\n(f 1 2)", "wrong-arity", 3, 1),
        ("(version 1)\n(define)", "bad-form", 2, 1),
        ("(version 1)\n(define x)", "bad-form", 2, 1),
        ("(version 1)\n(define (f))", "wrong-arity", 2, 9),
        ("(version 1)\n(define (f 1) 1)", "bad-parameter", 2, 12),
        ("(version 1)\n(define (f x x) 1)", "bad-parameter", 2, 14),
        ("(version 1)\n(define (f . ) 1)", "bad-parameter", 2, 12),
        ("(version 1)\n(let ((x)) )", "bad-form", 2, 1),
        ("(version 1)\n(let (x) 1)", "bad-form", 2, 7),
        ("(version 1)\n(if)", "bad-form", 2, 1),
        ("(version 1)\n(if 1 2 3 4)", "bad-form", 2, 1),
        ("(version 1)\n(cond 1)", "bad-form", 2, 7),
        ("(version 1)\n(lambda)", "bad-form", 2, 1),
        ("(version 1)\n(set! nothing 1)", "unbound", 2, 1),
        ("(version 1)\n(macro (m x) x)", "macro", 2, 1),
        ("(version 1)\n(error \"no\")", "profile-error", 2, 1),
        ("(version 1)\n(car '())", "wrong-type", 2, 6),
        ("(version 1)\n(string-append \"a\" 1)", "wrong-type", 2, 20),
        ("(version 1)\n(+ 9223372036854775807 1)", "bad-number", 2, 1),
        ("(version 1)\n(substring \"abc\" 9)", "wrong-type", 2, 18),
        ("(version 1)\n(list-ref '(1) 5)", "wrong-type", 2, 16),
        ("(version 1)\n`(1 ,@2)", "wrong-type", 2, 5),
        ("(version 1)\n(param)", "wrong-arity", 2, 1),
        ("(version 1)\n(param 1)", "wrong-type", 2, 8),
        ("(version 1)\n(import)", "wrong-arity", 2, 1),
        ("(version 1)\n(import 1)", "wrong-type", 2, 9),
        ("(version 1)\n(debug everything)", "bad-form", 2, 1),
        ("(version 1)\n(trace)", "wrong-arity", 2, 1),
        // Rules.
        ("(version 1)\n(allow)", "no-operation", 2, 1),
        ("(version 1)\n(allow (literal \"/a\"))", "no-operation", 2, 1),
        ("(version 1)\n(allow file-read* \"/a\")", "wrong-type", 2, 19),
        ("(version 1)\n(allow file-read* #f)", "wrong-type", 2, 19),
        ("(version 1)\n(allow file-read* (if (param \"X\") (literal \"/a\")))", "wrong-type", 2, 19),
        ("(version 1)\n(deny default (with report))", "modifier-on-deny", 2, 15),
        ("(version 1)\n(deny (with report) default)", "modifier-on-deny", 2, 7),
        ("(version 1)\n(deny default (with message))", "wrong-arity", 2, 15),
        ("(version 1)\n(deny default (with no-report 1))", "wrong-arity", 2, 15),
        ("(version 1)\n(deny default (with))", "bad-form", 2, 15),
        ("(version 1)\n(with-filter)", "bad-form", 2, 1),
        ("(version 1)\n(with-filter \"x\" (allow signal))", "wrong-type", 2, 14),
        // Filters.
        ("(version 1)\n(allow file-read* (literal))", "wrong-arity", 2, 19),
        ("(version 1)\n(allow file-read* (literal 1))", "wrong-type", 2, 28),
        ("(version 1)\n(allow file-read* (subpath (param \"NONE\")))", "missing-parameter", 2, 28),
        ("(version 1)\n(allow file-read* (regex #\"a(b\"))", "bad-regex", 2, 29),
        ("(version 1)\n(allow file-read* (regex #\"[z-a]\"))", "bad-regex", 2, 32),
        ("(version 1)\n(allow file-read* (regex \"*\"))", "bad-regex", 2, 26),
        ("(version 1)\n(allow file-read* (regex #\"((((a{255}){255}){255}){255})\"))", "bad-regex", 2, 28),
        ("(version 1)\n(allow mach-lookup (global-name-regex #\"(\"))", "bad-regex", 2, 41),
        ("(version 1)\n(allow file-read* (vnode-type FOLDER))", "unknown-value", 2, 31),
        ("(version 1)\n(allow file-read* (file-mode 99999))", "unknown-value", 2, 30),
        ("(version 1)\n(allow file-read* (file-mode \"r\"))", "wrong-type", 2, 30),
        ("(version 1)\n(allow signal (target everyone))", "unknown-value", 2, 23),
        ("(version 1)\n(allow network* (remote))", "wrong-arity", 2, 17),
        ("(version 1)\n(allow network* (remote \"*:80\"))", "wrong-type", 2, 25),
        ("(version 1)\n(allow network* (remote sctp \"*:80\"))", "unknown-value", 2, 25),
        ("(version 1)\n(allow network* (remote ip \"192.0.2.1:80\"))", "bad-address", 2, 28),
        ("(version 1)\n(allow network* (remote ip \"localhost\"))", "bad-address", 2, 28),
        ("(version 1)\n(allow network* (remote ip \"*:70000\"))", "bad-address", 2, 28),
        ("(version 1)\n(allow network* (remote ip \"*:+80\"))", "bad-address", 2, 28),
        ("(version 1)\n(allow network* (remote unix-socket \"/a\"))", "wrong-type", 2, 37),
        ("(version 1)\n(allow file-read* (require-all))", "wrong-arity", 2, 19),
        ("(version 1)\n(allow file-read* (require-all \"/a\"))", "wrong-type", 2, 32),
        ("(version 1)\n(allow file-read* (require-not))", "wrong-arity", 2, 19),
        ("(version 1)\n(allow file-read* (require-not (literal \"/a\") (literal \"/b\")))", "wrong-arity", 2, 19),
    ];
    for (text, id, line, column) in rows {
        assert_eq!(first_error(text), ((*id).to_owned(), *line, *column), "{text}");
    }
    assert!(rows.len() >= 85, "{} rows", rows.len());
}

#[test]
fn hostile_profiles_are_refused_within_their_bounds() {
    let deep_list = "(version 1)\n(define (f x) (f (list x)))\n(f 1)";
    let deep_filter = "(version 1)\n(define (f x) (f (require-not x)))\n(allow signal (f (uid 1)))";
    let doubling =
        "(version 1)\n(define (f n x) (if (= n 0) x (f (- n 1) (require-any x x))))\n(allow signal (f 64 (uid 1)))";
    let text = "(version 1)\n(define (f s) (f (string-append s s)))\n(f \"xxxxxxxxxxxxxxxx\")";
    let lists = "(version 1)\n(define (f n x) (if (= n 0) (equal? x x) (f (- n 1) (list x x))))\n(f 100 1)";
    let patterns = "(version 1)\n(define (f n) (allow signal (process-path-regex (string-append (number->string n) \"a{200}b{200}\"))) (f (+ n 1)))\n(f 0)";
    let rules = "(version 1)\n(define (f) (allow signal) (f))\n(f)";
    for (name, text, id) in [
        ("100,000 open parentheses", "(".repeat(100_000), "too-deep"),
        ("100,000 quotes", "'".repeat(100_000), "too-deep"),
        (
            "10 MB string",
            format!("(version 1)\n(allow file-read* (literal \"/{}\"))", "x".repeat(10 << 20)),
            "too-long",
        ),
        ("10 MB symbol", format!("(version 1)\n({})", "x".repeat(10 << 20)), "too-long"),
        ("10 MB line comment then junk", format!("; {}\n(", "x".repeat(10 << 20)), "unbalanced"),
        ("17 MB text", " ".repeat(17 << 20), "too-large"),
        ("a million forms", "() ".repeat(1_000_000), "too-many-forms"),
        ("tail recursion without end", "(version 1)\n(define (f) (f))\n(f)".to_owned(), "too-many-steps"),
        ("recursion without end", "(version 1)\n(define (f) (+ 1 (f)))\n(f)".to_owned(), "too-deep"),
        ("recursion through map", "(version 1)\n(define (f x) (map f '(1)))\n(f 1)".to_owned(), "too-deep"),
        (
            "recursion through a quotation",
            "(version 1)\n(define (f) `((((((((((((((((,(f))))))))))))))))))\n(f)".to_owned(),
            "too-deep",
        ),
        (
            "recursion through with-filter",
            "(version 1)\n(define (f) (with-filter (uid 1) (let* ((x 1)) (cond ((not (f)) 1)))))\n(f)".to_owned(),
            "too-deep",
        ),
        ("nested lists", deep_list.to_owned(), "too-deep"),
        ("nested filters", deep_filter.to_owned(), "too-deep"),
        ("doubled filters", doubling.to_owned(), "too-much-memory"),
        ("doubled text", text.to_owned(), "too-much-memory"),
        ("doubled lists", lists.to_owned(), "too-much-memory"),
        ("expressions without end", patterns.to_owned(), "too-much-memory"),
        ("rules without end", rules.to_owned(), "too-many-rules"),
        ("4,000 bad forms", format!("(version 1)\n{}", "(nope)\n".repeat(4_000)), "unbound"),
    ] {
        let start = std::time::Instant::now();
        assert_eq!(first_error(&text).0, id, "{name}");
        println!("{name}: {:?}", start.elapsed());
        assert!(start.elapsed().as_secs() < 60, "{name} took {:?}", start.elapsed());
    }
}

#[test]
fn several_errors_of_one_file_are_reported_together() {
    let text = "(version 1)\n(alow default)\n(define x (nope))\n(allow file-read* (literal x))\n(deny default (with report))\n";
    let diagnostics = Policy::compile(&[Source::new("b.sb", text)], &Params::new(), &NoImports).unwrap_err();
    let ids: Vec<(&str, u32)> = diagnostics.items().iter().map(|item| (item.id, item.span.line)).collect();
    // The use of `x` on line 4 is not reported again: its definition failed.
    assert_eq!(ids, [("unbound", 2), ("unbound", 3), ("modifier-on-deny", 5)]);
    assert_eq!(diagnostics.items()[0].help.as_deref(), Some("is `allow` meant?"));
}

#[test]
fn excerpts_show_the_line_and_stay_short() {
    let text = format!("(version 1)\n{}(alow default)", " ".repeat(5_000));
    let diagnostics = Policy::compile(&[Source::new("b.sb", text)], &Params::new(), &NoImports).unwrap_err();
    let shown = diagnostics.render(false);
    assert!(shown.contains("b.sb:2:5002"), "{shown}");
    assert!(shown.contains("(alow default)") && shown.contains("^^^^"), "{shown}");
    assert!(shown.len() < 1_000, "{shown}");
}
