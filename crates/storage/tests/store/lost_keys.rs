//! Keys of people that are lost, gone or destroyed: what they sealed is told in words, and nobody else notices.

use domain::{Id, RunState};
use storage::{
    StorageError, Store, Value,
    audit::AuditEvent,
    leases::{Entry, Leave},
    runs::Batch,
    webhooks::{NewWebhook, WebhookOwner},
};

use crate::{
    fixture::Fixture,
    on_each_database,
    places::{Place, block_on},
    sealing::{begin_sealing, heard, rows, say_everything, stored},
};

on_each_database! {
    what_a_lost_key_sealed_is_told_in_words_after_it_was_given_up,
    what_a_lost_key_sealed_is_not_sealed_again,
    after_the_steps_of_the_runbook_no_key_is_missing,
    nothing_is_shown_as_it_is_stored_if_the_row_of_its_key_is_gone,
    a_destroyed_key_opens_and_seals_nothing_any_more,
    a_destroyed_key_ends_only_the_runs_of_its_person,
}

/// As docs/runbooks/keys.md says.
const GIVE_UP: &str = "UPDATE data_keys SET lost = COALESCE(lost || ',', '') || id, wrapped = '', master_key = 'lost'
    WHERE master_key = (SELECT MIN(master_key) FROM data_keys)";

fn what_a_lost_key_sealed_is_told_in_words_after_it_was_given_up(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let database = fixture.another_connection();
    let store = || Store::new(fixture.another_connection());
    rows(&database, GIVE_UP);
    let told = heard(&store(), ids).unwrap();
    assert!(
        told.contains("(This can no longer be read") && !told.contains("planted") && !told.contains("s1:"),
        "{told}"
    );
    let made = block_on(store().create_conversation(ids.0, "planted-new", None)).unwrap();
    let found = block_on(store().conversation(ids.0, made.id)).unwrap().unwrap();
    assert_eq!(found.title, "planted-new", "what is written from now on can be read");
    // The store of before keeps what it knows for a minute, and writes nothing that nobody can read.
    let database = fixture.another_connection();
    assert_eq!(rows(&database, "SELECT 1 FROM data_keys WHERE lost IS NOT NULL AND wrapped <> ''").len(), 1);
}

/// Each statement of the runbook, as it is written there.
fn after_the_steps_of_the_runbook_no_key_is_missing(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let detail = AuditEvent {
        user_id: ids.0,
        action: "role.set",
        subject: "auditor",
        run_id: None,
        call_id: None,
        outcome: "ok",
        detail: Some("planted-detail"),
    };
    block_on(fixture.store.append_audit(&detail)).unwrap();
    let id = Id::new();
    let sealed = block_on(fixture.store.seal_webhook(id, "planted-webhook")).unwrap();
    let webhook = NewWebhook { id, server: "s", events: &[], sealed: &sealed };
    assert!(block_on(fixture.store.add_webhook(WebhookOwner::Person(ids.0), webhook)).unwrap());
    let database = fixture.another_connection();
    let lost = rows(&database, "SELECT DISTINCT master_key FROM installation_keys");
    let [storage::Row(key)] = lost.as_slice() else { panic!("the detail has no key") };
    let [Value::Text(key)] = key.as_slice() else { panic!() };
    let runbook = include_str!("../../../../docs/runbooks/keys.md").split_once("## It is lost for good").unwrap().1;
    let statements = runbook.split("```").nth(1).unwrap().trim_start_matches("sql");
    let statements: Vec<_> = statements.split(";\n").map(str::trim).filter(|sql| !sql.is_empty()).collect();
    assert_eq!(statements.len(), 4);
    for sql in statements {
        rows(&database, &sql.replace("the id that /ready names", key));
    }
    let used = block_on(Store::new(fixture.another_connection()).master_keys()).unwrap();
    assert!(used.iter().all(|key| key.is_known && key.own == 0 && key.uses == 0 && key.secrets == 0), "{used:?}");
}

fn what_a_lost_key_sealed_is_not_sealed_again(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let database = fixture.another_connection();
    rows(&database, GIVE_UP);
    rows(&database, "UPDATE messages SET content = 'planted-content' WHERE role = 'user'");
    let before = stored(&database);
    begin_sealing(&fixture);
    let store = Store::new(fixture.another_connection());
    while block_on(store.seal_next_rows()).unwrap() {}
    let after = stored(&database);
    let kept = before.lines().filter(|line| after.lines().any(|other| other == *line)).count();
    assert_eq!(kept, before.lines().count() - 1, "all but what was in clear");
    let told = heard(&store, ids).unwrap();
    assert!(told.contains("(This can no longer be read") && told.contains("planted-content"), "{told}");
}

fn nothing_is_shown_as_it_is_stored_if_the_row_of_its_key_is_gone(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let database = fixture.another_connection();
    rows(&database, "DELETE FROM data_keys");
    let store = || Store::new(fixture.another_connection());
    // Nor with the new key that the next text gets, nor after rows are looked at for sealing.
    let title = |title: Option<&str>| {
        block_on(store().update_conversation(ids.0, ids.1, title, None)).unwrap().unwrap();
        while block_on(store().seal_next_rows()).unwrap() {}
        heard(&store(), ids).unwrap()
    };
    let without = title(None);
    begin_sealing(&fixture);
    for told in [without, title(Some("planted-new"))] {
        assert!(told.contains("(This can no longer be read") && !told.contains("s1:"), "{told}");
    }
}

fn a_destroyed_key_opens_and_seals_nothing_any_more(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let eve = fixture.user("eve@example.org");
    block_on(fixture.store.create_conversation(eve.id, "planted-title", None)).unwrap();
    assert!(block_on(fixture.store.destroy_data_key(ids.0)).unwrap());
    assert!(!block_on(fixture.store.destroy_data_key(ids.0)).unwrap(), "once");
    for store in [&fixture.store, &Store::new(fixture.another_connection())] {
        assert!(matches!(heard(store, ids), Err(StorageError::KeyDestroyed)));
        let made = block_on(store.create_conversation(ids.0, "planted-title", None));
        assert!(matches!(made, Err(StorageError::KeyDestroyed)));
        assert_eq!(block_on(store.conversations(eve.id, None, 9, true)).unwrap()[0].title, "planted-title");
    }
}

fn a_destroyed_key_ends_only_the_runs_of_its_person(place: Place) {
    let fixture = Fixture::new(place);
    let entry = |email: &str| {
        let user = fixture.user(email);
        let (_, lease) = fixture.claimed(&user, fixture.conversation(&user));
        let batch = Batch { last_id: 1, frames: "planted-frames".into() };
        (user.id, Entry { lease, state: RunState::Streaming, batch })
    };
    let ((eve, eves), (_, adas)) = (entry("eve@example.org"), entry("ada@example.org"));
    assert!(block_on(fixture.store.destroy_data_key(eve)).unwrap());
    let left = block_on(Store::new(fixture.another_connection()).append_events(&[eves, adas])).unwrap();
    assert_eq!(left, [Leave::LeaseLost, Leave::Granted]);
}
