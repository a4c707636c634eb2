//! Names, details of the record and the installation's own private keys are sealed too: the database alone tells nobody, and what an earlier release
//! stored in clear is sealed in the background.

use audit::{
    chain::extend,
    verification::{CheckedSeal, Finding, Verification, Verified},
};
use domain::{Id, User};
use storage::{
    Database, MasterKey, Statement, StorageError, Store, Value,
    access::Offers,
    account_export::SECTIONS,
    api_keys::NewApiKey,
    audit::AuditEvent,
    grants::{CodeBinding, NewGrant},
    identities::Identity,
    inside_keys::{InsideKey, NewInsideKey},
    invitations::Maker,
    limits::{LimitKind, LimitsSet, Subject},
    provider_sessions::ProviderSession,
    sessions::TokenHashes,
    signing_keys::SigningKey,
};

use crate::{
    fixture::Fixture,
    on_each_database,
    places::{Place, Real, block_on},
    sealing::rows,
};

on_each_database! {
    names_and_details_are_sealed_and_read_as_they_were_typed,
    for_an_hour_after_an_upgrade_names_and_private_keys_are_written_as_hosts_of_before_read_them,
    a_detail_that_outlives_its_person_is_read_and_the_others_are_told_to_be_gone,
    the_record_is_checked_with_the_keys_and_without_them_as_far_as_that_goes,
    a_damaged_key_for_details_is_replaced_and_what_it_sealed_is_told_to_be_gone,
    private_keys_are_sealed_with_the_configured_master_key_and_anew_when_it_changes,
    a_private_key_whose_master_key_is_missing_keeps_nobody_from_knowing_why,
}

const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "HxAAAAQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn with_key(fixture: &Fixture, key: &str) -> Store<Real> {
    Store::with_master_key(fixture.another_connection(), MasterKey::new(key.to_owned()))
}

fn ops(fixture: &Fixture) -> Store<Real> {
    Store::with_master_key(fixture.another_connection(), MasterKey::not_granted())
}

/// Everything that is stored, as text.
fn everything(database: &Real) -> String {
    let tables = [
        "api_keys",
        "sessions",
        "provider_sessions",
        "identity_links",
        "audit_events",
        "audit_details",
        "signing_keys",
        "inside_keys",
        "data_keys",
        "installation_keys",
    ];
    let mut all = String::new();
    for table in tables {
        all.push_str(&format!("{:?}\n", rows(database, &format!("SELECT * FROM {table}"))));
    }
    all
}

fn hashes(text: &str) -> TokenHashes {
    TokenHashes { token: format!("token {text}"), family: format!("family {text}") }
}

fn provider_session() -> ProviderSession {
    ProviderSession {
        issuer: "i".into(),
        subject: "s".into(),
        sid: Some("sid".into()),
        hint: Some("planted-hint".into()),
    }
}

/// Names and details of every kind.
fn name_everything(store: &Store<Real>, user: &User) -> (Id, Id) {
    block_on(async {
        let key = NewApiKey { name: "planted-key", prefix: "ea_", hash: "hash", scopes: "*", expires_at: None };
        let maker = Maker { user_id: user.id, access_version: user.access_version };
        let made = store.create_api_key(user.id, key, maker).await.unwrap().unwrap();
        assert_eq!(made.name, "planted-key");
        let limits = store.set_limits(&Subject::Key(made.id), false, &[(LimitKind::SessionRequests, 1)]).await;
        assert!(matches!(limits.unwrap(), LimitsSet::Set { .. }));
        let (grant, session) = (Id::new(), Id::new());
        let terms = NewGrant {
            client_id: "c",
            client_name: "planted-program",
            redirect_uri: "r",
            code_challenge: "d",
            resource: "/mcp",
            scopes: "*",
        };
        let of = (user.id, user.access_version);
        assert!(store.create_grant(grant, of, &hashes("code"), terms, 60_000).await.unwrap());
        let bound = CodeBinding { client_id: "c", redirect_uri: None, code_challenge: "d", resource: None };
        store.redeem_code(grant, &hashes("code"), bound, "next", 60_000).await.unwrap().unwrap();
        assert!(
            store
                .create_provider_session(session, user, &hashes("session"), &provider_session(), 60_000)
                .await
                .unwrap()
        );
        let identity = Identity { issuer: "i", subject: "other", roles: &[] };
        store.keep_identity_link("link", user.id, identity, "a@b", &provider_session(), 60_000).await.unwrap();
        for (action, detail) in [("oauth.allow", "planted-own"), ("user.role", "planted-other")] {
            let event = AuditEvent { detail: Some(detail), ..AuditEvent::new(user.id, action, "s") };
            store.append_audit(&event).await.unwrap();
        }
        (grant, session)
    })
}

