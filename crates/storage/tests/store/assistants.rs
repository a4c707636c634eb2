//! Assistants: whose they are, who sees them, and how they are found by their names.

use domain::{AssistantContents, Id, ModelSettings, User};
use storage::{
    Database as _, Statement,
    assistants::{Assistant, AssistantSaved, MAX_ASSISTANTS_OF_USER, NotNamed, Viewer},
    groups::GroupSaved,
};

use crate::{
    fixture::Fixture,
    places::{Place, block_on},
};

crate::on_each_database! {
    an_assistant_is_its_owners_until_it_is_shared_with_a_group,
    a_name_is_one_of_each_owner_in_small_and_capital_letters,
    a_name_means_ones_own_assistant_before_that_of_others,
    of_two_changes_of_what_both_have_read_one_counts,
    many_that_want_a_name_at_once_get_it_once,
    whoever_manages_shared_ones_sees_no_private_one,
    an_assistant_goes_with_its_owner_and_is_unshared_with_a_group_that_goes,
    what_nobody_can_read_or_whose_owner_is_suspended_is_not_found,
    what_an_assistant_says_is_not_in_the_database,
}

fn contents(name: &str) -> AssistantContents {
    AssistantContents {
        name: name.into(),
        description: "planted-description".into(),
        model: Some("m".into()),
        settings: ModelSettings { instructions: Some("planted-instructions".into()), ..ModelSettings::default() },
    }
}

fn viewer(user: &User) -> Viewer {
    Viewer { user_id: user.id, manages_shared: false }
}

impl Fixture {
    fn group(&self, name: &str, members: &[&User]) -> Id {
        let GroupSaved::Saved(group) = block_on(self.store.create_group(name, &[])).unwrap() else { panic!() };
        for member in members {
            assert!(block_on(self.store.add_group_member(group.id, member.id)).unwrap());
        }
        group.id
    }

    fn assistant(&self, owner: &User, name: &str, groups: &[Id]) -> Assistant {
        match block_on(self.store.create_assistant(owner.id, &contents(name), groups)).unwrap() {
            AssistantSaved::Saved(assistant) => *assistant,
            other => panic!("{other:?}"),
        }
    }

    fn seen(&self, viewer: Viewer) -> Vec<String> {
        let seen = block_on(self.store.assistants(viewer, None, 100)).unwrap();
        let mut names: Vec<String> = seen.into_iter().map(|assistant| assistant.contents.name).collect();
        names.sort();
        names
    }

    fn named(&self, user: &User, name: &str) -> Result<Id, NotNamed> {
        block_on(self.store.assistant_by_name(user.id, name)).unwrap().map(|assistant| assistant.id)
    }
}

fn an_assistant_is_its_owners_until_it_is_shared_with_a_group(place: Place) {
    let fixture = Fixture::new(place);
    let [ada, ben, eve] = ["ada@example.org", "ben@example.org", "eve@example.org"].map(|email| fixture.user(email));
    let group = fixture.group("team", &[&ada, &ben]);
    let made = fixture.assistant(&ada, "Translator", &[]);
    assert_eq!((made.owner_id, &made.contents, made.groups.len()), (ada.id, &contents("Translator"), 0));
    let sees = |user: &User| block_on(fixture.store.assistant(viewer(user), made.id)).unwrap();
    assert_eq!((sees(&ada).as_ref(), sees(&ben), sees(&eve)), (Some(&made), None, None));
    assert!(!block_on(fixture.store.delete_assistant(viewer(&ben), made.id)).unwrap());

    let shared = block_on(fixture.store.update_assistant(&made, &made.contents, &[group, Id::new()])).unwrap();
    let AssistantSaved::Saved(shared) = shared else { panic!("{shared:?}") };
    assert_eq!(shared.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["team"]);
    let bens = sees(&ben).unwrap();
    assert_eq!((bens.contents.name.as_str(), viewer(&ben).may_change(&bens)), ("Translator", false));
    assert_eq!((fixture.seen(viewer(&ben)), fixture.seen(viewer(&eve))), (vec!["Translator".to_owned()], vec![]));
    assert!(!block_on(fixture.store.delete_assistant(viewer(&ben), made.id)).unwrap(), "seeing is not changing");
    block_on(fixture.store.remove_group_member(group, ben.id)).unwrap();
    assert_eq!(sees(&ben), None);
    assert!(block_on(fixture.store.delete_assistant(viewer(&ada), made.id)).unwrap());
    assert_eq!(sees(&ada), None);
}

