//! Strict reading: refuses what makes two readers disagree, see [`crate::base::json`].

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::{HashSet, HashSetExt as _};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::slot::{Packed, Slot};
use super::{Tree, quick};
use crate::base::json::{JsonError, MAX_DOCUMENT_BYTES};

pub(super) fn parse(text: Arc<String>) -> Result<Tree, JsonError> {
    let size_bytes = text.len() as u64;
    if size_bytes > MAX_DOCUMENT_BYTES {
        return Err(JsonError::TooLarge { size_bytes, limit_bytes: MAX_DOCUMENT_BYTES });
    }
    let mut building = Building::of(&text);
    if quick::read(&mut building).is_none() {
        building = Building::of(&text);
        read(&mut building)?;
    }
    let (decoded, numbers, slots) = building.finish();
    Ok(Tree { text, decoded, numbers, slots })
}

/// Reads any document, or says what is wrong with it.
fn read(building: &mut Building<'_>) -> Result<(), JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(building.text);
    let read = Strict(building).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.map_err(|error| JsonError::from_serde(&error))
}

/// A tree that grows.
pub(super) struct Building<'t> {
    pub(super) text: &'t str,
    decoded: String,
    numbers: Vec<Number>,
    pub(super) slots: Vec<Packed>,
}

/// From this many members on, keys are remembered instead of compared with all before.
pub(super) const MANY: usize = 24;

/// A count or a place, all of which are bounded by the length of the text.
#[inline]
pub(super) fn small(number: usize) -> u32 {
    u32::try_from(number).expect("a document has at most 64 MiB")
}

impl<'t> Building<'t> {
    fn of(text: &'t str) -> Self {
        // Few documents have less than eight bytes of text to a value.
        let slots = Vec::with_capacity(text.len() / 8 + 1);
        Self { text, decoded: String::new(), numbers: Vec::new(), slots }
    }

    fn finish(self) -> (String, Vec<Number>, Vec<Packed>) {
        let Self { decoded, mut numbers, mut slots, .. } = self;
        numbers.shrink_to_fit();
        slots.shrink_to_fit();
        (decoded, numbers, slots)
    }

    #[inline]
    pub(super) fn push(&mut self, slot: Slot) {
        self.slots.push(slot.into());
    }

    #[inline]
    fn slot(&self, at: usize) -> Slot {
        self.slots[at].slot()
    }

    fn push_borrowed(&mut self, text: &'t str) {
        // Where it stands in the text that it was borrowed from.
        let start = small(text.as_ptr() as usize - self.text.as_ptr() as usize);
        self.push(Slot::Plain { start, len: small(text.len()) });
    }

    fn push_decoded(&mut self, text: &str) {
        let start = small(self.decoded.len());
        self.decoded.push_str(text);
        self.push(Slot::Decoded { start, len: small(text.len()) });
    }

    pub(super) fn push_whole(&mut self, number: u64) {
        if number < Slot::WHOLE { self.push(Slot::Whole(number)) } else { self.push_number(number.into()) }
    }

    fn push_number(&mut self, number: Number) {
        self.push(Slot::Number(small(self.numbers.len())));
        self.numbers.push(number);
    }