/// What another instance reads of it.
fn named(store: &Store<Real>, user_id: Id, (_, session): (Id, Id)) -> String {
    block_on(async {
        let keys = store.api_keys(user_id).await.unwrap();
        let grants = store.grants(user_id, None, 9).await.unwrap();
        let with_token = store.provider_session(session, &hashes("session")).await.unwrap();
        let verified = store.provider_session_of(session).await.unwrap();
        let link = store.identity_link("link").await.unwrap().unwrap().session;
        let records = store.audit_records(None, None, 9).await.unwrap();
        let of_person = store.audit_records(Some(user_id), None, 9).await.unwrap();
        let exported = store.audit_export(None, None, 9).await.unwrap();
        let sessions = store.open_sessions(None, None, 9).await.unwrap();
        let limits = store.limits().await.unwrap();
        let mut own = String::new();
        for section in SECTIONS {
            for row in store.export_rows(user_id, &section, None, 9).await.unwrap() {
                own.push_str(&serde_json::to_string(&row.fields).unwrap());
            }
        }
        format!(
            "{keys:?} {grants:?} {with_token:?} {verified:?} {link:?} {records:?} {of_person:?} {exported:?} {sessions:?} {limits:?} {own}"
        )
    })
}

/// Each is read at so many places.
fn assert_named(named: &str) {
    for (planted, places) in
        [("planted-key", 3), ("planted-program", 3), ("planted-hint", 3), ("planted-own", 3), ("planted-other", 3)]
    {
        assert_eq!(named.matches(planted).count(), places, "{planted} in {named}");
    }
    assert!(!named.contains("s1:"), "{named}");
}

fn names_and_details_are_sealed_and_read_as_they_were_typed(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let ids = name_everything(&fixture.store, &user);
    assert_named(&named(&fixture.store, user.id, ids));
    let stored = everything(&fixture.another_connection());
    assert!(!stored.contains("planted"), "{stored}");
    assert_named(&named(&Store::new(fixture.another_connection()), user.id, ids));
}

fn upgraded_before(database: &Real, ms: i64) {
    rows(database, "DELETE FROM sealing_progress");
    for (table, key) in [
        ("api_keys", "id"),
        ("audit_details", "event_id"),
        ("identity_links", "token_hash"),
        ("provider_sessions", "session_id"),
        ("sessions", "id"),
    ] {
        let sql = format!(
            "INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at)
             SELECT '{table}', 1, '', 0, (SELECT COUNT({key}) FROM {table}), now_ms() - {ms}, now_ms() - {ms} + 3600000"
        );
        rows(database, &sql);
    }
}

