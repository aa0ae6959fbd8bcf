//! The evaluation loop: names, literals, quotations and calls.

use std::collections::HashMap;
use std::rc::Rc;

use super::builtin::{ArgumentMode, Builtin};
use super::fault::{Fault, Outcome};
use super::special::{Next, Special};
use super::value::{Closure, List, ScopeId, Value};
use super::{Evaluator, Scope};
use crate::base::spelling;
use crate::sbpl::form::{Form, FormKind};
use crate::sbpl::lex::QuoteKind;
use crate::sbpl::limits::{MAX_DEPTH, MAX_FORMS, MAX_NESTING};
use crate::vocab::{Operation, Span};

/// A rough size of one value in memory, for accounting.
pub(super) const VALUE_BYTES: usize = 40;

/// From this many problems on, names are no longer looked for a similar one.
const MAX_SUGGESTIONS: usize = 20;

/// Evaluated arguments with the place of each.
pub(super) struct Arguments<'f> {
    pub values: Vec<Value<'f>>,
    pub forms: Option<&'f [Form]>,
    pub span: Span,
}

impl Arguments<'_> {
    /// The place of one argument, or of the call.
    pub(super) fn span_of(&self, index: usize) -> Span {
        self.forms.and_then(|forms| forms.get(index)).map_or(self.span, |form| form.span)
    }
}

