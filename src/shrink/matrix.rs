//! Many runs: fixtures times options, and one summary of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::claim::claim;
use super::layout;
use super::progress::{Event, Observer};
use super::rule::NetworkRules;
use super::session::{Options, workflow_profile};
use super::{ShrinkError, TargetError};
use crate::base::cancel::Cancel;
use crate::os::fs::read_bounded;

/// Schema tag of the summary.
pub(super) const SCHEMA: &str = "runtime-tools.shrink_matrix.v0.1";

/// What a matrix file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// The programs.
    pub fixtures: Vec<Fixture>,
    /// Values of the import option; both without the key.
    #[serde(default = "both")]
    pub import_dyld_support: Vec<u8>,
    /// Network modes; `parsed` and `drop` without the key.
    #[serde(default = "modes")]
    pub network_rules: Vec<String>,
    /// Streaks; 2 and 3 without the key.
    #[serde(default = "streaks")]
    pub success_streak: Vec<u32>,
}

/// One program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Its name in labels: letters, digits, `-`, `_` and `.`.
    pub label: String,
    /// Program and arguments. A program with a slash that is not absolute is relative to the matrix file.
    pub cmd: Vec<String>,
    /// What a fresh working directory holds; relative to the matrix file.
    #[serde(default)]
    pub workdir: Option<PathBuf>,
    /// A shell command that looks at the result.
    #[serde(default)]
    pub success_cmd: Option<String>,
    /// Network modes in which it is meant to fail.
    #[serde(default)]
    pub fails_with_network_rules: Vec<String>,
}

fn both() -> Vec<u8> {
    vec![1, 0]
}

fn modes() -> Vec<String> {
    vec!["parsed".to_owned(), "drop".to_owned()]
}

fn streaks() -> Vec<u32> {
    vec![2, 3]
}

/// Why a matrix cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The file is not a matrix.
    #[error("{path} is not a matrix")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A value is not one of those that are known.
    #[error("{path}: {what}")]
    Value {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
}

impl Matrix {
    /// Reads a matrix file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a matrix.
    pub fn read(path: &Path) -> Result<Self, ShrinkError> {
        let bytes = read_bounded(path, layout::MAX_BYTES)?;
        let shown = path.display().to_string();
        let matrix: Self =
            serde_json::from_slice(&bytes).map_err(|source| MatrixError::Malformed { path: shown.clone(), source })?;
        match matrix.fault() {
            Some(what) => Err(MatrixError::Value { path: shown, what }.into()),
            None => Ok(matrix),
        }
    }

    fn fault(&self) -> Option<String> {
        for (index, fixture) in self.fixtures.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if fixture.label.is_empty() || !fixture.label.chars().all(plain) || fixture.label.starts_with('.') {
                return Some(format!(
                    "`fixtures[{index}].label`: `{}` is not letters, digits, `-`, `_`, `.`",
                    fixture.label
                ));
            }
            if fixture.cmd.is_empty() {
                return Some(format!("`fixtures[{index}].cmd` is empty"));
            }
            if self.fixtures[..index].iter().any(|other| other.label == fixture.label) {
                return Some(format!("`fixtures[{index}].label`: `{}` is there twice", fixture.label));
            }
            if let Some(mode) = fixture.fails_with_network_rules.iter().find(|mode| network(mode).is_none()) {
                return Some(format!("`fixtures[{index}].fails_with_network_rules`: `{mode}` is no mode"));
            }
        }
        if self.fixtures.is_empty() {
            return Some("`fixtures` is empty".to_owned());
        }
        if let Some(mode) = self.network_rules.iter().find(|mode| network(mode).is_none()) {
            return Some(format!("`network_rules`: `{mode}` is not parsed, drop or coarse"));
        }
        if self.import_dyld_support.iter().any(|value| *value > 1) {
            return Some("`import_dyld_support` takes 0 and 1".to_owned());
        }
        self.success_streak.contains(&0).then(|| "`success_streak` begins at 1".to_owned())
    }
}

fn network(word: &str) -> Option<NetworkRules> {
    match word {
        "parsed" => Some(NetworkRules::Parsed),
        "drop" => Some(NetworkRules::Drop),
        "coarse" => Some(NetworkRules::Coarse),
        _ => None,
    }
}