    /// The key in slot `at`, for longer than this list grows.
    fn key_at(&self, at: usize) -> Cow<'t, str> {
        match self.slot(at) {
            Slot::Plain { start, len } => Cow::Borrowed(&self.text[start as usize..(start + len) as usize]),
            _ => Cow::Owned(self.text_at(at).to_owned()),
        }
    }

    #[inline]
    fn length_at(&self, at: usize) -> u32 {
        if let Slot::Plain { len, .. } | Slot::Decoded { len, .. } = self.slot(at) { len } else { 0 }
    }

    #[inline]
    fn text_at(&self, at: usize) -> &str {
        let (whole, start, len) = match self.slot(at) {
            Slot::Plain { start, len } => (self.text, start, len),
            Slot::Decoded { start, len } => (self.decoded.as_str(), start, len),
            _ => return "",
        };
        &whole[start as usize..(start + len) as usize]
    }

    /// The slots of the keys of the object that begins at `object`, but for the last slot of all.
    #[inline]
    fn keys_before_last(&self, object: usize) -> impl Iterator<Item = usize> {
        let mut at = object + 1;
        std::iter::from_fn(move || {
            let key = at;
            at = match self.slots.get(key + 1)?.slot() {
                Slot::Array { end, .. } | Slot::Object { end, .. } => end as usize,
                _ => key + 2,
            };
            Some(key)
        })
    }

    /// Whether the key pushed last is one of those before it in the object that begins at `object`.
    #[inline]
    pub(super) fn is_repeated(&self, object: usize) -> bool {
        let last = self.slots.len() - 1;
        let (length, key) = (self.length_at(last), self.text_at(last));
        self.keys_before_last(object).any(|before| self.length_at(before) == length && self.text_at(before) == key)
    }
}

/// Adds one value while refusing duplicate keys and numbers that would silently lose their value.
struct Strict<'b, 't>(&'b mut Building<'t>);

impl<'t> DeserializeSeed<'t> for Strict<'_, 't> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Strict<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.push(Slot::Bool(value));
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.push_number(value.into());
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.push_whole(value);
        Ok(())
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        // An integer literal beyond 64 bits arrives here already rounded; 2^53 is the last exactly held integer.
        if value.fract() == 0.0 && value.abs() >= 9_007_199_254_740_992.0 {
            return Err(E::custom("number out of range"));
        }
        self.0.push_number(Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?);
        Ok(())
    }
    fn visit_borrowed_str<E>(self, value: &'t str) -> Result<(), E> {
        self.0.push_borrowed(value);
        Ok(())
    }
    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.push_decoded(value);
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push(Slot::Null);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'t>>(self, mut access: A) -> Result<(), A::Error> {
        let array = self.0.slots.len();
        self.0.push(Slot::Null);
        let mut count = 0;
        while access.next_element_seed(Strict(self.0))?.is_some() {
            count += 1;
        }
        self.0.slots[array] = Slot::Array { count, end: small(self.0.slots.len()) }.into();
        Ok(())
    }
    fn visit_map<A: MapAccess<'t>>(self, mut access: A) -> Result<(), A::Error> {
        let object = self.0.slots.len();
        self.0.push(Slot::Null);
        let mut count = 0;
        let mut seen: HashSet<Cow<'t, str>> = HashSet::new();
        while access.next_key_seed(Strict(self.0))?.is_some() {
            let last = self.0.slots.len() - 1;
            let repeated = if count < MANY {
                self.0.is_repeated(object)
            } else {
                if count == MANY {
                    seen.extend(self.0.keys_before_last(object).map(|key| self.0.key_at(key)));
                }
                !seen.insert(self.0.key_at(last))
            };
            if repeated {
                let key = Value::String(self.0.text_at(last).to_owned());
                return Err(de::Error::custom(format_args!("duplicate key {key}")));
            }
            access.next_value_seed(Strict(self.0))?;
            count += 1;
        }
        self.0.slots[object] = Slot::Object { count: small(count), end: small(self.0.slots.len()) }.into();
        Ok(())
    }
}

/// The value that [`quick`] reads.
#[cfg(test)]
pub(super) fn read_quickly(text: &str) -> Option<Value> {
    let mut building = Building::of(text);
    quick::read(&mut building)?;
    Some(value_of(building))
}

/// The value that is read without [`quick`].
#[cfg(test)]
pub(super) fn read_any(text: &str) -> Option<Value> {
    let mut building = Building::of(text);
    read(&mut building).ok()?;
    Some(value_of(building))
}

#[cfg(test)]
fn value_of(building: Building<'_>) -> Value {
    let text = Arc::new(building.text.to_owned());
    let (decoded, numbers, slots) = building.finish();
    Tree { text, decoded, numbers, slots }.root().to_value()
}