impl<'f> Evaluator<'f, '_> {
    /// Evaluates one form.
    pub(super) fn eval(&mut self, form: &'f Form, scope: Option<ScopeId>) -> Outcome<Value<'f>> {
        self.deeper(form.span)?;
        let value = self.eval_loop(form, scope);
        self.depth -= 1;
        value
    }

    fn deeper(&mut self, span: Span) -> Outcome<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("calls are nested more than {MAX_DEPTH} deep");
            return Err(Fault::stop("too-deep", span, message).help("a helper may be calling itself without end"));
        }
        Ok(())
    }

    fn eval_loop(&mut self, mut form: &'f Form, mut scope: Option<ScopeId>) -> Outcome<Value<'f>> {
        loop {
            self.spend(1, form.span)?;
            let FormKind::List(items) = &form.kind else { return self.atom(form, scope) };
            let next = match self.special_of(items, scope) {
                Some(special) => self.special(special, form, &items[1..], scope)?,
                None => self.call(form, items, scope)?,
            };
            let (body, inner) = match next {
                Next::Value(value) => return Ok(value),
                Next::Body(body, inner) => (body, inner),
            };
            let Some((last, before)) = body.split_last() else { return Ok(Value::Unspecified) };
            for earlier in before {
                self.eval(earlier, inner)?;
            }
            (form, scope) = (last, inner);
        }
    }

    fn atom(&mut self, form: &'f Form, scope: Option<ScopeId>) -> Outcome<Value<'f>> {
        Ok(match &form.kind {
            FormKind::Symbol(name) => return self.variable(name, scope, form.span),
            FormKind::String(text) | FormKind::Regex(text) => {
                self.allocate(VALUE_BYTES + text.len(), form.span)?;
                Value::text(text)
            }
            FormKind::Integer { value, .. } => Value::Integer(*value),
            FormKind::Bool(value) => Value::Bool(*value),
            FormKind::Quoted(QuoteKind::Quote, inner) => return self.datum(inner),
            FormKind::Quoted(QuoteKind::Quasi, inner) => return self.quasi(inner, scope),
            FormKind::Quoted(QuoteKind::Unquote | QuoteKind::Splice, _) => {
                return Err(Fault::new("unquote", form.span, "`,` stands outside of a quasi-quotation"));
            }
            FormKind::Comment(_) | FormKind::List(_) => Value::Unspecified,
        })
    }

    fn special_of(&mut self, items: &'f [Form], scope: Option<ScopeId>) -> Option<Special> {
        let special = Special::find(items.first()?.as_symbol()?)?;
        let name = items.first()?.as_symbol()?;
        (self.lookup(name, scope).is_none()).then_some(special)
    }

    /// The value of a name the profile itself gave one.
    pub(super) fn lookup(&self, name: &str, scope: Option<ScopeId>) -> Option<&Value<'f>> {
        let mut current = scope;
        while let Some(id) = current {
            let scope = &self.scopes[id];
            if let Some(value) = scope.names.get(name) {
                return Some(value);
            }
            current = scope.parent;
        }
        self.globals.get(name)
    }

    fn variable(&mut self, name: &'f str, scope: Option<ScopeId>, span: Span) -> Outcome<Value<'f>> {
        if let Some(value) = self.lookup(name, scope) {
            return Ok(value.clone());
        }
        if let Some(builtin) = Builtin::find(name) {
            return Ok(Value::Builtin(builtin));
        }
        if is_constant(name) {
            return Ok(Value::symbol(name));
        }
        if let Some(unknown) = self.unknown_name(name) {
            return Ok(unknown);
        }
        let fault = Fault::new("unbound", span, format!("`{}` is not defined", shown(name)));
        if self.diagnostics.items().len() >= MAX_SUGGESTIONS {
            return Err(fault);
        }
        Err(match similar(name, &self.globals) {
            Some(close) => fault.help(format!("is `{close}` meant?")),
            None => fault,
        })
    }

    /// After a missing import a name may be one of its definitions.
    fn unknown_name(&self, name: &str) -> Option<Value<'f>> {
        let import = self.missing.first()?;
        Some(Value::Unknown(
            format!("`{}` may be defined by the import \"{}\", which is not available", shown(name), import.name)
                .into(),
        ))
    }

    fn call(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        let Some((head, argument_forms)) = items.split_first() else {
            return Err(Fault::new("empty-call", form.span, "`()` is not a call").help("write '() for the empty list"));
        };
        let callee = self.eval(head, scope)?;
        let mode = match &callee {
            Value::Builtin(builtin) => builtin.argument_mode(),
            _ => ArgumentMode::Plain,
        };
        let values = self.arguments(argument_forms, scope, mode)?;
        let arguments = Arguments { values, forms: Some(argument_forms), span: form.span };
        self.apply(&callee, arguments, form)
    }

    /// Evaluates arguments; in the mode of rules, names without a value stand for themselves.
    fn arguments(&mut self, forms: &'f [Form], scope: Option<ScopeId>, mode: ArgumentMode) -> Outcome<Vec<Value<'f>>> {
        let words = mode == ArgumentMode::Words;
        self.arguments_of_rules += usize::from(words);
        let mut values = Vec::with_capacity(forms.len());
        for form in forms {
            let value = match form.as_symbol() {
                Some(name) if words && self.lookup(name, scope).is_none() => {
                    self.spend(1, form.span)?;
                    Value::symbol(name)
                }
                _ => self.eval(form, scope)?,
            };
            values.push(value);
        }
        self.arguments_of_rules -= usize::from(words);
        Ok(values)
    }

    /// Calls a value with evaluated arguments. A procedure of the profile gives its body to run in tail position.
    pub(super) fn apply(&mut self, callee: &Value<'f>, arguments: Arguments<'f>, form: &'f Form) -> Outcome<Next<'f>> {
        match callee {
            Value::Closure(closure) => self.enter(closure, arguments),
            Value::Builtin(builtin) => self.apply_builtin(*builtin, arguments, form).map(Next::Value),
            Value::Unknown(reason) => {
                if self.arguments_of_rules == 0 {
                    self.unknown_rules(reason, form);
                }
                Ok(Next::Value(Value::Unknown(Rc::clone(reason))))
            }
            other => {
                let message = format!("{} cannot be called", other.describe());
                Err(Fault::new("not-a-procedure", arguments.span, message))
            }
        }
    }

    /// Calls a value and runs it to its end.
    pub(super) fn apply_now(
        &mut self,
        callee: &Value<'f>,
        arguments: Arguments<'f>,
        form: &'f Form,
    ) -> Outcome<Value<'f>> {
        match self.apply(callee, arguments, form)? {
            Next::Value(value) => Ok(value),
            Next::Body(body, scope) => {
                let mut value = Value::Unspecified;
                for form in body {
                    value = self.eval(form, scope)?;
                }
                Ok(value)
            }
        }
    }

    fn enter(&mut self, closure: &Closure<'f>, arguments: Arguments<'f>) -> Outcome<Next<'f>> {
        let given = arguments.values.len();
        let wanted = closure.parameters.len();
        if given < wanted || (given > wanted && closure.rest.is_none()) {
            let name = closure.name.map_or_else(|| "this procedure".to_owned(), |name| format!("`{}`", shown(name)));
            let least = if closure.rest.is_some() { "at least " } else { "" };
            let message = format!("{name} takes {least}{wanted} argument(s) and got {given}");
            return Err(Fault::new("wrong-arity", arguments.span, message));
        }
        let span = arguments.span;
        let scope = self.new_scope(closure.scope, span)?;
        let mut values = arguments.values.into_iter();
        for (&name, value) in closure.parameters.iter().zip(values.by_ref()) {
            self.bind_local(scope, name, value, span)?;
        }
        if let Some(rest) = closure.rest {
            let list = self.list(values.collect(), span)?;
            self.bind_local(scope, rest, list, span)?;
        }
        Ok(Next::Body(closure.body, Some(scope)))
    }

    /// A new scope inside `parent`.
    pub(super) fn new_scope(&mut self, parent: Option<ScopeId>, span: Span) -> Outcome<ScopeId> {
        self.allocate(VALUE_BYTES * 2, span)?;
        self.scopes.push(Scope { parent, names: HashMap::new() });
        Ok(self.scopes.len() - 1)
    }

    /// Gives a name a value in a scope.
    pub(super) fn bind_local(&mut self, scope: ScopeId, name: &'f str, value: Value<'f>, span: Span) -> Outcome<()> {
        self.allocate(VALUE_BYTES, span)?;
        self.scopes[scope].names.insert(name, value);
        Ok(())
    }

    /// A list value, bounded in depth.
    pub(super) fn list(&mut self, items: Vec<Value<'f>>, span: Span) -> Outcome<Value<'f>> {
        self.allocate(VALUE_BYTES * (items.len() + 1), span)?;
        let list = List::new(items);
        if list.depth > MAX_NESTING {
            let message = format!("lists are nested more than {MAX_NESTING} deep");
            return Err(Fault::stop("too-deep", span, message));
        }
        if list.size > MAX_FORMS {
            return Err(Fault::stop("too-much-memory", span, format!("a list holds more than {MAX_FORMS} values")));
        }
        Ok(Value::List(list))
    }

    /// The value of a quoted form.
    pub(super) fn datum(&mut self, form: &'f Form) -> Outcome<Value<'f>> {
        self.spend(1, form.span)?;
        Ok(match &form.kind {
            FormKind::Symbol(name) => Value::symbol(name),
            FormKind::List(items) => {
                let values = items.iter().map(|item| self.datum(item)).collect::<Outcome<Vec<_>>>()?;
                return self.list(values, form.span);
            }
            FormKind::Quoted(kind, inner) => {
                let values = vec![Value::symbol(quote_name(*kind)), self.datum(inner)?];
                return self.list(values, form.span);
            }
            _ => return self.atom(form, None),
        })
    }

    /// The value of a quasi-quoted form: quoted, with unquoted parts evaluated.
    pub(super) fn quasi(&mut self, form: &'f Form, scope: Option<ScopeId>) -> Outcome<Value<'f>> {
        self.spend(1, form.span)?;
        match &form.kind {
            FormKind::Quoted(QuoteKind::Unquote, inner) => self.eval(inner, scope),
            FormKind::List(items) => {
                self.deeper(form.span)?;
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    let FormKind::Quoted(QuoteKind::Splice, inner) = &item.kind else {
                        values.push(self.quasi(item, scope)?);
                        continue;
                    };
                    match self.eval(inner, scope)? {
                        Value::List(list) => {
                            self.allocate(VALUE_BYTES * list.items().len(), item.span)?;
                            values.extend(list.items().iter().cloned());
                        }
                        unknown @ Value::Unknown(_) => values.push(unknown),
                        other => {
                            let message = format!("`,@` wants a list, not {}", other.describe());
                            return Err(Fault::new("wrong-type", item.span, message));
                        }
                    }
                }
                self.depth -= 1;
                self.list(values, form.span)
            }
            _ => self.datum(form),
        }
    }
}

fn quote_name(kind: QuoteKind) -> &'static str {
    match kind {
        QuoteKind::Quote => "quote",
        QuoteKind::Quasi => "quasiquote",
        QuoteKind::Unquote => "unquote",
        QuoteKind::Splice => "unquote-splicing",
    }
}

/// A name cut to a length that fits a message.
pub(super) fn shown(name: &str) -> String {
    if name.chars().count() <= 60 { name.to_owned() } else { name.chars().take(60).chain(['…']).collect() }
}

/// Names that stand for themselves everywhere: operations, and constants in capitals (`SYMLINK`, `AF_UNIX`).
pub(super) fn is_constant(name: &str) -> bool {
    let capital = name.bytes().any(|byte| byte.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'));
    capital || Operation::new(name).is_known()
}

/// A defined or built-in name that differs in one or two characters.
fn similar(name: &str, globals: &HashMap<&str, Value<'_>>) -> Option<String> {
    let mut offered: Vec<&str> = globals.keys().take(2_000).copied().collect();
    Builtin::names().chain(Special::names()).for_each(|name| offered.push(name));
    spelling::nearest(name, offered).map(str::to_owned)
}
