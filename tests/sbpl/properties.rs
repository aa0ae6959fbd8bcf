//! Properties of reading, printing and deciding over generated profiles.

use proptest::prelude::*;
use runtime::sbpl::{
    Access, Diagnostics, Form, FormKind, NoImports, Params, Policy, QuoteKind, Source, Target, format as lay_out,
    parse, parse_with_comments,
};
use runtime::vocab::{Decision, Operation, Span};

const PLACE: Span = Span { source: 0, start: 0, end: 0, line: 1, column: 1 };

fn form(kind: FormKind) -> Form {
    Form { kind, span: PLACE }
}

/// Any tree a text can hold.
fn any_form() -> impl Strategy<Value = Form> {
    let text = "[ -~é\\n\\t]{0,12}";
    let leaf = prop_oneof![
        "[a-z][a-z0-9*?!<>=/-]{0,8}".prop_map(|name| form(FormKind::Symbol(name))),
        text.prop_map(|text| form(FormKind::String(text))),
        "[ !#-~]{0,12}".prop_map(|text| form(FormKind::Regex(text))),
        any::<i64>().prop_map(|value| form(FormKind::Integer { value, text: value.to_string() })),
        (0..0o7777i64).prop_map(|value| form(FormKind::Integer { value, text: format!("#o{value:04o}") })),
        any::<bool>().prop_map(|value| form(FormKind::Bool(value))),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 0..6).prop_map(|items| form(FormKind::List(items))),
            1 => (prop::sample::select(vec![QuoteKind::Quote, QuoteKind::Quasi, QuoteKind::Unquote, QuoteKind::Splice]), inner)
                .prop_map(|(kind, inner)| form(FormKind::Quoted(kind, Box::new(inner)))),
        ]
    })
}

pub(crate) const PATHS: [&str; 8] = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/x.pem", "/a/x.pem", "/b"];
pub(crate) const OPERATIONS: [&str; 6] =
    ["file-read-data", "file-read-metadata", "file-write-data", "file-write-create", "process-exec", "process-fork"];
const RULE_OPERATIONS: [&str; 8] =
    ["file*", "file-read*", "file-read-data", "file-write*", "file-write-data", "process*", "process-exec", "default"];

fn filter_text() -> impl Strategy<Value = String> {
    let path = prop::sample::select(PATHS.to_vec());
    let leaf = prop_oneof![
        (prop::sample::select(vec!["literal", "subpath", "prefix", "path-ancestors"]), path)
            .prop_map(|(name, path)| format!("({name} \"{path}\")")),
        prop::sample::select(vec![
            "(regex #\"\\.pem$\")",
            "(regex #\"^/a\")",
            "(vnode-type SYMLINK)",
            "(extension \"e\")"
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|all| format!("(require-all {})", all.join(" "))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|any| format!("(require-any {})", any.join(" "))),
            inner.prop_map(|not| format!("(require-not {not})")),
        ]
    })
}

pub(crate) fn rule_text() -> impl Strategy<Value = String> {
    let operations = prop::collection::vec(prop::sample::select(RULE_OPERATIONS.to_vec()), 1..3);
    let filters = prop::collection::vec(filter_text(), 0..3);
    (any::<bool>(), operations, filters).prop_map(|(allow, operations, filters)| {
        let action = if allow { "allow" } else { "deny" };
        format!("({action} {} {})", operations.join(" "), filters.join(" "))
    })
}

pub(crate) fn compile(rules: &[String]) -> Policy {
    let text = format!("(version 1)\n{}\n", rules.join("\n"));
    Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap()
}

