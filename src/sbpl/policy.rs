//! A compiled profile and its deciding rule: the last rule that matches an access decides.
//!
//! Invariants: `default` is order-free and asked last; nothing matched and no default line is a deny without a rule;
//! a decision is unknown only where the unknown part can change it. `SPEC.md`, section "SBPL".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::access::{Access, Decide, Verdict};
use super::compile;
use super::diagnostic::Diagnostics;
use super::filter::Filter;
use super::index::{self, Candidates, Expressions, NameIndex, PathIndex};
use super::matching::{Reason, Truth, View, named_side};
use super::reach::Reach;
use super::roots::Roots;
use super::rule::{MissingImport, Rule};
use super::source::{AbsentParams, ImportResolver, Params, Source};
use super::vocabulary;
use crate::vocab::{Decision, Operation, RuleRef, Verdict3};

/// A compiled profile: immutable, shareable between threads.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    missing: Vec<MissingImport>,
    warnings: Diagnostics,
    /// Per operation of the system's table, built when first asked. An alias shares the table of its canonical name,
    /// since what covers the one covers the other.
    tables: Box<[OnceLock<Box<Table>>]>,
    /// Tables of names outside of the system's table, each built when first asked; the first [`MAX_OTHER_TABLES`] names.
    other_tables: RwLock<BTreeMap<Operation, Arc<Table>>>,
}

/// A stream of questions may name any number of operations; those beyond are looked up anew each time.
const MAX_OTHER_TABLES: usize = 64;

/// What can decide one operation, in the order of asking.
#[derive(Debug)]
struct Table {
    steps: Vec<Step>,
    /// The same steps by what they name, built for the first access: many tables are only asked what holds everywhere.
    index: OnceLock<Option<Index>>,
    /// The same by path with expressions left open, built when first asked for; a comparison of profiles does.
    classes: OnceLock<PathIndex>,
    path_fits: bool,
    primary: Option<&'static str>,
}

/// Steps by path, and by the object's name where it has one. There is none where steps are few.
#[derive(Debug)]
struct Index {
    paths: PathIndex,
    names: Option<NameIndex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Rule(usize),
    /// Any rule may stand here.
    Missing(usize),
}

/// One thing that can decide an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Candidate<'p> {
    /// A rule.
    Rule(&'p Rule),
    /// A place where any rule may stand.
    Missing(&'p MissingImport),
}

/// Rules that apply to one access.
#[derive(Debug, Clone)]
pub struct Matching<'p> {
    /// Rules that match.
    pub certain: Vec<&'p Rule>,
    /// Rules of which it is unknown whether they match.
    pub open: Vec<&'p Rule>,
}

/// An answer that still points into the policy.
#[derive(Debug, Clone, Copy)]
pub struct Judgement<'p> {
    outcome: Outcome<'p>,
    rule: Option<&'p RuleRef>,
}

#[derive(Debug, Clone, Copy)]
enum Outcome<'p> {
    Decided(Decision),
    Unknown(Reason<'p>),
}

impl Judgement<'_> {
    /// The decision, or `None` when it is unknown.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        match self.outcome {
            Outcome::Decided(decision) => Some(decision),
            Outcome::Unknown(_) => None,
        }
    }

    /// Why the decision is unknown.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Decided(_) => None,
            Outcome::Unknown(reason) => Some(reason.to_string()),
        }
    }

    /// The deciding rule; for an unknown decision the rule that leaves it open.
    #[must_use]
    pub fn rule(&self) -> Option<&RuleRef> {
        self.rule
    }

    /// The owned form.
    #[must_use]
    pub fn to_verdict(&self) -> Verdict {
        let decision = match &self.outcome {
            Outcome::Decided(Decision::Allow) => Verdict3::Allow,
            Outcome::Decided(Decision::Deny) => Verdict3::Deny,
            Outcome::Unknown(reason) => Verdict3::Unknown(reason.to_string()),
        };
        Verdict { decision, rule: self.rule.cloned() }
    }
}

