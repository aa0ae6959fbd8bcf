//! Relative paths that stay beneath their root: no `..`, no absolute part, no empty component.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A relative path with `/` between one or more plain components; `.` and `..` are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(String);

/// A [`RelPath`] in a text that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelPathRef<'t>(&'t str);

/// Why a text is not a path beneath a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelPathError {
    /// The text has no characters.
    #[error("is empty")]
    Empty,
    /// The text starts with `/`.
    #[error("is absolute")]
    Absolute,
    /// A component is empty, `.` or `..`.
    #[error("holds the component {0:?}")]
    Component(String),
    /// A NUL byte or another control character.
    #[error("holds a control character")]
    Control,
}

impl RelPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components in order; at least one.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl<'t> RelPathRef<'t> {
    /// The path as text.
    #[must_use]
    pub fn as_str(self) -> &'t str {
        self.0
    }

    /// The same path with a text of its own.
    #[must_use]
    pub fn to_owned(self) -> RelPath {
        RelPath(self.0.to_owned())
    }
}

impl<'t> From<&'t RelPath> for RelPathRef<'t> {
    fn from(path: &'t RelPath) -> Self {
        Self(&path.0)
    }
}

impl fmt::Display for RelPathRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'t> TryFrom<&'t str> for RelPathRef<'t> {
    type Error = RelPathError;
    fn try_from(text: &'t str) -> Result<Self, RelPathError> {
        if text.is_empty() {
            return Err(RelPathError::Empty);
        }
        if text.starts_with('/') {
            return Err(RelPathError::Absolute);
        }
        // Names are ASCII nearly always, and a large index has tens of thousands.
        let has_control = if text.is_ascii() {
            // No early end: so the compiler looks at many at once.
            text.bytes().fold(false, |found, b| found | b.is_ascii_control())
        } else {
            text.chars().any(char::is_control)
        };
        if has_control {
            return Err(RelPathError::Control);
        }
        let is_bad = |c: &&[u8]| matches!(*c, b"" | b"." | b"..");
        if let Some(bad) = text.as_bytes().split(|&b| b == b'/').find(is_bad) {
            let bad = String::from_utf8_lossy(bad);
            return Err(RelPathError::Component(bad.into_owned()));
        }
        Ok(Self(text))
    }
}

impl TryFrom<String> for RelPath {
    type Error = RelPathError;
    fn try_from(text: String) -> Result<Self, RelPathError> {
        RelPathRef::try_from(text.as_str())?;
        Ok(Self(text))
    }
}

impl TryFrom<&str> for RelPath {
    type Error = RelPathError;
    fn try_from(text: &str) -> Result<Self, RelPathError> {
        RelPathRef::try_from(text).map(RelPathRef::to_owned)
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_everything_that_could_leave_the_root() {
        for bad in ["", "/a", "a/../b", "..", ".", "a//b", "a/", "a\0", "a\nb", "./a"] {
            assert!(RelPath::try_from(bad).is_err(), "{bad:?}");
        }
        let path = RelPath::try_from("runtime_profiles/a.sb").unwrap();
        assert_eq!(path.components().count(), 2);
        assert_eq!(path.file_name(), "a.sb");
    }
}
