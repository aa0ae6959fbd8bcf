//! Arguments that say where registries and roots are, shared by every command that reads plans or registries.

use std::path::{Path, PathBuf};

use super::context::Context;
use crate::registry::Lookup;
use crate::vocab::Finding;

// Where registries and roots are.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LookupArgs {
    /// Root for root-relative paths in documents [default: nearest ancestor with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Registry index to use [default: plans/registry/index.json under the root, else the built-in one]
    #[arg(long, value_name = "FILE")]
    pub registry_index: Option<PathBuf>,
}

impl LookupArgs {
    /// The same with absolute paths; `start` is where the search for the root begins.
    pub(crate) fn resolve(&self, context: &Context, start: &Path) -> Lookup {
        Lookup {
            root: self.root.as_ref().map(|path| context.absolute(path)),
            index: self.registry_index.as_ref().map(|path| context.absolute(path)),
            start: start.to_path_buf(),
            ..Lookup::default()
        }
    }
}

/// Names files the way the user sees them: relative to the working directory where they are beneath it.
pub(crate) fn name_from_working_directory(findings: &mut [Finding], context: &Context) {
    for finding in findings {
        finding.file = shown(&finding.file, context);
    }
}

/// `file` relative to the working directory where it is beneath it.
pub(crate) fn shown(file: &str, context: &Context) -> String {
    Path::new(file).strip_prefix(&context.cwd).map_or_else(|_| file.to_owned(), |path| path.display().to_string())
}