fn a_name_is_one_of_each_owner_in_small_and_capital_letters(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, ben) = (fixture.user("ada@example.org"), fixture.user("ben@example.org"));
    let made = fixture.assistant(&ada, "Übersetzer", &[]);
    let again = |owner: &User, name: &str| block_on(fixture.store.create_assistant(owner.id, &contents(name), &[]));
    assert_eq!(again(&ada, "übersetzer").unwrap(), AssistantSaved::NameTaken);
    assert!(matches!(again(&ben, "Übersetzer").unwrap(), AssistantSaved::Saved(_)));
    let other = fixture.assistant(&ada, "Other", &[]);
    let renamed = |name: &str| block_on(fixture.store.update_assistant(&other, &contents(name), &[])).unwrap();
    assert_eq!(renamed(" ÜBERSETZER "), AssistantSaved::NameTaken);
    assert!(matches!(renamed("Another"), AssistantSaved::Saved(_)));
    let same = block_on(fixture.store.update_assistant(&made, &contents("übersetzer"), &[])).unwrap();
    assert!(matches!(same, AssistantSaved::Saved(_)), "its own name: {same:?}");
    for number in 2..MAX_ASSISTANTS_OF_USER {
        fixture.assistant(&ada, &number.to_string(), &[]);
    }
    assert_eq!(again(&ada, "one more").unwrap(), AssistantSaved::TooMany);
}

fn a_name_means_ones_own_assistant_before_that_of_others(place: Place) {
    let fixture = Fixture::new(place);
    let [ada, ben, eve] = ["ada@example.org", "ben@example.org", "eve@example.org"].map(|email| fixture.user(email));
    let group = fixture.group("team", &[&ada, &ben, &eve]);
    let adas = fixture.assistant(&ada, "Translator", &[group]);
    assert_eq!(fixture.named(&eve, "translator"), Ok(adas.id));
    assert_eq!(fixture.named(&eve, "nobody's"), Err(NotNamed::Unknown));
    let bens = fixture.assistant(&ben, "Translator", &[group]);
    assert_eq!(fixture.named(&eve, "Translator"), Err(NotNamed::Ambiguous));
    assert_eq!((fixture.named(&ada, "Translator"), fixture.named(&ben, "Translator")), (Ok(adas.id), Ok(bens.id)));
    let private = fixture.assistant(&ada, "Private", &[]);
    assert_eq!(fixture.named(&eve, "Private"), Err(NotNamed::Unknown));
    assert_eq!(fixture.named(&ada, " private"), Ok(private.id));
    assert!(NotNamed::Ambiguous.to_string().contains("yours is found first"));
}

fn of_two_changes_of_what_both_have_read_one_counts(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    let read = fixture.assistant(&ada, "Translator", &[]);
    let change = |name: &str| block_on(fixture.store.update_assistant(&read, &contents(name), &[])).unwrap();
    let first = change("First");
    let AssistantSaved::Saved(first) = first else { panic!("{first:?}") };
    assert!(first.updated_at > read.updated_at, "also within a millisecond");
    assert_eq!(change("Second"), AssistantSaved::ChangedMeanwhile);
    assert_eq!(fixture.seen(viewer(&ada)), ["First"]);
}

