//! Names that become directory or file names, checked when they are made.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text cannot be used as a single path component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text has no characters.
    #[error("is empty")]
    Empty,
    /// The text is longer than [`MAX_COMPONENT_BYTES`].
    #[error("is {0} bytes long (at most {MAX_COMPONENT_BYTES} are allowed)")]
    TooLong(usize),
    /// `.` or `..`, or a leading dot.
    #[error("starts with a dot")]
    Dot,
    /// A character outside `A-Z a-z 0-9 . _ -`.
    #[error("holds the character {0:?} (allowed: A-Z a-z 0-9 . _ -)")]
    Character(char),
}

/// The longest component we create: NAME_MAX is 255 on ext4, xfs, btrfs and APFS; a margin is kept for temporary suffixes.
pub const MAX_COMPONENT_BYTES: usize = 200;

fn check_component(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_COMPONENT_BYTES {
        return Err(NameError::TooLong(text.len()));
    }
    if text.starts_with('.') {
        return Err(NameError::Dot);
    }
    match text.chars().find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

/// The identity of one run, and the name of its directory: one path component of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// A fresh random id (UUID version 4).
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        check_component(&text)?;
        Ok(Self(text))
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Turns a free-form id (which may hold `/`, `:`, `..`, NUL or any other character) into one path component.
///
/// Safe characters stay, every other byte becomes `%XX`; so different ids never share a name. Names that would be too
/// long, or start with a dot, keep a readable head and end in the id's digest.
#[must_use]
pub fn file_stem(id: &str) -> String {
    let mut stem = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && !stem.is_empty()) {
            stem.push(char::from(byte));
        } else {
            stem.push_str(&format!("%{byte:02X}"));
        }
    }
    if stem.is_empty() || stem.len() > 120 {
        let digest = super::digest::Sha256Hex::of(id.as_bytes());
        stem.truncate(80);
        stem.push('~');
        stem.push_str(&digest.to_string()[..32]);
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_single_components() {
        for good in ["r", "11111111-2222-4333-8444-555555555555", "run_demo.1"] {
            assert_eq!(RunId::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        let long = "x".repeat(201);
        for (bad, why) in [
            ("", NameError::Empty),
            (".", NameError::Dot),
            ("..", NameError::Dot),
            (".hidden", NameError::Dot),
            ("a/b", NameError::Character('/')),
            ("a\0b", NameError::Character('\0')),
            ("a b", NameError::Character(' ')),
            (long.as_str(), NameError::TooLong(201)),
        ] {
            assert_eq!(RunId::try_from(bad.to_owned()).unwrap_err(), why, "{bad:?}");
        }
    }

    #[test]
    fn stems_are_safe_and_distinct() {
        let ids = ["a", "a/b", "a:b", "a_b", "..", ".", "", "a\0b", "a%2Fb", "é"];
        let mut seen = std::collections::BTreeSet::new();
        for id in ids {
            let stem = file_stem(id);
            assert!(
                !stem.contains('/') && !stem.contains('\0') && !stem.starts_with('.') && !stem.is_empty(),
                "{stem}"
            );
            assert!(seen.insert(stem), "{id:?} collides");
        }
        assert!(file_stem(&"x/".repeat(5_000)).len() < 200);
        assert_ne!(file_stem(&"x".repeat(5_000)), file_stem(&"x".repeat(5_001)));
    }
}
