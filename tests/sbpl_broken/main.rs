//! Broken profiles through the real command: each is refused with status 3 and the place, within bounds of time and
//! memory, and never with a panic.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "a test of the command line prepares files and runs the command")]
#![cfg(unix)]

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// What an unoptimised build on a busy machine may take.
const MAX_TIME: Duration = Duration::from_secs(60);
/// The address space of the command, in KiB.
const MAX_MEMORY: &str = "786432";

/// A profile with the place of its first problem.
struct Case {
    name: String,
    text: Vec<u8>,
    line: usize,
    column: usize,
}

fn case(name: &str, text: impl Into<Vec<u8>>, line: usize, column: usize) -> Case {
    Case { name: name.to_owned(), text: text.into(), line, column }
}

/// The cases that can be written down as they are.
fn written() -> Vec<Case> {
    let text = include_str!("../../fixtures/sbpl/broken/cases.txt");
    let mut cases: Vec<Case> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(head) = line.strip_prefix("=== ") {
            let (place, name) = head.trim_end().split_once(' ').unwrap();
            let (line, column) = place.split_once(':').unwrap();
            cases.push(case(name, "", line.parse().unwrap(), column.parse().unwrap()));
        } else if let Some(case) = cases.last_mut() {
            case.text.extend(line.as_bytes());
        }
    }
    cases
}

