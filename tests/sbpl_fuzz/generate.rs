//! Random programs: well formed, mostly well typed, with helpers that loop, nest and recurse, and a few mistakes.

use std::fmt::Write as _;

use super::Random;

const OPERATIONS: [&str; 14] = [
    "file*",
    "file-read*",
    "file-read-data",
    "file-write*",
    "file-write-create",
    "process*",
    "process-exec",
    "process-fork",
    "mach-lookup",
    "sysctl-read",
    "network*",
    "network-outbound",
    "signal",
    "default",
];
const PATHS: [&str; 9] = ["/", "/a", "/a/b", "/a/b/c", "/h", "/h/x.pem", "/a/", "relative", "/i/j"];
const REGEXES: [&str; 8] = ["^/a", "\\.pem$", "^/(a|h)/[^/]+$", "b", "[[:alpha:]]{2}", "\\d", "(x", "a{1,3}"];
const NAMES: [&str; 4] = ["com.example.a", "kern.osversion", "", "x"];

/// Programs that run into a bound.
pub(crate) const ENDLESS: [&str; 8] = [
    "(define (f) (f)) (f)",
    "(define (f) (+ 1 (f))) (f)",
    "(define (f s) (f (string-append s s))) (f \"x\")",
    "(define (f x) (f (list x x))) (f 1)",
    "(define (f x) (f (require-any x x))) (f (uid 1))",
    "(define (f n) (allow signal) (f (+ n 1))) (f 0)",
    "(define (f x) (map f (list x x))) (f 1)",
    "(import \"loop.sb\")",
];

/// What one program has defined so far.
struct Program {
    text: String,
    /// Values that are texts.
    texts: Vec<String>,
    /// Procedures of one text that give a filter.
    filters: Vec<String>,
    names: usize,
}

/// A program of up to 24 top-level forms.
pub(crate) fn program(random: &mut Random) -> String {
    let mut program = Program { text: String::from("(version 1)\n"), texts: Vec::new(), filters: Vec::new(), names: 0 };
    for _ in 0..=random.below(24) {
        let form = program.form(random, 3);
        program.text.push_str(&form);
        program.text.push('\n');
    }
    if random.below(400) == 0 {
        let endless: &str = random.pick::<&str>(&ENDLESS);
        program.text.push_str(endless);
    }
    program.text
}

