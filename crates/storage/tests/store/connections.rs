//! What people connect to servers elsewhere.

use domain::{Id, Timestamp};
use storage::{
    Database, Statement,
    sessions::TokenHashes,
    tool_connections::{
        ConnectionProblem, MAX_CONNECTIONS, NewAttempt, NewConnection, NewTokens, Refresh, ToolConnection,
    },
    tool_secrets::ToolSecret,
};

use crate::{
    fixture::{Fixture, LEASE_MS, lease_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    connections_are_ones_own_and_are_replaced_and_deleted,
    there_is_an_end_to_connections,
    of_all_who_want_to_refresh_one_may_and_only_the_tokens_that_it_saw_are_replaced,
    of_all_who_want_a_list_one_asks_for_it,
    what_is_wrong_is_noted_for_the_tokens_that_were_refused,
    an_attempt_is_taken_once_with_its_proof_in_its_session_and_in_time,
    a_claim_reads_what_ones_own_connections_offer,
}

const TOKENS: NewTokens<'_> = NewTokens { access: "a1", refresh: Some("r1"), valid_for_ms: Some(60_000) };

fn new(server: &str) -> NewConnection<'_> {
    NewConnection { server, url: "https://h/mcp", authority: "x", tokens: TOKENS, scope: "read" }
}

fn set(fixture: &Fixture, user_id: Id, server: &str) -> bool {
    block_on(fixture.store.set_tool_connection(user_id, &new(server))).unwrap()
}

fn get(fixture: &Fixture, user_id: Id, server: &str) -> Option<ToolConnection> {
    let one = block_on(fixture.store.tool_connection(user_id, server)).unwrap();
    let all = block_on(fixture.store.tool_connections(user_id)).unwrap();
    assert_eq!(all.iter().any(|connection| connection.server == server), one.is_some());
    one
}

fn connections_are_ones_own_and_are_replaced_and_deleted(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org").id, fixture.user("b@example.org").id);
    assert!(set(&fixture, user, "wiki"));
    assert_eq!(get(&fixture, other, "wiki"), None);
    let first = get(&fixture, user, "wiki").unwrap();
    assert_eq!((first.access_token.as_str(), first.refresh_token.as_deref()), ("a1", Some("r1")));
    assert!(first.valid_for_ms.is_some_and(|ms| (50_000..=60_000).contains(&ms)), "{first:?}");
    let list = |of: &ToolConnection, listing| {
        block_on(fixture.store.set_connection_listing(user, of, listing, "[]", 0)).unwrap();
    };
    list(&first, "{}");
    list(&ToolConnection { connected_at: Timestamp::from_millis(1), ..first.clone() }, "of another account");
    let unknown = NewTokens { access: "a2", refresh: None, valid_for_ms: None };
    let again = NewConnection { tokens: unknown, scope: "read write", ..new("wiki") };
    assert!(block_on(fixture.store.set_tool_connection(user, &again)).unwrap());
    let second = get(&fixture, user, "wiki").unwrap();
    assert_eq!((second.access_token.as_str(), &second.refresh_token, second.valid_for_ms), ("a2", &None, None));
    assert_eq!((second.listing_version, second.scope.as_str()), (1, "read write"));
    let lists = [user, other].map(|user_id| block_on(fixture.store.connection_listings(user_id)).unwrap());
    assert_eq!(lists, [vec![("wiki".to_owned(), "{}".to_owned())], Vec::new()]);
    assert_eq!(second.problem_at("https://h/mcp"), None);
    assert_eq!(second.problem_at("https://elsewhere/mcp"), Some(ConnectionProblem::Lost));
    assert!(second.version > first.version);
    assert_eq!(block_on(fixture.store.delete_tool_connection(other, "wiki")).unwrap(), None);
    let gone = block_on(fixture.store.delete_tool_connection(user, "wiki")).unwrap();
    assert_eq!(gone.map(|gone| gone.access_token), Some("a2".to_owned()));
    assert_eq!(get(&fixture, user, "wiki"), None);
}

fn there_is_an_end_to_connections(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org").id;
    assert!((0..MAX_CONNECTIONS).all(|n| set(&fixture, user, &n.to_string())));
    assert!(!set(&fixture, user, "one more"));
    assert!(set(&fixture, user, "1"), "what is there can be replaced");
}

