//! What can be taken out of a profile so that it only becomes narrower: whole `allow` forms, single operations of one,
//! single alternatives of an any-of.
//!
//! An alternative is one of several filters side by side, one member of a `require-any`, or one of several arguments of a
//! filter. The last operation or the last alternative takes its form with it, because a rule without filters would be
//! unconditional. `deny` forms, members of `require-all` and what stands below `require-not` are never touched. Edits
//! are made on the text by the places of forms, so that comments and layout of what stays are kept. Pure.

use std::collections::BTreeSet;

use crate::sbpl::{Diagnostics, FILTERS, FilterKind, Form, FormKind, Source, parse};
use crate::vocab::{Operation, Span};

/// Containers whose body forms are rules like any other; the number is how many items come before the body.
const CONTAINERS: [(&str, usize); 4] = [("begin", 1), ("with-filter", 2), ("when", 2), ("unless", 2)];

/// One thing that can be taken out, by its index in [`Candidates::elements`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What it is.
    pub kind: ElementKind,
    /// Line of the element in the input, from 1.
    pub line: u32,
    /// Its text on one line.
    pub text: String,
    /// Index of its `allow` form among all of them.
    form: usize,
    span: Span,
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementKind {
    /// A whole `allow` form.
    Form,
    /// One of several operations of a form.
    Operation,
    /// One alternative of an any-of.
    Alternative,
}

/// A condition as far as edits are concerned.
#[derive(Debug)]
enum Condition {
    /// Stays as it is.
    Fixed,
    /// Can be taken out; `parts` are any-ofs inside a `require-all`, which is gone when one of them is.
    Leaf { span: Span, element: Option<usize>, text: String, parts: Vec<Condition> },
    /// Gone when all members are.
    Any { span: Span, members: Vec<Condition> },
}

/// One `allow` form.
#[derive(Debug)]
struct Allow {
    span: Span,
    text: String,
    element: Option<usize>,
    operations: Vec<(String, Span, Option<usize>)>,
    /// Filters side by side: an any-of. Empty when the form is unconditional or cannot be taken apart.
    filters: Vec<Condition>,
}

/// Where rules stand.
#[derive(Debug)]
enum Item {
    Allow(usize),
    /// A form around rules; `fixed` when something else stands in it too.
    Container {
        span: Span,
        items: Vec<Item>,
        fixed: bool,
    },
}

/// A profile text and everything that can be taken out of it.
#[derive(Debug)]
pub struct Candidates {
    text: String,
    items: Vec<Item>,
    allows: Vec<Allow>,
    elements: Vec<Element>,
    /// Texts of the top-level forms that are no rules: definitions that conditions may refer to.
    definitions: Vec<String>,
}

impl Candidates {
    /// Reads a profile.
    ///
    /// # Errors
    /// The text cannot be read as forms.
    pub fn read(source: &Source) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let forms = parse(std::slice::from_ref(source), 0, &mut diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        let mut read = Self {
            text: source.text.clone(),
            items: Vec::new(),
            allows: Vec::new(),
            elements: Vec::new(),
            definitions: Vec::new(),
        };
        for form in &forms {
            match form.head() {
                Some("allow" | "deny" | "version" | "import" | "debug") => {}
                Some(head) if CONTAINERS.iter().any(|(name, _)| *name == head) => {}
                _ => read.definitions.push(form.to_string()),
            }
            if let Some(item) = read.item(form) {
                read.items.push(item);
            }
        }
        Ok(read)
    }

    /// Everything that can be taken out, in the order of the text.
    #[must_use]
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// The text without the elements of `removed`.
    #[must_use]
    pub fn without(&self, removed: &BTreeSet<usize>) -> String {
        self.cut_text(removed, false)
    }

    /// The same with every line end kept: rules stand in the lines that [`Element::line`] and [`Candidates::deciding`] speak
    /// of.
    #[must_use]
    pub fn masked(&self, removed: &BTreeSet<usize>) -> String {
        self.cut_text(removed, true)
    }

    fn cut_text(&self, removed: &BTreeSet<usize>, keep_lines: bool) -> String {
        let mut cuts = Vec::new();
        for item in &self.items {
            self.cut_item(item, removed, &mut cuts);
        }
        let mut text = String::with_capacity(self.text.len());
        let mut at = 0;
        for (start, end) in cuts {
            text.push_str(&self.text[at..start]);
            if keep_lines {
                text.extend(self.text[start..end].matches('\n'));
            } else if self.text[end..].trim_start_matches([' ', '\t']).starts_with(')') {
                // A parenthesis does not stand alone, unless a comment ends before it.
                let last = text.trim_end().rsplit('\n').next().unwrap_or_default();
                if !last.contains(';') {
                    text.truncate(text.trim_end().len());
                    at = end + (self.text[end..].len() - self.text[end..].trim_start_matches([' ', '\t']).len());
                    continue;
                }
            }
            at = end;
        }
        text.push_str(&self.text[at..]);
        text
    }

