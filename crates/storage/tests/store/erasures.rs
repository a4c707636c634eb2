//! Erasing people and conversations: nothing of them is left in any table, whoever is killed meanwhile, and everybody else keeps what is theirs.

use domain::{
    AssistantContents, ConversationSettings, Decision, Effect, Id, ModelSettings, ResponseFormat, RunState, Timestamp,
    User,
};
use serde_json::value::RawValue;
use storage::{
    Database as _, Dialect, Statement, Value,
    account_export::SECTIONS,
    accounts::{AccountChange, AccountChanged},
    approvals::Question,
    audit::AuditEvent,
    erasures::{ErasureRequested, ErasureTurn},
    messages::{Appended, IncomingMessage},
    sessions::TokenHashes,
    tool_connections::{NewConnection, NewTokens},
    tool_secrets::ToolSecret,
    tool_tasks::{NewTask, Said},
};

use crate::{
    fixture::{Fixture, LEASE_MS, answer, batch, lease_of},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    nothing_of_a_deleted_conversation_is_left_in_any_table,
    nothing_of_an_erased_person_is_left_but_a_pseudonym,
    an_erasure_is_done_once_whoever_is_killed_and_however_many_hosts_come_by,
    an_erasure_can_be_taken_back_until_it_begins,
    the_last_administrator_stays,
    a_copy_has_rows_of_every_section_page_by_page,
    whoever_is_let_in_again_is_not_erased,
    a_person_takes_back_only_what_they_asked_for,
}

/// What is planted everywhere.
const PLANTED: &str = "PLANTED";

/// What sealed texts begin with.
const SEALED: &str = "s1:";

/// Every column of the schema that holds text, with its table.
fn text_columns(database: &Real) -> Vec<(String, String)> {
    let sql = match database.dialect() {
        Dialect::Sqlite => {
            "SELECT tables.name, columns.name FROM pragma_table_list AS tables, pragma_table_xinfo(tables.name) AS columns
             WHERE tables.schema = 'main' AND tables.type = 'table' AND lower(columns.type) = 'text'"
        }
        Dialect::Postgres => {
            "SELECT CAST(table_name AS text), CAST(column_name AS text) FROM information_schema.columns
             JOIN information_schema.tables USING (table_schema, table_name)
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND data_type = 'text'"
        }
    };
    let columns = block_on(database.query(Statement::new("t", sql, []))).unwrap();
    assert!(columns.len() > 100, "these are columns of the whole schema");
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    columns.iter().map(|row| (text(&row.0[0]), text(&row.0[1]))).collect()
}

/// Every column, as `table.column`, with a text that contains one of these.
fn tables_with(database: &Real, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (table, column) in text_columns(database) {
        let any: Vec<String> = texts.iter().map(|text| format!("\"{column}\" LIKE '%{text}%'")).collect();
        let sql = format!("SELECT 1 FROM \"{table}\" WHERE {} LIMIT 1", any.join(" OR "));
        if !block_on(database.query(Statement::new("t", sql, []))).unwrap().is_empty() {
            found.push(format!("{table}.{column}"));
        }
    }
    found.sort();
    found
}

/// The tables with nothing of what was planted that no list names: nobody has thought of them here.
fn not_planted(database: &Real, planted: &[String], listed: &[&str]) -> Vec<String> {
    let mut tables: Vec<String> = text_columns(database).into_iter().map(|(table, _)| table).collect();
    tables.sort();
    tables.dedup();
    let is_planted = |table: &str| planted.iter().any(|column| column.split('.').next() == Some(table));
    tables.retain(|table| !is_planted(table) && !listed.contains(&table.as_str()));
    tables
}

/// What belongs to the installation and to nobody in it.
const OF_THE_INSTALLATION: [&str; 28] = [
    "audit_arrivals",
    "audit_backlog",
    "audit_chain",
    "audit_seals",
    "erasures",
    // Bytes that nothing opens when their file is gone, and the ids of such files, until somebody sweeps.
    "file_pieces",
    "file_removals",
    "file_texts",
    "generated_keys",
    "identity_providers",
    "inside_keys",
    "installation_keys",
    "metric_changes",
    "metric_names",
    "metric_totals",
    "model_dialects",
    "model_listings",
    "model_providers",
    "provider_logouts",
    "retention_rules",
    "retention_walk",
    "roles",
    "schema_migrations",
    "sealing_progress",
    "signing_keys",
    "sqlite_schema",
    "tool_listings",
    "user_groups",
];

