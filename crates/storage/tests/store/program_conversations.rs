//! Conversations that programs bring along: what was said elsewhere is said in them, and they are temporary.

use domain::{ConversationSettings, MessageRole, ModelSettings};
use storage::{Database as _, Statement, Value};

use crate::{
    fixture::{Fixture, LEASE_MS, lease_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    what_was_said_elsewhere_is_the_context_of_the_answer,
    a_long_conversation_keeps_its_order,
    it_is_in_no_list_and_its_texts_are_not_in_the_database,
}

fn said(count: usize) -> Vec<(MessageRole, String)> {
    let role = |at: usize| if at.is_multiple_of(2) { MessageRole::User } else { MessageRole::Assistant };
    (0..count).map(|at| (role(at), format!("said-{at}"))).collect()
}

fn settings() -> ConversationSettings {
    let model = ModelSettings { instructions: Some("Be brief.".into()), ..ModelSettings::default() };
    ConversationSettings { model, unattended: true, ..ConversationSettings::default() }
}

fn what_was_said_elsewhere_is_the_context_of_the_answer(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let begun = block_on(fixture.store.begin_program_conversation(user.id, &settings(), &said(2))).unwrap().unwrap();
    let (_, run) = fixture.send(&user, begun, "and now?");
    let claim = block_on(fixture.store.claim(lease_of(&run), LEASE_MS, "")).unwrap().unwrap();
    assert_eq!((claim.unattended, claim.settings), (true, settings().model));
    let context = block_on(fixture.store.context(&run, 10, 1_000_000)).unwrap();
    let context: Vec<_> = context.iter().map(|message| (message.role, message.content.as_str())).collect();
    let (user, assistant) = (MessageRole::User, MessageRole::Assistant);
    assert_eq!(context, [(user, "said-0"), (assistant, "said-1"), (user, "and now?")]);
}

fn a_long_conversation_keeps_its_order(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let all = said(1_001);
    let begun = block_on(fixture.store.begin_program_conversation(user.id, &settings(), &all)).unwrap().unwrap();
    let page = block_on(fixture.store.messages(user.id, begun, 0, 2_000, 10_000_000)).unwrap();
    let read: Vec<_> = page.messages.into_iter().map(|message| (message.role, message.content)).collect();
    assert_eq!(read, all);
    let (message, _) = fixture.send(&user, begun, "and now?");
    assert_eq!(message.position, 1_002);
}

fn it_is_in_no_list_and_its_texts_are_not_in_the_database(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let begun = block_on(fixture.store.begin_program_conversation(user.id, &settings(), &said(2))).unwrap().unwrap();
    assert!(block_on(fixture.store.conversations(user.id, None, 9, true)).unwrap().is_empty());
    assert!(block_on(fixture.store.conversation(user.id, begun)).unwrap().unwrap().is_temporary);
    let rows = block_on(fixture.another_connection().query(Statement::new("t", "SELECT content FROM messages", [])));
    let rows = rows.unwrap();
    assert_eq!(rows.len(), 2);
    let is_clear = |value: &Value| matches!(value, Value::Text(text) if text.contains("said-"));
    assert!(!rows.iter().any(|row| row.0.iter().any(is_clear)), "{rows:?}");
}