    /// Which elements an access is about, given the line of the rule that allowed it: the operations of that form that cover
    /// `operation` and those of its alternatives for which `matches` holds. `matches` gets a profile with nothing but that
    /// alternative.
    pub fn deciding(&self, line: u32, operation: &Operation, mut matches: impl FnMut(&str) -> bool) -> BTreeSet<usize> {
        let mut hit = BTreeSet::new();
        for allow in self.allows.iter().filter(|allow| allow.span.line == line) {
            hit.extend(allow.element);
            for (name, _, element) in &allow.operations {
                if Operation::new(name.as_str()).covers(operation) {
                    hit.extend(*element);
                }
            }
            let mut leaves = Vec::new();
            allow.filters.iter().for_each(|filter| collect_leaves(filter, &mut leaves));
            let matching: BTreeSet<usize> = leaves
                .iter()
                .filter(|(_, text)| matches(&self.alone(operation.as_str(), text)))
                .map(|(element, _)| *element)
                .collect();
            // What cannot be told apart counts as used as a whole.
            if matching.is_empty() {
                hit.extend(leaves.iter().map(|(element, _)| *element));
            } else {
                hit.extend(matching);
            }
        }
        hit
    }

    fn alone(&self, operation: &str, condition: &str) -> String {
        let definitions = self.definitions.join("\n");
        format!("(version 1)\n(deny default)\n{definitions}\n(allow {operation} {condition})\n")
    }

    /// The text of the form an element belongs to.
    #[must_use]
    pub fn form_text(&self, element: usize) -> &str {
        self.elements.get(element).map_or("", |element| &self.allows[element.form].text)
    }

    fn item(&mut self, form: &Form) -> Option<Item> {
        let head = form.head()?;
        if head == "allow" {
            return self.allow(form);
        }
        let (_, before) = CONTAINERS.iter().find(|(name, _)| *name == head)?;
        let body = form.as_list()?.get(*before..)?;
        let items: Vec<Option<Item>> = body.iter().map(|form| self.item(form)).collect();
        let fixed = items.iter().any(Option::is_none);
        Some(Item::Container { span: form.span, items: items.into_iter().flatten().collect(), fixed })
    }

    fn allow(&mut self, form: &Form) -> Option<Item> {
        let index = self.allows.len();
        let items = form.as_list()?.get(1..)?;
        let mut operations = Vec::new();
        let mut filters = Vec::new();
        let mut whole = false;
        for item in items {
            match (item.as_symbol(), item.head()) {
                (Some(name), _) if Operation::new(name).is_known() => {
                    operations.push((name.to_owned(), item.span, None));
                }
                (None, Some("with")) => {}
                (None, Some(_)) => filters.push(condition(item)),
                // A name that stands for something else: the form is one thing.
                _ => whole = true,
            }
        }
        let text = form.to_string();
        let mut allow = Allow { span: form.span, text, element: None, operations, filters };
        let alternatives: usize = allow.filters.iter().map(leaves).sum();
        let several_operations = allow.operations.len() > 1;
        if whole || allow.operations.is_empty() || (!several_operations && alternatives <= 1) {
            allow.element = Some(self.element(ElementKind::Form, index, form.span, allow.text.clone()));
        } else {
            if several_operations {
                for (name, span, element) in &mut allow.operations {
                    *element = Some(self.element(ElementKind::Operation, index, *span, name.clone()));
                }
            }
            if alternatives > 1 {
                let mut filters = std::mem::take(&mut allow.filters);
                filters.iter_mut().for_each(|filter| self.number(filter, index));
                allow.filters = filters;
            }
        }
        self.allows.push(allow);
        Some(Item::Allow(index))
    }

    fn number(&mut self, condition: &mut Condition, form: usize) {
        match condition {
            Condition::Fixed => {}
            Condition::Any { members, .. } => members.iter_mut().for_each(|member| self.number(member, form)),
            Condition::Leaf { span, element, text, parts } => {
                *element = Some(self.element(ElementKind::Alternative, form, *span, text.clone()));
                parts.iter_mut().for_each(|part| self.number(part, form));
            }
        }
    }

    fn element(&mut self, kind: ElementKind, form: usize, span: Span, text: String) -> usize {
        self.elements.push(Element { kind, line: span.line, text, form, span });
        self.elements.len() - 1
    }

