//! When two undecided conditions are the same: by their texts, or not at all.
//!
//! What is unknown has no value to compare. A text of literals and of names that the profile does not define means the
//! same wherever it stands; any other text may mean something else each time it is evaluated, and in another profile.

use super::Evaluator;
use super::builtin::Builtin;
use super::core::is_constant;
use crate::base::digest::Sha256Hex;
use crate::sbpl::form::{Form, FormKind};
use crate::sbpl::source::AbsentParams;

/// More local scopes than this are not searched for a name; the text then counts as one of its own.
const MAX_SEARCHED: usize = 1_000;

impl Evaluator<'_, '_> {
    /// Which evaluation of a text an unknown value comes from; `None` when the text says all there is to say. Equal for
    /// the same evaluation of the same texts with the same parameters.
    pub(super) fn evaluation(&mut self, form: Option<&Form>) -> Option<String> {
        if form.is_some_and(|form| self.says_all(form)) {
            return None;
        }
        self.evaluations += 1;
        let number = self.evaluations;
        Some(format!("{}:{number}", self.origin()))
    }

    /// Whether a text means the same wherever it stands.
    pub(super) fn says_all(&self, form: &Form) -> bool {
        match &form.kind {
            FormKind::Symbol(name) => {
                let system = matches!(name.as_str(), "and" | "or" | "not" | "if")
                    || Builtin::find(name).is_some()
                    || is_constant(name);
                let shadowed = self.globals.contains_key(name.as_str())
                    || self.scopes.len() > MAX_SEARCHED
                    || self.scopes.iter().any(|scope| scope.names.contains_key(name.as_str()));
                system && !shadowed
            }
            FormKind::List(items) => items.iter().all(|item| self.says_all(item)),
            FormKind::Quoted(..) => false,
            _ => true,
        }
    }

    /// Stands for all texts and parameters.
    fn origin(&mut self) -> &str {
        let (texts, params, absent) = (self.texts, self.params, self.absent);
        self.origin.get_or_insert_with(|| {
            // As forms: layout and comments say nothing.
            let texts: Vec<Vec<String>> =
                texts.iter().map(|forms| forms.iter().map(ToString::to_string).collect()).collect();
            let absent = absent == AbsentParams::Unknown;
            Sha256Hex::of(format!("{texts:?} {params:?} {absent}").as_bytes()).to_string()
        })
    }
}
