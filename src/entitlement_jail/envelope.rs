//! Answers of the app: one JSON document each, in which a key that is missing and one that is null mean the same. Pure.

use serde_json::Value;

use crate::base::json;

/// What a text on stdout is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// One JSON document.
    Json(Value),
    /// Nothing but blanks.
    Empty,
    /// Anything else.
    NotJson,
}

impl Answer {
    /// Reads all of stdout as one document. Nothing is picked out of other output.
    pub(super) fn of(stdout: &[u8]) -> Self {
        let text = stdout.trim_ascii();
        if text.is_empty() {
            return Self::Empty;
        }
        json::read(text).map_or(Self::NotJson, Self::Json)
    }

    pub(super) fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            _ => None,
        }
    }

    /// Why there is no document, as records say it.
    pub(super) fn error(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => None,
            Self::Empty => Some("stdout_empty"),
            Self::NotJson => Some("stdout_not_json"),
        }
    }
}

/// Looks into an answer of `run-xpc`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Response<'a>(pub(super) Option<&'a Value>);

impl<'a> Response<'a> {
    /// A member of `data`, unless null.
    pub(super) fn data(self, key: &str) -> Option<&'a Value> {
        self.0?.get("data")?.get(key).filter(|value| !value.is_null())
    }

    /// A member of `data` that is text.
    pub(super) fn data_text(self, key: &str) -> Option<&'a str> {
        self.data(key)?.as_str()
    }

    fn details(self) -> Option<&'a Value> {
        let own = self.data("details").filter(|details| details.is_object());
        own.or_else(|| self.0?.get("details").filter(|details| details.is_object()))
    }

    fn detail_text(self, key: &str) -> Option<&'a str> {
        self.details()?.get(key)?.as_str()
    }

    /// The service's process id as text: an integer, or text that is not empty.
    pub(super) fn pid(self) -> Option<String> {
        let details = self.details()?;
        ["service_pid", "probe_pid", "pid"].iter().find_map(|key| match details.get(key)? {
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        })
    }

    pub(super) fn process_name(self) -> Option<&'a str> {
        self.detail_text("process_name").filter(|name| !name.is_empty())
    }

    /// The correlation id of the details, else that of the data.
    pub(super) fn correlation_id(self) -> Option<&'a str> {
        self.detail_text("correlation_id").or_else(|| self.data_text("correlation_id"))
    }

    /// The observer's report that the answer carries.
    pub(super) fn observer_report(self) -> Option<&'a Value> {
        self.data("log_observer_report").filter(|report| report.is_object())
    }
}

/// A process id that is one.
pub(super) fn usable_pid(text: &str) -> Option<i32> {
    text.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_document_and_nothing_else() {
        assert_eq!(Answer::of(b" \n{\"a\": 1}\n"), Answer::Json(json!({"a": 1})));
        assert_eq!(Answer::of(b"[1]"), Answer::Json(json!([1])));
        assert_eq!(Answer::of(b" \n").error(), Some("stdout_empty"));
        for other in [&b"noise\n{\"a\": 1}"[..], b"{\"a\": 1} x", b"{\"a\": \"\xff\"}", b"{\"a\""] {
            assert_eq!(Answer::of(other).error(), Some("stdout_not_json"));
        }
    }

    #[test]
    fn the_first_process_id_that_is_one_counts() {
        let pid = |details: Value| Response(Some(&json!({"data": {"details": details}}))).pid();
        assert_eq!(pid(json!({"service_pid": null, "probe_pid": "", "pid": 7})), Some("7".to_owned()));
        assert_eq!(pid(json!({"service_pid": "42", "pid": "7"})), Some("42".to_owned()));
        assert_eq!(pid(json!({"service_pid": 1.5, "pid": true})), None);
        let top = json!({"data": {"details": null}, "details": {"pid": "9", "process_name": "x"}});
        assert_eq!(
            (Response(Some(&top)).pid().as_deref(), Response(Some(&top)).process_name()),
            (Some("9"), Some("x"))
        );
        assert_eq!(
            (usable_pid("42"), usable_pid("0"), usable_pid("-3"), usable_pid("4x")),
            (Some(42), None, None, None)
        );
    }
}