    fn cut_item(&self, item: &Item, removed: &BTreeSet<usize>, cuts: &mut Vec<(usize, usize)>) {
        match item {
            Item::Allow(index) => {
                let allow = &self.allows[*index];
                if allow.is_dropped(removed) {
                    cuts.push(self.cut(allow.span));
                    return;
                }
                let mut spans: Vec<Span> = Vec::new();
                for (_, span, element) in &allow.operations {
                    if element.is_some_and(|element| removed.contains(&element)) {
                        spans.push(*span);
                    }
                }
                allow.filters.iter().for_each(|filter| dropped_spans(filter, removed, &mut spans));
                spans.sort_by_key(|span| span.start);
                cuts.extend(spans.into_iter().map(|span| self.cut(span)));
            }
            Item::Container { span, items, fixed } => {
                if !fixed && items.iter().all(|item| self.is_item_dropped(item, removed)) {
                    cuts.push(self.cut(*span));
                } else {
                    items.iter().for_each(|item| self.cut_item(item, removed, cuts));
                }
            }
        }
    }

    fn is_item_dropped(&self, item: &Item, removed: &BTreeSet<usize>) -> bool {
        match item {
            Item::Allow(index) => self.allows[*index].is_dropped(removed),
            Item::Container { items, fixed, .. } => {
                !fixed && items.iter().all(|item| self.is_item_dropped(item, removed))
            }
        }
    }

    /// The bytes to take out with a form: its own, and its line where nothing else stands on it. A line end before it is
    /// never touched, since a comment may end there.
    fn cut(&self, span: Span) -> (usize, usize) {
        let (start, end) = (span.start as usize, span.end as usize);
        let before = self.text[..start].trim_end_matches([' ', '\t']).len();
        let rest = &self.text[end..];
        let after = end + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
        let line_begins = before == 0 || self.text[..before].ends_with('\n');
        match self.text.as_bytes().get(after) {
            Some(b'\n') if line_begins => (before, after + 1),
            None if line_begins => (before, after),
            _ if line_begins => (start, end),
            _ => (before, end),
        }
    }
}

impl Allow {
    fn is_dropped(&self, removed: &BTreeSet<usize>) -> bool {
        let gone = |element: &Option<usize>| element.is_some_and(|element| removed.contains(&element));
        gone(&self.element)
            || (!self.operations.is_empty() && self.operations.iter().all(|(_, _, element)| gone(element)))
            || (!self.filters.is_empty() && self.filters.iter().all(|filter| is_dropped(filter, removed)))
    }
}

fn is_dropped(condition: &Condition, removed: &BTreeSet<usize>) -> bool {
    match condition {
        Condition::Fixed => false,
        Condition::Any { members, .. } => members.iter().all(|member| is_dropped(member, removed)),
        Condition::Leaf { element, parts, .. } => {
            element.is_some_and(|element| removed.contains(&element))
                || parts.iter().any(|part| is_dropped(part, removed))
        }
    }
}

fn dropped_spans(condition: &Condition, removed: &BTreeSet<usize>, spans: &mut Vec<Span>) {
    match condition {
        Condition::Fixed => {}
        Condition::Any { span, .. } | Condition::Leaf { span, .. } if is_dropped(condition, removed) => {
            spans.push(*span);
        }
        Condition::Any { members, .. } => members.iter().for_each(|member| dropped_spans(member, removed, spans)),
        Condition::Leaf { parts, .. } => parts.iter().for_each(|part| dropped_spans(part, removed, spans)),
    }
}

fn leaves(condition: &Condition) -> usize {
    match condition {
        Condition::Fixed => 0,
        Condition::Any { members, .. } => members.iter().map(leaves).sum(),
        Condition::Leaf { parts, .. } => 1 + parts.iter().map(leaves).sum::<usize>(),
    }
}

fn collect_leaves(condition: &Condition, into: &mut Vec<(usize, String)>) {
    match condition {
        Condition::Fixed => {}
        Condition::Any { members, .. } => members.iter().for_each(|member| collect_leaves(member, into)),
        Condition::Leaf { element, text, parts, .. } => {
            into.extend(element.map(|element| (element, text.clone())));
            parts.iter().for_each(|part| collect_leaves(part, into));
        }
    }
}

/// A filter in a place where taking it out narrows the rule.
fn condition(form: &Form) -> Condition {
    let items = form.as_list().unwrap_or_default();
    match form.head() {
        Some("require-any") if items.len() > 1 => {
            Condition::Any { span: form.span, members: items[1..].iter().map(condition).collect() }
        }
        Some("require-all") => Condition::Leaf {
            span: form.span,
            element: None,
            text: form.to_string(),
            // Members stay; but what is an any-of among them can become narrower.
            parts: items.iter().skip(1).filter_map(any_of).collect(),
        },
        Some(head) => match arguments(head, form) {
            Some(members) => Condition::Any { span: form.span, members },
            None => Condition::Leaf { span: form.span, element: None, text: form.to_string(), parts: Vec::new() },
        },
        None => Condition::Fixed,
    }
}

