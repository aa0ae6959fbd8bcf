//! What the calls of macOS returned, as results of a probe. Pure: the calls themselves stand in `native`.

use serde_json::{Map, Value, json};

use super::{NotDone, Performed, details};
use crate::event::REACHED;
use crate::vocab::{CodeKind, Meaning, ResultCode};

fn by_code(code: ResultCode, details: Map<String, Value>) -> Performed {
    match code.meaning() {
        Meaning::Done => Ok(details),
        _ => Err(NotDone::Code { code, details }),
    }
}

/// A look-up or a registration with the bootstrap server, which failed with a `kern_return_t`.
pub(super) fn mach(result: Result<(), i32>) -> Performed {
    let kr = result.err().unwrap_or(0);
    let code = ResultCode::kern(kr);
    let present = match code.meaning() {
        Meaning::Done => Some(true),
        Meaning::Missing => Some(false),
        // Who is refused does not learn whether there is one.
        _ => None,
    };
    by_code(code, details([("kr", json!(kr)), ("service_present", json!(present))]))
}

/// An answer of a service by XPC: the kind of what came back, or the number of the error.
pub(super) fn xpc(reply: Result<&str, i64>) -> Performed {
    let told = |kind: &str, error: Option<&str>| {
        details([
            ("connected", json!(error.is_none())),
            ("reply_present", json!(error.is_none())),
            ("reply_type", json!(kind)),
            ("xpc_error", json!(error)),
        ])
    };
    match reply {
        Ok(kind) => Ok(told(kind, None)),
        Err(number) => {
            let code = ResultCode::new(CodeKind::XpcError, number);
            let details = told("error", code.name.as_deref());
            Err(NotDone::Code { code, details })
        }
    }
}

/// Opening the first service of a class: the `IOReturn`, or none when there is no such service.
pub(super) fn iokit_open(result: Option<i32>) -> Performed {
    let details = details([("found", json!(result.is_some())), ("open_kr", json!(result))]);
    match result.map(ResultCode::io) {
        Some(code) => by_code(code, details),
        None => Err(NotDone::Inconclusive { why: "there is no service of this class to open".to_owned(), details }),
    }
}

/// A notification that was posted with this status; `arrives` says whether a registration of our own got it.
pub(super) fn notification(status: u32, arrives: impl FnOnce() -> Result<bool, u32>) -> Performed {
    let code = ResultCode::new(CodeKind::NotifyStatus, status.into());
    if code.meaning() != Meaning::Done {
        return Err(NotDone::Code { code, details: Map::new() });
    }
    match arrives() {
        Ok(true) => Ok(details([(REACHED, json!(true))])),
        Ok(false) => {
            let why = "posting returned success, and the notification did not arrive".to_owned();
            Err(NotDone::Inconclusive { why, details: details([(REACHED, json!(false))]) })
        }
        Err(status) => {
            let why = "posting returned success, and nobody could look whether the notification arrives".to_owned();
            Err(NotDone::Inconclusive { why, details: details([("observer_status", json!(status))]) })
        }
    }
}

/// A notification that was handed to the distributed centre.
pub(super) fn distributed_post() -> Performed {
    let why = "the call returns nothing, whether the notification is delivered or not".to_owned();
    Err(NotDone::Inconclusive { why, details: Map::new() })
}

/// How many preferences a domain has, if any came back.
pub(super) fn preferences(keys: Option<usize>) -> Performed {
    let details = details([("keys", json!(keys))]);
    match keys {
        Some(_) => Ok(details),
        None => {
            let why = "no preferences came back: there are none, or they were refused".to_owned();
            Err(NotDone::Inconclusive { why, details })
        }
    }
}

/// A right that was asked for with this `OSStatus`.
pub(super) fn right(status: i32) -> Performed {
    by_code(ResultCode::new(CodeKind::OsStatus, status.into()), details([("status", json!(status))]))
}

#[cfg(test)]
mod tests {
    use super::super::{Line, told};
    use super::*;
    use crate::event::Effect;

    fn effect(performed: Performed) -> Effect {
        match told("call", performed) {
            Line::Effect(effect) => effect,
            line => panic!("{line:?}"),
        }
    }

    #[test]
    fn a_service_is_there_or_missing_or_not_told_of() {
        for (result, meaning, present) in [
            (Ok(()), Meaning::Done, json!(true)),
            (Err(1100), Meaning::Refused, json!(null)),
            (Err(1102), Meaning::Missing, json!(false)),
            (Err(5), Meaning::Other, json!(null)),
        ] {
            let effect = effect(mach(result));
            assert_eq!((effect.meaning(), &effect.details["service_present"]), (meaning, &present), "{result:?}");
            assert_eq!((effect.errno, effect.details["kr"].as_i64()), (0, Some(i64::from(result.err().unwrap_or(0)))));
        }
    }

    #[test]
    fn an_error_of_xpc_has_its_name_and_a_reply_none() {
        let reply = effect(xpc(Ok("dictionary")));
        assert_eq!((reply.failed(), &reply.details["xpc_error"]), (false, &json!(null)));
        for (number, name) in [(1, json!("connection_interrupted")), (2, json!("connection_invalid")), (9, json!(null))]
        {
            let error = effect(xpc(Err(number)));
            assert_eq!((error.failed(), &error.details["xpc_error"]), (true, &name));
        }
    }

    #[test]
    fn opening_a_driver_is_refused_or_missing_or_done() {
        for (result, meaning, inconclusive) in [
            (Some(0), Meaning::Done, false),
            (Some(-536_870_174), Meaning::Refused, false),
            (Some(-536_870_201), Meaning::Other, false),
            (None, Meaning::Done, true),
        ] {
            let effect = effect(iokit_open(result));
            assert_eq!((effect.meaning(), effect.inconclusive.is_some()), (meaning, inconclusive), "{result:?}");
            assert_eq!(effect.details["found"], json!(result.is_some()));
        }
    }

    #[test]
    fn a_notification_counts_as_posted_when_it_arrives() {
        let not_asked = || panic!("a refused post is not waited for");
        assert_eq!(effect(notification(7, not_asked)).meaning(), Meaning::Refused);
        for (arrives, inconclusive, reached) in
            [(Ok(true), false, Some(json!(true))), (Ok(false), true, Some(json!(false))), (Err(3), true, None)]
        {
            let effect = effect(notification(0, || arrives));
            assert_eq!((effect.inconclusive.is_some(), effect.details.get(REACHED).cloned()), (inconclusive, reached));
        }
        assert!(effect(distributed_post()).inconclusive.is_some());
    }

    #[test]
    fn what_did_not_come_back_is_no_refusal() {
        assert_eq!(effect(preferences(Some(0))).inconclusive, None);
        assert!(effect(preferences(None)).inconclusive.is_some());
        let meanings = [0, -60005, -60007].map(|status| effect(right(status)).meaning());
        assert_eq!(meanings, [Meaning::Done, Meaning::Refused, Meaning::Other]);
    }
}
