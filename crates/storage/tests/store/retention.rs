//! How long conversations are kept: rules, lifetimes of their own, temporary chats. What is in use stays, and each deletion is recorded once.

use domain::{Conversation, Decision, Id, RunState, User};
use storage::{
    Database as _, Statement, Store, Value,
    access::Offers,
    approvals::Question,
    groups::GroupSaved,
    limits::Subject,
    messages::Appended,
    retention::{RULE_DELAY_MS, TEMPORARY_IDLE_MS},
    runs::{Batch, Ending},
    users::Opening,
};

use crate::{
    fixture::{Fixture, LEASE_MS, lease_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    without_a_rule_conversations_are_kept,
    a_list_says_when_conversations_go_as_each_of_them_does,
    a_rule_deletes_what_was_not_used_for_its_days_and_nothing_for_a_day_after_it_was_set,
    a_rule_of_a_role_replaces_the_one_for_everybody_and_of_several_the_shortest_counts,
    a_conversation_goes_earlier_than_the_rule_says_if_its_person_wants_that,
    what_is_answered_or_waits_for_its_person_stays,
    what_its_person_has_just_allowed_is_done_before_it_goes,
    what_was_taken_up_since_it_was_found_stays,
    the_same_rule_again_changes_nothing_and_what_deletes_more_waits_for_a_day,
    a_temporary_chat_is_nowhere_and_goes_soon_after_it_was_left,
    a_temporary_chat_stays_while_it_is_answered_and_its_question_ends_with_it,
    a_message_that_comes_at_the_same_moment_is_never_lost,
    of_several_hosts_each_conversation_is_deleted_and_recorded_once,
    the_walk_over_everybody_goes_on_where_it_was,
}

const DAY_MS: i64 = 86_400_000;

fn run(fixture: &Fixture, sql: String) {
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
}

/// Everything that happened so far was this much earlier.
fn let_pass(fixture: &Fixture, ms: i64) {
    run(fixture, format!("UPDATE conversations SET updated_at = updated_at - {ms}"));
    run(fixture, format!("UPDATE runs SET updated_at = updated_at - {ms}, lease_expires_at = lease_expires_at - {ms}"));
    run(fixture, format!("UPDATE retention_rules SET counts_at = counts_at - {ms}"));
    run(fixture, format!("UPDATE conversation_lifetimes SET check_at = check_at - {ms}"));
    run(fixture, format!("UPDATE retention_walk SET due_at = due_at - {ms}"));
    run(fixture, format!("UPDATE approvals SET expires_at = expires_at - {ms}, decided_at = decided_at - {ms}"));
    run(fixture, format!("UPDATE users SET access_changed_at = access_changed_at - {ms}"));
}

fn rule(fixture: &Fixture, subject: &str, days: u32) {
    block_on(fixture.store.set_retention_rule(&Subject::parse(subject).unwrap(), Some(days))).unwrap();
}

fn expire<D: storage::Database>(store: &Store<D>) {
    for _ in 0..1_000 {
        if !block_on(store.expire_next()).unwrap() {
            return;
        }
    }
    panic!("it never ends");
}

fn read(fixture: &Fixture, user: &User, id: Id) -> Option<Conversation> {
    block_on(fixture.store.conversation(user.id, id)).unwrap()
}

/// A conversation whose answer has ended.
fn answered(fixture: &Fixture, user: &User) -> Id {
    let id = fixture.conversation(user);
    let (_, lease) = fixture.claimed(user, id);
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    id
}

/// The numbers of deleted conversations that were recorded, for a reason.
fn recorded(fixture: &Fixture, reason: &str) -> Vec<String> {
    let records = block_on(fixture.store.audit_records(Some(Id::NIL), None, 1_000)).unwrap();
    let of = records.into_iter().filter(|record| record.action == "conversations.expire" && record.subject == reason);
    of.filter_map(|record| record.detail).collect()
}

fn without_a_rule_conversations_are_kept(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let id = answered(&fixture, &user);
    let_pass(&fixture, 4_000 * DAY_MS);
    assert!(!block_on(fixture.store.background_work()).unwrap().expires);
    expire(&fixture.store);
    assert_eq!(read(&fixture, &user, id).unwrap().expires_at, None);
}

fn a_list_says_when_conversations_go_as_each_of_them_does(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let has_rules =
        || block_on(fixture.store.access_state("tests", 60_000, Offers::Unread)).unwrap().has_retention_rules;
    let list = || block_on(fixture.store.conversations(user.id, None, 10, has_rules())).unwrap();
    let agrees = || list().iter().all(|listed| read(&fixture, &user, listed.id).unwrap() == *listed);
    let own = answered(&fixture, &user);
    answered(&fixture, &user);
    rule(&fixture, "installation", 0);
    block_on(fixture.store.set_own_retention(user.id, own, Some(7))).unwrap();
    assert!(!has_rules() && agrees());
    assert_eq!(list().iter().filter(|listed| listed.expires_at.is_some()).count(), 1);
    rule(&fixture, "installation", 30);
    assert!(has_rules() && agrees());
    assert_eq!(list().iter().filter(|listed| listed.expires_at.is_some()).count(), 2);
}

fn a_rule_deletes_what_was_not_used_for_its_days_and_nothing_for_a_day_after_it_was_set(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let old = [answered(&fixture, &user), fixture.conversation(&user)];
    let_pass(&fixture, 40 * DAY_MS);
    let new = answered(&fixture, &user);
    rule(&fixture, "installation", 30);
    expire(&fixture.store);
    let waits = read(&fixture, &user, old[0]).unwrap();
    let rules = block_on(fixture.store.retention_rules()).unwrap();
    assert_eq!((rules.len(), waits.expires_at), (1, Some(rules[0].counts_at)), "it says when it goes");
    let kept = read(&fixture, &user, new).unwrap();
    let left = kept.expires_at.unwrap().as_millis() - kept.updated_at.as_millis();
    assert!((30 * DAY_MS..31 * DAY_MS).contains(&left), "{left}");
    let_pass(&fixture, RULE_DELAY_MS);
    assert!(block_on(fixture.store.background_work()).unwrap().expires);
    expire(&fixture.store);
    assert!(old.iter().all(|id| read(&fixture, &user, *id).is_none()));
    assert!(read(&fixture, &user, new).is_some());
    assert_eq!(recorded(&fixture, "rule"), ["count=2"], "a batch is one event");
    assert!(!block_on(fixture.store.background_work()).unwrap().expires, "until the next walk");
    block_on(fixture.store.set_retention_rule(&Subject::Installation, None)).unwrap();
    let_pass(&fixture, 400 * DAY_MS);
    expire(&fixture.store);
    assert_eq!(read(&fixture, &user, new).unwrap().expires_at, None);
}

fn a_rule_of_a_role_replaces_the_one_for_everybody_and_of_several_the_shortest_counts(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let ids: Vec<(User, Id)> = ["member", "auditor", "both", "forgetful"]
        .into_iter()
        .map(|name| {
            let user = fixture.user(&format!("{name}@example.org"));
            let id = answered(&fixture, &user);
            (user, id)
        })
        .collect();
    for (user, role) in [(&ids[1].0, "auditor"), (&ids[2].0, "auditor"), (&ids[3].0, "forgetful")] {
        run(&fixture, format!("UPDATE users SET access_role = '{role}' WHERE id = '{}'", user.id));
    }
    let roles = ["forgetful".to_owned(), "other".to_owned()];
    let GroupSaved::Saved(group) = block_on(fixture.store.create_group("g", &roles)).unwrap() else {
        panic!("no group")
    };
    block_on(fixture.store.add_group_member(group.id, ids[2].0.id)).unwrap();
    for (subject, days) in [("installation", 30), ("role:auditor", 0), ("role:forgetful", 7), ("role:nobody", 1)] {
        rule(&fixture, subject, days);
    }
    let days_left = || -> Vec<Option<i64>> {
        let left = |(user, id): &(User, Id)| {
            let conversation = read(&fixture, user, *id)?;
            Some(
                conversation
                    .expires_at
                    .map_or(-1, |at| (at.as_millis() - conversation.updated_at.as_millis()) / DAY_MS),
            )
        };
        ids.iter().map(left).collect()
    };
    assert_eq!(days_left(), [Some(30), Some(-1), Some(7), Some(7)], "-1: it is kept");
    let_pass(&fixture, 8 * DAY_MS);
    expire(&fixture.store);
    assert_eq!(days_left(), [Some(30), Some(-1), None, None]);
    let_pass(&fixture, 30 * DAY_MS);
    expire(&fixture.store);
    assert_eq!(days_left(), [None, Some(-1), None, None]);
}

fn a_conversation_goes_earlier_than_the_rule_says_if_its_person_wants_that(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let other = fixture.user("b@example.org");
    rule(&fixture, "installation", 30);
    let [short, long, back] = [7, 365, 7].map(|days| {
        let id = answered(&fixture, &user);
        block_on(fixture.store.set_own_retention(user.id, id, Some(days))).unwrap();
        block_on(fixture.store.set_own_retention(other.id, id, Some(1))).unwrap();
        block_on(fixture.store.update_conversation(user.id, id, None, None)).unwrap();
        id
    });
    block_on(fixture.store.set_own_retention(user.id, back, None)).unwrap();
    let own = |id| read(&fixture, &user, id).map(|conversation| conversation.retention_days);
    assert_eq!((own(short), own(long), own(back)), (Some(Some(7)), Some(Some(365)), Some(None)));
    let_pass(&fixture, 6 * DAY_MS);
    expire(&fixture.store);
    // It is used again.
    let (_, lease) = fixture.claimed(&user, short);
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    let_pass(&fixture, 6 * DAY_MS);
    expire(&fixture.store);
    assert!(own(short).is_some());
    let_pass(&fixture, 2 * DAY_MS);
    expire(&fixture.store);
    assert_eq!((own(short).is_some(), own(long).is_some(), own(back).is_some()), (false, true, true));
    assert_eq!(recorded(&fixture, "own"), ["count=1"]);
    let_pass(&fixture, 17 * DAY_MS);
    expire(&fixture.store);
    assert_eq!((own(long), own(back)), (None, None), "the shorter of both counts");
}

/// A run that waits for its person for this long.
fn waits(fixture: &Fixture, user: &User, conversation: Id, ms: i64) {
    let (_, run) = fixture.send(user, conversation, "hello");
    let lease = lease_of(&run);
    block_on(async {
        fixture.store.claim(lease, LEASE_MS, "").await.unwrap().unwrap();
        let question = Question { call_id: "c", server: "mail", tool: "send", always_asks: false };
        fixture.store.ask_approval(lease, user.id, question, ms).await.unwrap().unwrap();
        let ending = Ending {
            state: RunState::AwaitingApproval,
            failure: None,
            usage: None,
            message: None,
            batch: Batch::default(),
        };
        assert!(fixture.store.finish_run(lease, &ending).await.unwrap());
    });
}

fn what_is_answered_or_waits_for_its_person_stays(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    rule(&fixture, "installation", 1);
    let [answering, waiting, own] = [0, 1, 2].map(|_| fixture.conversation(&user));
    fixture.claimed(&user, answering);
    waits(&fixture, &user, waiting, 10 * DAY_MS);
    waits(&fixture, &user, own, 10 * DAY_MS);
    block_on(fixture.store.set_own_retention(user.id, own, Some(1))).unwrap();
    let_pass(&fixture, 3 * DAY_MS);
    // Its executor is at work.
    run(
        &fixture,
        format!(
            "UPDATE runs SET lease_expires_at = lease_expires_at + {} WHERE conversation_id = '{answering}'",
            3 * DAY_MS
        ),
    );
    expire(&fixture.store);
    assert!([answering, waiting, own].iter().all(|id| read(&fixture, &user, *id).is_some()));
    // Nobody decided, and the time for that is over.
    let_pass(&fixture, 10 * DAY_MS);
    expire(&fixture.store);
    assert!([answering, waiting, own].iter().all(|id| read(&fixture, &user, *id).is_none()));
}

fn temporary(fixture: &Fixture, user: &User) -> Id {
    block_on(fixture.store.begin_temporary_conversation(user.id, Some("m"))).unwrap().unwrap().id
}

fn a_temporary_chat_is_nowhere_and_goes_soon_after_it_was_left(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let kept = answered(&fixture, &user);
    let id = temporary(&fixture, &user);
    let (_, lease) = fixture.claimed(&user, id);
    assert!(fixture.end(lease, RunState::Complete, "stop"));
    let conversation = read(&fixture, &user, id).unwrap();
    assert_eq!((conversation.title.as_str(), conversation.is_temporary, conversation.retention_days), ("", true, None));
    let left = conversation.expires_at.unwrap().as_millis() - conversation.updated_at.as_millis();
    assert!((TEMPORARY_IDLE_MS..TEMPORARY_IDLE_MS + 60_000).contains(&left), "{left}");
    let list = block_on(fixture.store.conversations(user.id, None, 10, true)).unwrap();
    let copy = block_on(fixture.store.conversations_as_begun(user.id, None, 10)).unwrap();
    let ids = |found: Vec<Conversation>| found.into_iter().map(|found| found.id).collect::<Vec<_>>();
    assert_eq!((ids(list), ids(copy)), (vec![kept], vec![kept]));
    let runs = storage::account_export::SECTIONS.iter().find(|section| section.name == "runs").unwrap();
    assert_eq!(block_on(fixture.store.export_rows(user.id, runs, None, 10)).unwrap().len(), 1);
    block_on(fixture.store.set_own_retention(user.id, id, Some(30))).unwrap();
    assert!(read(&fixture, &user, id).unwrap().is_temporary);
    let_pass(&fixture, TEMPORARY_IDLE_MS - 60_000);
    expire(&fixture.store);
    assert!(read(&fixture, &user, id).is_some());
    let_pass(&fixture, 60_000);
    expire(&fixture.store);
    assert_eq!((read(&fixture, &user, id).is_none(), read(&fixture, &user, kept).is_some()), (true, true));
    assert_eq!(recorded(&fixture, "temporary"), ["count=1"]);
    let unknown = User { id: Id::new(), ..user };
    assert!(block_on(fixture.store.begin_temporary_conversation(unknown.id, None)).is_err());
}

fn a_temporary_chat_stays_while_it_is_answered_and_its_question_ends_with_it(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let [answering, waiting] = [0, 1].map(|_| temporary(&fixture, &user));
    fixture.claimed(&user, answering);
    waits(&fixture, &user, waiting, DAY_MS);
    let_pass(&fixture, 2 * TEMPORARY_IDLE_MS);
    run(
        &fixture,
        format!("UPDATE runs SET lease_expires_at = lease_expires_at + {DAY_MS} WHERE conversation_id = '{answering}'"),
    );
    expire(&fixture.store);
    assert_eq!((read(&fixture, &user, answering).is_some(), read(&fixture, &user, waiting).is_some()), (true, false));
}

fn a_message_that_comes_at_the_same_moment_is_never_lost(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let ids: Vec<Id> = (0..30).map(|_| answered(&fixture, &user)).collect();
    rule(&fixture, "installation", 1);
    let_pass(&fixture, 3 * DAY_MS);
    let stored: Vec<Id> = std::thread::scope(|scope| {
        let expiring = scope.spawn(|| expire(&Store::new(fixture.another_connection())));
        let sending = scope.spawn(|| {
            let store = Store::new(fixture.another_connection());
            let incoming = storage::messages::IncomingMessage {
                content: "still here?",
                default_model: "m",
                ..storage::messages::IncomingMessage::default()
            };
            let sent = |id: &&Id| {
                let sent = block_on(store.append_message(user.id, **id, &incoming));
                assert!(matches!(sent, Ok(Appended::Stored(..) | Appended::NotFound)), "{sent:?}");
                matches!(sent, Ok(Appended::Stored(..)))
            };
            ids.iter().filter(sent).copied().collect()
        });
        expiring.join().unwrap();
        sending.join().unwrap()
    });
    for id in &ids {
        assert_eq!(read(&fixture, &user, *id).is_some(), stored.contains(id), "{id}");
    }
}

fn of_several_hosts_each_conversation_is_deleted_and_recorded_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    for _ in 0..50 {
        fixture.conversation(&user);
    }
    rule(&fixture, "installation", 1);
    let_pass(&fixture, 3 * DAY_MS);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| expire(&Store::new(fixture.another_connection())));
        }
    });
    expire(&fixture.store);
    let count = |detail: &String| detail.strip_prefix("count=").unwrap().parse::<i64>().unwrap();
    let counts: i64 = recorded(&fixture, "rule").iter().map(count).sum();
    assert_eq!((counts, block_on(fixture.store.conversations(user.id, None, 10, true)).unwrap().len()), (50, 0));
}

