//! Which decision may be claimed of a probe under Seatbelt, which leaves no record of what it decided.
//!
//! Three observations can speak: what the call did, what `sandbox_check` answered just before it, and what the same call did
//! without a policy. A call that did what it was asked for was allowed. One that was refused was denied by the policy when
//! the system's own answer about that very object says so, or when the same call succeeds without the policy. Observations
//! that contradict each other are no decision.

use serde_json::Value;

use super::callout::{Answer, Callout, CheckApi};
use super::observation::{Effect, REACHED};
use crate::vocab::{Decision, Meaning};

/// The call did what it was asked for.
pub const BY_EFFECT: &str = "seatbelt_effect";
/// The call was refused, and the system's answer about its object was deny.
pub const BY_CALLOUT: &str = "seatbelt_effect_and_callout";
/// The call was refused, and the same call without a policy did what it was asked for.
pub const BY_CONTROL: &str = "seatbelt_effect_and_control";

/// What may be claimed, or why nothing may.
pub type Claimed = Result<(Decision, &'static str), String>;

/// What the answers say about the object of the call itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// About this operation on this object.
    Object(Answer),
    /// About the operation alone, which says little of one object.
    Operation(Answer),
    /// The forms of the call contradict each other.
    Contradiction,
    /// Nothing.
    Nothing,
}

/// Operations without an object: asking about the operation alone asks everything.
fn has_no_object(operation: &str) -> bool {
    matches!(operation, "process-fork")
}

/// The answers to the question as written; what was asked of a canonical path is a question of its own.
fn said(callouts: &[Callout], operation: &str) -> Said {
    let about = |callout: &&Callout| callout.operation == operation && callout.canonicalization == "raw";
    let of = |api: CheckApi| callouts.iter().filter(about).find(|callout| callout.api == api);
    let (by_pid, by_token) = (of(CheckApi::SandboxCheck), of(CheckApi::SandboxCheckByAuditToken));
    let Some(callout) = by_pid.or(by_token) else { return Said::Nothing };
    let answered = |callout: &Callout| callout.decision != Answer::Error;
    if let (Some(pid), Some(token)) = (by_pid, by_token)
        && answered(pid)
        && answered(token)
        && pid.decision != token.decision
    {
        return Said::Contradiction;
    }
    if callout.argument.is_some() || has_no_object(operation) {
        Said::Object(callout.decision)
    } else {
        Said::Operation(callout.decision)
    }
}

/// Judges one probe: the operation it performed, what came of it, what was answered, and whether the same call without a policy
/// did what it was asked for (`None`: nobody knows).
///
/// # Errors
/// Nothing may be claimed; the reason.
pub fn claim(operation: &str, effect: &Effect, callouts: &[Callout], control_done: Option<bool>) -> Claimed {
    let not = |why: &str| Err(why.to_owned());
    let said = said(callouts, operation);
    if said == Said::Contradiction {
        return not("sandbox_check answers differently by process id and by audit token");
    }
    let denied = matches!(said, Said::Object(Answer::Deny));
    match effect.meaning() {
        Meaning::Done => match (&effect.inconclusive, effect.details.get(REACHED).and_then(Value::as_bool)) {
            _ if denied && effect.inconclusive.is_none() => {
                not("sandbox_check answered deny, and the call did what it was asked for")
            }
            (None, _) => Ok((Decision::Allow, BY_EFFECT)),
            // A daemon that refuses in silence: nothing arrived, and the system says that it is denied.
            (Some(_), Some(false)) if denied => Ok((Decision::Deny, BY_CALLOUT)),
            (Some(why), _) => Err(why.clone()),
        },
        Meaning::Refused | Meaning::RefusedOrMissing => match (said, control_done, effect.meaning()) {
            (Said::Object(Answer::Deny), Some(false), Meaning::RefusedOrMissing) => {
                not("the call finds nothing of that name without a policy either")
            }
            (Said::Object(Answer::Deny), ..) => Ok((Decision::Deny, BY_CALLOUT)),
            (Said::Object(Answer::Allow) | Said::Operation(Answer::Allow), ..) => {
                not("the call was refused, and sandbox_check answered allow: something else may have refused it")
            }
            (_, Some(true), _) => Ok((Decision::Deny, BY_CONTROL)),
            (_, Some(false), _) => not("the call was refused, and it fails without a policy too"),
            (_, None, _) => not("the call was refused, and nothing says by whom"),
        },
        Meaning::Missing => not("there is nothing of that name"),
        Meaning::Other => not("the call failed for a reason that is no refusal by a sandbox"),
    }
}