fn for_an_hour_after_an_upgrade_names_and_private_keys_are_written_as_hosts_of_before_read_them(place: Place) {
    let fixture = Fixture::new(place);
    let database = fixture.another_connection();
    let user = fixture.user("ada@example.org");
    upgraded_before(&database, 3_500_000);
    let store = || with_key(&fixture, OLD);
    let ids = name_everything(&store(), &user);
    keep_private_keys(&store(), &ops(&fixture));
    block_on(store().create_conversation(user.id, "planted-title", None)).unwrap();
    let stored = everything(&database);
    for planted in ["planted-key", "planted-program", "planted-hint", "planted-own", "planted-other", "planted half"] {
        assert!(stored.contains(planted), "{planted}: {stored}");
    }
    assert!(
        rows(&database, "SELECT 1 FROM conversations WHERE title LIKE 'planted%'").is_empty(),
        "titles are sealed on"
    );
    assert!(!block_on(store().seal_next_rows()).unwrap() && !block_on(store().seal_own_secrets()).unwrap());
    assert_named(&named(&store(), user.id, ids));
    // The hour is over. Of two hosts, one is killed after each step.
    upgraded_before(&database, 3_600_001);
    while block_on(store().seal_next_rows()).unwrap() {}
    assert!(block_on(store().seal_own_secrets()).unwrap());
    let stored = everything(&database);
    assert_eq!(stored.matches("planted").count(), 1, "the half of ops: {stored}");
    assert_named(&named(&store(), user.id, ids));
    assert_eq!(private_keys(&store()), ["planted half of a", "planted half of stream"]);
    assert_eq!(block_on(store().sealing_progress()).unwrap(), None);
}

fn sealed_record(store: &Store<Real>) {
    let arrivals = block_on(store.audit_arrivals(100)).unwrap().unwrap();
    let (links, claims) = extend(&arrivals.head, &arrivals.events, arrivals.now.as_millis()).unwrap();
    let signature = serde_json::to_string(&claims).unwrap();
    assert!(block_on(store.seal_audit(&links, &claims, ("key", &signature))).unwrap());
}

fn verified(store: &Store<Real>) -> Verified {
    let mut verification = Verification::new(None);
    let seals = block_on(store.audit_seals(0, i64::MAX, 100)).unwrap();
    let checked = seals.into_iter().map(|seal| CheckedSeal {
        first_position: seal.first_position,
        claims: serde_json::from_str(&seal.signature).ok(),
        retired_at: None,
    });
    verification.page(block_on(store.audit_links(0, 100)).unwrap(), checked.collect());
    verification.finish()
}

fn a_detail_that_outlives_its_person_is_read_and_the_others_are_told_to_be_gone(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    name_everything(&fixture.store, &user);
    sealed_record(&fixture.store);
    assert!(block_on(fixture.store.destroy_data_key(user.id)).unwrap());
    let store = Store::new(fixture.another_connection());
    let told = |store: &Store<Real>| -> Vec<_> {
        let records = block_on(store.audit_records(None, None, 9)).unwrap();
        records.into_iter().filter_map(|record| record.detail).collect()
    };
    let [other, own] = told(&store).try_into().unwrap();
    assert!(other == "planted-other" && own.contains("cannot be read"), "{other} {own}");
    let found = verified(&store);
    assert_eq!((found.findings.as_slice(), found.unread_details), ([].as_slice(), 1));
    // What they do from then on is recorded all the same, in clear for nobody.
    let event = AuditEvent { detail: Some("planted-late"), ..AuditEvent::new(user.id, "oauth.allow", "s") };
    block_on(store.append_audit(&event)).unwrap();
    assert_eq!(told(&store)[0], "planted-late");
    assert!(!everything(&fixture.another_connection()).contains("planted"));
}

