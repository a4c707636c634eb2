//! Migrations, and the settings that every statement relies on.

use std::{fs, path::Path};

use domain::{Id, ToolResult};
use sha2::{Digest, Sha256};
use storage::{
    Database, DatabaseError, Dialect, Statement, StorageError, TransactionOutcome, Value,
    migration::{MIGRATIONS, Migration, migrate},
};

use crate::{
    fixture::{Fixture, batch, result_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    migrating_twice_applies_nothing_the_second_time,
    a_migration_that_was_missing_in_the_middle_is_applied,
    a_database_with_the_earlier_text_of_the_record_is_brought_up_to_date,
    a_migration_that_was_changed_after_it_was_applied_is_refused,
    migrating_from_many_connections_at_once_applies_each_once,
    a_refused_guard_leaves_nothing_behind,
    what_a_host_of_an_earlier_release_stores_is_read_like_what_this_one_stores,
    a_host_of_an_earlier_release_sees_which_calls_failed_here,
}

#[test]
fn every_migration_file_is_in_the_list_and_the_other_way_round() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sql"))
        .filter_map(|name| Some(name.split_once('.')?.0.to_owned()))
        .collect();
    files.sort();
    files.dedup();
    let listed: Vec<String> = MIGRATIONS.iter().map(|migration| migration.name.to_owned()).collect();
    assert_eq!(files, listed);
    assert!(MIGRATIONS.is_sorted_by_key(|migration| migration.version));
    for migration in MIGRATIONS {
        assert!(migration.name.starts_with(&format!("{:04}_", migration.version)), "{}", migration.name);
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            assert_eq!(migration.hash(dialect), hash_of(migration.sql(dialect)), "{}", migration.name);
        }
    }
}

fn hash_of(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn migrating_twice_applies_nothing_the_second_time(place: Place) {
    let fixture = Fixture::new(place);
    assert!(block_on(migrate(&fixture.another_connection())).unwrap().is_empty());
}

fn a_migration_that_was_missing_in_the_middle_is_applied(place: Place) {
    let database = place.open();
    block_on(migrate(&database)).unwrap();
    // The last but one of what is there. Its tables can be made anew.
    for sql in
        ["DELETE FROM schema_migrations WHERE version = 5", "DROP TABLE tool_secrets", "DROP TABLE generated_keys"]
    {
        block_on(database.query(Statement::new("t", sql, []))).unwrap();
    }
    assert_eq!(block_on(migrate(&database)).unwrap(), ["0005_tool_secrets"]);
}

/// As builds made it that brought everything recorded before into the chain at once.
fn a_database_with_the_earlier_text_of_the_record_is_brought_up_to_date(place: Place) {
    let database = place.open();
    let dialect = database.dialect();
    // What stands between these in the present text was otherwise. The hash, which `migrate` compares, says whether that is right.
    const BEFORE: &str = "    signature text NOT NULL\n);\n\n";
    let (otherwise, behind) = match dialect {
        Dialect::Sqlite => (include_str!("earlier/0020_audit_chain.sqlite.sql"), "-- An event with its detail."),
        Dialect::Postgres => (include_str!("earlier/0020_audit_chain.postgres.sql"), "CREATE VIEW audit_entries AS"),
    };
    let present = MIGRATIONS.iter().find(|migration| migration.version == 20).unwrap().sql(dialect);
    let (head, rest) = present.split_once(BEFORE).unwrap();
    let (_, tail) = rest.split_once(behind).unwrap();
    let text: &'static str = format!("{head}{BEFORE}{otherwise}\n{behind}{tail}").leak();
    let run = |sql: &str, parameters: Vec<Value>| {
        block_on(database.query(Statement::new("t", sql.to_owned(), parameters))).unwrap()
    };
    let old = |migration: &Migration| match migration.version {
        20 => Migration { sqlite: text, postgres: text, hashes: [hash_of(text).leak(); 2], ..*migration },
        _ => *migration,
    };
    run(
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at bigint NOT NULL)",
        vec![],
    );
    for migration in MIGRATIONS.iter().filter(|migration| migration.version < 23).map(old) {
        for statement in migration.statements(dialect) {
            run(statement, vec![]);
        }
        let applied = vec![migration.version.into(), migration.name.into(), migration.hash(dialect).into()];
        run("INSERT INTO schema_migrations (version, name, sha256, applied_at) VALUES (?1, ?2, ?3, 1)", applied);
    }
    let applied = block_on(migrate(&database)).unwrap();
    assert_eq!(applied.first().copied(), Some("0023_retention"));
    // It records, takes a backlog that an import brings, and seals both.
    let event = |id: &str, at: i64| {
        let sql =
            "INSERT INTO audit_events (id, at, user_id, action, subject, outcome) VALUES (?1, ?2, 'u', 'a', 's', 'ok')";
        run(sql, vec![id.into(), at.into()]);
    };
    run("INSERT INTO audit_backlog (last_id, after_id) VALUES ('b', '')", vec![]);
    event("a", 0);
    event("b", 0);
    event("c", 5);
    let arrived = || run("SELECT event_id FROM audit_arrivals ORDER BY event_id", vec![]).len();
    assert_eq!(arrived(), 1, "those of the backlog wait for their turn");
    run("INSERT INTO audit_backlog_steps (last_id, after_id, up_to) VALUES ('b', '', 'b')", vec![]);
    assert_eq!(arrived(), 3);
    assert!(block_on(migrate(&database)).unwrap().is_empty());
}

