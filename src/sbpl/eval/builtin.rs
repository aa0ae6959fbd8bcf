//! Built-in procedures by name.

use super::Evaluator;
use super::core::Arguments;
use super::fault::{Fault, Outcome};
use super::value::Value;
use crate::sbpl::filter::Side;
use crate::sbpl::form::Form;
use crate::sbpl::source::AbsentParams;
use crate::sbpl::vocabulary::FilterSpec;
use crate::vocab::{Decision, Span};

/// A built-in procedure.
#[derive(Debug, Clone, Copy)]
pub(super) enum Builtin {
    Rule(Decision),
    Filter(&'static FilterSpec),
    UnixSocket,
    RequireAll,
    RequireAny,
    RequireNot,
    With,
    Version,
    Debug,
    Trace,
    Import,
    Param,
    /// Asks for something only a running system knows.
    Unknowable(&'static str),
    List(&'static super::lists::ListProcedure),
}

/// How a call's arguments are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgumentMode {
    /// As Scheme does.
    Plain,
    /// Names without a value stand for themselves: operations, constants.
    Words,
}

const NAMED: [(&str, Builtin); 15] = [
    ("allow", Builtin::Rule(Decision::Allow)),
    ("deny", Builtin::Rule(Decision::Deny)),
    ("unix-socket", Builtin::UnixSocket),
    ("require-all", Builtin::RequireAll),
    ("require-any", Builtin::RequireAny),
    ("require-not", Builtin::RequireNot),
    ("with", Builtin::With),
    ("version", Builtin::Version),
    ("debug", Builtin::Debug),
    ("trace", Builtin::Trace),
    ("import", Builtin::Import),
    ("param", Builtin::Param),
    ("entitlement", Builtin::Unknowable("it depends on the entitlements of a program")),
    ("sandbox-flag", Builtin::Unknowable("it depends on the state of the system")),
    ("getenv", Builtin::Unknowable("it depends on the environment of the compiler")),
];

impl Builtin {
    /// Looks a procedure up by name.
    pub(super) fn find(name: &str) -> Option<Self> {
        if let Some((_, builtin)) = NAMED.iter().find(|(own, _)| *own == name) {
            return Some(*builtin);
        }
        super::lists::find(name).map(Self::List).or_else(|| FilterSpec::find(name).map(Self::Filter))
    }

    /// All names, for suggestions.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        let filters = crate::sbpl::vocabulary::FILTERS.iter().map(|spec| spec.name);
        NAMED.iter().map(|(name, _)| *name).chain(filters).chain(super::lists::names())
    }

    /// How its arguments are evaluated.
    pub(super) fn argument_mode(self) -> ArgumentMode {
        match self {
            Self::Rule(_)
            | Self::Filter(_)
            | Self::UnixSocket
            | Self::RequireAll
            | Self::RequireAny
            | Self::RequireNot
            | Self::With
            | Self::Debug => ArgumentMode::Words,
            Self::Version | Self::Trace | Self::Import | Self::Param | Self::Unknowable(_) | Self::List(_) => {
                ArgumentMode::Plain
            }
        }
    }
}

impl<'f> Evaluator<'f, '_> {
    /// Runs a built-in procedure. That an argument has the wrong type because a parameter is not given is said so.
    pub(super) fn apply_builtin(
        &mut self,
        builtin: Builtin,
        arguments: Arguments<'f>,
        form: &'f Form,
    ) -> Outcome<Value<'f>> {
        let absent: Vec<(Span, std::rc::Rc<str>)> = arguments
            .values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| match value {
                Value::Absent(key) => Some((arguments.span_of(index), std::rc::Rc::clone(key))),
                _ => None,
            })
            .collect();
        self.run_builtin(builtin, arguments, form).map_err(|fault| {
            let culprit = absent.iter().find(|(span, _)| fault.id == "wrong-type" && fault.span == *span);
            match culprit {
                Some((span, key)) => Fault::missing_parameter(*span, super::core::shown(key)),
                None => fault,
            }
        })
    }

    fn run_builtin(&mut self, builtin: Builtin, arguments: Arguments<'f>, form: &'f Form) -> Outcome<Value<'f>> {
        match builtin {
            Builtin::Rule(action) => self.rule(action, &arguments, form),
            Builtin::Filter(spec) => self.filter(spec, &arguments, form),
            Builtin::UnixSocket => self.unix_socket(Side::Remote, &arguments, 0),
            Builtin::RequireAll => self.combine("require-all", &arguments),
            Builtin::RequireAny => self.combine("require-any", &arguments),
            Builtin::RequireNot => self.negate(&arguments),
            Builtin::With => self.modifier(&arguments),
            Builtin::Version => self.version(&arguments),
            Builtin::Debug => self.debug(&arguments),
            Builtin::Trace => {
                self.one_text("trace", &arguments)?;
                self.warn("trace", arguments.span, "`trace` writes nothing on current systems", "remove it");
                Ok(Value::Unspecified)
            }
            Builtin::Import => self.import(&arguments, form),
            Builtin::Param => {
                let key = self.one_text("param", &arguments)?;
                match self.params.get(&*key) {
                    Some(value) => {
                        self.allocate(value.len(), arguments.span)?;
                        Ok(Value::text(value))
                    }
                    None if self.absent == AbsentParams::Unknown => {
                        Ok(Value::Unknown(format!("the parameter {} is not given", super::core::shown(&key)).into()))
                    }
                    None => Ok(Value::Absent(key)),
                }
            }
            Builtin::Unknowable(reason) => Ok(Value::Unknown(reason.into())),
            Builtin::List(procedure) => self.list_procedure(procedure, arguments, form),
        }
    }

    /// The only argument, which must be text.
    pub(super) fn one_text(&mut self, name: &str, arguments: &Arguments<'f>) -> Outcome<std::rc::Rc<str>> {
        match arguments.values.as_slice() {
            [Value::String(text)] => Ok(std::rc::Rc::clone(text)),
            [other] => {
                let message = format!("`{name}` wants a string, not {}", other.describe());
                Err(Fault::new("wrong-type", arguments.span_of(0), message))
            }
            other => {
                let message = format!("`{name}` takes 1 argument and got {}", other.len());
                Err(Fault::new("wrong-arity", arguments.span, message))
            }
        }
    }

    fn version(&mut self, arguments: &Arguments<'f>) -> Outcome<Value<'f>> {
        match arguments.values.as_slice() {
            [Value::Integer(1 | 3)] => {
                self.version.get_or_insert(arguments.span);
                Ok(Value::Unspecified)
            }
            [other] => {
                // Recorded all the same: one problem, one message.
                self.version.get_or_insert(arguments.span);
                let message = format!("the version is 1 or 3, not {}", other.describe());
                Err(Fault::new("bad-version", arguments.span_of(0), message))
            }
            other => {
                self.version.get_or_insert(arguments.span);
                let message = format!("`version` takes 1 argument and got {}", other.len());
                Err(Fault::new("wrong-arity", arguments.span, message))
            }
        }
    }

    fn debug(&mut self, arguments: &Arguments<'f>) -> Outcome<Value<'f>> {
        match arguments.values.as_slice() {
            [Value::Symbol(name)] if matches!(&**name, "deny" | "allow" | "all" | "none") => Ok(Value::Unspecified),
            _ => Err(Fault::new(
                "bad-form",
                arguments.span,
                "expected (debug deny), (debug allow), (debug all) or (debug none)",
            )),
        }
    }
}
