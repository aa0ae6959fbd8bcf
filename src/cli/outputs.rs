//! What the commands write must not be: the library's check, as wrong usage.

use std::path::Path;

use super::exit::{Exit, Failure};
use crate::bundle::{OutputError, belongs_to_a_bundle, check_outputs};

/// Refuses what `outs` must not be: see [`check_outputs`]. Every path is absolute.
pub(super) fn check<'a>(
    outs: impl IntoIterator<Item = &'a Path>,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Failure> {
    check_outputs(outs, inputs).map_err(refused)
}

/// Refuses to change a file in its place, or to fill a directory, that belongs to a bundle.
pub(super) fn outside_bundles(path: &Path) -> Result<(), Failure> {
    let real = crate::os::fs::resolved(path).unwrap_or_else(|_| path.to_owned());
    let within = real.join("entry");
    if [path, &real, &within].into_iter().any(belongs_to_a_bundle) {
        return Err(refused(OutputError::InBundle { out: path.to_owned() }));
    }
    Ok(())
}

/// A file that must not be written there is wrong usage; where one leads nowhere there is no answer.
pub(super) fn refused(error: OutputError) -> Failure {
    let exit = if matches!(error, OutputError::Unresolved { .. }) { Exit::CannotAnswer } else { Exit::Usage };
    Failure { exit, ..Failure::from(error) }
}
