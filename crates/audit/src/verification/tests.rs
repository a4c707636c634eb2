//! A record with everything in it, spoiled in every way.

use super::*;
use crate::{chain::extend, event::salt};

const BEGAN: i64 = 1_000_000_000;

struct Record {
    entries: Vec<Entry>,
    seals: Vec<CheckedSeal>,
}

fn event(number: i64, at: i64) -> StoredEvent {
    StoredEvent {
        id: format!("e{number}"),
        at,
        user_id: "u".into(),
        action: "a.b".into(),
        subject: "s".into(),
        run_id: None,
        call_id: None,
        outcome: "ok".into(),
        detail: None,
        detail_digest: None,
    }
}

/// Eight events in three batches; the first two were there before the chain, the fourth has a detail.
fn record() -> Record {
    let mut record = Record { entries: Vec::new(), seals: Vec::new() };
    let mut head = Head::default();
    for (batch, range) in [(1, 1..=3), (2, 4..=5), (3, 6..=8)] {
        let mut arrived = Vec::new();
        let mut details = Vec::new();
        // The batches are far apart, and what is in one arrived shortly before.
        let sealed_at = BEGAN + batch * 10 * LATE_MS;
        for number in range {
            let mut event = event(number, sealed_at - 1_000);
            let detail =
                (number == 4).then(|| StoredDetail { salt: salt().unwrap(), detail: Detail::Read("admin".to_owned()) });
            event.detail_digest = detail.as_ref().map(|stored| detail_digest(&stored.salt, "admin"));
            details.push(detail);
            arrived.push((event.clone(), if number <= 2 { 0 } else { event.at }));
        }
        let (links, claims) = extend(&head, &arrived, sealed_at).unwrap();
        head = Head { position: claims.last, hash: claims.hash.clone() };
        record.seals.push(CheckedSeal { first_position: claims.first, claims: Some(claims), retired_at: None });
        for ((link, (event, _)), detail) in links.into_iter().zip(arrived).zip(details) {
            record.entries.push(Entry { link, event: Some(event), detail, has_account: true });
        }
    }
    record
}

impl Record {
    fn verified(&self, noted: Option<Head>, page: usize) -> Verified {
        let mut verification = Verification::new(noted);
        let mut seals = self.seals.clone();
        for entries in self.entries.chunks(page) {
            let last = entries.last().map_or(0, |entry| entry.link.position);
            let here = seals.iter().take_while(|seal| seal.first_position <= last).count();
            verification.page(entries.to_vec(), seals.drain(..here).collect());
        }
        verification.page(Vec::new(), seals);
        verification.finish()
    }

    fn findings(&self) -> Vec<Finding> {
        let found = self.verified(None, 3).findings;
        assert_eq!(found, self.verified(None, 100).findings, "pages do not matter");
        found
    }
}

fn named(position: i64) -> (i64, String) {
    (position, format!("e{position}"))
}

#[test]
fn what_nobody_touched_is_right_and_ends_at_its_head() {
    let record = record();
    assert_eq!(record.findings(), []);
    let head = record.verified(None, 2).head;
    assert_eq!(head.position, 8);
    for noted in [head.clone(), Head { position: 5, hash: record.entries[4].link.hash.clone() }] {
        assert_eq!(record.verified(Some(noted), 3).findings, []);
    }
}

#[test]
fn an_event_that_was_changed_or_removed_is_named() {
    for position in 1..=8 {
        let mut changed = record();
        let index = usize::try_from(position).unwrap() - 1;
        changed.entries[index].event.as_mut().unwrap().outcome = "denied".into();
        let (position, event_id) = named(position);
        assert_eq!(changed.findings(), [Finding::Changed { position, event_id: event_id.clone() }]);
        let mut removed = record();
        removed.entries[index].event = None;
        assert_eq!(removed.findings(), [Finding::Removed { position, event_id }]);
    }
}

#[test]
fn whoever_makes_the_chain_fit_again_is_found_by_the_seals() {
    let mut record = record();
    record.entries[1].event.as_mut().unwrap().outcome = "denied".into();
    let mut hash = record.entries[0].link.hash.clone();
    for entry in &mut record.entries[1..] {
        entry.link.digest = entry.event.as_ref().unwrap().digest();
        entry.link.hash = entry.link.hash_after(&hash);
        hash.clone_from(&entry.link.hash);
    }
    let broken = |first, last| Finding::SealBroken { first, last };
    assert_eq!(record.findings(), [broken(1, 3), broken(4, 5), broken(6, 8)]);
    for seal in &mut record.seals {
        // Signed again, with a key that is not the installation's.
        seal.claims = None;
    }
    let unsigned = |first| Finding::SealUnsigned { first };
    assert_eq!(record.findings(), [unsigned(1), unsigned(4), unsigned(6)]);
}

