//! Values of the profile language's Scheme part.
//!
//! Invariant: every value can be dropped and compared with bounded recursion; lists and filters carry their depth.

use std::fmt;
use std::rc::Rc;

use super::builtin::Builtin;
use super::core::shown;
use crate::sbpl::filter::Filter;
use crate::sbpl::form::{Form, write_string};
use crate::sbpl::rule::Modifier;

/// Index of a local scope.
pub(super) type ScopeId = usize;

/// One value.
#[derive(Debug, Clone)]
pub(super) enum Value<'f> {
    /// What a form without a result gives.
    Unspecified,
    Bool(bool),
    /// `#f` because this parameter is not given; `#f` in every respect but what messages say.
    Absent(Rc<str>),
    Integer(i64),
    String(Rc<str>),
    Symbol(Rc<str>),
    List(List<'f>),
    Closure(Rc<Closure<'f>>),
    Builtin(Builtin),
    Filter(Rc<FilterValue>),
    Modifier(Rc<Modifier>),
    /// Depends on something unknown; the text says on what.
    Unknown(Rc<str>),
}

/// A list, or the rest of one.
#[derive(Debug, Clone)]
pub(super) struct List<'f> {
    items: Rc<[Value<'f>]>,
    from: usize,
    /// How deeply lists are nested in it, itself included.
    pub depth: usize,
    /// How many values it holds at all depths, shared ones counted each time: the cost of walking it.
    pub size: usize,
}

impl<'f> List<'f> {
    /// A list of these items.
    pub(super) fn new(items: Vec<Value<'f>>) -> Self {
        let depth = 1 + items.iter().map(Value::depth).max().unwrap_or(0);
        let size = items.iter().map(Value::size).fold(1, usize::saturating_add);
        Self { items: items.into(), from: 0, depth, size }
    }

    /// The items.
    pub(super) fn items(&self) -> &[Value<'f>] {
        &self.items[self.from..]
    }

    /// Everything after the first item; the list must not be empty.
    pub(super) fn rest(&self) -> Self {
        Self { items: Rc::clone(&self.items), from: self.from + 1, depth: self.depth, size: self.size }
    }
}

/// A procedure written in the profile.
#[derive(Debug)]
pub(super) struct Closure<'f> {
    pub name: Option<&'f str>,
    pub parameters: Vec<&'f str>,
    /// The parameter that takes all further arguments as a list.
    pub rest: Option<&'f str>,
    pub body: &'f [Form],
    pub scope: Option<ScopeId>,
}

/// A filter with its extent.
#[derive(Debug)]
pub(super) struct FilterValue {
    pub filter: Filter,
    pub depth: usize,
    pub size: usize,
}

impl FilterValue {
    /// A filter without inner filters.
    pub(super) fn leaf(filter: Filter) -> Self {
        Self { filter, depth: 1, size: 1 }
    }
}

impl<'f> Value<'f> {
    /// A text value.
    pub(super) fn text(text: &str) -> Self {
        Self::String(text.into())
    }

    /// A name.
    pub(super) fn symbol(name: &str) -> Self {
        Self::Symbol(name.into())
    }

    /// Only `#f` is false.
    pub(super) fn is_true(&self) -> bool {
        self.as_bool() != Some(false)
    }

    /// The truth value, when it is one.
    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Absent(_) => Some(false),
            _ => None,
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(list) => list.depth,
            _ => 0,
        }
    }

    /// How many values it consists of.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::List(list) => list.size,
            _ => 1,
        }
    }

    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Unspecified => "nothing",
            Self::Bool(_) | Self::Absent(_) => "a truth value",
            Self::Integer(_) => "a number",
            Self::String(_) => "a string",
            Self::Symbol(_) => "a name",
            Self::List(_) => "a list",
            Self::Closure(_) | Self::Builtin(_) => "a procedure",
            Self::Filter(_) => "a filter",
            Self::Modifier(_) => "a modifier",
            Self::Unknown(_) => "an unknown value",
        }
    }

    /// The value for messages: its kind and, where short, its spelling.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Bool(_) | Self::Integer(_) | Self::String(_) | Self::Symbol(_) => {
                let spelled = self.to_string();
                let shown: String = spelled.chars().take(60).collect();
                let cut = if shown.len() < spelled.len() { "…" } else { "" };
                format!("{} ({shown}{cut})", self.kind())
            }
            Self::List(list) if list.items().is_empty() => "an empty list".to_owned(),
            Self::Absent(key) => format!("#f, because the parameter `{}` is not given", shown(key)),
            _ => self.kind().to_owned(),
        }
    }

    /// `equal?`: same structure; procedures, filters and modifiers are never equal.
    pub(super) fn equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unspecified, Self::Unspecified) => true,
            (Self::Bool(_) | Self::Absent(_), Self::Bool(_) | Self::Absent(_)) => self.as_bool() == other.as_bool(),
            (Self::Integer(left), Self::Integer(right)) => left == right,
            (Self::String(left), Self::String(right)) | (Self::Symbol(left), Self::Symbol(right)) => left == right,
            (Self::List(left), Self::List(right)) => {
                left.items().len() == right.items().len()
                    && left.items().iter().zip(right.items()).all(|(left, right)| left.equal(right))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("#t"),
            Self::Bool(false) | Self::Absent(_) => f.write_str("#f"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::String(text) => write_string(text, f),
            Self::Symbol(name) => f.write_str(name),
            Self::List(list) => {
                f.write_str("(")?;
                for (index, item) in list.items().iter().enumerate() {
                    if index > 0 {
                        f.write_str(" ")?;
                    }
                    item.fmt(f)?;
                }
                f.write_str(")")
            }
            other => write!(f, "<{}>", other.kind()),
        }
    }
}
