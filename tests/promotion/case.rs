//! A bundle with its packet and attestation, the keys of published examples, and the answers of `promotion verify`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::{Hand, Laid, code, runtime};

/// The key of RFC 8410, section 10.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
pub(crate) const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
/// Another one: RFC 8032, section 7.1, test 1.
pub(crate) const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
pub(crate) const OTHER_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

pub(crate) struct Case {
    pub(crate) laid: Laid,
}

impl Case {
    /// A laid bundle with both keys beside it.
    pub(crate) fn of(hand: &Hand) -> Self {
        let case = Self { laid: hand.lay() };
        for (name, text, mode) in [
            ("key.pem", KEY, 0o600),
            ("public.pem", PUBLIC, 0o644),
            ("other.pem", OTHER_KEY, 0o600),
            ("other-public.pem", OTHER_PUBLIC, 0o644),
        ] {
            std::fs::write(case.path(name), text).unwrap();
            std::fs::set_permissions(case.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        case
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.laid.temp.path().join(name)
    }

    pub(crate) fn emit(&self, more: &[&str]) -> Output {
        let (bundle, out) = (self.laid.root.display().to_string(), self.path("p.json").display().to_string());
        let mut args = vec!["emit-promotion", "--bundle", &bundle, "--out", &out];
        let more: Vec<String> = more.iter().map(|arg| self.named(arg)).collect();
        args.extend(more.iter().map(String::as_str));
        runtime(&args)
    }

    /// `promotion verify --json` of `packet`: exit status and answer.
    pub(crate) fn verify(&self, packet: &str, more: &[&str]) -> (i32, Value) {
        let packet = self.path(packet).display().to_string();
        let mut args = vec!["--json", "promotion", "verify", "--packet", &packet];
        let more: Vec<String> = more.iter().map(|arg| self.named(arg)).collect();
        args.extend(more.iter().map(String::as_str));
        let output = runtime(&args);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (code(&output), answer)
    }

    /// An argument that begins with `@` is a file of this case.
    fn named(&self, arg: &str) -> String {
        match arg.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => arg.to_owned(),
        }
    }

    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut document = read(&self.path(name));
        change(&mut document);
        std::fs::write(self.path(name), serde_json::to_string_pretty(&document).unwrap()).unwrap();
    }
}

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Ids of the errors, sorted, each once.
pub(crate) fn errors(answer: &Value) -> Vec<String> {
    crate::support::ids(answer, "error")
}

pub(crate) fn warnings(answer: &Value) -> Vec<String> {
    crate::support::ids(answer, "warning")
}
