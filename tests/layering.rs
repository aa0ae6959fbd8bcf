//! Holds the layer rule that `src/lib.rs` states: who may import whom, where `unsafe` may stand, how long a file may be.
//!
//! Sources are read as Rust tokens, so comments and texts never count, and `super::` is followed through inline modules.
//! The rule is a table ([`Rules`]); every check also runs on a small made-up tree that breaks it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// An edge between two modules and why it is treated specially.
struct Edge {
    from: &'static str,
    to: &'static str,
    reason: &'static str,
}

/// Who may import whom.
struct Rules {
    /// Modules by layer, lowest first. A module imports lower layers only; neighbours do not import each other.
    layers: &'static [&'static [&'static str]],
    /// Edges that are refused although the layers would allow them.
    refused: &'static [Edge],
    /// Edges that are allowed although the layers refuse them. One that nobody uses is a finding.
    exceptions: &'static [Edge],
    /// Modules that may hold `unsafe`.
    unsafe_in: &'static [&'static str],
}

const RULES: Rules = Rules {
    layers: &[
        &["base"],
        &["vocab", "os", "schema"],
        &["sbpl", "event", "denial", "report"],
        &["host", "fixture", "registry", "sandbox", "bundle"],
        &["plan", "probe", "promotion", "launchd", "unified_log", "links", "inventory"],
        &["lane", "template", "analysis"],
        &["run", "selftest", "shrink", "entitlement_jail"],
        &["cli"],
    ],
    refused: &[
        Edge { from: "sbpl", to: "os", reason: "reading and evaluating profiles is pure" },
        Edge { from: "event", to: "os", reason: "normalising rows is pure" },
        Edge { from: "denial", to: "os", reason: "records are data; collecting them belongs to sandbox and lane" },
        Edge { from: "report", to: "os", reason: "rendering findings is pure" },
    ],
    exceptions: &[Edge {
        from: "event",
        to: "denial",
        reason: "rows and events carry decision records as they were made",
    }],
    unsafe_in: &["os", "sandbox"],
};

/// Files whose documents hold paths as they are, and why none of these can be something else than text.
const BARE_PATHS: &[(&str, &str)] = &[
    ("launchd/job.rs", "a job whose paths are not text is refused before it is planned"),
    ("shrink/worker.rs", "the path comes from a text of the command line"),
];

/// Longer files are split by noun first.
const MAX_LINES: usize = 900;

/// A source file: path relative to `src`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The file's module as path from the crate root; empty for `lib.rs` and `main.rs`.
    fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> = self.path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
            parts.pop();
        }
        parts
    }

    fn tokens(&self) -> TokenStream {
        self.text.parse().unwrap_or_else(|error| panic!("{}: not Rust: {error}", self.path))
    }
}

/// What one file names: items of the crate root (modules, for all but the root itself), and uses of `unsafe`.
#[derive(Default)]
struct Named {
    /// Line and name; `*` for a glob import of the crate root.
    root_items: Vec<(usize, String)>,
    /// Lines with `unsafe`.
    unsafe_lines: Vec<usize>,
}

