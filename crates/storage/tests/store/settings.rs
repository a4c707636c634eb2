//! Settings of conversations: runs go on with those that they were made with, and so does whoever tries them again.

use domain::{ConversationSettings, Id, ModelSettings, NamedAssistant, ResponseFormat, RunState, Temperature};
use serde_json::value::RawValue;
use storage::{
    Database as _, Statement, Value,
    claims::Claim,
    conversation_settings::SettingsChanged,
    messages::{Appended, IncomingMessage},
    retries::Retried,
    runs::{Batch, Ending, Lease},
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS, lease_of},
    places::{Place, block_on},
};

crate::on_each_database! {
    a_conversation_has_the_settings_that_it_was_given_until_they_are_as_usual_again,
    a_run_goes_on_with_the_settings_that_it_was_made_with_and_so_does_its_retry,
    of_two_changes_of_what_both_have_read_one_counts,
    settings_that_nothing_needs_any_more_are_gone,
    the_form_of_an_answer_is_that_of_the_message_for_every_run_that_answers_it,
    what_cannot_be_read_lets_no_tool_be_used_and_no_answer_pass,
}

fn settings(instructions: &str) -> ConversationSettings {
    ConversationSettings {
        assistant: Some(NamedAssistant { id: Id::new(), name: "Brief".into() }),
        model: ModelSettings {
            instructions: Some(instructions.into()),
            temperature: Temperature::try_from(0.5).ok(),
            tools: Some(vec!["clock:*".into()]),
            ..ModelSettings::default()
        },
        unattended: true,
        began_elsewhere: true,
    }
}

impl Fixture {
    fn set(&self, user: Id, conversation: Id, settings: &ConversationSettings) -> Option<Id> {
        let now = block_on(self.store.conversation(user, conversation)).unwrap().unwrap();
        let set = self.store.set_conversation_settings(user, conversation, now.settings_id, settings, None);
        match block_on(set).unwrap() {
            SettingsChanged::Changed(conversation) => conversation.settings_id,
            other => panic!("{other:?}"),
        }
    }

    fn take(&self, lease: Lease, lease_ms: i64) -> Claim {
        block_on(self.store.claim(lease, lease_ms, "")).unwrap().unwrap()
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let rows = block_on(self.another_connection().query(Statement::new("t", sql, []))).unwrap();
        match rows[0].0[0] {
            Value::Integer(count) => count,
            ref other => panic!("{other:?}"),
        }
    }
}

fn a_conversation_has_the_settings_that_it_was_given_until_they_are_as_usual_again(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    let id = fixture.conversation(&ada);
    let read = || block_on(fixture.store.conversation(ada.id, id)).unwrap().unwrap();
    assert_eq!((read().settings_id, read().settings), (None, ConversationSettings::default()));
    let brief = settings("Be brief.");
    let set = fixture.set(ada.id, id, &brief);
    assert_eq!((read().settings_id, read().settings), (set, brief.clone()));
    let listed = block_on(fixture.store.conversations(ada.id, None, 9, true)).unwrap();
    assert_eq!(listed[0].settings, ConversationSettings::default(), "a list does not read them");
    let stolen =
        block_on(fixture.store.set_conversation_settings(eve.id, id, set, &settings("Tell me all."), Some("x")));
    assert_eq!(stolen.unwrap(), SettingsChanged::NotFound);
    assert_eq!(read().settings, brief);
    fixture.set(ada.id, id, &ConversationSettings::default());
    assert_eq!((read().settings_id, read().settings), (None, ConversationSettings::default()));
    assert_eq!(fixture.count("conversation_settings"), 0);
}

fn a_run_goes_on_with_the_settings_that_it_was_made_with_and_so_does_its_retry(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let conversation = fixture.conversation(&user);
    let brief = settings("Be brief.");
    fixture.set(user.id, conversation, &brief);
    let (_, run) = fixture.send(&user, conversation, "hello");
    fixture.set(user.id, conversation, &settings("Be long."));
    let claim = fixture.take(lease_of(&run), LAPSED_MS);
    assert_eq!((&claim.settings, &claim.offers.chosen), (&brief.model, &brief.model.tools));
    assert!(claim.unattended && claim.began_elsewhere, "as it was said");
    let lease = lease_of(&run);
    assert_eq!(fixture.take(lease, LEASE_MS).settings, brief.model, "whoever takes it over");
    let ending =
        Ending { state: RunState::Cancelled, failure: None, usage: None, message: None, batch: Batch::default() };
    assert!(block_on(fixture.store.finish_run(lease, &ending)).unwrap());
    let Retried::Queued(again) = block_on(fixture.store.retry_run(user.id, run.id, None)).unwrap() else { panic!() };
    let lease = lease_of(&again);
    assert_eq!(fixture.take(lease, LEASE_MS).settings, brief.model, "the same again");
    assert!(block_on(fixture.store.finish_run(lease, &ending)).unwrap());
    let (_, next) = fixture.send(&user, conversation, "and now?");
    assert_eq!(fixture.take(lease_of(&next), LEASE_MS).settings.instructions.as_deref(), Some("Be long."));
}

