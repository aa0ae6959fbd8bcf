//! Task runner: `cargo xtask <task>`.
fn main() {}
