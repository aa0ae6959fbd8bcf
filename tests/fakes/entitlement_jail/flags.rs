//! Flags before the first word that is none.

use std::collections::BTreeMap;

/// Flags with their values, and what follows them.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    values: BTreeMap<String, String>,
    pub(crate) rest: Vec<String>,
}

impl Flags {
    /// Reads flags that take a value and flags that do not, up to the first other word.
    pub(crate) fn read(args: &[String], with_value: &[&str], alone: &[&str]) -> Result<Self, String> {
        let mut flags = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if with_value.contains(&word.as_str()) {
                let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                flags.values.insert(word.clone(), value.clone());
            } else if alone.contains(&word.as_str()) {
                flags.values.insert(word.clone(), String::new());
            } else {
                flags.rest = std::iter::once(word).chain(words).cloned().collect();
                break;
            }
        }
        Ok(flags)
    }

    pub(crate) fn get(&self, flag: &str) -> Option<&str> {
        self.values.get(flag).map(String::as_str)
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.values.contains_key(flag)
    }

    /// A number, at least `least`.
    pub(crate) fn number(&self, flag: &str, least: f64) -> Result<Option<f64>, String> {
        let Some(text) = self.get(flag) else { return Ok(None) };
        let number = text.parse::<f64>().ok().filter(|number| *number >= least);
        number.map(Some).ok_or_else(|| format!("{flag} {text}: not a number of at least {least}"))
    }

    /// Refuses flags that exclude each other.
    pub(crate) fn at_most_one(&self, flags: &[&str]) -> Result<(), String> {
        let given: Vec<&str> = flags.iter().copied().filter(|flag| self.has(flag)).collect();
        if given.len() > 1 { Err(format!("{} exclude each other", given.join(" and "))) } else { Ok(()) }
    }
}
