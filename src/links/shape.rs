//! What a document of runtime links holds, as tables: the reader checks with them, and the schema is made from them.
//!
//! Source: documents of the earlier tool, which writes every field that is required here.

use crate::base::position::escape;
use crate::registry::View;
use crate::registry::check::{self, Field, Kind, Sink, optional, required};
use crate::vocab::Severity;

/// The fields of an object, and what those hold that are objects or arrays themselves.
#[derive(Debug)]
pub struct Shape {
    /// Its fields. Other keys mean nothing: the format may grow.
    pub fields: &'static [Field],
    /// The fields of which more is known than their kind.
    pub inner: &'static [(&'static str, Inner)],
}

/// What is in a field.
#[derive(Debug, Clone, Copy)]
pub enum Inner {
    /// An object of this shape.
    Object(&'static Shape),
    /// Objects of this shape under keys of any name.
    Objects(&'static Shape),
    /// Values of this kind under keys of any name.
    Values(Kind),
}

/// The parts of the document; each may be null or absent, and then is empty.
pub const DOCUMENT: Shape = Shape {
    fields: &[
        optional("meta", Kind::OptionalObject),
        optional("links", Kind::OptionalObject),
        optional("packets", Kind::OptionalObject),
        optional("profiles", Kind::OptionalObject),
        optional("expectations", Kind::OptionalObject),
    ],
    inner: &[
        ("meta", Inner::Object(&META)),
        ("links", Inner::Object(&LINKS)),
        ("packets", Inner::Objects(&PACKET)),
        ("profiles", Inner::Objects(&PROFILE)),
        ("expectations", Inner::Objects(&EXPECTATION)),
    ],
};

/// What the mapping says of itself. Its tag, `schema_version`, is looked at before.
const META: Shape = Shape {
    fields: &[
        required("world_id", Kind::Text),
        required("schema_version", Kind::Text),
        required("runtime_log_schema", Kind::OptionalText),
        required("status", Kind::Word("unknown-word", &["ok", "partial", "brittle", "blocked"])),
        required("tier", Kind::Word("unknown-word", &["mapped"])),
        required("source_jobs", Kind::TextList),
        required("notes", Kind::OptionalText),
        required("inputs", Kind::TextList),
        required("input_hashes", Kind::Object),
    ],
    inner: &[("input_hashes", Inner::Values(Kind::Sha256))],
};

/// The mappings that the ids refer to, by path.
const LINKS: Shape = Shape {
    fields: &[
        required("ops_vocab", Kind::Text),
        required("ops_coverage", Kind::Text),
        required("tag_layouts", Kind::Text),
        required("system_profile_digests", Kind::Text),
        required("runtime_signatures", Kind::Text),
        required("op_runtime_summary", Kind::Text),
        required("runtime_callout_oracle", Kind::Text),
    ],
    inner: &[],
};

/// The run behind a promotion packet; the key is the packet's path.
const PACKET: Shape = Shape {
    fields: &[
        required("run_id", Kind::OptionalText),
        required("run_manifest", Kind::Text),
        required("expected_matrix", Kind::Text),
        required("runtime_events", Kind::Text),
        required("runtime_results", Kind::Text),
        required("baseline_results", Kind::OptionalText),
        required("oracle_results", Kind::OptionalText),
        required("output_root", Kind::OptionalText),
        required("sb_build_dir", Kind::OptionalText),
        required("runtime_profiles_dir", Kind::OptionalText),
    ],
    inner: &[],
};

/// What is known of a profile; the key is its id.
const PROFILE: Shape = Shape {
    fields: &[
        required("profile_id", Kind::Text),
        required("profile_path", Kind::Text),
        required("profile_mode", Kind::OptionalText),
        required("family", Kind::OptionalText),
        required("semantic_group", Kind::OptionalText),
        required("expected_ops", Kind::TextList),
        required("observed_ops", Kind::TextList),
        required("expectation_ids", Kind::TextList),
        required("scenario_ids", Kind::TextList),
        required("observed_expectation_ids", Kind::TextList),
        required("observation_counts", Kind::Object),
        required("source_packets", Kind::TextList),
        required("expected_matrix_sources", Kind::TextList),
        optional("compiled_blob", Kind::Object),
        optional("runtime_profile", Kind::Object),
        required("profile_source", Kind::Object),
        optional("system_profile_digest_id", Kind::Text),
        optional("system_profile_digest", Kind::Object),
        required("op_ids", Kind::Object),
    ],
    inner: &[
        ("observation_counts", Inner::Object(&COUNTS)),
        ("compiled_blob", Inner::Object(&FILE)),
        ("runtime_profile", Inner::Object(&FILE)),
        ("profile_source", Inner::Object(&FILE)),
        ("op_ids", Inner::Values(Kind::OptionalInteger)),
    ],
};

/// How often a profile was observed, and how often something before the probe kept it from that.
const COUNTS: Shape = Shape {
    fields: &[
        required("total", Kind::Count),
        required("blocked", Kind::Count),
        required("blocked_by_stage", Kind::Object),
    ],
    inner: &[("blocked_by_stage", Inner::Values(Kind::Count))],
};

/// A file as it was found; digest and size of one that was there.
const FILE: Shape = Shape {
    fields: &[
        required("path", Kind::Text),
        optional("exists", Kind::Flag),
        optional("sha256", Kind::Sha256),
        optional("size", Kind::Count),
    ],
    inner: &[],
};

/// What was expected of one operation; the key is the expectation's id.
const EXPECTATION: Shape = Shape {
    fields: &[
        optional("expectation_id", Kind::Text),
        required("profile_id", Kind::Text),
        required("operation", Kind::Text),
        required("op_id", Kind::OptionalInteger),
        optional("expected", Kind::OptionalText),
        optional("target", Kind::OptionalText),
        optional("driver", Kind::OptionalText),
        optional("source_packet", Kind::Text),
        optional("expected_matrix", Kind::Text),
    ],
    inner: &[],
};

/// Checks `value` against `shape`; `what` names the object in messages.
pub(super) fn check(value: View<'_>, shape: &Shape, what: &str, pointer: &str, sink: &mut Sink<'_>) {
    check_fields(value.clone(), shape, what, pointer, sink);
    let View::Object(members) = value else { return };
    for (key, value) in members {
        let inner = shape.inner.iter().find(|(name, _)| *name == key);
        // Another value than an object is a finding already.
        let (Some((_, inner)), View::Object(entries)) = (inner, value.clone()) else { continue };
        let at = format!("{pointer}/{key}");
        let called = if pointer.is_empty() { key.to_owned() } else { format!("{key} of {what}") };
        let below = |id: &str| format!("{at}/{}", escape(id));
        match inner {
            Inner::Object(shape) => check(value, shape, &called, &at, sink),
            Inner::Objects(shape) => {
                entries.for_each(|(id, entry)| check(entry, shape, &format!("the entry of {id:?}"), &below(id), sink))
            }
            Inner::Values(kind) => entries
                .for_each(|(id, entry)| check::value(entry, (&format!("{id:?}"), *kind), &called, &below(id), sink)),
        }
    }
}

/// Checks the fields of one object; keys that the shape does not have are nobody's fault.
fn check_fields(value: View<'_>, shape: &Shape, what: &str, pointer: &str, sink: &mut Sink<'_>) {
    let mut own = Sink::new(sink.file());
    check::object(value, shape.fields, Severity::Note, what, pointer, &mut own);
    let findings = own.into_findings();
    sink.extend(findings.iter().filter(|finding| finding.severity != Severity::Note));
}
