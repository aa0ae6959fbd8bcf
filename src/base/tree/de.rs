//! A value as a type.

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;

use super::Node;

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(text) = self.as_str() {
            visitor.visit_borrowed_str(text)
        } else if let Some(flag) = self.as_bool() {
            visitor.visit_bool(flag)
        } else if let Some(number) = self.as_number() {
            number.deserialize_any(visitor)
        } else if let Some(items) = self.as_array() {
            SeqDeserializer::new(items).deserialize_any(visitor)
        } else if let Some(members) = self.as_object() {
            MapDeserializer::new(members).deserialize_any(visitor)
        } else {
            visitor.visit_unit()
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// Only variants without content are written in documents: as their names.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.as_str() {
            Some(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            None => Err(Error::invalid_type(Unexpected::Other("not a string"), &"the name of a variant")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use crate::base::tree::Tree;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        First,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(String);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Thing {
        word: Word,
        wrapped: Wrapped,
        list: Vec<i64>,
        none: Option<String>,
        some: Option<bool>,
        #[serde(default)]
        absent: Option<f64>,
    }

    fn read(text: &str) -> Result<Thing, String> {
        let tree = Tree::parse(text.as_bytes().to_vec()).unwrap();
        Thing::deserialize(tree.root()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_becomes_a_type() {
        let text = r#"{"word": "first", "wrapped": "a\nb", "list": [1, -2], "none": null, "some": true, "more": {}}"#;
        let wrapped = Wrapped("a\nb".to_owned());
        let thing = Thing { word: Word::First, wrapped, list: vec![1, -2], none: None, some: Some(true), absent: None };
        assert_eq!(read(text), Ok(thing));
        assert!(read(&text.replace("first", "third")).unwrap_err().contains("unknown variant `third`"));
        assert!(read(&text.replace("\"first\"", "1")).unwrap_err().contains("expected the name of a variant"));
        assert!(read(&text.replace("-2", "\"x\"")).unwrap_err().contains("invalid type: string \"x\", expected i64"));
        assert!(read(&text.replace("list", "lost")).unwrap_err().contains("missing field `list`"));
    }
}