fn many_that_want_a_name_at_once_get_it_once(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    fixture.assistant(&ada, "Another", &[]);
    let results: Vec<AssistantSaved> = std::thread::scope(|scope| {
        let make = || {
            let store = storage::Store::new(fixture.another_connection());
            block_on(store.create_assistant(ada.id, &contents("Wanted"), &[])).unwrap()
        };
        let all: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let made = results.iter().filter(|result| matches!(result, AssistantSaved::Saved(_))).count();
    let taken = results.iter().filter(|result| matches!(result, AssistantSaved::NameTaken)).count();
    assert_eq!((made, taken), (1, 3), "{results:?}");
}

fn whoever_manages_shared_ones_sees_no_private_one(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, ada) = (fixture.user("admin@example.org"), fixture.user("ada@example.org"));
    let group = fixture.group("team", &[&ada]);
    let (private, shared) = (fixture.assistant(&ada, "Private", &[]), fixture.assistant(&ada, "Shared", &[group]));
    let manager = Viewer { user_id: admin.id, manages_shared: true };
    assert_eq!(fixture.seen(manager), ["Shared"]);
    assert!(!block_on(fixture.store.delete_assistant(manager, private.id)).unwrap());
    let read = block_on(fixture.store.assistant(manager, shared.id)).unwrap().unwrap();
    let unshared = block_on(fixture.store.update_assistant(&read, &contents("Kept"), &[])).unwrap();
    assert!(matches!(unshared, AssistantSaved::Saved(_)), "{unshared:?}");
    assert_eq!((fixture.seen(manager), fixture.seen(viewer(&ada)).len()), (Vec::new(), 2));
    assert!(!block_on(fixture.store.delete_assistant(manager, shared.id)).unwrap(), "it is private now");
}

fn an_assistant_goes_with_its_owner_and_is_unshared_with_a_group_that_goes(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, ben) = (fixture.user("ada@example.org"), fixture.user("ben@example.org"));
    let group = fixture.group("team", &[&ada, &ben]);
    let made = fixture.assistant(&ada, "Shared", &[group]);
    block_on(fixture.store.delete_group(group)).unwrap();
    assert_eq!(fixture.seen(viewer(&ben)), Vec::<String>::new());
    assert_eq!(block_on(fixture.store.assistant(viewer(&ada), made.id)).unwrap().unwrap().groups, []);
    let mut step = 0;
    while block_on(fixture.store.erase_next(ada.id, &mut step)).unwrap() {}
    let left = block_on(fixture.another_connection().query(Statement::new("t", "SELECT id FROM assistants", [])));
    assert_eq!(left.unwrap(), []);
}

fn what_nobody_can_read_or_whose_owner_is_suspended_is_not_found(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, ada, ben) =
        (fixture.user("admin@example.org"), fixture.user("a@example.org"), fixture.user("b@example.org"));
    let group = fixture.group("team", &[&ada, &ben]);
    let made = fixture.assistant(&ada, "Translator", &[group]);
    let execute = |sql: &str| block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    execute("UPDATE users SET suspended_at = 1 WHERE email = 'a@example.org'");
    assert_eq!((fixture.seen(viewer(&ben)), fixture.named(&ben, "Translator")), (vec![], Err(NotNamed::Unknown)));
    let manager = Viewer { user_id: admin.id, manages_shared: true };
    assert_eq!(fixture.seen(manager), ["Translator"], "somebody must be able to take it away");
    execute("UPDATE users SET suspended_at = NULL");
    assert_eq!(fixture.named(&ben, "Translator"), Ok(made.id));
    execute("UPDATE assistants SET contents = substr(contents, 1, length(contents) - 3) || 'xyz'");
    assert_eq!(fixture.named(&ben, "Translator"), Err(NotNamed::Unknown));
    let unreadable = block_on(fixture.store.assistant(viewer(&ben), made.id)).unwrap().unwrap();
    assert_eq!((unreadable.is_readable, unreadable.contents.settings.tools), (false, Some(Vec::new())));
}

fn what_an_assistant_says_is_not_in_the_database(place: Place) {
    let fixture = Fixture::new(place);
    let ada = fixture.user("ada@example.org");
    fixture.assistant(&ada, "planted-name", &[]);
    let rows = block_on(fixture.another_connection().query(Statement::new("t", "SELECT * FROM assistants", [])));
    let stored = format!("{:?}", rows.unwrap());
    assert!(stored.contains("s1:") && !stored.contains("planted"), "{stored}");
}
