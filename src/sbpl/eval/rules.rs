//! `allow`, `deny`, modifiers and imports: what leaves the evaluator.

use std::fmt::Write as _;
use std::rc::Rc;

use super::core::{Arguments, VALUE_BYTES, shown};
use super::fault::{Effect, Fault, Outcome};
use super::value::Value;
use super::{Evaluator, ImportState};
use crate::sbpl::filter::{Filter, Opaque};
use crate::sbpl::form::Form;
use crate::sbpl::limits::{MAX_NESTING, MAX_RULES};
use crate::sbpl::rule::{DEFAULT, MissingImport, Modifier, Rule};
use crate::vocab::{Decision, Operation, RuleRef, Span};

/// As many bytes are set aside for the text of a rule before it is written.
const USUAL_RULE_BYTES: u32 = 256;

/// What a modifier takes and where it applies.
struct ModifierSpec {
    name: &'static str,
    arguments: usize,
    allow: Fit,
    deny: Fit,
}

/// Whether a modifier applies to an action.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    /// Accepted or not is unclear, and it has no effect.
    Odd,
    /// The system's compiler refuses it.
    No,
}

const fn modifier(name: &'static str, arguments: usize, allow: Fit, deny: Fit) -> ModifierSpec {
    ModifierSpec { name, arguments, allow, deny }
}

const MODIFIERS: [ModifierSpec; 12] = [
    modifier("report", 0, Fit::Yes, Fit::No),
    modifier("no-report", 0, Fit::Odd, Fit::Yes),
    modifier("no-log", 0, Fit::Yes, Fit::Yes),
    modifier("message", 1, Fit::Yes, Fit::Yes),
    modifier("send-signal", 1, Fit::Odd, Fit::Yes),
    modifier("errno", 1, Fit::Odd, Fit::Yes),
    modifier("telemetry", 0, Fit::Yes, Fit::Yes),
    modifier("telemetry-backtrace", 0, Fit::Yes, Fit::Yes),
    modifier("partial-symbolication", 0, Fit::Yes, Fit::Yes),
    modifier("no-callout", 0, Fit::Yes, Fit::Yes),
    modifier("no-sandbox", 0, Fit::Yes, Fit::Odd),
    modifier("grant", 0, Fit::Yes, Fit::Odd),
];

