//! The `runtime` binary: hands over to [`runtime::cli`].

fn main() -> std::process::ExitCode {
    runtime::cli::main()
}
