//! Policies, rate limits, the audit log, and the tool lists of remote servers.

use domain::Effect;
use storage::{
    Database, DatabaseError, Statement, Store, Value,
    access::Offers,
    audit::AuditEvent,
    rate_limits::{Limit, RetryAfterMs},
    tool_listings::{KeptOffers, NewListing, OFFERABLE, ToolListing, ToolOffers},
    tool_policies::MAX_POLICIES,
    tool_secrets::{MAX_SECRETS, ToolSecret},
};

use crate::{
    fixture::{Fixture, LEASE_MS, lease_of},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    policies_are_the_installations_and_ones_own,
    there_is_an_end_to_policies_and_what_denies_is_read_first,
    a_limit_gives_its_burst_and_then_its_rate,
    of_several_limits_all_are_taken_or_none,
    a_limit_is_exact_however_many_ask_at_once,
    limits_that_are_full_again_are_forgotten,
    what_was_recorded_cannot_be_changed_or_deleted,
    a_listing_counts_until_its_time_has_passed_and_the_last_one_stays,
    of_all_who_want_to_ask_the_servers_one_may_until_the_lists_are_kept_or_its_time_is_over,
    everybodys_tools_are_read_with_the_access_and_ones_own_policies_and_secrets_with_the_claim,
    secrets_are_ones_own_and_can_be_replaced_and_deleted,
    there_is_an_end_to_secrets,
}

fn policies_are_the_installations_and_ones_own(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let set = |user_id, pattern, effect| {
        assert!(block_on(fixture.store.set_tool_policy(user_id, pattern, effect)).unwrap());
    };
    set(None, "mail:*", Effect::Ask);
    set(Some(user.id), "mail:send", Effect::Ask);
    set(Some(user.id), "mail:send", Effect::Allow);
    set(Some(other.id), "*", Effect::Deny);
    let read = || {
        let permission = block_on(fixture.store.tool_permission(user.id, None)).unwrap();
        assert_eq!(permission.policies, block_on(fixture.store.tool_policies(user.id)).unwrap());
        let policies = permission.policies.into_iter();
        policies.map(|policy| (policy.installation, policy.pattern, policy.effect)).collect::<Vec<_>>()
    };
    let installations = (true, "mail:*".to_owned(), Effect::Ask);
    assert_eq!(read(), [installations.clone(), (false, "mail:send".to_owned(), Effect::Allow)]);
    block_on(fixture.store.delete_tool_policy(Some(user.id), "mail:*")).unwrap();
    block_on(fixture.store.delete_tool_policy(Some(user.id), "mail:send")).unwrap();
    assert_eq!(read(), [installations]);
    block_on(fixture.store.delete_tool_policy(None, "mail:*")).unwrap();
    assert_eq!(read(), []);
}

fn there_is_an_end_to_policies_and_what_denies_is_read_first(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let set = |pattern: &str, effect| block_on(fixture.store.set_tool_policy(Some(user.id), pattern, effect)).unwrap();
    for n in 1..MAX_POLICIES {
        assert!(set(&format!("a:{n}"), Effect::Allow));
    }
    assert!(set("z:z", Effect::Deny));
    assert!(!set("z:one_more", Effect::Deny));
    assert!(set("a:1", Effect::Ask), "what is there can be changed");
    let policies = block_on(fixture.store.tool_policies(user.id)).unwrap();
    assert_eq!((policies.len(), policies[0].effect, policies[1].effect), (MAX_POLICIES, Effect::Deny, Effect::Ask));
}

fn limit(key: &str, per_minute: u32, burst: u32) -> Limit {
    Limit { key: key.into(), per_minute, burst }
}

fn take(store: &Store<Real>, limits: &[Limit]) -> Result<(), RetryAfterMs> {
    block_on(store.take_rate(limits)).unwrap()
}

/// Lets time pass for a limit.
fn rest(fixture: &Fixture, ms: i64) {
    let sql = "UPDATE rate_limits SET full_at = full_at - CAST(?1 AS bigint) * 1000";
    block_on(fixture.another_connection().query(Statement::new("t", sql, [ms.into()]))).unwrap();
}

