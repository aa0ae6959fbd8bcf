//! What enforcement costs on Linux: `cargo bench -p benchmarks --bench enforce`.
//!
//! Every work runs without a sandbox, under `sandbox run`, and under those peers that are installed, in turn and several
//! times; a ratio is the median of the ratios of rounds, so that both sides of each saw the same machine. Peers that are
//! missing are named. `docs/benchmarks.md` holds the bars, the machine and figures.
//!
//!   cargo bench -p benchmarks --bench enforce [-- [--quick] [--json] [--runtime FILE] [WORK…]]

#[cfg(target_os = "linux")]
mod linux;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::print_stdout, reason = "what a person who starts it must know")]
    {
        println!("enforcement is measured on Linux");
    }
}
