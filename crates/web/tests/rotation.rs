//! A rotation of the signing key loses nothing: whatever happens when, each token that is not older than tokens live verifies, and what people and
//! programs keep is still known.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use domain::{Id, Timestamp, User};
use futures::executor::block_on;
use identity::{Issuer, Purpose, refresh_token::RefreshToken, session_token::LIFETIME_S, signed_text::Use};
use router_test::Fixture;
use storage::{
    Database, Statement, Store,
    keys::{KeyPurpose, KeyRotation, KeyState},
    signing_keys::{OVERLAP_MS, PUBLISH_MS},
};
use web::issuing;

const EMAIL: &str = "a@example.org";
const LIFETIME_MS: i64 = LIFETIME_S as i64 * 1000;

/// An installation whose keys grow older when the test says so.
struct House {
    fixture: Fixture,
    user: User,
    configured: String,
    now_ms: i64,
    /// Tokens, and when they were issued.
    tokens: Vec<(String, i64)>,
}

impl House {
    fn new() -> Self {
        let fixture = Fixture::default();
        let (user, _) = fixture.person(EMAIL);
        Self { fixture, user, configured: String::new(), now_ms: 0, tokens: Vec::new() }
    }

    fn store(&self) -> &Store<native_sqlite::SqliteFile> {
        self.fixture.app.store()
    }

    fn issuer(&self) -> Issuer {
        block_on(issuing::issuer("tests", self.store(), &self.configured)).unwrap().0
    }

    fn rotate(&self, revokes: bool) -> bool {
        let rotation = KeyRotation { revokes, user_id: self.user.id, detail: None };
        block_on(web::keys::rotate(self.store(), KeyPurpose::Tokens, &rotation)).unwrap()
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        for column in ["created_at", "signs_from", "verifies_until", "retired_at"] {
            let sql = format!("UPDATE signing_keys SET {column} = {column} - ?1 WHERE {column} <> 0");
            block_on(self.fixture.another_connection().query(Statement::new("t", sql, [ms.into()]))).unwrap();
        }
    }

    /// Issues a token, and looks at all that were issued.
    fn check(&mut self) {
        let token = self.issuer().issue(&self.user, None, Purpose::Session, Timestamp::now()).unwrap();
        self.tokens.push((token, self.now_ms));
        let another_host = self.fixture.new_instance();
        let oldest_ms = self.now_ms - LIFETIME_MS;
        self.tokens.retain(|(_, issued_ms)| *issued_ms >= oldest_ms);
        for (token, issued_ms) in &self.tokens {
            let age_ms = self.now_ms - issued_ms;
            let verified = block_on(another_host.authenticate(token, Purpose::Session)).is_ok();
            assert!(verified, "a token of {age_ms} ms does not verify at {} ms", self.now_ms);
        }
    }