fn of_two_changes_of_what_both_have_read_one_counts(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let conversation = fixture.conversation(&user);
    let results: Vec<SettingsChanged> = std::thread::scope(|scope| {
        let change = |words: &'static str| {
            let store = storage::Store::new(fixture.another_connection());
            scope.spawn(move || {
                block_on(store.set_conversation_settings(user.id, conversation, None, &settings(words), None)).unwrap()
            })
        };
        // Their key is there, so that neither waits for the other to make it.
        fixture.conversation(&user);
        let both = [change("One."), change("Two.")];
        both.into_iter().map(|change| change.join().unwrap()).collect()
    });
    let changed = results.iter().filter(|result| matches!(result, SettingsChanged::Changed(_))).count();
    assert_eq!((changed, fixture.count("conversation_settings")), (1, 1), "{results:?}");
}

fn settings_that_nothing_needs_any_more_are_gone(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let conversation = fixture.conversation(&user);
    for words in ["One.", "Two.", "Three."] {
        fixture.set(user.id, conversation, &settings(words));
    }
    assert_eq!(fixture.count("conversation_settings"), 1, "no run was made with the others");
    fixture.send(&user, conversation, "hello");
    fixture.set(user.id, conversation, &settings("Four."));
    assert_eq!(fixture.count("conversation_settings"), 2, "a run was made with the third");
    assert!(block_on(fixture.store.delete_conversation(user.id, conversation)).unwrap());
    assert_eq!(fixture.count("conversation_settings"), 0);
}

fn the_form_of_an_answer_is_that_of_the_message_for_every_run_that_answers_it(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let conversation = fixture.conversation(&user);
    let schema = r#"{"type":"object","properties":{"z":{"type":"number"},"a":{"type":"string"}}}"#;
    let schema = RawValue::from_string(schema.to_owned()).unwrap();
    let format = ResponseFormat { name: "planted".into(), description: None, schema, strict: Some(true) };
    let incoming = IncomingMessage {
        content: "hello",
        default_model: "m",
        response_format: Some(&format),
        ..IncomingMessage::default()
    };
    let sent = block_on(fixture.store.append_message(user.id, conversation, &incoming)).unwrap();
    let Appended::Stored(_, run, _) = sent else { panic!("{sent:?}") };
    let read = |lease, lease_ms| fixture.take(lease, lease_ms).response_format.unwrap();
    let lease = lease_of(&run);
    let first = read(lease, LEASE_MS);
    assert_eq!((first.name.as_str(), first.strict), ("planted", Some(true)));
    assert_eq!(first.schema.get(), format.schema.get(), "in its order");
    let ending =
        Ending { state: RunState::Cancelled, failure: None, usage: None, message: None, batch: Batch::default() };
    assert!(block_on(fixture.store.finish_run(lease, &ending)).unwrap());
    let Retried::Queued(again) = block_on(fixture.store.retry_run(user.id, run.id, None)).unwrap() else { panic!() };
    let lease = lease_of(&again);
    assert_eq!(read(lease, LEASE_MS).schema.get(), format.schema.get());
    assert!(block_on(fixture.store.finish_run(lease, &ending)).unwrap());
    let (_, next) = fixture.send(&user, conversation, "and in any form?");
    assert!(fixture.take(lease_of(&next), LEASE_MS).response_format.is_none());
    let sql = "SELECT format FROM response_formats";
    let stored = block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert!(matches!(stored.as_slice(), [row] if !format!("{row:?}").contains("planted")), "{stored:?}");
}

fn what_cannot_be_read_lets_no_tool_be_used_and_no_answer_pass(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let conversation = fixture.conversation(&user);
    fixture.set(user.id, conversation, &settings("Be brief."));
    let schema = RawValue::from_string("{}".to_owned()).unwrap();
    let format = ResponseFormat { name: "f".into(), description: None, schema, strict: None };
    let incoming = IncomingMessage {
        content: "hello",
        default_model: "m",
        response_format: Some(&format),
        ..IncomingMessage::default()
    };
    let sent = block_on(fixture.store.append_message(user.id, conversation, &incoming)).unwrap();
    let Appended::Stored(_, run, _) = sent else { panic!("{sent:?}") };
    for sql in [
        "UPDATE conversation_settings SET settings = substr(settings, 1, length(settings) - 3) || 'xyz'",
        "UPDATE response_formats SET format = substr(format, 1, length(format) - 3) || 'xyz'",
    ] {
        block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    }
    let claim = fixture.take(lease_of(&run), LEASE_MS);
    assert_eq!((claim.settings.instructions, claim.offers.chosen), (None, Some(Vec::new())));
    assert_eq!(claim.response_format.unwrap().schema.get(), "false");
}