/// What belongs to a person and to no conversation, or is the record of what they did.
const OF_A_PERSON: [&str; 31] = [
    "api_keys",
    "assistant_groups",
    "assistants",
    "audit_details",
    "audit_events",
    "budget_use",
    "budgets_reached",
    "data_keys",
    "identity_links",
    "invitations",
    "limits",
    "memories",
    "model_request_charges",
    "model_requests",
    "password_resets",
    "provider_sessions",
    "rate_limits",
    "recovery_codes",
    "search_indexes",
    "search_walks",
    "second_factors",
    "sessions",
    "tool_connection_attempts",
    "tool_connections",
    "tool_policies",
    "tool_secrets",
    "user_group_members",
    "user_identities",
    "users",
    // Ids of runs, until they are sent.
    "webhook_deliveries",
    "webhooks",
];

/// A conversation in which everything happened: messages, events, calls, a question, a task.
fn conversation(fixture: &Fixture, user: &User) -> (Id, Id) {
    let store = &fixture.store;
    let id = block_on(store.create_conversation(user.id, PLANTED, None)).unwrap().id;
    let model = ModelSettings { instructions: Some(PLANTED.into()), ..ModelSettings::default() };
    let settings = ConversationSettings { model, ..ConversationSettings::default() };
    block_on(store.set_conversation_settings(user.id, id, None, &settings, None)).unwrap();
    let schema = RawValue::from_string("{}".to_owned()).unwrap();
    let format = ResponseFormat { name: PLANTED.into(), description: None, schema, strict: None };
    let incoming = IncomingMessage {
        content: PLANTED,
        default_model: "m",
        response_format: Some(&format),
        files: &[fixture.file(user, PLANTED, b"hello").id],
        ..IncomingMessage::default()
    };
    let sent = block_on(store.append_message(user.id, id, &incoming)).unwrap();
    let Appended::Stored(_, run, _) = sent else { panic!("{sent:?}") };
    let lease = lease_of(&run);
    block_on(async {
        store.claim(lease, LEASE_MS, "").await.unwrap().unwrap();
        store.start_tool_call(lease, user.id, PLANTED, PLANTED).await.unwrap();
        let said = answer(PLANTED, "tool_calls");
        store.finish_step(lease, RunState::Streaming, &said, None, &batch(1, PLANTED)).await.unwrap();
        let question = Question { call_id: "c", server: PLANTED, tool: PLANTED, always_asks: false };
        store.ask_approval(lease, user.id, question, 60_000).await.unwrap().unwrap();
        let said = Said { message: Some(PLANTED), poll_ms: 0, lifetime_ms: 60_000 };
        let (name, title, server, tool, task_id) = ("clock", PLANTED, "clock", "now", "t");
        let task = NewTask { call_id: "t", name, title, server, tool, task_id, session: None, said };
        store.keep_tool_task(lease, user.id, task).await.unwrap();
        store.set_own_retention(user.id, id, Some(7)).await.unwrap();
    });
    let other = fixture.another_connection();
    for sql in [
        format!(
            "INSERT INTO run_charges (run_id, settled_tokens, settled_cost, tokens, cost, prompt_tokens, input_price, output_price) VALUES ('{}', 0, 0, 0, 0, 0, 0, 0)",
            run.id
        ),
        format!("INSERT INTO run_budgets (run_id, subject, period) VALUES ('{}', 'installation', '2026-11')", run.id),
        format!(
            "INSERT INTO file_readings SELECT id, user_id, 'failed', 1, '{PLANTED}', 1, 1, '{PLANTED}', '', '', 0, 0 FROM files
             WHERE user_id = '{}' AND id NOT IN (SELECT file_id FROM file_readings)",
            user.id
        ),
        // The number of the text is that of its only term, too.
        format!(
            "INSERT INTO search_documents SELECT COUNT(*), '{}', '{PLANTED}', 'conversation', '{id}', '{id}', '{PLANTED}', 1, 1 FROM search_documents",
            user.id
        ),
        "INSERT INTO search_postings SELECT number, number, 1 FROM search_documents WHERE number NOT IN (SELECT document FROM search_postings)".to_owned(),
        format!("INSERT INTO search_words SELECT '{}', 1, number, number, '{PLANTED}' FROM search_documents WHERE 1 = 1 ON CONFLICT DO NOTHING", user.id),
    ] {
        block_on(other.query(Statement::new("t", sql, []))).unwrap();
    }
    (id, run.id)
}