fn of_all_who_want_to_refresh_one_may_and_only_the_tokens_that_it_saw_are_replaced(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org").id;
    assert!(set(&fixture, user, "wiki"));
    let version = get(&fixture, user, "wiki").unwrap().version;
    let claims: Vec<_> = std::thread::scope(|scope| {
        let store = &fixture.store;
        let claim = || block_on(store.claim_token_refresh(user, "wiki", version, 60_000)).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    let [first] = claims[..] else { panic!("{claims:?}") };
    assert_eq!(get(&fixture, user, "wiki").unwrap().refresh, Refresh::Running);
    let claim = |for_ms| block_on(fixture.store.claim_token_refresh(user, "wiki", version, for_ms)).unwrap();
    let end = |claim| block_on(fixture.store.end_token_refresh(user, "wiki", claim)).unwrap();
    end(first);
    assert_eq!(get(&fixture, user, "wiki").unwrap().refresh, Refresh::Idle);
    let of_dead_host = claim(0).unwrap();
    assert_eq!(get(&fixture, user, "wiki").unwrap().refresh, Refresh::RanOut);
    let second = claim(60_000).unwrap();
    end(of_dead_host);
    assert_eq!(claim(60_000), None, "a claim is ended by nobody else");
    let more = ConnectionProblem::MoreAccess;
    block_on(fixture.store.set_connection_problem(user, "wiki", version, more, "read write")).unwrap();
    assert_eq!(claim(60_000), None, "nor by a call that needs more access");
    let replace = |claim, new| block_on(fixture.store.set_refreshed_tokens(user, "wiki", claim, new)).unwrap();
    let newer = NewTokens { access: "a2", refresh: None, valid_for_ms: Some(120_000) };
    assert!(replace(of_dead_host, newer), "late, and the only tokens that are valid");
    let refreshed = get(&fixture, user, "wiki").unwrap();
    let tokens = (refreshed.access_token.as_str(), refreshed.refresh_token.as_deref(), refreshed.refresh);
    assert_eq!(tokens, ("a2", Some("r1"), Refresh::Idle), "without a new refresh token the old one stays");
    assert!(!replace(second, TOKENS), "somebody else was first");
    assert_eq!(claim(60_000), None);
}

fn of_all_who_want_a_list_one_asks_for_it(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org").id;
    assert!(set(&fixture, user, "wiki"));
    let claim = |age_ms| block_on(fixture.store.claim_connection_listing(user, "wiki", age_ms)).unwrap();
    assert_eq!([claim(300_000), claim(300_000), claim(0)], [true, false, true]);
}

fn what_is_wrong_is_noted_for_the_tokens_that_were_refused(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org").id;
    assert!(set(&fixture, user, "wiki"));
    let version = get(&fixture, user, "wiki").unwrap().version;
    let note = |version, problem, scope| {
        block_on(fixture.store.set_connection_problem(user, "wiki", version, problem, scope)).unwrap();
        let noted = get(&fixture, user, "wiki").unwrap();
        (noted.problem, noted.scope)
    };
    let (lost, more) = (ConnectionProblem::Lost, ConnectionProblem::MoreAccess);
    assert_eq!(note(version - 1, lost, ""), (None, "read".to_owned()));
    assert_eq!(note(version, more, "read write"), (Some(more), "read write".to_owned()));
    assert_eq!(
        note(version, lost, "read"),
        (Some(lost), "read write".to_owned()),
        "what a call lacked is not forgotten"
    );
    assert_eq!(note(version, more, "admin"), (Some(lost), "read write".to_owned()));
    assert!(set(&fixture, user, "wiki"));
    assert_eq!(get(&fixture, user, "wiki").unwrap().problem, None);
}

fn an_attempt_is_taken_once_with_its_proof_in_its_session_and_in_time(place: Place) {
    let fixture = Fixture::new(place);
    let (store, user) = (&fixture.store, fixture.user("a@example.org"));
    let (session_id, hashes) = (Id::new(), TokenHashes { token: "t".into(), family: "f".into() });
    assert!(block_on(store.create_session(session_id, &user, &hashes, 60_000)).unwrap());
    let begin = |state_hash, for_ms| {
        let attempt = NewAttempt { server: "wiki", session_id, state_hash, proof_hash: "p", attempt: "sealed" };
        block_on(store.begin_connection(user.id, &attempt, for_ms)).unwrap();
    };
    let take = |state, proof| {
        let taken = block_on(store.take_connection_attempt("wiki", state, proof)).unwrap();
        taken.map(|taken| (taken.user_id, taken.attempt))
    };
    begin("s1", 60_000);
    assert_eq!([take("s1", "q"), take("s2", "p")], [None, None]);
    assert_eq!(block_on(store.take_connection_attempt("mail", "s1", "p")).unwrap(), None, "of another server");
    assert_eq!(take("s1", "p"), Some((user.id, "sealed".to_owned())));
    assert_eq!(take("s1", "p"), None);
    begin("s1", 60_000);
    begin("s2", 60_000);
    assert_eq!(take("s1", "p"), None, "a later one takes its place");
    begin("s3", 0);
    assert_eq!(take("s3", "p"), None);
    begin("s4", 60_000);
    block_on(fixture.another_connection().query(Statement::new("t", "UPDATE sessions SET revoked_at = 1", [])))
        .unwrap();
    assert_eq!(take("s4", "p"), None);
}

fn a_claim_reads_what_ones_own_connections_offer(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    for (user_id, server, offers) in
        [(user.id, "wiki", r#"["wiki"]"#), (user.id, "mail", r#"["mail", "\n"]"#), (other.id, "wiki", r#"["other"]"#)]
    {
        assert!(set(&fixture, user_id, server));
        let connection = get(&fixture, user_id, server).unwrap();
        block_on(fixture.store.set_connection_listing(user_id, &connection, "{}", offers, 0)).unwrap();
    }
    assert!(set(&fixture, user.id, "not listed yet"));
    let secret = ToolSecret { server: "mail".into(), name: "password".into(), sealed: "x".into() };
    block_on(fixture.store.set_tool_secret(user.id, &secret)).unwrap();
    let (_, run) = fixture.send(&user, fixture.conversation(&user), "hello");
    let claim = block_on(fixture.store.claim_new(user.id, lease_of(&run), LEASE_MS, "")).unwrap().unwrap();
    assert_eq!(claim.offers.connected, r#"[["mail", "\n"],["wiki"]]"#, "in the same order every time");
    assert_eq!(claim.offers.secrets, [("mail".to_owned(), "password".to_owned())]);
}
