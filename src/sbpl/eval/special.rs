//! Forms that do not evaluate all their arguments: definitions, conditions, local names, `with-filter`.

use std::rc::Rc;

use super::core::shown;
use super::fault::{Fault, Outcome};
use super::value::{Closure, ScopeId, Value};
use super::{Evaluator, Guard};
use crate::sbpl::filter::{Filter, Opaque};
use crate::sbpl::form::{Form, FormKind};
use crate::vocab::Span;

/// What to do after a form.
pub(super) enum Next<'f> {
    /// It has this value.
    Value(Value<'f>),
    /// Run these forms in this scope; the last one gives the value.
    Body(&'f [Form], Option<ScopeId>),
}

/// The special forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Define,
    DefineOnce,
    Set,
    Lambda,
    If,
    Cond,
    Case,
    When,
    Unless,
    And,
    Or,
    Begin,
    Let,
    LetStar,
    LetRec,
    Quote,
    QuasiQuote,
    WithFilter,
    ApplyMessageFilter,
    Macro,
}

const SPECIALS: [(&str, Special); 24] = [
    ("define", Special::Define),
    ("define-once", Special::DefineOnce),
    ("set!", Special::Set),
    ("lambda", Special::Lambda),
    ("if", Special::If),
    ("cond", Special::Cond),
    ("case", Special::Case),
    ("when", Special::When),
    ("unless", Special::Unless),
    ("and", Special::And),
    ("or", Special::Or),
    ("begin", Special::Begin),
    ("let", Special::Let),
    ("let*", Special::LetStar),
    ("letrec", Special::LetRec),
    ("quote", Special::Quote),
    ("quasiquote", Special::QuasiQuote),
    ("with-filter", Special::WithFilter),
    ("apply-message-filter", Special::ApplyMessageFilter),
    ("macro", Special::Macro),
    ("define-macro", Special::Macro),
    ("define-syntax", Special::Macro),
    ("let-syntax", Special::Macro),
    ("letrec-syntax", Special::Macro),
];

impl Special {
    /// Looks a special form up by name.
    pub(super) fn find(name: &str) -> Option<Self> {
        SPECIALS.iter().find(|(own, _)| *own == name).map(|(_, special)| *special)
    }

    /// All names.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        SPECIALS.iter().map(|(name, _)| *name)
    }
}

