//! The attacks on Linux, by family.
#![expect(clippy::unwrap_used, reason = "a test program")]

mod direct;
mod help;
mod kernel;
mod outside;
mod processes;
mod programs;
mod races;
mod routes;
mod sockets;

use std::time::Duration;

/// One run of one attack.
pub(crate) struct Run {
    /// How long a race lasts.
    pub(crate) time: Duration,
    /// Further words of the command line.
    pub(crate) words: Vec<String>,
}

impl Run {
    /// A word of the command line.
    pub(crate) fn word(&self, at: usize) -> &str {
        &self.words[at]
    }

    /// A number of the command line.
    pub(crate) fn number(&self, at: usize) -> i64 {
        self.words[at].parse().unwrap()
    }
}

/// A named attack.
pub(crate) type Attack = (&'static str, fn(&Run));

const FAMILIES: [(&str, &[Attack]); 7] = [
    ("routes", routes::ATTACKS),
    ("direct", direct::ATTACKS),
    ("races", races::ATTACKS),
    ("kernel", kernel::ATTACKS),
    ("processes", processes::ATTACKS),
    ("programs", programs::ATTACKS),
    ("sockets", sockets::ATTACKS),
];

/// `attack list`, `attack beside NAME WORDS` (an outsider), or `attack NAME MILLISECONDS WORDS`.
pub(crate) fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            for (family, attacks) in FAMILIES {
                attacks.iter().for_each(|(name, _)| println!("{family} {name}"));
            }
        }
        // What a denied program is asked to say.
        asked if asked.contains(&"ran") => help::won("a denied program ran"),
        ["beside", name, ..] => outside::main(name, &words[2..]),
        [name, milliseconds, ..] => {
            let (_, attack) = FAMILIES
                .iter()
                .flat_map(|(_, attacks)| *attacks)
                .find(|(known, _)| known == name)
                .unwrap_or_else(|| panic!("no attack is called {name}"));
            let time = Duration::from_millis(milliseconds.parse().unwrap());
            attack(&Run { time, words: words[2..].to_vec() });
        }
        _ => panic!("which attack? {words:?}"),
    }
}