fn nothing_of_a_deleted_conversation_is_left_in_any_table(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (id, run) = conversation(&fixture, &user);
    let other = fixture.another_connection();
    let ids = [id.to_string(), run.to_string()];
    let before = tables_with(&other, &[PLANTED, SEALED, &ids[0], &ids[1]]);
    for column in
        ["messages.content", "run_events.frames", "approvals.server", "tool_tasks.title", "conversations.title"]
    {
        assert!(before.contains(&column.to_owned()), "{column}: {before:?}");
    }
    // Whatever nobody has thought of may be a part of a conversation.
    let others = [OF_THE_INSTALLATION.as_slice(), &OF_A_PERSON].concat();
    let unknown = not_planted(&other, &before, &others);
    assert_eq!(unknown, Vec::<String>::new(), "plant something there, or say why not");
    assert!(block_on(fixture.store.delete_conversation(user.id, id)).unwrap());
    assert_eq!(tables_with(&other, &[PLANTED, SEALED, &ids[0]]), Vec::<String>::new());
    // Until its server was told to stop.
    assert_eq!(tables_with(&other, &[&ids[1]]), ["tool_tasks.run_id"]);
}

/// The ids of somebody, and of their conversations and runs.
fn ids(database: &Real, user: &User) -> Vec<String> {
    let of = user.id;
    let sql = format!(
        "SELECT id FROM conversations WHERE user_id = '{of}' UNION SELECT id FROM runs WHERE user_id = '{of}'
         UNION SELECT id FROM assistants WHERE user_id = '{of}'"
    );
    let rows = block_on(database.query(Statement::new("t", sql, []))).unwrap();
    let id = |row: &storage::Row| row.columns("t").id().unwrap().to_string();
    rows.iter().map(id).chain([of.to_string()]).collect()
}

