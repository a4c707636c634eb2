//! Invitations, and links that reset a password.

use std::sync::Barrier;

use domain::{Id, User};
use storage::{
    Store,
    sessions::TokenHashes,
    users::{NewUser, Opening},
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS},
    places::{Place, block_on},
};

crate::on_each_database! {
    an_invitation_makes_one_account_with_its_role,
    of_many_who_accept_one_invitation_at_once_one_gets_an_account,
    an_invitation_that_was_withdrawn_or_is_too_old_makes_no_account,
    a_link_sets_a_password_once_and_ends_all_sessions,
}

fn invite(fixture: &Fixture, by: &User, hash: &str, lifetime_ms: i64) -> Id {
    block_on(fixture.store.create_invitation(hash, "auditor", by.id, lifetime_ms)).unwrap().unwrap().id
}

fn accept(fixture: &Fixture, email: &str, opening: Opening<'_>) -> Option<User> {
    block_on(fixture.store.create_user(NewUser { email, name: "", password_hash: "x" }, opening)).unwrap()
}

fn an_invitation_makes_one_account_with_its_role(place: Place) {
    let fixture = Fixture::new(place);
    assert!(accept(&fixture, "a@example.org", Opening::Invited("nothing")).is_some(), "the first needs none");
    let (admin, _) = block_on(fixture.store.user_by_email("a@example.org", "")).unwrap().unwrap();
    assert_eq!(admin.role, "admin");
    let id = invite(&fixture, &admin, "h", LEASE_MS);
    assert!(block_on(fixture.store.is_invited("h")).unwrap());
    assert!(accept(&fixture, "a@example.org", Opening::Invited("h")).is_none(), "the address is taken");
    assert!(accept(&fixture, "b@example.org", Opening::OnlyFirst).is_none());
    assert!(accept(&fixture, "b@example.org", Opening::Invited("other")).is_none());
    let invited = accept(&fixture, "b@example.org", Opening::Invited("h")).unwrap();
    assert_eq!(invited.role, "auditor");
    assert!(accept(&fixture, "c@example.org", Opening::Invited("h")).is_none(), "it is used up");
    let list = block_on(fixture.store.invitations(None, 10)).unwrap();
    assert_eq!((list.len(), list[0].id, list[0].accepted_by), (1, id, Some(invited.id)));
    assert!(!block_on(fixture.store.revoke_invitation(id)).unwrap(), "too late");
    assert_eq!(block_on(fixture.store.invitations(Some(id), 10)).unwrap(), []);
}

fn of_many_who_accept_one_invitation_at_once_one_gets_an_account(place: Place) {
    const MANY: usize = 8;
    let fixture = Fixture::new(place);
    let admin = fixture.user("a@example.org");
    invite(&fixture, &admin, "h", LEASE_MS);
    let barrier = Barrier::new(MANY);
    let come = &|index: usize| {
        let store = Store::new(fixture.another_connection());
        let email = format!("{index}@example.org");
        barrier.wait();
        let user = NewUser { email: &email, name: "", password_hash: "x" };
        block_on(store.create_user(user, Opening::Invited("h"))).unwrap().is_some()
    };
    let accounts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY).map(|index| scope.spawn(move || come(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|made| *made).count()
    });
    assert_eq!(accounts, 1);
}

fn an_invitation_that_was_withdrawn_or_is_too_old_makes_no_account(place: Place) {
    let fixture = Fixture::new(place);
    let admin = fixture.user("a@example.org");
    let withdrawn = invite(&fixture, &admin, "withdrawn", LEASE_MS);
    for _ in 0..2 {
        assert!(block_on(fixture.store.revoke_invitation(withdrawn)).unwrap());
    }
    assert!(!block_on(fixture.store.revoke_invitation(Id::new())).unwrap());
    invite(&fixture, &admin, "old", LAPSED_MS);
    for hash in ["withdrawn", "old"] {
        assert!(!block_on(fixture.store.is_invited(hash)).unwrap());
        assert!(accept(&fixture, "b@example.org", Opening::Invited(hash)).is_none(), "{hash}");
    }
}

fn a_link_sets_a_password_once_and_ends_all_sessions(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let store = &fixture.store;
    let token = TokenHashes { token: "one".into(), family: "family".into() };
    let session = Id::new();
    block_on(store.create_session(session, user.id, &token, LEASE_MS)).unwrap();
    let link = |hash, lifetime_ms| block_on(store.create_password_reset(hash, user.id, admin.id, lifetime_ms)).unwrap();
    assert!(
        link("first", LEASE_MS).is_some() && link("second", LEASE_MS).is_some() && link("old", LAPSED_MS).is_some()
    );
    assert!(block_on(store.create_password_reset("x", Id::new(), admin.id, LEASE_MS)).unwrap().is_none(), "nobody");
    let whose = |hash| block_on(store.password_reset(hash)).unwrap();
    assert_eq!((whose("first"), whose("old")), (Some((user.id, "b@example.org".to_owned())), None));
    let reset = |hash| block_on(store.reset_password(hash, "new")).unwrap();
    assert!(!reset("old") && !reset("other") && reset("second"));
    assert!(!reset("second") && !reset("first"), "the others are used up with it");
    let (now, hash) = block_on(store.user_by_email("b@example.org", "")).unwrap().unwrap();
    assert_eq!((hash.as_deref(), now.access_version), (Some("new"), 1));
    let known = block_on(store.access_state(LEASE_MS)).unwrap();
    assert_eq!((known.changed_users, known.ended_sessions), (vec![(user.id, 1)], vec![session]));
}