#[test]
fn a_seal_of_a_key_that_was_retired_before_is_found_whatever_time_it_says() {
    let mut record = record();
    let [.., last] = record.seals.as_mut_slice() else { panic!("there are seals") };
    let sealed_at = last.claims.as_ref().unwrap().sealed_at;
    last.retired_at = Some(sealed_at);
    assert_eq!(record.findings(), [], "it was signed in the moment in which its key was retired");
    record.seals.last_mut().unwrap().retired_at = Some(sealed_at - 3_600_000);
    let found = record.findings();
    assert!(matches!(found.as_slice(), [Finding::SealByRetiredKey { .. }]), "{found:?}");
    // It may say that it was made before, but it stands behind others.
    let [first, .., last] = record.seals.as_mut_slice() else { panic!("there are seals") };
    first.claims.as_mut().unwrap().sealed_at = sealed_at;
    last.claims.as_mut().unwrap().sealed_at = sealed_at - 7_200_000;
    let found = record.findings();
    assert!(found.iter().any(|finding| matches!(finding, Finding::SealByRetiredKey { .. })), "{found:?}");
}

#[test]
fn places_that_were_removed_moved_or_put_there_are_named() {
    let mut gap = record();
    gap.entries.drain(3..5);
    assert!(gap.findings().contains(&Finding::Gap { first: 4, last: 5 }));
    let mut moved = record();
    moved.entries.swap(1, 2);
    for (entry, position) in moved.entries.iter_mut().zip(1..) {
        entry.link.position = position;
    }
    let broken: Vec<_> = moved.findings();
    for (position, event_id) in [(2, "e3"), (3, "e2")] {
        assert!(broken.contains(&Finding::Broken { position, event_id: event_id.into() }), "{broken:?}");
    }
    let mut inserted = record();
    let mut forged = inserted.entries[2].clone();
    forged.event.as_mut().unwrap().id = "forged".into();
    forged.link.event_id = "forged".into();
    forged.link.digest = forged.event.as_ref().unwrap().digest();
    inserted.entries.insert(2, forged);
    for (entry, position) in inserted.entries.iter_mut().zip(1..) {
        entry.link.position = position;
    }
    assert!(inserted.findings().contains(&Finding::Broken { position: 3, event_id: "forged".into() }));
}

/// The record with one event more, as somebody who can write to the database adds it and the installation seals it.
fn with_forged(at: i64, arrived_at: i64, sealed_at: i64) -> Record {
    let mut record = record();
    let head = record.verified(None, 9).head;
    let forged = event(9, at);
    let (links, claims) = extend(&head, &[(forged.clone(), arrived_at)], sealed_at).unwrap();
    let link = links.into_iter().next().unwrap();
    record.entries.push(Entry { link, event: Some(forged), detail: None, has_account: true });
    record.seals.push(CheckedSeal { first_position: 9, claims: Some(claims), retired_at: None });
    record
}

#[test]
fn an_event_that_comes_later_and_claims_to_be_older_is_named() {
    let now = BEGAN + 40 * LATE_MS;
    let (position, event_id) = named(9);
    for (at, arrived_at) in [(BEGAN, 0), (BEGAN, now)] {
        let found = with_forged(at, arrived_at, now).findings();
        assert_eq!(found, [Finding::InsertedLate { position, event_id: event_id.clone() }]);
    }
    let older = with_forged(BEGAN, BEGAN, now).verified(None, 3);
    assert_eq!(
        (older.findings.as_slice(), older.warnings),
        ([].as_slice(), vec![Warning::OlderThanSeal { position, event_id }])
    );
    let sealed_at = now + 2 * LONG_MS;
    let anew = with_forged(now, now, sealed_at).verified(None, 3);
    assert_eq!(anew.warnings, [Warning::SealedLongAfter { position, sealed_at }]);
    assert_eq!(record().verified(None, 3).warnings, []);
    let mut past = Verification::new(None);
    past.outside("forged".into());
    past.arrival_without_event("gone".into());
    let found = past.finish().findings;
    assert_eq!(found[0], Finding::Inserted { event_id: "forged".into() });
    assert_eq!(found[1], Finding::RemovedBeforeSealed { event_id: "gone".into() });
}

