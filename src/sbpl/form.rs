//! The tree of a profile text, and how it is read.
//!
//! Reading is iterative and bounded in size, depth and number of forms; every form knows its place. `print` writes a
//! tree on one line so that reading it again gives the same tree.

use std::fmt;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::lex::{Lexer, QuoteKind, TokenKind};
use super::limits::{MAX_FORMS, MAX_NESTING, MAX_SOURCE_BYTES};
use super::source::Source;
use crate::vocab::{Severity, Span};

/// One form with its place.
#[derive(Debug, Clone)]
pub struct Form {
    /// What it is.
    pub kind: FormKind,
    /// Where it stands.
    pub span: Span,
}

/// What a form is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormKind {
    /// `(…)`
    List(Vec<Form>),
    /// A name.
    Symbol(String),
    /// `"…"` with escapes resolved.
    String(String),
    /// `#"…"` as written.
    Regex(String),
    /// A whole number with its spelling.
    Integer {
        /// The value.
        value: i64,
        /// The spelling, with its radix prefix.
        text: String,
    },
    /// `#t` or `#f`.
    Bool(bool),
    /// An abbreviated quotation.
    Quoted(QuoteKind, Box<Form>),
    /// A comment from its semicolon on; present only when comments were asked for.
    Comment(String),
}

impl PartialEq for Form {
    /// Forms are equal when they say the same, wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Form {}

impl Form {
    /// The items of a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Form]> {
        match &self.kind {
            FormKind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The name of a symbol.
    #[must_use]
    pub fn as_symbol(&self) -> Option<&str> {
        match &self.kind {
            FormKind::Symbol(name) => Some(name),
            _ => None,
        }
    }

    /// The name a list begins with.
    #[must_use]
    pub fn head(&self) -> Option<&str> {
        self.as_list()?.first()?.as_symbol()
    }
}

impl fmt::Display for Form {
    /// On one line, single spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FormKind::List(items) => {
                f.write_str("(")?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_str(" ")?;
                    }
                    item.fmt(f)?;
                }
                f.write_str(")")
            }
            FormKind::Symbol(name) => f.write_str(name),
            FormKind::String(text) => write_string(text, f),
            FormKind::Regex(text) => write!(f, "#\"{text}\""),
            FormKind::Integer { text, .. } => f.write_str(text),
            FormKind::Bool(true) => f.write_str("#t"),
            FormKind::Bool(false) => f.write_str("#f"),
            FormKind::Quoted(kind, inner) => {
                write!(f, "{}{inner}", mark_before(*kind, inner))
            }
            FormKind::Comment(_) => Ok(()),
        }
    }
}

/// A quotation mark as it stands before a form: `,` and a name that begins with `@` would read as `,@`.
pub(crate) fn mark_before(kind: QuoteKind, form: &Form) -> &'static str {
    match kind {
        QuoteKind::Unquote if form.as_symbol().is_some_and(|name| name.starts_with('@')) => ", ",
        _ => kind.mark(),
    }
}

/// Writes a string literal, escaping in one pass.
pub(crate) fn write_string(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_control() || matches!(c, '"' | '\\')) {
        out.write_str(&rest[..at])?;
        match rest.as_bytes()[at] {
            b'"' => out.write_str("\\\"")?,
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\t' => out.write_str("\\t")?,
            b'\r' => out.write_str("\\r")?,
            control => write!(out, "\\x{control:02x}")?,
        }
        rest = &rest[at + 1..];
    }
    out.write_str(rest)?;
    out.write_char('"')
}

/// Reads all top-level forms of `sources[source]`; problems go to `diagnostics`. After a syntax error the forms before
/// and after it are still returned.
pub fn parse(sources: &[Source], source: usize, diagnostics: &mut Diagnostics) -> Vec<Form> {
    Reader::new(sources, source, false).read(diagnostics)
}

/// Like [`parse`], with comments as forms.
pub fn parse_with_comments(sources: &[Source], source: usize, diagnostics: &mut Diagnostics) -> Vec<Form> {
    Reader::new(sources, source, true).read(diagnostics)
}

