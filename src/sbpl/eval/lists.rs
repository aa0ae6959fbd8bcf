//! List, text and number procedures of the Scheme part. Each is total over its argument kinds; an argument that is
//! unknown makes the result unknown.

use std::rc::Rc;

use super::Evaluator;
use super::core::{Arguments, VALUE_BYTES};
use super::fault::{Fault, Outcome};
use super::value::{List, Value};
use crate::sbpl::form::Form;
use crate::vocab::Span;

/// A procedure with its number of arguments.
#[derive(Debug)]
pub(super) struct ListProcedure {
    name: &'static str,
    least: usize,
    most: Option<usize>,
    run: Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Car(&'static str),
    Cons,
    List,
    Append,
    Length,
    Reverse,
    ListRef,
    Member,
    Assoc,
    ForEach,
    Map,
    Filter,
    Apply,
    Is(Kind),
    Not,
    Equal,
    Compare(Comparison),
    Add,
    Subtract,
    Multiply,
    StringAppend,
    StringLength,
    Substring,
    StringEqual,
    StringPrefix,
    RegexQuote,
    SymbolToString,
    StringToSymbol,
    NumberToString,
    Ignore,
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Pair,
    List,
    String,
    Symbol,
    Number,
    Boolean,
    Procedure,
    Zero,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
}

const fn fixed(name: &'static str, count: usize, run: Run) -> ListProcedure {
    ListProcedure { name, least: count, most: Some(count), run }
}

const fn open(name: &'static str, least: usize, run: Run) -> ListProcedure {
    ListProcedure { name, least, most: None, run }
}

static PROCEDURES: [ListProcedure; 54] = [
    // The letters between c and r, applied from the right.
    fixed("car", 1, Run::Car("a")),
    fixed("cdr", 1, Run::Car("d")),
    fixed("caar", 1, Run::Car("aa")),
    fixed("cadr", 1, Run::Car("ad")),
    fixed("cdar", 1, Run::Car("da")),
    fixed("cddr", 1, Run::Car("dd")),
    fixed("caddr", 1, Run::Car("add")),
    fixed("cons", 2, Run::Cons),
    open("list", 0, Run::List),
    open("append", 0, Run::Append),
    fixed("length", 1, Run::Length),
    fixed("reverse", 1, Run::Reverse),
    fixed("list-ref", 2, Run::ListRef),
    fixed("member", 2, Run::Member),
    fixed("memq", 2, Run::Member),
    fixed("memv", 2, Run::Member),
    fixed("assoc", 2, Run::Assoc),
    fixed("assq", 2, Run::Assoc),
    fixed("assv", 2, Run::Assoc),
    open("for-each", 2, Run::ForEach),
    open("map", 2, Run::Map),
    fixed("filter", 2, Run::Filter),
    open("apply", 2, Run::Apply),
    fixed("null?", 1, Run::Is(Kind::Null)),
    fixed("pair?", 1, Run::Is(Kind::Pair)),
    fixed("list?", 1, Run::Is(Kind::List)),
    fixed("string?", 1, Run::Is(Kind::String)),
    fixed("symbol?", 1, Run::Is(Kind::Symbol)),
    fixed("number?", 1, Run::Is(Kind::Number)),
    fixed("integer?", 1, Run::Is(Kind::Number)),
    fixed("boolean?", 1, Run::Is(Kind::Boolean)),
    fixed("procedure?", 1, Run::Is(Kind::Procedure)),
    fixed("zero?", 1, Run::Is(Kind::Zero)),
    fixed("not", 1, Run::Not),
    fixed("eq?", 2, Run::Equal),
    fixed("eqv?", 2, Run::Equal),
    fixed("equal?", 2, Run::Equal),
    open("=", 1, Run::Compare(Comparison::Equal)),
    open("<", 1, Run::Compare(Comparison::Less)),
    open(">", 1, Run::Compare(Comparison::Greater)),
    open("<=", 1, Run::Compare(Comparison::LessOrEqual)),
    open(">=", 1, Run::Compare(Comparison::GreaterOrEqual)),
    open("+", 0, Run::Add),
    open("-", 1, Run::Subtract),
    open("*", 0, Run::Multiply),
    open("string-append", 0, Run::StringAppend),
    fixed("string-length", 1, Run::StringLength),
    ListProcedure { name: "substring", least: 2, most: Some(3), run: Run::Substring },
    open("string=?", 2, Run::StringEqual),
    fixed("string-prefix?", 2, Run::StringPrefix),
    fixed("regex-quote", 1, Run::RegexQuote),
    fixed("symbol->string", 1, Run::SymbolToString),
    fixed("string->symbol", 1, Run::StringToSymbol),
    fixed("number->string", 1, Run::NumberToString),
];

/// Procedures that only talk: their effect is nothing.
static TALKING: [ListProcedure; 3] =
    [open("display", 1, Run::Ignore), open("newline", 0, Run::Ignore), open("error", 1, Run::Error)];

/// Looks a procedure up by name.
pub(super) fn find(name: &str) -> Option<&'static ListProcedure> {
    PROCEDURES.iter().chain(&TALKING).find(|procedure| procedure.name == name)
}

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROCEDURES.iter().chain(&TALKING).map(|procedure| procedure.name)
}

