//! Regular expressions as profiles write them: POSIX-like, over bytes, unanchored unless `^` or `$` say otherwise.
//!
//! The text is parsed here and handed to a linear-time automaton as a spelling of our own, so no feature of the engine
//! leaks into the language. What has no agreed meaning (letter escapes, back-references) is kept and stays undecided.
//! Invariants: parsing is bounded in length and depth; matching never backtracks.

use std::fmt;
use std::sync::{Arc, OnceLock};

use memchr::memmem;
use regex_automata::meta;
use regex_automata::util::syntax;

use super::form::write_string;

/// The longest expression accepted, in bytes.
pub(crate) const MAX_PATTERN_BYTES: usize = 8 * 1024;
/// The deepest nesting of groups accepted.
const MAX_GROUPS: usize = 50;
/// The largest count in `{n,m}` (POSIX `RE_DUP_MAX`).
const MAX_REPEAT: u32 = 255;
/// The largest automaton built for one expression, in bytes.
const MAX_AUTOMATON_BYTES: usize = 4 << 20;
/// Expressions of at most so many parts are compiled when a path asks for it: their automaton keeps to
/// [`MAX_AUTOMATON_BYTES`], whose size is that of all their byte ranges (at most 128 a part, 8 bytes each).
const SURELY_SMALL: usize = 2_000;
/// What a part takes, for the bound on the memory of a profile's expressions; the automaton of a small one is not there yet.
const BYTES_PER_PART: usize = 64;

/// A compiled expression.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    tree: Arc<Node>,
    /// What every text with a match has, tested before the automaton is made or asked.
    signs: Arc<Signs>,
    /// `None` when a construct has no agreed meaning.
    matcher: Option<Arc<Matcher>>,
}

/// Cheap necessary conditions of a match.
#[derive(Debug)]
struct Signs {
    /// The bytes the text begins with.
    start: Vec<u8>,
    rest: Sign,
    /// Whether these conditions are the whole expression.
    all: bool,
}

#[derive(Debug)]
enum Sign {
    None,
    /// The text holds these bytes.
    Holds(Box<memmem::Finder<'static>>),
    /// The text ends with one of these.
    Ends(Vec<Vec<u8>>),
}

impl Signs {
    fn of(tree: &Node) -> Self {
        let (start, whole) = literal_start(tree);
        let parts = tree.parts();
        let (anchored, parts) = match parts {
            [Node::Start, rest @ ..] => (true, rest),
            all => (false, all),
        };
        // Of `^text` and nothing else, the beginning says all; `^text$` has a length too.
        if anchored && start.len() == parts.len() {
            return Self { start, rest: Sign::None, all: true };
        }
        if let [before @ .., Node::End] = parts
            && let (ends, taken) = literal_ends(before)
            && taken > 0
        {
            return Self { start, rest: Sign::Ends(ends), all: !anchored && !whole && taken == before.len() };
        }
        let run = longest_run(parts);
        let all = !anchored && run.len() == parts.len();
        let rest =
            if run.is_empty() { Sign::None } else { Sign::Holds(Box::new(memmem::Finder::new(&run).into_owned())) };
        Self { start, rest, all }
    }

    fn are_in(&self, text: &[u8]) -> bool {
        // The last byte of a beginning and of an end refuses most texts, before whole ones are compared.
        let begins = match self.start.len().checked_sub(1) {
            None => true,
            Some(at) => text.get(at) == Some(&self.start[at]) && text.starts_with(&self.start),
        };
        begins
            && match &self.rest {
                Sign::None => true,
                Sign::Holds(finder) => finder.find(text).is_some(),
                Sign::Ends(ends) => {
                    ends.iter().any(|end| (end.is_empty() || text.last() == end.last()) && text.ends_with(end))
                }
            }
    }
}

/// More ends than this are not listed.
const MAX_ENDS: usize = 16;

/// The texts that a sequence ends with, one of which every match has, and how many parts they stand for.
fn literal_ends(parts: &[Node]) -> (Vec<Vec<u8>>, usize) {
    let mut ends = vec![Vec::new()];
    for (taken, part) in parts.iter().rev().enumerate() {
        let arms = match part {
            Node::Alternate(arms) => arms.as_slice(),
            single => std::slice::from_ref(single),
        };
        let Some(texts) = arms.iter().map(literal).collect::<Option<Vec<_>>>() else { return (ends, taken) };
        if texts.len() * ends.len() > MAX_ENDS {
            return (ends, taken);
        }
        ends = texts.iter().flat_map(|text| ends.iter().map(move |end| [&text[..], end].concat())).collect();
    }
    (ends, parts.len())
}

/// The only text that matches, if it is plain bytes.
fn literal(node: &Node) -> Option<Vec<u8>> {
    node.parts()
        .iter()
        .map(|part| match part {
            Node::Bytes(set) => set.only(),
            _ => None,
        })
        .collect()
}

/// The longest run of plain bytes in a sequence.
fn longest_run(parts: &[Node]) -> Vec<u8> {
    let (mut longest, mut run) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Node::Bytes(set) if let Some(byte) = set.only() => run.push(byte),
            _ => run.clear(),
        }
        if run.len() > longest.len() {
            longest.clone_from(&run);
        }
    }
    longest
}

