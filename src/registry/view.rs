//! One JSON value, however its document is held: what checks look at.

use serde_json::{Number, Value};

use crate::base::tree::{self, Node};

/// A value of a document.
#[derive(Debug, Clone)]
pub enum View<'v> {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(&'v str),
    /// An array, as its values.
    Array(Items<'v>),
    /// An object, as its members in file order.
    Object(Members<'v>),
}

impl View<'_> {
    /// The value's kind as a reader calls it.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl<'v> From<&'v Value> for View<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::Array(Items::Value(items.iter())),
            Value::Object(map) => Self::Object(Members::Value(map.iter())),
        }
    }
}

impl<'v> From<Node<'v>> for View<'v> {
    fn from(node: Node<'v>) -> Self {
        if let Some(text) = node.as_str() {
            Self::String(text)
        } else if let Some(items) = node.as_array() {
            Self::Array(Items::Node(items))
        } else if let Some(members) = node.as_object() {
            Self::Object(Members::Node(members))
        } else if let Some(flag) = node.as_bool() {
            Self::Bool(flag)
        } else {
            node.as_number().map_or(Self::Null, Self::Number)
        }
    }
}

/// The values of an array.
#[derive(Debug, Clone)]
pub enum Items<'v> {
    /// Of a value on its own.
    Value(std::slice::Iter<'v, Value>),
    /// Of a part of a tree.
    Node(tree::Items<'v>),
}

impl<'v> Iterator for Items<'v> {
    type Item = View<'v>;

    fn next(&mut self) -> Option<View<'v>> {
        match self {
            Self::Value(items) => items.next().map(View::from),
            Self::Node(items) => items.next().map(View::from),
        }
    }
}

/// The members of an object.
#[derive(Debug, Clone)]
pub enum Members<'v> {
    /// Of a value on its own.
    Value(serde_json::map::Iter<'v>),
    /// Of a part of a tree.
    Node(tree::Members<'v>),
}

impl<'v> Iterator for Members<'v> {
    type Item = (&'v str, View<'v>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Value(members) => members.next().map(|(key, value)| (key.as_str(), View::from(value))),
            Self::Node(members) => members.next().map(|(key, value)| (key, View::from(value))),
        }
    }
}
