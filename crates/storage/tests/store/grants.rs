//! Sessions of programs: their codes, their refresh tokens, and how they end.

use domain::{Id, User};
use storage::{
    Database as _, Statement,
    accounts::AccountChange,
    grants::{CodeBinding, GrantTerms, NewGrant},
    sessions::{Lifetimes, Rotation, TokenHashes},
};

use crate::{
    fixture::Fixture,
    places::{Place, block_on},
};

crate::on_each_database! {
    a_code_gives_tokens_once_and_again_ends_the_grant,
    of_many_who_have_a_code_one_gets_tokens_and_then_it_ends,
    a_code_is_bound_and_short_lived,
    a_grant_ends_with_its_persons_suspension_and_is_known_to_every_instance,
    a_person_sees_and_ends_their_own_grants_only,
    a_person_pages_through_their_grants_and_those_that_ended_long_ago_are_gone,
}

const LIFETIMES: Lifetimes = Lifetimes { session_ms: 60_000, grace_ms: 30_000 };
const GRANT: NewGrant<'_> = NewGrant {
    client_id: "client",
    client_name: "Editor",
    redirect_uri: "http://127.0.0.1:1/cb",
    code_challenge: "challenge",
    resource: "/mcp",
    scopes: "gateway:use",
};
const BOUND: CodeBinding<'_> = CodeBinding {
    client_id: "client",
    redirect_uri: Some("http://127.0.0.1:1/cb"),
    code_challenge: "challenge",
    resource: Some("/mcp"),
};

fn hashes(token: &str) -> TokenHashes {
    TokenHashes { token: token.into(), family: "family".into() }
}

fn granted(fixture: &Fixture, user: &User, code_ms: i64) -> Id {
    let (id, person) = (Id::new(), (user.id, user.access_version));
    assert!(block_on(fixture.store.create_grant(id, person, &hashes("code"), GRANT, code_ms)).unwrap());
    id
}

fn redeem(fixture: &Fixture, id: Id, bound: CodeBinding<'_>) -> Option<(User, GrantTerms)> {
    block_on(fixture.store.redeem_code(id, &hashes("code"), bound, "first", 60_000)).unwrap()
}

fn rotate(fixture: &Fixture, id: Id, token: &str, next: &str) -> Rotation {
    block_on(fixture.store.rotate_session(id, &hashes(token), &[next.to_owned()], LIFETIMES)).unwrap()
}

fn a_code_gives_tokens_once_and_again_ends_the_grant(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let id = granted(&fixture, &user, 60_000);
    let (found, given) = redeem(&fixture, id, BOUND).unwrap();
    let terms = block_on(fixture.store.grant_terms(id, &hashes("first"))).unwrap().unwrap();
    assert_eq!((found.id, &given), (user.id, &terms));
    assert_eq!(
        (terms.client_id.as_str(), terms.resource.as_str(), terms.scopes.as_str()),
        ("client", "/mcp", "gateway:use")
    );
    assert!(matches!(rotate(&fixture, id, "first", "second"), Rotation::Rotated { .. }));
    assert!(redeem(&fixture, id, BOUND).is_none());
    assert!(matches!(rotate(&fixture, id, "second", "third"), Rotation::Ended));
    let other_family = TokenHashes { token: "code".into(), family: "other".into() };
    assert!(block_on(fixture.store.grant_terms(id, &other_family)).unwrap().is_none());
}

