//! The one layout of a profile's text. Comments, strings and the order of forms stay as they are.
//!
//! A form that stands on one line and fits stays on one line; any other is broken: its head with the names that follow,
//! then one item per line. Single blank lines between items stay. Invariants: the layout of a layout is itself; reading
//! the result gives the same forms and comments.

use super::diagnostic::Diagnostics;
use super::form::{Form, FormKind, mark_before, parse_with_comments};
use super::source::Source;

/// The widest line that is not broken, in characters.
const WIDTH: usize = 100;
/// Columns added by one level.
const INDENT: usize = 2;

/// Lays a profile out.
///
/// # Errors
/// The text cannot be read; every problem found.
pub fn format(source: &Source) -> Result<String, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let sources = std::slice::from_ref(source);
    let forms = parse_with_comments(sources, 0, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let newlines = source.text.match_indices('\n').map(|(at, _)| at).collect();
    let mut layout = Layout { text: &source.text, newlines, out: String::new(), column: 0 };
    let mut previous: Option<&Form> = None;
    for form in &forms {
        layout.separate(previous, form, 0);
        layout.form(form, 0);
        previous = Some(form);
    }
    if previous.is_some() {
        layout.out.push('\n');
    }
    Ok(layout.out)
}

struct Layout<'a> {
    text: &'a str,
    /// Offsets of all line ends.
    newlines: Vec<usize>,
    out: String,
    /// Characters on the current line.
    column: usize,
}

impl<'a> Layout<'a> {
    /// What stands between two neighbours: nothing before the first, two spaces before a comment on the same line, else
    /// a line end and at most one blank line.
    fn separate(&mut self, previous: Option<&Form>, next: &Form, indent: usize) {
        let Some(previous) = previous else { return };
        let lines = self.lines_between(previous, next);
        if lines == 0 && matches!(next.kind, FormKind::Comment(_)) {
            self.put("  ");
            return;
        }
        self.line(indent, lines > 1);
    }

    fn lines_between(&self, previous: &Form, next: &Form) -> usize {
        self.line_of(next.span.start).saturating_sub(self.line_of(previous.span.end))
    }

    /// How many line ends stand before a byte.
    fn line_of(&self, offset: u32) -> usize {
        self.newlines.partition_point(|&newline| newline < offset as usize)
    }

    fn is_broken(&self, form: &Form) -> bool {
        self.line_of(form.span.start) != self.line_of(form.span.end)
    }

    fn line(&mut self, indent: usize, blank: bool) {
        self.out.push('\n');
        if blank {
            self.out.push('\n');
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn raw(&self, form: &Form) -> &'a str {
        &self.text[form.span.start as usize..form.span.end as usize]
    }

    fn form(&mut self, form: &Form, indent: usize) {
        match &form.kind {
            FormKind::Quoted(kind, inner) => {
                let mark = mark_before(*kind, inner);
                self.put(mark);
                self.form(inner, indent + mark.len());
            }
            FormKind::List(items) => {
                if !self.is_broken(form) {
                    let mut flat = String::new();
                    self.flat(form, &mut flat);
                    if self.column + flat.chars().count() <= WIDTH {
                        self.put(&flat);
                        return;
                    }
                }
                self.broken(items, indent);
            }
            FormKind::Comment(text) => self.put(text),
            _ => self.put(self.raw(form)),
        }
    }

    /// A form that stands on one line, with single spaces.
    fn flat(&self, form: &Form, out: &mut String) {
        match &form.kind {
            FormKind::Quoted(kind, inner) => {
                out.push_str(mark_before(*kind, inner));
                self.flat(inner, out);
            }
            FormKind::List(items) => {
                out.push('(');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    self.flat(item, out);
                }
                out.push(')');
            }
            _ => out.push_str(self.raw(form)),
        }
    }

