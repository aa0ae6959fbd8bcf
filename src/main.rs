//! The `runtime` binary: hands over to [`runtime::cli`].
#![cfg_attr(all(target_os = "linux", not(test)), no_main)]

#[cfg(all(target_os = "linux", not(test)))]
runtime::begin_with!(runtime::cli::main);

#[cfg(not(all(target_os = "linux", not(test))))]
fn main() -> std::process::ExitCode {
    runtime::cli::main(std::env::args_os().collect()).into()
}
