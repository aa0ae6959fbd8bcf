//! Decision records of one tree, with bounded memory: equal accesses are one record with a count, and only so many
//! different ones, of so many bytes, are kept.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::base::time::unix_seconds;
use crate::denial::DecisionRecord;
use crate::sandbox::Tally;
use crate::vocab::Decision;

/// Most different records kept per decision. Refusals have a bound of their own, so that no number of permitted accesses
/// can push one out.
const MOST_OF_A_KIND: usize = 32_768;
/// Most bytes of their targets. A name of 4,095 bytes that are not text is 16 KiB of a record.
const MOST_BYTES_OF_A_KIND: usize = 32 * 1024 * 1024;

/// What makes two accesses one record: everything but the time.
fn key(record: &DecisionRecord) -> impl PartialEq + std::hash::Hash + '_ {
    let rule = record.rule.as_ref().map(|rule| (&rule.file, rule.line));
    let deny = record.decision == Decision::Deny;
    (&record.operation, &record.target, deny, rule, record.errno, record.pid, &record.syscall)
}

/// How many records of one decision there are, and how large their targets.
#[derive(Debug, Default)]
struct Extent {
    number: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    /// Places of records by the hash of their key. A second one of the same hash is not found again: it becomes a new record.
    index: HashMap<u64, usize>,
    hasher: RandomState,
    entries: Vec<Entry>,
    denials: Extent,
    permitted: Extent,
    dropped: u64,
}

/// The place of a decision in the order of records: the turn of its call, and which of the call's decisions it is.
pub(super) type Place = (u64, usize);

/// One record, how often it occurred, and its place when it first did.
#[derive(Debug)]
struct Entry {
    place: Place,
    record: DecisionRecord,
    tally: Tally,
}

/// Collects records from several threads.
#[derive(Debug, Default)]
pub(super) struct Records {
    turn: AtomicU64,
    kept: Mutex<Kept>,
}

impl Records {
    /// The turn of a call. Taken before its caller is answered, so that what the caller does next comes after it even when
    /// another thread of the supervisor is quicker to add that.
    pub(super) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds one decision.
    pub(super) fn add(&self, place: Place, record: DecisionRecord) {
        let mut guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *guard;
        let hash = kept.hasher.hash_one(key(&record));
        if let Some(&at) = kept.index.get(&hash)
            && key(&kept.entries[at].record) == key(&record)
        {
            let entry = &mut kept.entries[at];
            entry.place = entry.place.min(place);
            entry.tally.count += 1;
            entry.tally.last_at_unix_s = entry.tally.last_at_unix_s.max(record.at_unix_s);
            entry.record.at_unix_s = entry.record.at_unix_s.min(record.at_unix_s);
            return;
        }
        let extent = if record.decision == Decision::Deny { &mut kept.denials } else { &mut kept.permitted };
        if extent.number >= MOST_OF_A_KIND || extent.bytes + record.target.len() > MOST_BYTES_OF_A_KIND {
            kept.dropped += 1;
            return;
        }
        extent.number += 1;
        extent.bytes += record.target.len();
        let tally = Tally { count: 1, last_at_unix_s: record.at_unix_s };
        kept.index.insert(hash, kept.entries.len());
        kept.entries.push(Entry { place, record, tally });
    }

    /// Everything kept in the order of places, how often each occurred, and how many decisions were dropped.
    pub(super) fn take(&self) -> (Vec<DecisionRecord>, Vec<Tally>, u64) {
        let mut kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        kept.entries.sort_unstable_by_key(|entry| entry.place);
        let (records, tallies) = kept.entries.into_iter().map(|entry| (entry.record, entry.tally)).unzip();
        (records, tallies, kept.dropped)
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
            records.add((records.next_turn(), 0), record(format!("/{number}"), Decision::Allow));
        }
        records.add((records.next_turn(), 0), record("/denied".into(), Decision::Deny));
        let again = DecisionRecord { at_unix_s: 2.0, ..record("/denied".into(), Decision::Deny) };
        records.add((records.next_turn(), 0), again);
        let (kept, tallies, dropped) = records.take();
        assert_eq!((kept.len(), dropped), (MOST_OF_A_KIND + 1, 3));
        assert_eq!(kept.last().unwrap().target, "/denied");
        assert_eq!(*tallies.last().unwrap(), Tally { count: 2, last_at_unix_s: 2.0 });
    }

    #[test]
    fn records_are_in_the_order_of_turns_whichever_thread_adds_first() {
        let records = Records::default();
        let (first, second) = (records.next_turn(), records.next_turn());
        let at = |at_unix_s, target: &str| DecisionRecord { at_unix_s, ..record(target.into(), Decision::Allow) };
        records.add((second, 0), at(2.0, "/both"));
        records.add((second, 1), at(2.0, "/second"));
        records.add((first, 0), at(1.0, "/first"));
        records.add((first, 1), at(1.0, "/both"));
        let (kept, tallies, _) = records.take();
        let order: Vec<_> = kept.iter().map(|record| (record.target.as_str(), record.at_unix_s)).collect();
        assert_eq!(order, [("/first", 1.0), ("/both", 1.0), ("/second", 2.0)]);
        assert_eq!(tallies[1], Tally { count: 2, last_at_unix_s: 2.0 });
    }

    #[test]
    fn long_targets_are_bounded_by_their_bytes() {
        let records = Records::default();
        let long = "x".repeat(16 * 1024);
        for number in 0..4_000 {
            records.add((number, 0), record(format!("{number}{long}"), Decision::Deny));
        }
        let (kept, _, dropped) = records.take();
        let bytes: usize = kept.iter().map(|record| record.target.len()).sum();
        assert!(bytes <= MOST_BYTES_OF_A_KIND && bytes + 2 * long.len() > MOST_BYTES_OF_A_KIND, "{bytes}");
        assert_eq!(kept.len() as u64 + dropped, 4_000);
    }
}