impl<'f> Evaluator<'f, '_> {
    /// Runs one of the procedures.
    pub(super) fn list_procedure(
        &mut self,
        procedure: &'static ListProcedure,
        arguments: Arguments<'f>,
        form: &'f Form,
    ) -> Outcome<Value<'f>> {
        let given = arguments.values.len();
        if given < procedure.least || procedure.most.is_some_and(|most| given > most) {
            let least = if procedure.most.is_none() { "at least " } else { "" };
            let message = format!("`{}` takes {least}{} argument(s) and got {given}", procedure.name, procedure.least);
            return Err(Fault::new("wrong-arity", arguments.span, message));
        }
        self.spend(1 + given as u64 / 8, arguments.span)?;
        let call = Call { name: procedure.name, arguments: &arguments };
        match procedure.run {
            Run::ForEach => return self.for_each(&call, form, false),
            Run::Map => return self.for_each(&call, form, true),
            Run::Filter => return self.keep(&call, form),
            Run::Apply => return self.spread(&call, form),
            _ => {}
        }
        let keeps_unknown = matches!(procedure.run, Run::List | Run::Cons | Run::Ignore);
        if let Some(unknown) = arguments.values.iter().find(|value| matches!(value, Value::Unknown(_)))
            && !keeps_unknown
        {
            return Ok(unknown.clone());
        }
        self.plain(procedure.run, &call)
    }

    fn plain(&mut self, run: Run, call: &Call<'_, 'f>) -> Outcome<Value<'f>> {
        let values = &call.arguments.values;
        Ok(match run {
            Run::Car(path) => return call.path(path),
            Run::Cons => {
                let mut items = vec![values[0].clone()];
                match &values[1] {
                    Value::List(rest) => {
                        self.spend(rest.items().len() as u64 / 8, call.arguments.span)?;
                        items.extend(rest.items().iter().cloned());
                    }
                    other => items.push(other.clone()),
                }
                return self.list(items, call.arguments.span);
            }
            Run::List => return self.list(values.clone(), call.arguments.span),
            Run::Append => {
                let mut items = Vec::new();
                for index in 0..values.len() {
                    let list = call.list(index)?;
                    self.allocate(VALUE_BYTES * list.items().len(), call.arguments.span)?;
                    items.extend(list.items().iter().cloned());
                }
                return self.list(items, call.arguments.span);
            }
            Run::Length => Value::Integer(i64::try_from(call.list(0)?.items().len()).unwrap_or(i64::MAX)),
            Run::Reverse => {
                let items = call.list(0)?.items().iter().rev().cloned().collect();
                return self.list(items, call.arguments.span);
            }
            Run::ListRef => {
                let index = call.integer(1)?;
                let found =
                    usize::try_from(index).ok().and_then(|index| call.list(0).ok()?.items().get(index).cloned());
                found.ok_or_else(|| call.fault(1, format!("the list has no item {index}")))?
            }
            Run::Member => {
                let list = call.list(1)?;
                self.spend(list.size as u64, call.arguments.span)?;
                match list.items().iter().position(|item| item.equal(&values[0])) {
                    Some(at) => return self.list(list.items()[at..].to_vec(), call.arguments.span),
                    None => Value::Bool(false),
                }
            }
            Run::Assoc => {
                let list = call.list(1)?;
                self.spend(list.size as u64, call.arguments.span)?;
                let found = list.items().iter().find(|entry| match entry {
                    Value::List(entry) => entry.items().first().is_some_and(|key| key.equal(&values[0])),
                    _ => false,
                });
                found.cloned().unwrap_or(Value::Bool(false))
            }
            Run::Is(kind) => Value::Bool(kind.holds(&values[0])),
            Run::Not => Value::Bool(!values[0].is_true()),
            Run::Equal => {
                self.spend(values[0].size() as u64, call.arguments.span)?;
                Value::Bool(values[0].equal(&values[1]))
            }
            Run::Compare(comparison) => {
                let numbers = call.integers()?;
                Value::Bool(numbers.windows(2).all(|pair| comparison.holds(pair[0], pair[1])))
            }
            Run::Add => Value::Integer(call.fold(0, i64::checked_add)?),
            Run::Multiply => Value::Integer(call.fold(1, i64::checked_mul)?),
            Run::Subtract => {
                let numbers = call.integers()?;
                let result = match numbers.as_slice() {
                    [only] => only.checked_neg(),
                    [first, rest @ ..] => rest.iter().try_fold(*first, |left, right| left.checked_sub(*right)),
                    [] => None,
                };
                Value::Integer(result.ok_or_else(|| call.overflow())?)
            }
            Run::StringAppend => {
                let mut text = String::new();
                for index in 0..values.len() {
                    text.push_str(&call.text(index)?);
                    self.allocate(text.len(), call.arguments.span)?;
                }
                self.string(&text, call.arguments.span)?
            }
            Run::StringLength => Value::Integer(i64::try_from(call.text(0)?.chars().count()).unwrap_or(i64::MAX)),
            Run::Substring => return self.substring(call),
            Run::StringEqual => {
                let first = call.text(0)?;
                let mut equal = true;
                for index in 1..values.len() {
                    equal &= call.text(index)? == first;
                }
                Value::Bool(equal)
            }
            Run::StringPrefix => Value::Bool(call.text(1)?.starts_with(&*call.text(0)?)),
            Run::RegexQuote => {
                let text = call.text(0)?;
                let mut quoted = String::with_capacity(text.len());
                for c in text.chars() {
                    if matches!(c, '\\' | '^' | '$' | '.' | '[' | ']' | '|' | '(' | ')' | '?' | '*' | '+' | '{' | '}') {
                        quoted.push('\\');
                    }
                    quoted.push(c);
                }
                self.string(&quoted, call.arguments.span)?
            }
            Run::SymbolToString => match &values[0] {
                Value::Symbol(name) => Value::String(Rc::clone(name)),
                other => return Err(call.fault(0, format!("wants a name, not {}", other.describe()))),
            },
            Run::StringToSymbol => Value::Symbol(call.text(0)?),
            Run::NumberToString => self.string(&call.integer(0)?.to_string(), call.arguments.span)?,
            Run::Error => {
                let said: Vec<String> = values.iter().map(Value::describe).collect();
                return Err(Fault::new(
                    "profile-error",
                    call.arguments.span,
                    format!("the profile says: {}", said.join(" ")),
                ));
            }
            Run::Ignore | Run::ForEach | Run::Map | Run::Filter | Run::Apply => Value::Unspecified,
        })
    }

    fn string(&mut self, text: &str, span: Span) -> Outcome<Value<'f>> {
        self.allocate(VALUE_BYTES + text.len(), span)?;
        Ok(Value::text(text))
    }

    fn substring(&mut self, call: &Call<'_, 'f>) -> Outcome<Value<'f>> {
        let text = call.text(0)?;
        let characters = text.chars().count();
        let bound = |index: usize, otherwise: usize| -> Outcome<usize> {
            if index >= call.arguments.values.len() {
                return Ok(otherwise);
            }
            let number = call.integer(index)?;
            usize::try_from(number)
                .ok()
                .filter(|&number| number <= characters)
                .ok_or_else(|| call.fault(index, format!("{number} is outside of a text of {characters} characters")))
        };
        let (from, to) = (bound(1, 0)?, bound(2, characters)?);
        let part: String = text.chars().skip(from).take(to.saturating_sub(from)).collect();
        self.string(&part, call.arguments.span)
    }

    fn for_each(&mut self, call: &Call<'_, 'f>, form: &'f Form, collect: bool) -> Outcome<Value<'f>> {
        let procedure = &call.arguments.values[0];
        let mut rows = usize::MAX;
        let mut unknown = None;
        for (index, value) in call.arguments.values.iter().enumerate().skip(1) {
            match value {
                Value::Unknown(_) => unknown = Some(value.clone()),
                _ => rows = rows.min(call.list(index)?.items().len()),
            }
        }
        if let Some(unknown) = unknown {
            // One call with an unknown item stands for any number of calls.
            let values = vec![unknown.clone(); call.arguments.values.len() - 1];
            let arguments = Arguments { values, forms: None, span: call.arguments.span };
            self.apply_now(procedure, arguments, form)?;
            return Ok(unknown);
        }
        let mut results = Vec::new();
        for row in 0..rows {
            self.spend(1, call.arguments.span)?;
            let mut values = Vec::with_capacity(call.arguments.values.len() - 1);
            for index in 1..call.arguments.values.len() {
                values.push(call.list(index)?.items()[row].clone());
            }
            let arguments = Arguments { values, forms: None, span: call.arguments.span };
            let value = self.apply_now(procedure, arguments, form)?;
            if collect {
                results.push(value);
            }
        }
        if collect { self.list(results, call.arguments.span) } else { Ok(Value::Unspecified) }
    }

    fn keep(&mut self, call: &Call<'_, 'f>, form: &'f Form) -> Outcome<Value<'f>> {
        if let unknown @ Value::Unknown(_) = &call.arguments.values[1] {
            return Ok(unknown.clone());
        }
        let mut kept = Vec::new();
        for item in call.list(1)?.items() {
            self.spend(1, call.arguments.span)?;
            let arguments = Arguments { values: vec![item.clone()], forms: None, span: call.arguments.span };
            match self.apply_now(&call.arguments.values[0], arguments, form)? {
                unknown @ Value::Unknown(_) => return Ok(unknown),
                value if value.is_true() => kept.push(item.clone()),
                _ => {}
            }
        }
        self.list(kept, call.arguments.span)
    }

    fn spread(&mut self, call: &Call<'_, 'f>, form: &'f Form) -> Outcome<Value<'f>> {
        let last = call.arguments.values.len() - 1;
        let mut values = call.arguments.values[1..last].to_vec();
        match &call.arguments.values[last] {
            unknown @ Value::Unknown(_) => values.push(unknown.clone()),
            _ => {
                let list = call.list(last)?;
                self.allocate(VALUE_BYTES * list.items().len(), call.arguments.span)?;
                values.extend(list.items().iter().cloned());
            }
        }
        let arguments = Arguments { values, forms: None, span: call.arguments.span };
        self.apply_now(&call.arguments.values[0], arguments, form)
    }
}

/// One call with checks of its arguments.
struct Call<'a, 'f> {
    name: &'static str,
    arguments: &'a Arguments<'f>,
}

impl<'f> Call<'_, 'f> {
    fn fault(&self, index: usize, message: String) -> Box<Fault> {
        Fault::new("wrong-type", self.arguments.span_of(index), format!("`{}`: {message}", self.name))
    }

    fn overflow(&self) -> Box<Fault> {
        Fault::new("bad-number", self.arguments.span, format!("`{}` leaves the range of 64 bits", self.name))
    }

    fn list(&self, index: usize) -> Outcome<&List<'f>> {
        match &self.arguments.values[index] {
            Value::List(list) => Ok(list),
            other => Err(self.fault(index, format!("wants a list, not {}", other.describe()))),
        }
    }

    fn text(&self, index: usize) -> Outcome<Rc<str>> {
        match &self.arguments.values[index] {
            Value::String(text) => Ok(Rc::clone(text)),
            other => Err(self.fault(index, format!("wants a string, not {}", other.describe()))),
        }
    }

    fn integer(&self, index: usize) -> Outcome<i64> {
        match &self.arguments.values[index] {
            Value::Integer(number) => Ok(*number),
            other => Err(self.fault(index, format!("wants a number, not {}", other.describe()))),
        }
    }

    fn integers(&self) -> Outcome<Vec<i64>> {
        (0..self.arguments.values.len()).map(|index| self.integer(index)).collect()
    }

    fn fold(&self, start: i64, step: fn(i64, i64) -> Option<i64>) -> Outcome<i64> {
        self.integers()?.into_iter().try_fold(start, step).ok_or_else(|| self.overflow())
    }

    /// `car`, `cdr` and their compositions: letters applied from the right.
    fn path(&self, letters: &str) -> Outcome<Value<'f>> {
        let mut value = self.arguments.values[0].clone();
        for letter in letters.bytes().rev() {
            value = match &value {
                Value::List(list) if !list.items().is_empty() => match letter {
                    b'a' => list.items()[0].clone(),
                    _ => Value::List(list.rest()),
                },
                Value::Unknown(_) => return Ok(value),
                other => return Err(self.fault(0, format!("wants a list with items, not {}", other.describe()))),
            };
        }
        Ok(value)
    }
}

impl Kind {
    fn holds(self, value: &Value<'_>) -> bool {
        match self {
            Self::Null => matches!(value, Value::List(list) if list.items().is_empty()),
            Self::Pair => matches!(value, Value::List(list) if !list.items().is_empty()),
            Self::List => matches!(value, Value::List(_)),
            Self::String => matches!(value, Value::String(_)),
            Self::Symbol => matches!(value, Value::Symbol(_)),
            Self::Number => matches!(value, Value::Integer(_)),
            Self::Boolean => value.as_bool().is_some(),
            Self::Procedure => matches!(value, Value::Closure(_) | Value::Builtin(_)),
            Self::Zero => matches!(value, Value::Integer(0)),
        }
    }
}

impl Comparison {
    fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::Greater => left > right,
            Self::LessOrEqual => left <= right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}