    fn private_halves(&self) -> usize {
        let sql = "SELECT id FROM signing_keys WHERE private_key IS NOT NULL";
        block_on(self.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap().len()
    }
}

#[test]
fn at_any_point_of_a_rotation_every_token_that_was_signed_before_verifies() {
    // One installation goes through every order of three steps: somebody rotates, or some time passes.
    let steps: [Option<i64>; 4] = [None, Some(PUBLISH_MS / 2), Some(LIFETIME_MS - 1_000), Some(OVERLAP_MS)];
    let (mut house, mut rotations) = (House::new(), 0);
    house.check();
    for order in 0..steps.len().pow(3) {
        for place in 0..3 {
            match steps[order / steps.len().pow(place) % steps.len()] {
                None => rotations += usize::from(house.rotate(false)),
                Some(ms) => house.pass(ms),
            }
            house.check();
        }
    }
    assert!(rotations > 10, "{rotations}");
}

#[test]
fn a_refresh_that_is_repeated_across_a_rotation_gives_the_same_token() {
    let mut house = House::new();
    let token = RefreshToken::new(Id::new()).unwrap();
    let given = house.issuer().successors(&token).unwrap()[0].to_string();
    assert!(house.rotate(false));
    house.pass(PUBLISH_MS);
    let successors: Vec<String> = house.issuer().successors(&token).unwrap().iter().map(ToString::to_string).collect();
    assert!(successors.len() == 2 && successors[0] != given && successors[1] == given);
}

#[test]
fn a_key_of_an_earlier_release_is_retired_and_its_texts_are_known_on() {
    let mut house = House::new();
    let sql = "UPDATE signing_keys SET text_key = NULL, signs_from = NULL";
    block_on(house.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    let issuer = house.issuer();
    let registration = issuer.sign_text(Use::Registration, "program").unwrap().unwrap();
    let (name, mark) = (issuer.mark_name(EMAIL).unwrap(), issuer.mark(EMAIL, "$hash").unwrap());
    for _ in 0..3 {
        assert!(house.rotate(false));
        house.pass(PUBLISH_MS + OVERLAP_MS);
        let issuer = house.issuer();
        assert_eq!(house.private_halves(), 1, "that of the key that signs");
        assert_eq!(issuer.verified_text(Use::Registration, &registration).as_deref(), Some("program"));
        assert!(issuer.mark_names(EMAIL).unwrap().contains(&name));
        assert!(issuer.known_browser(EMAIL, "$hash", &mark).unwrap().is_some());
    }
    house.pass(OVERLAP_MS);
    assert!(house.rotate(true));
    let issuer = house.issuer();
    assert_eq!(issuer.verified_text(Use::Registration, &registration), None, "a revoked key signs nothing more");
    assert_eq!(issuer.known_browser(EMAIL, "$hash", &mark).unwrap(), None);
}

#[test]
fn configured_keys_take_turns_without_losing_a_token() {
    let mut house = House::new();
    let [first, second] = [Issuer::generate(), Issuer::generate()];
    let (a, b) = (first.private_key(), second.private_key());
    house.check();
    let mut signing = Vec::new();
    for configured in [a.clone(), format!("{a}\n{b}"), format!("{b}\n{a}"), b.clone(), String::new(), b.clone()] {
        house.configured = configured;
        house.check();
        house.pass(LIFETIME_MS - 1_000);
        house.check();
        signing.push(house.issuer().id().to_owned());
        let (keys, _) = block_on(house.store().keys()).unwrap();
        let current: Vec<&str> = keys
            .iter()
            .filter(|key| key.purpose == KeyPurpose::Tokens && key.state == KeyState::Current)
            .map(|key| key.id.as_str())
            .collect();
        assert_eq!(current, [house.issuer().id()], "what is listed is what signs");
    }
    let is_second: Vec<bool> = signing.iter().map(|id| id == second.id()).collect();
    assert_eq!(is_second, [false, false, true, true, false, true]);
    assert!(signing[4] != first.id(), "without configuration, a key is made");
    house.configured = String::new();
    house.pass(2 * OVERLAP_MS);
    house.check();
    house.pass(2 * OVERLAP_MS);
    house.check();
    assert_eq!(house.private_halves(), 1);
}

#[test]
fn hosts_that_are_configured_otherwise_do_not_end_each_others_keys() {
    let mut house = House::new();
    let [first, second] = [Issuer::generate(), Issuer::generate()];
    let (a, b) = (first.private_key(), second.private_key());
    let rows = |house: &House| block_on(house.store().keys()).unwrap().0.len();
    // While hosts are replaced, tokens are issued by old and new ones in turns, for longer than a key ends in.
    for (one, other) in [(String::new(), a.clone()), (a.clone(), b.clone()), (b, String::new())] {
        for _ in 0..8 {
            for configured in [&one, &other] {
                house.configured.clone_from(configured);
                house.check();
                house.pass(10 * 60_000);
            }
        }
        assert!(rows(&house) <= 4, "no key is made for each token: {}", rows(&house));
    }
    for _ in 0..10 {
        house.check();
        house.pass(10 * 60_000);
    }
    assert!(house.configured.is_empty() && house.private_halves() == 1);
    assert!(house.rotate(false), "what was configured before has ended");
}

#[test]
fn a_deployment_that_is_rolled_back_after_days_can_use_its_key_again() {
    let mut house = House::new();
    let [old, new] = [Issuer::generate(), Issuer::generate()];
    for configured in [old.private_key(), new.private_key(), old.private_key()] {
        house.configured = configured;
        house.check();
        house.pass(48 * OVERLAP_MS);
    }
    house.check();
    assert_eq!(house.issuer().id(), old.id());
}

#[test]
fn a_configured_key_that_was_revoked_signs_nothing() {
    let mut house = House::new();
    let [leaked, other] = [Issuer::generate(), Issuer::generate()];
    house.configured = leaked.private_key();
    house.check();
    house.configured = other.private_key();
    house.check();
    house.pass(60_000);
    house.rotate(true);
    assert_eq!(house.issuer().id(), other.id());
    house.configured = leaked.private_key();
    assert!(block_on(issuing::issuer("tests", house.store(), &house.configured)).is_err());
}

#[test]
fn a_key_that_signs_at_once_is_known_at_once() {
    let mut house = House::new();
    let another_host = house.fixture.new_instance();
    house.pass(60_000);
    block_on(another_host.read_access()).unwrap();
    assert!(house.rotate(true));
    let token = house.issuer().issue(&house.user, None, Purpose::Session, Timestamp::now()).unwrap();
    assert!(block_on(another_host.authenticate(&token, Purpose::Session)).is_ok());
}
