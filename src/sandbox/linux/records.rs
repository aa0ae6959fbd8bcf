//! Decision records of one tree, with bounded memory: equal accesses are one record with a count, and only so many
//! different ones are kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::base::time::unix_seconds;
use crate::denial::DecisionRecord;
use crate::sandbox::Tally;
use crate::vocab::Decision;

/// Most different records kept per decision. Refusals have a bound of their own, so that no number of permitted accesses
/// can push one out.
const MOST_OF_A_KIND: usize = 32_768;

/// What makes two accesses one record: everything but the time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    operation: String,
    target: String,
    deny: bool,
    rule: Option<(String, u32)>,
    errno: Option<i32>,
    pid: i32,
    syscall: String,
}

#[derive(Debug, Default)]
struct Kept {
    index: HashMap<Key, usize>,
    records: Vec<DecisionRecord>,
    tallies: Vec<Tally>,
    denials: usize,
    dropped: u64,
}

/// Collects records from several threads.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Kept>);

impl Records {
    /// Adds one decision.
    pub(super) fn add(&self, record: DecisionRecord) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deny = record.decision == Decision::Deny;
        let key = Key {
            operation: record.operation.clone(),
            target: record.target.clone(),
            deny,
            rule: record.rule.as_ref().map(|rule| (rule.file.clone(), rule.line)),
            errno: record.errno,
            pid: record.pid,
            syscall: record.syscall.clone(),
        };
        if let Some(&at) = kept.index.get(&key) {
            let tally = &mut kept.tallies[at];
            tally.count += 1;
            tally.last_at_unix_s = record.at_unix_s;
            return;
        }
        let of_this_kind = if deny { kept.denials } else { kept.records.len() - kept.denials };
        if of_this_kind >= MOST_OF_A_KIND {
            kept.dropped += 1;
            return;
        }
        kept.denials += usize::from(deny);
        let at = kept.records.len();
        kept.index.insert(key, at);
        kept.tallies.push(Tally { count: 1, last_at_unix_s: record.at_unix_s });
        kept.records.push(record);
    }

    /// Everything kept, how often each occurred, and how many decisions were dropped.
    pub(super) fn take(&self) -> (Vec<DecisionRecord>, Vec<Tally>, u64) {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (kept.records, kept.tallies, kept.dropped)
    }
}

/// The time for a record.
pub(super) fn now_unix_s() -> f64 {
    unix_seconds(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(target: String, decision: Decision) -> DecisionRecord {
        DecisionRecord {
            operation: "file-read-data".into(),
            target,
            decision,
            rule: None,
            undecided: None,
            errno: None,
            pid: 1,
            process: None,
            syscall: "openat".into(),
            at_unix_s: 1.0,
        }
    }

    #[test]
    fn repeats_are_counted_and_a_flood_of_one_kind_never_pushes_out_the_other() {
        let records = Records::default();
        for number in 0..MOST_OF_A_KIND + 3 {
            records.add(record(format!("/{number}"), Decision::Allow));
        }
        records.add(record("/denied".into(), Decision::Deny));
        records.add(DecisionRecord { at_unix_s: 2.0, ..record("/denied".into(), Decision::Deny) });
        let (kept, tallies, dropped) = records.take();
        assert_eq!((kept.len(), dropped), (MOST_OF_A_KIND + 1, 3));
        assert_eq!(kept.last().unwrap().target, "/denied");
        assert_eq!(*tallies.last().unwrap(), Tally { count: 2, last_at_unix_s: 2.0 });
    }
}