fn a_limit_gives_its_burst_and_then_its_rate(place: Place) {
    let fixture = Fixture::new(place);
    let slow = [limit("a", 1, 3)];
    for _ in 0..3 {
        assert_eq!(take(&fixture.store, &slow), Ok(()));
    }
    for _ in 0..2 {
        let RetryAfterMs(wait) = take(&fixture.store, &slow).unwrap_err();
        assert!((30_000..=60_000).contains(&wait), "{wait}");
    }
    rest(&fixture, 60_000);
    assert_eq!(take(&fixture.store, &slow), Ok(()));
    assert!(take(&fixture.store, &slow).is_err());
    rest(&fixture, 3_600_000);
    for _ in 0..3 {
        assert_eq!(take(&fixture.store, &slow), Ok(()));
    }
    assert!(take(&fixture.store, &slow).is_err(), "rest is saved up to the burst and no further");
    assert_eq!(take(&fixture.store, &[]), Ok(()));
}

fn of_several_limits_all_are_taken_or_none(place: Place) {
    let fixture = Fixture::new(place);
    assert_eq!(take(&fixture.store, &[limit("few", 1, 1)]), Ok(()));
    for _ in 0..20 {
        assert!(take(&fixture.store, &[limit("many", 1, 5), limit("few", 1, 1)]).is_err());
    }
    for _ in 0..5 {
        assert_eq!(take(&fixture.store, &[limit("many", 1, 5)]), Ok(()));
    }
    assert!(take(&fixture.store, &[limit("many", 1, 5)]).is_err());
}

