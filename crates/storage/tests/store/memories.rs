//! What people had remembered: each fact once, replaced and not piled up, theirs alone, sealed, and never of a temporary chat.

use domain::{ConversationSettings, Id, User, memory::MAX_MEMORIES};
use storage::{
    Store,
    memories::{Forgotten, KnownFact, Remembered},
};

use crate::{
    fixture::{Fixture, LEASE_MS, lease_of},
    places::{Place, block_on},
    sealing::rows,
};

crate::on_each_database! {
    a_fact_is_kept_once_and_replaced_by_its_number,
    facts_are_limited_and_a_replacement_needs_no_room,
    many_that_remember_at_once_lose_nothing_and_keep_the_same_fact_once,
    facts_are_their_persons_and_outlive_the_conversation,
    what_a_run_knows_is_read_with_its_claim,
    a_temporary_chat_remembers_nothing_and_knows_nothing,
    whoever_turned_it_off_is_not_remembered_and_keeps_their_facts,
}

/// A run that somebody executes.
fn run(fixture: &Fixture, user: &User) -> Id {
    let conversation = fixture.conversation(user);
    fixture.claimed(user, conversation).0.id
}

impl Fixture {
    fn remember(&self, user: &User, run: Id, content: &str, replaces: Option<i64>) -> Remembered {
        block_on(self.store.remember(user.id, run, content, replaces)).unwrap()
    }

    fn known(&self, user: &User) -> Vec<(i64, String)> {
        let known = block_on(self.store.memories(user.id)).unwrap();
        known.into_iter().map(|memory| (memory.number, memory.content)).collect()
    }

    /// What the next run of a conversation is told.
    fn told(&self, user: &User, conversation: Id) -> (Option<Vec<KnownFact>>, bool) {
        let (_, run) = self.send(user, conversation, "hello");
        let claim = block_on(self.store.claim(lease_of(&run), LEASE_MS, "")).unwrap().unwrap();
        (claim.memories, claim.offers.denied.contains(&"memory:*".to_owned()))
    }
}

fn owned(facts: &[(i64, &str)]) -> Vec<(i64, String)> {
    facts.iter().map(|(number, content)| (*number, (*content).to_owned())).collect()
}

fn a_fact_is_kept_once_and_replaced_by_its_number(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let (first, second) = (run(&fixture, &ada), run(&fixture, &ada));
    assert_eq!(fixture.remember(&ada, first, "Lives in Bern.", None), Remembered::New(1));
    assert_eq!(fixture.remember(&ada, first, "Likes planted-tea.", None), Remembered::New(2));
    assert_eq!(fixture.remember(&ada, second, "lives in bern", None), Remembered::Known(1));
    assert_eq!(fixture.remember(&ada, second, "Lives in Rome.", Some(1)), Remembered::Replaced(1));
    assert_eq!(fixture.remember(&ada, second, "Lives in Rome.", Some(7)), Remembered::NoSuchFact);
    let known = block_on(fixture.store.memories(ada.id)).unwrap();
    let places: Vec<_> = known.iter().map(|memory| memory.conversation_id.unwrap()).collect();
    assert!(places[0] != places[1] && known[0].updated_at > known[0].created_at, "where it was said last: {known:?}");
    assert_eq!(fixture.known(&ada), owned(&[(1, "Lives in Rome."), (2, "Likes planted-tea.")]));
    assert_eq!(fixture.remember(&ada, second, "Likes planted-tea", Some(1)), Remembered::Known(2), "two become one");
    assert_eq!(fixture.known(&ada), owned(&[(2, "Likes planted-tea.")]));
    let stored = rows(&fixture.another_connection(), "SELECT content FROM memories");
    assert!(!format!("{stored:?}").contains("planted"), "{stored:?}");
    let forgotten = |number| block_on(fixture.store.forget(ada.id, first, number)).unwrap();
    assert_eq!(forgotten(2), Forgotten::Forgotten("Likes planted-tea.".into()));
    assert_eq!((forgotten(2), fixture.known(&ada)), (Forgotten::NoSuchFact, Vec::new()));
}

fn facts_are_limited_and_a_replacement_needs_no_room(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let run = run(&fixture, &ada);
    let fact = |number| format!("('{}', '{}', {number}, 'fact {number}', NULL, 1, 1)", Id::new(), ada.id);
    let facts: Vec<String> = (1..=MAX_MEMORIES).map(fact).collect();
    rows(&fixture.another_connection(), &format!("INSERT INTO memories VALUES {}", facts.join(", ")));
    assert_eq!(fixture.remember(&ada, run, "one more", None), Remembered::Full);
    assert_eq!(fixture.remember(&ada, run, "another", Some(7)), Remembered::Replaced(7));
    assert_eq!(fixture.known(&ada).len(), MAX_MEMORIES);
    assert_eq!(block_on(fixture.store.delete_memories(ada.id)).unwrap(), MAX_MEMORIES);
}

