//! People get new data keys: nothing is lost at any moment, and in the end the former keys open nothing and are gone.

use domain::{AssistantContents, Id};
use storage::{
    Store, Value, assistants::Viewer, audit::AuditEvent, data_key_rotation::Rotation, tool_secrets::ToolSecret,
};

use crate::{
    fixture::Fixture,
    master_keys::{Mortal, killed_again_and_again},
    on_each_database,
    places::{Place, Real, block_on},
    sealing::{assert_hears_everything, rows, say_everything, stored},
};

on_each_database! {
    a_new_key_seals_everything_anew_however_often_somebody_is_killed,
    what_a_release_before_began_about_fewer_tables_ends_and_loses_nothing,
    one_person_gets_a_new_key_and_the_others_keep_theirs,
    a_new_key_seals_when_everybody_knows_it_and_whoever_knows_the_former_reads_everything_meanwhile,
    whose_key_cannot_be_used_keeps_it_and_keeps_nobody_else_from_a_new_one,
    a_former_key_stays_until_rows_were_looked_through_after_it_was_replaced,
}

fn fresh(fixture: &Fixture) -> Store<Real> {
    Store::new(fixture.another_connection())
}

fn by() -> Id {
    "01890000-0000-7000-8000-000000000000".parse().unwrap()
}

/// The ids of the keys of a person: the present one and the former one.
fn ids(database: &Real, user_id: Id) -> (String, Option<String>) {
    let row = rows(database, &format!("SELECT id, former_id FROM data_keys WHERE user_id = '{user_id}'")).remove(0);
    let mut columns = row.columns("t");
    (columns.text().unwrap().to_owned(), columns.optional_text().unwrap().map(str::to_owned))
}

/// As if an hour had passed for those who wait for the second pass, and two minutes for the first.
fn pass_time(database: &Real) {
    rows(database, "UPDATE sealing_progress SET due_at = 0 WHERE finished_at IS NULL");
    rows(database, "UPDATE data_keys SET created_at = created_at - 300000 WHERE former_id IS NOT NULL");
}

fn go_on<D: storage::Database>(store: &Store<D>, database: &Real) -> Result<(), storage::StorageError> {
    for _ in 0..2 {
        pass_time(database);
        while block_on(store.seal_next_rows())? {}
    }
    block_on(store.forget_former_data_keys())
}

fn what_a_release_before_began_about_fewer_tables_ends_and_loses_nothing(place: Place) {
    let fixture = Fixture::new(place);
    let said = say_everything(&fixture);
    let contents = AssistantContents { name: "planted".into(), ..AssistantContents::default() };
    block_on(fixture.store.create_assistant(said.0, &contents, &[])).unwrap();
    let database = fixture.another_connection();
    block_on(fixture.store.rotate_data_keys(None, by())).unwrap();
    rows(
        &database,
        "DELETE FROM sealing_progress WHERE name IN ('assistants', 'conversation_settings', 'files', 'response_formats')",
    );
    go_on(&fresh(&fixture), &database).unwrap();
    assert!(ids(&database, said.0).1.is_some(), "not all tables were looked through");
    go_on(&fresh(&fixture), &database).unwrap();
    assert_eq!(ids(&database, said.0).1, None);
    let viewer = Viewer { user_id: said.0, manages_shared: false };
    let kept = block_on(fresh(&fixture).assistants(viewer, None, 9)).unwrap();
    assert_eq!(kept[0].contents, contents);
}