fn a_limit_is_exact_however_many_ask_at_once(place: Place) {
    let fixture = Fixture::new(place);
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|n| {
                let store = Store::new(fixture.another_connection());
                scope.spawn(move || {
                    let own = limit(&format!("own {n}"), 1, 30);
                    // In either order, without a deadlock.
                    let mut limits = [own.clone(), limit("shared", 1, 20)];
                    if n % 2 == 0 {
                        limits.reverse();
                    }
                    let taken = (0..10).filter(|_| take(&store, &limits).is_ok()).count();
                    let left = (0..30).filter(|_| take(&store, std::slice::from_ref(&own)).is_ok()).count();
                    assert_eq!(taken + left, 30, "what was refused took nothing of the other limit");
                    taken
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 20);
}

fn limits_that_are_full_again_are_forgotten(place: Place) {
    let fixture = Fixture::new(place);
    for n in 0..40 {
        assert_eq!(take(&fixture.store, &[limit(&n.to_string(), 60, 1)]), Ok(()));
    }
    rest(&fixture, 3_600_000);
    for _ in 0..6 {
        assert_eq!(take(&fixture.store, &[limit("busy", 60, 10)]), Ok(()));
    }
    let count = Statement::new("t", "SELECT COUNT(*) FROM rate_limits", []);
    assert_eq!(block_on(fixture.another_connection().query(count)).unwrap()[0].0, [Value::Integer(1)]);
}

fn what_was_recorded_cannot_be_changed_or_deleted(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let event = AuditEvent {
        user_id: user.id,
        action: "tool.call",
        subject: "mail:send",
        run_id: None,
        call_id: Some("c1"),
        outcome: "ok",
        detail: None,
    };
    block_on(fixture.store.append_audit(&event)).unwrap();
    let query = |sql: &str| block_on(fixture.another_connection().query(Statement::new("t", sql.to_owned(), [])));
    for sql in ["UPDATE audit_events SET outcome = 'denied'", "DELETE FROM audit_events"] {
        let refused = query(sql).unwrap_err();
        let DatabaseError::Refused { message, .. } = refused else { panic!("{refused}") };
        assert!(message.contains("audit events are never"), "{message}");
    }
    query("DELETE FROM users").unwrap();
    let rows = query("SELECT user_id, outcome, detail FROM audit_events").unwrap();
    assert_eq!(rows[0].0, [Value::from(user.id), "ok".into(), Value::Null]);
}

fn save(fixture: &Fixture, listings: &[(&str, &str, i64)]) {
    let new = listings.iter().map(|&(server, listing, ttl_ms)| NewListing { server, listing, ttl_ms });
    block_on(fixture.store.save_tool_listings(&new.collect::<Vec<_>>())).unwrap();
}

fn a_listing_counts_until_its_time_has_passed_and_the_last_one_stays(place: Place) {
    let fixture = Fixture::new(place);
    let read = || {
        let listings = block_on(fixture.store.tool_listings()).unwrap().servers.into_iter();
        let row = |row: ToolListing| (row.server, row.listing, row.counts_for_ms.div_euclid(60_000));
        let mut rows: Vec<_> = listings.map(row).collect();
        rows.sort();
        rows
    };
    let row = |server: &str, listing: &str, minutes| (server.to_owned(), listing.to_owned(), minutes);
    save(&fixture, &[]);
    save(&fixture, &[("clock", "[1]", 90_000), ("weather", "[1]", 150_000)]);
    assert_eq!(read(), [row("clock", "[1]", 1), row("weather", "[1]", 2)]);
    save(&fixture, &[("weather", "[2]", -30_000)]);
    assert_eq!(read(), [row("clock", "[1]", 1), row("weather", "[2]", -1)]);
}

fn of_all_who_want_to_ask_the_servers_one_may_until_the_lists_are_kept_or_its_time_is_over(place: Place) {
    let fixture = Fixture::new(place);
    let claim = |for_ms| block_on(fixture.store.claim_tool_listings(for_ms)).unwrap();
    let is_claimed = || {
        let listings = block_on(fixture.store.tool_listings()).unwrap();
        assert!(listings.servers.iter().all(|listing| listing.server == "clock"), "a claim is no server's list");
        assert_eq!(block_on(fixture.store.kept_offers(None)).unwrap().is_claimed, listings.is_claimed);
        listings.is_claimed
    };
    assert!(!is_claimed());
    assert_eq!([claim(60_000), claim(60_000)], [true, false]);
    assert!(is_claimed());
    save(&fixture, &[("clock", "[1]", 60_000)]);
    assert!(!is_claimed(), "the list is kept");
    assert_eq!([claim(0), claim(60_000), claim(60_000)], [true, true, false], "the first one's time was over");
    let amend = |former, listing| block_on(fixture.store.amend_tool_listing("clock", former, listing)).unwrap();
    assert_eq!([amend("[1]", "[2]"), amend("[1]", "[3]")], [true, false], "a newer list is not overwritten");
    assert!(is_claimed(), "a change of a list is no answer of its server");
    assert_eq!(block_on(fixture.store.tool_listings()).unwrap().servers[0].listing, "[2]");
}

fn everybodys_tools_are_read_with_the_access_and_ones_own_policies_and_secrets_with_the_claim(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let (_, run) = fixture.send(&user, fixture.conversation(&user), "hello");
    let lease = lease_of(&run);
    let claimed = || {
        let claim = block_on(fixture.store.claim_new(user.id, lease, LEASE_MS, "")).unwrap().unwrap();
        let early = block_on(fixture.store.claim_early(lease, LEASE_MS, 0, "")).unwrap().unwrap();
        assert_eq!(early.offers, claim.offers);
        claim.offers
    };
    let read = |known| {
        let read = block_on(fixture.store.access_state("tests", 60_000, Offers::Unless(known))).unwrap().offers;
        let kept = block_on(fixture.store.kept_offers(known)).unwrap();
        let listing = |kept: &KeptOffers| kept.list.clone().map(|list| (list.version, list.listing));
        assert_eq!((listing(&kept), kept.is_claimed), (listing(&read), read.is_claimed));
        read
    };
    let without_files = ToolOffers { denied: vec!["files:*".to_owned()], ..ToolOffers::default() };
    assert_eq!((claimed(), read(None)), (without_files, KeptOffers::default()));
    save(&fixture, &[("clock", "[1]", 60_000), (OFFERABLE, "[2]", 90_000)]);
    for (owner, pattern, effect) in [
        (None, "mail:*", Effect::Ask),
        (None, "web:*", Effect::Deny),
        (Some(user.id), "clock:*", Effect::Deny),
        (Some(other.id), "*:*", Effect::Deny),
    ] {
        assert!(block_on(fixture.store.set_tool_policy(owner, pattern, effect)).unwrap());
    }
    for (owner, server, name) in [(user.id, "mail", "password"), (user.id, "web", "key"), (other.id, "mail", "address")]
    {
        assert!(block_on(fixture.store.set_tool_secret(owner, &secret(server, name, "x"))).unwrap());
    }
    let ToolOffers { mut denied, mut secrets, connected, .. } = claimed();
    assert_eq!(connected, "");
    let list = read(None).list.unwrap();
    let unread = block_on(fixture.store.access_state("tests", 60_000, Offers::Unread)).unwrap();
    assert_eq!(unread.offers, KeptOffers::default(), "who does not ask for them");
    assert_eq!((list.listing.as_deref(), list.counts_for_ms.div_euclid(60_000)), (Some("[2]"), 1));
    denied.sort();
    assert_eq!(denied, ["clock:*", "files:*", "web:*"], "nothing is attached, so nothing can be read");
    secrets.sort();
    let named = |server: &str, name: &str| (server.to_owned(), name.to_owned());
    assert_eq!(secrets, [named("mail", "password"), named("web", "key")]);

    let known = read(Some(list.version)).list.unwrap();
    assert_eq!((known.version, known.listing), (list.version, None), "a known list is not sent again");
    while read(None).list.unwrap().version == list.version {
        save(&fixture, &[(OFFERABLE, "[3]", -30_000)]);
    }
    let newer = read(Some(list.version)).list.unwrap();
    assert!(newer.version > list.version);
    assert_eq!((newer.listing.as_deref(), newer.counts_for_ms.div_euclid(60_000)), (Some("[3]"), -1));
    let listings = block_on(fixture.store.tool_listings()).unwrap().servers;
    assert!(listings.iter().all(|listing| listing.server != OFFERABLE), "it is no server's: {listings:?}");
}

fn secret(server: &str, name: &str, sealed: &str) -> ToolSecret {
    ToolSecret { server: server.to_owned(), name: name.to_owned(), sealed: sealed.to_owned() }
}

fn secrets_are_ones_own_and_can_be_replaced_and_deleted(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let set = |user_id, secret| assert!(block_on(fixture.store.set_tool_secret(user_id, &secret)).unwrap());
    set(user.id, secret("mail", "password", "1"));
    set(user.id, secret("mail", "password", "2"));
    set(user.id, secret("mail", "address", "3"));
    set(user.id, secret("web", "key", "4"));
    set(other.id, secret("mail", "password", "5"));
    let mail = [secret("mail", "address", "3"), secret("mail", "password", "2")];
    assert_eq!(block_on(fixture.store.tool_secrets_of(user.id, "mail")).unwrap(), mail);
    let all = [mail[0].clone(), mail[1].clone(), secret("web", "key", "4")];
    assert_eq!(block_on(fixture.store.tool_secrets(user.id)).unwrap(), all);
    for _ in 0..2 {
        block_on(fixture.store.delete_tool_secret(user.id, "mail", "password")).unwrap();
    }
    assert_eq!(block_on(fixture.store.tool_secrets_of(user.id, "mail")).unwrap(), mail[..1]);
    assert_eq!(block_on(fixture.store.tool_secrets(other.id)).unwrap(), [secret("mail", "password", "5")]);
    let delete = Statement::new("t", "DELETE FROM users WHERE id = ?1", [other.id.into()]);
    block_on(fixture.another_connection().query(delete)).unwrap();
    assert_eq!(block_on(fixture.store.tool_secrets(other.id)).unwrap(), [], "they go with the person");
}

fn there_is_an_end_to_secrets(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let set = |name: &str| block_on(fixture.store.set_tool_secret(user.id, &secret("mail", name, "x"))).unwrap();
    for n in 0..MAX_SECRETS {
        assert!(set(&n.to_string()));
    }
    assert!(!set("one more"));
    assert!(set("1"), "what is there can be changed");
    assert_eq!(block_on(fixture.store.tool_secrets(user.id)).unwrap().len(), MAX_SECRETS);
}
