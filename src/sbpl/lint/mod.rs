//! What is suspicious in a profile that compiles. Ids and their paragraphs stand in `docs/lints.md`.
//!
//! A lint looks at a profile without its caller: parameters that are not given are unknown, imports that are not
//! available leave their place open, and nothing is reported that depends on either.

mod order;
mod rule;
mod silence;
mod text;

use super::compile;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::policy::Policy;
use super::source::{AbsentParams, ImportResolver, Params, Source};
use crate::vocab::{Finding, Platform, Severity, Span};

/// What a lint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintReport {
    /// The findings, by place.
    pub findings: Vec<Finding>,
    /// Whether the profile could be read and evaluated, and every lint was asked of all of it. What was left out because
    /// of its length is named by a finding of its own.
    pub complete: bool,
}

/// Problems of the compiler that are an answer about the profile, not a failure to read it.
const ANSWERS: [&str; 2] = ["missing-version", "modifier-on-deny"];

/// Lints about macOS alone: what they say does not hold on Linux.
const MACOS_ONLY: [&str; 2] = ["link-in-path", "data-volume-path"];

/// Looks at a profile for `system` with its appended texts.
#[must_use]
pub fn lint(sources: &[Source], params: &Params, imports: &dyn ImportResolver, system: Platform) -> LintReport {
    let compiled = compile::compile(sources, params, AbsentParams::Unknown, imports);
    lint_compiled(sources, compiled.as_ref(), system)
}

/// Like [`lint`] for a profile that was compiled already, or could not be.
#[must_use]
pub fn lint_compiled(sources: &[Source], compiled: Result<&Policy, &Diagnostics>, system: Platform) -> LintReport {
    let mut findings: Vec<Finding> = sources.iter().flat_map(text::findings).collect();
    let complete = match compiled {
        Ok(policy) => {
            findings.extend(of_diagnostics(policy.warnings()));
            findings.extend(rule::findings(policy));
            let order = order::findings(policy);
            findings.extend(order.findings);
            order.complete
        }
        Err(diagnostics) => {
            findings.extend(of_diagnostics(diagnostics));
            diagnostics.dropped() == 0
                && diagnostics
                    .items()
                    .iter()
                    .all(|item| item.severity == Severity::Warning || ANSWERS.contains(&item.id))
        }
    };
    findings.retain(|finding| system == Platform::MacOs || !MACOS_ONLY.contains(&finding.id.as_str()));
    let position = |finding: &Finding| {
        let source = sources.iter().position(|source| source.name == finding.file);
        (source.unwrap_or(usize::MAX), finding.line, finding.column)
    };
    findings.sort_by_key(position);
    findings.dedup();
    LintReport { findings, complete }
}

/// The findings about operations that no system and no profile is known to have: a rule about a misspelt one never applies.
#[must_use]
pub fn unknown_operations(policy: &Policy) -> Vec<Finding> {
    let (mut found, mut findings) = (Vec::new(), Vec::new());
    policy.rules().iter().for_each(|rule| rule::unknown_operation(rule, &mut found));
    for finding in found {
        // One form may make several rules.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

fn of_diagnostics(diagnostics: &Diagnostics) -> impl Iterator<Item = Finding> + '_ {
    diagnostics.items().iter().map(of_diagnostic)
}

fn of_diagnostic(item: &Diagnostic) -> Finding {
    let finding = at(item.id, item.severity, &item.source, item.span, item.message.clone());
    match &item.help {
        Some(help) => finding.help(help.clone()),
        None => finding,
    }
}

fn at(id: &str, severity: Severity, file: &str, span: Span, message: impl Into<String>) -> Finding {
    Finding::new(id, severity, file, message)
        .at_position(span.line as usize, span.column as usize)
        .at_bytes(span.start as usize..span.end as usize)
}

/// A warning about one rule.
fn about(id: &str, rule: &super::rule::Rule, message: impl Into<String>) -> Finding {
    at(id, Severity::Warning, &rule.reference.file, rule.span, message)
}

/// Whether everything that matches nothing is refused: the profiles in which an allow widens.
fn refuses_by_default(policy: &Policy) -> bool {
    policy.default().0 == crate::vocab::Decision::Deny
}
