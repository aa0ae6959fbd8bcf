//! What the `EJ_*` variables and the options above them choose, as one value. Pure.

use std::fmt;
use std::time::Duration;

/// How the app is asked to capture the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogMode {
    /// `--log-stream PATH`.
    Stream,
    /// `--log-path-class tmp --log-name NAME`: in the container of the service.
    PathClass,
}

/// Who is asked what the sandbox refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObserverMode {
    /// The app asks the observer while it runs the probe.
    Embedded,
    /// The observer is asked afterwards, when the answer of the app holds no report; the app is told nothing about it.
    External,
    /// The app asks, and the observer is asked afterwards in any case.
    Always,
    /// Nobody is asked, and no log is captured: the app observes whenever it captures.
    Disabled,
}

/// Form of an observer's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObserverFormat {
    /// One report.
    Json,
    /// Events as lines, then the report.
    Jsonl,
}

macro_rules! words {
    ($type:ident, $($variant:ident = $word:literal),+) => {
        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value of a word, whatever its case.
            #[must_use]
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|own| own.word().eq_ignore_ascii_case(word))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(LogMode, Stream = "stream", PathClass = "path_class");
words!(ObserverMode, Embedded = "embedded", External = "external", Always = "always", Disabled = "disabled");
words!(ObserverFormat, Json = "json", Jsonl = "jsonl");

/// A variable or an option with a value that it does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {value:?} is not {expected}")]
pub struct SettingError {
    /// The variable or option.
    pub name: String,
    /// What it says.
    pub value: String,
    /// What it could say.
    pub expected: String,
}

/// How logs are captured and observers asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How the app is asked to capture the log.
    pub log_mode: LogMode,
    /// The word that chose it, as given, in lower case.
    pub requested_log_mode: String,
    /// Who is asked.
    pub observer: ObserverMode,
    /// How far back the observer looks where the times of a probe are not known, in its own words.
    pub last: String,
    /// Seconds added to both ends of the window; may be negative, never infinite.
    pub pad_s: f64,
    /// How long the app lets the observer run beside the probe; `None` leaves that to the app.
    pub duration_s: Option<f64>,
    /// Form of the report; `None` leaves that to the app.
    pub format: Option<ObserverFormat>,
    /// Where the app puts the report: a path or `auto`; `None` leaves that to the app.
    pub output: Option<String>,
    /// Whether the observer runs until the probe returns, in place of the duration.
    pub follow: bool,
}

/// No program is given more time than this for something that it was told: a day.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// The variables, with the option that overrides each.
pub const VARIABLES: [(&str, &str); 8] = [
    ("EJ_LOG_MODE", "--log-mode"),
    ("EJ_LOG_OBSERVER", "--observer"),
    ("EJ_LOG_LAST", "--observer-last"),
    ("EJ_LOG_PAD_S", "--observer-pad-s"),
    ("EJ_LOG_OBSERVER_DURATION_S", "--observer-duration-s"),
    ("EJ_LOG_OBSERVER_FORMAT", "--observer-format"),
    ("EJ_LOG_OBSERVER_OUTPUT", "--observer-output"),
    ("EJ_LOG_OBSERVER_FOLLOW", "--observer-follow"),
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            log_mode: LogMode::Stream,
            requested_log_mode: "stream".to_owned(),
            observer: ObserverMode::Embedded,
            last: "10s".to_owned(),
            pad_s: 2.0,
            duration_s: Some(2.0),
            format: Some(ObserverFormat::Json),
            output: Some("auto".to_owned()),
            follow: false,
        }
    }
}

impl Settings {
    /// The settings that `asked` makes of the defaults: for each of [`VARIABLES`], the name that the value came by, for
    /// messages, and the value.
    ///
    /// # Errors
    /// A value that is none of the allowed ones; the first, in the order of [`VARIABLES`].
    pub fn from_values(asked: impl Fn(&str) -> Option<(String, String)>) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        for (variable, _) in VARIABLES {
            if let Some((name, value)) = asked(variable) {
                settings.set(variable, &value).map_err(|expected| SettingError { name, value, expected })?;
            }
        }
        Ok(settings)
    }

    fn set(&mut self, variable: &str, value: &str) -> Result<(), String> {
        match variable {
            "EJ_LOG_MODE" => {
                // The name that the stream had first.
                let mode =
                    if value.eq_ignore_ascii_case("sandbox") { Some(LogMode::Stream) } else { LogMode::of(value) };
                self.log_mode = mode.ok_or("stream, path_class or sandbox (an older word for stream)")?;
                self.requested_log_mode = value.to_ascii_lowercase();
            }
            "EJ_LOG_OBSERVER" => {
                self.observer = ObserverMode::of(value).ok_or("embedded, external, always or disabled")?;
            }
            "EJ_LOG_LAST" => match value {
                "" => return Err("a duration such as 10s".to_owned()),
                value => self.last = value.to_owned(),
            },
            "EJ_LOG_PAD_S" => {
                self.pad_s = finite(value).ok_or("a finite number of seconds")?;
            }
            "EJ_LOG_OBSERVER_DURATION_S" => {
                let seconds = if value.is_empty() { Some(0.0) } else { finite(value) };
                self.duration_s = Some(seconds.ok_or("a finite number of seconds, or empty")?).filter(|s| *s > 0.0);
            }
            "EJ_LOG_OBSERVER_FORMAT" => match value {
                "" => self.format = None,
                value => self.format = Some(ObserverFormat::of(value).ok_or("json, jsonl or empty")?),
            },
            "EJ_LOG_OBSERVER_OUTPUT" => self.output = Some(value.to_owned()).filter(|text| !text.is_empty()),
            "EJ_LOG_OBSERVER_FOLLOW" => {
                self.follow = match value {
                    "1" => true,
                    "" | "0" => false,
                    _ => return Err("1, 0 or empty".to_owned()),
                }
            }
            other => unreachable!("{other} is none of VARIABLES"),
        }
        Ok(())
    }

    /// How long an observer that the app runs may take beyond the probe.
    #[must_use]
    pub fn observer_time(&self) -> Duration {
        let asked = matches!(self.observer, ObserverMode::Embedded | ObserverMode::Always) && !self.follow;
        let seconds = self.duration_s.filter(|_| asked).unwrap_or(0.0);
        Duration::try_from_secs_f64(seconds).map_or(LONGEST, |time| time.min(LONGEST))
    }
}