fn many_that_remember_at_once_lose_nothing_and_keep_the_same_fact_once(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let run = run(&fixture, &ada);
    std::thread::scope(|scope| {
        for content in ["same", "same", "other"] {
            let store = Store::new(fixture.another_connection());
            scope.spawn(move || block_on(store.remember(ada.id, run, content, None)).unwrap());
        }
    });
    let mut contents: Vec<_> = fixture.known(&ada).into_iter().map(|(_, content)| content).collect();
    contents.sort();
    assert_eq!(contents, ["other", "same"]);
}

fn facts_are_their_persons_and_outlive_the_conversation(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    let conversation = fixture.conversation(&ada);
    let (run, lease) = fixture.claimed(&ada, conversation);
    assert_eq!(fixture.remember(&ada, run.id, "Likes tea.", None), Remembered::New(1));
    assert_eq!(fixture.remember(&eve, run.id, "Likes tea.", None), Remembered::Off, "it is not her run");
    let id = block_on(fixture.store.memories(ada.id)).unwrap()[0].id;
    assert_eq!(block_on(fixture.store.edit_memory(eve.id, id, "x")).unwrap(), None);
    assert!(!block_on(fixture.store.delete_memory(eve.id, id)).unwrap());
    assert_eq!((fixture.known(&eve), fixture.known(&ada)), (Vec::new(), owned(&[(1, "Likes tea.")])));
    fixture.end(lease, domain::RunState::Complete, "stop");
    assert!(block_on(fixture.store.delete_conversation(ada.id, conversation)).unwrap());
    let left = block_on(fixture.store.memories(ada.id)).unwrap().remove(0);
    assert_eq!((left.content.as_str(), left.conversation_id), ("Likes tea.", None));
    let edited = block_on(fixture.store.edit_memory(ada.id, id, "Likes coffee.")).unwrap().unwrap();
    assert!(edited.content == "Likes coffee." && edited.updated_at > left.updated_at);
}

fn what_a_run_knows_is_read_with_its_claim(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    let next = |user: &User| fixture.told(user, fixture.conversation(user));
    assert_eq!(next(&ada), (Some(Vec::new()), false));
    let said = run(&fixture, &ada);
    for content in ["Lives in Bern, with a cat.", "Likes tea."] {
        fixture.remember(&ada, said, content, None);
    }
    // Each replacement is newer, also within a millisecond: after two it is newer than all others.
    for content in ["Lives in Rome.", "Lives in Rome, with a cat."] {
        fixture.remember(&ada, said, content, Some(1));
    }
    let known = |number, content: &str| KnownFact { number, content: content.into() };
    let newest_first = vec![known(1, "Lives in Rome, with a cat."), known(2, "Likes tea.")];
    assert_eq!((next(&ada), next(&eve)), ((Some(newest_first), false), (Some(Vec::new()), false)));
    let conversation = fixture.conversation(&ada);
    let unattended = ConversationSettings { unattended: true, ..ConversationSettings::default() };
    let set = fixture.store.set_conversation_settings(ada.id, conversation, None, &unattended, None);
    block_on(set).unwrap();
    assert_eq!(fixture.told(&ada, conversation), (None, true), "a program speaks there");
}

fn a_temporary_chat_remembers_nothing_and_knows_nothing(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let said = run(&fixture, &ada);
    fixture.remember(&ada, said, "Likes tea.", None);
    let temporary = || block_on(fixture.store.begin_temporary_conversation(ada.id, Some("m"))).unwrap().unwrap().id;
    let (passing, _) = fixture.claimed(&ada, temporary());
    assert_eq!(fixture.remember(&ada, passing.id, "Is ill.", None), Remembered::Off);
    assert_eq!(fixture.remember(&ada, passing.id, "Is ill.", Some(1)), Remembered::Off);
    assert_eq!(block_on(fixture.store.forget(ada.id, passing.id, 1)).unwrap(), Forgotten::Off);
    assert_eq!(fixture.told(&ada, temporary()), (None, true));
    assert_eq!(fixture.known(&ada), owned(&[(1, "Likes tea.")]));
}

fn whoever_turned_it_off_is_not_remembered_and_keeps_their_facts(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let said = run(&fixture, &ada);
    fixture.remember(&ada, said, "Likes tea.", None);
    let switch = |is_on| block_on(fixture.store.switch_memory(ada.id, is_on)).unwrap();
    let is_on = || block_on(fixture.store.memory_is_on(ada.id)).unwrap();
    assert!(is_on(), "unless somebody says otherwise");
    switch(false);
    assert!(!is_on());
    assert_eq!(fixture.remember(&ada, said, "Is ill.", None), Remembered::Off);
    assert_eq!(fixture.told(&ada, fixture.conversation(&ada)), (None, true));
    assert_eq!(fixture.known(&ada), owned(&[(1, "Likes tea.")]));
    switch(true);
    let (told, denied) = fixture.told(&ada, fixture.conversation(&ada));
    assert_eq!((told.map(|facts| facts.len()), denied), (Some(1), false));
}