struct Reader<'a> {
    sources: &'a [Source],
    source: usize,
    comments: bool,
    forms: usize,
    open: Vec<Frame>,
    top: Vec<Form>,
    /// Where a form begins in the first column although another one is still open: where a `)` is probably missing.
    suspect: Option<Span>,
}

struct Frame {
    kind: FrameKind,
    span: Span,
    items: Vec<Form>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    List,
    Quoted(QuoteKind),
}

impl<'a> Reader<'a> {
    fn new(sources: &'a [Source], source: usize, comments: bool) -> Self {
        Self { sources, source, comments, forms: 0, open: Vec::new(), top: Vec::new(), suspect: None }
    }

    fn read(mut self, diagnostics: &mut Diagnostics) -> Vec<Form> {
        let size = self.sources[self.source].text.len();
        if size > MAX_SOURCE_BYTES {
            let message = format!("the text has {size} bytes; at most {MAX_SOURCE_BYTES} are read");
            diagnostics.push(self.error("too-large", self.start(), message));
            return self.top;
        }
        let mut lexer = Lexer::new(self.sources, self.source);
        let mut stopped = false;
        while let Some(token) = lexer.next() {
            if let Err(diagnostic) = self.token(token.kind, token.span) {
                lexer.diagnostics.push(*diagnostic);
                if self.forms > MAX_FORMS || self.open.len() >= MAX_NESTING {
                    stopped = true;
                    break;
                }
            }
        }
        diagnostics.append(&lexer.diagnostics);
        if !stopped {
            self.report_open(diagnostics);
        }
        self.top
    }

    fn start(&self) -> Span {
        Span { source: u32::try_from(self.source).unwrap_or(u32::MAX), start: 0, end: 0, line: 1, column: 1 }
    }

