//! `contract-check`: everything that the contract lists is looked for, and named when it is not there.

use runtime::base::json;
use runtime::entitlement_jail::contract::{Part, check};
use serde_json::{Value, json};

use crate::support::Place;

/// Everything that is said about a text.
fn messages(part: Part, text: &str) -> Vec<String> {
    check(part, "x", text.as_bytes()).findings.into_iter().map(|found| found.message).collect()
}

fn document(part: Part) -> Value {
    json::read(part.shipped().1.as_bytes()).unwrap()
}

#[test]
fn the_shipped_texts_keep_the_contract() {
    let place = Place::new();
    let ran = place.run(&["entitlement-jail", "contract-check"], &[]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("warning[contract-pid-is-text]: data.details.service_pid is text"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("5 texts: 0 errors, 1 warning\n"), "{}", ran.stdout);
    assert_eq!(place.run(&["entitlement-jail", "contract-check", "--deny", "warnings"], &[]).status, 1);
}

#[test]
fn every_flag_that_is_gone_is_named_and_nothing_else() {
    let mut count = 0;
    for part in [Part::RunXpcHelp, Part::ObserverHelp] {
        let (_, text) = part.shipped();
        for flag in part.required() {
            // As a whole word: `--observe` stays in none of the others, and the others stay.
            let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let without: String = text
                .split_inclusive(|c: char| !is_word(c))
                .map(|word| match word.strip_prefix(flag.as_str()) {
                    Some(rest) if rest.chars().all(|c| !is_word(c)) => rest,
                    _ => word,
                })
                .collect();
            assert_ne!(without, text, "{flag}");
            assert_eq!(messages(part, &without), [format!("the help text does not mention {flag}")]);
            count += 1;
        }
    }
    assert_eq!(count, 26);
    let (_, text) = Part::RunXpcHelp.shipped();
    for word in ["path", "auto", "stdout"] {
        let values = ["path", "auto", "stdout"].into_iter().filter(|own| *own != word).collect::<Vec<_>>().join("|");
        let without = text.replace("<path|auto|stdout>", &format!("<{values}>"));
        assert_eq!(
            messages(Part::RunXpcHelp, &without),
            [format!("the help text does not say that --log-stream takes {word}")]
        );
    }
}

#[test]
fn every_field_that_is_gone_is_named_and_nothing_else() {
    let mut count = 0;
    for part in [Part::RunXpcSample, Part::ObserverSample, Part::StreamSample] {
        let before = messages(part, &document(part).to_string());
        for field in part.required() {
            let mut without = document(part);
            for place in field.split(" | ") {
                let (parent, key) = place.rsplit_once('.').unwrap_or(("", place));
                let pointer = if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
                without.pointer_mut(&pointer).unwrap().as_object_mut().unwrap().shift_remove(key);
            }
            let said = messages(part, &without.to_string());
            let new: Vec<&String> = said.iter().filter(|message| !before.contains(message)).collect();
            assert_eq!(new, [&format!("{field} is missing")], "{part:?}");
            count += 1;
        }
    }
    assert_eq!(count, 13 + 9 + 6);
}

#[test]
fn values_of_other_types_are_refused_and_what_real_apps_do_is_a_warning() {
    for (part, pointer, value, id) in [
        (Part::RunXpcSample, "/data/details/service_pid", json!("unknown"), "contract-wrong-type"),
        (Part::RunXpcSample, "/data/details/service_pid", json!(4242), ""),
        (Part::RunXpcSample, "/data/log_capture_observed_deny", json!("no"), "contract-wrong-type"),
        (Part::RunXpcSample, "/data/log_observer_report", json!("x"), "contract-wrong-type"),
        (Part::RunXpcSample, "/kind", json!("quarantine_response"), "contract-wrong-kind"),
        (Part::ObserverSample, "/data/pid", json!("4242"), "contract-pid-is-text"),
        (Part::ObserverSample, "/data/pid", json!(0), "contract-wrong-type"),
        (Part::ObserverSample, "/data/pid", json!("4242x"), "contract-wrong-type"),
        (Part::ObserverSample, "/data/plan_id", json!(null), "contract-not-shown"),
        (Part::ObserverSample, "/data/plan_id", json!(1), "contract-wrong-type"),
        (Part::StreamSample, "/data/pid", json!("4242"), "contract-pid-is-text"),
        (Part::StreamSample, "/data/predicate", json!(null), "contract-wrong-type"),
        (Part::StreamSample, "/schema_version", json!("1"), "contract-wrong-type"),
    ] {
        let mut changed = document(part);
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        let ids: Vec<String> =
            check(part, "x", changed.to_string().as_bytes()).findings.into_iter().map(|found| found.id).collect();
        let known = usize::from(part == Part::RunXpcSample && pointer != "/data/details/service_pid");
        let new: Vec<&str> = ids.iter().map(String::as_str).skip(known).collect();
        let odd: Vec<&str> = ids.iter().map(String::as_str).filter(|own| *own == id).collect();
        assert_eq!(new.len(), usize::from(!id.is_empty()), "{pointer} {value}: {ids:?}");
        assert_eq!(odd.len(), usize::from(!id.is_empty()), "{pointer} {value}: {ids:?}");
    }
}

#[test]
fn what_was_not_asked_for_is_said_and_not_missed() {
    let mut bare = document(Part::RunXpcSample);
    for key in ["log_capture_path", "log_capture_observed_deny", "log_capture_observed_lines"] {
        bare["data"].as_object_mut().unwrap().shift_remove(key);
    }
    assert_eq!(check(Part::RunXpcSample, "x", bare.to_string().as_bytes()).findings.len(), 1 + 3);
    bare["data"]["log_capture_status"] = json!("not_requested");
    let found = check(Part::RunXpcSample, "x", bare.to_string().as_bytes()).findings;
    let ids: Vec<&str> = found.iter().map(|own| own.id.as_str()).collect();
    assert_eq!(ids, ["contract-pid-is-text", "contract-not-shown", "contract-not-shown", "contract-not-shown"]);
}

#[test]
fn files_are_judged_and_what_cannot_be_is_no_answer() {
    let place = Place::new();
    let text = Part::RunXpcHelp.shipped().1.replace("--log-name", "--log-nam");
    std::fs::write(place.path("help.txt"), text).unwrap();
    let ran = place.run(&["entitlement-jail", "contract-check", "--run-xpc-help", "help.txt"], &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let told = "error[contract-missing-flag]: the help text does not mention --log-name\n  --> help.txt\n1 text: 1 error, 0 warnings\n";
    assert_eq!(ran.stdout, told);
    std::fs::write(place.path("sample.json"), "{\"a\": 1,}").unwrap();
    let ran = place.run(&["entitlement-jail", "contract-check", "--json", "--observer-sample", "sample.json"], &[]);
    assert_eq!((ran.status, &ran.json()["findings"][0]["id"]), (3, &json!("contract-not-json")), "{ran:?}");
    assert_eq!(place.run(&["entitlement-jail", "contract-check", "--stream-sample", "absent.json"], &[]).status, 3);
}

#[test]
fn an_app_is_asked_itself() {
    let place = Place::new();
    let live = ["entitlement-jail", "contract-check", "--live", "--json"];
    let ran = place.run(&live, &[]);
    assert_eq!((ran.status, &ran.json()["complete"]), (0, &json!(true)), "{ran:?}");
    let ran = place.run(&live, &[("EJ_FAKE_HELP_WITHOUT", "--log-name")]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.json()["findings"][0]["message"], "the help text does not mention --log-name", "{ran:?}");
    // What an app does not give cannot be judged.
    let ran = place.run(&live, &[("EJ_FAKE_FAULT", "noise")]);
    assert_eq!(ran.status, 3);
    let ids: Vec<String> = ran.json()["findings"].as_array().unwrap().iter().map(|own| own["id"].to_string()).collect();
    assert!(ids.contains(&"\"contract-no-answer\"".to_owned()), "{ids:?}");
    let bare = Place::new();
    std::fs::remove_dir_all(bare.path("book")).unwrap();
    let ran = bare.run(&live, &[]);
    assert_eq!(ran.status, 3);
    assert!(ran.json()["error"]["hint"].as_str().unwrap().contains("--app DIR"), "{ran:?}");
}
