//! The three lanes of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a row comes from. A lane's claim never becomes another lane's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// The operation was performed under the policy.
    Scenario,
    /// The same operation by the same worker without a policy.
    Baseline,
    /// Asked, not observed.
    Oracle,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scenario => "scenario",
            Self::Baseline => "baseline",
            Self::Oracle => "oracle",
        })
    }
}
