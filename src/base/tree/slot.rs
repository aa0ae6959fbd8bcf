//! What a tree holds of a value.

use crate::base::json::MAX_DOCUMENT_BYTES;

/// A value or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Null,
    Bool(bool),
    /// A whole number below [`Slot::WHOLE`].
    Whole(u64),
    /// A place in `numbers`.
    Number(u32),
    /// A part of the text.
    Plain {
        start: u32,
        len: u32,
    },
    /// A part of `decoded`.
    Decoded {
        start: u32,
        len: u32,
    },
    /// How many values it holds, and the slot after the last of them.
    Array {
        count: u32,
        end: u32,
    },
    /// How many members it has, and the slot after the last of them.
    Object {
        count: u32,
        end: u32,
    },
}

impl Slot {
    /// From here on numbers are held elsewhere.
    pub(super) const WHOLE: u64 = 1 << (2 * BITS);
}

/// A [`Slot`] in eight bytes: which of them in the lowest three bits, then its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed(u64);

/// Bits of a place or a count: none is greater than the length of the text.
const BITS: u32 = 27;
const _: () = assert!(MAX_DOCUMENT_BYTES < 1 << BITS);

impl From<Slot> for Packed {
    #[inline]
    fn from(slot: Slot) -> Self {
        let (which, first, second) = match slot {
            Slot::Whole(number) => return Self(7 | number << 3),
            Slot::Null => (0, 0, 0),
            Slot::Bool(flag) => (1, u32::from(flag), 0),
            Slot::Number(at) => (2, at, 0),
            Slot::Plain { start, len } => (3, start, len),
            Slot::Decoded { start, len } => (4, start, len),
            Slot::Array { count, end } => (5, count, end),
            Slot::Object { count, end } => (6, count, end),
        };
        Self(which | u64::from(first) << 3 | u64::from(second) << (3 + BITS))
    }
}

impl Packed {
    #[inline]
    pub(super) fn slot(self) -> Slot {
        let number = |shift: u32| (self.0 >> shift) as u32 & ((1 << BITS) - 1);
        let (first, second) = (number(3), number(3 + BITS));
        match self.0 & 7 {
            0 => Slot::Null,
            1 => Slot::Bool(first != 0),
            2 => Slot::Number(first),
            3 => Slot::Plain { start: first, len: second },
            4 => Slot::Decoded { start: first, len: second },
            5 => Slot::Array { count: first, end: second },
            6 => Slot::Object { count: first, end: second },
            _ => Slot::Whole(self.0 >> 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_out_as_it_went_in() {
        let most = u32::try_from(MAX_DOCUMENT_BYTES).unwrap();
        for (one, two) in [(0, 0), (1, most), (most, 1), (most, most), (12_345, 67_890)] {
            for slot in [
                Slot::Null,
                Slot::Bool(false),
                Slot::Bool(true),
                Slot::Number(one),
                Slot::Whole(u64::from(one)),
                Slot::Whole(Slot::WHOLE - 1 - u64::from(two)),
                Slot::Plain { start: one, len: two },
                Slot::Decoded { start: one, len: two },
                Slot::Array { count: one, end: two },
                Slot::Object { count: one, end: two },
            ] {
                assert_eq!(Packed::from(slot).slot(), slot);
            }
        }
    }
}
