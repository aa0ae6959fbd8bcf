//! Options that say where registries are looked up; shared by the commands that read plans and registries.

use std::path::PathBuf;

use crate::registry::Lookup;

use super::context::Context;

/// Where paths and registries are looked up.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LookupArgs {
    /// Root of paths stored in documents [default: nearest ancestor of the document with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Registry index [default: plans/registry/index.json under the root, else the shipped one]
    #[arg(long, value_name = "FILE")]
    registry_index: Option<PathBuf>,
}

impl LookupArgs {
    /// The look-up these options describe, starting from the working directory.
    pub(crate) fn lookup(&self, context: &Context) -> Lookup {
        Lookup {
            root: self.root.as_ref().map(|root| context.absolute(root)),
            index: self.registry_index.as_ref().map(|index| context.absolute(index)),
            start: context.cwd.clone(),
        }
    }
}
