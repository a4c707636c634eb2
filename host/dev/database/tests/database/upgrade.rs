//! A used database is migrated to the newest schema without losing data.

use storage::migration::MIGRATIONS;

use crate::places::{Place, TABLES, content, rows};

#[test]
fn a_database_of_the_first_schema_is_brought_to_the_newest_with_all_it_holds() {
    for place in Place::all() {
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
        let before = TABLES.map(|table| content(&place, table));
        assert!(before.iter().all(|rows| !rows.is_empty()));

        let told = place.succeed(&["migrate"]);
        assert!(MIGRATIONS[1..].iter().all(|migration| told.contains(migration.name)), "{told}");
        for (table, before) in TABLES.iter().zip(before) {
            // Columns that a later migration adds stand behind.
            let after = content(&place, table).into_iter();
            let width = before[0].len();
            let after: Vec<_> = after.map(|row| row[..width].to_vec()).collect();
            assert_eq!(before, after, "{table}");
        }
        assert!(place.succeed(&["migrate"]).contains("is up to date"));
    }
}
