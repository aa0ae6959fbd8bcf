//! The text of a profile as it is applied, and what the SBPL compiler says about it.

use std::collections::BTreeSet;

use super::document::DocumentError;
use super::entry::{Profile, ProfileMode};
use super::place::Place;
use super::read::Registry;
use crate::base::digest::Sha256Hex;
use crate::base::position::escape;
use crate::os::fs::FsError;
use crate::sbpl::{self, MAX_SOURCE_BYTES, NoImports, Params, Policy, Source};
use crate::vocab::{Decision, Finding, Platform, Severity, world_platform};

/// A profile's compiled policy, where there is one, and the findings about its text.
#[derive(Debug)]
pub(super) struct CompiledText {
    pub policy: Option<Policy>,
    pub findings: Vec<Finding>,
    /// Whether every lint was asked of all of the text.
    pub complete: bool,
}

impl CompiledText {
    /// There is no text to compile; `findings` say why, or it is a blob.
    pub(super) fn none(findings: Vec<Finding>) -> Self {
        Self { policy: None, findings, complete: true }
    }
}

/// Compiles and lints the file at `place` with the profile's appended rules. Blobs are not looked into. Without `params`,
/// which a plan gives, those that runs may give hold values that stand for later ones.
pub(super) fn compile_text(
    registry: &Registry,
    profile: &Profile,
    place: &Place,
    params: Option<&Params>,
) -> CompiledText {
    if profile.mode == ProfileMode::Blob {
        return CompiledText::none(Vec::new());
    }
    let subject = format!("profile {:?}", profile.profile_id);
    let rules = &profile.key_specific_rules;
    let mut compiled = compile_file(place, &subject, rules, params, world_platform(&registry.world_id));
    // Appended rules have no file of their own: they stand in the registry.
    for finding in compiled.findings.iter_mut().filter(|finding| finding.file == APPENDED) {
        finding.file = registry.documents[1].place.to_string();
        let number = finding.line.take().map_or(0, |line| rule_of_line(rules, line));
        finding.pointer = Some(format!("/profiles/{}/key_specific_rules/{number}", escape(&profile.profile_id)));
        finding.column = None;
    }
    compiled
}

/// Compiles and lints the SBPL text at `place`, which messages call `subject`, with `appended` rules after it.
pub(super) fn compile_file(
    place: &Place,
    subject: &str,
    appended: &[String],
    params: Option<&Params>,
    platform: Option<Platform>,
) -> CompiledText {
    let file = place.to_string();
    let text = match read_profile_text(place) {
        Ok((text, _)) => text,
        Err(TextError::NotText { offset, .. }) => {
            let message = format!("{subject}: the text is not UTF-8 at byte {offset}");
            return CompiledText::none(vec![Finding::new("profile-not-text", Severity::Error, &file, message)]);
        }
        Err(TextError::Read { place, source }) => {
            return CompiledText::none(vec![DocumentError::Read { place, source }.finding()]);
        }
    };
    let sources = applied_sources(&file, text, appended);
    let params = params.cloned().unwrap_or_else(|| {
        let all: String = sources.iter().map(|source| source.text.as_str()).collect();
        possible_parameters(&all)
    });
    let compiled = Policy::compile(&sources, &params, &NoImports);
    let report = sbpl::lint_compiled(&sources, compiled.as_ref(), platform.unwrap_or(Platform::MacOs));
    let mut findings = report.findings;
    let short = file.rsplit('/').next().unwrap_or(&file);
    for finding in &mut findings {
        finding.id = format!("sbpl-{}", finding.id);
        // Other rules are named by file and line; the whole path stands with the finding.
        finding.message = format!("{subject}: {}", finding.message.replace(&file, short));
    }
    let (diagnostics, severity) = match &compiled {
        Ok(policy) => (policy.warnings(), Severity::Warning),
        Err(diagnostics) => (diagnostics, Severity::Error),
    };
    if diagnostics.dropped() > 0 {
        let message = format!("{subject} has {} more problems", diagnostics.dropped());
        findings.push(Finding::new("sbpl-more", severity, &file, message));
    }
    // What does not compile has an error of its own, which is an answer.
    let complete = report.complete || compiled.is_err();
    CompiledText { policy: compiled.ok(), findings, complete }
}

/// The number of the appended rule that holds line `line` (from 1) of their joined text.
fn rule_of_line(rules: &[String], line: usize) -> usize {
    let mut last = 0;
    for (number, rule) in rules.iter().enumerate() {
        last += rule.matches('\n').count() + 1;
        if line <= last {
            return number;
        }
    }
    rules.len().saturating_sub(1)
}

/// The fixture directory, and a port for each text in `profile` that could name one; no two have one value.
fn possible_parameters(profile: &str) -> Params {
    let port = |text: &&str| {
        let name = text.strip_prefix("PORT_").unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let names: BTreeSet<&str> = profile.split('"').filter(port).collect();
    let ports = names.into_iter().zip(1_u16..).map(|(name, number)| (name.to_owned(), number.to_string()));
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

/// The name of the source that holds a registry's appended rules.
const APPENDED: &str = "key_specific_rules";

/// What is applied under a profile, in order: its text as `name`, then the registry's appended rules when there are any.
#[must_use]
pub fn applied_sources(name: &str, text: String, key_specific_rules: &[String]) -> Vec<Source> {
    let mut sources = vec![Source::new(name, text)];
    if !key_specific_rules.is_empty() {
        sources.push(Source::new(APPENDED, key_specific_rules.join("\n") + "\n"));
    }
    sources
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