/// A person with something in every table that can hold something of a person.
fn person(fixture: &Fixture) -> User {
    let user = fixture.user(&format!("{PLANTED}@example.org"));
    conversation(fixture, &user);
    let (_, answered) = conversation(fixture, &user);
    let store = &fixture.store;
    block_on(async {
        store.rename_user(user.id, PLANTED).await.unwrap();
        store.decide_approval(user.id, answered, "c", Decision::AllowAlways).await.unwrap();
        store.set_tool_policy(Some(user.id), "PLANTED:*", Effect::Ask).await.unwrap();
        let secret = ToolSecret { server: "mail".into(), name: "password".into(), sealed: PLANTED.into() };
        store.set_tool_secret(user.id, &secret).await.unwrap();
        let tokens = NewTokens { access: PLANTED, refresh: Some(PLANTED), valid_for_ms: None };
        let connection = NewConnection { server: "wiki", url: "u", authority: PLANTED, tokens, scope: "" };
        store.set_tool_connection(user.id, &connection).await.unwrap();
        let token = TokenHashes { token: PLANTED.into(), family: PLANTED.into() };
        assert!(store.create_session(Id::new(), &user, &token, 60_000).await.unwrap());
        let event = AuditEvent { detail: Some(PLANTED), ..AuditEvent::new(user.id, "a.b", "s") };
        store.append_audit(&event).await.unwrap();
        let contents = AssistantContents { name: PLANTED.into(), ..AssistantContents::default() };
        store.create_assistant(user.id, &contents, &[]).await.unwrap();
        store.remember(user.id, answered, PLANTED, None).await.unwrap();
    });
    let of = user.id;
    let other = fixture.another_connection();
    for sql in [
        format!("INSERT INTO user_identities VALUES ('i', '{PLANTED}', '{of}', '{PLANTED}', '', 1, 2)"),
        format!(
            "INSERT INTO identity_links VALUES ('h', '{of}', 'i', '{PLANTED}', '{PLANTED}', '', NULL, NULL, 1, 2, NULL)"
        ),
        format!(
            "INSERT INTO provider_sessions SELECT id, '{PLANTED}', '{PLANTED}', '{PLANTED}', '{PLANTED}' FROM sessions WHERE user_id = '{of}'"
        ),
        format!("INSERT INTO limits VALUES ('user:{of}', 'tokens_per_day', 7)"),
        format!("INSERT INTO budget_use VALUES ('user:{of}', '2026-11', 1, 1)"),
        format!(
            "INSERT INTO model_requests (id, user_id, api, model, created_at) VALUES ('r', '{of}', 'embeddings', '{PLANTED}', 9007199254740993)"
        ),
        format!("INSERT INTO model_request_charges VALUES ('r', 'user:{of}', '2026-11', 1, 1, 9007199254740993)"),
        format!("INSERT INTO second_factors VALUES ('{of}', '{PLANTED}', 1, 1)"),
        format!("INSERT INTO recovery_codes VALUES ('{of}', '{PLANTED}', NULL)"),
        format!("INSERT INTO api_keys VALUES ('k', '{of}', '{PLANTED}', '{PLANTED}', 'one', '*', 1, NULL, NULL)"),
        format!("INSERT INTO tool_connection_attempts VALUES ('{of}', 'wiki', 's', 'state', 'proof', '{PLANTED}', 9)"),
        format!("INSERT INTO password_resets VALUES ('p', 'hash', '{of}', 'x', 7, 1, 2, NULL, 3)"),
        format!("INSERT INTO invitations VALUES ('i1', 'hash', 'member', '{of}', 7, 1, 2, NULL, NULL, NULL)"),
        format!("INSERT INTO rate_limits VALUES ('log-in:proof:{of}', 9007199254740993)"),
        format!("INSERT INTO budgets_reached VALUES ('user:{of}', 'tokens_per_day', '2026-11', 7, 1)"),
        format!(
            "INSERT INTO webhooks VALUES ('w', '{of}', '{PLANTED}', ' run.ended ', '{PLANTED}', 1, 0, NULL, 0, 0, 0, NULL, NULL, NULL, NULL)"
        ),
        format!("INSERT INTO search_indexes VALUES ('{of}', '{PLANTED}', 1, 1)"),
        format!("INSERT INTO search_walks VALUES ('{of}', 'z', 1, 1)"),
        format!("INSERT INTO webhook_deliveries VALUES ('w', 'evt_1', 'run.ended', '{PLANTED}', 1, 0, 1)"),
        "INSERT INTO user_groups VALUES ('g', 'g', '', 1)".to_owned(),
        format!("INSERT INTO user_group_members VALUES ('{of}', 'g', 1)"),
        format!("INSERT INTO assistant_groups SELECT id, 'g' FROM assistants WHERE user_id = '{of}'"),
    ] {
        block_on(other.query(Statement::new("t", sql, []))).unwrap();
    }
    block_on(fixture.store.user(user.id)).unwrap().unwrap()
}

fn request(fixture: &Fixture, user: &User, grace_ms: i64) -> ErasureRequested {
    block_on(fixture.store.request_erasure(user, user.id, grace_ms, Some("secret"))).unwrap()
}

fn erase(fixture: &Fixture, turn: &ErasureTurn) {
    block_on(fixture.store.destroy_data_key(turn.user_id)).unwrap();
    let mut step = 0;
    while block_on(fixture.store.erase_next(turn.user_id, &mut step)).unwrap() {}
    block_on(fixture.store.end_erasure(turn.user_id, "receipt", Timestamp::from_millis(5))).unwrap();
}

