//! Filter forms: from evaluated arguments to typed filters.

use std::rc::Rc;

use super::Evaluator;
use super::core::{Arguments, shown};
use super::fault::{Fault, Outcome};
use super::value::{FilterValue, Value};
use crate::sbpl::filter::{
    Filter, NameFilter, NameTest, NetworkFilter, Opaque, PROTOCOLS, Peer, Side, TARGETS, VNODE_TYPES, resolved_spelling,
};
use crate::sbpl::form::{Form, FormKind};
use crate::sbpl::limits::MAX_NESTING;
use crate::sbpl::vocabulary::{FilterKind, FilterSpec, PathTest, TextTest};
use crate::vocab::Span;

impl<'f> Evaluator<'f, '_> {
    /// A filter form of the vocabulary.
    pub(super) fn filter(
        &mut self,
        spec: &'static FilterSpec,
        arguments: &Arguments<'f>,
        form: &'f Form,
    ) -> Outcome<Value<'f>> {
        let name = form.head().unwrap_or(spec.name);
        if let Some(Value::Unknown(reason)) = arguments.values.iter().find(|value| matches!(value, Value::Unknown(_))) {
            return self.opaque(name, arguments, reason);
        }
        if arguments.values.is_empty() && !matches!(spec.kind, FilterKind::State(_)) {
            return Err(Fault::new("wrong-arity", arguments.span, format!("`{name}` takes at least 1 argument")));
        }
        match spec.kind {
            // Any of several classes is enough, so each is a condition of its own.
            FilterKind::State(reason) if spec.name == "extension" && arguments.values.len() > 1 => {
                let each = (0..arguments.values.len()).map(|index| Opaque {
                    name: name.to_owned(),
                    arguments: spelled(arguments, index),
                    reason: reason.to_owned(),
                    evaluation: None,
                });
                let any: Vec<Filter> = each.map(Filter::Opaque).collect();
                self.allocate(any.len() * (name.len() + reason.len()), arguments.span)?;
                self.any_of(any, arguments.span)
            }
            FilterKind::State(reason) => self.opaque(name, arguments, reason),
            FilterKind::Network(side) => self.network(side, name, arguments),
            FilterKind::Path(test) => {
                self.each(arguments, |this, index| this.path_filter(name, test, arguments, index))
            }
            FilterKind::Attribute { attribute, test } => {
                self.each(arguments, |this, index| this.name_filter(name, attribute, test, arguments, index))
            }
            FilterKind::VnodeType => self.each(arguments, |_, index| {
                constant(name, &arguments.values[index], &VNODE_TYPES, arguments.span_of(index)).map(Filter::VnodeType)
            }),
            FilterKind::Target => self.each(arguments, |_, index| {
                constant(name, &arguments.values[index], &TARGETS, arguments.span_of(index)).map(Filter::Target)
            }),
            FilterKind::FileMode => self.each(arguments, |_, index| {
                mode(&arguments.values[index], arguments.span_of(index)).map(Filter::FileMode)
            }),
        }
    }

    fn each(
        &mut self,
        arguments: &Arguments<'f>,
        mut one: impl FnMut(&mut Self, usize) -> Outcome<Filter>,
    ) -> Outcome<Value<'f>> {
        let any = (0..arguments.values.len()).map(|index| one(self, index)).collect::<Outcome<Vec<_>>>()?;
        self.any_of(any, arguments.span)
    }

    /// Several arguments in one filter mean any of them.
    fn any_of(&mut self, mut any: Vec<Filter>, span: Span) -> Outcome<Value<'f>> {
        let size = any.len();
        self.allocate(size * std::mem::size_of::<Filter>(), span)?;
        let (filter, depth) = match (any.pop(), size) {
            (Some(only), 1) => (only, 1),
            (last, _) => {
                any.extend(last);
                (Filter::RequireAny(any), 2)
            }
        };
        Ok(Value::Filter(Rc::new(FilterValue { filter, depth, size })))
    }

    fn opaque(&mut self, name: &str, arguments: &Arguments<'f>, reason: &str) -> Outcome<Value<'f>> {
        let spelled: Vec<String> = (0..arguments.values.len()).map(|index| spelled(arguments, index)).collect();
        self.allocate(spelled.iter().map(String::len).sum(), arguments.span)?;
        let mut evaluation = None;
        for (index, value) in arguments.values.iter().enumerate() {
            if !is_plain(value) && evaluation.is_none() {
                evaluation = self.evaluation(arguments.forms.and_then(|forms| forms.get(index)));
            }
        }
        let (name, arguments, reason) = (name.to_owned(), spelled.join(" "), reason.to_owned());
        let opaque = Opaque { name, arguments, reason, evaluation };
        Ok(Value::Filter(Rc::new(FilterValue::leaf(Filter::Opaque(opaque)))))
    }

    fn path_filter(&mut self, name: &str, test: PathTest, arguments: &Arguments<'f>, index: usize) -> Outcome<Filter> {
        let span = arguments.span_of(index);
        let path = text(name, &arguments.values[index], span)?;
        if test == PathTest::Regex {
            return self.regex(&path, arguments, index).map(Filter::Regex);
        }
        if let Some(control) = path.chars().find(|c| c.is_control()) {
            let message = format!("the path holds the control character U+{:04X}", u32::from(control));
            return Err(Fault::new("control-character", span, message));
        }
        self.allocate(path.len(), span)?;
        if !path.starts_with('/') {
            let message = format!("`{name}` with \"{}\" never matches: paths are absolute", shown(&path));
            self.warn("relative-path", span, message, "write the path from the root on");
        }
        if let Some(resolved) = resolved_spelling(&path, test == PathTest::Prefix) {
            // Of the directories above such a path some can be there.
            let how = if test == PathTest::Ancestors { "does not match what it names" } else { "never matches" };
            let message = format!(
                "`{name}` with \"{}\" {how}: resolved paths are compared, which have no `.`, `..` and doubled slashes",
                shown(&path)
            );
            let climbs = path.split('/').any(|part| part == "..");
            let caution = if climbs { ", where no link is on the way to `..`" } else { "" };
            self.warn("relative-path", span, message, &format!("write \"{}\"{caution}", shown(&resolved)));
        }
        if path.starts_with('/') && test != PathTest::Prefix && path.len() > 1 && path.ends_with('/') {
            let message = format!("`{name}` with a trailing slash: what the system makes of it is not settled");
            self.warn("trailing-slash", span, message, "leave the slash out");
            return Ok(Filter::Opaque(Opaque {
                name: name.to_owned(),
                arguments: format!("\"{path}\""),
                reason: "what the system makes of a trailing slash is not settled".to_owned(),
                evaluation: None,
            }));
        }
        let path = path.to_string();
        Ok(match test {
            PathTest::Literal => Filter::Literal(path),
            PathTest::Subpath => Filter::Subpath(path),
            PathTest::Prefix => Filter::Prefix(path),
            PathTest::Ancestors | PathTest::Regex => Filter::PathAncestors(path),
        })
    }

    /// Compiles an expression; a fault points into the literal where there is one.
    fn regex(&mut self, text: &str, arguments: &Arguments<'f>, index: usize) -> Outcome<crate::sbpl::pattern::Pattern> {
        let span = arguments.span_of(index);
        let error = match self.pattern(text, span)? {
            Ok(pattern) => {
                if !pattern.is_settled() {
                    let message = "the expression uses a letter escape or back-reference without an agreed meaning";
                    self.warn("regex-escape", span, message, "write a bracket expression such as [0-9]");
                }
                return Ok(pattern);
            }
            Err(error) => error,
        };
        let literal = arguments.forms.and_then(|forms| forms.get(index)).map(|form| &form.kind);
        let place = match literal {
            Some(FormKind::Regex(own)) if own == text => inside_literal(span, text, error.offset),
            _ => span,
        };
        Err(Fault::new("bad-regex", place, format!("invalid expression: {error}")))
    }

    fn name_filter(
        &mut self,
        name: &str,
        attribute: &'static str,
        test: TextTest,
        arguments: &Arguments<'f>,
        index: usize,
    ) -> Outcome<Filter> {
        let span = arguments.span_of(index);
        let value = &arguments.values[index];
        let wanted = match (test, value) {
            (TextTest::Exact, Value::Symbol(word)) => word.to_string(),
            (TextTest::Exact, Value::Integer(number)) => number.to_string(),
            _ => text(name, value, span)?.to_string(),
        };
        self.allocate(wanted.len(), span)?;
        let test = match test {
            TextTest::Exact => NameTest::Exact(wanted),
            TextTest::Prefix => NameTest::Prefix(wanted),
            TextTest::Regex => NameTest::Regex(self.regex(&wanted, arguments, index)?),
        };
        Ok(Filter::Name(NameFilter { attribute, test }))
    }

    /// `(local …)` and `(remote …)`.
    fn network(&mut self, side: Side, name: &str, arguments: &Arguments<'f>) -> Outcome<Value<'f>> {
        let span = arguments.span_of(0);
        let Some(Value::Symbol(protocol)) = arguments.values.first() else {
            let message = format!("`{name}` wants a protocol first: {}, or unix-socket", protocol_names());
            return Err(Fault::new("wrong-type", span, message));
        };
        if &**protocol == "unix-socket" {
            return self.unix_socket(side, arguments, 1);
        }
        let Some((_, transport, v6)) = PROTOCOLS.iter().find(|(own, _, _)| *own == &**protocol) else {
            let message =
                format!("`{}` is not a protocol; known are {}, and unix-socket", shown(protocol), protocol_names());
            return Err(Fault::new("unknown-value", span, message));
        };
        let mut any = Vec::new();
        for (index, value) in arguments.values.iter().enumerate().skip(1) {
            let address = text(name, value, arguments.span_of(index))?;
            let (localhost, port) = address_of(&address, arguments.span_of(index))?;
            let peer = Peer::Ip { transport: *transport, v6: *v6, localhost, port };
            any.push(Filter::Network(NetworkFilter { side, peer }));
        }
        if any.is_empty() {
            let peer = Peer::Ip { transport: *transport, v6: *v6, localhost: false, port: None };
            any.push(Filter::Network(NetworkFilter { side, peer }));
        }
        self.any_of(any, arguments.span)
    }

    /// A unix socket with the path filters from argument `from` on.
    pub(super) fn unix_socket(&mut self, side: Side, arguments: &Arguments<'f>, from: usize) -> Outcome<Value<'f>> {
        let mut paths = Vec::new();
        let (mut depth, mut size) = (1, 1);
        for (index, value) in arguments.values.iter().enumerate().skip(from) {
            match value {
                Value::Filter(filter) => {
                    depth = depth.max(filter.depth + 2);
                    size += filter.size;
                    paths.push(filter.filter.clone());
                }
                Value::Unknown(reason) => return self.opaque("unix-socket", arguments, reason),
                other => {
                    let message = format!("`unix-socket` takes path filters, not {}", other.describe());
                    let fault = Fault::new("wrong-type", arguments.span_of(index), message);
                    return Err(fault.help("write (path-literal \"/absolute/path\")"));
                }
            }
        }
        self.bounded(depth, size, arguments.span)?;
        let path = match paths.len() {
            0 => None,
            1 => paths.pop().map(Box::new),
            _ => Some(Box::new(Filter::RequireAny(paths))),
        };
        let filter = Filter::Network(NetworkFilter { side, peer: Peer::Unix(path) });
        Ok(Value::Filter(Rc::new(FilterValue { filter, depth, size })))
    }

    /// `(require-all …)` and `(require-any …)`.
    pub(super) fn combine(&mut self, name: &'static str, arguments: &Arguments<'f>) -> Outcome<Value<'f>> {
        let mut inner = Vec::with_capacity(arguments.values.len());
        let (mut depth, mut size) = (1, 1);
        for (index, value) in arguments.values.iter().enumerate() {
            let items = match value {
                Value::List(list) => list.items(),
                single => std::slice::from_ref(single),
            };
            for item in items {
                let (filter, own_depth, own_size) = self.inner_filter(name, item, arguments, index)?;
                depth = depth.max(own_depth + 1);
                size += own_size;
                inner.push(filter);
            }
        }
        if inner.is_empty() {
            return Err(Fault::new("wrong-arity", arguments.span, format!("`{name}` takes at least 1 filter")));
        }
        self.bounded(depth, size, arguments.span)?;
        let filter = if name == "require-all" { Filter::RequireAll(inner) } else { Filter::RequireAny(inner) };
        Ok(Value::Filter(Rc::new(FilterValue { filter, depth, size })))
    }

    /// `(require-not filter)`.
    pub(super) fn negate(&mut self, arguments: &Arguments<'f>) -> Outcome<Value<'f>> {
        let [value] = arguments.values.as_slice() else {
            let message = format!("`require-not` takes 1 filter and got {}", arguments.values.len());
            return Err(Fault::new("wrong-arity", arguments.span, message));
        };
        let (inner, depth, size) = self.inner_filter("require-not", value, arguments, 0)?;
        self.bounded(depth + 1, size + 1, arguments.span)?;
        let filter = Filter::RequireNot(Box::new(inner));
        Ok(Value::Filter(Rc::new(FilterValue { filter, depth: depth + 1, size: size + 1 })))
    }

    fn inner_filter(
        &mut self,
        name: &str,
        value: &Value<'f>,
        arguments: &Arguments<'f>,
        index: usize,
    ) -> Outcome<(Filter, usize, usize)> {
        match value {
            Value::Filter(filter) => Ok((filter.filter.clone(), filter.depth, filter.size)),
            Value::Unknown(reason) => {
                let spelled =
                    arguments.forms.and_then(|forms| forms.get(index)).map_or_else(String::new, ToString::to_string);
                let (name, reason) = ("unknown".to_owned(), reason.to_string());
                let evaluation = self.evaluation(arguments.forms.and_then(|forms| forms.get(index)));
                let opaque = Opaque { name, arguments: spelled, reason, evaluation };
                Ok((Filter::Opaque(opaque), 1, 1))
            }
            other => {
                let message = format!("`{name}` takes filters, not {}", other.describe());
                Err(Fault::new("wrong-type", arguments.span_of(index), message))
            }
        }
    }

    fn bounded(&mut self, depth: usize, size: usize, span: Span) -> Outcome<()> {
        if depth > MAX_NESTING {
            return Err(Fault::stop("too-deep", span, format!("filters are nested more than {MAX_NESTING} deep")));
        }
        self.allocate(size * std::mem::size_of::<Filter>(), span)
    }
}

/// Whether a value's text says all about it.
fn is_plain(value: &Value<'_>) -> bool {
    matches!(value, Value::String(_) | Value::Symbol(_) | Value::Integer(_) | Value::Bool(_) | Value::Absent(_))
}

/// An argument as text. What a name or call stands for tells two uses of one helper apart; a literal is as written.
fn spelled(arguments: &Arguments<'_>, index: usize) -> String {
    let value = &arguments.values[index];
    match (arguments.forms.and_then(|forms| forms.get(index)), value) {
        (Some(Form { kind: FormKind::Symbol(_) | FormKind::List(_) | FormKind::Quoted(..), .. }) | None, value)
            if is_plain(value) =>
        {
            value.to_string()
        }
        (Some(form), _) => form.to_string(),
        (None, _) => value.to_string(),
    }
}

/// Text where a filter wants it.
fn text(name: &str, value: &Value<'_>, span: Span) -> Outcome<Rc<str>> {
    match value {
        Value::String(text) => Ok(Rc::clone(text)),
        Value::Symbol(word) => {
            let message = format!("`{name}` wants a string, and `{}` is not defined", shown(word));
            Err(Fault::new("wrong-type", span, message))
        }
        other => Err(Fault::new("wrong-type", span, format!("`{name}` wants a string, not {}", other.describe()))),
    }
}

fn constant<T: Copy>(name: &str, value: &Value<'_>, known: &[(&str, T)], span: Span) -> Outcome<T> {
    if let Value::Symbol(word) = value
        && let Some((_, constant)) = known.iter().find(|(own, _)| *own == &**word)
    {
        return Ok(*constant);
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let message = format!("`{name}` wants one of {}, not {}", names.join(", "), value.describe());
    Err(Fault::new("unknown-value", span, message))
}

fn mode(value: &Value<'_>, span: Span) -> Outcome<u32> {
    let wanted = "`file-mode` wants a mask from #o0001 to #o7777";
    match value {
        Value::Integer(mask) => u32::try_from(*mask)
            .ok()
            .filter(|mask| (1..=0o7777).contains(mask))
            .ok_or_else(|| Fault::new("unknown-value", span, format!("{wanted}, not {mask}"))),
        other => Err(Fault::new("wrong-type", span, format!("{wanted}, not {}", other.describe()))),
    }
}

fn protocol_names() -> String {
    PROTOCOLS.map(|(name, _, _)| name).join(", ")
}

/// Host and port of `"host:port"`: whether only loopback matches, and the port unless any.
fn address_of(address: &str, span: Span) -> Outcome<(bool, Option<u16>)> {
    let wanted = "an address is \"host:port\" with host `*` or `localhost` and port `*` or a number up to 65535";
    let fail = |detail: String| Err(Fault::new("bad-address", span, format!("{detail}; {wanted}")));
    let Some((host, port)) = address.rsplit_once(':') else {
        return fail(format!("\"{}\" has no port", shown(address)));
    };
    let localhost = match host {
        "*" => false,
        "localhost" => true,
        other => return fail(format!("the host \"{}\" does not compile", shown(other))),
    };
    if port == "*" {
        return Ok((localhost, None));
    }
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits => Ok((localhost, Some(number))),
        _ => fail(format!("the port \"{}\" is not a number", shown(port))),
    }
}

/// The place of a byte inside `#"…"`.
fn inside_literal(span: Span, text: &str, offset: usize) -> Span {
    let before = text.get(..offset).unwrap_or(text);
    if before.contains('\n') {
        return span;
    }
    let bytes = u32::try_from(before.len()).unwrap_or(0) + 2;
    let columns = u32::try_from(before.chars().count()).unwrap_or(0) + 2;
    Span { start: span.start + bytes, end: span.end, column: span.column + columns, ..span }
}
