//! Never wider, one-minimal, the same every time: on random profiles and accesses, without running anything.

use std::collections::BTreeSet;

use proptest::prelude::*;
use runtime::sbpl::{NoImports, Params, Policy, Query, Source};
use runtime::shrink::candidates::Candidates;
use runtime::shrink::search::{Likelihood, Oracle, Plan, Trial, minimise, most_trials};

const OPERATIONS: [&str; 6] =
    ["file*", "file-read*", "file-read-data", "file-write*", "file-read-metadata", "file-write-create"];
const PATHS: [&str; 8] = ["/a", "/a/b", "/a/b/c", "/a/x", "/b", "/b/q", "/c", "/"];

fn filter() -> impl Strategy<Value = String> {
    let path = prop::sample::select(&PATHS[..7]);
    let leaf = prop_oneof![
        path.clone().prop_map(|path| format!("(literal \"{path}\")")),
        path.clone().prop_map(|path| format!("(subpath \"{path}\")")),
        (path.clone(), path.clone()).prop_map(|(a, b)| format!("(literal \"{a}\" \"{b}\")")),
        path.prop_map(|path| format!("(require-not (subpath \"{path}\"))")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        (prop::sample::select(&["require-all", "require-any"][..]), prop::collection::vec(inner, 1..4))
            .prop_map(|(kind, parts)| format!("({kind} {})", parts.join(" ")))
    })
}

fn profile() -> impl Strategy<Value = String> {
    let rule = (
        prop::sample::select(&["allow", "allow", "deny"][..]),
        prop::collection::vec(prop::sample::select(&OPERATIONS[..]), 1..3),
        prop::collection::vec(filter(), 0..3),
        prop::sample::select(&["", " ; (literal \"/x\")", "\n  "][..]),
    );
    let rule = rule.prop_map(|(action, operations, filters, gap)| {
        let gap = if gap.starts_with(" ;") { format!("{gap}\n") } else { gap.to_owned() };
        format!("({action} {}{gap} {})\n", operations.join(" "), filters.join("\n  "))
    });
    (prop::collection::vec(rule, 1..8), prop::sample::select(&["(deny default)\n", "(allow default)\n", ""][..]))
        .prop_map(|(rules, default)| format!("(version 1)\n{default}{}", rules.concat()))
}

fn compile(text: &str) -> Policy {
    Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn allowed(policy: &Policy) -> BTreeSet<(String, String)> {
    let mut allowed = BTreeSet::new();
    for operation in ["file-read-data", "file-read-metadata", "file-write-create", "file-write-unlink", "process-fork"]
    {
        for path in PATHS.iter().chain(&["/z", "/a/b/c/d", "/x"]) {
            let path = Some(*path).filter(|_| operation != "process-fork");
            if Query::new(operation, path, &[]).unwrap().decide(policy).decision == "allow" {
                allowed.insert((operation.to_owned(), path.unwrap_or_default().to_owned()));
            }
        }
    }
    allowed
}

/// Succeeds as long as every access of a list is allowed.
struct Needs<'a> {
    candidates: &'a Candidates,
    needed: &'a BTreeSet<(String, String)>,
}

impl Oracle for Needs<'_> {
    type Error = ();
    fn test(&mut self, trials: &[Trial]) -> Result<Vec<bool>, ()> {
        let holds = |trial: &Trial| self.needed.is_subset(&allowed(&compile(&self.candidates.without(&trial.removed))));
        Ok(trials.iter().map(holds).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_taken_out_nothing_new_is_allowed(text in profile(), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let candidates = Candidates::read(&Source::new("p.sb", text.as_str())).unwrap();
        let before = allowed(&compile(&text));
        let n = candidates.elements().len();
        let removed: BTreeSet<usize> = picks.iter().filter(|_| n > 0).map(|pick| pick.index(n)).collect();
        let less = candidates.without(&removed);
        let after = compile(&less);
        prop_assert!(allowed(&after).is_subset(&before), "{text}\n{less}");
        prop_assert!(runtime::sbpl::diff(&compile(&text), &after).wider.is_empty(), "{text}\n{less}");
        // With the lines kept it says the same.
        prop_assert_eq!(allowed(&compile(&candidates.masked(&removed))), allowed(&after));
        // All of it can go, and no allow form is left.
        let none = candidates.without(&(0..n).collect());
        prop_assert!(!none.lines().any(|line| line.starts_with("(allow") && !line.contains("default")), "{}", none);
        prop_assert_eq!(candidates.without(&BTreeSet::new()), text);
    }

    #[test]
    fn the_search_ends_one_minimal_and_the_same_every_time(text in profile(), pick in any::<u64>(), jobs in 1usize..4) {
        let candidates = Candidates::read(&Source::new("p.sb", text.as_str())).unwrap();
        let needed: BTreeSet<(String, String)> =
            allowed(&compile(&text)).into_iter().enumerate().filter(|(at, _)| pick >> (at % 64) & 3 == 0).map(|(_, own)| own).collect();
        let n = candidates.elements().len();
        let classes = [Likelihood::Unused, Likelihood::Vain, Likelihood::Unknown, Likelihood::Used];
        let pending: Vec<(usize, Likelihood)> = (0..n).map(|own| (own, classes[(pick as usize).wrapping_add(own) % 4])).collect();
        let none = BTreeSet::new();
        let plan = Plan { jobs, repeat_each: false, sensitive: &none, most_trials: most_trials(n) };
        let search = || minimise(&mut Needs { candidates: &candidates, needed: &needed }, BTreeSet::new(), &pending, &plan).unwrap();
        let found = search();
        prop_assert_eq!(&found, &search());
        let works = |removed: &BTreeSet<usize>| needed.is_subset(&allowed(&compile(&candidates.without(removed))));
        prop_assert!(works(&found.removed));
        for kept in (0..n).filter(|own| !found.removed.contains(own)) {
            let mut more = found.removed.clone();
            more.insert(kept);
            // What changes nothing is gone with the rest of its form.
            prop_assert!(!works(&more) || candidates.without(&more) == candidates.without(&found.removed), "{}\n{}", text, candidates.elements()[kept].text);
        }
    }
}
