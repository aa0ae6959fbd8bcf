//! SBPL, the profile language: text to tree to rules to decision. Pure; imports no `os`, reads no files.
//!
//! Parts: [`source`] (texts, parameters, imports), [`pattern`] (expressions), [`vocabulary`] (filter names),
//! [`filter`] and [`rule`] (compiled form), [`matching`] (three-valued filters), [`policy`] (deciding rule), [`roots`]
//! (upper bounds for coarse back-stops), [`diagnostic`] (problems with source excerpts).
//!
//! Invariants: no input panics or exceeds the bounds of [`policy`]; what cannot be decided is said to be undecided.
//! `SPEC.md`, section "SBPL", owns the language.

mod access;
mod diagnostic;
mod filter;
mod matching;
mod pattern;
mod policy;
mod roots;
mod rule;
mod source;
mod vocabulary;

pub use access::{Access, Decide, Endpoint, Fact, ProcessTarget, Target, Transport, Verdict, VnodeType};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use filter::{Filter, NameFilter, NameTest, NetworkFilter, Opaque, Peer, Side, TargetRelation};
pub use pattern::{Pattern, PatternError};
pub use policy::{Judgement, Policy};
pub use roots::{PathRoot, Roots};
pub use rule::{MissingImport, Modifier, Rule};
pub use source::{ImportResolver, ImportTexts, Imported, NoImports, Params, Source};
pub use vocabulary::{FILTERS, FilterKind, FilterSpec, PathTest, TextTest, primary_attribute};