fn the_record_is_checked_with_the_keys_and_without_them_as_far_as_that_goes(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let store = with_key(&fixture, OLD);
    name_everything(&store, &user);
    sealed_record(&store);
    let told = |store: &Store<Real>| {
        let found = verified(store);
        (found.findings, found.unread_details)
    };
    assert_eq!(told(&with_key(&fixture, OLD)), (vec![], 0));
    assert_eq!(told(&with_key(&fixture, NEW)), (vec![], 2));
    // One sealed detail in the place of the other: the database allows it, and the check finds it.
    let database = fixture.another_connection();
    rows(&database, "UPDATE audit_details SET detail = (SELECT MAX(other.detail) FROM audit_details AS other)");
    let (findings, unread) = told(&with_key(&fixture, OLD));
    assert!(matches!(findings.as_slice(), [Finding::DetailChanged { .. }]) && unread == 0, "{findings:?}");
    // Rubbish that names a key which there never was.
    let rubbish = format!("UPDATE audit_details SET detail = 's1:AAAAAAAAAAAAAAAA:{}'", "A".repeat(60));
    rows(&database, &rubbish);
    let (findings, unread) = told(&with_key(&fixture, OLD));
    assert!(findings.len() == 2 && unread == 0, "{findings:?}");
    assert_eq!(told(&with_key(&fixture, NEW)), (vec![], 2), "whoever has no keys cannot know");
    assert!(block_on(database.query(Statement::new("t", "UPDATE audit_details SET detail = 'x'", []))).is_err());
}

fn a_damaged_key_for_details_is_replaced_and_what_it_sealed_is_told_to_be_gone(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    name_everything(&fixture.store, &user);
    rows(&fixture.another_connection(), "UPDATE installation_keys SET wrapped = substr(wrapped, 2)");
    let store = Store::new(fixture.another_connection());
    for action in ["limits.set", "retention.set", "user.role"] {
        let event = AuditEvent { detail: Some("planted-later"), ..AuditEvent::new(user.id, action, "s") };
        block_on(store.append_audit(&event)).unwrap();
    }
    sealed_record(&store);
    let records = block_on(store.audit_records(None, None, 9)).unwrap();
    let told: Vec<_> = records.iter().filter_map(|record| record.detail.as_deref()).collect();
    assert!(told.len() == 5 && told[..3] == ["planted-later"; 3] && told[3].contains("cannot be read"), "{told:?}");
    assert_eq!(told[4], "planted-own");
    let found = verified(&store);
    assert_eq!((found.findings.as_slice(), found.unread_details), ([].as_slice(), 1));
    // What outlives its person was sealed with the installation's key.
    assert!(block_on(store.destroy_data_key(user.id)).unwrap());
    let store = Store::new(fixture.another_connection());
    let records = block_on(store.audit_records(None, None, 3)).unwrap();
    assert!(records.iter().all(|record| record.detail.as_deref() == Some("planted-later")), "{records:?}");
}

/// `ops` has no master key.
fn keep_private_keys(store: &Store<Real>, ops: &Store<Real>) {
    block_on(async {
        let (private_key, text_key) = (Some("planted half of a".to_owned()), Some("planted half of texts".to_owned()));
        let key = SigningKey { id: "a".into(), public_key: "p".into(), private_key, text_key };
        store.add_first_signing_key(&key).await.unwrap();
        for caller in ["stream", "ops"] {
            let key = InsideKey { id: format!("of {caller}"), caller: caller.into(), public_key: "p".into() };
            let private_key = format!("planted half of {caller}");
            let store = if caller == "ops" { ops } else { store };
            store.add_inside_key(&NewInsideKey { key, private_key }).await.unwrap();
        }
    });
}

/// The private halves that components get: that of tokens, and that of `stream`.
fn private_keys(store: &Store<Real>) -> [String; 2] {
    block_on(async {
        let (keys, _) = store.issuing_keys().await.unwrap().unwrap();
        assert_eq!(keys[0].key.text_key.as_deref(), Some("planted half of texts"));
        let own = store.access_state("stream", 1, Offers::Unread).await.unwrap().own_key.unwrap();
        [keys[0].key.private_key.clone().unwrap(), store.private_half(&own).unwrap()]
    })
}

