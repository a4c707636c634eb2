//! Who answered in a run and for how much, the lists of models of servers, and providers that administrators added.

use domain::{Cost, Id, RunState};
use storage::{
    Database, Statement, Store,
    keys::KeyRotation,
    master_keys::MasterKeyRotated,
    master_sealed::Resealed,
    messages::{Author, NewMessage},
    model_providers::{MAX_STORED_PROVIDERS, StoredProvider},
    runs::Ending,
};

use crate::{
    fixture::{Fixture, LEASE_MS, batch},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    a_run_says_who_answered_and_what_it_cost,
    of_those_who_find_a_list_missing_or_old_one_makes_it_anew,
    providers_are_read_with_the_claim_of_a_run_and_their_keys_are_sealed,
    a_new_master_key_seals_the_keys_of_providers_anew,
    there_is_an_end_to_providers,
}

fn a_run_says_who_answered_and_what_it_cost(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    let store = &fixture.store;
    assert_eq!((&run.provider, &run.cost), (&None, &None));
    let said = |provider: &str, millionths: Option<u64>| {
        let cost = millionths.map(|millionths| Cost { millionths, currency: "EUR".to_owned() });
        let author = Author { provider: provider.to_owned(), cost };
        NewMessage { author: Some(author), ..NewMessage::answer("a".into(), String::new(), "stop") }
    };
    let stored = || {
        let run = block_on(store.run(user.id, run.id)).unwrap().unwrap();
        (run.provider, run.cost.map(|cost| (cost.millionths, cost.currency)))
    };
    let step = block_on(store.finish_step(lease, RunState::ToolExecution, &said("far", Some(7)), None, &batch(1, "a")));
    assert!(step.unwrap());
    assert_eq!(stored(), (Some("far".to_owned()), Some((7, "EUR".to_owned()))));
    // What is not known does not hide what was.
    let (state, message) = (RunState::Complete, Some(said("near", None)));
    let ending = Ending { state, failure: None, usage: None, message, batch: batch(2, "b") };
    assert!(block_on(store.finish_run(lease, &ending)).unwrap());
    assert_eq!(stored(), (Some("near".to_owned()), Some((7, "EUR".to_owned()))));
    assert!(!block_on(store.finish_run(lease, &ending)).unwrap(), "the lease is gone");
}

fn of_those_who_find_a_list_missing_or_old_one_makes_it_anew(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    let claim = || block_on(store.claim_model_listing("https://a.example/v1")).unwrap();
    assert_eq!((claim(), claim()), (true, false));
    let models = ["m".to_owned(), "n".to_owned()];
    block_on(store.save_model_listing("https://a.example/v1", &models)).unwrap();
    let listings = || block_on(store.model_listings()).unwrap();
    assert_eq!((listings()[0].models.as_slice(), listings()[0].is_old), (models.as_slice(), false));
    let aged = Statement::new("t", "UPDATE model_listings SET listed_at = listed_at - 3700000", []);
    block_on(fixture.another_connection().query(aged)).unwrap();
    assert!(listings()[0].is_old);
    assert_eq!((claim(), claim()), (true, false));
    assert_eq!(listings()[0].models, models, "the old one counts meanwhile");
}

fn providers_are_read_with_the_claim_of_a_run_and_their_keys_are_sealed(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    let user = fixture.user("a@example.org");
    let (run, lease) = fixture.claimed(&user, fixture.conversation(&user));
    let claim = || block_on(store.claim(lease, LEASE_MS, "")).unwrap().unwrap();
    assert_eq!(claim().providers, []);
    let sealed = block_on(store.seal_provider_key("near", "planted key")).unwrap();
    assert!(!sealed.contains("planted") && !sealed.contains(' '), "{sealed}");
    let near = StoredProvider { settings: r#"{"name": "near and far"}"#.to_owned(), sealed };
    let far = StoredProvider { settings: "{}".to_owned(), sealed: String::new() };
    for (name, provider) in [("near", &far), ("near", &near), ("other", &far)] {
        assert!(block_on(store.set_model_provider(name, "https://near.example/v1", provider)).unwrap());
    }
    let mut read = claim().providers;
    read.sort_by_key(|provider| provider.settings.len());
    assert_eq!(read, [far.clone(), near.clone()]);
    assert_eq!(block_on(store.model_providers()).unwrap(), [near.clone(), far]);
    assert_eq!(block_on(store.open_provider_key("near", &near.sealed)).unwrap().as_str(), "planted key");
    assert!(block_on(store.open_provider_key("other", &near.sealed)).is_err(), "it is bound to its name");
    // What was learned about their servers comes with them.
    block_on(store.save_model_dialect("https://near.example/v1", &run.model, "new")).unwrap();
    assert_eq!(claim().dialects, [("https://near.example/v1".to_owned(), "new".to_owned())]);
    assert!(block_on(store.remove_model_provider("other")).unwrap());
    assert!(!block_on(store.remove_model_provider("other")).unwrap());
}

/// Makes a new master key, and says its id.
pub(crate) fn rotated(fixture: &Fixture, store: &Store<Real>) -> String {
    let earlier = Statement::new("t", "UPDATE generated_keys SET created_at = created_at - 60000", []);
    block_on(fixture.another_connection().query(earlier)).unwrap();
    let rotation = KeyRotation { revokes: false, user_id: Id::new(), detail: None };
    match block_on(store.rotate_generated_master_key(&rotation)).unwrap() {
        MasterKeyRotated::Rotated(id) => id,
        other => panic!("{other:?}"),
    }
}

fn a_new_master_key_seals_the_keys_of_providers_anew(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    let sealed = |name| block_on(store.seal_provider_key(name, "planted key")).unwrap();
    for name in ["near", "far"] {
        let provider = StoredProvider { settings: "{}".to_owned(), sealed: sealed(name) };
        assert!(block_on(store.set_model_provider(name, "", &provider)).unwrap());
    }
    let mut resealed = Resealed::default();
    let mut reseal = || block_on(store.reseal_next_with_master(&mut resealed)).unwrap();
    // Another host, which knows the master key of before.
    let other = Store::new(fixture.another_connection());
    let before = block_on(store.model_providers()).unwrap();
    assert_eq!(block_on(other.open_provider_key("far", &before[0].sealed)).unwrap().as_str(), "planted key");
    assert!(!reseal());
    let id = rotated(&fixture, store);
    assert!(reseal());
    while reseal() {}
    let stored = block_on(store.model_providers()).unwrap();
    assert!(stored.iter().all(|provider| provider.sealed.starts_with(&format!("v1.{id}."))), "{stored:?}");
    assert_eq!(block_on(other.open_provider_key("far", &stored[0].sealed)).unwrap().as_str(), "planted key");
}

fn there_is_an_end_to_providers(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    let provider = StoredProvider { settings: "{}".to_owned(), sealed: String::new() };
    let set = |name: String| block_on(store.set_model_provider(&name, "", &provider)).unwrap();
    assert!((0..MAX_STORED_PROVIDERS).all(|number| set(format!("p{number}"))));
    assert_eq!((set("one-more".to_owned()), set("p0".to_owned())), (false, true));
}
