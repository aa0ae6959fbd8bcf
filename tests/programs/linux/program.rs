//! One program with its profile, and what is asked of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::support::{Place, Ran, User};
use super::{learn, server, toolchain};

/// A program, how it is started, and the rule that is taken out.
///
/// In texts `$W` is the working directory, `$TOOLCHAIN` a Rust toolchain the user can read, `$PORT` the port of the test's
/// server.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Programs in `/usr/bin` without which it cannot be tried.
    pub(crate) tools: &'static [&'static str],
    /// File in `fixtures/profiles/linux`.
    pub(crate) profile: &'static str,
    pub(crate) params: &'static [(&'static str, &'static str)],
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// Makes what the program works on.
    pub(crate) prepare: fn(&Place),
    pub(crate) command: &'static [&'static str],
    /// What the program left behind, beside its output.
    pub(crate) result: fn(&Place) -> String,
    /// A part of `result` or output that shows that it did its work.
    pub(crate) shows: &'static str,
    pub(crate) removed: Removed,
}

/// A rule of the profile, by its whole text, and the refusal that follows when it is not there.
#[derive(Debug)]
pub(crate) struct Removed {
    pub(crate) rule: &'static str,
    pub(crate) operation: &'static str,
    /// With `*` at the end, where the program makes the name up.
    pub(crate) target: &'static str,
}

/// Nothing beside the output.
pub(crate) fn nothing(_: &Place) -> String {
    String::new()
}

fn profiles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles/linux")
}

impl Program {
    /// A tool that is not installed.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.tools.iter().copied().find(|tool| match *tool {
            "cargo" => toolchain::find().is_none(),
            tool => !Path::new("/usr/bin").join(tool).exists(),
        })
    }

    fn text(&self) -> String {
        std::fs::read_to_string(profiles().join(self.profile)).unwrap()
    }

    /// Under its profile it does what it does without a sandbox.
    pub(crate) fn works(&self, user: User) {
        let (plain, outside) = {
            let place = self.place(user, &[]);
            let output = self.started(&place, self.words(&place)).output().unwrap();
            let plain = place.ran(&output);
            let outside = self.seen(&place, &plain);
            (plain, outside)
        };
        assert_eq!(plain.status, 0, "without a sandbox: {plain:#?}");
        assert!(outside.contains(self.shows), "without a sandbox: {outside}");
        let (ran, inside) = self.run(user, &self.text(), &[]);
        assert_eq!(ran.status, 0, "{ran:#?}");
        assert_eq!(inside, outside, "{ran:#?}");
    }

    /// With one rule taken out it fails, and the record says on what.
    pub(crate) fn needs_its_rule(&self, user: User) {
        let text = self.text();
        assert_eq!(text.matches(self.removed.rule).count(), 1, "{} has not exactly one such rule", self.profile);
        let place = self.place(user, &[]);
        let (ran, inside) = self.run_at(&place, &text.replace(self.removed.rule, ""));
        assert!(ran.status != 0 || !inside.contains(self.shows), "works without the rule: {ran:#?}");
        let target = self.expand(&place, self.removed.target);
        let is_it = |denial: &Value| {
            let at = denial["target"].as_str().unwrap_or_default();
            denial["operation"] == self.removed.operation
                && target.strip_suffix('*').map_or(at == target, |start| at.starts_with(start))
        };
        assert!(ran.denials.iter().any(is_it), "no refusal of {target}: {ran:#?}");
    }

    /// `--observe` under an empty profile refuses nothing, and rules made from its records suffice.
    pub(crate) fn can_be_learnt(&self, user: User) {
        let empty = "(version 1)\n(deny default)\n";
        let place = self.place(user, &["--observe".to_owned()]);
        let (observed, seen) = self.run_at(&place, empty);
        assert_eq!(observed.status, 0, "{observed:#?}");
        assert!(seen.contains(self.shows), "{observed:#?}");
        assert_eq!(observed.report["observe"], true, "{observed:#?}");
        let enforced = observed.report["operations"].as_object().unwrap();
        assert!(enforced.values().all(|operation| operation["status"] == "not_enforceable"), "{enforced:#?}");
        assert_eq!(observed.report["d1_roots"].as_array().map(Vec::len), Some(0));
        // The twin: the same empty profile, enforced, does not let it start.
        let (refused, _) = self.run(user, empty, &[]);
        assert_eq!(refused.status, 126, "{refused:#?}");
        let learnt = learn::profile(&observed.denials, &place);
        std::fs::remove_dir_all(place.root()).unwrap();
        std::fs::create_dir(place.root()).unwrap();
        place.own(&place.root());
        let place = place.with(&[]);
        self.fill(&place);
        let (ran, inside) = self.run_at(&place, &learnt);
        assert_eq!(ran.status, 0, "{learnt}\n{ran:#?}");
        assert!(inside.contains(self.shows), "{learnt}\n{ran:#?}");
    }

    /// A new place with what the program works on.
    fn place(&self, user: User, more: &[String]) -> Place {
        let words: Vec<&str> = more.iter().map(String::as_str).collect();
        let place = Place::new(user).with(&words);
        self.fill(&place);
        place
    }

    fn fill(&self, place: &Place) {
        for name in ["home", "tmp"] {
            place.directory(name);
        }
        (self.prepare)(place);
    }

    fn run(&self, user: User, profile: &str, more: &[String]) -> (Ran, String) {
        let place = self.place(user, more);
        self.run_at(&place, profile)
    }

    fn run_at(&self, place: &Place, profile: &str) -> (Ran, String) {
        let file = place.root().parent().unwrap().join("program.sb");
        std::fs::write(&file, profile).unwrap();
        let words = self.words(place);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let run = place.confined(&file, &words);
        let mut command: Vec<String> = vec![run.get_program().to_str().unwrap().to_owned()];
        let mut arguments = run.get_args().map(|word| word.to_str().unwrap().to_owned());
        // `sandbox run`, then the parameters.
        command.extend(arguments.by_ref().take(2));
        for (name, value) in self.params {
            command.extend(["-D".to_owned(), format!("{name}={}", self.expand(place, value))]);
        }
        command.extend(arguments);
        let ran = place.ran(&self.started(place, command).output().unwrap());
        let seen = self.seen(place, &ran);
        (ran, seen)
    }

    /// The command line as the place's user, with the program's environment, at most 60 seconds.
    fn started(&self, place: &Place, words: Vec<String>) -> Command {
        let mut command = place.guarded();
        command.args(words).env("LC_ALL", "C").env("HOME", place.path("home")).env("TMPDIR", place.path("tmp"));
        for (name, value) in self.env {
            command.env(name, self.expand(place, value));
        }
        command
    }

    fn words(&self, place: &Place) -> Vec<String> {
        self.command.iter().map(|word| self.expand(place, word)).collect()
    }

    fn expand(&self, place: &Place, text: &str) -> String {
        let text = text.replace("$W", place.root().to_str().unwrap());
        let text = if text.contains("$PORT") { text.replace("$PORT", &server::port().to_string()) } else { text };
        if text.contains("$TOOLCHAIN") {
            text.replace("$TOOLCHAIN", toolchain::readable_by(place.user).to_str().unwrap())
        } else {
            text
        }
    }

    /// Output and result, with the working directory's name taken out.
    fn seen(&self, place: &Place, ran: &Ran) -> String {
        let result = if ran.status == 0 { (self.result)(place) } else { String::new() };
        format!("{}{result}", ran.stdout).replace(place.root().to_str().unwrap(), "$W")
    }
}