fn a_new_key_seals_everything_anew_however_often_somebody_is_killed(place: Place) {
    let fixture = Fixture::new(place);
    let said = say_everything(&fixture);
    let database = fixture.another_connection();
    let event = AuditEvent { detail: Some("planted"), ..AuditEvent::new(said.0, "oauth.allow", "s") };
    block_on(fixture.store.append_audit(&event)).unwrap();
    let of_others = AuditEvent { detail: Some("planted"), ..AuditEvent::new(said.0, "user.role", "s") };
    block_on(fixture.store.append_audit(&of_others)).unwrap();
    let sealed = block_on(fixture.store.secrets_key(said.0)).unwrap().seal("mail", "password", "horse").unwrap();
    let secret = ToolSecret { server: "mail".into(), name: "password".into(), sealed };
    assert!(block_on(fixture.store.set_tool_secret(said.0, &secret)).unwrap());
    block_on(fixture.store.remember(said.0, said.2, "planted-memory", None)).unwrap();
    let (old, _) = ids(&database, said.0);
    let rotates = |store: &Store<Mortal>| {
        let rotated = block_on(store.rotate_data_keys(None, by()))?;
        assert!(matches!(rotated, Rotation::Begun { skipped: 0, .. }), "{rotated:?}");
        go_on(store, &database)
    };
    killed_again_and_again(&fixture, rotates, || assert_hears_everything(&fresh(&fixture), said));
    let (new, former) = ids(&database, said.0);
    assert!(new != old && former.is_none(), "once, and then the former key is gone: {former:?}");
    let left = stored(&database);
    assert!(!left.contains(&old) && left.contains(&new) && !left.contains("planted"), "{left}");
    let sql = "SELECT sealed FROM tool_secrets UNION ALL SELECT detail FROM audit_details UNION ALL SELECT content FROM memories";
    let secrets = rows(&database, sql);
    for row in &secrets {
        let [Value::Text(sealed)] = row.0.as_slice() else { panic!("{row:?}") };
        assert!(!sealed.contains(&old) && sealed.starts_with("s1:"), "{sealed}");
    }
    let kept = block_on(fresh(&fixture).secrets_key(said.0)).unwrap();
    let [Value::Text(sealed)] = secrets[0].0.as_slice() else { panic!("{secrets:?}") };
    assert_eq!(kept.open("mail", "password", sealed).unwrap().as_str(), "horse");
    // The key for details of what was done to others is another one, too, and what the one before sealed is read on.
    block_on(fresh(&fixture).append_audit(&of_others)).unwrap();
    let records = block_on(fresh(&fixture).audit_records(Some(said.0), None, 9)).unwrap();
    assert_eq!(records.iter().map(|record| record.detail.as_deref()).collect::<Vec<_>>(), [Some("planted"); 3]);
    assert!(rows(&database, "SELECT 1 FROM installation_keys").len() > 1);
}

fn one_person_gets_a_new_key_and_the_others_keep_theirs(place: Place) {
    let fixture = Fixture::new(place);
    let said = say_everything(&fixture);
    let eve = fixture.user("eve@example.org");
    block_on(fixture.store.create_conversation(eve.id, "planted-title", None)).unwrap();
    let database = fixture.another_connection();
    let before = (ids(&database, said.0), ids(&database, eve.id));
    assert_eq!(
        block_on(fixture.store.rotate_data_keys(Some(eve.id), by())).unwrap(),
        Rotation::Begun { made: 1, skipped: 0 }
    );
    let after = (ids(&database, said.0), ids(&database, eve.id));
    assert_eq!(before.0, after.0);
    assert_eq!(after.1.1, Some(before.1.0));
    // An instance that knows the former key goes on with it for a minute; everybody reads what it writes.
    block_on(fixture.store.create_conversation(eve.id, "planted-title", None)).unwrap();
    assert_eq!(block_on(fresh(&fixture).conversations(eve.id, None, 9, true)).unwrap()[1].title, "planted-title");
    go_on(&fresh(&fixture), &database).unwrap();
    assert_eq!(ids(&database, eve.id).1, None);
    assert!(
        block_on(fresh(&fixture).conversations(eve.id, None, 9, true))
            .unwrap()
            .iter()
            .all(|it| it.title == "planted-title")
    );
    assert_hears_everything(&fresh(&fixture), said);
}

fn a_former_key_stays_until_rows_were_looked_through_after_it_was_replaced(place: Place) {
    let fixture = Fixture::new(place);
    let said = say_everything(&fixture);
    let database = fixture.another_connection();
    assert_eq!(block_on(fixture.store.rotate_data_keys(None, by())).unwrap(), Rotation::Begun { made: 1, skipped: 0 });
    let fresh = || fresh(&fixture);
    block_on(fresh().forget_former_data_keys()).unwrap();
    assert!(ids(&database, said.0).1.is_some(), "nothing was looked through yet");
    pass_time(&database);
    while block_on(fresh().seal_next_rows()).unwrap() {}
    block_on(fresh().forget_former_data_keys()).unwrap();
    assert!(ids(&database, said.0).1.is_some(), "the second pass is to come");
    pass_time(&database);
    while block_on(fresh().seal_next_rows()).unwrap() {}
    // As if the key had been made after that, by somebody who was killed before rows were to be looked through again.
    rows(&database, "UPDATE data_keys SET created_at = created_at + 1000000");
    block_on(fresh().forget_former_data_keys()).unwrap();
    assert!(ids(&database, said.0).1.is_some(), "rows were looked through too early");
    rows(&database, "UPDATE data_keys SET created_at = created_at - 1000000");
    block_on(fresh().forget_former_data_keys()).unwrap();
    assert_eq!(ids(&database, said.0).1, None);
    // Within an hour of an upgrade, hosts of before may run.
    rows(&database, "UPDATE sealing_progress SET began_at = now_ms()");
    assert_eq!(block_on(fresh().rotate_data_keys(None, by())).unwrap(), Rotation::TooEarly);
}