fn the_walk_over_everybody_goes_on_where_it_was(place: Place) {
    let fixture = Fixture::new(place);
    let people: Vec<User> = (0..450).map(|number| user_without_password(&fixture, number)).collect();
    let ids: Vec<(Id, Id)> = people.iter().step_by(100).map(|user| (user.id, fixture.conversation(user))).collect();
    rule(&fixture, "installation", 1);
    let_pass(&fixture, 3 * DAY_MS);
    // Killed after some steps, and on another host again.
    for _ in 0..3 {
        assert!(block_on(fixture.store.expire_next()).unwrap());
    }
    expire(&Store::new(fixture.another_connection()));
    for (user, id) in ids {
        assert!(block_on(fixture.store.conversation(user, id)).unwrap().is_none());
    }
    let left = "SELECT passed, due_at - now_ms() FROM retention_walk";
    let rows = block_on(fixture.another_connection().query(Statement::new("t", left, []))).unwrap();
    let [Value::Text(passed), Value::Integer(left)] = rows[0].0.as_slice() else { panic!("{rows:?}") };
    assert!(passed.is_empty() && *left > 0, "the next walk begins from the start, later");
}

fn user_without_password(fixture: &Fixture, number: u32) -> User {
    let email = format!("{number}@example.org");
    let new = storage::users::NewUser { email: &email, name: "", password_hash: "x" };
    block_on(fixture.store.create_user(new, Opening::Open)).unwrap().unwrap()
}

