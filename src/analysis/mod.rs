//! What follows from the events of a run: summaries by operation, mappings, one event told in full.
//!
//! Layer 5. Reads committed bundles and packets and derives; it observes nothing. Events are read one at a time, so memory is
//! bounded by the groups that they fall into. Contract: `SPEC.md` section "Summaries".

mod event_row;
mod explain;
mod invalid;
mod mapping;
mod normalise;
mod op_summary;
mod pull;
mod skim;
mod source;
mod stored;
mod stream;

pub use event_row::{EventRow, Text};
pub use explain::{Certainty, ExplainError, Explanation, explain_event};
pub use invalid::InvalidBundle;
pub use mapping::{MappingDocument, runtime_mappings};
pub use normalise::{Written, normalise_bundle, normalise_metadata_document};
pub use op_summary::{OpRuntimeSummary, build_op_runtime_summary, write_op_runtime_summary};
pub use pull::ReadError;
pub use source::{SummaryError, SummaryOptions, summarize_ops_from_bundle, summarize_ops_from_packet};
pub use stored::{ExpectedProbes, MetadataHead, Preflights, normalise_metadata, normalise_results};
pub use stream::read_events;
