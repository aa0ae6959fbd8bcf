//! Text to tokens: strings, expressions, numbers, symbols, parentheses, comments, each with its place.
//!
//! Total: every byte is consumed once, a bad token is reported and skipped. Columns count characters, from 1.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::limits::MAX_STRING_BYTES;
use super::source::Source;
use crate::vocab::{Severity, Span};

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub kind: TokenKind<'a>,
    pub span: Span,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind<'a> {
    Open,
    Close,
    Quote(QuoteKind),
    Symbol(String),
    String(String),
    Regex(String),
    Integer {
        value: i64,
        text: String,
    },
    Bool(bool),
    /// A comment without its leading semicolons' line end.
    Comment(&'a str),
}

/// The abbreviations of `quote` and its relatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuoteKind {
    /// `'form`
    Quote,
    /// `` `form ``
    Quasi,
    /// `,form`
    Unquote,
    /// `,@form`
    Splice,
}

impl QuoteKind {
    /// The abbreviation as written.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Quote => "'",
            Self::Quasi => "`",
            Self::Unquote => ",",
            Self::Splice => ",@",
        }
    }
}

/// U+FEFF, with which some editors begin a text and which nobody sees. In the language it would be a name.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads tokens of one source.
pub(crate) struct Lexer<'a> {
    sources: &'a [Source],
    source: u32,
    text: &'a str,
    at: usize,
    line: u32,
    column: u32,
    pub diagnostics: Diagnostics,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `sources[source]`.
    pub(crate) fn new(sources: &'a [Source], source: usize) -> Self {
        let text = sources[source].text.as_str();
        let index = u32::try_from(source).unwrap_or(u32::MAX);
        Self { sources, source: index, text, at: 0, line: 1, column: 1, diagnostics: Diagnostics::new() }
    }

    /// The next token, or `None` at the end. Bad tokens are reported and left out.
    pub(crate) fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.skip_space();
            let start = self.here();
            let byte = self.peek()?;
            let kind = match byte {
                b'(' => self.single(TokenKind::Open),
                b')' => self.single(TokenKind::Close),
                b'\'' => self.single(TokenKind::Quote(QuoteKind::Quote)),
                b'`' => self.single(TokenKind::Quote(QuoteKind::Quasi)),
                b',' => Some(self.unquote()),
                b'"' => self.string(start),
                b';' => Some(self.comment()),
                b'#' => self.hash(start),
                _ if self.at == 0 && self.text.starts_with(BYTE_ORDER_MARK) => self.byte_order_mark(start),
                _ if byte < 0x20 || byte == 0x7f => self.control(start),
                _ => self.word(start),
            };
            if let Some(kind) = kind {
                return Some(Token { kind, span: self.span_from(start) });
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn advance(&mut self) {
        match self.text.as_bytes()[self.at] {
            b'\n' => {
                self.line += 1;
                self.column = 1;
            }
            continuation if continuation & 0xc0 == 0x80 => {}
            _ => self.column += 1,
        }
        self.at += 1;
    }

    fn here(&self) -> Span {
        let at = u32::try_from(self.at).unwrap_or(u32::MAX);
        Span { source: self.source, start: at, end: at, line: self.line, column: self.column }
    }

    fn span_from(&self, start: Span) -> Span {
        Span { end: u32::try_from(self.at).unwrap_or(u32::MAX), ..start }
    }

    fn error(&mut self, id: &'static str, span: Span, message: impl Into<String>, help: Option<&str>) {
        let mut diagnostic = Diagnostic::new(Severity::Error, id, self.sources, span, message);
        diagnostic.help = help.map(str::to_owned);
        self.diagnostics.push(diagnostic);
    }

    fn warn(&mut self, id: &'static str, span: Span, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::new(Severity::Warning, id, self.sources, span, message);
        self.diagnostics.push(diagnostic.help(help));
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c)) {
            self.advance();
        }
    }

    fn single(&mut self, kind: TokenKind<'a>) -> Option<TokenKind<'a>> {
        self.advance();
        Some(kind)
    }

    fn unquote(&mut self) -> TokenKind<'a> {
        self.advance();
        if self.peek() == Some(b'@') {
            self.advance();
            return TokenKind::Quote(QuoteKind::Splice);
        }
        TokenKind::Quote(QuoteKind::Unquote)
    }

    fn comment(&mut self) -> TokenKind<'a> {
        TokenKind::Comment(self.rest_of_line().trim_end())
    }

    /// Takes what stands before the end of the line.
    fn rest_of_line(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        self.column += u32::try_from(line.chars().count()).unwrap_or(u32::MAX - self.column);
        self.at += line.len();
        line
    }

    fn control(&mut self, start: Span) -> Option<TokenKind<'a>> {
        let byte = self.text.as_bytes()[self.at];
        self.advance();
        let span = self.span_from(start);
        self.error("control-character", span, format!("control character 0x{byte:02x} outside a string"), None);
        None
    }

    fn byte_order_mark(&mut self, start: Span) -> Option<TokenKind<'a>> {
        for _ in 0..BYTE_ORDER_MARK.len_utf8() {
            self.advance();
        }
        let help = "save the file as UTF-8 without a byte order mark";
        self.error("byte-order-mark", self.span_from(start), "the profile begins with a byte order mark", Some(help));
        None
    }

    fn string(&mut self, start: Span) -> Option<TokenKind<'a>> {
        self.advance();
        let mut value = String::new();
        let mut bad = false;
        let mut copied = self.at;
        loop {
            let Some(byte) = self.peek() else {
                self.error("unterminated-string", self.first_line(start), "this string is never closed", None);
                return None;
            };
            match byte {
                b'"' => {
                    value.push_str(&self.text[copied..self.at]);
                    self.advance();
                    break;
                }
                b'\\' => {
                    value.push_str(&self.text[copied..self.at]);
                    bad |= !self.escape(&mut value);
                    copied = self.at;
                }
                _ => {
                    bad |= !self.accept_in_string(byte);
                    self.advance();
                }
            }
        }
        let kind = TokenKind::String(value);
        self.bounded(start, kind).filter(|_| !bad)
    }

    /// A span that covers no more than the rest of its first line, for tokens that run to the end of the text.
    fn first_line(&self, start: Span) -> Span {
        Span { end: start.start + 1, ..start }
    }

    /// Whether a raw byte may stand in a string; reports it otherwise.
    fn accept_in_string(&mut self, byte: u8) -> bool {
        if (byte < 0x20 && !matches!(byte, b'\n' | b'\t' | b'\r')) || byte == 0x7f {
            let span = Span { end: self.here().end + 1, ..self.here() };
            self.error("control-character", span, format!("control character 0x{byte:02x} in a string"), None);
            return false;
        }
        true
    }

    /// Reads one escape; false when it was refused.
    fn escape(&mut self, value: &mut String) -> bool {
        let start = self.here();
        self.advance();
        let Some(escaped) = self.text[self.at..].chars().next() else { return true };
        if escaped == 'x' {
            return self.hex_escape(start, value);
        }
        for _ in 0..escaped.len_utf8() {
            self.advance();
        }
        match escaped {
            'n' => value.push('\n'),
            't' => value.push('\t'),
            'r' => value.push('\r'),
            '"' | '\\' => value.push(escaped),
            other => {
                let span = self.span_from(start);
                let message = format!("`\\{other}` is not an escape; the backslash is dropped");
                self.warn(
                    "dropped-backslash",
                    span,
                    message,
                    "double the backslash, or write #\"…\" for an expression",
                );
                value.push(other);
            }
        }
        true
    }

    fn hex_escape(&mut self, start: Span, value: &mut String) -> bool {
        self.advance();
        let digits: Option<u32> = self.text.get(self.at..self.at + 2).and_then(|two| {
            two.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(two, 16).ok()).flatten()
        });
        let Some(code) = digits else {
            let span = self.span_from(start);
            self.error("bad-escape", span, "`\\x` wants two hexadecimal digits", None);
            return false;
        };
        self.advance();
        self.advance();
        let span = self.span_from(start);
        match char::from_u32(code).filter(|c| (1..0x80).contains(&u32::from(*c))) {
            Some(c) => {
                value.push(c);
                true
            }
            None => {
                self.error("bad-escape", span, "a hexadecimal escape names an ASCII character other than NUL", None);
                false
            }
        }
    }

    fn hash(&mut self, start: Span) -> Option<TokenKind<'a>> {
        if self.peek_at(1) == Some(b'"') {
            return self.regex(start);
        }
        let word = self.take_word();
        let span = self.span_from(start);
        match word {
            "#t" | "#true" => Some(TokenKind::Bool(true)),
            "#f" | "#false" => Some(TokenKind::Bool(false)),
            "#if" | "#ifdef" | "#ifndef" | "#else" | "#elif" | "#endif" | "#include" | "#define" | "#undef" => {
                self.rest_of_line();
                self.error(
                    "preprocessor-line",
                    span,
                    format!("`{word}` belongs to the C preprocessor, not to the profile language"),
                    Some("preprocess the file first"),
                );
                None
            }
            _ => self.radix(word, span),
        }
    }

    fn radix(&mut self, word: &str, span: Span) -> Option<TokenKind<'a>> {
        let radix = match word.as_bytes().get(1) {
            Some(b'o') => 8,
            Some(b'x') => 16,
            Some(b'b') => 2,
            Some(b'd') => 10,
            _ => {
                let shown: String = word.chars().take(40).collect();
                self.error("unknown-syntax", span, format!("`{shown}` is not part of the profile language"), None);
                return None;
            }
        };
        match i64::from_str_radix(&word[2..], radix) {
            Ok(value) => Some(TokenKind::Integer { value, text: word.to_owned() }),
            Err(_) => {
                let message = format!("not a number in base {radix} within 64 bits");
                self.error("bad-number", span, message, None);
                None
            }
        }
    }

    fn regex(&mut self, start: Span) -> Option<TokenKind<'a>> {
        self.advance();
        self.advance();
        let from = self.at;
        let mut bad = false;
        while let Some(byte) = self.peek() {
            if byte == b'"' {
                let value = self.text[from..self.at].to_owned();
                self.advance();
                return self.bounded(start, TokenKind::Regex(value)).filter(|_| !bad);
            }
            bad |= !self.accept_in_string(byte);
            self.advance();
        }
        self.error("unterminated-string", self.first_line(start), "this expression is never closed", None);
        None
    }

    fn take_word(&mut self) -> &'a str {
        let from = self.at;
        while self.peek().is_some_and(|byte| {
            !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'(' | b')' | b'"' | b';' | b'\'' | b'`' | b',')
                && byte >= 0x20
                && byte != 0x7f
        }) {
            self.advance();
        }
        &self.text[from..self.at]
    }

    fn word(&mut self, start: Span) -> Option<TokenKind<'a>> {
        let word = self.take_word();
        let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
        if digits.starts_with(|c: char| c.is_ascii_digit()) {
            let span = self.span_from(start);
            return match word.parse::<i64>() {
                Ok(value) => Some(TokenKind::Integer { value, text: word.to_owned() }),
                Err(_) => {
                    let shown: String = word.chars().take(40).collect();
                    self.error("bad-number", span, format!("`{shown}` is not a whole number within 64 bits"), None);
                    None
                }
            };
        }
        self.bounded(start, TokenKind::Symbol(word.to_owned()))
    }

    fn bounded(&mut self, start: Span, kind: TokenKind<'a>) -> Option<TokenKind<'a>> {
        let size = match &kind {
            TokenKind::String(text) | TokenKind::Regex(text) | TokenKind::Symbol(text) => text.len(),
            _ => 0,
        };
        if size <= MAX_STRING_BYTES {
            return Some(kind);
        }
        let message = format!("this token has {size} bytes; at most {MAX_STRING_BYTES} are accepted");
        self.error("too-long", self.first_line(start), message, None);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> [Source; 1] {
        [Source::new("t.sb", text)]
    }

    fn lex(sources: &[Source]) -> (Vec<Token<'_>>, Diagnostics) {
        let mut lexer = Lexer::new(sources, 0);
        let tokens = std::iter::from_fn(|| lexer.next()).collect();
        (tokens, lexer.diagnostics)
    }

    #[test]
    fn tokens_carry_values_and_places() {
        let sources = source("(a \"é\\\"\\n\" ; note \n #\"^\\.x\" #o0004 -7 #t ,@b)");
        let (tokens, diagnostics) = lex(&sources);
        assert!(diagnostics.is_empty(), "{diagnostics}");
        let shown: Vec<(TokenKind, (u32, u32))> =
            tokens.into_iter().map(|token| (token.kind, (token.span.line, token.span.column))).collect();
        assert_eq!(
            shown,
            vec![
                (TokenKind::Open, (1, 1)),
                (TokenKind::Symbol("a".into()), (1, 2)),
                (TokenKind::String("é\"\n".into()), (1, 4)),
                (TokenKind::Comment("; note"), (1, 12)),
                (TokenKind::Regex("^\\.x".into()), (2, 2)),
                (TokenKind::Integer { value: 4, text: "#o0004".into() }, (2, 10)),
                (TokenKind::Integer { value: -7, text: "-7".into() }, (2, 17)),
                (TokenKind::Bool(true), (2, 20)),
                (TokenKind::Quote(QuoteKind::Splice), (2, 23)),
                (TokenKind::Symbol("b".into()), (2, 25)),
                (TokenKind::Close, (2, 26)),
            ]
        );
    }

    #[test]
    fn bad_tokens_are_reported_where_they_stand() {
        for (text, id, line, column) in [
            ("(a\n \"abc", "unterminated-string", 2, 2),
            ("(a #\"abc", "unterminated-string", 1, 4),
            ("\u{1}", "control-character", 1, 1),
            ("\u{feff}(version 1)", "byte-order-mark", 1, 1),
            ("\"a\u{0}b\"", "control-character", 1, 3),
            ("99999999999999999999", "bad-number", 1, 1),
            ("12ab", "bad-number", 1, 1),
            ("#o9", "bad-number", 1, 1),
            ("#\\a", "unknown-syntax", 1, 1),
            ("#if 1\n(a)", "preprocessor-line", 1, 1),
            ("\"\\xZZ\"", "bad-escape", 1, 2),
            ("\"\\x00\"", "bad-escape", 1, 2),
            ("\"\\.pem\"", "dropped-backslash", 1, 2),
        ] {
            let sources = source(text);
            let (_, diagnostics) = lex(&sources);
            let first = &diagnostics.items()[0];
            assert_eq!((first.id, first.span.line, first.span.column), (id, line, column), "{text:?}");
        }
        let long = format!("\"{}\"", "x".repeat(MAX_STRING_BYTES + 1));
        assert_eq!(lex(&source(&long)).1.items()[0].id, "too-long");
    }
}
