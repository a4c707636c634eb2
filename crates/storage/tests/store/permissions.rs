//! Roles, groups, suspension, and what instances learn of their changes.

use std::sync::Barrier;

use domain::{Id, RunState, Timestamp, User};
use storage::{
    Database, Statement, Store,
    access::{AccessState, MAX_VOID, Offers, PersonRoles},
    accounts::{AccountChange, AccountChanged},
    audit::AuditEvent,
    groups::{Group, GroupSaved, MAX_GROUPS_OF_USER},
    leases::Leave,
    roles::StoredRole,
    sessions::{Lifetimes, Rotation, TokenHashes},
    users::{NewUser, Opening},
};

use crate::{
    fixture::{Fixture, LEASE_MS, batch, lease_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    an_account_of_an_earlier_release_is_an_administrator_or_a_member,
    a_role_that_is_set_is_the_accounts_and_voids_its_tokens,
    the_last_administrator_stays_one,
    administrators_who_suspend_each_other_at_once_are_not_all_gone,
    who_changes_what_another_has_just_changed_is_told,
    a_group_gives_its_members_its_roles_and_takes_them_away,
    who_is_suspended_has_no_session_no_role_and_no_run,
    the_installation_has_roles_of_its_own,
    when_too_much_changed_at_once_it_says_since_when_it_knows_all,
    accounts_are_listed_page_by_page_and_found_by_a_part_of_their_name,
    sessions_are_listed_and_ended_by_an_administrator,
    what_people_used_is_added_up,
    the_record_is_read_from_its_end_of_everybody_or_of_one,
}

const WINDOW_MS: i64 = 60_000;

fn state(fixture: &Fixture) -> AccessState {
    block_on(fixture.store.access_state("tests", WINDOW_MS, Offers::Unread)).unwrap()
}

fn now(fixture: &Fixture, user: &User) -> User {
    block_on(fixture.store.user(user.id)).unwrap().unwrap()
}

fn change(fixture: &Fixture, user: &User, change: AccountChange<'_>) -> AccountChanged {
    block_on(fixture.store.change_account(user, change)).unwrap()
}

fn changed(fixture: &Fixture, user: &User, to: AccountChange<'_>) -> User {
    match change(fixture, user, to) {
        AccountChanged::Changed(user) => user,
        other => panic!("not changed: {other:?}"),
    }
}

fn suspended(is_suspended: bool) -> AccountChange<'static> {
    AccountChange { is_suspended: Some(is_suspended), role: None }
}

fn role(role: &str) -> AccountChange<'_> {
    AccountChange { role: Some(role), is_suspended: None }
}

fn group(fixture: &Fixture, name: &str, roles: &[&str]) -> Group {
    let roles: Vec<String> = roles.iter().map(|&role| role.to_owned()).collect();
    match block_on(fixture.store.create_group(name, &roles)).unwrap() {
        GroupSaved::Saved(group) => group,
        other => panic!("not made: {other:?}"),
    }
}

fn session(fixture: &Fixture, user: &User) -> (Id, TokenHashes) {
    let (id, token) = (Id::new(), TokenHashes { token: "one".into(), family: "family".into() });
    block_on(fixture.store.create_session(id, user, &token, LEASE_MS)).unwrap();
    (id, token)
}

fn an_account_of_an_earlier_release_is_an_administrator_or_a_member(place: Place) {
    let fixture = Fixture::new(place);
    let other = fixture.another_connection();
    for (email, stored, is) in [("a@example.org", "admin", "admin"), ("b@example.org", "user", "member")] {
        let sql = "INSERT INTO sign_ups (id, email, name, role, password_hash, only_first, created_at)
                   VALUES (?1, ?2, '', ?3, 'x', 0, now_ms())";
        block_on(other.query(Statement::new("t", sql, [Id::new().into(), email.into(), stored.into()]))).unwrap();
        let (user, _) = block_on(fixture.store.user_by_email(email, email)).unwrap().unwrap();
        assert_eq!((user.role.as_str(), user.access_version, user.is_suspended), (is, 0, false));
    }
}