/// Every combination of operation and path, and the decision (`None`: unknown).
fn decisions(policy: &Policy) -> Vec<Option<Decision>> {
    let mut all = Vec::new();
    for operation in OPERATIONS {
        let operation = Operation::new(operation);
        for path in PATHS {
            let target = Target::Path { path: path.as_bytes(), vnode_type: None, mode: None };
            all.push(policy.judge(&Access { operation: &operation, target }).decision());
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(512), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_reading_give_the_same_tree(forms in prop::collection::vec(any_form(), 0..4)) {
        let text = forms.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let sources = [Source::new("p.sb", text.clone())];
        let mut diagnostics = Diagnostics::new();
        let read = parse(&sources, 0, &mut diagnostics);
        prop_assert!(diagnostics.is_empty(), "{text}: {diagnostics}");
        prop_assert_eq!(read, forms);
    }

    #[test]
    fn an_allow_at_the_end_takes_nothing_away(rules in prop::collection::vec(rule_text(), 0..8), added in rule_text()) {
        let before = decisions(&compile(&rules));
        let mut more = rules.clone();
        more.push(added.replacen("(deny", "(allow", 1));
        // A default line at the end replaces the default; an added allow still only adds.
        for (index, (old, new)) in before.iter().zip(decisions(&compile(&more))).enumerate() {
            if *old == Some(Decision::Allow) {
                prop_assert_eq!(new, Some(Decision::Allow), "access {} of {:?} + {}", index, rules, added);
            }
        }
    }

    #[test]
    fn the_last_unconditional_rule_decides(rules in prop::collection::vec(rule_text(), 0..8), allow in any::<bool>()) {
        let mut more = rules;
        more.push(format!("({} file* process*)", if allow { "allow" } else { "deny" }));
        let expected = if allow { Decision::Allow } else { Decision::Deny };
        prop_assert!(decisions(&compile(&more)).iter().all(|decision| *decision == Some(expected)));
    }

    #[test]
    fn upper_bounds_hold_every_allowed_path(rules in prop::collection::vec(rule_text(), 0..8)) {
        use runtime::sbpl::Roots;
        let policy = compile(&rules);
        for operation in OPERATIONS {
            let operation = Operation::new(operation);
            let Roots::Paths(roots) = policy.allow_roots(&operation) else { continue };
            for path in PATHS {
                let target = Target::Path { path: path.as_bytes(), vnode_type: None, mode: None };
                if policy.judge(&Access { operation: &operation, target }).decision() == Some(Decision::Deny) {
                    continue;
                }
                let inside = roots.iter().any(|root| {
                    path == root.path || (root.beneath && path.starts_with(&format!("{}/", root.path)))
                });
                prop_assert!(inside, "{operation} {path} is not within {roots:?} of {rules:?}");
            }
        }
    }

    #[test]
    fn an_unconditional_answer_holds_for_every_path(rules in prop::collection::vec(rule_text(), 0..8)) {
        let policy = compile(&rules);
        for operation in OPERATIONS {
            let operation = Operation::new(operation);
            let Some(expected) = policy.unconditional(&operation) else { continue };
            for path in PATHS {
                let target = Target::Path { path: path.as_bytes(), vnode_type: None, mode: None };
                let decision = policy.judge(&Access { operation: &operation, target }).decision();
                prop_assert_eq!(decision, Some(expected), "{} {} of {:?}", operation, path, rules);
            }
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[ -~\\n\"()#';,`\\\\]{0,200}") {
        let _ = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports);
    }

    #[test]
    fn a_layout_of_a_layout_is_itself_and_says_the_same(
        forms in prop::collection::vec(any_form(), 0..4),
        gaps in prop::collection::vec(prop::sample::select(GAPS.to_vec()), 1..24),
    ) {
        let mut tokens = Vec::new();
        forms.iter().for_each(|form| tokens_of(form, &mut tokens));
        let text: String = tokens.iter().zip(gaps.iter().cycle()).map(|(token, gap)| format!("{token}{gap}")).collect();
        let source = Source::new("p.sb", text.clone());
        let once = lay_out(&source).unwrap();
        let again = Source::new("p.sb", once.clone());
        prop_assert_eq!(&lay_out(&again).unwrap(), &once, "of {:?}", text);
        prop_assert_eq!(comments(&source), comments(&again), "{:?}", text);
        let read = |source: &Source| parse(std::slice::from_ref(source), 0, &mut Diagnostics::new());
        prop_assert_eq!(read(&source), read(&again), "{:?}", text);
    }

    #[test]
    fn any_program_of_known_words_ends(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..60)) {
        let text = format!("(version 1)\n{}", words.join(" "));
        let _ = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports);
    }
}

const GAPS: [&str; 8] = [" ", " ", " ", "\n", "\n\n", "  ", " ; note\n", "\n;; alone\n"];

/// The tokens of a tree in order.
fn tokens_of(form: &Form, tokens: &mut Vec<String>) {
    match &form.kind {
        FormKind::List(items) => {
            tokens.push("(".to_owned());
            items.iter().for_each(|item| tokens_of(item, tokens));
            tokens.push(")".to_owned());
        }
        FormKind::Quoted(kind, inner) => {
            tokens.push(kind.mark().to_owned());
            tokens_of(inner, tokens);
        }
        _ => tokens.push(form.to_string()),
    }
}

/// The comments of a text in order.
fn comments(source: &Source) -> Vec<String> {
    fn collect(forms: &[Form], found: &mut Vec<String>) {
        for form in forms {
            match &form.kind {
                FormKind::Comment(text) => found.push(text.clone()),
                FormKind::List(items) => collect(items, found),
                FormKind::Quoted(_, inner) => collect(std::slice::from_ref(inner), found),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    collect(&parse_with_comments(std::slice::from_ref(source), 0, &mut Diagnostics::new()), &mut found);
    found
}

const WORDS: [&str; 48] = [
    "(",
    "(",
    "(",
    "(",
    "(",
    "(",
    ")",
    ")",
    ")",
    ")",
    ")",
    ")",
    "'",
    "`",
    ",",
    ",@",
    "allow",
    "deny",
    "file-read*",
    "default",
    "literal",
    "\"/a\"",
    "regex",
    "#\"a*\"",
    "define",
    "f",
    "x",
    "lambda",
    "let",
    "if",
    "cond",
    "else",
    "list",
    "car",
    "map",
    "for-each",
    "apply",
    "string-append",
    "require-any",
    "require-not",
    "with-filter",
    "with",
    "report",
    "param",
    "#f",
    "1",
    "+",
    "set!",
];