fn a_new_key_seals_when_everybody_knows_it_and_whoever_knows_the_former_reads_everything_meanwhile(place: Place) {
    let fixture = Fixture::new(place);
    let said = say_everything(&fixture);
    // An instance that knows the former key for a minute more.
    assert_hears_everything(&fixture.store, said);
    assert_eq!(
        block_on(fresh(&fixture).rotate_data_keys(None, by())).unwrap(),
        Rotation::Begun { made: 1, skipped: 0 }
    );
    let (knows, new) = (&fixture.store, fresh(&fixture));
    block_on(new.create_conversation(said.0, "planted-title", None)).unwrap();
    let sealed = block_on(new.secrets_key(said.0)).unwrap().seal("mail", "password", "horse").unwrap();
    let titles = block_on(knows.conversations(said.0, None, 9, true)).unwrap();
    assert!(titles.len() == 2 && titles.iter().all(|found| found.title == "planted-title"), "{titles:?}");
    assert_eq!(
        block_on(knows.secrets_key(said.0)).unwrap().open("mail", "password", &sealed).unwrap().as_str(),
        "horse"
    );
    // Minutes later, it seals.
    let database = fixture.another_connection();
    let (id, _) = ids(&database, said.0);
    assert!(!sealed.contains(&id));
    pass_time(&database);
    let sealed = block_on(fresh(&fixture).secrets_key(said.0)).unwrap().seal("mail", "password", "horse").unwrap();
    assert!(sealed.contains(&id));
}

fn whose_key_cannot_be_used_keeps_it_and_keeps_nobody_else_from_a_new_one(place: Place) {
    let fixture = Fixture::new(place);
    let said = say_everything(&fixture);
    let eve = fixture.user("eve@example.org");
    block_on(fixture.store.create_conversation(eve.id, "planted-title", None)).unwrap();
    let database = fixture.another_connection();
    let damage = |person: Id, from: &str, to: &str| {
        let sql =
            format!("UPDATE data_keys SET wrapped = replace(wrapped, '{from}', '{to}') WHERE user_id = '{person}'");
        rows(&database, &sql);
    };
    let before = ids(&database, eve.id);
    let wrapped = rows(&database, &format!("SELECT wrapped FROM data_keys WHERE user_id = '{}'", eve.id));
    let wrapped = wrapped[0].columns("t").text().unwrap().to_owned();
    damage(eve.id, &wrapped, "AAAA");
    let rotated = block_on(fresh(&fixture).rotate_data_keys(None, by())).unwrap();
    assert_eq!(rotated, Rotation::Begun { made: 1, skipped: 1 });
    go_on(&fresh(&fixture), &database).unwrap();
    assert_eq!((ids(&database, said.0).1, ids(&database, eve.id)), (None, before), "it waits for nobody");
    // Hers is usable again, gets a new one, and becomes unusable before her rows are looked through: the former one stays, and only hers.
    damage(eve.id, "AAAA", &wrapped);
    let rotated = block_on(fresh(&fixture).rotate_data_keys(None, by())).unwrap();
    assert_eq!(rotated, Rotation::Begun { made: 2, skipped: 0 });
    let wrapped = rows(&database, &format!("SELECT wrapped FROM data_keys WHERE user_id = '{}'", eve.id));
    let wrapped = wrapped[0].columns("t").text().unwrap().to_owned();
    damage(eve.id, &wrapped, "AAAA");
    go_on(&fresh(&fixture), &database).unwrap();
    assert!(ids(&database, said.0).1.is_none() && ids(&database, eve.id).1.is_some());
    damage(eve.id, "AAAA", &wrapped);
    go_on(&fresh(&fixture), &database).unwrap();
    assert_eq!(ids(&database, eve.id).1, None);
    assert_eq!(block_on(fresh(&fixture).conversations(eve.id, None, 9, true)).unwrap()[0].title, "planted-title");
    let nobody = block_on(fresh(&fixture).rotate_data_keys(Some(by()), by())).unwrap();
    assert_eq!(nobody, Rotation::Nobody { skipped: 0 });
}