fn a_migration_that_was_changed_after_it_was_applied_is_refused(place: Place) {
    let fixture = Fixture::new(place);
    let other = fixture.another_connection();
    for changed in MIGRATIONS.iter().rev() {
        let change = "UPDATE schema_migrations SET sha256 = 'x' WHERE version = ?1";
        block_on(other.query(Statement::new("t", change, [changed.version.into()]))).unwrap();
        let migrated = block_on(migrate(&other));
        assert!(matches!(migrated, Err(StorageError::MigrationChanged { version }) if version == changed.version));
    }
}

fn migrating_from_many_connections_at_once_applies_each_once(place: Place) {
    let applied: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| block_on(migrate(&place.open())).unwrap().len())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(applied, MIGRATIONS.len());
}

fn a_refused_guard_leaves_nothing_behind(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let file = fixture.another_connection();
    let rename = Statement::new("rename", "UPDATE users SET name = 'changed' WHERE id = ?1", [user.id.into()]);
    let never = Statement::new("never", "SELECT 1 WHERE 1 = 0", []).must_return();
    assert_eq!(block_on(file.transaction(vec![rename, never])).unwrap(), TransactionOutcome::Refused(1));
    assert_eq!(block_on(fixture.store.user(user.id)).unwrap().unwrap().name, "");
    let wrong = block_on(file.query(Statement::new("wrong", "SELECT nothing", [])));
    assert!(matches!(wrong, Err(DatabaseError::Refused { query: "wrong", .. })));
}

/// Hosts are replaced one after the other. Earlier releases report a failed call in `finish_reason`, and send each command on its own.
fn what_a_host_of_an_earlier_release_stores_is_read_like_what_this_one_stores(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let other = fixture.another_connection();
    for command in ["run_steps", "executor_steps"] {
        let conversation = fixture.conversation(&user);
        let (run, lease) = fixture.claimed(&user, conversation);
        let step = |owner: Id, id: i64, finish_reason: Option<&str>| {
            let sql = format!(
                "INSERT INTO {command} (run_id, lease_owner, state, last_id, frames, message_id, conversation_id, position, role,
                     content, tool_call_id, is_error, finish_reason, size, created_at)
                 SELECT runs.id, runs.lease_owner, 'tool_execution', ?3, 'f', ?4, conversation_id, ?3, 'tool', 'No.', 'c1', 1,
                     ?5, 3, now_ms()
                 FROM runs WHERE runs.id = ?1 AND runs.lease_owner = ?2 RETURNING run_id"
            );
            let parameters = [run.id.into(), owner.into(), id.into(), Id::new().into(), finish_reason.into()];
            block_on(other.query(Statement::new("t", sql, parameters))).unwrap().len()
        };
        let failed = Some("tool_error");
        assert_eq!((step(Id::new(), 2, failed), step(lease.owner, 2, failed)), (0, 1), "only who has the lease");
        assert_eq!(step(lease.owner, 3, None), 1);
        let page = block_on(fixture.store.messages(user.id, conversation, 1, 10, 1_000)).unwrap();
        let read: Vec<_> = page.messages.iter().map(|message| (&message.tool_result, &message.finish_reason)).collect();
        let result = |is_error| Some(ToolResult { call_id: "c1".into(), is_error, duration_ms: None, title: None });
        assert_eq!(read, [(&result(true), &None), (&result(false), &None)], "{command}");
        assert_eq!(block_on(fixture.store.log(run.id, 0)).unwrap(), [(2, "f".to_owned()), (3, "f".to_owned())]);
    }
}

fn a_host_of_an_earlier_release_sees_which_calls_failed_here(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (_, lease) = fixture.claimed(&user, fixture.conversation(&user));
    for (last_id, is_error) in [(2, true), (3, false)] {
        let result = result_of("c1", "No.", is_error);
        assert!(block_on(fixture.store.finish_tool_call(lease, &result, &batch(last_id, "f"))).unwrap());
    }
    let sql = "SELECT finish_reason FROM messages WHERE role = 'tool' ORDER BY position";
    let rows = block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    let said: Vec<_> = rows.into_iter().map(|row| row.0).collect();
    assert_eq!(said, [[Value::Text("tool_error".into())], [Value::Null]]);
}
