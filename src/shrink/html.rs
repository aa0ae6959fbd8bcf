//! One page about a run that needs nothing else: no script, no font, no picture from elsewhere. Pure but for reading the run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::layout;
use super::summary::Summary;
use crate::os::fs::{read_bounded, resolved};

/// What every page begins with.
const PAGE_START: &str = "<!doctype html>";

/// Whether `file` is one of those in the `directory` of a run that a page must not take the place of: all but another page.
#[must_use]
pub fn is_record(directory: &Path, file: &Path) -> bool {
    let real = |path: &Path| resolved(path).unwrap_or_else(|_| path.to_owned());
    let (directory, file) = (real(directory), real(file));
    let is_page = || read_bounded(&file, layout::MAX_BYTES).is_ok_and(|bytes| bytes.starts_with(PAGE_START.as_bytes()));
    file.starts_with(directory) && file.is_file() && !is_page()
}

/// The page about a run or a matrix. What a run does not have is left out, and said to be.
#[must_use]
pub fn page(summary: &Summary) -> String {
    let title = if summary.is_matrix { "shrink-trace matrix" } else { "shrink-trace run" };
    let mut body = String::new();
    let verdict = if summary.success() { ("ok", "success") } else { ("bad", "no success") };
    let name = summary.directory.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let _ = write!(
        body,
        "<header><h1>{title} <span>{}</span></h1><p class=\"verdict {}\">{}</p></header>",
        escape(&name),
        verdict.0,
        verdict.1
    );
    if summary.is_matrix {
        matrix(summary, &mut body)
    } else {
        run(summary, &mut body)
    }
    format!(
        "{PAGE_START}\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<title>{title}: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
        escape(&name)
    )
}

/// A text where text stands in HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

