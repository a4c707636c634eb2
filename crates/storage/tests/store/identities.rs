//! Identities at providers: which accounts they open, what they give, how their sessions end.

use std::sync::Barrier;

use domain::{Id, User};
use storage::{
    Database as _, Statement, Store,
    accounts::{AccountChange, AccountChanged},
    identities::Identity,
    provider_sessions::{ProviderLogout, ProviderSession},
    sessions::{Lifetimes, Rotation, TokenHashes},
    users::Opening,
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    an_identity_opens_the_account_that_was_made_for_it,
    of_many_who_come_with_one_identity_at_once_one_gets_an_account,
    an_identity_gets_an_account_only_where_somebody_without_one_would,
    roles_of_an_identity_count_while_a_session_of_it_is_open,
    a_log_out_reaches_log_ins_and_links_that_are_under_way,
    roles_of_an_identity_are_the_persons_until_the_provider_says_otherwise,
    an_account_without_a_password_follows_its_address_at_the_provider,
    an_identity_waits_for_the_password_and_is_linked_once,
    a_new_password_ends_what_the_old_one_linked,
    an_identity_is_taken_off_with_its_sessions_unless_the_account_changed_or_has_no_password,
    a_link_that_is_too_old_is_none,
    a_link_of_an_account_that_changed_meanwhile_is_not_confirmed,
    a_link_waits_for_a_new_password_that_is_not_committed_yet,
    a_provider_ends_the_sessions_that_it_names_and_no_others,
    a_log_out_token_that_comes_many_times_at_once_counts_once,
    a_session_that_has_ended_tells_nothing_about_the_provider,
    a_session_does_not_begin_for_an_account_that_changed_meanwhile,
    what_a_provider_publishes_is_kept_and_its_keys_are_not_asked_for_too_often,
}

const ISSUER: &str = "https://id.example.org";