fn finite(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// A number of seconds with six significant digits and no trailing zeros: `2.0` is `2`.
#[must_use]
pub(super) fn short_number(number: f64) -> String {
    let magnitude = if number == 0.0 { 0 } else { number.abs().log10().floor() as i32 };
    if !(-4..6).contains(&magnitude) {
        let text = format!("{number:.5e}");
        let (digits, exponent) = text.split_once('e').expect("LowerExp always writes an exponent");
        let exponent: i32 = exponent.parse().expect("LowerExp writes a decimal exponent");
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(digits), exponent.abs());
    }
    let decimals = usize::try_from(5 - magnitude).unwrap_or(0);
    trimmed(&format!("{number:.decimals$}")).to_owned()
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(variable: &str, value: &str) -> Result<Settings, SettingError> {
        Settings::from_values(|asked| (asked == variable).then(|| (asked.to_owned(), value.to_owned())))
    }

    #[test]
    fn every_variable_takes_its_words_and_refuses_others() {
        assert_eq!(set("other", "x").unwrap(), Settings::default());
        let mode = set("EJ_LOG_MODE", "SANDBOX").unwrap();
        assert_eq!((mode.log_mode, mode.requested_log_mode.as_str()), (LogMode::Stream, "sandbox"));
        assert_eq!(set("EJ_LOG_MODE", "Path_Class").unwrap().log_mode, LogMode::PathClass);
        assert_eq!(set("EJ_LOG_OBSERVER", "ALWAYS").unwrap().observer, ObserverMode::Always);
        assert_eq!(set("EJ_LOG_LAST", "3m").unwrap().last, "3m");
        assert_eq!(set("EJ_LOG_PAD_S", "-1.5").unwrap().pad_s, -1.5);
        assert_eq!(set("EJ_LOG_OBSERVER_DURATION_S", "0.25").unwrap().duration_s, Some(0.25));
        assert_eq!(set("EJ_LOG_OBSERVER_DURATION_S", "1e300").unwrap().observer_time(), LONGEST);
        assert_eq!(Settings::default().observer_time(), Duration::from_secs(2));
        for none in ["", "0", "-1"] {
            assert_eq!(set("EJ_LOG_OBSERVER_DURATION_S", none).unwrap().duration_s, None, "{none}");
        }
        assert_eq!(set("EJ_LOG_OBSERVER_FORMAT", "JSONL").unwrap().format, Some(ObserverFormat::Jsonl));
        assert_eq!(set("EJ_LOG_OBSERVER_FORMAT", "").unwrap().format, None);
        assert_eq!(set("EJ_LOG_OBSERVER_OUTPUT", "/x y").unwrap().output.as_deref(), Some("/x y"));
        assert_eq!(set("EJ_LOG_OBSERVER_OUTPUT", "").unwrap().output, None);
        assert!(set("EJ_LOG_OBSERVER_FOLLOW", "1").unwrap().follow);
        assert!(!set("EJ_LOG_OBSERVER_FOLLOW", "0").unwrap().follow);
        for (variable, bad) in [
            ("EJ_LOG_MODE", "strem"),
            ("EJ_LOG_MODE", ""),
            ("EJ_LOG_OBSERVER", "off"),
            ("EJ_LOG_LAST", ""),
            ("EJ_LOG_PAD_S", "two"),
            ("EJ_LOG_PAD_S", ""),
            ("EJ_LOG_PAD_S", "inf"),
            ("EJ_LOG_PAD_S", "NaN"),
            ("EJ_LOG_OBSERVER_DURATION_S", "nan"),
            ("EJ_LOG_OBSERVER_DURATION_S", "1e999"),
            ("EJ_LOG_OBSERVER_DURATION_S", "x"),
            ("EJ_LOG_OBSERVER_FORMAT", "xml"),
            ("EJ_LOG_OBSERVER_FOLLOW", "yes"),
        ] {
            let error = set(variable, bad).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{variable}: {bad:?} is not ")), "{error}");
        }
    }

    #[test]
    fn numbers_have_six_significant_digits() {
        for (number, text) in [
            (2.0, "2"),
            (0.25, "0.25"),
            (0.1, "0.1"),
            (1234.5678, "1234.57"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.123_456_789, "0.123457"),
        ] {
            assert_eq!(short_number(number), text, "{number}");
        }
    }
}