    fn error(&self, id: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, id, self.sources, span, message)
    }

    fn token(&mut self, kind: TokenKind<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        self.forms += 1;
        if self.forms > MAX_FORMS {
            let message = format!("the text has more than {MAX_FORMS} forms");
            return Err(Box::new(self.error("too-many-forms", span, message)));
        }
        let atom = match kind {
            TokenKind::Open => return self.begin(FrameKind::List, span),
            TokenKind::Quote(quote) => return self.begin(FrameKind::Quoted(quote), span),
            TokenKind::Close => return self.close(span),
            TokenKind::Comment(_) if !self.comments => return Ok(()),
            TokenKind::Comment(text) => {
                // A comment between a quotation mark and its form belongs before the mark.
                let form = Form { kind: FormKind::Comment(text.to_owned()), span };
                self.innermost_list().push(form);
                return Ok(());
            }
            TokenKind::Symbol(name) => FormKind::Symbol(name),
            TokenKind::String(text) => FormKind::String(text),
            TokenKind::Regex(text) => FormKind::Regex(text),
            TokenKind::Integer { value, text } => FormKind::Integer { value, text },
            TokenKind::Bool(value) => FormKind::Bool(value),
        };
        self.complete(Form { kind: atom, span });
        Ok(())
    }

    fn begin(&mut self, kind: FrameKind, span: Span) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= MAX_NESTING {
            let message = format!("forms are nested more than {MAX_NESTING} deep");
            return Err(Box::new(self.error("too-deep", span, message)));
        }
        if span.column == 1 && !self.open.is_empty() && self.suspect.is_none() {
            self.suspect = Some(span);
        }
        self.open.push(Frame { kind, span, items: Vec::new() });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Box<Diagnostic>> {
        match self.open.pop() {
            None => Err(Box::new(self.error("unbalanced", span, "this `)` closes nothing"))),
            Some(frame) if frame.kind == FrameKind::List => {
                let whole = Span { end: span.end, ..frame.span };
                self.complete(Form { kind: FormKind::List(frame.items), span: whole });
                if self.open.is_empty() {
                    self.suspect = None;
                }
                Ok(())
            }
            Some(frame) => {
                let error = self.error("dangling-quote", frame.span, "this quotation mark has no form after it");
                self.close(span)?;
                Err(Box::new(error))
            }
        }
    }

    /// Hands a finished form to what encloses it, finishing quotations on the way.
    fn complete(&mut self, mut form: Form) {
        while let Some(frame) = self.open.pop_if(|frame| frame.kind != FrameKind::List) {
            let FrameKind::Quoted(quote) = frame.kind else { break };
            let span = Span { end: form.span.end, ..frame.span };
            form = Form { kind: FormKind::Quoted(quote, Box::new(form)), span };
        }
        self.innermost_list().push(form);
    }

    fn innermost_list(&mut self) -> &mut Vec<Form> {
        match self.open.iter_mut().rev().find(|frame| frame.kind == FrameKind::List) {
            Some(frame) => &mut frame.items,
            None => &mut self.top,
        }
    }

    fn report_open(&self, diagnostics: &mut Diagnostics) {
        let Some(outermost) = self.open.first() else { return };
        let place = Span { end: outermost.span.start + 1, ..outermost.span };
        if outermost.kind != FrameKind::List {
            diagnostics.push(self.error("dangling-quote", place, "this quotation mark has no form after it"));
            return;
        }
        let mut diagnostic = self.error("unbalanced", place, "this `(` is never closed");
        if let Some(suspect) = self.suspect {
            diagnostic = diagnostic.help(format!(
                "a form begins in the first column of line {} while this one is still open; a `)` may be missing before it",
                suspect.line
            ));
        }
        diagnostics.push(diagnostic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Form>, Diagnostics) {
        let sources = [Source::new("t.sb", text)];
        let mut diagnostics = Diagnostics::new();
        let forms = parse(&sources, 0, &mut diagnostics);
        (forms, diagnostics)
    }

    #[test]
    fn printing_is_canonical_and_reads_back() {
        for (text, printed) in [
            ("(allow  file-read*\n (literal \"/a b\")) ; c", "(allow file-read* (literal \"/a b\"))"),
            ("( a '(b ,c ,@d) `e #f #o17)", "(a '(b ,c ,@d) `e #f #o17)"),
            ("(regex #\"\\.pem$\") \"\\x01\\\\\"", "(regex #\"\\.pem$\")\n\"\\x01\\\\\""),
            ("()", "()"),
            ("(, @a ,@b)", "(, @a ,@b)"),
        ] {
            let (forms, diagnostics) = read(text);
            assert!(diagnostics.is_empty(), "{text}: {diagnostics}");
            let shown = forms.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert_eq!(shown, printed);
            assert_eq!(read(&shown).0, forms);
        }
    }

    #[test]
    fn imbalance_is_reported_at_the_parenthesis() {
        for (text, id, line, column) in [
            ("(a\n (b)", "unbalanced", 1, 1),
            ("(a))\n(b)", "unbalanced", 1, 4),
            ("(a ')", "dangling-quote", 1, 4),
            ("'", "dangling-quote", 1, 1),
        ] {
            let (_, diagnostics) = read(text);
            let first = &diagnostics.items()[0];
            assert_eq!((first.id, first.span.line, first.span.column), (id, line, column), "{text:?}");
        }
        let (_, diagnostics) = read("(a (b)\n(c)\n(d)");
        assert!(diagnostics.items()[0].help.as_deref().unwrap().contains("line 2"));
    }

    #[test]
    fn depth_and_number_are_bounded() {
        for text in ["(".repeat(100_000), "'".repeat(100_000), "(a ".repeat(100_000)] {
            let (_, diagnostics) = read(&text);
            assert_eq!(diagnostics.items().len(), 1);
            assert_eq!(diagnostics.items()[0].id, "too-deep");
        }
        let (_, diagnostics) = read(&"() ".repeat(MAX_FORMS));
        assert_eq!(diagnostics.items()[0].id, "too-many-forms");
        let sources = [Source::new("big", " ".repeat(MAX_SOURCE_BYTES + 1))];
        let mut diagnostics = Diagnostics::new();
        parse(&sources, 0, &mut diagnostics);
        assert_eq!(diagnostics.items()[0].id, "too-large");
    }
}