impl Policy {
    /// Compiles a profile: parses every source, evaluates helpers and parameters, collects the rules.
    ///
    /// `sources[0]` is the profile, the following ones are appended texts; all are evaluated in order as one text. Only
    /// the first needs a `(version …)` form.
    ///
    /// # Errors
    /// Every problem found, when any of them is an error.
    pub fn compile(sources: &[Source], params: &Params, imports: &dyn ImportResolver) -> Result<Self, Diagnostics> {
        compile::compile(sources, params, AbsentParams::False, imports)
    }

    /// Like [`Policy::compile`], with a choice of what a parameter without a value is.
    ///
    /// # Errors
    /// Every problem found, when any of them is an error.
    pub fn compile_with(
        sources: &[Source],
        params: &Params,
        absent: AbsentParams,
        imports: &dyn ImportResolver,
    ) -> Result<Self, Diagnostics> {
        compile::compile(sources, params, absent, imports)
    }

    /// A policy of rules that are compiled already.
    #[must_use]
    pub fn from_rules(rules: Vec<Rule>, missing: Vec<MissingImport>, warnings: Diagnostics) -> Self {
        let tables = (0..Operation::COUNT).map(|_| OnceLock::new()).collect();
        Self { rules, missing, warnings, tables, other_tables: RwLock::default() }
    }

    /// The rules in evaluation order, `default` lines among them.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Imports whose rules are unknown.
    #[must_use]
    pub fn missing_imports(&self) -> &[MissingImport] {
        &self.missing
    }

    /// What the compiler noticed without refusing the profile.
    #[must_use]
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// What happens when no rule matches: the last unconditional `default` line, else deny without a rule.
    #[must_use]
    pub fn default(&self) -> (Decision, Option<RuleRef>) {
        match self.rules.iter().rev().find(|rule| rule.is_default() && rule.filter.is_none()) {
            Some(rule) => (rule.action, Some(rule.reference.clone())),
            None => (Decision::Deny, None),
        }
    }

