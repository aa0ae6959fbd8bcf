//! Rounds, medians and comparisons.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

/// One way of running a work: a name and how long one run took, in the unit of the work.
pub struct Variant<'a> {
    /// Name in results.
    pub name: &'static str,
    /// Runs once and tells how long it took.
    pub run: Box<dyn Fn() -> f64 + 'a>,
}

/// One comparison.
pub struct Measured {
    /// Work and the two sides.
    pub name: String,
    /// Medians of both sides.
    pub sides: (f64, f64),
    /// Unit of the medians.
    pub unit: &'static str,
    /// Median of the ratios of rounds (or the only figure, without a second side).
    pub ratio: f64,
    /// What the ratio must not exceed; `None` where nothing is promised.
    pub bar: Option<f64>,
}

impl Measured {
    /// One line of the printed table.
    #[must_use]
    pub fn line(&self) -> String {
        let bar = self.bar.map_or(String::new(), |bar| format!("<= {bar}"));
        let verdict = match self.bar {
            Some(bar) if self.ratio > bar => "MISSED",
            Some(_) => "met",
            None => "",
        };
        let figure = |value: f64| if value.is_nan() { String::new() } else { format!("{value:.1} {}", self.unit) };
        format!(
            "{:<44} {:>12} {:>12} {:>8.2} {bar:>8}  {verdict}",
            self.name,
            figure(self.sides.0),
            figure(self.sides.1),
            self.ratio
        )
    }

    /// The comparison as an entry of the printed document.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.unit,
            "first": self.sides.0,
            "second": self.sides.1,
            "ratio": self.ratio,
            "bar": self.bar,
            "met": self.bar.map(|bar| self.ratio <= bar),
        })
    }
}

/// The rounds of one work: `times[variant][round]`.
pub struct Rounds {
    work: &'static str,
    unit: &'static str,
    names: Vec<&'static str>,
    times: Vec<Vec<f64>>,
}

impl Rounds {
    /// Runs every variant once per round, in turn. The first round warms the caches and is dropped.
    pub fn run(work: &'static str, unit: &'static str, rounds: usize, variants: &[Variant<'_>]) -> Self {
        eprintln!("{work}");
        let mut times = vec![Vec::new(); variants.len()];
        for round in 0..=rounds {
            for (index, variant) in variants.iter().enumerate() {
                let time = (variant.run)();
                if round > 0 || rounds == 0 {
                    times[index].push(time);
                }
            }
        }
        Self { work, unit, names: variants.iter().map(|variant| variant.name).collect(), times }
    }

    fn of(&self, name: &str) -> Option<&[f64]> {
        self.names.iter().position(|known| *known == name).map(|index| self.times[index].as_slice())
    }

    /// `first` in relation to `second`; `None` when either did not run.
    pub fn compare(&self, first: &str, second: &str, bar: Option<f64>) -> Option<Measured> {
        let (numerators, denominators) = (self.of(first)?, self.of(second)?);
        let ratios = numerators.iter().zip(denominators).map(|(a, b)| a / b).collect();
        Some(Measured {
            name: format!("{}: {first} / {second}", self.work),
            sides: (median(numerators.to_vec()), median(denominators.to_vec())),
            unit: self.unit,
            ratio: median(ratios),
            bar,
        })
    }

    /// Median of a variant.
    pub fn median_of(&self, name: &str) -> Option<f64> {
        self.of(name).map(|times| median(times.to_vec()))
    }
}

/// The middle of at least one value; of an even number, between the two in the middle.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Runs a command and returns the milliseconds it took. It must print exactly as many lines as `lines` says, if given, and
/// end with status 0.
pub fn timed(command: &mut Command, lines: Option<&dyn Fn(usize) -> bool>) -> f64 {
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.stdout(if lines.is_some() { Stdio::piped() } else { Stdio::null() }).output().unwrap();
    let took = start.elapsed().as_secs_f64() * 1e3;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {errors}", output.status);
    if let Some(right) = lines {
        let count = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        assert!(right(count), "{command:?} printed {count} lines: {errors}");
    }
    took
}

/// What makes a benchmark the small process that [`peak_bytes`] needs, see [`answer_peak`].
const PEAK_OF: &str = "--peak-of";

/// The largest memory that `program` with `arguments` has at once, in bytes. It must end with status 0.
///
/// The system counts for a process what it was before it became another program, which is this benchmark with all that it
/// has generated, and for a parent the largest of all its children so far, the builds among them. So a process of its own,
/// which holds nothing, starts the program: this program again, which must call [`answer_peak`] first.
///
/// # Panics
/// When the program fails.
#[must_use]
pub fn peak_bytes(program: &str, arguments: &[&str]) -> f64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([PEAK_OF, program]).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Where [`peak_bytes`] started this process: runs the program, prints the bytes it took, and ends.
pub fn answer_peak() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(PEAK_OF) {
        return;
    }
    let mut command = Command::new(arguments.next().expect("a program"));
    let status = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    // Linux counts in kibibytes, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    println!("{}", usage.max_rss() as f64 * unit);
    std::process::exit(if status.success() { 0 } else { 1 });
}