fn name_of(tree: Option<&TokenTree>) -> Option<String> {
    match tree {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

/// Whether `trees[at..]` starts with `::`.
fn path_separator(trees: &[TokenTree], at: usize) -> bool {
    let colon = |tree: Option<&TokenTree>| matches!(tree, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(trees.get(at)) && colon(trees.get(at + 1))
}

/// Collects everything that `tokens`, standing in `module`, name of the crate root.
fn collect(tokens: TokenStream, module: &mut Vec<String>, named: &mut Named) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        match tree {
            TokenTree::Ident(ident) if ident == "mod" => {
                if let (Some(name), Some(TokenTree::Group(body))) = (name_of(trees.get(at + 1)), trees.get(at + 2)) {
                    module.push(name);
                    collect(body.stream(), module, named);
                    module.pop();
                    at += 2;
                }
            }
            TokenTree::Ident(ident) if ident == "unsafe" => named.unsafe_lines.push(ident.span().start().line),
            TokenTree::Ident(ident) if ident == "crate" && path_separator(&trees, at + 1) => {
                root_items(&trees, at + 3, 0, ident, named);
            }
            TokenTree::Ident(ident) if ident == "super" && !continues_super(&trees, at) => {
                root_items(&trees, at, module.len(), ident, named);
            }
            TokenTree::Group(group) => collect(group.stream(), module, named),
            _ => {}
        }
        at += 1;
    }
}

/// Whether the `super` at `at` is a later part of a `super::super::` chain that was followed already.
fn continues_super(trees: &[TokenTree], at: usize) -> bool {
    at >= 3 && path_separator(trees, at - 2) && name_of(trees.get(at - 3)).is_some_and(|name| name == "super")
}

/// Follows a path from `depth` modules below the crate root, starting at `trees[at]`.
fn root_items(trees: &[TokenTree], at: usize, depth: usize, start: &Ident, named: &mut Named) {
    match trees.get(at) {
        Some(TokenTree::Ident(ident)) if ident == "super" && depth > 0 && path_separator(trees, at + 1) => {
            root_items(trees, at + 3, depth - 1, start, named);
        }
        _ if depth > 0 => {}
        Some(TokenTree::Ident(ident)) => named.root_items.push((start.span().start().line, ident.to_string())),
        Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
            named.root_items.push((start.span().start().line, "*".to_owned()));
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let items: Vec<TokenTree> = group.stream().into_iter().collect();
            for item in items.split(|tree| matches!(tree, TokenTree::Punct(p) if p.as_char() == ',')) {
                root_items(item, 0, 0, start, named);
            }
        }
        _ => {}
    }
}

impl Rules {
    fn layer(&self, module: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.contains(&module))
    }

    /// Why `from` must not import `to`; `None` when it may.
    fn refusal(&self, from: &str, to: &str) -> Option<String> {
        if from == to {
            return None;
        }
        let Some(above) = self.layer(from) else { return Some(format!("{from} stands in no layer")) };
        let Some(below) = self.layer(to) else {
            return Some(format!("names `{to}` of the crate root, which is no module"));
        };
        if let Some(edge) = self.refused.iter().find(|edge| (edge.from, edge.to) == (from, to)) {
            return Some(format!("{from} must not import {to}: {}", edge.reason));
        }
        match above.cmp(&below) {
            std::cmp::Ordering::Greater => None,
            std::cmp::Ordering::Equal => Some(format!("{from} must not import its neighbour {to} (layer {above})")),
            std::cmp::Ordering::Less => Some(format!("{from} (layer {above}) must not import {to} (layer {below})")),
        }
    }

    /// Everything in `sources` that breaks the rules, one line each, with file and line.
    fn findings(&self, sources: &[Source]) -> Vec<String> {
        let mut findings = Vec::new();
        let mut used = BTreeSet::new();
        for source in sources {
            let mut module = source.module();
            let top = module.first().cloned().unwrap_or_default();
            let mut named = Named::default();
            collect(source.tokens(), &mut module, &mut named);
            for line in named.unsafe_lines {
                if !self.unsafe_in.contains(&top.as_str()) {
                    findings.push(format!(
                        "src/{}:{line}: unsafe outside {}",
                        source.path,
                        self.unsafe_in.join(" and ")
                    ));
                }
            }
            // The crate root declares modules and re-exports; it is above all layers.
            for (line, to) in named.root_items.iter().filter(|_| !top.is_empty()) {
                if let Some(at) = self.exceptions.iter().position(|edge| (edge.from, edge.to) == (top.as_str(), to)) {
                    used.insert(at);
                } else if let Some(why) = self.refusal(&top, to) {
                    findings.push(format!("src/{}:{line}: {why}", source.path));
                }
            }
        }
        for (at, edge) in self.exceptions.iter().enumerate() {
            if edge.reason.is_empty() {
                findings.push(format!("exception {} -> {}: gives no reason", edge.from, edge.to));
            }
            if !used.contains(&at) {
                findings.push(format!("exception {} -> {}: nobody uses it", edge.from, edge.to));
            }
        }
        findings
    }
}

