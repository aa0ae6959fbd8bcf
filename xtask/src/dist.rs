//! The program that is handed out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Builds it; `false` when cargo refuses.
pub(crate) fn build(root: &Path) -> anyhow::Result<bool> {
    let mut target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--profile", "dist", "--locked", "--bin", "runtime"]);
    if let Some(triple) = linux_triple(root)? {
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

/// What to build for on Linux: musl, whose start asks the processor nothing and takes less time; the GNU C library
/// where there is no standard library for it.
fn linux_triple(root: &Path) -> anyhow::Result<Option<&'static str>> {
    let (musl, gnu) = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => ("x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu"),
        ("linux", "aarch64") => ("aarch64-unknown-linux-musl", "aarch64-unknown-linux-gnu"),
        _ => return Ok(None),
    };
    if has_standard_library(root, musl)? {
        return Ok(Some(musl));
    }
    println!("no standard library for {musl} here, so this is built with the GNU C library and starts more slowly");
    println!("`rustup target add {musl}` brings it");
    Ok(Some(gnu))
}

fn has_standard_library(root: &Path, triple: &str) -> anyhow::Result<bool> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", triple]).current_dir(root).stdin(Stdio::null());
    let output = rustc.output().context("rustc cannot be started")?;
    let folder = String::from_utf8(output.stdout).context("rustc names a folder that is no UTF-8")?;
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}