/// Made at once, or for the first text that is asked about.
type Matcher = OnceLock<Result<meta::Regex, PatternError>>;

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// Byte offset in the expression.
    pub offset: usize,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
}

/// The parsed expression; shared with everything that reasons about patterns (roots, witnesses).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// The empty text.
    Empty,
    /// `^`: only at the start.
    Start,
    /// `$`: only at the end.
    End,
    /// One of these bytes.
    Bytes(Box<ByteSet>),
    /// One after the other.
    Concat(Vec<Node>),
    /// Any of these.
    Alternate(Vec<Node>),
    /// Between `min` and `max` (unbounded when `None`) times.
    Repeat { inner: Box<Node>, min: u32, max: Option<u32> },
    /// A construct without an agreed meaning; the pattern is undecided.
    Unsettled,
}

/// A set of bytes, a bit for each, the lowest byte's first: an expression holds one for every character it is written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    fn none() -> Self {
        Self([0; 4])
    }

    fn single(byte: u8) -> Self {
        let mut set = Self::none();
        set.add_range(byte, byte);
        set
    }

    fn add_range(&mut self, first: u8, last: u8) {
        for byte in first..=last {
            self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
    }

    fn invert(&mut self) {
        for word in &mut self.0 {
            *word = !*word;
        }
    }

    /// Whether the byte is in the set.
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }

    /// The bytes of the set in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=255u8).filter(|&byte| self.contains(byte))
    }

    /// The only byte of the set, if there is exactly one.
    pub(crate) fn only(&self) -> Option<u8> {
        (self.0.iter().map(|word| word.count_ones()).sum::<u32>() == 1).then(|| self.iter().next())?
    }

    /// Appends the set in the engine's syntax.
    fn write(&self, out: &mut String) {
        use std::fmt::Write as _;
        if let Some(byte) = self.only() {
            let _ = write!(out, "\\x{byte:02x}");
            return;
        }
        if self.iter().next().is_none() {
            // An empty class: no byte can match.
            out.push_str("[^\\x00-\\xff]");
            return;
        }
        out.push('[');
        let mut bytes = self.iter().peekable();
        while let Some(first) = bytes.next() {
            let mut last = first;
            while let Some(next) = bytes.next_if(|&next| next - 1 == last) {
                last = next;
            }
            let _ = write!(out, "\\x{first:02x}-\\x{last:02x}");
        }
        out.push(']');
    }
}

