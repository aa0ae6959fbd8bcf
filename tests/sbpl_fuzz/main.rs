//! Fuzzing in bounded form: mutated corpus texts and generated programs against the same targets as the coverage-guided
//! fuzzer below `fuzz/`.
//!
//! `SBPL_FUZZ_FACTOR=100 cargo test --release --test sbpl_fuzz -- --nocapture` runs a hundred times as long.
#![expect(clippy::print_stdout, reason = "the number of executions is the result")]

mod generate;
mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest that one text may take in an unoptimised build on a busy machine.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Small, fast, and the same on every machine (xorshift64*, Marsaglia 2003, Vigna 2016).
pub(crate) struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// All profiles among the fixtures.
fn corpus() -> Vec<Vec<u8>> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sbpl")];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a fixture folder can be listed") {
            let path = entry.expect("a fixture folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "sb") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("a fixture can be read")).collect()
}

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for in the environment, as of proptest")]
fn factor() -> usize {
    std::env::var("SBPL_FUZZ_FACTOR").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Runs a target on many texts; what fails is shown with its text.
fn run(name: &str, executions: usize, target: fn(&str), mut next: impl FnMut(&mut Random) -> String) {
    let (executions, start) = (executions * factor(), Instant::now());
    let (mut bytes, mut slowest) = (0, Duration::ZERO);
    for seed in 1..=executions as u64 {
        let text = next(&mut Random::new(seed));
        bytes += text.len();
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| target(&text)));
        slowest = slowest.max(began.elapsed());
        assert!(result.is_ok(), "{name}: seed {seed} fails on\n{text}");
        assert!(began.elapsed() < MAX_TIME, "{name}: seed {seed} takes {:?} on\n{text}", began.elapsed());
    }
    println!("{name}: {executions} executions, {bytes} bytes, {:?}, slowest {slowest:?}", start.elapsed());
}

fn mutated(corpus: &[Vec<u8>]) -> impl FnMut(&mut Random) -> String {
    move |random| String::from_utf8_lossy(&mutate::mutate(corpus, random)).into_owned()
}

#[test]
fn reading_mutated_texts() {
    let corpus = corpus();
    assert!(corpus.len() >= 20, "{} texts", corpus.len());
    run("lexer and parser on mutated texts", 2_000, targets::reading, mutated(&corpus));
}

#[test]
fn evaluating_mutated_texts() {
    let corpus = corpus();
    run("evaluator on mutated texts", 600, targets::evaluating, mutated(&corpus));
}

#[test]
fn reading_generated_programs() {
    run("lexer and parser on generated programs", 1_000, targets::reading, generate::program);
}

#[test]
fn evaluating_generated_programs() {
    run("evaluator on generated programs", 400, targets::evaluating, generate::program);
}

#[test]
fn evaluating_programs_without_end() {
    for program in generate::ENDLESS {
        run(program, 1, targets::evaluating, |_| format!("(version 1)\n{program}"));
    }
}

/// Two programs that have something in common half of the time, as versions of one profile have.
fn pair(random: &mut Random) -> String {
    let left = generate::program(random);
    let right = match random.below(4) {
        0 => format!("{left}{}", generate::program(random).replacen("(version 1)", "", 1)),
        1 => {
            let lines: Vec<&str> = left.lines().collect();
            let gone = 1 + random.below(lines.len() - 1);
            [&lines[..gone], &lines[gone + 1..]].concat().join("\n")
        }
        _ => generate::program(random),
    };
    format!("{left}{}{right}", targets::PARTING)
}

#[test]
fn comparing_generated_programs() {
    run("comparison of generated programs", 150, targets::diffing, pair);
}

#[test]
fn comparing_mutated_texts() {
    let corpus = corpus();
    let mut mutate = mutated(&corpus);
    run("comparison of mutated texts", 400, targets::diffing, |random| {
        let left = mutate(random);
        // Two mutated texts seldom compile both.
        let right = match random.below(3) {
            0 => mutate(random),
            _ => String::from_utf8_lossy(random.pick::<Vec<u8>>(&corpus)).into_owned(),
        };
        format!("{left}{}{right}", targets::PARTING)
    });
}

#[test]
fn a_wrong_witness_would_be_noticed() {
    use runtime::sbpl::{NoImports, Params, Policy, Source, diff};
    use runtime::vocab::Decision::{Allow, Deny};
    let policy = |text: &str| Policy::compile(&[Source::new("g.sb", text)], &Params::new(), &NoImports).unwrap();
    let (a, b) = (policy("(version 1)"), policy("(version 1) (allow file-read-data (subpath \"/a\"))"));
    let right = diff(&a, &b).wider.remove(0);
    let noticed = |change: &runtime::sbpl::Change| {
        catch_unwind(AssertUnwindSafe(|| targets::check_change(&a, &b, change, Deny, Allow, ""))).is_err()
    };
    assert!(!noticed(&right), "{right:?}");
    for wrong in ["file-read-data /b", "file-read-data", "file-read-metadata /a"] {
        assert!(noticed(&runtime::sbpl::Change { witness: wrong.to_owned(), ..right.clone() }), "{wrong}");
        let (operation, target) = wrong.split_once(' ').map_or((wrong, None), |(one, two)| (one, Some(two)));
        let query = runtime::sbpl::Query::new(operation, target, &[]).unwrap();
        let change = runtime::sbpl::Change { witness: wrong.to_owned(), query, ..right.clone() };
        assert!(noticed(&change), "{wrong}");
    }
    assert!(noticed(&runtime::sbpl::Change { b: None, ..right.clone() }));
}

#[test]
fn many_pairs_of_programs_are_compared() {
    // A comparison of texts that do not compile, or do not differ, would show nothing.
    use runtime::sbpl::{NoImports, Params, Policy, Source, diff};
    let policy = |text: &str| Policy::compile(&[Source::new("g.sb", text)], &Params::new(), &NoImports).ok();
    let differing = (1..=60)
        .map(|seed| pair(&mut Random::new(seed)))
        .filter_map(|text| {
            let (left, right) = text.split_once(targets::PARTING)?;
            Some(diff(&policy(left)?, &policy(right)?))
        })
        .filter(|result| !result.wider.is_empty() || !result.narrower.is_empty())
        .count();
    assert!(differing >= 10, "{differing} of 60 pairs differ by an access");
}

#[test]
fn most_generated_programs_compile() {
    // A generator whose programs are all refused would test nothing but refusals.
    use runtime::sbpl::{NoImports, Params, Policy, Source};
    let compiled = (1..=500)
        .map(|seed| generate::program(&mut Random::new(seed)))
        .filter(|text| Policy::compile(&[Source::new("g.sb", &**text)], &Params::new(), &NoImports).is_ok())
        .count();
    assert!((250..500).contains(&compiled), "{compiled} of 500 compile");
}

#[test]
fn a_wrong_target_would_be_noticed() {
    let result = catch_unwind(|| {
        run("a target that dislikes deny", 2_000, |text| assert!(!text.contains("(deny")), generate::program);
    });
    assert!(result.is_err());
}
