//! The text of a profile as it is applied, and what the SBPL compiler says about it.

use super::document::DocumentError;
use super::entry::{Profile, ProfileMode};
use super::place::Place;
use super::read::Registry;
use crate::base::digest::Sha256Hex;
use crate::base::position::escape;
use crate::os::fs::FsError;
use crate::sbpl::{Diagnostic, Diagnostics, MAX_SOURCE_BYTES, NoImports, Params, Policy, Source};
use crate::vocab::{Decision, Finding, Severity};

/// A profile's compiled policy, where there is one, and the findings about its text.
#[derive(Debug, Default)]
pub(super) struct CompiledText {
    pub policy: Option<Policy>,
    pub findings: Vec<Finding>,
}

/// Compiles the file at `place` with the profile's appended rules. Blobs are not looked into. Without `params`, which a plan
/// gives, those that runs may give hold values that stand for later ones.
pub(super) fn compile_text(
    registry: &Registry,
    profile: &Profile,
    place: &Place,
    params: Option<&Params>,
) -> CompiledText {
    if profile.mode == ProfileMode::Blob {
        return CompiledText::default();
    }
    let file = place.to_string();
    let refused = |finding| CompiledText { policy: None, findings: vec![finding] };
    let text = match read_profile_text(place) {
        Ok((text, _)) => text,
        Err(TextError::NotText { offset, .. }) => {
            let message = format!("profile {:?}: the text is not UTF-8 at byte {offset}", profile.profile_id);
            return refused(Finding::new("profile-not-text", Severity::Error, &file, message));
        }
        Err(TextError::Read { place, source }) => return refused(DocumentError::Read { place, source }.finding()),
    };
    let sources = applied_sources(&file, text, &profile.key_specific_rules);
    let params = params.cloned().unwrap_or_else(|| {
        let all: String = sources.iter().map(|source| source.text.as_str()).collect();
        possible_parameters(&all)
    });
    let (policy, diagnostics) = match Policy::compile(&sources, &params, &NoImports) {
        Ok(policy) => {
            let warnings = policy.warnings().clone();
            (Some(policy), warnings)
        }
        Err(diagnostics) => (None, diagnostics),
    };
    CompiledText { policy, findings: findings(registry, profile, &file, &diagnostics) }
}

/// The fixture directory, and a port for each text in `profile` that could name one.
fn possible_parameters(profile: &str) -> Params {
    let port = |text: &&str| {
        let name = text.strip_prefix("PORT_").unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let ports = profile.split('"').filter(port).map(|name| (name.to_owned(), "1".to_owned()));
    ports.chain([("FIXTURES".to_owned(), "/fixtures".to_owned())]).collect()
}

/// Why there is no profile text.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The file cannot be read, or is larger than a profile may be.
    #[error("cannot read {place}")]
    Read {
        /// The file.
        place: Place,
        /// The cause.
        source: FsError,
    },
    /// The text is not UTF-8.
    #[error("{place} is not UTF-8 (byte {offset})")]
    NotText {
        /// The file.
        place: Place,
        /// First bad byte, from 0.
        offset: usize,
    },
}

/// Reads a profile's text; returns it with the digest of its bytes.
///
/// # Errors
/// See [`TextError`].
pub fn read_profile_text(place: &Place) -> Result<(String, Sha256Hex), TextError> {
    let bytes =
        place.read(MAX_SOURCE_BYTES as u64).map_err(|source| TextError::Read { place: place.clone(), source })?;
    let digest = Sha256Hex::of(&bytes);
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, digest)),
        Err(error) => Err(TextError::NotText { place: place.clone(), offset: error.utf8_error().valid_up_to() }),
    }
}

/// What is applied under a profile, in order: its text as `name`, then the registry's appended rules when there are any.
#[must_use]
pub fn applied_sources(name: &str, text: String, key_specific_rules: &[String]) -> Vec<Source> {
    let mut sources = vec![Source::new(name, text)];
    if !key_specific_rules.is_empty() {
        sources.push(Source::new("key_specific_rules", key_specific_rules.join("\n") + "\n"));
    }
    sources
}

fn findings(registry: &Registry, profile: &Profile, file: &str, diagnostics: &Diagnostics) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        diagnostics.items().iter().map(|diagnostic| finding(registry, profile, file, diagnostic)).collect();
    if diagnostics.dropped() > 0 {
        let message = format!("profile {:?} has {} more problems", profile.profile_id, diagnostics.dropped());
        let severity = if diagnostics.has_errors() { Severity::Error } else { Severity::Warning };
        findings.push(Finding::new("sbpl-more", severity, file, message));
    }
    findings
}

fn finding(registry: &Registry, profile: &Profile, file: &str, diagnostic: &Diagnostic) -> Finding {
    let id = format!("sbpl-{}", diagnostic.id);
    let message = format!("profile {:?}: {}", profile.profile_id, diagnostic.message);
    let mut finding = if diagnostic.source == file {
        let span = diagnostic.span;
        Finding::new(&id, diagnostic.severity, file, message).at_position(span.line as usize, span.column as usize)
    } else {
        // Appended rules have no file of their own: they stand in the registry.
        let registry_file = registry.documents[1].place.to_string();
        let pointer = format!("/profiles/{}/key_specific_rules", escape(&profile.profile_id));
        Finding::new(&id, diagnostic.severity, &registry_file, message).at(pointer)
    };
    finding.help.clone_from(&diagnostic.help);
    finding
}

/// Whether a policy refuses what no rule matches and says so itself: a profile whose default may stand in an import that
/// is not available here is not counted.
#[must_use]
pub fn is_deny_default(policy: &Policy) -> bool {
    let (decision, rule) = policy.default();
    decision == Decision::Deny && (rule.is_some() || policy.missing_imports().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denies(text: &str) -> bool {
        let policy = Policy::compile(&[Source::new("a.sb", text)], &Params::new(), &NoImports).unwrap();
        is_deny_default(&policy)
    }

    #[test]
    fn the_policy_decides_what_its_default_is() {
        for (text, expected) in [
            ("(version 1)\n(deny default)", true),
            ("(version 1) ( deny\n  default )", true),
            ("(version 1)(allow default)", false),
            ("(version 1)(allow default) (deny file-read*)", false),
            ("(version 1)(allow default)\n(deny default)", true),
            ("(version 1); (deny default)\n(allow default)", false),
            ("(version 1)(define x \"(deny default)\")(allow default)", false),
            ("(version 1)", true),
            ("(version 1)(import \"system.sb\")", false),
            ("(version 1)(import \"system.sb\")(deny default)", true),
        ] {
            assert_eq!(denies(text), expected, "{text}");
        }
    }
}