fn what_its_person_has_just_allowed_is_done_before_it_goes(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    rule(&fixture, "installation", 1);
    let id = fixture.conversation(&user);
    waits(&fixture, &user, id, 3 * DAY_MS);
    let_pass(&fixture, 2 * DAY_MS);
    let run_id = block_on(fixture.store.conversation(user.id, id)).unwrap().unwrap().active_run_id.unwrap();
    block_on(fixture.store.decide_approval(user.id, run_id, "c", Decision::AllowOnce)).unwrap();
    expire(&fixture.store);
    assert!(read(&fixture, &user, id).is_some(), "nobody has acted on it yet");
    let_pass(&fixture, 2 * DAY_MS);
    expire(&fixture.store);
    assert!(read(&fixture, &user, id).is_none(), "nobody came");
}

fn what_was_taken_up_since_it_was_found_stays(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let id = fixture.conversation(&user);
    waits(&fixture, &user, id, DAY_MS);
    let columns = "SELECT conversations.id, conversations.updated_at, runs.id, runs.updated_at FROM conversations JOIN runs ON runs.conversation_id = conversations.id";
    let rows = block_on(fixture.another_connection().query(Statement::new("t", columns, []))).unwrap();
    let [Value::Text(_), Value::Integer(updated_at), Value::Text(run_id), Value::Integer(run_updated_at)] =
        rows[0].0.as_slice()
    else {
        panic!("{rows:?}")
    };
    let delete = |run_updated_at: i64| {
        let found = format!(
            r#"[{{"id":"{id}","updated_at":{updated_at},"run_id":"{run_id}","run_updated_at":{run_updated_at}}}]"#
        );
        let sql = format!(
            "INSERT INTO conversation_expiries (conversations, reason, audit_id, expired_at) SELECT '{found}', 'own', '{}', now_ms()",
            Id::new()
        );
        run(&fixture, sql);
        read(&fixture, &user, id).is_none()
    };
    assert!(!delete(run_updated_at - 1), "the run was written since");
    run(&fixture, format!("UPDATE runs SET lease_expires_at = {}", i64::MAX / 2));
    assert!(!delete(*run_updated_at), "somebody is at work");
    run(&fixture, "UPDATE runs SET lease_expires_at = 0".to_owned());
    assert!(delete(*run_updated_at));
    assert_eq!(recorded(&fixture, "own"), ["count=1"]);
}