/// The layers as a crate documentation's table shows them: rows `//! | 0 | [`base`] | … |`.
fn documented_layers(lib: &str) -> Vec<BTreeSet<String>> {
    lib.lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .filter(|row| row.starts_with(|c: char| c.is_ascii_digit()))
        .map(|row| {
            let modules = row.split('|').nth(1).unwrap_or_default();
            modules.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        })
        .collect()
}

/// The modules a crate root declares.
fn declared_modules(lib: &str) -> BTreeSet<String> {
    let trees: Vec<TokenTree> = lib.parse::<TokenStream>().expect("src/lib.rs is Rust").into_iter().collect();
    trees
        .windows(2)
        .filter(|pair| name_of(pair.first()).is_some_and(|word| word == "mod"))
        .filter_map(|pair| name_of(pair.get(1)))
        .collect()
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MAX_LINES).then(|| format!("{path}: {lines} lines (at most {MAX_LINES})"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file beneath `folder`, with its path relative to it.
fn rust_files(folder: &Path) -> Vec<Source> {
    let mut sources: Vec<Source> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.expect("the source tree can be read").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let relative = path.strip_prefix(folder).expect("the walk stays beneath its root");
            let text = std::fs::read_to_string(&path).expect("sources are readable UTF-8");
            Source { path: relative.to_string_lossy().into_owned(), text }
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!sources.is_empty(), "no Rust file beneath {}", folder.display());
    sources
}

fn lib_rs() -> String {
    std::fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs is readable")
}

#[test]
fn the_tree_keeps_its_layers() {
    let findings = RULES.findings(&rust_files(&root().join("src")));
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_binary_only_hands_over_to_cli() {
    let main = Source::new("main.rs", &std::fs::read_to_string(root().join("src/main.rs")).unwrap());
    let text = main.tokens().to_string();
    let named: BTreeSet<&str> =
        text.split("runtime ::").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    // How it begins on Linux is a macro of the system's layer, because it takes `unsafe`.
    assert_eq!(named, BTreeSet::from(["begin_with", "cli"]));
    assert_eq!(text.matches("runtime :: begin_with ! (runtime :: cli :: main)").count(), 1, "{text}");
}

#[test]
fn the_crate_documentation_shows_the_same_layers() {
    let lib = lib_rs();
    let rules: Vec<BTreeSet<String>> =
        RULES.layers.iter().map(|layer| layer.iter().map(|&module| module.to_owned()).collect()).collect();
    assert_eq!(documented_layers(&lib), rules, "the table in src/lib.rs and the one in this file differ");
    let all: BTreeSet<String> = rules.into_iter().flatten().collect();
    assert_eq!(declared_modules(&lib), all, "src/lib.rs declares other modules than its table lists");
}

#[test]
fn no_file_is_too_long() {
    let folders = ["src", "tests", "xtask"];
    let findings: Vec<String> = folders
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)).into_iter().map(move |source| (folder, source)))
        .filter_map(|(folder, source)| too_long(&format!("{folder}/{}", source.path), &source.text))
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// The twins: made-up trees under made-up rules.
mod twins {
    use super::*;