/// Runs every combination below `base.out` and writes `matrix/summary.json` there; true when each ended as its fixture is
/// meant to. What is the same for all comes from `base`. `directory` is that of the matrix file.
///
/// # Errors
/// The directory is not used ([`super::ClaimError`]), a run was interrupted, or a file cannot be written. A run that fails is a row of the summary.
pub fn run_matrix(
    matrix: &Matrix,
    directory: &Path,
    base: &Options,
    cancel: &Cancel,
    observer: &mut dyn Observer,
) -> Result<(Value, bool), ShrinkError> {
    let _held = claim(&base.out)?;
    let mut rows = Vec::new();
    // The mark of the directory, before anything else stands there.
    write(base, &rows)?;
    let mut as_meant = true;
    for fixture in &matrix.fixtures {
        for import in &matrix.import_dyld_support {
            for mode in &matrix.network_rules {
                for streak in &matrix.success_streak {
                    let label = format!("{}_dyld{import}_net{mode}_streak{streak}", fixture.label);
                    let options = options(base, fixture, directory, &label, *import == 1, mode, *streak);
                    let meant_to_fail = fixture.fails_with_network_rules.contains(mode);
                    let row = match workflow_profile(&options, cancel, observer) {
                        Err(ShrinkError::Target(TargetError::Interrupted)) => {
                            return Err(ShrinkError::Target(TargetError::Interrupted));
                        }
                        Ok(outcome) => {
                            as_meant &= outcome.success != meant_to_fail;
                            row(&label, fixture, *import, mode, *streak, &outcome.record, None)
                        }
                        Err(error) => {
                            as_meant = false;
                            let error = crate::base::error_chain(&error);
                            observer.event(&Event::Warning { text: format!("{label}: {error}") });
                            row(&label, fixture, *import, mode, *streak, &json!({}), Some(error))
                        }
                    };
                    rows.push(row);
                    write(base, &rows)?;
                }
            }
        }
    }
    Ok((write(base, &rows)?, as_meant))
}

fn write(base: &Options, rows: &[Value]) -> Result<Value, ShrinkError> {
    let path = base.out.join("matrix/summary.json");
    let summary = json!({
        "schema_version": SCHEMA, "world_id": base.world_id, "matrix_dir": "matrix", "runs": rows,
    });
    layout::write_sorted(&path, &summary)?;
    Ok(summary)
}

fn options(
    base: &Options,
    fixture: &Fixture,
    directory: &Path,
    label: &str,
    import: bool,
    mode: &str,
    streak: u32,
) -> Options {
    let mut options = base.clone();
    options.out = base.out.join(label);
    options.root.clone_from(&base.out);
    options.profile = None;
    options.import_dyld_support = import;
    options.network_rules = network(mode).unwrap_or(base.network_rules);
    options.success_streak = streak;
    options.target.argv = fixture.cmd.iter().map(OsString::from).collect();
    if let Some(program) = fixture.cmd.first().filter(|program| program.contains('/')) {
        options.target.argv[0] = directory.join(program).into();
    }
    if let Some(workdir) = &fixture.workdir {
        options.target.template = Some(directory.join(workdir));
    }
    if fixture.success_cmd.is_some() {
        options.target.success_command.clone_from(&fixture.success_cmd);
    }
    options
}

fn row(
    label: &str,
    fixture: &Fixture,
    import: u8,
    mode: &str,
    streak: u32,
    record: &Value,
    error: Option<String>,
) -> Value {
    let of = |half: &str, key: &str| record.get(half).and_then(|half| half.get(key)).cloned().unwrap_or(Value::Null);
    let mut row = json!({
        "label": label, "run_dir": label, "fixture": fixture.label, "import_dyld_support": import, "network_rules": mode,
        "success_streak": streak, "trace_status": of("trace", "status"), "trace_iterations": of("trace", "iterations"),
        "trace_lines": of("trace", "profile_lines"), "shrunk_lines": of("shrink", "profile_lines"),
        "bad_rules": of("trace", "bad_rules"), "shrink_removed": of("shrink", "removed"), "shrink_kept": of("shrink", "kept"),
        "post_shrink_fresh_rc": of("shrink", "post_shrink_fresh_rc"),
        "post_shrink_repeat_rc": of("shrink", "post_shrink_repeat_rc"), "shrink_status": of("shrink", "status"),
        "runs": record.get("runs").cloned().unwrap_or(Value::Null),
        "meant_to_fail": fixture.fails_with_network_rules.iter().any(|own| own == mode),
    });
    if let Some(error) = error {
        row["error"] = json!(error);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test writes its own inputs")]
    fn a_matrix_names_what_is_wrong() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("m.json");
        for (text, needle) in [
            ("{", "is not a matrix"),
            ("{\"fixtures\":[]}", "`fixtures` is empty"),
            ("{\"fixtures\":[{\"label\":\"a/b\",\"cmd\":[\"x\"]}]}", "label"),
            ("{\"fixtures\":[{\"label\":\"a\",\"cmd\":[]}]}", "cmd"),
            ("{\"fixtures\":[{\"label\":\"a\",\"cmd\":[\"x\"]}],\"network_rules\":[\"x\"]}", "network_rules"),
            ("{\"fixtures\":[{\"label\":\"a\",\"cmd\":[\"x\"]}],\"success_streak\":[0]}", "success_streak"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Matrix::read(&path).unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
        std::fs::write(&path, "{\"fixtures\":[{\"label\":\"a\",\"cmd\":[\"x\"]}]}").unwrap();
        assert_eq!(Matrix::read(&path).unwrap().success_streak, [2, 3]);
    }
}