    /// A list over several lines.
    fn broken(&mut self, items: &[Form], indent: usize) {
        self.put("(");
        let Some((first, rest)) = items.split_first() else {
            self.put(")");
            return;
        };
        // A list of data hangs below its first item, a call below its head.
        let head = first.as_symbol();
        let inner = indent + if head.is_some() { INDENT } else { 1 };
        self.form(first, indent + 1);
        let mut previous = first;
        let mut on_head_line = head.map_or(0, |name| beside_head(name, rest));
        for item in rest {
            let beside = on_head_line > 0 && !matches!(item.kind, FormKind::Comment(_));
            let fits = || self.column + 1 + self.raw(item).chars().count() <= WIDTH;
            if beside && (fits() || !matches!(item.kind, FormKind::Symbol(_))) {
                on_head_line -= 1;
                self.put(" ");
                let indent = if item.as_list().is_some() { self.column } else { inner };
                self.form(item, indent);
            } else {
                if !beside {
                    on_head_line = 0;
                }
                self.separate_in_list(previous, item, inner);
                self.form(item, inner);
            }
            previous = item;
        }
        if matches!(previous.kind, FormKind::Comment(_)) {
            // Nothing may follow a comment on its line.
            self.line(indent, false);
        }
        self.put(")");
    }

    /// Inside a list neighbours never share a line, comments apart.
    fn separate_in_list(&mut self, previous: &Form, next: &Form, indent: usize) {
        let lines = self.lines_between(previous, next);
        if lines == 0 && matches!(next.kind, FormKind::Comment(_)) {
            self.put("  ");
        } else {
            self.line(indent, lines > 1);
        }
    }
}

/// How many items stay on the line of a head: what the form is about, not what it contains.
fn beside_head(name: &str, items: &[Form]) -> usize {
    let names = items.iter().take_while(|item| matches!(item.kind, FormKind::Symbol(_))).count();
    match name {
        "define" | "define-once" | "lambda" | "let*" | "letrec" | "if" | "when" | "unless" | "case" | "with-filter"
        | "for-each" | "map" | "set!" => 1,
        // A named let has its name first.
        "let" => 1 + usize::from(items.first().is_some_and(|item| item.as_symbol().is_some())),
        _ => names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> String {
        format(&Source::new("t.sb", text)).unwrap()
    }

    #[test]
    fn forms_are_laid_out_one_way() {
        for (text, expected) in [
            ("", ""),
            ("( version   1 )", "(version 1)\n"),
            ("(version 1)\n\n\n\n(deny default) ; why\n", "(version 1)\n\n(deny default)  ; why\n"),
            ("(a)(b)", "(a)\n(b)\n"),
            (
                "(allow file-read* (literal \"/\")\n   (subpath \"/a\"))",
                "(allow file-read*\n  (literal \"/\")\n  (subpath \"/a\"))\n",
            ),
            ("(define (f x)\n(allow x))", "(define (f x)\n  (allow x))\n"),
            ("(if (param \"A\")\n(b)\n\n(c)\n)", "(if (param \"A\")\n  (b)\n\n  (c))\n"),
            ("(a ; one\n b ; two\n)", "(a  ; one\n  b  ; two\n)\n"),
            ("(a\n;; alone\n(b))", "(a\n  ;; alone\n  (b))\n"),
            ("'(\"/a\"\n\"/b\")", "'(\"/a\"\n  \"/b\")\n"),
            ("(let ((a 1)\n(b 2))\n(c))", "(let ((a 1)\n      (b 2))\n  (c))\n"),
            ("(regex \"\\.x\" #\"\\.y\" #o0004)", "(regex \"\\.x\" #\"\\.y\" #o0004)\n"),
        ] {
            assert_eq!(formatted(text), expected, "{text}");
            assert_eq!(formatted(expected), expected, "again: {text}");
        }
    }

    #[test]
    fn long_lines_are_broken() {
        let paths: Vec<String> = (0..12).map(|n| format!("(subpath \"/some/long/path/{n}\")")).collect();
        let text = formatted(&format!("(allow file-read* file-write* {})", paths.join(" ")));
        assert_eq!(text.lines().count(), 13);
        assert_eq!(text.lines().next(), Some("(allow file-read* file-write*"));
        assert_eq!(formatted(&text), text);
    }

    #[test]
    fn what_cannot_be_read_is_not_laid_out() {
        assert_eq!(format(&Source::new("t.sb", "(a")).unwrap_err().items()[0].id, "unbalanced");
    }
}