#[test]
fn an_end_that_was_cut_off_is_found_by_its_seal_or_by_a_head_that_was_noted() {
    let mut cut = record();
    cut.entries.truncate(7);
    assert_eq!(cut.findings(), [Finding::SealBroken { first: 6, last: 8 }]);
    let mut unsealed = record();
    unsealed.seals.truncate(2);
    assert_eq!(unsealed.findings(), [Finding::Unsealed { first: 6, last: 8 }]);
    let mut middle = record();
    middle.seals.remove(1);
    assert_eq!(middle.findings(), [Finding::Unsealed { first: 4, last: 5 }]);
    let noted = record().verified(None, 9).head;
    let mut both = record();
    both.entries.truncate(5);
    both.seals.truncate(2);
    assert_eq!(both.findings(), [], "nothing in the database tells");
    assert_eq!(both.verified(Some(noted.clone()), 3).findings, [Finding::CutOff { noted: 8, last: 5 }]);
    let wiped = Verification::new(Some(noted.clone())).finish();
    assert_eq!(wiped.findings, [Finding::CutOff { noted: 8, last: 0 }]);
    let other = Head { hash: "another".into(), ..noted };
    assert_eq!(record().verified(Some(other), 3).findings, [Finding::Replaced { noted: 8 }]);
}

#[test]
fn a_detail_can_be_erased_with_its_account_and_not_otherwise() {
    let mut erased = record();
    erased.entries[3].detail = None;
    let (position, event_id) = named(4);
    assert_eq!(erased.findings(), [Finding::DetailRemoved { position, event_id: event_id.clone() }]);
    erased.entries[3].has_account = false;
    let verified = erased.verified(None, 3);
    assert_eq!((verified.findings.as_slice(), verified.erased_details), ([].as_slice(), 1));
    let mut changed = record();
    changed.entries[3].detail.as_mut().unwrap().detail = Detail::Read("member".to_owned());
    assert_eq!(changed.findings(), [Finding::DetailChanged { position, event_id }]);
}

#[test]
fn a_sealed_detail_is_checked_by_whoever_has_its_key_and_counted_by_others() {
    let mut sealed = record();
    sealed.entries[3].detail.as_mut().unwrap().detail = Detail::Unread;
    let verified = sealed.verified(None, 3);
    assert_eq!((verified.findings.as_slice(), verified.unread_details), ([].as_slice(), 1));
    sealed.entries[3].detail.as_mut().unwrap().detail = Detail::Damaged;
    let found = sealed.verified(None, 3).findings;
    assert!(matches!(found.as_slice(), [Finding::DetailChanged { position: 4, .. }]), "{found:?}");
}

/// Batches of events, each with when they arrived and when it was sealed.
fn sealed(batches: &[(Vec<i64>, i64)]) -> Record {
    let mut record = Record { entries: Vec::new(), seals: Vec::new() };
    let mut head = Head::default();
    for (arrivals, sealed_at) in batches {
        let arrived: Vec<_> =
            arrivals.iter().zip(head.position + 1..).map(|(at, number)| (event(number, *at), *at)).collect();
        let (links, claims) = extend(&head, &arrived, *sealed_at).unwrap();
        head = Head { position: claims.last, hash: claims.hash.clone() };
        record.seals.push(CheckedSeal { first_position: claims.first, claims: Some(claims), retired_at: None });
        let entry = |(link, (event, _))| Entry { link, event: Some(event), detail: None, has_account: true };
        record.entries.extend(links.into_iter().zip(arrived).map(entry));
    }
    record
}

#[test]
fn what_waits_behind_a_full_batch_is_not_late() {
    let late = (vec![BEGAN], BEGAN + 3 * LATE_MS);
    for (events, is_late) in [(i64::from(BATCH), false), (i64::from(BATCH) - 1, true)] {
        let before = ((0..events).map(|number| BEGAN - events + number).collect(), BEGAN + 2 * LATE_MS);
        let warnings = sealed(&[before, late.clone()]).verified(None, 100).warnings;
        let warned = warnings.iter().any(|warning| matches!(warning, Warning::OlderThanSeal { .. }));
        assert_eq!(warned, is_late, "after a batch of {events}");
    }
}
