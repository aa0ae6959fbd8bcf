//! What must hold of every text, whatever is in it: shared by the bounded harness beside this file and by the
//! coverage-guided targets below `fuzz/`.

use runtime::sbpl::{
    Access, Change, Diagnostics, Form, FormKind, ImportResolver, Imported, Params, Policy, Query, Source, Target, diff,
    parse, parse_with_comments,
};
use runtime::vocab::{Decision, Operation, Severity};

const NAME: &str = "fuzz.sb";
/// `SPEC.md`, section "SBPL".
const MAX_RULES: usize = 100_000;

fn read(text: &str, comments: bool) -> (Vec<Form>, Diagnostics) {
    let sources = [Source::new(NAME, text)];
    let mut diagnostics = Diagnostics::new();
    let forms = if comments {
        parse_with_comments(&sources, 0, &mut diagnostics)
    } else {
        parse(&sources, 0, &mut diagnostics)
    };
    (forms, diagnostics)
}

fn printed(forms: &[Form]) -> String {
    forms.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Every form lies inside the form around it and behind the form before it.
fn check_places(forms: &[Form], start: u32, end: u32) {
    let mut at = start;
    for form in forms {
        assert!(form.span.start >= at && form.span.end <= end && form.span.start < form.span.end, "{:?}", form.span);
        assert!(form.span.line >= 1 && form.span.column >= 1);
        at = form.span.end;
        match &form.kind {
            FormKind::List(items) => check_places(items, form.span.start, form.span.end),
            FormKind::Quoted(_, inner) => {
                check_places(std::slice::from_ref(&**inner), form.span.start, form.span.end);
            }
            _ => {}
        }
    }
}

/// Every problem stands in the text and can be shown.
fn check_diagnostics(text: &str, diagnostics: &Diagnostics) {
    let lines = text.bytes().filter(|&byte| byte == b'\n').count() + 1;
    for item in diagnostics.items().iter().filter(|item| item.source == NAME) {
        assert!((1..=lines).contains(&(item.span.line as usize)), "{item} of {lines} lines");
        assert!(item.span.start <= item.span.end && item.span.end as usize <= text.len(), "{item}");
        let line = text.split('\n').nth(item.span.line as usize - 1).unwrap_or_default();
        assert!((1..=line.chars().count() + 1).contains(&(item.span.column as usize)), "{item} in {line:?}");
    }
    let shown = diagnostics.render(false);
    assert!(!shown.contains('\u{1b}') && shown.len() <= 200 * 2_000, "{} bytes", shown.len());
}

/// Lexer and parser: total, places are right, and what is read prints as a text that reads the same.
pub(crate) fn reading(text: &str) {
    let (forms, diagnostics) = read(text, false);
    check_diagnostics(text, &diagnostics);
    check_places(&forms, 0, u32::try_from(text.len()).unwrap_or(u32::MAX));
    let again = printed(&forms);
    let (second, problems) = read(&again, false);
    assert!(!problems.has_errors(), "{again}\n{problems}");
    assert_eq!(second, forms, "{again}");
    assert_eq!(printed(&second), again);
    if !diagnostics.has_errors() {
        let (commented, _) = read(text, true);
        assert_eq!(without_comments(commented), forms, "{text}");
    }
}

fn without_comments(forms: Vec<Form>) -> Vec<Form> {
    let plain = |form: Form| {
        let kind = match form.kind {
            FormKind::Comment(_) => return None,
            FormKind::List(items) => FormKind::List(without_comments(items)),
            FormKind::Quoted(mark, inner) => FormKind::Quoted(mark, Box::new(without_comments(vec![*inner]).pop()?)),
            atom => atom,
        };
        Some(Form { kind, span: form.span })
    };
    forms.into_iter().filter_map(plain).collect()
}

/// An import that has rules, one that imports itself, and nothing else.
struct Imports;

impl ImportResolver for Imports {
    fn resolve(&self, name: &str, _importer: &str) -> Imported {
        match name {
            "base.sb" => Imported::Found(Source::new(name, "(define (h p) (subpath p)) (allow file-read* (h \"/i\"))")),
            "loop.sb" => Imported::Found(Source::new(name, "(import \"loop.sb\")")),
            _ => Imported::NotAvailable { reason: "not in the fuzzer's search path".to_owned() },
        }
    }
}

fn compile(texts: &[&str]) -> Result<Policy, Diagnostics> {
    let sources: Vec<Source> =
        texts.iter().enumerate().map(|(at, text)| Source::new(if at == 0 { NAME } else { "end.sb" }, *text)).collect();
    let params: Params = [("HOME".to_owned(), "/h".to_owned()), ("EMPTY".to_owned(), String::new())].into();
    Policy::compile(&sources, &params, &Imports)
}

const ACCESSES: [(&str, Option<&str>); 12] = [
    ("file-read-data", Some("/")),
    ("file-read-data", Some("/a/b")),
    ("file-write-create", Some("/h/x.pem")),
    ("file-ioctl", None),
    ("process-exec", Some("/a/b")),
    ("process-fork", None),
    ("mach-lookup", Some("com.example.a")),
    ("sysctl-read", Some("kern.osversion")),
    ("signal", Some("children")),
    ("network-outbound", Some("tcp:localhost:80")),
    ("network-outbound", Some("unix:/a/b")),
    ("made-up-operation", Some("x")),
];

/// The decision by the plainest reading of the rules that match: the last of them, defaults at the end.
fn plain_decision(policy: &Policy, access: &Access<'_>) -> Option<Decision> {
    let matching = policy.matching(access);
    if !matching.open.is_empty() || !policy.missing_imports().is_empty() {
        return None;
    }
    match matching.certain.last() {
        Some(rule) => Some(rule.action),
        None => Some(policy.default().0),
    }
}

/// Evaluator and decision: total, bounded, and what decides is the last rule that matches.
pub(crate) fn evaluating(text: &str) {
    let policy = match compile(&[text]) {
        Ok(policy) => policy,
        Err(diagnostics) => {
            assert!(diagnostics.items().iter().any(|item| item.severity == Severity::Error), "{text}");
            check_diagnostics(text, &diagnostics);
            return;
        }
    };
    check_diagnostics(text, policy.warnings());
    assert!(policy.rules().len() <= MAX_RULES);
    let conditional_default = policy.rules().iter().any(|rule| rule.is_default() && rule.filter.is_some());
    let wider = compile(&[text, "(allow file-read* process*)"]);
    for (operation, target) in ACCESSES {
        let query = Query::new(operation, target, &[]).expect("the accesses are well spelled");
        query.with_access(|access| {
            let decision = policy.judge(access).decision();
            let plain = plain_decision(&policy, access);
            if plain.is_some() && !conditional_default {
                assert_eq!(decision, plain, "{operation} {target:?} of {text}");
            }
            if let (Some(Decision::Allow), Ok(wider)) = (decision, &wider) {
                assert_eq!(wider.judge(access).decision(), Some(Decision::Allow), "{operation} {target:?} of {text}");
            }
        });
    }
    if let Ok(wider) = wider {
        let (operation, target) =
            (Operation::new("file-read-data"), Target::Path { path: b"/any", vnode_type: None, mode: None });
        let judgement = wider.judge(&Access { operation: &operation, target }).decision();
        assert_eq!(judgement, Some(Decision::Allow), "{text}");
    }
}

/// Stands between the two profiles of a comparison; a text without it is compared with one that refuses everything.
pub(crate) const PARTING: char = '\u{c}';

/// Comparison: total and bounded, nothing differs from itself, what is reported is so, and what is so is reported.
pub(crate) fn diffing(text: &str) {
    let (left, right) = text.split_once(PARTING).unwrap_or((text, "(version 1)(deny default)"));
    let (Ok(a), Ok(b), Ok(again)) = (compile(&[left]), compile(&[right]), compile(&[left])) else { return };
    for same in [&a, &again] {
        let result = diff(&a, same);
        assert!(result.is_empty(), "{left}\ndiffers from itself: {result:?}");
    }
    let result = diff(&a, &b);
    for change in &result.wider {
        check_change(&a, &b, change, Decision::Deny, Decision::Allow, text);
    }
    for change in &result.narrower {
        check_change(&a, &b, change, Decision::Allow, Decision::Deny, text);
    }
    for (operation, target) in ACCESSES {
        let query = Query::new(operation, target, &[]).expect("the accesses are well spelled");
        let decisions = query.with_access(|access| (a.judge(access).decision(), b.judge(access).decision()));
        let noticed = match decisions {
            (Some(Decision::Deny), Some(Decision::Allow)) => !result.wider.is_empty() || result.may_widen(),
            (Some(Decision::Allow), Some(Decision::Deny)) => {
                !result.narrower.is_empty() || !result.undecided.is_empty()
            }
            _ => true,
        };
        assert!(noticed, "{operation} {target:?} is decided {decisions:?}, but the comparison is {result:?} of {text}");
    }
}

/// The access shown is decided as the change says, by the rules it names.
pub(crate) fn check_change(a: &Policy, b: &Policy, change: &Change, of_a: Decision, of_b: Decision, text: &str) {
    let operation = change.query.operation().as_str();
    let witness = format!("{operation} {}", change.query.target_text());
    assert_eq!(change.witness, witness.trim_end(), "{change:?}");
    assert_eq!(change.operations.first().map(String::as_str), Some(operation), "{change:?}");
    change.query.with_access(|access| {
        let (left, right) = (a.judge(access), b.judge(access));
        assert_eq!((left.decision(), right.decision()), (Some(of_a), Some(of_b)), "{change:?} of {text}");
        assert_eq!((left.rule(), right.rule()), (change.a.as_ref(), change.b.as_ref()), "{change:?} of {text}");
    });
}
