//! `sbpl diff` on profiles of real size: what says the same is found to say the same, and one rule is one difference.

use std::path::Path;

use runtime::sbpl::{ImportTexts, Params, Policy, Source, diff};

use super::support::fixture;

struct Profile {
    name: String,
    text: String,
    params: Vec<(&'static str, &'static str)>,
}

impl Profile {
    /// The profile with further texts behind it.
    fn with(&self, added: &[&str]) -> Policy {
        let library = fixture("profiles/lib/dynamic-program.sb");
        let import = Source::new("dynamic-program.sb", std::fs::read_to_string(library).unwrap());
        let imports = ImportTexts([("dynamic-program.sb".to_owned(), import)].into());
        let params: Params = self.params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let sources: Vec<Source> = std::iter::once(self.text.as_str())
            .chain(added.iter().copied())
            .map(|text| Source::new("p.sb", text))
            .collect();
        Policy::compile(&sources, &params, &imports).unwrap()
    }
}

/// The three profiles of `docs/sbpl.md` with their parameters.
fn large() -> Vec<Profile> {
    [
        (
            "browser.sb",
            vec![
                ("BUNDLE", "/Applications/Browser.app"),
                ("TMP", "/private/var/folders/zz/T/content"),
                ("HOME", "/Users/ada"),
            ],
        ),
        (
            "build_system.sb",
            vec![("EXEC_ROOT", "/srv/exec"), ("OUTPUT", "/srv/exec/out"), ("SCRATCH", "/private/tmp/scratch")],
        ),
        ("agent.sb", vec![("HOME", "/Users/ada"), ("PROJECT", "/Users/ada/src/app"), ("STATE", "/Users/ada/.agent")]),
    ]
    .map(|(name, params)| {
        let text = std::fs::read_to_string(fixture(&format!("profiles/{name}"))).unwrap();
        Profile { name: name.to_owned(), text, params }
    })
    .into()
}

/// The profiles of the plans in this repository.
fn shipped() -> Vec<Profile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/linux-baseline/sb");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| Profile {
            name: path.display().to_string(),
            text: std::fs::read_to_string(&path).unwrap(),
            params: vec![("FIXTURES", "/srv/fixtures"), ("PORT_SERVICE", "8080"), ("PORT_OWN", "8081")],
        })
        .collect()
}

#[test]
fn a_real_profile_equals_itself_and_itself_said_twice() {
    let (large, shipped) = (large(), shipped());
    assert!(shipped.len() >= 5, "{} shipped profiles", shipped.len());
    for profile in large.iter().chain(&shipped) {
        let one = profile.with(&[]);
        assert!(diff(&one, &profile.with(&[])).is_empty(), "{}", profile.name);
        // The rules a second time decide as the first time, but no two rule lists are equal.
        let twice = profile.with(&[&profile.text]);
        assert!(twice.rules().len() > one.rules().len());
        let found = [diff(&one, &twice), diff(&twice, &one)];
        assert!(found.iter().all(runtime::sbpl::ProfileDiff::is_empty), "{}: {found:#?}", profile.name);
    }
    assert!(large.iter().all(|profile| profile.with(&[]).rules().len() >= 150));
}

#[test]
fn one_rule_more_is_one_difference_of_a_real_profile() {
    for profile in large() {
        let one = profile.with(&[]);
        for (added, wider, narrower) in [
            ("(allow file-read-data (literal \"/nowhere/x\"))", true, false),
            ("(allow file-read-data (regex #\"^/nowhere/[a-z]+[.]x$\"))", true, false),
            ("(allow file-read* (subpath \"/nowhere\"))", true, false),
            ("(deny file-read* (literal \"/\"))", false, true),
            ("(deny sysctl-read)", false, true),
        ] {
            let found = diff(&one, &profile.with(&[added]));
            // Everything but the secrets of its users is readable in a build.
            let wider = wider && profile.name != "build_system.sb";
            assert_eq!(
                (!found.wider.is_empty(), !found.narrower.is_empty(), found.undecided.len()),
                (wider, narrower, 0),
                "{} {added}: {found:#?}",
                profile.name
            );
        }
    }
}