/// The cases that cannot.
fn built() -> Vec<Case> {
    let rule = |inside: &str| format!("(version 1)\n(allow file-read* (literal \"{inside}\"))");
    let program = |text: &str| format!("(version 1)\n{text}");
    vec![
        case("a control character between words", program("(deny\u{7}default)"), 2, 6),
        case("a NUL between forms", program("\0(deny default)"), 2, 1),
        case("a NUL in a path", rule("/a\0b"), 2, 31),
        case("an escape sequence of a terminal", rule("/a\u{1b}[2Jb"), 2, 31),
        case("a delete character", rule("\u{7f}"), 2, 29),
        case("an escaped NUL", rule("\\x00"), 2, 29),
        case("an escape without digits", rule("\\xgg"), 2, 29),
        case("an escaped bell in a path", rule("/\\x07"), 2, 28),
        case("an escaped line feed in a path", rule("/a\\nb"), 2, 28),
        case("a line feed in a path", rule("/a\nb"), 2, 28),
        case("a byte order mark", "\u{feff}(version 1)", 1, 1),
        case("Latin-1", b"(version 1)\n(allow file-read* (literal \"/caf\xe9\"))".as_slice(), 2, 33),
        case("UTF-16", b"\xff\xfe(\0v\0".as_slice(), 1, 1),
        case("half a character at the end", b"(version 1)\n\xf0\x9f".as_slice(), 2, 1),
        case(
            "random bytes",
            (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect::<Vec<_>>(),
            1,
            2,
        ),
        case("100,000 open parentheses", "(".repeat(100_000), 1, 257),
        case("100,000 nested lists", format!("{}{}", "(".repeat(100_000), ")".repeat(100_000)), 1, 257),
        case("100,000 nested filters", program(&format!("(allow signal {}", "(require-not ".repeat(100_000))), 2, 3330),
        case("100,000 quotation marks", "'".repeat(100_000), 1, 257),
        case("100,000 closing parentheses", program(&")".repeat(100_000)), 2, 1),
        case("a number of 10,000 digits", program(&format!("(list {})", "9".repeat(10_000))), 2, 7),
        case("a name of 100 KB", program(&format!("({} 1)", "n".repeat(100_000))), 2, 2),
        case("a string of 15 MB", rule(&"x".repeat(15 << 20)), 2, 28),
        case("an expression of 10 KB", program(&format!("(deny file* (regex #\"{}\"))", "a".repeat(10_000))), 2, 8214),
        case("a million forms", program(&"()\n".repeat(1_000_000)), 250_000, 1),
        case("recursion in the last place", program("(define (f) (f))\n(f)"), 2, 13),
        case("recursion elsewhere", program("(define (f n) (+ 1 (f n)))\n(f 0)"), 2, 21),
        case("recursion through map", program("(define (f x) (map f (list x x)))\n(f 1)"), 2, 23),
        case("a text doubled without end", program("(define (f s) (f (string-append s s)))\n(f \"12345678\")"), 2, 18),
        case("a list doubled without end", program("(define (f l) (f (append l l)))\n(f '(1 2 3 4))"), 2, 18),
        case("rules without end", program("(define (f) (allow signal) (f))\n(f)"), 2, 13),
    ]
}

/// Asks the command about a profile, with bounded memory.
fn explain(profile: &Path) -> (Output, Duration) {
    let start = Instant::now();
    let output = Command::new("sh")
        .args(["-c", "ulimit -v \"$0\" 2>/dev/null; exec \"$@\"", MAX_MEMORY, env!("CARGO_BIN_EXE_runtime")])
        .args(["sbpl", "explain", "--op", "file-read-data", "--target", "/x", "--profile"])
        .arg(profile)
        .output()
        .unwrap();
    (output, start.elapsed())
}

/// What is wrong with how a profile was refused.
fn complaint(case: &Case, profile: &Path) -> Option<String> {
    let (output, took) = explain(profile);
    let said = String::from_utf8_lossy(&output.stderr);
    let place = format!("{}:{}:{}", profile.display(), case.line, case.column);
    let exact = |text: &str| {
        text.match_indices(&place).any(|(at, _)| !text[at + place.len()..].starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut wrong = Vec::new();
    if output.status.code() != Some(3) {
        wrong.push(format!("ended with {}", output.status));
    }
    if !exact(&said) {
        wrong.push(format!("did not name {}:{}", case.line, case.column));
    }
    if said.contains("panicked") || said.is_empty() || said.len() > 200_000 {
        wrong.push(format!("said {} bytes", said.len()));
    }
    // Nothing in a profile may reach the terminal as a control sequence.
    if said.chars().any(|c| c.is_control() && c != '\n') {
        wrong.push("wrote control characters".to_owned());
    }
    if took > MAX_TIME {
        wrong.push(format!("took {took:?}"));
    }
    let shown: String = said.chars().take(600).collect();
    (!wrong.is_empty()).then(|| format!("{}: {}\n{shown}", case.name, wrong.join(", ")))
}

#[test]
fn every_broken_profile_is_refused_at_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let cases: Vec<Case> = written().into_iter().chain(built()).collect();
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let profile = directory.path().join(format!("{number}.sb"));
        std::fs::write(&profile, &case.text).unwrap();
        wrong.extend(complaint(case, &profile));
    }
    println!("{} broken profiles", cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 100, "{} cases", cases.len());
}

#[test]
fn a_gigabyte_is_refused_by_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("big.sb");
    let mut file = std::fs::File::create(&profile).unwrap();
    // A string of 1 GiB, most of it a hole in the file.
    file.write_all(b"(version 1)\n(allow file-read* (literal \"/").unwrap();
    file.seek(SeekFrom::Start(1 << 30)).unwrap();
    file.write_all(b"\"))\n").unwrap();
    let (output, took) = explain(&profile);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("at most 16777216 are read"), "{said}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn what_is_no_file_is_refused_too() {
    let directory = tempfile::tempdir().unwrap();
    for profile in [directory.path().to_owned(), directory.path().join("nothing-here.sb")] {
        let (output, _) = explain(&profile);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(profile.to_str().unwrap()) && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_sound_profile_is_not_refused() {
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("sound.sb");
    std::fs::write(&profile, "(version 1)\n(allow default)\n").unwrap();
    assert_eq!(explain(&profile).0.status.code(), Some(0));
    assert!(complaint(&case("sound", "", 1, 1), &profile).is_some());
}