fn the_same_rule_again_changes_nothing_and_what_deletes_more_waits_for_a_day(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    run(&fixture, format!("UPDATE users SET access_role = 'legal' WHERE id = '{}'", user.id));
    let id = answered(&fixture, &user);
    rule(&fixture, "installation", 30);
    rule(&fixture, "role:legal", 0);
    let_pass(&fixture, 100 * DAY_MS);
    let counts_at = || block_on(fixture.store.retention_rules()).unwrap()[0].counts_at;
    let before = counts_at();
    for longer in [30, 60, 90] {
        rule(&fixture, "installation", longer);
        assert_eq!(counts_at(), before, "{longer}");
    }
    rule(&fixture, "installation", 30);
    assert!(counts_at() > before, "a shorter one waits");
    let_pass(&fixture, 2 * DAY_MS);
    let waits_for_a_day = |what: &str| {
        expire(&fixture.store);
        let kept = read(&fixture, &user, id).unwrap_or_else(|| panic!("{what}"));
        assert!(kept.expires_at.is_some(), "{what}");
    };
    block_on(fixture.store.set_retention_rule(&Subject::Role("legal".into()), None)).unwrap();
    waits_for_a_day("a rule is gone");
    rule(&fixture, "role:legal", 0);
    let_pass(&fixture, 2 * DAY_MS);
    run(
        &fixture,
        format!("UPDATE users SET access_role = 'member', access_changed_at = now_ms() WHERE id = '{}'", user.id),
    );
    waits_for_a_day("the person has another role");
    let_pass(&fixture, 2 * DAY_MS);
    expire(&fixture.store);
    assert!(read(&fixture, &user, id).is_none());
}
