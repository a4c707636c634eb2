//! `docs/encryption.md` says of every column what is in it and whether it is in clear: of each that there is, and of no other.

use std::{collections::BTreeSet, fs, path::Path};

use storage::{Store, Value, migration::migrate};

use crate::{
    places::{Place, Real, block_on},
    sealing::rows,
};

const BEGIN: &str = "<!-- columns: compared with the schema by its test -->\n";
const END: &str = "<!-- end -->";

/// Sealed, and never with a former key: sealed anew before it goes, by `reseal_next_with_master`; gone before it is; made anew from texts that are; or with a key
/// of its own, as the pieces of files and of their texts.
const OTHERWISE: [&str; 6] = [
    "file_pieces.sealed",
    "file_texts.sealed",
    "model_providers.sealed",
    "search_words.sealed",
    "tool_connection_attempts.attempt",
    "webhooks.sealed",
];

fn texts(database: &Real, sql: &str) -> Vec<String> {
    let text = |row: storage::Row| match row.0.first() {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    rows(database, sql).into_iter().map(text).collect()
}

#[test]
fn every_text_column_of_the_schema_is_in_the_document() {
    let place = Place::sqlite();
    let database = place.open();
    block_on(migrate(&database)).unwrap();
    let mut schema = BTreeSet::new();
    for table in texts(&database, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'") {
        let columns = format!("SELECT name FROM pragma_table_info('{table}') WHERE lower(type) = 'text'");
        schema.extend(texts(&database, &columns).into_iter().map(|column| format!("{table}.{column}")));
    }
    schema.retain(|column| !column.starts_with("schema_migrations."));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/encryption.md");
    let document = fs::read_to_string(path).unwrap();
    let table = document.split_once(BEGIN).unwrap().1.split_once(END).unwrap().0;
    let (mut written, mut sealed) = (BTreeSet::new(), BTreeSet::new());
    for row in table.lines().skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [table, columns, who, stored, why] = cells.as_slice() else { panic!("{row}") };
        assert!(!who.is_empty() && (*stored != "clear" || !why.is_empty()), "it says who, and why: {row}");
        for column in columns.split(", ") {
            let column = format!("{}.{}", table.trim_matches('`'), column.trim_matches('`'));
            if stored.starts_with("sealed") {
                sealed.insert(column.clone());
            }
            assert!(written.insert(column), "it is there twice: {row}");
        }
    }
    let missing: Vec<_> = schema.difference(&written).collect();
    let gone: Vec<_> = written.difference(&schema).collect();
    assert!(missing.is_empty() && gone.is_empty(), "missing: {missing:?}; not in the schema: {gone:?}");
    // What is sealed anew after a rotation, so that nothing is lost with a former key.
    let known: BTreeSet<String> =
        Store::<Real>::sealed_columns().into_iter().map(|(table, column)| format!("{table}.{column}")).collect();
    let forgotten: Vec<_> = sealed.difference(&known).filter(|column| !OTHERWISE.contains(&column.as_str())).collect();
    assert!(forgotten.is_empty() && known.is_subset(&sealed), "{forgotten:?} {:?}", known.difference(&sealed));
}