/// Whether the call of a stored control did what it was asked for; `None`: nobody knows.
pub(super) fn done_without_policy(control: Option<&serde_json::Map<String, Value>>) -> Option<bool> {
    let control = control?;
    match control.get("status").and_then(Value::as_str) {
        Some("allow") => Some(true),
        _ => (control.get("reached_primary_op").and_then(Value::as_bool) == Some(true)).then_some(false),
    }
}

/// [`claim`] from a row as it is stored. `None` for a row that no call-outs were wanted of.
#[must_use]
pub fn claim_of_stored(
    performed: Option<&str>,
    probe_details: Option<&Value>,
    callouts: Option<&Value>,
    control_done: Option<bool>,
) -> Option<Claimed> {
    let callouts: Vec<Callout> = serde_json::from_value(callouts?.clone()).ok()?;
    let effect: Effect = serde_json::from_value(probe_details?.clone()).ok()?;
    Some(claim(performed?, &effect, &callouts, control_done))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::callout::{CALLOUT_STAGE, CheckRequest, Numbering};
    use super::*;
    use crate::vocab::ResultCode;

    /// Asked about reading `/f/x`.
    pub(crate) fn request() -> CheckRequest {
        CheckRequest {
            operation: "file-read-data".into(),
            filter_type: 1,
            filter_name: "path".into(),
            numbering: Numbering::SandboxCheck,
            argument: Some("/f/x".into()),
            canonicalization: None,
            operation_level_reason: None,
        }
    }

    pub(crate) fn callout(operation: &str, argument: Option<&str>, rc: i32) -> Callout {
        Callout {
            marker_schema_version: super::super::callout::CALLOUT_VERSION,
            stage: CALLOUT_STAGE.into(),
            api: CheckApi::SandboxCheck,
            operation: operation.into(),
            filter_type: i32::from(argument.is_some()),
            filter_type_name: "path".into(),
            numbering: Numbering::SandboxCheck,
            check_type: 0,
            varargs_count: u8::from(argument.is_some()),
            argument: argument.map(str::to_owned),
            canonicalization: "raw".into(),
            canonical_flag_used: false,
            canonical_flag_reason: Some("not_requested".into()),
            no_report: true,
            no_report_reason: None,
            token_status: "pid".into(),
            token_mach_kr: None,
            rc,
            errno: 0,
            decision: Answer::of(rc),
        }
    }

    fn effect(errno: i32, code: Option<ResultCode>) -> Effect {
        Effect { errno, code, ..Effect::done("call", serde_json::Map::new()) }
    }

    const READ: &str = "file-read-data";
    const ALLOW: i32 = 0;
    const DENY: i32 = 1;
    const ERROR: i32 = -1;

    #[test]
    fn effect_answer_and_control_must_agree() {
        let allow = Ok((Decision::Allow, BY_EFFECT));
        let deny = Ok((Decision::Deny, BY_CALLOUT));
        let by_control = Ok((Decision::Deny, BY_CONTROL));
        const EPERM: i32 = 1;
        for (errno, answer, control, expected) in [
            (0, Some(ALLOW), None, Some(allow.clone())),
            (0, None, None, Some(allow.clone())),
            (0, Some(ERROR), None, Some(allow)),
            (0, Some(DENY), None, None),
            (EPERM, Some(DENY), None, Some(deny.clone())),
            (EPERM, Some(DENY), Some(true), Some(deny)),
            (EPERM, Some(ALLOW), Some(true), None),
            (EPERM, None, None, None),
            (EPERM, None, Some(true), Some(by_control.clone())),
            (EPERM, Some(ERROR), Some(true), Some(by_control)),
            (EPERM, None, Some(false), None),
            // Permission bits and missing files: nobody was refused by a sandbox.
            (13, Some(DENY), Some(true), None),
            (2, Some(ALLOW), None, None),
            (2, Some(DENY), Some(true), None),
        ] {
            let callouts: Vec<Callout> = answer.map(|rc| callout(READ, Some("/x"), rc)).into_iter().collect();
            let claimed: Claimed = claim(READ, &effect(errno, None), &callouts, control);
            assert_eq!(
                claimed.clone().ok(),
                expected.and_then(|known: Claimed| known.ok()),
                "{errno} {answer:?} {control:?}"
            );
            assert!(claimed.is_ok() || !claimed.unwrap_err().is_empty());
        }
    }

    #[test]
    fn an_answer_about_the_operation_alone_decides_nothing_about_an_object() {
        let about = [callout("signal", None, DENY)];
        assert_eq!(claim("signal", &effect(0, None), &about, None), Ok((Decision::Allow, BY_EFFECT)));
        assert!(claim("signal", &effect(1, None), &about, None).is_err());
        assert_eq!(claim("signal", &effect(1, None), &about, Some(true)), Ok((Decision::Deny, BY_CONTROL)));
        let fork = [callout("process-fork", None, DENY)];
        assert_eq!(claim("process-fork", &effect(1, None), &fork, None), Ok((Decision::Deny, BY_CALLOUT)));
    }

    #[test]
    fn answers_about_something_else_do_not_count() {
        let other = [callout("file-write-data", Some("/x"), DENY)];
        assert!(claim(READ, &effect(1, None), &other, None).is_err());
        let canonical = [Callout { canonicalization: "canonical".into(), ..callout(READ, Some("/x"), DENY) }];
        assert!(claim(READ, &effect(1, None), &canonical, None).is_err());
        let token = Callout { api: CheckApi::SandboxCheckByAuditToken, ..callout(READ, Some("/x"), ALLOW) };
        let both = [callout(READ, Some("/x"), DENY), token];
        assert!(claim(READ, &effect(1, None), &both, Some(true)).unwrap_err().contains("audit token"));
    }

    #[test]
    fn results_of_other_numberings_are_read_in_their_own() {
        let lookup = |kr, rc, control| {
            claim(
                "mach-lookup",
                &effect(0, Some(ResultCode::kern(kr))),
                &[callout("mach-lookup", Some("s"), rc)],
                control,
            )
        };
        assert_eq!(lookup(0, ALLOW, None), Ok((Decision::Allow, BY_EFFECT)));
        assert_eq!(lookup(1100, DENY, None), Ok((Decision::Deny, BY_CALLOUT)));
        assert!(lookup(1102, DENY, None).is_err(), "there is no such service");
        assert!(lookup(1, DENY, None).is_err(), "1 is no refusal of Mach");
        let invalid = effect(0, Some(ResultCode::new(crate::vocab::CodeKind::XpcError, 2)));
        let denied = [callout("mach-lookup", Some("s"), DENY)];
        assert_eq!(claim("mach-lookup", &invalid, &denied, Some(true)), Ok((Decision::Deny, BY_CALLOUT)));
        assert!(claim("mach-lookup", &invalid, &denied, Some(false)).is_err());
    }

    #[test]
    fn a_call_that_returns_before_it_is_decided_shows_nothing_by_returning() {
        let posted = |reached: Option<bool>| {
            let mut effect = Effect { inconclusive: Some("not seen to arrive".into()), ..effect(0, None) };
            if let Some(reached) = reached {
                effect.details.insert(REACHED.into(), reached.into());
            }
            effect
        };
        let operation = "darwin-notification-post";
        let answer = |rc| [callout(operation, Some("n"), rc)];
        assert_eq!(claim(operation, &posted(None), &answer(DENY), None), Err("not seen to arrive".into()));
        assert_eq!(claim(operation, &posted(Some(false)), &answer(DENY), None), Ok((Decision::Deny, BY_CALLOUT)));
        assert!(claim(operation, &posted(Some(false)), &answer(ALLOW), None).is_err());
        assert!(claim(operation, &posted(None), &answer(ALLOW), None).is_err());
    }

    #[test]
    fn a_stored_row_is_judged_like_the_row_it_was() {
        let details = serde_json::json!(effect(1, None));
        let callouts = serde_json::json!([callout(READ, Some("/x"), DENY)]);
        let of = |callouts| claim_of_stored(Some(READ), Some(&details), callouts, None);
        assert_eq!(of(Some(&callouts)), Some(Ok((Decision::Deny, BY_CALLOUT))));
        assert_eq!(of(None), None);
        assert_eq!(of(Some(&serde_json::json!([{"decision": "deny"}]))), None, "no call-out of ours");
    }
}