impl Pattern {
    /// Parses and compiles an expression.
    ///
    /// # Errors
    /// The expression is malformed, too long, nested too deeply, or its automaton would be too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError {
                offset: MAX_PATTERN_BYTES,
                message: format!("the expression has {} bytes; at most {MAX_PATTERN_BYTES} are accepted", text.len()),
            });
        }
        let mut parser = Parser { text: text.as_bytes(), at: 0, depth: 0, unsettled: false };
        let tree = parser.alternation()?;
        if parser.at < parser.text.len() {
            return Err(parser.error("unmatched `)`"));
        }
        let matcher = if parser.unsettled {
            None
        } else if parts(&tree) <= SURELY_SMALL {
            Some(Matcher::new())
        } else {
            Some(Matcher::from(Ok(build(&[&tree])?)))
        };
        let signs = Signs::of(&tree).into();
        Ok(Self { text: text.to_owned(), tree: Arc::new(tree), signs, matcher: matcher.map(Arc::new) })
    }

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the expression finds a match in `haystack`; `None` when it uses a construct without an agreed meaning.
    #[must_use]
    pub fn is_match(&self, haystack: &[u8]) -> Option<bool> {
        let matcher = self.matcher.as_ref()?;
        if !self.signs.are_in(haystack) {
            return Some(false);
        }
        if self.signs.all {
            return Some(true);
        }
        let matcher = matcher.get_or_init(|| build(&[&self.tree]));
        matcher.as_ref().ok().map(|matcher| matcher.is_match(haystack))
    }

    /// Whether every construct of the expression has an agreed meaning.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.matcher.is_some()
    }

    /// The parsed expression.
    pub(crate) fn tree(&self) -> &Node {
        &self.tree
    }

    /// Heap memory of the automaton in bytes, estimated where it is not built yet.
    pub(crate) fn memory_bytes(&self) -> usize {
        let automaton = match self.matcher.as_deref().map(OnceLock::get) {
            None => 0,
            Some(Some(Ok(matcher))) => matcher.memory_usage(),
            Some(_) => parts(&self.tree) * BYTES_PER_PART,
        };
        self.text.len() + automaton
    }

    /// A text the expression finds a match in, when one is found by taking the first choice everywhere; printable
    /// characters are preferred.
    pub(crate) fn sample(&self) -> Option<String> {
        let mut text = Vec::new();
        sample(&self.tree, &mut text);
        let text = String::from_utf8(text).ok()?;
        (self.is_match(text.as_bytes()) == Some(true)).then_some(text)
    }

    /// The text every match must begin the haystack with (empty when not anchored), and whether that text is all a
    /// haystack may consist of.
    #[must_use]
    pub fn literal_start(&self) -> (Vec<u8>, bool) {
        literal_start(&self.tree)
    }
}

impl Node {
    /// What stands one after the other.
    fn parts(&self) -> &[Node] {
        match self {
            Node::Concat(parts) => parts,
            single => std::slice::from_ref(single),
        }
    }
}

fn literal_start(tree: &Node) -> (Vec<u8>, bool) {
    let Some((Node::Start, rest)) = tree.parts().split_first() else { return (Vec::new(), false) };
    let mut text = Vec::new();
    for (index, part) in rest.iter().enumerate() {
        match part {
            Node::Bytes(set) => match set.only() {
                Some(byte) => text.push(byte),
                None => return (text, false),
            },
            Node::End => return (text, index + 1 == rest.len()),
            _ => return (text, false),
        }
    }
    (text, false)
}

/// How many parts an expression has once its repetitions are written out.
fn parts(tree: &Node) -> usize {
    match tree {
        Node::Empty | Node::Start | Node::End | Node::Bytes(_) | Node::Unsettled => 1,
        Node::Concat(inner) | Node::Alternate(inner) => {
            inner.iter().map(parts).fold(1, |sum: usize, more| sum.saturating_add(more))
        }
        Node::Repeat { inner, min, max } => {
            let times = usize::try_from(max.unwrap_or(*min).max(1)).unwrap_or(usize::MAX).saturating_add(1);
            parts(inner).saturating_mul(times)
        }
    }
}

impl fmt::Display for Pattern {
    /// The expression as a literal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.contains('"') { write_string(&self.text, f) } else { write!(f, "#\"{}\"", self.text) }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

/// Builds one automaton for several expressions; pattern numbers are positions in the list.
pub(crate) fn build(trees: &[&Node]) -> Result<meta::Regex, PatternError> {
    let texts: Vec<String> = trees.iter().map(|tree| engine_text(tree)).collect();
    meta::Builder::new()
        .configure(
            meta::Config::new()
                .utf8_empty(false)
                // Building whole automata ahead took most of a profile's compilation; states are built as paths need them.
                .dfa(false)
                .onepass(false)
                .nfa_size_limit(Some(MAX_AUTOMATON_BYTES * trees.len().max(1)))
                .match_kind(regex_automata::MatchKind::All),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false).nest_limit(400))
        .build_many(&texts)
        .map_err(|error| PatternError {
            offset: 0,
            message: match error.size_limit() {
                Some(limit) => format!("the expression needs an automaton of more than {limit} bytes"),
                None => format!("the expression cannot be compiled: {error}"),
            },
        })
}