    const SMALL: Rules = Rules {
        layers: &[&["ground"], &["left", "right"], &["top"]],
        refused: &[Edge { from: "top", to: "ground", reason: "it goes through left" }],
        exceptions: &[],
        unsafe_in: &["ground"],
    };

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        SMALL.findings(&sources)
    }

    #[test]
    fn a_clean_tree_has_no_findings() {
        let clean = [
            ("lib.rs", "pub mod ground; pub mod left; pub use crate::ground::Stone;"),
            ("ground/mod.rs", "mod stone; pub fn f() { unsafe { g() } } pub(crate) use stone::Stone;"),
            ("ground/stone.rs", "use super::f; use crate::ground::Stone;"),
            (
                "left/mod.rs",
                "use crate::ground::{self, Stone}; // use crate::top;\n/// See [`crate::top`].\nconst T: &str = \"crate::right\";",
            ),
            (
                "left/deep/leaf.rs",
                "use super::super::inner; mod tests { use super::*; use super::super::super::super::ground::Stone; }",
            ),
            ("top.rs", "use crate::{left::a, right::{b, c}}; pub(crate) fn f(x: left::ground::top::X) {}"),
        ];
        assert_eq!(findings(&clean), Vec::<String>::new());
    }

    #[test]
    fn every_way_to_name_a_forbidden_module_is_found() {
        for (path, text, found) in [
            (
                "ground/mod.rs",
                "\nuse crate::left::x;",
                "src/ground/mod.rs:2: ground (layer 0) must not import left (layer 1)",
            ),
            (
                "left/mod.rs",
                "use crate::right;",
                "src/left/mod.rs:1: left must not import its neighbour right (layer 1)",
            ),
            (
                "left/a/b.rs",
                "use super::super::super::top::T;",
                "src/left/a/b.rs:1: left (layer 1) must not import top (layer 2)",
            ),
            (
                "left/a.rs",
                "fn f() { super::super::right::g() }",
                "src/left/a.rs:1: left must not import its neighbour right (layer 1)",
            ),
            (
                "left/a.rs",
                "mod t { mod u { use super::super::super::super::right::g; } }",
                "src/left/a.rs:1: left must not import its neighbour right (layer 1)",
            ),
            (
                "ground.rs",
                "use crate::{ground::y, left::{z}};",
                "src/ground.rs:1: ground (layer 0) must not import left (layer 1)",
            ),
            ("ground.rs", "m!(crate::top::X);", "src/ground.rs:1: ground (layer 0) must not import top (layer 2)"),
            ("left.rs", "use crate::*;", "src/left.rs:1: names `*` of the crate root, which is no module"),
            (
                "left.rs",
                "fn f() -> crate::Stone { todo() }",
                "src/left.rs:1: names `Stone` of the crate root, which is no module",
            ),
            ("top.rs", "use crate::ground;", "src/top.rs:1: top must not import ground: it goes through left"),
            ("new.rs", "use crate::ground;", "src/new.rs:1: new stands in no layer"),
            ("left/a.rs", "\n\nunsafe fn f() {}", "src/left/a.rs:3: unsafe outside ground"),
            ("lib.rs", "fn f() { unsafe { g() } }", "src/lib.rs:1: unsafe outside ground"),
        ] {
            assert_eq!(findings(&[(path, text)]), [found], "{text}");
        }
    }

    #[test]
    fn exceptions_need_a_reason_and_a_use() {
        const EDGES: [Edge; 2] =
            [Edge { from: "left", to: "right", reason: "" }, Edge { from: "ground", to: "top", reason: "why" }];
        let rules = Rules { exceptions: &EDGES, ..SMALL };
        let sources = [Source::new("left.rs", "use crate::right;")];
        let expected = ["exception left -> right: gives no reason", "exception ground -> top: nobody uses it"];
        assert_eq!(rules.findings(&sources), expected);
    }

    #[test]
    fn the_real_rules_refuse_what_they_must() {
        for (from, to) in
            [("base", "vocab"), ("sbpl", "os"), ("denial", "os"), ("plan", "probe"), ("run", "cli"), ("lane", "run")]
        {
            assert!(RULES.refusal(from, to).is_some(), "{from} -> {to}");
        }
        for (from, to) in [("cli", "run"), ("sandbox", "os"), ("run", "lane"), ("bundle", "os"), ("os", "base")] {
            assert_eq!(RULES.refusal(from, to), None, "{from} -> {to}");
        }
    }

    #[test]
    fn a_changed_table_a_forgotten_module_and_a_long_file_are_seen() {
        let lib = "//! | Layer | Modules |\n//! | --- | --- |\n//! | 0 | [`a`], [`b`] | none |\n//! | 1 | [`c`] | 0 (`a` never) |\npub mod a; mod c;";
        let layer = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<String>>();
        assert_eq!(documented_layers(lib), [layer(&["a", "b"]), layer(&["c"])]);
        assert_eq!(declared_modules(lib), layer(&["a", "c"]));
        assert_eq!(too_long("x.rs", &"\n".repeat(MAX_LINES)), None);
        assert!(too_long("x.rs", &"\n".repeat(MAX_LINES + 1)).is_some());
    }
}