impl<'f> Evaluator<'f, '_> {
    /// Runs one special form.
    pub(super) fn special(
        &mut self,
        special: Special,
        form: &'f Form,
        items: &'f [Form],
        scope: Option<ScopeId>,
    ) -> Outcome<Next<'f>> {
        match special {
            Special::Define => self.define(form, items, scope, false),
            Special::DefineOnce => self.define(form, items, scope, true),
            Special::Set => self.set(form, items, scope),
            Special::Lambda => {
                let (parameters, body) = items.split_first().ok_or_else(|| usage(form, "(lambda (name…) body…)"))?;
                self.closure(None, parameters, None, body, scope).map(Next::Value)
            }
            Special::If => self.if_form(form, items, scope),
            Special::Cond => self.cond(items, scope),
            Special::Case => self.case(form, items, scope),
            Special::When => self.when(form, items, scope, true),
            Special::Unless => self.when(form, items, scope, false),
            Special::And => self.and_or(items, scope, false),
            Special::Or => self.and_or(items, scope, true),
            Special::Begin => Ok(Next::Body(items, scope)),
            Special::Let => self.let_form(form, items, scope),
            Special::LetStar => self.let_star(form, items, scope),
            Special::LetRec => self.let_rec(form, items, scope),
            Special::Quote => match items {
                [datum] => self.datum(datum).map(Next::Value),
                _ => Err(usage(form, "(quote form)")),
            },
            Special::QuasiQuote => match items {
                [template] => self.quasi(template, scope).map(Next::Value),
                _ => Err(usage(form, "(quasiquote form)")),
            },
            Special::WithFilter => self.with_filter(form, items, scope),
            Special::ApplyMessageFilter => Ok(Next::Value(self.message_filter(form, items))),
            Special::Macro => {
                let message = format!("macros are not supported: `{}`", form.head().unwrap_or("macro"));
                Err(Fault::new("macro", form.span, message).help("write the expansion, or a procedure with define"))
            }
        }
    }

    fn define(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>, once: bool) -> Outcome<Next<'f>> {
        let pattern = "(define name value) or (define (name argument…) body…)";
        let (target, body) = items.split_first().ok_or_else(|| usage(form, pattern))?;
        let (name, value) = match &target.kind {
            FormKind::Symbol(name) => {
                if once && self.lookup(name, scope).is_some() {
                    return Ok(Next::Value(Value::Unspecified));
                }
                match body {
                    [value] => (name.as_str(), self.eval(value, scope)?),
                    _ => return Err(usage(form, pattern)),
                }
            }
            FormKind::List(signature) => {
                let name = signature.first().and_then(Form::as_symbol).ok_or_else(|| usage(form, pattern))?;
                if once && self.lookup(name, scope).is_some() {
                    return Ok(Next::Value(Value::Unspecified));
                }
                (name, self.closure(Some(name), target, Some(name), body, scope)?)
            }
            _ => return Err(usage(form, pattern)),
        };
        self.bind(name, value, scope, form.span)?;
        Ok(Next::Value(Value::Unspecified))
    }

    fn bind(&mut self, name: &'f str, value: Value<'f>, scope: Option<ScopeId>, span: Span) -> Outcome<()> {
        match scope {
            Some(scope) => self.bind_local(scope, name, value, span),
            None => {
                self.globals.insert(name, value);
                Ok(())
            }
        }
    }

    fn set(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        let [Form { kind: FormKind::Symbol(name), .. }, value] = items else {
            return Err(usage(form, "(set! name value)"));
        };
        let value = self.eval(value, scope)?;
        let mut current = scope;
        while let Some(id) = current {
            if let Some(slot) = self.scopes[id].names.get_mut(name.as_str()) {
                *slot = value;
                return Ok(Next::Value(Value::Unspecified));
            }
            current = self.scopes[id].parent;
        }
        match self.globals.get_mut(name.as_str()) {
            Some(slot) => *slot = value,
            None => return Err(Fault::new("unbound", form.span, format!("`{}` is not defined", shown(name)))),
        }
        Ok(Next::Value(Value::Unspecified))
    }

    /// A procedure. `signature` is `(argument…)`, or `(name argument…)` when `skip` names the procedure.
    fn closure(
        &mut self,
        name: Option<&'f str>,
        signature: &'f Form,
        skip: Option<&'f str>,
        body: &'f [Form],
        scope: Option<ScopeId>,
    ) -> Outcome<Value<'f>> {
        if body.is_empty() {
            return Err(Fault::new("wrong-arity", signature.span, "the procedure has no body"));
        }
        let mut parameters = Vec::new();
        let mut rest = None;
        match &signature.kind {
            // `(lambda arguments …)`: all arguments as one list.
            FormKind::Symbol(all) => rest = Some(all.as_str()),
            FormKind::List(items) => {
                let items = &items[usize::from(skip.is_some())..];
                let mut names = items.iter();
                while let Some(item) = names.next() {
                    let own = item
                        .as_symbol()
                        .ok_or_else(|| Fault::new("bad-parameter", item.span, "a parameter is a name"))?;
                    if own != "." {
                        if parameters.contains(&own) {
                            let message = format!("the parameter `{}` appears twice", shown(own));
                            return Err(Fault::new("bad-parameter", item.span, message));
                        }
                        parameters.push(own);
                        continue;
                    }
                    rest = names.next().and_then(Form::as_symbol);
                    if rest.is_none() || names.next().is_some() {
                        return Err(Fault::new("bad-parameter", item.span, "one name follows the dot"));
                    }
                }
            }
            _ => return Err(Fault::new("bad-parameter", signature.span, "parameters are a list of names")),
        }
        self.allocate(std::mem::size_of::<Closure<'_>>() + 16 * parameters.len(), signature.span)?;
        Ok(Value::Closure(Rc::new(Closure { name, parameters, rest, body, scope })))
    }

    fn if_form(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        let (condition, yes, no) = match items {
            [condition, yes] => (condition, std::slice::from_ref(yes), [].as_slice()),
            [condition, yes, no] => (condition, std::slice::from_ref(yes), std::slice::from_ref(no)),
            _ => return Err(usage(form, "(if condition then [else])")),
        };
        self.branch(condition, yes, no, scope)
    }

    fn when(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>, wanted: bool) -> Outcome<Next<'f>> {
        let (condition, body) = items.split_first().ok_or_else(|| usage(form, "(when condition form…)"))?;
        if wanted { self.branch(condition, body, &[], scope) } else { self.branch(condition, &[], body, scope) }
    }

    /// Goes on with one of two bodies. When the condition is unknown both are run, their rules undecided.
    fn branch(
        &mut self,
        condition: &'f Form,
        yes: &'f [Form],
        no: &'f [Form],
        scope: Option<ScopeId>,
    ) -> Outcome<Next<'f>> {
        match self.eval(condition, scope)? {
            Value::Unknown(reason) => self.undecided(condition, &reason, &[yes, no], scope).map(Next::Value),
            value if value.is_true() => Ok(Next::Body(yes, scope)),
            _ => Ok(Next::Body(no, scope)),
        }
    }

    /// Runs bodies of which it is not known whether they run: every rule made inside is undecided.
    fn undecided(
        &mut self,
        condition: &'f Form,
        reason: &Rc<str>,
        bodies: &[&'f [Form]],
        scope: Option<ScopeId>,
    ) -> Outcome<Value<'f>> {
        let evaluation = self.evaluation(Some(condition));
        for (number, body) in bodies.iter().enumerate() {
            // At most one of the bodies runs: their rules must not look as if they had the same condition.
            let branch = if number == 0 { String::new() } else { format!(", branch {}", number + 1) };
            let filter = Filter::Opaque(Opaque {
                name: "if".to_owned(),
                arguments: format!("{condition}{branch}"),
                reason: reason.to_string(),
                evaluation: evaluation.clone(),
            });
            self.guards.push(Guard { filter, depth: 1, size: 1 });
            for form in *body {
                self.eval(form, scope)?;
            }
            self.guards.pop();
        }
        Ok(Value::Unknown(Rc::clone(reason)))
    }

    fn cond(&mut self, clauses: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        for (index, clause) in clauses.iter().enumerate() {
            let Some((condition, body)) = clause.as_list().and_then(<[Form]>::split_first) else {
                return Err(usage(clause, "a clause of cond: (condition form…)"));
            };
            if condition.as_symbol() == Some("else") {
                return Ok(Next::Body(body, scope));
            }
            match self.eval(condition, scope)? {
                Value::Unknown(reason) => {
                    // From here on any of the remaining bodies may run.
                    let remaining: Vec<&'f [Form]> = clauses[index..]
                        .iter()
                        .filter_map(|clause| clause.as_list().and_then(<[Form]>::split_first).map(|(_, body)| body))
                        .collect();
                    return self.undecided(condition, &reason, &remaining, scope).map(Next::Value);
                }
                value if value.is_true() => {
                    return Ok(if body.is_empty() { Next::Value(value) } else { Next::Body(body, scope) });
                }
                _ => {}
            }
        }
        Ok(Next::Value(Value::Unspecified))
    }

    fn case(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        let (key, clauses) = items.split_first().ok_or_else(|| usage(form, "(case key ((datum…) form…)…)"))?;
        let key = self.eval(key, scope)?;
        if let Value::Unknown(reason) = &key {
            let bodies: Vec<&'f [Form]> =
                clauses.iter().filter_map(|clause| clause.as_list().and_then(|items| items.get(1..))).collect();
            return self.undecided(form, reason, &bodies, scope).map(Next::Value);
        }
        for clause in clauses {
            let Some((choices, body)) = clause.as_list().and_then(<[Form]>::split_first) else {
                return Err(usage(clause, "a clause of case: ((datum…) form…)"));
            };
            let chosen = match choices.as_list() {
                None => choices.as_symbol() == Some("else"),
                Some(data) => {
                    let mut found = false;
                    for datum in data {
                        found |= self.datum(datum)?.equal(&key);
                    }
                    found
                }
            };
            if chosen {
                return Ok(Next::Body(body, scope));
            }
        }
        Ok(Next::Value(Value::Unspecified))
    }

    /// `and` stops at the first false value, `or` at the first true one.
    fn and_or(&mut self, items: &'f [Form], scope: Option<ScopeId>, stop_at: bool) -> Outcome<Next<'f>> {
        let Some((last, before)) = items.split_last() else { return Ok(Next::Value(Value::Bool(!stop_at))) };
        let mut unknown = None;
        for item in before {
            match self.eval(item, scope)? {
                value @ Value::Unknown(_) => unknown = Some(value),
                value if value.is_true() == stop_at => return Ok(Next::Value(value)),
                _ => {}
            }
        }
        let Some(unknown) = unknown else { return Ok(Next::Body(std::slice::from_ref(last), scope)) };
        let value = self.eval(last, scope)?;
        let decided = !matches!(value, Value::Unknown(_)) && value.is_true() == stop_at;
        Ok(Next::Value(if decided { value } else { unknown }))
    }

    fn let_form(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        let (name, items) = match items.split_first() {
            Some((Form { kind: FormKind::Symbol(name), .. }, rest)) => (Some(name.as_str()), rest),
            _ => (None, items),
        };
        let (bindings, body) = bindings_and_body(form, items)?;
        let mut values = Vec::with_capacity(bindings.len());
        for (own, value) in &bindings {
            values.push((*own, self.optional(*value, scope)?));
        }
        let outer = match name {
            None => scope,
            Some(name) => {
                // A named let is a procedure that is called at once.
                let own = self.new_scope(scope, form.span)?;
                let parameters = bindings.iter().map(|(name, _)| *name).collect();
                let closure = Closure { name: Some(name), parameters, rest: None, body, scope: Some(own) };
                self.bind_local(own, name, Value::Closure(Rc::new(closure)), form.span)?;
                Some(own)
            }
        };
        let inner = self.new_scope(outer, form.span)?;
        for (own, value) in values {
            self.bind_local(inner, own, value, form.span)?;
        }
        Ok(Next::Body(body, Some(inner)))
    }

    fn let_star(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        let (bindings, body) = bindings_and_body(form, items)?;
        let mut inner = self.new_scope(scope, form.span)?;
        for (own, value) in bindings {
            let value = self.optional(value, Some(inner))?;
            inner = self.new_scope(Some(inner), form.span)?;
            self.bind_local(inner, own, value, form.span)?;
        }
        Ok(Next::Body(body, Some(inner)))
    }

    fn let_rec(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        let (bindings, body) = bindings_and_body(form, items)?;
        let inner = self.new_scope(scope, form.span)?;
        for (own, _) in &bindings {
            self.bind_local(inner, own, Value::Unspecified, form.span)?;
        }
        for (own, value) in bindings {
            let value = self.optional(value, Some(inner))?;
            self.bind_local(inner, own, value, form.span)?;
        }
        Ok(Next::Body(body, Some(inner)))
    }

    fn optional(&mut self, form: Option<&'f Form>, scope: Option<ScopeId>) -> Outcome<Value<'f>> {
        match form {
            Some(form) => self.eval(form, scope),
            None => Ok(Value::Unspecified),
        }
    }

    fn with_filter(&mut self, form: &'f Form, items: &'f [Form], scope: Option<ScopeId>) -> Outcome<Next<'f>> {
        let (filter, rules) = items.split_first().ok_or_else(|| usage(form, "(with-filter filter rule…)"))?;
        self.arguments_of_rules += 1;
        let value = self.eval(filter, scope)?;
        self.arguments_of_rules -= 1;
        let guard = match value {
            Value::Filter(value) => Guard { filter: value.filter.clone(), depth: value.depth, size: value.size },
            Value::Unknown(reason) => {
                let arguments = filter.to_string();
                let (reason, evaluation) = (reason.to_string(), self.evaluation(Some(filter)));
                let filter = Filter::Opaque(Opaque { name: "with-filter".into(), arguments, reason, evaluation });
                Guard { filter, depth: 1, size: 1 }
            }
            other => {
                let message = format!("`with-filter` wants a filter first, not {}", other.describe());
                return Err(Fault::new("wrong-type", filter.span, message));
            }
        };
        self.guards.push(guard);
        for rule in rules {
            self.eval(rule, scope)?;
        }
        self.guards.pop();
        Ok(Next::Value(Value::Unspecified))
    }

    /// Message filters decide about messages on a connection, not about the access; they are kept as a modifier.
    fn message_filter(&mut self, form: &'f Form, items: &'f [Form]) -> Value<'f> {
        if items.iter().any(|inner| inner.head() == Some("deny")) {
            self.warn(
                "message-filter-deny",
                form.span,
                "a message filter with an inner deny is refused at apply time for ordinary callers",
                "leave the inner deny out",
            );
        }
        let arguments = items.iter().map(ToString::to_string).collect();
        Value::Modifier(Rc::new(crate::sbpl::rule::Modifier { name: "apply-message-filter".to_owned(), arguments }))
    }
}

type Bindings<'f> = Vec<(&'f str, Option<&'f Form>)>;

fn bindings_and_body<'f>(form: &'f Form, items: &'f [Form]) -> Outcome<(Bindings<'f>, &'f [Form])> {
    let pattern = "(let ((name value)…) form…)";
    let (list, body) = items.split_first().ok_or_else(|| usage(form, pattern))?;
    let list = list.as_list().ok_or_else(|| usage(list, pattern))?;
    if body.is_empty() {
        return Err(usage(form, pattern));
    }
    let mut bindings = Vec::with_capacity(list.len());
    for binding in list {
        bindings.push(match binding.as_list() {
            Some([name, value]) => (name.as_symbol().ok_or_else(|| usage(name, pattern))?, Some(value)),
            Some([name]) => (name.as_symbol().ok_or_else(|| usage(name, pattern))?, None),
            _ => return Err(usage(binding, pattern)),
        });
    }
    Ok((bindings, body))
}

fn usage(form: &Form, pattern: &str) -> Box<Fault> {
    Fault::new("bad-form", form.span, format!("expected {pattern}"))
}
