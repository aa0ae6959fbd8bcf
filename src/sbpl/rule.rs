//! Rules of a compiled profile, in evaluation order.

use super::filter::Filter;
use crate::vocab::{Decision, Operation, RuleRef, Span};

/// One `allow` or `deny` after helpers and parameters are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it decides when it matches.
    pub action: Decision,
    /// The operations it is for, as written; at least one.
    pub operations: Vec<Operation>,
    /// Its condition with surrounding `with-filter` forms included; `None` when the rule is unconditional.
    pub filter: Option<Filter>,
    /// Modifiers in the order written.
    pub modifiers: Vec<Modifier>,
    /// Where the form stands; `source` counts base, overlays, then imports in the order they were read.
    pub span: Span,
    /// The same place for a reader.
    pub reference: RuleRef,
}

impl Rule {
    /// Whether the rule is for `operation` by that name or by a wildcard above it, `default` apart.
    #[must_use]
    pub fn covers(&self, operation: &Operation) -> bool {
        self.operations.iter().any(|own| own.as_str() != DEFAULT && own.covers(operation))
    }

    /// Whether the rule says what happens when nothing else matches.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.operations.iter().any(|own| own.as_str() == DEFAULT)
    }
}

/// The operation that stands for "nothing else matched".
pub(crate) const DEFAULT: &str = "default";

/// `(with name argument…)` on a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modifier {
    /// Modifier name as written.
    pub name: String,
    /// Its arguments as written.
    pub arguments: Vec<String>,
}

/// A place where any rule may stand: an import whose text is not available, or a call of a helper it may define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingImport {
    /// The imported name, or the helper's.
    pub name: String,
    /// What is not available and why, as a lower-case fragment.
    pub reason: String,
    /// Where the form stands.
    pub reference: RuleRef,
    /// Which evaluation of the form this is, as [`super::Opaque::evaluation`].
    pub evaluation: Option<String>,
    /// How many rules stand before it.
    pub position: usize,
}