impl Program {
    fn fresh(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    /// A top-level form or one inside a body.
    fn form(&mut self, random: &mut Random, depth: usize) -> String {
        if depth == 0 {
            return self.rule(random);
        }
        match random.below(18) {
            0 => {
                let (name, value) = (self.fresh(), self.string(random, 2));
                let form = format!("(define {name} {value})");
                self.texts.push(name);
                form
            }
            1 => {
                let name = self.fresh();
                let form = format!("(define ({name} p) (require-all (subpath p) {}))", self.filter(random, 2));
                self.filters.push(name);
                form
            }
            2 => format!("(if {} {} {})", self.condition(random, 2), self.rule(random), self.form(random, depth - 1)),
            3 => format!("(when {} {})", self.condition(random, 2), self.form(random, depth - 1)),
            4 => format!("(unless {} {})", self.condition(random, 2), self.form(random, depth - 1)),
            5 => format!(
                "(cond ({} {}) (else {}))",
                self.condition(random, 2),
                self.rule(random),
                self.form(random, depth - 1)
            ),
            6 => {
                let items: Vec<String> = (0..random.below(4)).map(|_| self.string(random, 1)).collect();
                format!("(for-each (lambda (p) (allow file-read* (literal p))) (list {}))", items.join(" "))
            }
            7 => format!(
                "(with-filter {} {} {})",
                self.filter(random, 2),
                self.rule(random),
                self.form(random, depth - 1)
            ),
            8 => format!("(let* ((x {}) (y x)) (deny file-read* (subpath y)))", self.string(random, 2)),
            9 => format!(
                "(letrec ((f (lambda (n) (if (< n 1) {} (f (- n 1)))))) (f {}))",
                self.rule(random),
                random.below(30)
            ),
            10 => format!("(apply allow 'signal (map (lambda (p) (prefix p)) '(\"{}\")))", random.pick(&PATHS)),
            11 => format!("(begin {} {})", self.rule(random), self.rule(random)),
            12 if random.below(4) == 0 => (*random.pick(&["(import \"base.sb\")", "(import \"none.sb\")"])).to_owned(),
            _ => self.rule(random),
        }
    }

    fn rule(&mut self, random: &mut Random) -> String {
        let action = random.pick(&["allow", "deny"]);
        let mut text = format!("({action}");
        for _ in 0..=random.below(2) {
            let _ = write!(text, " {}", random.pick(&OPERATIONS));
        }
        for _ in 0..random.below(3) {
            let _ = write!(text, " {}", self.filter(random, 3));
        }
        match random.below(12) {
            0 => text.push_str(" (with no-log)"),
            1 => text.push_str(" (with message \"m\")"),
            _ => {}
        }
        text + ")"
    }

    fn filter(&mut self, random: &mut Random, depth: usize) -> String {
        let choice = random.below(if depth == 0 { 8 } else { 13 });
        match choice {
            0..=2 => {
                let name = random.pick(&["literal", "subpath", "prefix", "path-ancestors"]);
                format!("({name} {})", self.string(random, depth))
            }
            3 => {
                // Every now and then one that does not compile.
                let most = if random.below(30) == 0 { REGEXES.len() } else { 6 };
                format!("(regex #\"{}\")", REGEXES[random.below(most)])
            }
            4 => format!(
                "({} \"{}\")",
                random.pick(&["global-name", "sysctl-name-prefix", "extension"]),
                random.pick(&NAMES)
            ),
            5 => (*random.pick(&["(vnode-type FIFO)", "(file-mode #o0002)", "(target self)", "(uid 0)"])).to_owned(),
            6 => (*random.pick(&["(remote ip \"localhost:*\")", "(local tcp \"*:80\")", "(remote unix-socket)"]))
                .to_owned(),
            7 => match self.filters.len() {
                0 => "(literal \"/a\")".to_owned(),
                count => {
                    let name = self.filters[random.below(count)].clone();
                    format!("({name} {})", self.string(random, 1))
                }
            },
            8 | 9 => format!("(require-all {} {})", self.filter(random, depth - 1), self.filter(random, depth - 1)),
            10 | 11 => format!("(require-any {} {})", self.filter(random, depth - 1), self.filter(random, depth - 1)),
            _ => format!("(require-not {})", self.filter(random, depth - 1)),
        }
    }

    fn string(&mut self, random: &mut Random, depth: usize) -> String {
        match random.below(if depth == 0 { 2 } else { 8 }) {
            2 if !self.texts.is_empty() => self.texts[random.below(self.texts.len())].clone(),
            3 => format!("(string-append {} {})", self.string(random, depth - 1), self.string(random, depth - 1)),
            4 => "(or (param \"HOME\") \"/none\")".to_owned(),
            5 => format!("(car (list {} 1))", self.string(random, depth - 1)),
            6 => format!("`,{}", self.string(random, depth - 1)),
            // A parameter that may be missing, or a number: refused.
            7 if random.below(40) == 0 => (*random.pick(&["(param \"NONE\")", "7", "'()"])).to_owned(),
            _ => format!("\"{}\"", random.pick(&PATHS)),
        }
    }

    fn condition(&mut self, random: &mut Random, depth: usize) -> String {
        match random.below(if depth == 0 { 4 } else { 8 }) {
            0 => "#t".to_owned(),
            1 => "(param \"EMPTY\")".to_owned(),
            2 => "(param \"NONE\")".to_owned(),
            3 => "(entitlement \"e\")".to_owned(),
            4 => format!("(not {})", self.condition(random, depth - 1)),
            5 => format!("(and {} {})", self.condition(random, depth - 1), self.condition(random, depth - 1)),
            6 => format!("(or {} {})", self.condition(random, depth - 1), self.condition(random, depth - 1)),
            _ => format!("(string=? {} {})", self.string(random, depth - 1), self.string(random, depth - 1)),
        }
    }
}
