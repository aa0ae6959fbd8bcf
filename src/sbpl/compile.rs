//! From texts to a policy: parse all, evaluate, resolve imports as they are met, evaluate again with them.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::eval::{self, Budget, Evaluation, ImportState, Imports, Program};
use super::form::{self, Form};
use super::limits::MAX_IMPORTS;
use super::policy::Policy;
use super::source::{AbsentParams, ImportResolver, Imported, Params, Source};
use crate::vocab::{Severity, Span};

/// See [`Policy::compile`]; `absent` says what a parameter without a value is.
pub(super) fn compile(
    profiles: &[Source],
    params: &Params,
    absent: AbsentParams,
    resolver: &dyn ImportResolver,
) -> Result<Policy, Diagnostics> {
    let mut sources = profiles.to_vec();
    let mut diagnostics = Diagnostics::new();
    let mut texts: Vec<Vec<Form>> =
        (0..sources.len()).map(|index| form::parse(&sources, index, &mut diagnostics)).collect();
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let mut imports = Imports::new();
    let mut budget = Budget::default();
    loop {
        let program =
            Program { sources: &sources, texts: &texts, profiles: profiles.len(), params, absent, imports: &imports };
        match eval::evaluate(&program, &mut budget) {
            Evaluation::Done { rules, missing, diagnostics: noticed } => {
                diagnostics.append(&noticed);
                return if diagnostics.has_errors() {
                    Err(diagnostics)
                } else {
                    Ok(Policy::from_rules(rules, missing, diagnostics))
                };
            }
            Evaluation::Wants { span, .. } if imports.len() >= MAX_IMPORTS => {
                diagnostics.push(too_many_imports(&sources, span));
                return Err(diagnostics);
            }
            Evaluation::Wants { name, importer, .. } => {
                let state = resolve(&mut sources, &name, importer, resolver);
                if sources.len() > texts.len() {
                    texts.push(form::parse(&sources, sources.len() - 1, &mut diagnostics));
                }
                imports.insert((importer, name), state);
                if diagnostics.has_errors() {
                    return Err(diagnostics);
                }
            }
        }
    }
}

/// Asks the resolver; a text that is known already under the same name is used again.
fn resolve(sources: &mut Vec<Source>, name: &str, importer: u32, resolver: &dyn ImportResolver) -> ImportState {
    let importer_name = sources.get(importer as usize).map_or_else(String::new, |source| source.name.clone());
    match resolver.resolve(name, &importer_name) {
        Imported::NotAvailable { reason } => ImportState::Missing(reason),
        Imported::Found(source) => match sources.iter().position(|known| *known == source) {
            Some(index) => ImportState::Text(index),
            None => {
                sources.push(source);
                ImportState::Text(sources.len() - 1)
            }
        },
    }
}

fn too_many_imports(sources: &[Source], span: Span) -> Diagnostic {
    let message = format!("the profile imports more than {MAX_IMPORTS} texts");
    Diagnostic::new(Severity::Error, "too-many-imports", sources, span, message)
}