impl<'f> Evaluator<'f, '_> {
    /// `(allow …)` and `(deny …)`.
    pub(super) fn rule(&mut self, action: Decision, arguments: &Arguments<'f>, form: &'f Form) -> Outcome<Value<'f>> {
        let mut operations = Vec::new();
        let mut filters = Vec::new();
        let mut modifiers = Vec::new();
        let (mut depth, mut size) = (0, 0);
        for (index, value) in arguments.values.iter().enumerate() {
            let items = match value {
                // A list of operations or filters counts as its items.
                Value::List(list) => list.items(),
                single => std::slice::from_ref(single),
            };
            self.spend(items.len() as u64, arguments.span)?;
            for item in items {
                match item {
                    Value::Symbol(name) => operations.push(Operation::new(&**name)),
                    Value::Filter(filter) => {
                        depth = depth.max(filter.depth);
                        size += filter.size;
                        filters.push(filter.filter.clone());
                    }
                    Value::Modifier(modifier) => {
                        self.check_modifier(action, modifier, arguments.span_of(index))?;
                        modifiers.push((**modifier).clone());
                    }
                    Value::Unknown(reason) => {
                        size += 1;
                        depth = depth.max(1);
                        let evaluation = self.evaluation(arguments.forms.and_then(|forms| forms.get(index)));
                        filters.push(unknown_filter(arguments, index, reason, evaluation));
                    }
                    other => return Err(bad_rule_argument(action, other, arguments.span_of(index))),
                }
            }
        }
        if operations.is_empty() {
            return Err(Fault::new("no-operation", arguments.span, format!("`{action}` names no operation")));
        }
        let own = match filters.len() {
            0 => None,
            1 => filters.pop(),
            _ => Some(Filter::RequireAny(filters)),
        };
        let filter = self.guarded(own, depth, size, arguments.span)?;
        self.add_rule(Rule {
            action,
            operations,
            filter,
            modifiers,
            span: arguments.span,
            reference: self.reference(form, arguments.span),
        })
    }

    fn add_rule(&mut self, rule: Rule) -> Outcome<Value<'f>> {
        if self.rules.len() >= MAX_RULES {
            let message = format!("the profile has more than {MAX_RULES} rules");
            return Err(Fault::stop("too-many-rules", rule.span, message));
        }
        self.allocate(VALUE_BYTES * 4 + rule.reference.text.len() + rule.reference.file.len(), rule.span)?;
        self.rules.push(rule);
        Ok(Value::Unspecified)
    }

    fn reference(&self, form: &Form, span: Span) -> RuleRef {
        let file = self.sources.get(span.source as usize).map_or_else(String::new, |source| source.name.clone());
        // On one line it takes about as many bytes as it was written with, unless there is much space between its parts.
        let written = form.span.end.saturating_sub(form.span.start).min(USUAL_RULE_BYTES);
        let mut text = String::with_capacity(written as usize);
        let _ = write!(text, "{form}");
        RuleRef { file, line: span.line, text }
    }

    /// A rule's own filter together with those of the forms around it.
    fn guarded(&mut self, own: Option<Filter>, depth: usize, size: usize, span: Span) -> Outcome<Option<Filter>> {
        let total: usize = self.guards.iter().map(|guard| guard.size).sum::<usize>() + size;
        let deepest = self.guards.iter().map(|guard| guard.depth).max().unwrap_or(0).max(depth) + 2;
        if deepest > MAX_NESTING {
            return Err(Fault::stop("too-deep", span, format!("filters are nested more than {MAX_NESTING} deep")));
        }
        self.allocate(total * std::mem::size_of::<Filter>(), span)?;
        let mut all: Vec<Filter> = self.guards.iter().map(|guard| guard.filter.clone()).collect();
        all.extend(own);
        Ok(if all.len() <= 1 { all.pop() } else { Some(Filter::RequireAll(all)) })
    }

    /// At this place an unknown helper may have made rules.
    pub(super) fn unknown_rules(&mut self, reason: &Rc<str>, form: &'f Form) {
        let name = form.head().map_or_else(|| "a helper".to_owned(), shown);
        // The helper itself is known by the import that may define it.
        let arguments = form.as_list().map_or(&[][..], |items| items.get(1..).unwrap_or_default());
        let open = arguments.iter().find(|own| !self.says_all(own));
        let evaluation = open.and_then(|own| self.evaluation(Some(own)));
        self.missing.push(MissingImport {
            name,
            reason: reason.to_string(),
            reference: self.reference(form, form.span),
            evaluation,
            position: self.rules.len(),
        });
    }

    fn check_modifier(&mut self, action: Decision, modifier: &Modifier, span: Span) -> Outcome<()> {
        let Some(spec) = MODIFIERS.iter().find(|spec| spec.name == modifier.name) else { return Ok(()) };
        let fit = match action {
            Decision::Allow => spec.allow,
            Decision::Deny => spec.deny,
        };
        match fit {
            Fit::Yes => Ok(()),
            Fit::Odd => {
                let message = format!("the {} modifier has no effect on {action}", spec.name);
                self.warn("modifier-without-effect", span, message, "remove it");
                Ok(())
            }
            Fit::No => {
                let message = format!("the {} modifier does not apply to {action} action", spec.name);
                Err(Fault::new("modifier-on-deny", span, message).help("denials are reported without it"))
            }
        }
    }

    /// `(with name argument…)`.
    pub(super) fn modifier(&mut self, arguments: &Arguments<'f>) -> Outcome<Value<'f>> {
        let Some((Value::Symbol(name), given)) = arguments.values.split_first() else {
            return Err(Fault::new("bad-form", arguments.span, "expected (with modifier argument…)"));
        };
        let texts: Vec<String> = given
            .iter()
            .map(|value| match value {
                Value::String(text) => text.to_string(),
                other => other.to_string(),
            })
            .collect();
        self.allocate(texts.iter().map(String::len).sum(), arguments.span)?;
        match MODIFIERS.iter().find(|spec| spec.name == &**name) {
            Some(spec) if spec.arguments != texts.len() => {
                let message =
                    format!("the {name} modifier takes {} argument(s) and got {}", spec.arguments, texts.len());
                return Err(Fault::new("wrong-arity", arguments.span, message));
            }
            Some(_) => {}
            None => {
                let message = format!("`{}` is not a known modifier", shown(name));
                self.warn("unknown-modifier", arguments.span, message, "check the spelling");
            }
        }
        Ok(Value::Modifier(Rc::new(Modifier { name: name.to_string(), arguments: texts })))
    }

    /// `(import "name")`.
    pub(super) fn import(&mut self, arguments: &Arguments<'f>, form: &'f Form) -> Outcome<Value<'f>> {
        let name = self.one_text("import", arguments)?;
        let importer = arguments.span.source;
        match self.imports.get(&(importer, name.to_string())) {
            None => Err(Box::new(Fault {
                id: "import",
                span: arguments.span,
                message: format!("the import \"{name}\" is not resolved"),
                help: None,
                effect: Effect::Import { name: name.to_string(), importer },
            })),
            Some(ImportState::Missing(reason)) => {
                let message = format!("the import \"{}\" is not available: {reason}", shown(&name));
                let help = "decisions that could depend on it are unknown";
                self.warn("import-missing", arguments.span, message.clone(), help);
                self.missing.push(MissingImport {
                    name: name.to_string(),
                    reason: message,
                    reference: self.reference(form, arguments.span),
                    evaluation: None,
                    position: self.rules.len(),
                });
                Ok(Value::Unspecified)
            }
            Some(ImportState::Text(index)) => {
                let index = *index;
                if self.importing.contains(&index) {
                    let message = format!("the import \"{}\" imports itself", shown(&name));
                    return Err(Fault::new("import-cycle", arguments.span, message));
                }
                self.importing.push(index);
                let result = self.top_level(&self.texts[index]);
                self.importing.pop();
                result.map(|()| Value::Unspecified)
            }
        }
    }
}

fn unknown_filter(arguments: &Arguments<'_>, index: usize, reason: &Rc<str>, evaluation: Option<String>) -> Filter {
    let arguments = arguments.forms.and_then(|forms| forms.get(index)).map_or_else(String::new, ToString::to_string);
    Filter::Opaque(Opaque { name: "unknown".to_owned(), arguments, reason: reason.to_string(), evaluation })
}

fn bad_rule_argument(action: Decision, value: &Value<'_>, span: Span) -> Box<Fault> {
    let message = format!("`{action}` takes operations, filters and modifiers, not {}", value.describe());
    let fault = Fault::new("wrong-type", span, message);
    match value {
        Value::String(_) => fault.help("wrap a path in (literal …) or (subpath …)"),
        Value::Bool(false) | Value::Absent(_) | Value::Unspecified => {
            fault.help("a rule whose filter is missing would be unconditional")
        }
        Value::Builtin(_) | Value::Closure(_) => {
            fault.help(format!("a filter is written as a call; `{DEFAULT}` stands alone"))
        }
        _ => fault,
    }
}