/// The ids of the master keys that seal private keys, and how many are in clear.
fn sealing_keys(database: &Real) -> (Vec<String>, usize) {
    let sql = "SELECT private_key FROM signing_keys UNION ALL SELECT text_key FROM signing_keys UNION ALL SELECT private_key FROM inside_keys";
    let (mut sealed, mut clear) = (Vec::new(), 0);
    for row in rows(database, sql) {
        match row.0.as_slice() {
            [Value::Text(stored)] if stored.starts_with("m1:") => sealed.push(stored.get(3..19).unwrap().to_owned()),
            [Value::Text(_)] => clear += 1,
            _ => {}
        }
    }
    sealed.dedup();
    (sealed, clear)
}

fn private_keys_are_sealed_with_the_configured_master_key_and_anew_when_it_changes(place: Place) {
    let fixture = Fixture::new(place);
    let database = fixture.another_connection();
    // With none configured they are in clear, since the key would be beside them.
    keep_private_keys(&fixture.store, &ops(&fixture));
    assert_eq!(sealing_keys(&database), (vec![], 4));
    assert!(!block_on(fixture.store.seal_own_secrets()).unwrap());
    let both = format!("{NEW},{OLD}");
    let steps = [(OLD, OLD), (both.as_str(), NEW), (NEW, NEW)];
    let mut ids = Vec::new();
    for (configured, key) in steps {
        let store = with_key(&fixture, configured);
        assert_eq!(private_keys(&store), ["planted half of a", "planted half of stream"], "in both forms");
        block_on(store.seal_own_secrets()).unwrap();
        assert!(!block_on(store.seal_own_secrets()).unwrap(), "once");
        assert_eq!(private_keys(&store), ["planted half of a", "planted half of stream"]);
        let used: Vec<_> = block_on(with_key(&fixture, key).master_keys()).unwrap();
        assert_eq!(used.iter().map(|key| (key.is_known, key.own)).collect::<Vec<_>>(), [(true, 3)]);
        let (sealed, clear) = sealing_keys(&database);
        assert_eq!((sealed.as_slice(), clear), ([used[0].id.clone()].as_slice(), 1), "that of ops is in clear");
        ids.push(used[0].id.clone());
    }
    assert!(ids[0] != ids[1] && ids[1] == ids[2]);
    // One that is made from now on is never in clear.
    let new = InsideKey { id: "new".into(), caller: "chat".into(), public_key: "p".into() };
    let new = NewInsideKey { key: new, private_key: "planted half of chat".into() };
    block_on(with_key(&fixture, NEW).add_inside_key(&new)).unwrap();
    assert_eq!(sealing_keys(&database).1, 1);
}

fn a_private_key_whose_master_key_is_missing_keeps_nobody_from_knowing_why(place: Place) {
    let fixture = Fixture::new(place);
    keep_private_keys(&with_key(&fixture, OLD), &ops(&fixture));
    for lost in [with_key(&fixture, NEW), Store::new(fixture.another_connection())] {
        assert!(matches!(block_on(lost.issuing_keys()), Err(StorageError::MasterKeyMissing(_))));
        let keys = block_on(lost.master_keys()).unwrap();
        assert_eq!(keys.iter().filter(|key| !key.is_known).map(|key| key.own).collect::<Vec<_>>(), [3]);
        assert!(!block_on(lost.seal_own_secrets()).unwrap());
    }
    // One that was moved or changed.
    let swapped = "UPDATE signing_keys SET private_key = text_key";
    rows(&fixture.another_connection(), swapped);
    let read = block_on(with_key(&fixture, OLD).issuing_keys());
    assert!(matches!(read, Err(StorageError::Unreadable { .. })), "{:?}", read.err());
    // What a retired key is still good for is given up, and nothing else.
    rows(&fixture.another_connection(), "UPDATE signing_keys SET retired_at = 1, private_key = NULL");
    let (keys, _) = block_on(with_key(&fixture, NEW).issuing_keys()).unwrap().unwrap();
    assert_eq!(keys[0].key.text_key, None);
}
