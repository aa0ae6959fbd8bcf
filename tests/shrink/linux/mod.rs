//! With the kernel's enforcement.

mod minimal;
mod noise;
mod programs;
mod record;
mod workflow;

/// Whether what takes minutes is run too.
fn long() -> bool {
    std::env::var_os("RUNTIME_TESTS_LONG").is_some()
}
