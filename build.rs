//! Lists the files beneath `plans/` for `registry::embedded`, which holds their texts inside the binary.
#![expect(clippy::disallowed_methods, reason = "a build script reads Cargo's environment and writes into OUT_DIR")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=plans");
    let project = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("Cargo sets CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&project.join("plans"), &mut files);
    let names = files.iter().map(|file| file.strip_prefix(&project).expect("the walk stays in the project"));
    let mut names: Vec<String> = names.map(|name| name.to_str().expect("names are UTF-8").to_owned()).collect();
    names.sort_unstable();
    let mut list = "&[\n".to_owned();
    for name in names {
        let path = project.join(&name);
        let _ = writeln!(list, "    ({name:?}, include_str!({path:?})),");
    }
    list.push(']');
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("Cargo sets OUT_DIR"));
    std::fs::write(out.join("shipped.rs"), list).expect("OUT_DIR is writable");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("plans/ is readable") {
        let path = entry.expect("plans/ is readable").path();
        if path.is_dir() {
            // What a run of a shipped plan leaves is not shipped.
            if !path.ends_with("out") {
                collect(&path, files);
            }
        } else {
            files.push(path);
        }
    }
}