/// An expression in the engine's syntax.
pub(crate) fn engine_text(tree: &Node) -> String {
    let mut text = String::new();
    write_node(tree, &mut text);
    text
}

/// The longest text a sample grows to, in bytes.
const MAX_SAMPLE_BYTES: usize = 4096;

fn sample(node: &Node, text: &mut Vec<u8>) {
    match node {
        Node::Empty | Node::Start | Node::End | Node::Unsettled => {}
        Node::Bytes(set) => {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric();
            let shown = |byte: &u8| byte.is_ascii_graphic();
            text.extend(set.iter().find(plain).or_else(|| set.iter().find(shown)).or_else(|| set.iter().next()));
        }
        Node::Concat(parts) => parts.iter().for_each(|part| sample(part, text)),
        Node::Alternate(arms) => arms.iter().take(1).for_each(|arm| sample(arm, text)),
        Node::Repeat { inner, min, .. } => {
            for _ in 0..*min {
                if text.len() > MAX_SAMPLE_BYTES {
                    return;
                }
                sample(inner, text);
            }
        }
    }
}

fn write_node(node: &Node, out: &mut String) {
    use std::fmt::Write as _;
    match node {
        Node::Empty | Node::Unsettled => out.push_str("(?:)"),
        Node::Start => out.push_str("\\A"),
        Node::End => out.push_str("\\z"),
        Node::Bytes(set) => set.write(out),
        Node::Concat(parts) => parts.iter().for_each(|part| write_node(part, out)),
        Node::Alternate(arms) => {
            out.push_str("(?:");
            for (index, arm) in arms.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                write_node(arm, out);
            }
            out.push(')');
        }
        Node::Repeat { inner, min, max } => {
            out.push_str("(?:");
            write_node(inner, out);
            out.push(')');
            let _ = match (min, max) {
                (0, None) => write!(out, "*"),
                (1, None) => write!(out, "+"),
                (min, None) => write!(out, "{{{min},}}"),
                (min, Some(max)) => write!(out, "{{{min},{max}}}"),
            };
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    unsettled: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn error(&self, message: impl Into<String>) -> PatternError {
        PatternError { offset: self.at.min(self.text.len()), message: message.into() }
    }

    fn alternation(&mut self) -> Result<Node, PatternError> {
        let mut arms = vec![self.concatenation()?];
        while self.peek() == Some(b'|') {
            self.at += 1;
            arms.push(self.concatenation()?);
        }
        Ok(if arms.len() == 1 { arms.remove(0) } else { Node::Alternate(arms) })
    }

    fn concatenation(&mut self) -> Result<Node, PatternError> {
        let mut parts = Vec::new();
        while let Some(byte) = self.peek() {
            if matches!(byte, b'|' | b')') {
                break;
            }
            let atom = self.atom(byte)?;
            parts.push(self.quantified(atom)?);
        }
        Ok(match parts.len() {
            0 => Node::Empty,
            1 => parts.remove(0),
            _ => Node::Concat(parts),
        })
    }

    fn quantified(&mut self, mut atom: Node) -> Result<Node, PatternError> {
        let mut stacked = 0;
        loop {
            let (min, max) = match self.peek() {
                Some(b'*') => (0, None),
                Some(b'+') => (1, None),
                Some(b'?') => (0, Some(1)),
                Some(b'{') if self.text.get(self.at + 1).is_some_and(u8::is_ascii_digit) => self.interval()?,
                _ => return Ok(atom),
            };
            if matches!(atom, Node::Start | Node::End) {
                return Err(self.error("nothing to repeat after an anchor"));
            }
            stacked += 1;
            if stacked > 4 {
                return Err(self.error("too many repetitions in a row"));
            }
            self.at += 1;
            atom = Node::Repeat { inner: Box::new(atom), min, max };
        }
    }

    /// Reads `{n}`, `{n,}` or `{n,m}` and leaves the position on the closing brace.
    fn interval(&mut self) -> Result<(u32, Option<u32>), PatternError> {
        let close = self.text[self.at..]
            .iter()
            .position(|&byte| byte == b'}')
            .ok_or_else(|| self.error("interval `{` without `}`"))?;
        let body = &self.text[self.at + 1..self.at + close];
        let bad = |parser: &Self| {
            parser.error(format!("an interval counts from 0 to {MAX_REPEAT}: {{n}}, {{n,}} or {{n,m}}"))
        };
        let number = |digits: &[u8]| {
            std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u32>().ok()).filter(|&n| n <= MAX_REPEAT)
        };
        let (min, max) = match body.iter().position(|&byte| byte == b',') {
            None => {
                let count = number(body).ok_or_else(|| bad(self))?;
                (count, Some(count))
            }
            Some(comma) if comma + 1 == body.len() => (number(&body[..comma]).ok_or_else(|| bad(self))?, None),
            Some(comma) => {
                let min = number(&body[..comma]).ok_or_else(|| bad(self))?;
                let max = number(&body[comma + 1..]).ok_or_else(|| bad(self))?;
                (min, Some(max))
            }
        };
        if max.is_some_and(|max| max < min) {
            return Err(self.error("the interval's upper count is below its lower count"));
        }
        self.at += close;
        Ok((min, max))
    }

    fn atom(&mut self, byte: u8) -> Result<Node, PatternError> {
        match byte {
            b'(' => self.group(),
            b'[' => self.bracket(),
            b'\\' => self.escape(),
            b'*' | b'+' | b'?' => Err(self.error(format!("nothing to repeat before `{}`", byte as char))),
            _ => {
                self.at += 1;
                Ok(match byte {
                    b'.' => {
                        let mut all = ByteSet::none();
                        all.invert();
                        Node::Bytes(Box::new(all))
                    }
                    b'^' => Node::Start,
                    b'$' => Node::End,
                    first if first >= 0x80 => self.character(first),
                    plain => Node::Bytes(Box::new(ByteSet::single(plain))),
                })
            }
        }
    }

    /// A character beyond ASCII is the sequence of its bytes, kept together for a following repetition.
    fn character(&mut self, first: u8) -> Node {
        let mut bytes = vec![Node::Bytes(Box::new(ByteSet::single(first)))];
        while let Some(next) = self.peek().filter(|byte| byte & 0xc0 == 0x80) {
            bytes.push(Node::Bytes(Box::new(ByteSet::single(next))));
            self.at += 1;
        }
        Node::Concat(bytes)
    }

    fn group(&mut self) -> Result<Node, PatternError> {
        self.depth += 1;
        if self.depth > MAX_GROUPS {
            return Err(self.error(format!("groups are nested more than {MAX_GROUPS} deep")));
        }
        let open = self.at;
        self.at += 1;
        if self.peek() == Some(b'?') {
            return Err(self.error("`(?` is not part of the profile language's expressions"));
        }
        let inner = self.alternation()?;
        if self.peek() != Some(b')') {
            return Err(PatternError { offset: open, message: "unmatched `(`".to_owned() });
        }
        self.at += 1;
        self.depth -= 1;
        Ok(inner)
    }

    fn escape(&mut self) -> Result<Node, PatternError> {
        let Some(&escaped) = self.text.get(self.at + 1) else {
            return Err(self.error("`\\` at the end of the expression"));
        };
        self.at += 2;
        if escaped.is_ascii_alphanumeric() {
            self.unsettled = true;
            return Ok(Node::Unsettled);
        }
        Ok(if escaped >= 0x80 { self.character(escaped) } else { Node::Bytes(Box::new(ByteSet::single(escaped))) })
    }

    fn bracket(&mut self) -> Result<Node, PatternError> {
        let open = self.at;
        let unclosed = PatternError { offset: open, message: "unmatched `[`".to_owned() };
        self.at += 1;
        let inverted = self.peek() == Some(b'^');
        if inverted {
            self.at += 1;
        }
        let mut set = ByteSet::none();
        let mut first = true;
        loop {
            let byte = self.peek().ok_or_else(|| unclosed.clone())?;
            if byte == b']' && !first {
                self.at += 1;
                break;
            }
            first = false;
            if byte == b'[' && matches!(self.text.get(self.at + 1), Some(b':' | b'.' | b'=')) {
                self.class(&mut set)?;
                continue;
            }
            let low = self.bracket_byte(&unclosed)?;
            let ranged = self.peek() == Some(b'-') && self.text.get(self.at + 1).is_some_and(|&next| next != b']');
            if !ranged {
                set.add_range(low, low);
                continue;
            }
            self.at += 1;
            let high = self.bracket_byte(&unclosed)?;
            if high < low {
                return Err(self.error(format!("the range `{}-{}` is empty", low as char, high as char)));
            }
            set.add_range(low, high);
        }
        if inverted {
            set.invert();
        }
        Ok(Node::Bytes(Box::new(set)))
    }

    fn bracket_byte(&mut self, unclosed: &PatternError) -> Result<u8, PatternError> {
        let byte = self.peek().ok_or_else(|| unclosed.clone())?;
        if byte >= 0x80 {
            return Err(self.error("a bracket expression holds ASCII characters only"));
        }
        self.at += 1;
        if byte != b'\\' {
            return Ok(byte);
        }
        let escaped = self.peek().ok_or_else(|| unclosed.clone())?;
        if escaped >= 0x80 {
            return Err(self.error("a bracket expression holds ASCII characters only"));
        }
        self.at += 1;
        if escaped.is_ascii_alphanumeric() {
            self.unsettled = true;
        }
        Ok(escaped)
    }

    fn class(&mut self, set: &mut ByteSet) -> Result<(), PatternError> {
        let rest = &self.text[self.at..];
        let Some((name, test)) = CLASSES.iter().find(|(name, _)| rest.starts_with(name.as_bytes())) else {
            return Err(self.error(
                "unknown class; known are [:alpha:], [:digit:], [:alnum:], [:upper:], [:lower:], \
                                   [:space:], [:blank:], [:punct:], [:print:], [:graph:], [:cntrl:] and [:xdigit:]",
            ));
        };
        for byte in (0..=127u8).filter(test) {
            set.add_range(byte, byte);
        }
        self.at += name.len();
        Ok(())
    }
}