/// A member of a `require-all` as an any-of, where it is one.
fn any_of(form: &Form) -> Option<Condition> {
    match form.head() {
        Some("require-any") => Some(condition(form)),
        Some(head) => arguments(head, form).map(|members| Condition::Any { span: form.span, members }),
        None => None,
    }
}

/// The arguments of a filter that takes several, meaning any of them.
fn arguments(head: &str, form: &Form) -> Option<Vec<Condition>> {
    let spec = FILTERS.iter().find(|spec| spec.name == head)?;
    let splits = matches!(
        spec.kind,
        FilterKind::Path(_) | FilterKind::Attribute { .. } | FilterKind::VnodeType | FilterKind::Target
    );
    let items = form.as_list()?.get(1..)?;
    let plain = items.iter().all(|item| {
        !matches!(item.kind, FormKind::Quoted(..) | FormKind::Comment(_)) && item.head() != Some("unquote-splicing")
    });
    (splits && plain && items.len() > 1).then(|| {
        let leaf = |item: &Form| Condition::Leaf {
            span: item.span,
            element: None,
            text: format!("({head} {item})"),
            parts: Vec::new(),
        };
        items.iter().map(leaf).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Candidates {
        Candidates::read(&Source::new("t.sb", text)).unwrap()
    }

    fn texts(candidates: &Candidates) -> Vec<&str> {
        candidates.elements().iter().map(|element| element.text.as_str()).collect()
    }

    #[test]
    fn elements_are_forms_operations_and_alternatives() {
        let found = read(
            "(version 1)\n(deny default)\n(allow process-fork)\n(allow file-read* file-write* (literal \"/a\"))\n\
             (allow file-read* (literal \"/a\" \"/b\") (subpath \"/c\"))\n\
             (allow file-read* (require-all (subpath \"/d\") (require-any (literal \"/d/1\") (literal \"/d/2\"))))\n\
             (allow file-read* (require-not (require-any (literal \"/x\") (literal \"/y\"))))\n",
        );
        assert_eq!(
            texts(&found),
            [
                "(allow process-fork)",
                "file-read*",
                "file-write*",
                "(literal \"/a\")",
                "(literal \"/b\")",
                "(subpath \"/c\")",
                "(require-all (subpath \"/d\") (require-any (literal \"/d/1\") (literal \"/d/2\")))",
                "(literal \"/d/1\")",
                "(literal \"/d/2\")",
                "(allow file-read* (require-not (require-any (literal \"/x\") (literal \"/y\"))))",
            ]
        );
    }

    #[test]
    fn the_last_alternative_or_operation_takes_its_form_with_it() {
        let found = read(
            "(version 1)\n(allow file-read*\n  (literal \"/a\" \"/b\")\n  (subpath \"/c\")) ; end\n(deny default)\n",
        );
        let without = |removed: &[usize]| found.without(&removed.iter().copied().collect());
        assert_eq!(
            without(&[0]),
            "(version 1)\n(allow file-read*\n  (literal \"/b\")\n  (subpath \"/c\")) ; end\n(deny default)\n"
        );
        assert_eq!(without(&[0, 1]), "(version 1)\n(allow file-read*\n  (subpath \"/c\")) ; end\n(deny default)\n");
        assert_eq!(without(&[0, 1, 2]), "(version 1)\n ; end\n(deny default)\n");
        let found = read("(version 1)\n(allow file-read* file-write* (subpath \"/c\"))\n");
        assert_eq!(found.without(&[0].into()), "(version 1)\n(allow file-write* (subpath \"/c\"))\n");
        assert_eq!(found.without(&[0, 1].into()), "(version 1)\n");
    }

    #[test]
    fn a_comment_never_swallows_what_follows() {
        let found = read("(allow file-read* ; why\n  (literal \"/a\") ; a\n  (literal \"/b\"))\n");
        for removed in [&[0][..], &[1], &[0, 1]] {
            let text = found.without(&removed.iter().copied().collect());
            assert!(Candidates::read(&Source::new("t", text.as_str())).is_ok(), "{text}");
        }
    }

    #[test]
    fn rules_inside_containers_are_candidates_and_an_empty_container_goes() {
        let found =
            read("(when (param \"X\") (allow process-fork) (allow signal))\n(define (f) (allow sysctl-read))\n");
        assert_eq!(texts(&found), ["(allow process-fork)", "(allow signal)"]);
        assert_eq!(found.without(&[0, 1].into()), "(define (f) (allow sysctl-read))\n");
        assert_eq!(
            found.without(&[0].into()),
            "(when (param \"X\") (allow signal))\n(define (f) (allow sysctl-read))\n"
        );
    }
}