fn roles(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn come(fixture: &Fixture, subject: &str, names: &[&str], email: Option<&str>) -> Option<User> {
    let roles = roles(names);
    block_on(fixture.store.use_identity(Identity { issuer: ISSUER, subject, roles: &roles }, email)).unwrap()
}

fn open(fixture: &Fixture, subject: &str, email: &str, opening: Opening<'_>) -> Option<User> {
    let identity = Identity { issuer: ISSUER, subject, roles: &[] };
    block_on(fixture.store.create_user_with_identity(identity, email, "Ada", opening)).unwrap()
}

fn an_identity_opens_the_account_that_was_made_for_it(place: Place) {
    let fixture = Fixture::new(place);
    assert!(come(&fixture, "ada", &[], None).is_none());
    let first = open(&fixture, "ada", "ada@example.org", Opening::OnlyFirst).unwrap();
    assert_eq!((first.role.as_str(), first.name.as_str()), ("admin", "Ada"));
    assert_eq!(come(&fixture, "ada", &[], Some("ada@example.org")).unwrap().id, first.id);
    let (_, hash) = block_on(fixture.store.user_by_email("ada@example.org", "")).unwrap().unwrap();
    assert_eq!(hash, None, "nobody logs in with a password");
    assert_eq!(open(&fixture, "eve", "eve@example.org", Opening::Open).unwrap().role, "member");
    let elsewhere = Identity { issuer: "https://other.example.org", subject: "ada", roles: &[] };
    assert!(block_on(fixture.store.use_identity(elsewhere, None)).unwrap().is_none(), "a subject is its issuer's");
}

fn of_many_who_come_with_one_identity_at_once_one_gets_an_account(place: Place) {
    const MANY: usize = 6;
    let fixture = Fixture::new(place);
    let barrier = Barrier::new(MANY);
    let made: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY)
            .map(|index| {
                let (store, barrier) = (Store::new(fixture.another_connection()), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let identity = Identity { issuer: ISSUER, subject: "ada", roles: &[] };
                    let email = format!("ada{index}@example.org");
                    let made = store.create_user_with_identity(identity, &email, "", Opening::Open);
                    usize::from(block_on(made).unwrap().is_some())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(made, 1);
}

fn an_identity_gets_an_account_only_where_somebody_without_one_would(place: Place) {
    let fixture = Fixture::new(place);
    let admin = fixture.user("a@example.org");
    assert!(open(&fixture, "b", "a@example.org", Opening::Open).is_none(), "the address is taken");
    assert!(open(&fixture, "b", "b@example.org", Opening::OnlyFirst).is_none());
    assert!(open(&fixture, "b", "b@example.org", Opening::Invited("h")).is_none());
    block_on(fixture.store.create_invitation("h", "auditor", (&admin).into(), LEASE_MS)).unwrap().unwrap();
    assert_eq!(open(&fixture, "b", "b@example.org", Opening::Invited("h")).unwrap().role, "auditor");
    assert!(open(&fixture, "c", "c@example.org", Opening::Invited("h")).is_none(), "it is used up");
    assert!(open(&fixture, "b", "d@example.org", Opening::Open).is_none(), "the identity is taken");
}

/// Somebody signs in at the provider, whose groups give these roles.
fn sign_in(fixture: &Fixture, subject: &str, names: &[&str], session: &str) -> User {
    let user = come(fixture, subject, names, None).unwrap();
    begin(fixture, &user, session, &session_of(subject, Some(session))).unwrap();
    block_on(fixture.store.user(user.id)).unwrap().unwrap()
}

fn roles_of_an_identity_count_while_a_session_of_it_is_open(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let user = open(&fixture, "b", "b@example.org", Opening::Open).unwrap();
    let has = || block_on(fixture.store.user(user.id)).unwrap().unwrap();
    let may_call = || block_on(fixture.store.tool_permission(user.id, None)).unwrap().roles.names.join(" ");
    assert!(come(&fixture, "b", &["auditor"], None).unwrap().group_roles.is_empty(), "no session has begun");
    assert_eq!(may_call(), "member");
    let one = sign_in(&fixture, "b", &["auditor"], "one");
    assert_eq!((one.group_roles.join(" ").as_str(), may_call().as_str()), ("auditor", "auditor member"));
    sign_in(&fixture, "b", &["auditor"], "two");
    let log_out = |token_id, sid| {
        let logout = ProviderLogout { issuer: ISSUER, token_id, subject: Some("b"), sid };
        assert!(block_on(fixture.store.log_out_by_provider(logout, LEASE_MS)).unwrap());
    };
    log_out("t1", Some("one"));
    assert_eq!(has().group_roles, ["auditor"], "another is open");
    log_out("t2", None);
    let out = has();
    assert_eq!((out.group_roles.len(), may_call().as_str()), (0, "member"));
    assert!(out.access_version > one.access_version, "tokens of other sessions are void");
    // A session that was not used for too long.
    let session = session_of("b", None);
    let token = hashes("lapsed");
    let begun = fixture.store.create_provider_session(Id::new(), &out, &token, &session, LAPSED_MS);
    assert!(block_on(begun).unwrap());
    assert!(has().group_roles.is_empty());
}

fn a_log_out_reaches_log_ins_and_links_that_are_under_way(place: Place) {
    let fixture = Fixture::new(place);
    let user = open(&fixture, "ada", "a@example.org", Opening::Open).unwrap();
    let other = fixture.user("b@example.org");
    for (hash, subject) in [("h", "b"), ("i", "c")] {
        keep(&fixture, &other, hash, subject, LEASE_MS);
    }
    let logout = ProviderLogout { issuer: ISSUER, token_id: "t", subject: Some("b"), sid: Some("s") };
    assert!(block_on(fixture.store.log_out_by_provider(logout, LEASE_MS)).unwrap());
    assert!(block_on(fixture.store.identity_link("h")).unwrap().is_none());
    assert!(block_on(fixture.store.identity_link("i")).unwrap().is_some(), "somebody else's");
    assert_eq!(begin(&fixture, &user, "a", &session_of("ada", Some("s"))), None, "this session has ended");
    assert!(begin(&fixture, &user, "a", &session_of("ada", Some("t"))).is_some());
}

fn roles_of_an_identity_are_the_persons_until_the_provider_says_otherwise(place: Place) {
    let fixture = Fixture::new(place);
    let admin = open(&fixture, "a", "a@example.org", Opening::Open).unwrap();
    let user = open(&fixture, "b", "b@example.org", Opening::Open).unwrap();
    let given = sign_in(&fixture, "b", &["auditor", "service"], "session");
    assert_eq!((given.role.as_str(), given.group_roles.join(" ").as_str()), ("member", "auditor service"));
    assert!(given.access_version > user.access_version, "tokens that were made before are void");
    let again = come(&fixture, "b", &["auditor", "service"], None).unwrap();
    assert_eq!(again.access_version, given.access_version, "nothing has changed");
    block_on(fixture.store.set_role("auditor", "audit:read", 5)).unwrap();
    assert_eq!(block_on(fixture.store.delete_role("auditor")).unwrap(), 1, "somebody has it");
    let of_token = block_on(fixture.store.user_of_token(user.id, None)).unwrap().unwrap();
    assert_eq!(of_token.group_roles, given.group_roles);
    let listed = block_on(fixture.store.users("b@", None, 10)).unwrap();
    assert_eq!((listed.len(), &listed[0].group_roles), (1, &given.group_roles));
    let less = come(&fixture, "b", &[], None).unwrap();
    assert!(less.group_roles.is_empty() && less.access_version > given.access_version);
    assert_eq!(block_on(fixture.store.delete_role("auditor")).unwrap(), 0);
    // Whatever the provider says, the own role stays, so one administrator always remains.
    assert_eq!(come(&fixture, "a", &[], None).unwrap().role, "admin");
    let demoted = AccountChange { role: Some("member"), is_suspended: None };
    assert!(matches!(
        block_on(fixture.store.change_account(&admin, demoted)).unwrap(),
        AccountChanged::LastAdministrator
    ));
}

fn an_account_without_a_password_follows_its_address_at_the_provider(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("taken@example.org");
    open(&fixture, "b", "b@example.org", Opening::Open).unwrap();
    assert_eq!(come(&fixture, "b", &[], Some("new@example.org")).unwrap().email, "new@example.org");
    assert_eq!(come(&fixture, "b", &[], None).unwrap().email, "new@example.org");
    assert_eq!(come(&fixture, "b", &[], Some("taken@example.org")).unwrap().email, "new@example.org");
}

fn session_of(subject: &str, sid: Option<&str>) -> ProviderSession {
    ProviderSession {
        issuer: ISSUER.into(),
        subject: subject.into(),
        sid: sid.map(str::to_owned),
        hint: Some("id token".into()),
    }
}

fn keep(fixture: &Fixture, user: &User, hash: &str, subject: &str, lifetime_ms: i64) {
    let roles = roles(&["auditor"]);
    let identity = Identity { issuer: ISSUER, subject, roles: &roles };
    let session = session_of(subject, Some("s"));
    let kept = fixture.store.keep_identity_link(hash, user.id, identity, "a@corp.example", &session, lifetime_ms);
    block_on(kept).unwrap();
}

fn an_identity_waits_for_the_password_and_is_linked_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    keep(&fixture, &user, "h", "ada", LEASE_MS);
    assert!(come(&fixture, "ada", &[], None).is_none(), "not yet");
    let waiting = block_on(fixture.store.identity_link("h")).unwrap().unwrap();
    assert_eq!((waiting.user.id, waiting.password_hash.as_deref()), (user.id, Some("x")));
    assert_eq!(waiting.session, session_of("ada", Some("s")));
    let linked = block_on(fixture.store.confirm_identity_link("h", &waiting.user)).unwrap().unwrap();
    let session = begin(&fixture, &linked, "linked", &waiting.session).unwrap();
    assert_eq!(block_on(fixture.store.user(user.id)).unwrap().unwrap().group_roles, ["auditor"]);
    assert_eq!(come(&fixture, "ada", &["auditor"], Some("b@corp.example")).unwrap().email, "a@example.org");
    assert!(block_on(fixture.store.identity_link("h")).unwrap().is_none());
    assert!(block_on(fixture.store.confirm_identity_link("h", &linked)).unwrap().is_none());
    // The provider names the person otherwise: the password links the new name in place of the former one.
    keep(&fixture, &user, "i", "ada2", LEASE_MS);
    assert!(is_open(&fixture, session, "linked"));
    let linked = block_on(fixture.store.confirm_identity_link("i", &linked)).unwrap().unwrap();
    assert!(!goes_on(&fixture, session, "linked"), "the former one's session has ended");
    assert!(come(&fixture, "ada", &[], None).is_none());
    assert_eq!(come(&fixture, "ada2", &["auditor"], None).unwrap().id, user.id);
    // The same identity again, from another browser: what it began goes on.
    let session = begin(&fixture, &linked, "second", &session_of("ada2", None)).unwrap();
    keep(&fixture, &user, "j", "ada2", LEASE_MS);
    assert!(block_on(fixture.store.confirm_identity_link("j", &linked)).unwrap().is_some());
    assert!(goes_on(&fixture, session, "second"));
}

fn a_new_password_ends_what_the_old_one_linked(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, user) = (fixture.user("admin@example.org"), fixture.user("a@example.org"));
    let linked = |subject, user: &User| {
        keep(&fixture, user, subject, subject, LEASE_MS);
        block_on(fixture.store.confirm_identity_link(subject, user)).unwrap().unwrap()
    };
    let (admin, user) = (linked("other", &admin), linked("thief", &user));
    keep(&fixture, &user, "waiting", "eve", LEASE_MS);
    assert!(block_on(fixture.store.change_password(&user, "new")).unwrap());
    assert!(come(&fixture, "thief", &["auditor"], None).is_none());
    assert!(block_on(fixture.store.identity_link("waiting")).unwrap().is_none());
    assert_eq!(come(&fixture, "other", &["auditor"], None).unwrap().id, admin.id, "another account's stays");
    let user = block_on(fixture.store.user(user.id)).unwrap().unwrap();
    let user = linked("thief", &user);
    reset(&fixture, &admin, &user);
    assert!(come(&fixture, "thief", &["auditor"], None).is_none(), "neither does a link that resets it keep them");
    let without = open(&fixture, "bob", "b@example.org", Opening::Open).unwrap();
    reset(&fixture, &admin, &without);
    assert_eq!(come(&fixture, "bob", &[], None).unwrap().id, without.id, "there was no password that linked it");
}

fn reset(fixture: &Fixture, admin: &User, user: &User) {
    let hash = user.id.to_string();
    block_on(fixture.store.create_password_reset(&hash, user, admin.into(), LEASE_MS)).unwrap().unwrap();
    assert!(block_on(fixture.store.reset_password(&hash, "reset")).unwrap());
}

fn a_link_that_is_too_old_is_none(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    keep(&fixture, &user, "old", "ada", LAPSED_MS);
    assert!(block_on(fixture.store.identity_link("old")).unwrap().is_none());
    assert!(block_on(fixture.store.confirm_identity_link("old", &user)).unwrap().is_none());
}

fn a_link_of_an_account_that_changed_meanwhile_is_not_confirmed(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let user = fixture.user("a@example.org");
    keep(&fixture, &user, "h", "ada", LEASE_MS);
    let waiting = block_on(fixture.store.identity_link("h")).unwrap().unwrap();
    let suspended = AccountChange { role: None, is_suspended: Some(true) };
    block_on(fixture.store.change_account(&user, suspended)).unwrap();
    assert!(block_on(fixture.store.confirm_identity_link("h", &waiting.user)).unwrap().is_none());
    let now = block_on(fixture.store.user(user.id)).unwrap().unwrap();
    assert!(block_on(fixture.store.confirm_identity_link("h", &now)).unwrap().is_none(), "suspended");
}

fn a_link_waits_for_a_new_password_that_is_not_committed_yet(place: Place) {
    if matches!(place, Place::Sqlite(_)) {
        return; // One writer at a time.
    }
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    keep(&fixture, &user, "h", "ada", LEASE_MS);
    let run = |database: &Real, sql: &'static str| block_on(database.query(Statement::new("t", sql, []))).unwrap();
    let (holder, changing) = (fixture.another_connection(), fixture.another_connection());
    let linking = Store::new(fixture.another_connection());
    let await_waiting = |wanted: i64| {
        let sql = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pid IN (
                       SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
        while run(&holder, sql)[0].columns("t").integer().unwrap() < wanted {
            std::thread::yield_now();
        }
    };
    run(&holder, "SELECT 1 FROM pg_advisory_lock(hashtext('sign_up'))");
    let is_linked = std::thread::scope(|scope| {
        let changed = scope.spawn(|| {
            let change = "UPDATE users SET access_version = COALESCE(access_version, 0) + 1";
            let waits = "SELECT 1 FROM pg_advisory_xact_lock(hashtext('sign_up'))";
            let both = [change, waits].map(|sql| Statement::new("t", sql, []));
            block_on(changing.transaction(both.into())).unwrap();
        });
        await_waiting(1);
        let linked = scope.spawn(|| block_on(linking.confirm_identity_link("h", &user)).unwrap().is_some());
        await_waiting(2);
        run(&holder, "SELECT 1 FROM pg_advisory_unlock(hashtext('sign_up'))");
        changed.join().unwrap();
        linked.join().unwrap()
    });
    assert!(!is_linked, "the password that was checked counts no more");
}

fn hashes(name: &str) -> TokenHashes {
    TokenHashes { token: name.into(), family: format!("family of {name}") }
}

fn begin(fixture: &Fixture, user: &User, name: &str, session: &ProviderSession) -> Option<Id> {
    let id = Id::new();
    let token = hashes(name);
    block_on(fixture.store.create_provider_session(id, user, &token, session, LEASE_MS)).unwrap().then_some(id)
}

fn goes_on(fixture: &Fixture, id: Id, name: &str) -> bool {
    let lifetimes = Lifetimes { session_ms: LEASE_MS, grace_ms: LEASE_MS };
    let (token, successor) = (hashes(name), format!("after {name}"));
    let rotated = block_on(fixture.store.rotate_session(id, &token, &successor, lifetimes)).unwrap();
    matches!(rotated, Rotation::Rotated(_))
}

fn a_provider_ends_the_sessions_that_it_names_and_no_others(place: Place) {
    let fixture = Fixture::new(place);
    let user = open(&fixture, "ada", "a@example.org", Opening::Open).unwrap();
    let sessions = [("ada", Some("one")), ("ada", Some("two")), ("eve", Some("one")), ("eve", None)];
    let names = ["a1", "a2", "e1", "e"];
    let ids: Vec<Id> = sessions
        .iter()
        .zip(names)
        .map(|((subject, sid), name)| begin(&fixture, &user, name, &session_of(subject, *sid)).unwrap())
        .collect();
    let log_out = |token_id, issuer, subject, sid| {
        block_on(fixture.store.log_out_by_provider(ProviderLogout { issuer, token_id, subject, sid }, LEASE_MS))
            .unwrap()
    };
    let open = || -> String {
        ids.iter().zip(names).map(|(id, name)| if is_open(&fixture, *id, name) { '1' } else { '0' }).collect()
    };
    assert!(log_out("t0", "https://other.example.org", Some("ada"), None));
    assert_eq!(open(), "1111");
    assert!(log_out("t1", ISSUER, Some("ada"), Some("two")));
    assert_eq!(open(), "1011");
    assert!(!log_out("t1", ISSUER, Some("ada"), None), "it was used");
    assert_eq!(open(), "1011");
    assert!(log_out("t2", ISSUER, None, Some("one")));
    assert_eq!(open(), "0001");
    assert!(log_out("t3", ISSUER, Some("eve"), Some("never said before")));
    assert_eq!(open(), "0000");
    assert!(ids.iter().zip(names).all(|(id, name)| !goes_on(&fixture, *id, name)));
    let state = block_on(fixture.store.access_state(LEASE_MS, storage::access::Offers::Unread)).unwrap();
    assert!(ids.iter().all(|id| state.ended_sessions.contains(id)), "every instance hears of it");
}

fn a_log_out_token_that_comes_many_times_at_once_counts_once(place: Place) {
    const MANY: usize = 6;
    let fixture = Fixture::new(place);
    let barrier = Barrier::new(MANY);
    let counted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY)
            .map(|_| {
                let (store, barrier) = (Store::new(fixture.another_connection()), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let logout = ProviderLogout { issuer: ISSUER, token_id: "t", subject: Some("ada"), sid: None };
                    usize::from(block_on(store.log_out_by_provider(logout, LEASE_MS)).unwrap())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(counted, 1);
}

fn is_open(fixture: &Fixture, id: Id, name: &str) -> bool {
    block_on(fixture.store.provider_session(id, &hashes(name))).unwrap().is_some()
}

fn a_session_that_has_ended_tells_nothing_about_the_provider(place: Place) {
    let fixture = Fixture::new(place);
    let user = open(&fixture, "ada", "a@example.org", Opening::Open).unwrap();
    let id = begin(&fixture, &user, "a", &session_of("ada", None)).unwrap();
    assert_eq!(block_on(fixture.store.provider_session(id, &hashes("a"))).unwrap().unwrap(), session_of("ada", None));
    assert!(!is_open(&fixture, id, "another's"), "only with its own token");
    assert!(goes_on(&fixture, id, "a"));
    assert!(is_open(&fixture, id, "a"), "with any of its tokens");
    block_on(fixture.store.end_session(id, &hashes("a"))).unwrap();
    assert!(!is_open(&fixture, id, "a"));
}

fn a_session_does_not_begin_for_an_account_that_changed_meanwhile(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let user = open(&fixture, "ada", "a@example.org", Opening::Open).unwrap();
    let suspended = AccountChange { role: None, is_suspended: Some(true) };
    block_on(fixture.store.change_account(&user, suspended)).unwrap();
    assert_eq!(begin(&fixture, &user, "a", &session_of("ada", None)), None);
}

fn what_a_provider_publishes_is_kept_and_its_keys_are_not_asked_for_too_often(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    assert!(block_on(store.known_provider(ISSUER)).unwrap().is_none());
    assert!(!block_on(store.may_ask_for_keys(ISSUER, 0)).unwrap(), "they come with the document");
    assert!(block_on(store.may_ask_provider(ISSUER, LEASE_MS)).unwrap(), "nobody has");
    assert!(!block_on(store.may_ask_provider(ISSUER, LEASE_MS)).unwrap());
    assert!(block_on(store.may_ask_provider(ISSUER, 0)).unwrap());
    for document in ["old", "new"] {
        block_on(store.keep_provider(ISSUER, document, "keys")).unwrap();
    }
    let known = block_on(store.known_provider(ISSUER)).unwrap().unwrap();
    assert_eq!((known.document.as_str(), known.keys.as_str()), ("new", "keys"));
    assert!((0..LEASE_MS).contains(&known.age_ms));
    assert!(block_on(store.may_ask_for_keys(ISSUER, LEASE_MS)).unwrap(), "for the first time");
    assert!(!block_on(store.may_ask_for_keys(ISSUER, LEASE_MS)).unwrap());
    assert!(block_on(store.may_ask_for_keys(ISSUER, 0)).unwrap());
    block_on(store.keep_provider_keys(ISSUER, "rotated")).unwrap();
    assert_eq!(block_on(store.known_provider(ISSUER)).unwrap().unwrap().keys, "rotated");
}

fn an_identity_is_taken_off_with_its_sessions_unless_the_account_changed_or_has_no_password(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    keep(&fixture, &user, "link", "ada", LEASE_MS);
    let linked = block_on(fixture.store.confirm_identity_link("link", &user)).unwrap().unwrap();
    let identities = block_on(fixture.store.identities(user.id)).unwrap();
    assert_eq!(identities.iter().map(|it| it.issuer.as_str()).collect::<Vec<_>>(), [ISSUER]);
    let remove = |user: &User, issuer: &str| block_on(fixture.store.remove_identity(user, issuer, None)).unwrap();
    assert!(!remove(&user, ISSUER), "the account has changed since it was read");
    assert!(!remove(&linked, "https://other.example"));
    assert!(remove(&linked, ISSUER));
    assert!(block_on(fixture.store.identities(user.id)).unwrap().is_empty());
    assert!(come(&fixture, "ada", &["auditor"], None).is_none());
    let after = block_on(fixture.store.user(user.id)).unwrap().unwrap();
    assert!(after.access_version > linked.access_version, "what its groups gave is void");
    let without = open(&fixture, "bob", "b@example.org", Opening::Open).unwrap();
    assert!(!remove(&without, ISSUER));
    assert_eq!(come(&fixture, "bob", &[], None).unwrap().id, without.id);
}
