//! Which known name a misspelled one is meant to be.

/// Names longer than this, in bytes, are not compared.
const MAX_BYTES: usize = 60;

/// The known name that differs from `name` in one or two characters; of several the nearest, then the first in order.
#[must_use]
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > MAX_BYTES {
        return None;
    }
    let near = known.into_iter().map(|known| (distance(name, known), known));
    near.filter(|(distance, known)| *distance <= 2 && *distance < known.len()).min().map(|(_, known)| known)
}

/// The question after the word that is meant, where one is near.
#[must_use]
pub fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    nearest(word, known).map(|known| format!("did you mean {known:?}?"))
}

/// Edit distance by bytes; 3 stands for everything more.
fn distance(left: &str, right: &str) -> usize {
    if left.len().abs_diff(right.len()) > 2 {
        return 3;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_others_are_not() {
        let known = ["literal", "subpath", "prefix", "regex"];
        for (name, expected) in [
            ("literal", Some("literal")),
            ("litreal", Some("literal")),
            ("sub-path", Some("subpath")),
            ("regx", Some("regex")),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(nearest("ab", ["a", "abc", "b"]), Some("abc"), "a name of one character is never near");
        assert_eq!(nearest(&"x".repeat(MAX_BYTES + 1), ["x"]), None);
    }
}
