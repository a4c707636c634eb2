//! Bringing a database up to date, and what every statement relies on.

use std::{fs, path::Path};

use domain::{Id, ToolResult};
use storage::{
    Database, DatabaseError, Outcome, Statement, StorageError,
    migration::{MIGRATIONS, migrate},
};

use crate::{
    fixture::Fixture,
    places::{Place, block_on},
};

crate::on_each_database! {
    migrating_twice_applies_nothing_the_second_time,
    a_migration_that_was_changed_after_it_was_applied_is_refused,
    migrating_from_many_connections_at_once_applies_each_once,
    a_refused_guard_leaves_nothing_behind,
    what_a_host_of_the_earlier_release_stores_is_what_this_one_would,
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
    }
}

fn migrating_twice_applies_nothing_the_second_time(place: Place) {
    let fixture = Fixture::new(place);
    assert!(block_on(migrate(&fixture.another_connection())).unwrap().is_empty());
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
    assert_eq!(block_on(file.transaction(vec![rename, never])).unwrap(), Outcome::Refused(1));
    assert_eq!(block_on(fixture.store.user(user.id)).unwrap().unwrap().name, "");
    let wrong = block_on(file.query(Statement::new("wrong", "SELECT nothing", [])));
    assert!(matches!(wrong, Err(DatabaseError::Refused { query: "wrong", .. })));
}

/// Hosts are replaced one after the other. That one said in `finish_reason` that a call had failed.
fn what_a_host_of_the_earlier_release_stores_is_what_this_one_would(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let conversation = fixture.conversation(&user);
    let (run, lease) = fixture.claimed(&user, conversation);
    let other = fixture.another_connection();
    let step = |owner: Id, id: i64| {
        let sql =
            "INSERT INTO executor_steps (run_id, lease_owner, state, last_id, frames, message_id, conversation_id, position, role,
                 content, tool_call_id, is_error, finish_reason, size, created_at)
             SELECT runs.id, runs.lease_owner, 'tool_execution', ?3, 'f', ?4, conversation_id, ?3, 'tool', 'No.', 'c1', 1,
                 'tool_error', 3, now_ms()
             FROM runs WHERE runs.id = ?1 AND runs.lease_owner = ?2 RETURNING run_id";
        let parameters = [run.id.into(), owner.into(), id.into(), Id::new().into()];
        block_on(other.query(Statement::new("t", sql, parameters))).unwrap().len()
    };
    assert_eq!((step(Id::new(), 2), step(lease.owner, 2)), (0, 1), "only who has the lease");
    let page = block_on(fixture.store.messages(user.id, conversation, 1, 10, 1_000)).unwrap();
    let [result] = page.messages.as_slice() else { panic!("{page:?}") };
    let tool_result = ToolResult { call_id: "c1".into(), is_error: true, duration_ms: None, title: None };
    assert_eq!((&result.tool_result, &result.finish_reason), (&Some(tool_result), &None));
    assert_eq!(block_on(fixture.store.log(run.id, 0)).unwrap(), [(2, "f".to_owned())]);
}
