//! Whether a plan still is what it was when its compiled digest was taken.

use super::compiled_digest::compiled_digest;
use super::document::Plan;
use crate::base::digest::Sha256Hex;
use crate::base::error_chain;
use crate::fixture::FixtureSet;
use crate::registry::{Lookup, Registry};
use crate::vocab::{Finding, Severity};

/// The finding `frozen-digest` unless the compiled digest is `frozen`. `registry` is `None` when it cannot be read;
/// `fixtures` is `None` when the plan names none, or names a set that cannot be read.
#[must_use]
pub fn check_frozen(
    plan: &Plan,
    registry: Option<&Registry>,
    fixtures: Option<&FixtureSet>,
    lookup: &Lookup,
    frozen: &Sha256Hex,
) -> Option<Finding> {
    let empty = FixtureSet::empty();
    let fixtures = fixtures.or_else(|| plan.fixtures.is_none().then_some(&empty));
    let found = match (registry, fixtures) {
        (None, _) => Err("its registry cannot be read".to_owned()),
        (_, None) => Err("its fixtures cannot be read".to_owned()),
        (Some(registry), Some(fixtures)) => {
            let found = compiled_digest(plan, registry, fixtures, &plan.base(lookup.root()));
            found.map(|found| found.digest).map_err(|error| error_chain(&error))
        }
    };
    let (message, help) = match found {
        Ok(Some(found)) if found == *frozen => return None,
        Ok(found) => {
            let help = if plan.digest() == *frozen {
                "the digest given is the plan digest, which covers the plan alone; `describe-plan` prints compiled_digest"
            } else {
                "something that decides what a run means has changed: the plan, its probes, its profiles or their files, or \
                 its fixtures; when that was meant, freeze the new digest"
            };
            let found = found.map_or_else(|| "not known".to_owned(), |found| found.to_string());
            (format!("the compiled digest is {found}, frozen is {frozen}"), help)
        }
        Err(error) => {
            let message = format!("the plan has no compiled digest to compare with {frozen}: {error}");
            (message, "the other findings say what is wrong")
        }
    };
    let finding = Finding::new("frozen-digest", Severity::Error, &plan.place().to_string(), message);
    Some(finding.at("").help(help))
}