fn a_role_that_is_set_is_the_accounts_and_voids_its_tokens(place: Place) {
    let fixture = Fixture::new(place);
    let (_, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    assert_eq!(state(&fixture).changed_users, []);
    let changed = changed(&fixture, &user, role("auditor"));
    assert_eq!((changed.role.as_str(), changed.access_version), ("auditor", 1));
    assert_eq!(state(&fixture).changed_users, [(user.id, 1)]);
    assert_eq!(block_on(fixture.store.tool_permission(user.id, None)).unwrap().roles.names, ["auditor"]);
    // What a release of before reads.
    let sql = "SELECT 1 FROM users WHERE id = ?1 AND role = 'user'";
    let rows = block_on(fixture.another_connection().query(Statement::new("t", sql, [user.id.into()]))).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        block_on(fixture.store.access_state("tests", -1, Offers::Unread)).unwrap().changed_users,
        [],
        "long ago"
    );
}

fn the_last_administrator_stays_one(place: Place) {
    let fixture = Fixture::new(place);
    let (first, second) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    for change_to in [role("member"), suspended(true)] {
        assert!(matches!(change(&fixture, &first, change_to), AccountChanged::LastAdministrator));
    }
    let first = changed(&fixture, &first, role("admin"));
    let first = changed(&fixture, &first, suspended(false));
    let second = changed(&fixture, &second, role("admin"));
    let first = changed(&fixture, &first, role("member"));
    assert_eq!(first.role, "member");
    assert!(matches!(change(&fixture, &second, suspended(true)), AccountChanged::LastAdministrator));
}

fn administrators_who_suspend_each_other_at_once_are_not_all_gone(place: Place) {
    let fixture = Fixture::new(place);
    let (first, second) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let both = [first, changed(&fixture, &second, role("admin"))];
    let barrier = Barrier::new(both.len());
    let suspend = &|user: &User| {
        let store = Store::new(fixture.another_connection());
        barrier.wait();
        block_on(store.change_account(user, suspended(true))).unwrap();
    };
    std::thread::scope(|scope| {
        for user in &both {
            scope.spawn(move || suspend(user));
        }
    });
    assert_eq!(both.iter().filter(|user| !now(&fixture, user).is_suspended).count(), 1);
}

