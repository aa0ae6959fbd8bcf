//! Comparison of two profiles, by coverage. See `tests/sbpl_fuzz/targets.rs` for what must hold.
#![no_main]

#[path = "../../tests/sbpl_fuzz/targets.rs"]
#[expect(dead_code, reason = "one target of several")]
mod targets;

libfuzzer_sys::fuzz_target!(|text: &str| targets::diffing(text));
