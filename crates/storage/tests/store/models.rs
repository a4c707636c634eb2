//! Who answered in a run and for how much, and the lists of models of servers.

use domain::{Cost, RunState};
use storage::{
    Database, Statement,
    messages::{Author, NewMessage},
    runs::Ending,
};

use crate::{
    fixture::{Fixture, batch},
    places::{Place, block_on},
};

crate::on_each_database! {
    a_run_says_who_answered_and_what_it_cost,
    of_those_who_find_a_list_missing_or_old_one_makes_it_anew,
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
