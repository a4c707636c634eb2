//! What nobody waits for is no reason for others to wait: a copy of everything, an erasure and the deletion of old conversations find their rows by an index,
//! page after page, so the last page costs as much as the first.

use storage::{account_export::SECTIONS, erasures::ErasureRequested};

use super::*;

crate::on_each_database! {
    a_copy_and_an_erasure_read_no_table_again_and_again,
    looking_for_old_conversations_reads_no_whole_table,
    counting_what_is_there_reads_no_whole_table,
}

/// Read whole in an erasure, once for each account: tasks, limits and invitations are few, and go by themselves.
const ONCE: [&str; 6] = ["tool_tasks", "rate_limits", "invitations", FIRST[0], FIRST[1], FIRST[2]];
/// Of these, only the first is looked for; and webhooks are few.
const FIRST: [&str; 3] = ["audit_arrivals", "audit_backlog", "webhooks"];

/// Of these, somebody has some, and some thousand of sessions after years.
const SOME: [&str; 8] = [
    "api_keys",
    "invitations",
    "password_resets",
    "sessions",
    "tool_tasks",
    "user_group_members",
    "user_identities",
    "webhooks",
];

fn recorded(database: &Real, work: impl FnOnce(&Store<Recorder<'_>>)) -> Vec<Statement> {
    let statements = Mutex::new(Vec::new());
    work(&Store::new(Recorder { database, statements: &statements }));
    statements.into_inner().unwrap()
}

fn check(database: &Real, allowed: &[&str], statements: Vec<Statement>) {
    assert!(!statements.is_empty());
    for statement in statements {
        reads_whole_only(allowed, database, statement);
    }
}

fn a_copy_and_an_erasure_read_no_table_again_and_again(place: Place) {
    let database = place.open();
    block_on(migrate(&database)).unwrap();
    fill(&database);
    let user_id = id(USER, 2);
    let pages = recorded(&database, |store| {
        for section in &SECTIONS {
            let first = block_on(store.export_rows(user_id, section, None, 2)).unwrap();
            if let Some(last) = first.last() {
                block_on(store.export_rows(user_id, section, Some(last.key.clone()), 2)).unwrap();
            }
        }
        for after in [None, Some(id(CONVERSATION, 1))] {
            block_on(store.conversations_as_begun(user_id, after, 2)).unwrap();
        }
    });
    if database.dialect() == Dialect::Sqlite {
        for page in &pages {
            let plan = explain(&database, page.clone());
            // A page that is sorted was read with all pages after it.
            let is_sorted = plan.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY"));
            let is_small = SOME.iter().any(|table| page.sql.contains(&format!("FROM {table}")));
            assert!(!is_sorted || is_small, "{}\n{}", page.sql, plan.join("\n"));
        }
    }
    check(&database, &ONCE, pages);
    recorded(&database, |store| {
        let user = block_on(store.user(user_id)).unwrap().unwrap();
        let asked = block_on(store.request_erasure(&user, id(USER, 3), 0, None)).unwrap();
        assert!(matches!(asked, ErasureRequested::Due(_)));
    });
    let erased = recorded(&database, |store| {
        assert!(block_on(store.background_work()).unwrap().erases);
        let turn = block_on(store.take_erasure_turn()).unwrap().unwrap();
        assert_eq!(turn.user_id, user_id);
        let mut step = 0;
        while block_on(store.erase_next(user_id, &mut step)).unwrap() {}
    });
    // What there is is counted once, before anything goes. PostgreSQL reads the few conversations here rather than their index.
    let is_exempt = |statement: &Statement| match database.dialect() {
        Dialect::Sqlite => false,
        Dialect::Postgres => ["take_erasure_turn", "erase_conversations"].contains(&statement.name),
    };
    let erased = erased.into_iter().filter(|statement| !is_exempt(statement)).collect();
    check(&database, &ONCE, erased);
}

fn looking_for_old_conversations_reads_no_whole_table(place: Place) {
    let database = place.open();
    block_on(migrate(&database)).unwrap();
    fill(&database);
    for sql in [
        "INSERT INTO retention_rules (subject, days, counts_at) VALUES ('installation', 1, 1), ('role:member', 2, 1), ('role:other', 3, 1)"
            .to_owned(),
        format!(
            "INSERT INTO conversation_lifetimes (conversation_id, idle_ms, is_temporary, check_at) SELECT id, 60000, 0, 9007199254740993 FROM conversations WHERE user_id <> '{}'",
            id(USER, 2)
        ),
        format!("UPDATE conversation_lifetimes SET check_at = 1 WHERE conversation_id = '{}'", id(CONVERSATION, 3)),
        "ANALYZE".to_owned(),
    ] {
        block_on(database.query(Statement::new("t", sql, []))).unwrap();
    }
    let looked = recorded(&database, |store| {
        assert!(block_on(store.background_work()).unwrap().expires);
        for _ in 0..3 {
            assert!(block_on(store.expire_next()).unwrap());
        }
        block_on(store.set_own_retention(id(USER, 2), id(CONVERSATION, 1), Some(1))).unwrap();
        block_on(store.begin_temporary_conversation(id(USER, 2), None)).unwrap();
    });
    // PostgreSQL knows that a step is for more people than there are here, and that all of them have something.
    let is_exempt =
        |statement: &Statement| database.dialect() == Dialect::Postgres && statement.name == "expired_by_rules";
    let looked = looked.into_iter().filter(|statement| !is_exempt(statement)).collect();
    check(&database, &FIRST, looked);
}

/// Whatever is deleted is looked for in every table that refers to it.
#[test]
fn whatever_refers_to_a_row_is_found_by_an_index() {
    let place = Place::sqlite();
    let database = place.open();
    block_on(migrate(&database)).unwrap();
    let query = |sql: &str| block_on(database.query(Statement::new("t", sql.to_owned(), []))).unwrap();
    let unindexed = query(
        "SELECT tables.name, keys.\"from\" FROM pragma_table_list AS tables, pragma_foreign_key_list(tables.name) AS keys
         WHERE tables.schema = 'main' AND keys.seq = 0 AND NOT EXISTS (
             SELECT 1 FROM pragma_index_list(tables.name) AS indexes, pragma_index_info(indexes.name) AS columns
             WHERE columns.seqno = 0 AND columns.name = keys.\"from\" AND indexes.partial = 0)",
    );
    assert_eq!(unindexed, Vec::<Row>::new());
}

fn counting_what_is_there_reads_no_whole_table(place: Place) {
    let database = place.open();
    block_on(migrate(&database)).unwrap();
    fill(&database);
    let asked = recorded(&database, |store| {
        block_on(store.metric_gauges()).unwrap();
    });
    // SQLite reads the whole of an index that has only the runs that go on.
    let is_partial = |step: &&String| !step.starts_with("SCAN runs") || step.ends_with("USING INDEX runs_active");
    for statement in &asked {
        let plan = explain(&database, statement.clone());
        assert_eq!(plan.iter().filter(|step| !is_partial(step)).count(), 0, "{}", plan.join("\n"));
    }
    let allowed: &[&str] = if database.dialect() == Dialect::Sqlite { &["runs"] } else { &[] };
    check(&database, allowed, asked);
}