fn nothing_of_an_erased_person_is_left_but_a_pseudonym(place: Place) {
    let fixture = Fixture::new(place);
    let admin = fixture.user("admin@example.org");
    let kept = fixture.conversation(&admin);
    fixture.send(&admin, kept, "stays");
    let user = person(&fixture);
    let other = fixture.another_connection();
    let parts = ids(&other, &user);
    let found: Vec<&str> = parts.iter().map(String::as_str).chain([PLANTED, SEALED]).collect();
    let unknown = not_planted(&other, &tables_with(&other, &found), &OF_THE_INSTALLATION);
    assert_eq!(unknown, Vec::<String>::new(), "plant something there, or say why not");
    assert!(matches!(request(&fixture, &user, 0), ErasureRequested::Due(_)));
    let suspended = block_on(fixture.store.user(user.id)).unwrap().unwrap();
    assert!(
        suspended.is_suspended && block_on(fixture.store.open_sessions(Some(user.id), None, 9)).unwrap().is_empty()
    );
    let turn = block_on(fixture.store.take_erasure_turn()).unwrap().unwrap();
    for counted in ["\"conversations\":2", "\"messages\":4", "\"files\":2", "\"tool_secrets\":1", "\"audit_details\":1"]
    {
        assert!(turn.inventory.contains(counted), "{}", turn.inventory);
    }
    erase(&fixture, &turn);
    assert_eq!(tables_with(&other, &[PLANTED]), ["audit_events.subject"], "of the approval's pattern");
    let id = user.id.to_string();
    let pseudonym = ["audit_events.subject", "audit_events.user_id", "erasures.requested_by", "erasures.user_id"];
    assert_eq!(tables_with(&other, &[&id]), pseudonym);
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| *part != id).collect();
    assert_eq!(tables_with(&other, &parts), ["audit_events.run_id"]);
    let erasure = block_on(fixture.store.erasure_of_receipt("secret")).unwrap().unwrap();
    assert_eq!((erasure.user_id, erasure.receipt.as_deref()), (user.id, Some("receipt")));
    assert_eq!(fixture.texts(&admin, kept), ["stays"]);
}

fn an_erasure_is_done_once_whoever_is_killed_and_however_many_hosts_come_by(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let user = person(&fixture);
    request(&fixture, &user, 0);
    let turns: Vec<_> = std::thread::scope(|scope| {
        let host = || {
            let store = storage::Store::new(fixture.another_connection());
            block_on(store.take_erasure_turn()).unwrap()
        };
        let hosts: Vec<_> = (0..4).map(|_| scope.spawn(host)).collect();
        hosts.into_iter().filter_map(|host| host.join().unwrap()).collect()
    });
    let [killed] = turns.as_slice() else { panic!("{turns:?}") };
    // It deletes something and is killed. Nobody goes on before its turn is over.
    assert!(block_on(fixture.store.erase_next(user.id, &mut 0)).unwrap());
    assert_eq!(block_on(fixture.store.take_erasure_turn()).unwrap(), None);
    let over = Statement::new("t", "UPDATE erasures SET leased_until = 0", []);
    block_on(fixture.another_connection().query(over)).unwrap();
    let turn = block_on(fixture.store.take_erasure_turn()).unwrap().unwrap();
    assert_eq!(turn.inventory, killed.inventory, "what was there before anything went");
    erase(&fixture, &turn);
    // The killed one was only slow.
    assert!(!block_on(fixture.store.erase_next(user.id, &mut 0)).unwrap());
    block_on(fixture.store.end_erasure(user.id, "another receipt", Timestamp::from_millis(6))).unwrap();
    let erasure = block_on(fixture.store.erasure(user.id)).unwrap().unwrap();
    assert_eq!(erasure.receipt.as_deref(), Some("receipt"));
    assert_eq!(block_on(fixture.store.take_erasure_turn()).unwrap(), None);
    let records = block_on(fixture.store.audit_records(None, None, 100)).unwrap();
    let erased =
        records.iter().filter(|record| record.action == "account.erase" && record.subject == user.id.to_string());
    assert_eq!(erased.count(), 1);
}

fn an_erasure_can_be_taken_back_until_it_begins(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let user = fixture.user("a@example.org");
    assert!(matches!(request(&fixture, &user, 60_000), ErasureRequested::Due(_)));
    assert_eq!(request(&fixture, &user, 60_000), ErasureRequested::Stale, "it has changed since");
    assert_eq!(block_on(fixture.store.take_erasure_turn()).unwrap(), None, "it is not due");
    assert!(block_on(fixture.store.take_back_erasure(user.id, user.id)).unwrap());
    let back = block_on(fixture.store.user(user.id)).unwrap().unwrap();
    assert!(!back.is_suspended && back.access_version > user.access_version);
    request(&fixture, &back, 60_000);
    let now = block_on(fixture.store.user(user.id)).unwrap().unwrap();
    let admin = block_on(fixture.store.request_erasure(&now, now.id, 0, None)).unwrap();
    assert!(matches!(admin, ErasureRequested::Due(_)), "an earlier one");
    assert!(block_on(fixture.store.take_erasure_turn()).unwrap().is_some());
    assert!(!block_on(fixture.store.take_back_erasure(user.id, user.id)).unwrap(), "it has begun");
}

