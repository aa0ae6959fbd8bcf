//! Licences of everything in the lock file, and the number of crates in a default Linux build.
//!
//! The question goes to `cargo metadata`; the answer lists every offender, not the first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::Deserialize;
use spdx::{Expression, LicenseReq, ParseMode};

/// Licences that anything we build with may be under: identifier and exception as SPDX spells them.
const ALLOWED: [(&str, Option<&str>); 11] = [
    ("Apache-2.0", None),
    ("Apache-2.0", Some("LLVM-exception")),
    ("MIT", None),
    ("MIT-0", None),
    ("BSD-2-Clause", None),
    ("BSD-3-Clause", None),
    ("ISC", None),
    ("Unicode-3.0", None),
    ("Zlib", None),
    ("Unlicense", None),
    ("CC0-1.0", None),
];

/// The package that users build.
const PRODUCT: &str = "runtime";
/// The platform whose crates are counted.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// More crates than this in a default build of [`PRODUCT`] on [`PLATFORM`] are too many to answer for.
const MAX_CRATES: usize = 160;

/// What `cargo metadata --format-version 1` prints, as far as it is used here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// Null for an ordinary dependency, else `build` or `dev`.
    kind: Option<String>,
}

/// Asks cargo and prints the answer; `false` when a licence is not allowed or there are too many crates.
pub(crate) fn check(root: &Path) -> anyhow::Result<bool> {
    let everywhere = metadata(root, None)?;
    let offenders = offenders(&everywhere.packages);
    for offender in &offenders {
        println!("licence not allowed: {offender}");
    }
    let here = metadata(root, Some(PLATFORM))?;
    let crates = crates_of(&here, PRODUCT)?;
    println!("licences: {} packages on all platforms, {} not allowed", everywhere.packages.len(), offenders.len());
    println!("crates in a default build on {PLATFORM}: {} (at most {MAX_CRATES})", crates.len());
    if crates.len() > MAX_CRATES {
        let names = here.packages.iter().filter(|package| crates.contains(package.id.as_str()));
        println!("too many crates: {}", names.map(|package| package.name.as_str()).collect::<Vec<_>>().join(" "));
    }
    Ok(offenders.is_empty() && crates.len() <= MAX_CRATES)
}

fn metadata(root: &Path, platform: Option<&str>) -> anyhow::Result<Metadata> {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--format-version", "1", "--locked"]).current_dir(root);
    command.args(platform.iter().flat_map(|platform| ["--filter-platform", platform]));
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start cargo metadata")?;
    anyhow::ensure!(output.status.success(), "cargo metadata ends with {}", output.status);
    serde_json::from_slice(&output.stdout).context("cargo metadata prints something else than expected")
}

/// One line for every package whose licence is missing, unreadable or not allowed.
fn offenders(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter_map(|package| {
            let why = refusal(package.license.as_deref())?;
            Some(format!("{} {}: {why}", package.name, package.version))
        })
        .collect()
}

/// Why a package's `license` field is refused; `None` when it is fine.
fn refusal(license: Option<&str>) -> Option<String> {
    let Some(text) = license else { return Some("names no SPDX expression".to_owned()) };
    // Old packages separate alternatives by a slash, which this mode reads as OR.
    match Expression::parse_mode(text, ParseMode::LAX) {
        Ok(expression) if expression.evaluate(is_allowed) => None,
        Ok(_) => Some(text.to_owned()),
        Err(error) => Some(format!("{text:?} is no SPDX expression: {}", error.reason)),
    }
}

fn is_allowed(requirement: &LicenseReq) -> bool {
    let Some(id) = requirement.license.id() else { return false };
    let exception = match &requirement.addition {
        None => None,
        Some(spdx::AdditionItem::Spdx(exception)) => Some(exception.name),
        Some(_) => return false,
    };
    ALLOWED.contains(&(id.name, exception))
}

/// Ids of the packages that an ordinary build of `product` compiles: itself, its dependencies, build scripts and
/// procedural macros with theirs; no test dependencies.
fn crates_of<'a>(metadata: &'a Metadata, product: &str) -> anyhow::Result<BTreeSet<&'a str>> {
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let start = metadata.packages.iter().find(|package| package.name == product);
    let mut open = vec![start.with_context(|| format!("no package {product} in the metadata"))?.id.as_str()];
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !found.insert(id) {
            continue;
        }
        let node = nodes.get(id).with_context(|| format!("package {id} is not resolved"))?;
        let built = |dep: &&Dependency| dep.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
        open.extend(node.deps.iter().filter(built).map(|dep| dep.pkg.as_str()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_expressions() {
        for text in [
            "MIT",
            "Apache-2.0 OR MIT",
            "MIT/Apache-2.0",
            "MIT-0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "Apache-2.0 WITH LLVM-exception",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "GPL-3.0-only OR ISC",
            "Unlicense OR MIT",
        ] {
            assert_eq!(refusal(Some(text)), None, "{text}");
        }
    }

    #[test]
    fn refused_expressions_say_why() {
        for (text, why) in [
            (Some("GPL-3.0-only"), "GPL-3.0-only"),
            (Some("MIT AND LGPL-2.1-or-later"), "LGPL"),
            (Some("MPL-2.0"), "MPL"),
            (Some("MIT WITH LLVM-exception"), "LLVM-exception"),
            (Some("GPL-2.0-only WITH Classpath-exception-2.0"), "Classpath"),
            (Some("LicenseRef-house"), "LicenseRef"),
            (Some("free for all"), "no SPDX expression"),
            (Some(""), "no SPDX expression"),
            (None, "names no SPDX expression"),
        ] {
            let refused = refusal(text);
            assert!(refused.as_deref().is_some_and(|reason| reason.contains(why)), "{text:?}: {refused:?}");
        }
    }

    /// Metadata of a made-up product: `good` and `builder` are built, `tester` is not, `viral` comes through `builder`.
    fn made_up() -> Metadata {
        serde_json::from_value(serde_json::json!({
            "packages": [
                {"id": "p", "name": "product", "version": "1.0.0", "license": "MIT"},
                {"id": "g", "name": "good", "version": "1.2.3", "license": "MIT/Apache-2.0"},
                {"id": "b", "name": "builder", "version": "0.1.0", "license": null},
                {"id": "v", "name": "viral", "version": "9.0.0", "license": "AGPL-3.0-only"},
                {"id": "t", "name": "tester", "version": "2.0.0", "license": "Zlib"},
            ],
            "resolve": {"nodes": [
                {"id": "p", "deps": [
                    {"pkg": "g", "dep_kinds": [{"kind": null}, {"kind": "dev"}]},
                    {"pkg": "b", "dep_kinds": [{"kind": "build"}]},
                    {"pkg": "t", "dep_kinds": [{"kind": "dev"}]},
                ]},
                {"id": "g", "deps": []},
                {"id": "b", "deps": [{"pkg": "v", "dep_kinds": [{"kind": null}]}, {"pkg": "g", "dep_kinds": [{"kind": null}]}]},
                {"id": "v", "deps": []},
                {"id": "t", "deps": []},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn every_offender_is_named_with_its_version() {
        let lines = offenders(&made_up().packages);
        assert_eq!(lines, ["builder 0.1.0: names no SPDX expression", "viral 9.0.0: AGPL-3.0-only"]);
    }

    #[test]
    fn test_dependencies_are_not_counted() {
        let metadata = made_up();
        assert_eq!(crates_of(&metadata, "product").unwrap(), BTreeSet::from(["p", "g", "b", "v"]));
        assert!(crates_of(&metadata, "absent").is_err());
    }
}
