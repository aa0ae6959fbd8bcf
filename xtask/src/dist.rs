//! The program that is handed out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Builds it; `false` when cargo refuses.
pub(crate) fn build(root: &Path) -> anyhow::Result<bool> {
    let mut target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--profile", "dist", "--locked", "--bin", "runtime"]);
    if let Some(triple) = linux_triple() {
        // Without libraries to find and bind it starts in less time, and runs on systems with an older C library. The target is
        // named so that the flag is not used for programs that run during the build, which cannot be linked like that.
        // Its 17,000 relocations are packed: they are worked off at every start.
        let mut flags =
            vec!["-Ctarget-feature=+crt-static".to_owned(), "-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned()];
        flags.extend(nameless(root)?);
        let flag = format!("target.{triple}.rustflags={flags:?}");
        cargo.args(["--target", triple, "--config", &flag]);
        target.push(triple);
    }
    let built = cargo.current_dir(root).stdin(Stdio::null()).status().context("cargo cannot be started")?;
    if built.success() {
        println!("{}", target.join("dist/runtime").display());
    }
    Ok(built.success())
}

/// Options by which the program does not say where it was built: the same program, whoever builds it.
fn nameless(root: &Path) -> anyhow::Result<Vec<String>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.context("neither CARGO_HOME nor HOME is set")?.join("registry/src");
    let mut options = vec![format!("--remap-path-prefix={}=.", root.display())];
    // Absent where everything is vendored.
    for registry in std::fs::read_dir(registries).into_iter().flatten() {
        options.push(format!("--remap-path-prefix={}=deps", registry?.path().display()));
    }
    Ok(options)
}

/// The host where it is one of those with the GNU C library that are supported.
fn linux_triple() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("x86_64-unknown-linux-gnu"),
        ("linux", "aarch64") => Some("aarch64-unknown-linux-gnu"),
        _ => None,
    }
}
