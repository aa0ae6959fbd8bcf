//! The one question plan lint asks about a profile's text.

/// Whether a profile refuses what no rule matches: the last `default` rule decides, and a profile without one refuses.
///
/// Judged by tokens, so comments, strings and spacing cannot mislead it; helpers, parameters and imports are not
/// evaluated. A condition on a `default` rule is not looked at.
#[must_use]
pub fn is_deny_default(text: &str) -> bool {
    let mut denies = true;
    // Head word of each open form.
    let mut heads: Vec<Option<&str>> = Vec::new();
    for token in tokens(text) {
        match token {
            "(" => heads.push(None),
            ")" => {
                heads.pop();
            }
            word => match heads.last_mut() {
                Some(head @ None) => *head = Some(word),
                Some(Some("allow")) if word == "default" => denies = false,
                Some(Some("deny")) if word == "default" => denies = true,
                _ => {}
            },
        }
    }
    denies
}

/// Parentheses and words; comments and strings are passed over.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            let first = rest.chars().next()?;
            match first {
                ';' => rest = rest.split_once('\n').map_or("", |(_, after)| after),
                '"' => rest = &rest[string_end(rest)..],
                '(' | ')' => return Some(take(&mut rest, 1)),
                _ => {
                    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | ';'));
                    let end = end.unwrap_or(rest.len());
                    return Some(take(&mut rest, end));
                }
            }
        }
    })
}

fn take<'t>(rest: &mut &'t str, length: usize) -> &'t str {
    let (token, after) = rest.split_at(length);
    *rest = after;
    token
}

/// The length of the string literal that `text` begins with, or of all of it when the string does not end.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_default_rule_decides() {
        for (text, denies) in [
            ("(version 1)\n(deny default)", true),
            ("(version 1) ( deny\n  default )", true),
            ("(version 1)(allow default)", false),
            ("(allow default) (deny file-read*)", false),
            ("(allow default)\n(deny (with no-report) default)", true),
            ("(allow (with report) default)", false),
            ("; (deny default)\n(allow default)", false),
            ("(allow default) ; (deny default)", false),
            ("(allow default) (define x \"(deny default)\")", false),
            ("(allow default) (define x \"\\\"(deny default)\")", false),
            ("(version 1)", true),
            ("", true),
            ("(allow default", false),
            (")))(allow default)", false),
            ("\"unended (allow default)", true),
        ] {
            assert_eq!(is_deny_default(text), denies, "{text}");
        }
    }
}