/// Documents of a file that serialize a path, which panics when the path is not UTF-8. `shown_path` of `base::json` is for that.
fn bare_paths(text: &str) -> Vec<String> {
    fn has(trees: &[TokenTree], names: &[&str]) -> bool {
        trees.iter().any(|tree| match tree {
            TokenTree::Ident(ident) => names.contains(&ident.to_string().as_str()),
            TokenTree::Group(group) => has(&group.stream().into_iter().collect::<Vec<_>>(), names),
            _ => false,
        })
    }
    fn is_punct(tree: &TokenTree, wanted: char) -> bool {
        matches!(tree, TokenTree::Punct(punct) if punct.as_char() == wanted)
    }
    /// Members up to their commas; those within `<…>` do not count.
    fn members(stream: TokenStream) -> Vec<Vec<TokenTree>> {
        let (mut all, mut depth) = (vec![Vec::new()], 0usize);
        for tree in stream {
            match &tree {
                tree if is_punct(tree, '<') => depth += 1,
                tree if is_punct(tree, '>') => depth = depth.saturating_sub(1),
                tree if is_punct(tree, ',') && depth == 0 => {
                    all.push(Vec::new());
                    continue;
                }
                _ => {}
            }
            all.last_mut().expect("one is there from the start").push(tree);
        }
        all
    }
    fn walk(stream: TokenStream, found: &mut Vec<String>) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut written = false;
        for (at, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Group(group) if at > 0 && is_punct(&trees[at - 1], '#') => {
                    let own: Vec<TokenTree> = group.stream().into_iter().collect();
                    written |= has(&own, &["derive"]) && has(&own, &["Serialize"]);
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    if std::mem::take(&mut written) {
                        let bare = |own: &Vec<TokenTree>| has(own, &["PathBuf"]) && !has(own, &["serialize_with"]);
                        let own = members(group.stream()).into_iter().filter(bare);
                        found.extend(own.map(|own| own.into_iter().collect::<TokenStream>().to_string()));
                    } else {
                        walk(group.stream(), found);
                    }
                }
                tree if is_punct(tree, ';') => written = false,
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(text.parse().expect("the tree compiles"), &mut found);
    found
}

#[test]
fn no_document_holds_a_path_that_may_be_no_text() {
    for source in rust_files(&root().join("src")) {
        let found = bare_paths(&source.text);
        let excepted = BARE_PATHS.iter().any(|(path, _)| *path == source.path);
        assert_eq!(!found.is_empty(), excepted, "{}: {found:?}", source.path);
    }
    let document = |field: &str| format!("#[derive(Debug, Serialize)]\npub struct A {{ a: u8, {field} }}");
    for (text, expected) in [
        (document("pub b: PathBuf"), 1),
        (document("b: Option<PathBuf>, c: BTreeMap<String, PathBuf>"), 2),
        (document("#[serde(serialize_with = \"shown_path\")] b: PathBuf"), 0),
        (document("b: String"), 0),
        (
            "#[derive(Debug)] struct A { b: PathBuf } mod m { #[derive(Serialize)] enum E { B { b: PathBuf } } }"
                .into(),
            1,
        ),
    ] {
        assert_eq!(bare_paths(&text).len(), expected, "{text}");
    }
}
