//! The `runtime` binary: hands over to [`runtime::cli`].
#![cfg_attr(all(target_os = "linux", not(test)), no_main)]

#[cfg(all(target_os = "linux", not(test)))]
runtime::begin_with!(runtime::cli::main);

#[cfg(not(all(target_os = "linux", not(test))))]
fn main() -> std::process::ExitCode {
    runtime::cli::main(std::env::args_os().collect()).into()
}

// Its own takes as long for a start as the C library saves.
#[cfg(all(target_os = "linux", target_env = "musl"))]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