fn the_last_administrator_stays(place: Place) {
    let fixture = Fixture::new(place);
    let admin = fixture.user("admin@example.org");
    fixture.user("a@example.org");
    assert_eq!(request(&fixture, &admin, 0), ErasureRequested::LastAdministrator);
    assert!(!block_on(fixture.store.user(admin.id)).unwrap().unwrap().is_suspended);
    assert_eq!(block_on(fixture.store.erasure(admin.id)).unwrap(), None);
}

fn a_copy_has_rows_of_every_section_page_by_page(place: Place) {
    let fixture = Fixture::new(place);
    let other = fixture.user("admin@example.org");
    let user = person(&fixture);
    for section in &SECTIONS {
        let page = |after: Option<(Value, Value)>, limit| {
            block_on(fixture.store.export_rows(user.id, section, after, limit)).unwrap()
        };
        let whole = page(None, 100);
        assert!(!whole.is_empty(), "{}", section.name);
        let mut paged = page(None, 1);
        while let [next] = page(paged.last().map(|row| row.key.clone()), 1).as_slice() {
            paged.push(next.clone());
        }
        assert_eq!(paged, whole, "{}", section.name);
        let others = block_on(fixture.store.export_rows(other.id, section, None, 100)).unwrap();
        assert!(others.is_empty(), "{} of another person", section.name);
    }
}

fn whoever_is_let_in_again_is_not_erased(place: Place) {
    let fixture = Fixture::new(place);
    fixture.user("admin@example.org");
    let user = fixture.user("a@example.org");
    request(&fixture, &user, 0);
    let closed = block_on(fixture.store.user(user.id)).unwrap().unwrap();
    let resume = AccountChange { role: None, is_suspended: Some(false) };
    assert!(matches!(block_on(fixture.store.change_account(&closed, resume)).unwrap(), AccountChanged::Changed(_)));
    assert_eq!(block_on(fixture.store.take_erasure_turn()).unwrap(), None);
    assert_eq!(block_on(fixture.store.erasure(user.id)).unwrap(), None);
}

fn a_person_takes_back_only_what_they_asked_for(place: Place) {
    let fixture = Fixture::new(place);
    let admin = fixture.user("admin@example.org");
    let now = |user: &User| block_on(fixture.store.user(user.id)).unwrap().unwrap();
    let own = |user: &User| block_on(fixture.store.take_back_erasure(user.id, user.id)).unwrap();
    // What an administrator ordered.
    let user = fixture.user("a@example.org");
    block_on(fixture.store.request_erasure(&user, admin.id, 60_000, None)).unwrap();
    assert!(!own(&user));
    assert!(block_on(fixture.store.take_back_erasure(user.id, admin.id)).unwrap());
    assert!(!now(&user).is_suspended);
    // What an administrator ordered after the person had asked.
    request(&fixture, &now(&user), 60_000);
    block_on(fixture.store.request_erasure(&now(&user), admin.id, 60_000, None)).unwrap();
    assert!(!own(&user));
    // Whom an administrator has suspended meanwhile.
    let other = fixture.user("b@example.org");
    request(&fixture, &other, 60_000);
    let suspend = AccountChange { role: None, is_suspended: Some(true) };
    assert!(matches!(
        block_on(fixture.store.change_account(&now(&other), suspend)).unwrap(),
        AccountChanged::Changed(_)
    ));
    assert!(!own(&other));
    assert!(block_on(fixture.store.take_back_erasure(other.id, admin.id)).unwrap());
    assert!(now(&other).is_suspended, "it stays closed");
    let records = block_on(fixture.store.audit_records(None, None, 100)).unwrap();
    let count = |action: &str| records.iter().filter(|record| record.action == action).count();
    assert_eq!((count("account.erasure_request"), count("account.erasure_take_back")), (4, 2));
}
