//! What a compilation starts from: texts, parameters and the way to find imported texts. Values only; the caller reads
//! files.

use std::collections::BTreeMap;

/// One profile text with the name a reader knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// File name as given by the caller; used in messages and rule references only.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// A text with its name.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// Values of `(param "KEY")`, as given with `-D KEY=value`.
pub type Params = BTreeMap<String, String>;

/// What became of one `(import "name")`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// The text was found.
    Found(Source),
    /// The text cannot be had here; its rules are unknown and decisions that could depend on them are undecided.
    NotAvailable {
        /// Why, as a lower-case fragment.
        reason: String,
    },
}

/// Finds imported profiles. Pure compilation asks; the caller decides where texts come from.
pub trait ImportResolver {
    /// Looks up `name`, written in the source called `importer`.
    fn resolve(&self, name: &str, importer: &str) -> Imported;
}

/// The resolver without any search path: every import is not available.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoImports;

impl ImportResolver for NoImports {
    fn resolve(&self, _name: &str, _importer: &str) -> Imported {
        Imported::NotAvailable { reason: "no import search path was given".to_owned() }
    }
}

/// A resolver over texts already in memory, by imported name.
#[derive(Debug, Clone, Default)]
pub struct ImportTexts(pub BTreeMap<String, Source>);

impl ImportResolver for ImportTexts {
    fn resolve(&self, name: &str, _importer: &str) -> Imported {
        match self.0.get(name) {
            Some(source) => Imported::Found(source.clone()),
            None => Imported::NotAvailable { reason: "not in the import search path".to_owned() },
        }
    }
}

/// What `(param "KEY")` is when no value is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AbsentParams {
    /// `#f`, as the system does.
    #[default]
    False,
    /// Unknown: what depends on it is undecided. For looking at a profile without its caller.
    Unknown,
}