fn who_changes_what_another_has_just_changed_is_told(place: Place) {
    let fixture = Fixture::new(place);
    let (_, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    changed(&fixture, &user, role("admin"));
    assert!(matches!(change(&fixture, &user, suspended(true)), AccountChanged::Stale));
    let gone = User { id: Id::new(), ..user };
    assert!(matches!(change(&fixture, &gone, suspended(true)), AccountChanged::Stale));
}

fn a_group_gives_its_members_its_roles_and_takes_them_away(place: Place) {
    let fixture = Fixture::new(place);
    let (_, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let (mail, all) = (group(&fixture, "mail", &["mailer", "member"]), group(&fixture, "all", &[]));
    let store = &fixture.store;
    for _ in 0..2 {
        assert!(block_on(store.add_group_member(mail.id, user.id)).unwrap(), "twice is once");
    }
    assert!(block_on(store.add_group_member(all.id, user.id)).unwrap());
    let member = now(&fixture, &user);
    assert_eq!(member.roles().collect::<Vec<_>>(), ["member", "mailer"]);
    assert_eq!(member.access_version, 2, "once for each group");
    assert!(block_on(store.set_role("mailer", "tools:call:mail:*", 9)).unwrap());
    assert!(block_on(store.set_role("reader", "tools:read", 9)).unwrap());
    let custom = vec![StoredRole { name: "mailer".into(), permissions: "tools:call:mail:*".into() }];
    let roles = PersonRoles { names: vec!["mailer".into(), "member".into()], custom };
    assert_eq!(block_on(store.tool_permission(user.id, None)).unwrap().roles, roles);
    assert_eq!(block_on(store.group(mail.id)).unwrap().unwrap().members, 1);
    let members = block_on(store.group_members(mail.id, None, 10)).unwrap();
    assert_eq!(members.iter().map(|user| user.id).collect::<Vec<_>>(), [user.id]);

    let other_roles = ["reader".to_owned()];
    assert!(matches!(block_on(store.update_group(mail.id, "mail", &other_roles)).unwrap(), GroupSaved::Saved(_)));
    assert_eq!(block_on(store.update_group(mail.id, "all", &other_roles)).unwrap(), GroupSaved::NameTaken);
    assert_eq!(block_on(store.create_group("all", &[])).unwrap(), GroupSaved::NameTaken);
    let read = now(&fixture, &user);
    assert_eq!((read.group_roles.clone(), read.access_version), (vec!["reader".to_owned()], 3));

    block_on(store.delete_group(mail.id)).unwrap();
    let is_member = || block_on(store.is_group_member(all.id, user.id)).unwrap();
    assert!(is_member());
    block_on(store.remove_group_member(all.id, user.id)).unwrap();
    assert!(!is_member());
    let left = now(&fixture, &user);
    assert_eq!((left.group_roles.len(), left.access_version), (0, 5));
    assert_eq!(state(&fixture).changed_users, [(user.id, 5)]);

    for index in 0..MAX_GROUPS_OF_USER {
        let group = group(&fixture, &format!("{index}"), &[]);
        assert!(block_on(store.add_group_member(group.id, user.id)).unwrap());
    }
    assert!(!block_on(store.add_group_member(all.id, user.id)).unwrap(), "one too many");
    assert!(!block_on(store.add_group_member(all.id, Id::new())).unwrap(), "nobody");
    assert!(!block_on(store.add_group_member(Id::new(), fixture.user("c@example.org").id)).unwrap(), "no group");
}

fn who_is_suspended_has_no_session_no_role_and_no_run(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let (session_id, token) = session(&fixture, &user);
    let (others, _) = session(&fixture, &admin);
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    let (_, queued) = fixture.send(&user, fixture.conversation(&user), "hello");
    let suspended_user = changed(&fixture, &user, suspended(true));
    assert!(suspended_user.is_suspended);
    assert_eq!(fixture.log(lease, RunState::Streaming, batch(1, "f")), Leave::CancelRequested, "{}", run.id);
    let claim = block_on(fixture.store.claim(lease_of(&queued), LEASE_MS, "")).unwrap().unwrap();
    assert!(claim.cancel_requested, "whoever claims it ends it");
    let lifetimes = Lifetimes { session_ms: LEASE_MS, grace_ms: LEASE_MS };
    let rotated = block_on(fixture.store.rotate_session(session_id, &token, &["two".to_owned()], lifetimes)).unwrap();
    assert!(matches!(rotated, Rotation::Ended), "{rotated:?}");
    assert_eq!(block_on(fixture.store.tool_permission(user.id, None)).unwrap().roles, PersonRoles::default());
    let known = state(&fixture);
    assert_eq!((known.changed_users, known.ended_sessions), (vec![(user.id, 1)], vec![session_id]));
    assert!(block_on(fixture.store.open_sessions(None, None, 10)).unwrap().iter().all(|open| open.id == others));
    assert!(!changed(&fixture, &suspended_user, suspended(false)).is_suspended);
}

fn the_installation_has_roles_of_its_own(place: Place) {
    let fixture = Fixture::new(place);
    let set = |name, permissions| block_on(fixture.store.set_role(name, permissions, 2)).unwrap();
    assert!(set("mailer", "tools:call:mail:*") && set("auditor", "audit:read"));
    assert!(!set("more", "users:read") && set("auditor", "audit:read users:read"), "two are the most");
    let role = |name: &str, permissions: &str| StoredRole { name: name.into(), permissions: permissions.into() };
    let both = [role("auditor", "audit:read users:read"), role("mailer", "tools:call:mail:*")];
    assert_eq!(block_on(fixture.store.roles()).unwrap(), both);
    assert_eq!(state(&fixture).roles, both);
    let delete = |name| block_on(fixture.store.delete_role(name)).unwrap();
    let (admin, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let group = group(&fixture, "g", &["member", "mailer"]);
    group_named_alike(&fixture);
    let user = changed(&fixture, &user, role_of("mailer"));
    let maker = (&admin).into();
    let invitation = block_on(fixture.store.create_invitation("h", "mailer", maker, LEASE_MS)).unwrap().unwrap();
    assert_eq!((delete("mailer"), state(&fixture).roles.len()), (3, 2), "a later role of this name would be theirs");
    changed(&fixture, &user, role_of("member"));
    block_on(fixture.store.update_group(group.id, "g", &["member".to_owned()])).unwrap();
    assert!(block_on(fixture.store.revoke_invitation(invitation.id)).unwrap());
    assert_eq!([delete("mailer"), delete("mailer")], [0, 0]);
    assert_eq!(state(&fixture).roles, both[..1]);
}

/// Its roles only contain the name.
fn group_named_alike(fixture: &Fixture) {
    group(fixture, "alike", &["mailer-2", "a-mailer"]);
}

fn role_of(role: &str) -> AccountChange<'_> {
    AccountChange { role: Some(role), is_suspended: None }
}

fn when_too_much_changed_at_once_it_says_since_when_it_knows_all(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let end_some = |first: usize, count: usize| {
        let rows: Vec<String> = (first..first + count)
            .map(|index| format!("('{index}', ?1, 'x', 1, now_ms() + 60000, now_ms() - {index})"))
            .collect();
        let sql = format!(
            "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at, revoked_at) VALUES {}",
            rows.join(", ").replace("('", "('00000000-0000-7000-8000-00000000")
        );
        block_on(fixture.another_connection().query(Statement::new("t", sql, [user.id.into()]))).unwrap();
    };
    end_some(1000, MAX_VOID - 1);
    let known = state(&fixture);
    assert_eq!((known.ended_sessions.len(), known.incomplete_before), (MAX_VOID - 1, None));
    end_some(2000, 2);
    let known = state(&fixture);
    let void_for = known.now.as_millis() - known.incomplete_before.unwrap().as_millis();
    assert_eq!(known.ended_sessions.len(), MAX_VOID);
    assert!((1000..=60_000).contains(&void_for), "{void_for}");
    block_on(fixture.another_connection().query(Statement::new("t", "DELETE FROM sessions", []))).unwrap();
    assert_eq!(state(&fixture).incomplete_before, None);
    let insert = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
        INSERT INTO users (id, email, name, role, created_at, access_version, access_changed_at)
        SELECT '00000000-0000-7000-8000-00000000' || CAST(1000 + i AS text), CAST(i AS text), '', 'user', 1, 1, now_ms() - 1000 - i FROM n";
    block_on(fixture.another_connection().query(Statement::new("t", insert, []))).unwrap();
    let known = state(&fixture);
    let known_for = known.now.as_millis() - known.incomplete_before.unwrap().as_millis();
    assert_eq!(known.changed_users.len(), MAX_VOID);
    assert!((1_000..=60_000).contains(&known_for), "{known_for}");
}

fn accounts_are_listed_page_by_page_and_found_by_a_part_of_their_name(place: Place) {
    let fixture = Fixture::new(place);
    let people: Vec<User> =
        ["a@example.org", "b_b@example.org", "bxb@example.org"].map(|email| fixture.user(email)).into();
    let (one, two) = (group(&fixture, "one", &["x", "y"]), group(&fixture, "two", &["z"]));
    for group in [&one, &two] {
        assert!(block_on(fixture.store.add_group_member(group.id, people[1].id)).unwrap());
    }
    let list = |text: &str, before: Option<Id>, limit| {
        let users = block_on(fixture.store.users(text, before, limit)).unwrap();
        users.into_iter().map(|user| (user.email, user.group_roles.len())).collect::<Vec<_>>()
    };
    let [a, b, x] = [("a@example.org", 0), ("b_b@example.org", 3), ("bxb@example.org", 0)]
        .map(|(email, roles)| (email.to_owned(), roles));
    assert_eq!(list("", None, 2), [x.clone(), b.clone()], "the newest first, each once");
    assert_eq!(list("", Some(people[1].id), 2), [a]);
    assert_eq!(list("B_B", None, 9), [b], "what has a meaning in a pattern has none here");
    assert_eq!(list("%", None, 9), []);
    assert_eq!(list("bxb@EXAMPLE", None, 9), [x]);
    assert_eq!(list("\\", None, 9), []);
    let new = NewUser { email: "o@example.org", name: "Özgür", password_hash: "x" };
    block_on(fixture.store.create_user(new, Opening::Open)).unwrap().unwrap();
    for typed in ["Özgür", "Özg", "gür"] {
        assert_eq!(list(typed, None, 9), [("o@example.org".to_owned(), 0)], "{typed}");
    }
}

fn sessions_are_listed_and_ended_by_an_administrator(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let (first, second) = (session(&fixture, &user).0, session(&fixture, &admin).0);
    let open = |user_id, before| {
        let sessions = block_on(fixture.store.open_sessions(user_id, before, 10)).unwrap();
        sessions.into_iter().map(|session| (session.id, session.email)).collect::<Vec<_>>()
    };
    let both = [(second, "a@example.org".to_owned()), (first, "b@example.org".to_owned())];
    assert_eq!((open(None, None), open(Some(user.id), None)), (both.to_vec(), both[1..].to_vec()));
    assert_eq!(open(None, Some(second)), both[1..]);
    assert_eq!(block_on(fixture.store.end_session_of_anybody(first)).unwrap(), Some(user.id));
    assert_eq!(block_on(fixture.store.end_session_of_anybody(first)).unwrap(), None, "it has ended");
    assert_eq!((open(None, None), state(&fixture).ended_sessions), (both[..1].to_vec(), vec![first]));
}

fn what_people_used_is_added_up(place: Place) {
    let fixture = Fixture::new(place);
    let (other, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    for _ in 0..2 {
        let (_, lease) = fixture.claimed(&user, fixture.conversation(&user));
        assert!(fixture.end(lease, RunState::Complete, "stop"));
        record_of(&fixture, &user, "tool.call", "ok");
    }
    for more in ["approval_asked", "begun"] {
        record_of(&fixture, &user, "tool.call", more);
    }
    record(&fixture, &user, "secret.set");
    let used = |since: i64, before| {
        let usage = block_on(fixture.store.usage(Timestamp::from_millis(since), before, 10)).unwrap();
        usage
            .into_iter()
            .map(|of| {
                let (prompt, completion): (Vec<_>, Vec<_>) =
                    of.models.iter().map(|model| (model.prompt_tokens, model.completion_tokens)).unzip();
                (of.user_id, of.runs, prompt.iter().sum(), completion.iter().sum(), of.tool_calls)
            })
            .collect::<Vec<_>>()
    };
    let now = state(&fixture).now.as_millis();
    assert_eq!(used(0, None), [(user.id, 2, 6, 8, 2), (other.id, 0, 0, 0, 0)]);
    assert_eq!(used(0, Some(user.id)), [(other.id, 0, 0, 0, 0)]);
    assert_eq!(used(now + 1_000, None)[0], (user.id, 0, 0, 0, 0));
}

fn record(fixture: &Fixture, user: &User, action: &str) {
    record_of(fixture, user, action, "ok");
}

fn record_of(fixture: &Fixture, user: &User, action: &str, outcome: &str) {
    let event =
        AuditEvent { user_id: user.id, action, subject: "s", run_id: None, call_id: None, outcome, detail: None };
    block_on(fixture.store.append_audit(&event)).unwrap();
}

fn the_record_is_read_from_its_end_of_everybody_or_of_one(place: Place) {
    let fixture = Fixture::new(place);
    let (other, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    for (user, action) in [(&user, "1"), (&other, "2"), (&user, "3"), (&user, "4")] {
        record(&fixture, user, action);
    }
    let read = |user_id: Option<Id>, limit| {
        let (mut actions, mut before) = (String::new(), None);
        loop {
            let page = block_on(fixture.store.audit_records(user_id, before, limit)).unwrap();
            let Some(last) = page.last() else { return actions };
            before = Some(last.id);
            actions.extend(page.into_iter().map(|record| record.action));
        }
    };
    for limit in [1, 2, 10] {
        assert_eq!((read(None, limit), read(Some(user.id), limit)), ("4321".to_owned(), "431".to_owned()));
    }
}
