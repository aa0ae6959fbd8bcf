//! What a document violates of its schema, said so that its author can act.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, ValidationError};
use serde_json::Value;

use crate::base::position::escape;

/// More violations than this of one document are counted, not told: they have one cause.
const MAX_VIOLATIONS: usize = 500;
/// Longer values are cut in messages, at this many characters.
const MAX_SHOWN: usize = 80;

/// A text that is not a usable schema.
#[derive(Debug, thiserror::Error)]
#[error("not a usable JSON Schema: {0}")]
pub struct BadSchema(String);

/// A compiled schema.
#[derive(Debug)]
pub struct Validator {
    schema: Value,
    compiled: jsonschema::Validator,
}

/// One place where a document is not what its schema says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The keyword of JSON Schema that is not met, for instance `required`.
    pub keyword: String,
    /// Where in the document, as a JSON pointer: the object that lacks a key, else the value itself.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
    /// What to do, where the schema tells.
    pub help: Option<String>,
}

impl Validator {
    /// Compiles one of the embedded schemas.
    #[must_use]
    pub fn of(schema: &super::Schema) -> Self {
        Self::compile(schema.value()).expect("a test compiles every schema")
    }

    /// Compiles any schema of the 2020-12 draft. References out of it are not followed; regular expressions take linear
    /// time.
    ///
    /// # Errors
    /// [`BadSchema`] when it is none.
    pub fn compile(schema: Value) -> Result<Self, BadSchema> {
        let compiled = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|error| BadSchema(error.to_string()))?;
        Ok(Self { schema, compiled })
    }

    /// Whether `document` meets the schema.
    #[must_use]
    pub fn accepts(&self, document: &Value) -> bool {
        self.compiled.is_valid(document)
    }

    /// Everything in `document` that does not meet the schema.
    #[must_use]
    pub fn violations(&self, document: &Value) -> Vec<Violation> {
        let mut violations: Vec<Violation> =
            self.compiled.iter_errors(document).take(MAX_VIOLATIONS + 1).flat_map(|e| self.told(&e)).collect();
        if violations.len() > MAX_VIOLATIONS {
            violations.truncate(MAX_VIOLATIONS);
            violations.push(Violation {
                keyword: "more".to_owned(),
                pointer: String::new(),
                message: format!("more than {MAX_VIOLATIONS} places do not meet the schema; the rest is not listed"),
                help: None,
            });
        }
        violations
    }

    fn told(&self, error: &ValidationError<'_>) -> Vec<Violation> {
        let pointer = error.instance_path().as_str().to_owned();
        let found = shown(error.instance());
        let one = |pointer: String, message: String, help: Option<String>| Violation {
            keyword: error.kind().keyword().to_owned(),
            pointer,
            message,
            help,
        };
        let single = match error.kind() {
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let help = match self.described(error, &format!("properties/{}", escape(key))) {
                    Some(what) => format!("add it: {what}"),
                    None => "add it".to_owned(),
                };
                one(pointer, format!("lacks the key {key:?}"), Some(help))
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = |key: &String| {
                    let at = format!("{pointer}/{}", escape(key));
                    one(at, format!("the key {key:?} is not known here"), Some("remove it".to_owned()))
                };
                return unexpected.iter().map(known).collect();
            }
            ValidationErrorKind::FalseSchema => {
                one(pointer, "must not be here".to_owned(), Some("remove it".to_owned()))
            }
            ValidationErrorKind::Enum { options } => {
                one(pointer, format!("is {found}, expected one of {}", words(options)), self.described(error, ""))
            }
            ValidationErrorKind::Constant { expected_value } => {
                one(pointer, format!("is {found}, expected {}", shown(expected_value)), self.described(error, ""))
            }
            ValidationErrorKind::Type { kind } => {
                one(pointer, format!("is {found}, expected {}", types(kind)), self.described(error, ""))
            }
            ValidationErrorKind::PropertyNames { error: inner } => {
                let at = match inner.instance().as_str() {
                    Some(key) => format!("{pointer}/{}", escape(key)),
                    None => pointer,
                };
                one(at, format!("the key {} cannot be used", shown(inner.instance())), self.described(inner, ""))
            }
            _ => one(pointer, cut(error.to_string()), self.described(error, "")),
        };
        vec![single]
    }

    /// The description of the schema that a failed keyword stands in, or of `below` it.
    fn described(&self, error: &ValidationError<'_>, below: &str) -> Option<String> {
        let (schema, _) = error.schema_path().as_str().rsplit_once('/')?;
        let at = if below.is_empty() { schema.to_owned() } else { format!("{schema}/{below}") };
        self.schema.pointer(&at)?.get("description")?.as_str().map(str::to_owned)
    }
}

/// A value for a message, cut when it is long.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => cut(scalar.to_string()),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN * 3) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn words(options: &Value) -> String {
    let words: Vec<String> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
    words.join(", ")
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => kind.to_string(),
        TypeKind::Multiple(kinds) => {
            let names: Vec<String> = kinds.iter().map(|kind| kind.to_string()).collect();
            names.join(" or ")
        }
    }
}
