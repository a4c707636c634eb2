//! A used database is migrated to the newest schema without losing data.

use storage::{Value, migration::MIGRATIONS};

use crate::places::{Place, TABLES, content, rows};

/// Makes the place one of the first schema, with rows in every table.
fn begin(place: &Place) {
    let (first, dialect) = (&MIGRATIONS[0], place.dialect());
    let mut statements: Vec<String> = first.statements(dialect).map(str::to_owned).collect();
    statements.push(
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at bigint NOT NULL)"
            .to_owned(),
    );
    let (name, hash) = (first.name, first.hash(dialect));
    statements.push(format!("INSERT INTO schema_migrations VALUES (1, '{name}', '{hash}', 1)"));
    statements.extend(rows());
    place.execute(statements);
}

#[test]
fn a_database_of_the_first_schema_is_brought_to_the_newest_with_all_it_holds() {
    for place in Place::all() {
        begin(&place);
        let before = TABLES.map(|table| content(&place, table));
        assert!(before.iter().all(|rows| !rows.is_empty()));

        let told = place.succeed(&["migrate"]);
        assert!(MIGRATIONS[1..].iter().all(|migration| told.contains(migration.name)), "{told}");
        for (table, before) in TABLES.iter().zip(before) {
            // Columns that a later migration adds come last.
            let after = content(&place, table).into_iter();
            let width = before[0].len();
            let after: Vec<_> = after.map(|row| row[..width].to_vec()).collect();
            assert_eq!(before, after, "{table}");
        }
        assert!(place.succeed(&["migrate"]).contains("is up to date"));
    }
}

#[test]
fn a_call_that_failed_still_has_when_that_is_said_in_another_place() {
    for place in Place::all() {
        begin(&place);
        let result = |id, finish_reason| {
            format!(
                "INSERT INTO messages (id, conversation_id, run_id, position, role, content, tool_call_id, finish_reason, size, created_at)
                 VALUES ('{id}', 'c-u1', 'r-u1', {id}, 'tool', '', 'call', {finish_reason}, 0, 1)"
            )
        };
        place.execute(vec![result(1001, "'tool_error'"), result(1002, "NULL")]);
        place.succeed(&["migrate"]);
        let stored = place.query("SELECT tool_error, finish_reason FROM messages WHERE role = 'tool' ORDER BY id");
        let stored: Vec<_> = stored.into_iter().map(|row| row.0).collect();
        assert_eq!(stored, [[Value::Integer(1), Value::Null], [Value::Integer(0), Value::Null]]);
        let others = place.query("SELECT 1 FROM messages WHERE role <> 'tool' AND tool_error IS NOT NULL");
        assert!(others.is_empty());
    }
}