    /// Answers one access without copying anything.
    #[must_use]
    pub fn judge(&self, access: &Access<'_>) -> Judgement<'_> {
        self.with_table(access.operation, |table| self.judge_with(table, access))
    }

    /// The rules that match the access and those that may match it, each in textual order, `default` lines left out.
    #[must_use]
    pub fn matching(&self, access: &Access<'_>) -> Matching<'_> {
        self.with_table(access.operation, |table| {
            let view = View::new(access, table.path_fits, table.primary);
            let mut matching = Matching { certain: Vec::new(), open: Vec::new() };
            for step in table.steps.iter().rev() {
                let Step::Rule(index) = *step else { continue };
                let rule = &self.rules[index];
                if !rule.covers(access.operation) {
                    continue;
                }
                match self.rule_truth(index, &view) {
                    Truth::No => {}
                    Truth::Yes => matching.certain.push(rule),
                    Truth::Unknown(_) => matching.open.push(rule),
                }
            }
            matching
        })
    }

    /// What can decide an operation, in the order of asking.
    pub(crate) fn candidates(&self, operation: &Operation) -> Vec<Candidate<'_>> {
        self.with_table(operation, |table| {
            let candidate = |step: &Step| match *step {
                Step::Rule(index) => Candidate::Rule(&self.rules[index]),
                Step::Missing(index) => Candidate::Missing(&self.missing[index]),
            };
            table.steps.iter().map(candidate).collect()
        })
    }

    /// Places among [`Policy::candidates`] of all that may match an access, ascending. With `class` the access stands for
    /// others that differ from it in what expressions say.
    pub(crate) fn possible(&self, access: &Access<'_>, class: bool) -> Vec<usize> {
        self.with_table(access.operation, |table| {
            let view = View::new(access, table.path_fits, table.primary);
            let found = self.look_up(table, &view, class);
            let Some(found) = found else { return (0..table.steps.len()).collect() };
            let mut places: Vec<usize> = found.collect();
            places.dedup();
            places
        })
    }

    /// Whether one filter matches an access; `None` when that is unknown.
    pub(crate) fn filter_matches(&self, filter: &Filter, access: &Access<'_>) -> Option<bool> {
        self.with_table(access.operation, |table| {
            match View::new(access, table.path_fits, table.primary).matches(filter) {
                Truth::Yes => Some(true),
                Truth::No => Some(false),
                Truth::Unknown(_) => None,
            }
        })
    }

    /// What can leave accesses like this one undecided, whatever their values are: filters as a profile spells them, and what
    /// is not available. Each once.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "elsewhere the system decides, and tells nothing of this")
    )]
    pub(crate) fn left_open(&self, access: &Access<'_>) -> BTreeSet<String> {
        self.with_table(access.operation, |table| {
            let view = View::new(access, table.path_fits, table.primary);
            let (mut allow, mut deny, mut found) = (Vec::new(), Vec::new(), BTreeSet::new());
            // An open rule matters where a rule of the other action may decide in its place, as in `Open::close`.
            for step in &table.steps {
                let rule = match *step {
                    Step::Rule(index) => &self.rules[index],
                    Step::Missing(index) => {
                        allow.push(self.missing[index].reason.clone());
                        deny.push(self.missing[index].reason.clone());
                        continue;
                    }
                };
                let (own, other) = match rule.action {
                    Decision::Allow => (&mut allow, &mut deny),
                    Decision::Deny => (&mut deny, &mut allow),
                };
                let Some(filter) = &rule.filter else {
                    found.extend(other.drain(..));
                    return found;
                };
                if !view.never(filter) {
                    found.extend(other.drain(..));
                    own.extend(view.left_open(filter).into_iter().map(Filter::to_string));
                }
            }
            // Nothing matched: denied.
            found.extend(allow);
            found
        })
    }

    /// The decision of an operation when no filter can change it.
    #[must_use]
    pub fn unconditional(&self, operation: &Operation) -> Option<Decision> {
        self.with_table(operation, |table| {
            let mut action = None;
            for step in &table.steps {
                let Step::Rule(index) = step else { return None };
                let rule = &self.rules[*index];
                if *action.get_or_insert(rule.action) != rule.action {
                    return None;
                }
                if rule.filter.is_none() {
                    return action;
                }
            }
            match action {
                Some(Decision::Allow) => None,
                _ => Some(Decision::Deny),
            }
        })
    }

    /// A superset of the endpoints the profile could ever allow a network operation on.
    #[must_use]
    pub fn allow_reach(&self, operation: &Operation) -> Reach {
        let side = named_side(operation);
        self.with_table(operation, |table| {
            let mut reach = Reach::none();
            for step in &table.steps {
                let Step::Rule(index) = step else { return Reach::ALL };
                let rule = &self.rules[*index];
                reach = match (rule.action, &rule.filter) {
                    (Decision::Allow, None) => return Reach::ALL,
                    (Decision::Allow, Some(filter)) => reach.or(Reach::of_filter(filter, side)),
                    // An unconditional rule hides everything before it.
                    (Decision::Deny, None) => return reach,
                    (Decision::Deny, Some(_)) => reach,
                };
            }
            reach
        })
    }

    /// A superset of the paths the profile could ever allow the operation on.
    #[must_use]
    pub fn allow_roots(&self, operation: &Operation) -> Roots {
        self.with_table(operation, |table| {
            let mut bounds = Vec::new();
            for step in &table.steps {
                let Step::Rule(index) = step else { return Roots::All };
                let rule = &self.rules[*index];
                match (rule.action, &rule.filter) {
                    (Decision::Allow, None) => return Roots::All,
                    (Decision::Allow, Some(filter)) => bounds.push(Roots::of_filter(filter)),
                    // An unconditional rule hides everything before it.
                    (Decision::Deny, None) => break,
                    (Decision::Deny, Some(_)) => {}
                }
            }
            Roots::of_any(bounds)
        })
    }

    fn judge_with(&self, table: &Table, access: &Access<'_>) -> Judgement<'_> {
        let view = View::new(access, table.path_fits, table.primary);
        match self.look_up(table, &view, false) {
            Some(candidates) => self.first_match(candidates.map(|number| table.steps[number]), &view),
            None => self.first_match(table.steps.iter().copied(), &view),
        }
    }

    /// Numbers of the steps that may match, ascending; `None` when looking would not pay.
    fn look_up<'t>(&self, table: &'t Table, view: &View<'_>, class: bool) -> Option<Candidates<'t>> {
        let Index { paths, names } = table.index.get_or_init(|| self.index(table)).as_ref()?;
        match (view.known_path(), names, table.primary) {
            (Some(path), ..) if class => {
                table.classes.get_or_init(|| self.path_index(table, Expressions::LeftOpen)).candidates(path)
            }
            (Some(path), ..) => paths.candidates(path),
            (None, Some(names), Some(primary)) => names.candidates(view.known_word(primary)?),
            _ => None,
        }
    }

    fn first_match(&self, steps: impl Iterator<Item = Step>, view: &View<'_>) -> Judgement<'_> {
        let mut open = Open::default();
        for step in steps {
            match step {
                Step::Missing(index) => {
                    let missing = &self.missing[index];
                    let reason = Reason::Import(&missing.reason);
                    open.allow.get_or_insert((reason, &missing.reference));
                    open.deny.get_or_insert((reason, &missing.reference));
                }
                Step::Rule(index) => {
                    let rule = &self.rules[index];
                    match self.rule_truth(index, view) {
                        Truth::No => {}
                        Truth::Yes => return open.close(rule.action, Some(&rule.reference)),
                        Truth::Unknown(reason) => {
                            open.slot(rule.action).get_or_insert((reason, &rule.reference));
                        }
                    }
                }
            }
        }
        open.close(Decision::Deny, None)
    }

    fn rule_truth(&self, index: usize, view: &View<'_>) -> Truth<'_> {
        match &self.rules[index].filter {
            None => Truth::Yes,
            Some(filter) => view.matches(filter),
        }
    }

    fn with_table<T>(&self, operation: &Operation, use_table: impl FnOnce(&Table) -> T) -> T {
        match operation.canonical_index() {
            Some(index) => use_table(self.tables[index].get_or_init(|| Box::new(self.table(operation)))),
            None => use_table(&self.other_table(operation)),
        }
    }

    fn other_table(&self, operation: &Operation) -> Arc<Table> {
        // A table is complete before it is put in, so a poisoned lock protects nothing.
        let known = |tables: &BTreeMap<Operation, Arc<Table>>| tables.get(operation).map(Arc::clone);
        if let Some(table) = known(&self.other_tables.read().unwrap_or_else(PoisonError::into_inner)) {
            return table;
        }
        let table = Arc::new(self.table(operation));
        let mut tables = self.other_tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = known(&tables) {
            return table;
        }
        if tables.len() < MAX_OTHER_TABLES {
            tables.insert(operation.clone(), Arc::clone(&table));
        }
        table
    }

    fn index(&self, table: &Table) -> Option<Index> {
        (table.steps.len() >= index::WORTHWHILE).then(|| Index {
            paths: self.path_index(table, Expressions::Asked),
            names: table.primary.map(|primary| NameIndex::new(self.filters(table), primary)),
        })
    }

    fn path_index(&self, table: &Table, expressions: Expressions) -> PathIndex {
        PathIndex::new(self.filters(table), expressions)
    }

    /// The conditions of the steps; `None` is what may always match.
    fn filters<'t>(&'t self, table: &'t Table) -> impl Iterator<Item = Option<&'t Filter>> {
        table.steps.iter().map(|step| match *step {
            Step::Rule(index) => self.rules[index].filter.as_ref(),
            Step::Missing(_) => None,
        })
    }

    fn table(&self, operation: &Operation) -> Table {
        let mut steps = Vec::new();
        let mut defaults = Vec::new();
        let mut missing = self.missing.iter().enumerate().rev().peekable();
        for (index, rule) in self.rules.iter().enumerate().rev() {
            while let Some((number, _)) = missing.next_if(|(_, import)| import.position > index) {
                steps.push(Step::Missing(number));
            }
            if rule.covers(operation) {
                steps.push(Step::Rule(index));
            }
            if rule.is_default() {
                defaults.push(Step::Rule(index));
            }
        }
        steps.extend(missing.map(|(number, _)| Step::Missing(number)));
        steps.extend(defaults);
        Table {
            steps,
            index: OnceLock::new(),
            classes: OnceLock::new(),
            path_fits: vocabulary::path_fits(operation),
            primary: vocabulary::primary_attribute(operation),
        }
    }
}

/// Undecided rules met so far: the first of each action.
#[derive(Default)]
struct Open<'p> {
    allow: Option<(Reason<'p>, &'p RuleRef)>,
    deny: Option<(Reason<'p>, &'p RuleRef)>,
}

impl<'p> Open<'p> {
    fn slot(&mut self, action: Decision) -> &mut Option<(Reason<'p>, &'p RuleRef)> {
        match action {
            Decision::Allow => &mut self.allow,
            Decision::Deny => &mut self.deny,
        }
    }

    /// The answer once a rule is known to match: open rules of the same action cannot change it.
    fn close(mut self, action: Decision, rule: Option<&'p RuleRef>) -> Judgement<'p> {
        let other = match action {
            Decision::Allow => Decision::Deny,
            Decision::Deny => Decision::Allow,
        };
        match self.slot(other).take() {
            Some((reason, open_rule)) => Judgement { outcome: Outcome::Unknown(reason), rule: Some(open_rule) },
            None => Judgement { outcome: Outcome::Decided(action), rule },
        }
    }
}

impl Decide for Policy {
    fn decide(&self, access: &Access<'_>) -> Verdict {
        self.judge(access).to_verdict()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::access::{Endpoint, Target};
    use crate::sbpl::matching::is_beneath;
    use crate::sbpl::source::NoImports;
    use proptest::prelude::*;

    #[test]
    fn an_alias_shares_the_table_of_its_canonical_name() {
        let rules: String = (0..index::WORTHWHILE)
            .map(|number| {
                format!("(allow {} (subpath \"/p{number}\"))\n", ["process-exec", "process-exec*"][number % 2])
            })
            .collect();
        let text = format!("(version 1)\n(deny default)\n{rules}(deny process* (literal \"/p1/no\"))\n");
        for names in [["process-exec", "process-exec*"], ["process-exec*", "process-exec"]] {
            let policy = Policy::compile(&[Source::new("p.sb", &*text)], &Params::new(), &NoImports).unwrap();
            let (one, two) = (Operation::new(names[0]), Operation::new(names[1]));
            policy.with_table(&one, |first| policy.with_table(&two, |second| assert!(std::ptr::eq(first, second))));
            for (path, decision) in [
                ("/p0/x", Decision::Allow),
                ("/p1/x", Decision::Allow),
                ("/p1/no", Decision::Deny),
                ("/q", Decision::Deny),
            ] {
                let target = Target::Path { path: path.as_bytes(), vnode_type: None, mode: None };
                let [left, right] = [&one, &two].map(|operation| policy.judge(&Access { operation, target }));
                assert_eq!((left.decision(), left.rule()), (right.decision(), right.rule()), "{path}");
                assert_eq!(left.decision(), Some(decision), "{path}");
            }
        }
    }

    #[test]
    fn a_name_outside_of_the_table_keeps_its_table_within_a_bound() {
        let text = "(version 1)\n(deny default)\n(allow file-red* (subpath \"/a\"))\n";
        let policy = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap();
        let steps = |name: &str| policy.other_table(&Operation::new(name)).steps.len();
        let address = |name: &str| Arc::as_ptr(&policy.other_table(&Operation::new(name)));
        assert_eq!((steps("file-red-data"), steps("other-name")), (2, 1));
        assert_eq!(address("file-red-data"), address("file-red-data"));
        (0..2 * MAX_OTHER_TABLES).for_each(|number| assert_eq!(steps(&format!("name-{number}")), 1));
        assert_eq!(policy.other_tables.read().unwrap().len(), MAX_OTHER_TABLES);
    }

    const PATHS: [&str; 14] = [
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/c",
        "/a/bc",
        "/ab",
        "/ab/c",
        "/b",
        "/b/x.pem",
        "/a/x.pem",
        "/a/b/k.lock",
        "a",
        "",
    ];

    fn filter() -> impl Strategy<Value = String> {
        let path = prop::sample::select(vec!["/", "/a", "/a/b", "/a/b/c", "/ab", "/b"]);
        let regex = prop::sample::select(vec![
            r"^/a",
            r"^/a/b$",
            r"\.pem$",
            r"b",
            r"^/(a|b)/x",
            r"\.lock$",
            r"^",
            r"",
            r"^/a|^/b",
            r"\d",
            r"^/ab*",
        ]);
        let leaf = prop_oneof![
            4 => (prop::sample::select(vec!["literal", "subpath", "prefix", "path-ancestors"]), path)
                .prop_map(|(name, path)| format!("({name} \"{path}\")")),
            3 => regex.prop_map(|text| format!("(regex #\"{text}\")")),
            1 => prop::sample::select(vec!["(extension \"e\")", "(vnode-type FIFO)", "(prefix \"\")", "(remote unix-socket)"])
                .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let several = prop::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                several.clone().prop_map(|all| format!("(require-all {})", all.join(" "))),
                several.prop_map(|any| format!("(require-any {})", any.join(" "))),
                inner.prop_map(|not| format!("(require-not {not})")),
            ]
        })
    }

    fn profile() -> impl Strategy<Value = String> {
        let rule = (any::<bool>(), prop::collection::vec(filter(), 1..3)).prop_map(|(allow, filters)| {
            format!("({} file-read-data network-outbound {})", if allow { "allow" } else { "deny" }, filters.join(" "))
        });
        prop::collection::vec(rule, index::WORTHWHILE..40)
            .prop_map(|rules| format!("(version 1)\n{}", rules.join("\n")))
    }

    #[test]
    fn a_path_lies_beneath_what_it_goes_on_from_at_a_slash() {
        let trees = PATHS.iter().chain(&["//", "/a/b/"]);
        for (path, tree) in trees.flat_map(|tree| PATHS.iter().map(move |path| (path, tree))) {
            let goes_on = path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let beneath = goes_on || *tree == "/" && path.starts_with('/');
            assert_eq!(is_beneath(path.as_bytes(), tree.as_bytes()), beneath, "{path} {tree}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_allowed_on_a_whole_tree_is_allowed_on_each_path_in_it(text in profile(), more in filter()) {
            for text in [text.clone(), format!("{text}(allow file-read-data (subpath \"/a\"))(deny file-read-data {more})")] {
                let policy = Policy::compile(&[Source::new("p.sb", &*text)], &Params::new(), &NoImports).unwrap();
                let operation = Operation::new("file-read-data");
                for tree in ["/", "/a", "/a/b", "/b"] {
                    if !policy.allows_beneath(&operation, tree) {
                        continue;
                    }
                    for path in PATHS.iter().filter(|path| is_beneath(path.as_bytes(), tree.as_bytes())) {
                        let target = Target::Path { path: path.as_bytes(), vnode_type: None, mode: None };
                        let judgement = policy.judge(&Access { operation: &operation, target });
                        prop_assert_eq!(judgement.decision(), Some(Decision::Allow), "{} {}", tree, path);
                    }
                }
            }
        }

        #[test]
        fn looking_up_by_path_gives_what_asking_every_rule_gives(text in profile()) {
            let policy = Policy::compile(&[Source::new("p.sb", &*text)], &Params::new(), &NoImports).unwrap();
            for (operation, path) in ["file-read-data", "network-outbound"].iter().flat_map(|o| PATHS.map(|p| (o, p))) {
                let operation = Operation::new(*operation);
                let target = match operation.as_str() {
                    "file-read-data" => Target::Path { path: path.as_bytes(), vnode_type: None, mode: None },
                    _ => Target::Network(Endpoint::Unix(Some(path.as_bytes()))),
                };
                let access = Access { operation: &operation, target };
                policy.with_table(&operation, |table| {
                    prop_assert!(table.steps.len() >= index::WORTHWHILE);
                    let view = View::new(&access, table.path_fits, table.primary);
                    let all = policy.first_match(table.steps.iter().copied(), &view);
                    let looked_up = policy.judge(&access);
                    prop_assert_eq!(looked_up.rule(), all.rule(), "{} {}", operation, path);
                    prop_assert_eq!(looked_up.decision(), all.decision(), "{} {}", operation, path);
                    prop_assert_eq!(looked_up.reason(), all.reason(), "{} {}", operation, path);
                    Ok(())
                })?;
            }
        }
    }
}