fn of_many_who_have_a_code_one_gets_tokens_and_then_it_ends(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let id = granted(&fixture, &user, 60_000);
    let got: usize = std::thread::scope(|scope| {
        let fixture = &fixture;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(move || redeem(fixture, id, BOUND).is_some())).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(got, 1);
    assert!(matches!(rotate(&fixture, id, "first", "second"), Rotation::Ended));
}

fn a_code_is_bound_and_short_lived(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    for wrong in [
        CodeBinding { client_id: "other", ..BOUND },
        CodeBinding { redirect_uri: Some("http://127.0.0.1:2/cb"), ..BOUND },
        CodeBinding { code_challenge: "other", ..BOUND },
        CodeBinding { resource: Some("/mcp/clock"), ..BOUND },
    ] {
        let id = granted(&fixture, &user, 60_000);
        assert!(redeem(&fixture, id, wrong).is_none());
        assert!(redeem(&fixture, id, BOUND).is_none(), "it was tried");
    }
    let left_out = CodeBinding { redirect_uri: None, resource: None, ..BOUND };
    assert!(redeem(&fixture, granted(&fixture, &user, 60_000), left_out).is_some());
    assert!(redeem(&fixture, granted(&fixture, &user, -1), BOUND).is_none());
    let browsers = Id::new();
    assert!(block_on(fixture.store.create_session(browsers, &user, &hashes("code"), 60_000)).unwrap());
    assert!(redeem(&fixture, browsers, BOUND).is_none(), "no code of a program");
    assert!(block_on(fixture.store.grant_terms(browsers, &hashes("code"))).unwrap().is_none());
}

fn a_grant_ends_with_its_persons_suspension_and_is_known_to_every_instance(place: Place) {
    let fixture = Fixture::new(place);
    let _ = fixture.user("a@example.org");
    let user = fixture.user("b@example.org");
    let (id, waiting) = (granted(&fixture, &user, 60_000), granted(&fixture, &user, 60_000));
    redeem(&fixture, id, BOUND).unwrap();
    let change = AccountChange { role: None, is_suspended: Some(true) };
    block_on(fixture.store.change_account(&user, change)).unwrap();
    assert!(matches!(rotate(&fixture, id, "first", "second"), Rotation::Ended));
    assert!(redeem(&fixture, waiting, BOUND).is_none());
    assert!(
        block_on(fixture.store.access_state("tests", 60_000, storage::access::Offers::Unread))
            .unwrap()
            .ended_sessions
            .contains(&id)
    );
    let person = (user.id, user.access_version);
    assert!(!block_on(fixture.store.create_grant(Id::new(), person, &hashes("c"), GRANT, 1)).unwrap());
}

fn a_person_sees_and_ends_their_own_grants_only(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let id = granted(&fixture, &user, 60_000);
    let grants = |user: &User| block_on(fixture.store.grants(user.id, None, 9)).unwrap();
    assert!(grants(&user).is_empty(), "its code was not used");
    redeem(&fixture, id, BOUND).unwrap();
    let listed = grants(&user);
    assert_eq!((listed[0].id, listed[0].client_name.as_str(), listed.len()), (id, "Editor", 1));
    assert!(grants(&other).is_empty());
    assert!(!block_on(fixture.store.end_grant(other.id, id)).unwrap());
    assert!(block_on(fixture.store.end_grant(user.id, id)).unwrap());
    assert!(grants(&user).is_empty() && !block_on(fixture.store.end_grant(user.id, id)).unwrap());
    let sql = "UPDATE sessions SET revoked_at = NULL, expires_at = 1";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert!(grants(&user).is_empty(), "it has expired");
}

fn a_person_pages_through_their_grants_and_those_that_ended_long_ago_are_gone(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let made: Vec<_> = (0..3)
        .map(|_| {
            let id = granted(&fixture, &user, 60_000);
            redeem(&fixture, id, BOUND).unwrap();
            id
        })
        .collect();
    let page = |before| -> Vec<Id> {
        block_on(fixture.store.grants(user.id, before, 2)).unwrap().into_iter().map(|grant| grant.id).collect()
    };
    assert_eq!((page(None), page(Some(made[1]))), (vec![made[2], made[1]], vec![made[0]]));
    let browsers = Id::new();
    assert!(block_on(fixture.store.create_session(browsers, &user, &hashes("b"), 60_000)).unwrap());
    let count = || {
        let sql = "SELECT COUNT(*) FROM sessions";
        let rows = block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
        rows[0].columns("t").integer().unwrap()
    };
    let sql = "UPDATE sessions SET expires_at = expires_at - 2 * 86400000";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    granted(&fixture, &user, 60_000);
    block_on(fixture.store.forget_ended_grants(user.id)).unwrap();
    assert_eq!(count(), 2, "the new one, and the browser's");
}