type ClassTest = fn(&u8) -> bool;

/// The character classes of POSIX (The Open Group Base Specifications, 9.3.5) in the C locale.
const CLASSES: [(&str, ClassTest); 12] = [
    ("[:alpha:]", u8::is_ascii_alphabetic),
    ("[:digit:]", u8::is_ascii_digit),
    ("[:alnum:]", u8::is_ascii_alphanumeric),
    ("[:upper:]", u8::is_ascii_uppercase),
    ("[:lower:]", u8::is_ascii_lowercase),
    ("[:space:]", |byte| matches!(byte, b' ' | 0x09..=0x0d)),
    ("[:blank:]", |byte| matches!(byte, b' ' | b'\t')),
    ("[:punct:]", u8::is_ascii_punctuation),
    ("[:print:]", |byte| matches!(byte, 0x20..=0x7e)),
    ("[:graph:]", u8::is_ascii_graphic),
    ("[:cntrl:]", u8::is_ascii_control),
    ("[:xdigit:]", u8::is_ascii_hexdigit),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_like_posix_over_bytes() {
        for (pattern, text, expected) in [
            (r"\.pem$", "/a/key.pem", true),
            (r"\.pem$", "/a/key.pem.bak", false),
            (r"^/dev/ttys[0-9]+", "/dev/ttys12", true),
            (r"^/dev/ttys[0-9]+", "/x/dev/ttys12", false),
            ("a.c", "xa\ncx", true),
            ("^(a|bc)+$", "abcbca", true),
            ("^(a|bc)+$", "abcb", false),
            ("^a{2,3}$", "aaa", true),
            ("^a{2,3}$", "aaaa", false),
            ("^a{0}b$", "b", true),
            ("x{y", "x{y", true),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            ("[a-]", "-", true),
            ("[[:digit:]x]", "7", true),
            (r"[^\.]", ".", false),
            ("^a+?$", "", true),
            ("^[&&~~a-]$", "&", true),
            ("^é$", "é", true),
            ("^/a(|/b)$", "/a", true),
            ("", "anything", true),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            assert_eq!(compiled.is_match(text.as_bytes()), Some(expected), "{pattern} on {text}");
        }
        assert_eq!(Pattern::new("^a.$").unwrap().is_match(b"a\xff"), Some(true));
    }

    #[test]
    fn malformed_expressions_name_the_place() {
        for (pattern, offset, needle) in [
            ("(a", 0, "unmatched `(`"),
            ("(?", 1, "not part"),
            ("a)", 1, "unmatched `)`"),
            ("[a", 0, "unmatched `[`"),
            ("*a", 0, "nothing to repeat"),
            ("a|+", 2, "nothing to repeat"),
            ("^*a", 1, "after an anchor"),
            ("a\\", 1, "at the end"),
            ("a{3,1}", 1, "below"),
            ("a{999}", 1, "counts"),
            ("a{1", 1, "without"),
            ("[z-a]", 4, "empty"),
            ("[[:foo:]]", 1, "unknown class"),
            ("((a{255}){255}){255}", 0, "automaton"),
        ] {
            let error = Pattern::new(pattern).unwrap_err();
            assert_eq!(error.offset, offset, "{pattern}: {error}");
            assert!(error.message.contains(needle), "{pattern}: {error}");
        }
        assert!(Pattern::new(&"(".repeat(8000)).unwrap_err().message.contains("nested"));
        assert!(Pattern::new(&"a".repeat(9000)).unwrap_err().message.contains("at most"));
    }

    #[test]
    fn letter_escapes_stay_undecided() {
        for pattern in [r"\d+", r"(a)\1", r"[\w]", r"\bfoo"] {
            assert_eq!(Pattern::new(pattern).unwrap().is_match(b"1"), None, "{pattern}");
        }
    }

    #[test]
    fn signs_refuse_only_what_the_automaton_refuses() {
        let patterns = [
            "",
            "^",
            "$",
            "^$",
            "a",
            "^a",
            "a$",
            "^a$",
            "ab",
            "^ab",
            "ab$",
            "^ab$",
            "a|b",
            "(a|b)$",
            "a(b|ab)$",
            "(a|)b$",
            "^a(b|c)$",
            "b(a|b)(a|c)$",
            "a*b",
            "ba*$",
            "^a*ab",
            "ab?c",
            "a^b",
            "a$b",
            "^^a",
            "a$$",
            "(^a)",
            "(a$)",
            "é$",
            "[ab]c$",
            "[ab]c",
            "(ab)+c$",
            "a.c",
            "((a|b)c|d)$",
            "a(^b|c)$",
        ];
        let mut texts = vec![String::new()];
        for length in 0..4 {
            let longest: Vec<_> = texts.iter().filter(|text| text.chars().count() == length).cloned().collect();
            texts.extend(longest.iter().flat_map(|text| ["a", "b", "c", "é"].map(|more| format!("{text}{more}"))));
        }
        let mut decided = 0;
        for text in patterns {
            let pattern = Pattern::new(text).unwrap();
            let automaton = build(&[&pattern.tree]).unwrap();
            for haystack in &texts {
                let haystack = haystack.as_bytes();
                assert_eq!(pattern.is_match(haystack), Some(automaton.is_match(haystack)), "{text} on {haystack:?}");
                decided += usize::from(!pattern.signs.are_in(haystack) || pattern.signs.all);
            }
        }
        assert!(2 * decided > patterns.len() * texts.len(), "the automaton was needed for all but {decided}");
    }

    #[test]
    fn what_a_plain_expression_asks_is_asked_of_no_automaton() {
        for (text, all) in [
            ("^/etc/ssl/", true),
            ("/target/", true),
            (r"\.(pem|key)$", true),
            (r"^/usr/.*\.(pem|key)$", false),
            (r"/\.env(\.[a-z]+)?$", false),
        ] {
            let pattern = Pattern::new(text).unwrap();
            assert_eq!(pattern.signs.all, all, "{text}");
            assert_eq!(pattern.is_match(b"/usr/lib/libc.so.6"), Some(false));
            assert!(pattern.matcher.unwrap().get().is_none(), "{text} made its automaton");
        }
    }

    #[test]
    fn anchored_literals_are_found() {
        for (pattern, start, whole) in [
            (r"^/dev/tty\.x", "/dev/tty.x", false),
            ("^/dev/tty$", "/dev/tty", true),
            ("^/dev/tty[0-9]", "/dev/tty", false),
            ("^/ab*", "/a", false),
            ("/dev", "", false),
            ("^/a|^/b", "", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().literal_start(), (start.as_bytes().to_vec(), whole), "{pattern}");
        }
    }
}
