//! Evaluation of a parsed profile: helpers, parameters and control forms to a flat list of rules.
//!
//! Bounded in steps, depth and memory; deterministic; a problem in one top-level form does not hide those in the next.
//! Procedures of the profile run in constant stack when called in tail position.

mod builtin;
mod core;
mod fault;
mod filters;
mod identity;
mod lists;
mod rules;
mod special;
mod value;

use std::collections::{BTreeMap, HashMap};

use fault::{Effect, Fault, MISSING_PARAMETER, Outcome};
use value::{ScopeId, Value};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::filter::Filter;
use super::form::Form;
use super::limits::{MAX_PATTERN_TOTAL_BYTES, MAX_STEPS, MAX_VALUE_BYTES};
use super::pattern::{Pattern, PatternError};
use super::rule::{MissingImport, Rule};
use super::source::{AbsentParams, Params, Source};
use crate::vocab::{Severity, Span};

/// What is known about an import that was asked for.
#[derive(Debug, Clone)]
pub(super) enum ImportState {
    /// Its text is `sources[index]`.
    Text(usize),
    /// Why there is no text.
    Missing(String),
}

/// Imports by importing source and name.
pub(super) type Imports = BTreeMap<(u32, String), ImportState>;

/// What is spent over one compilation, restarts included.
#[derive(Debug, Default)]
pub(super) struct Budget {
    steps: u64,
}

/// What evaluation gives.
pub(super) enum Evaluation {
    /// The rules, with everything noticed on the way.
    Done { rules: Vec<Rule>, missing: Vec<MissingImport>, diagnostics: Diagnostics },
    /// An import has to be resolved first.
    Wants { name: String, importer: u32, span: Span },
}

/// What is evaluated.
#[derive(Clone, Copy)]
pub(super) struct Program<'f> {
    pub sources: &'f [Source],
    /// The forms of each source.
    pub texts: &'f [Vec<Form>],
    /// How many sources, from the first on, are evaluated; the others are imports.
    pub profiles: usize,
    pub params: &'f Params,
    pub absent: AbsentParams,
    pub imports: &'f Imports,
}

/// Evaluates the texts in order as one profile.
pub(super) fn evaluate(program: &Program<'_>, budget: &mut Budget) -> Evaluation {
    let mut evaluator = Evaluator {
        sources: program.sources,
        texts: program.texts,
        params: program.params,
        absent: program.absent,
        imports: program.imports,
        budget,
        depth: 0,
        bytes: 0,
        pattern_bytes: 0,
        globals: HashMap::new(),
        scopes: Vec::new(),
        patterns: HashMap::new(),
        guards: Vec::new(),
        importing: Vec::new(),
        arguments_of_rules: 0,
        version: None,
        evaluations: 0,
        origin: None,
        rules: Vec::new(),
        missing: Vec::new(),
        diagnostics: Diagnostics::new(),
    };
    match evaluator.run(program.profiles) {
        Ok(()) => {
            Evaluation::Done { rules: evaluator.rules, missing: evaluator.missing, diagnostics: evaluator.diagnostics }
        }
        Err(wanted) => wanted,
    }
}

/// The state of one evaluation. `'f` is the life of the parsed forms.
struct Evaluator<'f, 'b> {
    sources: &'f [Source],
    texts: &'f [Vec<Form>],
    params: &'f Params,
    absent: AbsentParams,
    imports: &'f Imports,
    budget: &'b mut Budget,
    depth: usize,
    bytes: usize,
    pattern_bytes: usize,
    globals: HashMap<&'f str, Value<'f>>,
    scopes: Vec<Scope<'f>>,
    patterns: HashMap<String, Pattern>,
    /// Filters of the `with-filter` forms and undecided conditions around the current form.
    guards: Vec<Guard>,
    /// Sources whose import is being evaluated.
    importing: Vec<usize>,
    /// Above zero while arguments of a rule or filter are evaluated.
    arguments_of_rules: usize,
    version: Option<Span>,
    rules: Vec<Rule>,
    missing: Vec<MissingImport>,
    diagnostics: Diagnostics,
    /// Unknown values so far whose text does not say what they mean.
    evaluations: u32,
    /// See `identity`; made when first needed.
    origin: Option<String>,
}

/// Local names.
struct Scope<'f> {
    parent: Option<ScopeId>,
    names: HashMap<&'f str, Value<'f>>,
}

/// A filter that every rule made inside gets.
#[derive(Debug, Clone)]
struct Guard {
    filter: Filter,
    depth: usize,
    size: usize,
}

