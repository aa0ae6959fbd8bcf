//! Listing plans: every `plan.json` beneath a directory, or the shipped ones.

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::document::load_plan;
use crate::os::input;
use crate::registry::{Base, Place, embedded, root_of};

/// What a listing says about one plan file. Serialises to the formats' entry: with the error in place of the content
/// when the file is not an acceptable plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PlanEntry {
    /// A readable plan.
    Plan {
        /// The plan's id.
        plan_id: String,
        /// Its registry's id.
        registry_id: String,
        /// How many profiles it names.
        profiles: usize,
        /// The file, relative to the root.
        path: String,
    },
    /// A file that is not an acceptable plan.
    Broken {
        /// The file, relative to the root.
        path: String,
        /// Why.
        error: String,
    },
}

impl PlanEntry {
    fn of(place: &Place, root: Option<&Path>) -> Self {
        let path = Base::of(place, root).relative(place);
        match load_plan(place) {
            Ok(plan) => {
                let profiles = plan.profiles.len();
                Self::Plan { plan_id: plan.plan_id, registry_id: plan.registry_id, profiles, path }
            }
            Err(error) => Self::Broken { path, error: with_causes(&error) },
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The plans beneath `directory`, sorted by path; links are not followed. A directory that cannot be read is an entry
/// with its error. Paths are shown relative to `root`, else to the root that `directory` belongs to.
#[must_use]
pub fn list_plans(directory: &Path, root: Option<&Path>) -> Vec<PlanEntry> {
    let found = input::find_named(directory, "plan.json");
    let root = root.map_or_else(|| root_of(directory), Path::to_path_buf);
    found
        .into_par_iter()
        .map(|found| match found {
            Ok(path) => PlanEntry::of(&Place::Disk(path), Some(&root)),
            Err((path, error)) => PlanEntry::Broken { path: path.display().to_string(), error: error.to_string() },
        })
        .collect()
}

/// The plans inside the binary.
#[must_use]
pub fn list_shipped_plans() -> Vec<PlanEntry> {
    let places = embedded::FILES.iter().filter(|(path, _)| path.ends_with("/plan.json"));
    places.map(|(path, _)| PlanEntry::of(&Place::Embedded((*path).to_owned()), None)).collect()
}