fn run(summary: &Summary, body: &mut String) {
    let record = &summary.record;
    let at = |pointer: &str| show(record.pointer(pointer).unwrap_or(&Value::Null));
    body.push_str("<section class=\"facts\">");
    let argv: Vec<String> = record["target"]["argv"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect();
    for (name, value) in [
        ("command", escape(&argv.join(" "))),
        ("host", at("/world_id")),
        ("trace", at("/trace/status")),
        ("completeness", at("/trace/completeness/verdict")),
        ("shrink", at("/shrink/status")),
        ("rules removed", at("/shrink/removed")),
        ("rules kept", at("/shrink/kept")),
        ("one-minimal", at("/shrink/one_minimal")),
        ("runs (bound)", format!("{} ({})", at("/shrink/runs"), at("/shrink/bound"))),
        ("seconds", at("/timing/duration_s")),
        ("loader set", at("/knobs/loader_set")),
        ("started", at("/timing/start_utc")),
    ] {
        let _ = write!(body, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    body.push_str("</section>");
    for (pointer, class) in [("/error", "bad"), ("/trace/why", "bad")] {
        if let Some(text) = record.pointer(pointer).and_then(Value::as_str) {
            let _ = write!(body, "<p class=\"note {class}\">{}</p>", escape(text));
        }
    }
    for reason in record.pointer("/trace/completeness/reasons").and_then(Value::as_array).into_iter().flatten() {
        let _ = write!(body, "<p class=\"note\">{}</p>", show(reason));
    }
    for flaky in record.pointer("/shrink/flaky").and_then(Value::as_array).into_iter().flatten() {
        let _ = write!(body, "<p class=\"note bad\">flaky: {}</p>", show(flaky));
    }
    iterations(&summary.directory, body);
    rules(&summary.directory, body);
    profile(&summary.directory, body);
}

/// JSON lines of a file of the run.
fn lines(path: &Path) -> Vec<Value> {
    let bytes = read_bounded(path, layout::MAX_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn iterations(directory: &Path, body: &mut String) {
    let rows = lines(&directory.join("phases/trace/metrics.jsonl"));
    if rows.is_empty() {
        return;
    }
    body.push_str("<h2>Iterations</h2><div class=\"wide\"><table><thead><tr><th>#</th><th>mode</th><th>directory</th><th>status</th><th>refusals</th><th>new rules</th><th>profile lines</th></tr></thead><tbody>");
    let most = rows.iter().filter_map(|row| row["new_rules"].as_u64()).max().unwrap_or(0).max(1);
    for row in &rows {
        let share = row["new_rules"].as_u64().unwrap_or(0) * 100 / most;
        let place = match row["fresh"].as_bool() {
            Some(true) => "fresh",
            Some(false) => "as left",
            None => "–",
        };
        let _ = write!(
            body,
            "<tr><td>{}</td><td>{}</td><td>{place}</td><td>{}</td><td>{}</td><td class=\"bar\"><i style=\"width:{share}%\"></i><b>{}</b></td><td>{}</td></tr>",
            show(&row["iter"]),
            show(&row["mode"]),
            show(&row["return_code"]),
            show(&row["denies_seen"]),
            show(&row["new_rules"]),
            show(&row["profile_lines"])
        );
    }
    body.push_str("</tbody></table></div>");
}

/// The family of a rule: what its operation begins with.
fn family(rule: &str) -> &str {
    let operation = rule.strip_prefix("(allow ").unwrap_or(rule);
    let end = operation.find(['-', '*', ' ', ')', '\n']).unwrap_or(operation.len());
    &operation[..end]
}

fn rules(directory: &Path, body: &mut String) {
    let decisions = layout::read_document(&directory.join("phases/shrink/decisions.json"));
    let origins = layout::read_document(&directory.join("rules.json"));
    let mut families: BTreeMap<String, Vec<(bool, String)>> = BTreeMap::new();
    if let Some(decisions) = &decisions {
        for element in decisions["elements"].as_array().into_iter().flatten() {
            let rule = element["rule"].as_str().unwrap_or_default();
            let kept = element["decision"] != "removed";
            families.entry(family(rule).to_owned()).or_default().push((kept, decided_row(element, origins.as_ref())));
        }
    } else if let Some(origins) = &origins {
        for origin in origins["rules"].as_array().into_iter().flatten() {
            let rule = origin["rule"].as_str().unwrap_or_default();
            let why = origin_text(origin);
            let row = format!("<tr><td>learned</td><td><code>{}</code></td><td>{why}</td></tr>", escape(rule));
            families.entry(family(rule).to_owned()).or_default().push((true, row));
        }
    }
    if families.is_empty() {
        body.push_str("<p class=\"note\">No rules were recorded.</p>");
        return;
    }
    body.push_str("<h2>Rules by family</h2>");
    for (family, rows) in families {
        let kept = rows.iter().filter(|(kept, _)| *kept).count();
        let open = if kept > 0 { " open" } else { "" };
        let _ = write!(
            body,
            "<details{open}><summary>{} <small>{kept} kept, {} removed</small></summary><div class=\"wide\"><table><thead><tr><th>decision</th><th>rule</th><th>what it was for</th></tr></thead><tbody>",
            escape(&family),
            rows.len() - kept
        );
        for (_, row) in rows.iter().filter(|(kept, _)| *kept).chain(rows.iter().filter(|(kept, _)| !*kept)) {
            body.push_str(row);
        }
        body.push_str("</tbody></table></div></details>");
    }
}

fn decided_row(element: &Value, origins: Option<&Value>) -> String {
    let kept = element["decision"] != "removed";
    let mut text = format!("<code>{}</code>", show(&element["rule"]));
    if element["kind"] != "form" {
        let _ =
            write!(text, "<br><small>its {}</small> <code>{}</code>", show(&element["kind"]), show(&element["text"]));
    }
    let accesses: Vec<&str> = element["accesses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut why = match accesses.len() {
        0 if kept => "no access seen to be decided by it".to_owned(),
        0 => "decided no access".to_owned(),
        n => {
            let shown: Vec<String> = accesses.iter().take(3).map(|access| escape(access)).collect();
            let more = if n > 3 { format!("<br><small>and {} more</small>", n - 3) } else { String::new() };
            format!("{}{more}", shown.join("<br>"))
        }
    };
    if let Some(refused) = element["refused"].as_str() {
        let _ = write!(why, "<br><small>without it refused: {}</small>", escape(refused));
    }
    let origin = origins
        .and_then(|own| own["rules"].as_array())
        .and_then(|rules| rules.iter().find(|own| own["rule"] == element["rule"]));
    if let Some(origin) = origin {
        let _ = write!(why, "<br><small>{}</small>", origin_text(origin));
    }
    let (class, word) = if kept { ("kept", "kept") } else { ("gone", "removed") };
    format!("<tr class=\"{class}\"><td>{word}</td><td>{text}</td><td>{why}</td></tr>")
}

fn origin_text(origin: &Value) -> String {
    let runs: Vec<String> = origin["runs"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    let mut text = format!(
        "{} accesses in run {}, first by {}",
        show(&origin["hits"]),
        runs.join(", "),
        show(&origin["first_process"])
    );
    if let Some(adds) = origin["adds"].as_str() {
        let _ = write!(text, "; also allows: {}", escape(adds));
    }
    text
}

fn profile(directory: &Path, body: &mut String) {
    for (name, heading) in [("shrunk.sb", "The shrunk profile"), ("trace.sb", "The learned profile")] {
        if let Ok(bytes) = read_bounded(&directory.join("profiles").join(name), layout::MAX_BYTES) {
            let text = String::from_utf8_lossy(&bytes);
            let _ = write!(body, "<h2>{heading}</h2><pre>{}</pre>", escape(&text));
            return;
        }
    }
}

fn matrix(summary: &Summary, body: &mut String) {
    body.push_str("<div class=\"wide\"><table><thead><tr>");
    let columns = [
        ("run", "label"),
        ("trace", "trace_status"),
        ("iterations", "trace_iterations"),
        ("lines", "trace_lines"),
        ("shrunk", "shrunk_lines"),
        ("removed", "shrink_removed"),
        ("kept", "shrink_kept"),
        ("bad rules", "bad_rules"),
        ("fresh", "post_shrink_fresh_rc"),
        ("repeat", "post_shrink_repeat_rc"),
        ("runs", "runs"),
    ];
    for (name, _) in columns {
        let _ = write!(body, "<th>{name}</th>");
    }
    body.push_str("</tr></thead><tbody>");
    for row in summary.record["runs"].as_array().into_iter().flatten() {
        let meant = (row["shrink_status"] == "success") != (row["meant_to_fail"] == true);
        let _ = write!(body, "<tr class=\"{}\">", if meant { "kept" } else { "failed" });
        for (_, key) in columns {
            let _ = write!(body, "<td>{}</td>", show(&row[key]));
        }
        body.push_str("</tr>");
    }
    body.push_str("</tbody></table></div>");
}

const STYLE: &str = "\
:root{color-scheme:light dark;--fg:#1c2024;--bg:#fbfcfd;--soft:#e8ebee;--mute:#60676f;--ok:#1a7f4b;--bad:#b3261e;--bar:#4f7cac}\
@media(prefers-color-scheme:dark){:root{--fg:#e6e8ea;--bg:#15181b;--soft:#2a2f34;--mute:#9aa2aa;--ok:#56c28a;--bad:#ff8a80;--bar:#7fa9d6}}\
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif}\
main{max-width:72rem;margin:0 auto;padding:1.5rem 1rem 4rem}\
header{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:baseline;gap:.5rem}\
h1{font-size:1.4rem;margin:0}h1 span{color:var(--mute);font-weight:400}h2{font-size:1.1rem;margin:2rem 0 .5rem}\
.verdict{margin:0;font-weight:600}.ok{color:var(--ok)}.bad{color:var(--bad)}\
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.75rem;margin:1.25rem 0}\
dt{color:var(--mute);font-size:.8rem}dd{margin:0;overflow-wrap:anywhere}\
.note{border-left:3px solid var(--soft);padding-left:.75rem;color:var(--mute)}.note.bad{border-color:var(--bad);color:var(--bad)}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}\
th{text-align:left;font-weight:600;color:var(--mute);font-size:.8rem}th,td{padding:.3rem .6rem .3rem 0;vertical-align:top;border-bottom:1px solid var(--soft)}\
td:first-child{white-space:nowrap}code,pre{font:13px/1.5 ui-monospace,monospace}code{overflow-wrap:anywhere}\
pre{background:var(--soft);padding:.75rem;overflow-x:auto;border-radius:4px}\
small{color:var(--mute);overflow-wrap:anywhere}summary{cursor:pointer;font-weight:600;padding:.3rem 0}\
tr.gone td{color:var(--mute)}tr.gone code{text-decoration:line-through}tr.failed td{color:var(--bad)}\
.bar{position:relative;min-width:8rem}.bar i{position:absolute;left:0;top:.35rem;bottom:.35rem;background:var(--bar);opacity:.35}.bar b{position:relative;font-weight:400;padding-left:.3rem}";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_of_a_run_are_never_markup() {
        let temp = tempfile::tempdir().unwrap();
        let record =
            json!({"target": {"argv": ["<script>alert(1)</script>", "\"'&"]}, "success": false, "error": "</p><b>"});
        let summary = Summary { directory: temp.path().join("a<b"), record, is_matrix: false };
        let page = page(&summary);
        assert!(!page.contains("<script") && !page.contains("</p><b>") && !page.contains("a<b"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &quot;&#39;&amp;"));
        for elsewhere in ["http:", "https:", "src=", "href=", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_rule_belongs_to_the_family_of_its_operation() {
        for (rule, expected) in [
            ("(allow file-read-data (literal \"/a\"))", "file"),
            ("(allow signal)", "signal"),
            ("(allow mach* )", "mach"),
            ("(allow default)", "default"),
        ] {
            assert_eq!(family(rule), expected);
        }
    }
}
