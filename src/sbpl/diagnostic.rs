//! What is wrong with a profile text, and where: structured, and rendered with the source line and a caret.
//!
//! A diagnostic carries its own excerpt, so it can be shown after the text is gone; excerpts are bounded however long a
//! line is.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::source::Source;
use crate::base::text::printable;
use crate::vocab::{Finding, Severity, Span};

/// The most diagnostics kept for one compilation.
pub(crate) const MAX_DIAGNOSTICS: usize = 100;
/// Characters of a source line shown around the place.
const EXCERPT_CHARS: usize = 120;

/// One problem at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Errors refuse the profile; warnings do not.
    pub severity: Severity,
    /// Stable id, `kebab-case`.
    pub id: &'static str,
    /// Name of the source.
    pub source: String,
    /// The place in it.
    pub span: Span,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    excerpt: Excerpt,
}

/// A window of the source line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    start: usize,
    end: usize,
    from_line_start: bool,
}

impl Diagnostic {
    /// A problem at `span` of `sources[span.source]`.
    #[must_use]
    pub fn new(
        severity: Severity,
        id: &'static str,
        sources: &[Source],
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        let source = sources.get(span.source as usize);
        Self {
            severity,
            id,
            source: source.map_or_else(String::new, |source| source.name.clone()),
            span,
            message: message.into(),
            help: None,
            excerpt: source.map_or_else(Excerpt::empty, |source| Excerpt::of(&source.text, span)),
        }
    }

    /// The same problem with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The problem with its source line and a caret, without a trailing newline.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let place = (self.source.as_str(), self.span.line as usize, self.span.column as usize);
        show(self.severity, self.id, place, &self.message, self.help.as_deref(), &self.excerpt, colour)
    }
}

/// A finding about a text with its source line and a caret, without a trailing newline. A finding that does not know its
/// bytes is shown up to the end of its line.
#[must_use]
pub fn render_finding(finding: &Finding, text: &str, colour: bool) -> String {
    let (line, column) = (finding.line.unwrap_or(1), finding.column.unwrap_or(1));
    let bytes = finding.bytes.clone().unwrap_or_else(|| {
        let line_start = match line.checked_sub(2) {
            None => 0,
            Some(newline) => text.match_indices('\n').nth(newline).map_or(text.len(), |(at, _)| at + 1),
        };
        let shown = text[line_start..].lines().next().unwrap_or_default();
        let before: usize = shown.chars().take(column - 1).map(char::len_utf8).sum();
        line_start + before..line_start + shown.trim_end().len()
    });
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    let excerpt = Excerpt::of(text, Span { source: 0, start: at(bytes.start), end: at(bytes.end), line: 0, column: 0 });
    let place = (finding.file.as_str(), line, column);
    show(finding.severity, &finding.id, place, &finding.message, finding.help.as_deref(), &excerpt, colour)
}

fn show(
    severity: Severity,
    id: &str,
    (file, line, column): (&str, usize, usize),
    message: &str,
    help: Option<&str>,
    excerpt: &Excerpt,
    colour: bool,
) -> String {
    // The renderer makes the excerpt printable, but not the name of the file and the advice.
    let (file, message) = (&*printable(file), &*printable(message));
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Note => Level::NOTE,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(message).id(id);
    let snippet = Snippet::source(excerpt.text.as_str())
        .line_start(line)
        .annotation(AnnotationKind::Primary.span(excerpt.start..excerpt.end));
    let mut group = if excerpt.from_line_start {
        title.element(snippet.path(file))
    } else {
        // The renderer would count the column within the window.
        title.element(Origin::path(file).line(line).char_column(column)).element(snippet)
    };
    if let Some(help) = help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.source, self.span.line, self.span.column, self.message)
    }
}

impl Excerpt {
    fn empty() -> Self {
        Self { text: String::new(), start: 0, end: 0, from_line_start: false }
    }

    /// The line of the span's first byte, cut to a window; control characters become spaces so that nothing in a
    /// profile can move a terminal's cursor.
    fn of(text: &str, span: Span) -> Self {
        let start = floor_boundary(text, span.start as usize);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let columns = text[line_start..start].chars().count();
        let before = if columns <= EXCERPT_CHARS {
            start - line_start
        } else {
            text[line_start..start].chars().rev().take(EXCERPT_CHARS / 2).map(char::len_utf8).sum()
        };
        let after = text[start..line_end].chars().take(EXCERPT_CHARS).map(char::len_utf8).sum::<usize>();
        let (from, to) = (start - before, start + after);
        let end = floor_boundary(text, span.end as usize).clamp(start, to);
        let plain = |part: &str| part.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let mut shown = plain(&text[from..start]);
        let shown_start = shown.len();
        shown.push_str(&plain(&text[start..end]));
        let shown_end = shown.len();
        shown.push_str(&plain(&text[end..to]));
        Self { text: shown, start: shown_start, end: shown_end, from_line_start: from == line_start }
    }
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Everything found wrong with one set of sources, in the order found; at most [`MAX_DIAGNOSTICS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    /// No problem yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one problem; beyond the limit problems are only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.items.len() < MAX_DIAGNOSTICS {
            self.items.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds all problems of another list.
    pub(crate) fn append(&mut self, other: &Self) {
        other.items.iter().for_each(|item| self.push(item.clone()));
        self.dropped += other.dropped;
    }

    /// The problems in the order found.
    #[must_use]
    pub fn items(&self) -> &[Diagnostic] {
        &self.items
    }

    /// How many problems were found beyond those kept.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Whether any of them refuses the profile.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All problems with excerpts, separated by blank lines.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut parts: Vec<String> = self.items.iter().map(|item| item.render(colour)).collect();
        if self.dropped > 0 {
            parts.push(format!("… and {} more", self.dropped));
        }
        parts.join("\n\n")
    }
}

impl fmt::Display for Diagnostics {
    /// The first error as `file:line:column: message`, with the number of the others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.items.iter().find(|item| item.severity == Severity::Error).or_else(|| self.items.first());
        let Some(first) = first else { return f.write_str("no problem") };
        write!(f, "{first}")?;
        match self.items.len() - 1 + self.dropped {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

impl std::error::Error for Diagnostics {}