impl<'f> Evaluator<'f, '_> {
    /// Evaluates all texts; the error is an import that is needed first.
    fn run(&mut self, profiles: usize) -> Result<(), Evaluation> {
        for index in 0..profiles {
            if index == 0 {
                self.check_first_form();
            }
            match self.top_level(&self.texts[index]) {
                Ok(()) => {}
                Err(fault) => match fault.effect {
                    Effect::Import { name, importer } => {
                        return Err(Evaluation::Wants { name, importer, span: fault.span });
                    }
                    Effect::Form | Effect::Stop => {
                        self.report(*fault);
                        return Ok(());
                    }
                },
            }
        }
        if self.version.is_none() && !self.sources.is_empty() {
            let span = self.texts.first().and_then(|forms| forms.first()).map_or(START, |form| form.span);
            let fault = Fault::new("missing-version", first_line(span), "the profile has no `(version 1)` form");
            self.report(*fault.help("begin the profile with (version 1)"));
        }
        Ok(())
    }

    fn check_first_form(&mut self) {
        let Some(first) = self.texts[0].first() else { return };
        let later = self.texts[0].iter().any(|form| form.head() == Some("version"));
        if later && first.head() != Some("version") {
            self.warn(
                "version-not-first",
                first.span,
                "a form stands before `(version …)`",
                "move the version to the top",
            );
        }
    }

    /// Evaluates top-level forms one by one. Faults of single forms are reported here, others are handed up.
    fn top_level(&mut self, forms: &'f [Form]) -> Outcome<()> {
        let (depth, guards, arguments) = (self.depth, self.guards.len(), self.arguments_of_rules);
        for form in forms {
            // A fault leaves the counters where it happened.
            self.depth = depth;
            self.guards.truncate(guards);
            self.arguments_of_rules = arguments;
            match self.eval(form, None) {
                Ok(_) => {}
                Err(fault) if fault.effect == Effect::Form => {
                    self.poison(form);
                    self.report(*fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Gives a name whose definition failed an unknown value, so that its uses are not reported again.
    fn poison(&mut self, form: &'f Form) {
        let Some(items) = form.as_list() else { return };
        if !matches!(form.head(), Some("define" | "define-once" | "define-macro" | "define-syntax" | "macro")) {
            return;
        }
        let name = items.get(1).and_then(|target| target.as_symbol().or_else(|| target.head()));
        if let Some(name) = name {
            self.globals.entry(name).or_insert_with(|| Value::Unknown(format!("`{name}` could not be defined").into()));
        }
    }

    fn report(&mut self, fault: Fault) {
        let mut diagnostic = Diagnostic::new(Severity::Error, fault.id, self.sources, fault.span, fault.message);
        diagnostic.help = fault.help;
        let told = |known: &Diagnostic| known.id == diagnostic.id && known.message == diagnostic.message;
        if diagnostic.id == MISSING_PARAMETER && self.diagnostics.items().iter().any(told) {
            return;
        }
        self.diagnostics.push(diagnostic);
    }

    fn warn(&mut self, id: &'static str, span: Span, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::new(Severity::Warning, id, self.sources, span, message).help(help);
        if !self.diagnostics.items().contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Spends steps.
    fn spend(&mut self, steps: u64, span: Span) -> Outcome<()> {
        self.budget.steps += steps;
        if self.budget.steps > MAX_STEPS {
            let message = format!("evaluating the profile takes more than {MAX_STEPS} steps");
            return Err(Fault::stop("too-many-steps", span, message));
        }
        Ok(())
    }

    /// Accounts for memory, and for the time of filling it.
    fn allocate(&mut self, bytes: usize, span: Span) -> Outcome<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_VALUE_BYTES {
            let message = format!("evaluating the profile takes more than {MAX_VALUE_BYTES} bytes");
            return Err(Fault::stop("too-much-memory", span, message));
        }
        Ok(())
    }

    /// Compiles an expression once per text.
    fn pattern(&mut self, text: &str, span: Span) -> Outcome<Result<Pattern, PatternError>> {
        if let Some(pattern) = self.patterns.get(text) {
            return Ok(Ok(pattern.clone()));
        }
        let pattern = match Pattern::new(text) {
            Ok(pattern) => pattern,
            Err(error) => return Ok(Err(error)),
        };
        self.pattern_bytes += pattern.memory_bytes();
        if self.pattern_bytes > MAX_PATTERN_TOTAL_BYTES {
            let message = format!("the profile's expressions take more than {MAX_PATTERN_TOTAL_BYTES} bytes");
            return Err(Fault::stop("too-much-memory", span, message));
        }
        self.patterns.insert(text.to_owned(), pattern.clone());
        Ok(Ok(pattern))
    }
}

const START: Span = Span { source: 0, start: 0, end: 0, line: 1, column: 1 };

/// The first byte of a span: a place rather than a stretch.
fn first_line(span: Span) -> Span {
    Span { end: span.end.min(span.start + 1), ..span }
}
