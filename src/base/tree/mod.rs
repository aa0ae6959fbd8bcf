//! A JSON document as one flat list of its values, whose strings stay in the text: what large documents are held in.
//!
//! A document of ten thousand entries has some hundred thousand strings. Here a value takes eight bytes, and nothing is
//! allocated for it. Parts: `build` (strict reading, the only reader of JSON there is), `quick` (the same for what it reads
//! without a look at anything unusual), `slot`, [`Node`] (one value), `de` (a value as a type).

mod build;
mod de;
mod quick;
mod slot;

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::{Map, Number, Value};

use super::json::JsonError;
use slot::{Packed, Slot};

/// A parsed document with its text.
#[derive(Debug, Clone)]
pub struct Tree {
    text: Arc<String>,
    /// The strings that are written with escapes, one after the other as they read.
    decoded: String,
    /// Those that are not small and whole.
    numbers: Vec<Number>,
    /// Every value before those it holds; in an object each key stands before its value.
    slots: Vec<Packed>,
}

impl Tree {
    /// Parses one document of at most [`super::json::MAX_DOCUMENT_BYTES`], keeping key order and refusing duplicate keys.
    ///
    /// # Errors
    /// See [`JsonError`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, JsonError> {
        let text = String::from_utf8(bytes).map_err(|error| JsonError::from_utf8(&error))?;
        build::parse(Arc::new(text))
    }

    /// As [`Tree::parse`], of a text that others read as well.
    ///
    /// # Errors
    /// See [`JsonError`].
    pub fn parse_shared(text: Arc<String>) -> Result<Self, JsonError> {
        build::parse(text)
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The document as a whole.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node { tree: self, at: 0 }
    }

    /// The value that stands at `place` of this document.
    #[must_use]
    pub fn at(&self, place: Place) -> Node<'_> {
        Node { tree: self, at: place.0 }
    }
}

/// Where a value stands in its [`Tree`]: what can be kept beside the tree.
#[derive(Debug, Clone, Copy)]
pub struct Place(u32);

/// One value of a [`Tree`].
#[derive(Debug, Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree,
    at: u32,
}

impl<'t> Node<'t> {
    #[inline]
    fn slot(self) -> Slot {
        self.tree.slots[self.at as usize].slot()
    }

    /// Where it stands in its document, for [`Tree::at`].
    #[must_use]
    pub fn place(self) -> Place {
        Place(self.at)
    }

    /// The slot after this value.
    #[inline]
    fn end(self) -> u32 {
        match self.slot() {
            Slot::Array { end, .. } | Slot::Object { end, .. } => end,
            _ => self.at + 1,
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.slot(), Slot::Null)
    }

    /// The boolean it is.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        if let Slot::Bool(flag) = self.slot() { Some(flag) } else { None }
    }

    /// The number it is.
    #[must_use]
    pub fn as_number(self) -> Option<Number> {
        match self.slot() {
            Slot::Whole(number) => Some(number.into()),
            Slot::Number(at) => self.tree.numbers.get(at as usize).cloned(),
            _ => None,
        }
    }

    /// The string it is.
    #[inline]
    #[must_use]
    pub fn as_str(self) -> Option<&'t str> {
        let (whole, start, len) = match self.slot() {
            Slot::Plain { start, len } => (self.tree.text.as_str(), start, len),
            Slot::Decoded { start, len } => (self.tree.decoded.as_str(), start, len),
            _ => return None,
        };
        whole.get(start as usize..(start + len) as usize)
    }

    /// What it holds, when it is an array.
    #[must_use]
    pub fn as_array(self) -> Option<Items<'t>> {
        let Slot::Array { count, .. } = self.slot() else { return None };
        Some(Items { next: Self { at: self.at + 1, ..self }, left: count })
    }

    /// Its members in file order, when it is an object.
    #[must_use]
    pub fn as_object(self) -> Option<Members<'t>> {
        let Slot::Object { count, .. } = self.slot() else { return None };
        Some(Members { next: Self { at: self.at + 1, ..self }, left: count })
    }

    /// The member `key` of an object. Looks at one member after the other.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        self.as_object()?.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The same value on its own.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self.slot() {
            Slot::Null => Value::Null,
            Slot::Bool(flag) => Value::Bool(flag),
            Slot::Whole(_) | Slot::Number(_) => self.as_number().map_or(Value::Null, Value::Number),
            Slot::Plain { .. } | Slot::Decoded { .. } => Value::String(self.as_str().unwrap_or_default().to_owned()),
            Slot::Array { .. } => Value::Array(self.as_array().into_iter().flatten().map(Self::to_value).collect()),
            Slot::Object { count, .. } => {
                let mut map = Map::with_capacity(count as usize);
                for (key, value) in self.as_object().into_iter().flatten() {
                    map.insert(key.to_owned(), value.to_value());
                }
                Value::Object(map)
            }
        }
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.slot() {
            Slot::Null => serializer.serialize_unit(),
            Slot::Bool(flag) => serializer.serialize_bool(flag),
            Slot::Whole(_) | Slot::Number(_) => self.as_number().serialize(serializer),
            Slot::Plain { .. } | Slot::Decoded { .. } => self.as_str().serialize(serializer),
            Slot::Array { count, .. } => {
                let mut list = serializer.serialize_seq(Some(count as usize))?;
                for item in self.as_array().into_iter().flatten() {
                    list.serialize_element(&item)?;
                }
                list.end()
            }
            Slot::Object { count, .. } => {
                let mut map = serializer.serialize_map(Some(count as usize))?;
                for (key, value) in self.as_object().into_iter().flatten() {
                    map.serialize_entry(key, &value)?;
                }
                map.end()
            }
        }
    }
}

/// The values of an array.
#[derive(Debug, Clone)]
pub struct Items<'t> {
    next: Node<'t>,
    left: u32,
}

impl<'t> Iterator for Items<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        self.left = self.left.checked_sub(1)?;
        let item = self.next;
        self.next.at = item.end();
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// The members of an object, in file order.
#[derive(Debug, Clone)]
pub struct Members<'t> {
    next: Node<'t>,
    left: u32,
}

impl<'t> Iterator for Members<'t> {
    type Item = (&'t str, Node<'t>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = self.next;
        let value = Node { at: key.at + 1, ..key };
        self.next.at = value.end();
        Some((key.as_str().unwrap_or_default(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Members<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        Tree::parse(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_value_is_what_the_text_says() {
        let text = r#" {"a": [1, -2, 1.5, {"x": []}, true, null], "q\"é\n": "s\u0041", "é": "", "o": {}} "#;
        let tree = tree(text);
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(tree.root().to_value(), expected);
        assert_eq!(serde_json::to_value(tree.root()).unwrap(), expected);
        assert_eq!(tree.text(), text);
        let root = tree.root();
        assert_eq!(root.get("q\"é\n").and_then(Node::as_str), Some("sA"));
        assert_eq!(root.get("é").and_then(Node::as_str), Some(""));
        assert_eq!(root.as_object().unwrap().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "q\"é\n", "é", "o"]);
        let items: Vec<Node<'_>> = root.get("a").unwrap().as_array().unwrap().collect();
        assert_eq!(items.len(), 6);
        assert_eq!((items[1].as_number().unwrap().as_i64(), items[4].as_bool()), (Some(-2), Some(true)));
        assert!(items[5].is_null() && items[3].get("x").unwrap().as_array().unwrap().next().is_none());
        assert!(root.get("b").is_none() && items[0].get("a").is_none() && items[0].as_str().is_none());
    }
}
