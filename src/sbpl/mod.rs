//! SBPL, the profile language: text to tree to rules to decision. Pure; imports no `os`, reads no files.
//!
//! Parts, from text to answer: `source` (texts, parameters, imports), `lex`, `form` (tree, reader, printer), `eval`
//! (helpers and parameters to rules), `compile`, `filter` and `rule` (compiled form), `matching` (three-valued
//! filters), `index` (rules that can match a path), `policy` (deciding rule), `query` (questions as text), `near` (near
//! misses); beside them `pattern` (expressions), `language` (what several expressions match together), `holdings`
//! (extensions and entitlements of a process), `vocabulary` (filter names), `roots` and `reach` (upper bounds for coarse
//! back-stops), `diagnostic` (problems with excerpts), `limits`.
//!
//! Invariants: no input panics or exceeds the bounds of `limits`; what cannot be decided is said to be undecided.
//! `SPEC.md`, section "SBPL", owns the language.

mod access;
mod compile;
mod diagnostic;
mod diff;
mod eval;
mod filter;
mod form;
mod format;
mod holdings;
mod implies;
mod index;
mod language;
mod lex;
mod limits;
mod lint;
mod matching;
mod near;
mod pattern;
mod policy;
mod query;
mod reach;
mod roots;
mod rule;
mod source;
mod vocabulary;

pub use access::{Access, Decide, Endpoint, Fact, ProcessTarget, Target, Transport, Verdict, VnodeType};
pub use diagnostic::{Diagnostic, Diagnostics, render_finding};
pub use diff::{Change, OpenChange, ProfileDiff, diff};
pub use filter::{Filter, NameFilter, NameTest, NetworkFilter, Opaque, Peer, Side, TargetRelation};
pub use form::{Form, FormKind, parse, parse_with_comments};
pub use format::format;
pub use lex::QuoteKind;
pub use limits::MAX_SOURCE_BYTES;
pub use lint::{LintReport, lint, lint_compiled, unknown_operations};
pub use near::NearMiss;
pub use pattern::{Pattern, PatternError};
pub use policy::{Judgement, Matching, Policy};
pub use query::{Answer, Query, QueryError, ShortAnswer};
pub use reach::{Ports, Reach};
pub use roots::{PathRoot, Roots};
pub use rule::{MissingImport, Modifier, Rule};
pub use source::{AbsentParams, ImportResolver, ImportTexts, Imported, NoImports, Params, Source};
pub use vocabulary::{FILTERS, FilterKind, FilterSpec, PathTest, TextTest, primary_attribute};
