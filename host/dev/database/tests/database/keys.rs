//! Keys are listed and rotated in a database that is in use.

use native_postgres::PostgresDatabase;
use native_sqlite::SqliteFile;
use storage::{
    Database, Store,
    users::{NewUser, Opening},
};

use crate::places::{Place, content, wait};

#[test]
fn keys_are_rotated_once_an_hour_and_revoked_at_any_time() {
    for place in Place::all() {
        place.succeed(&["migrate"]);
        place.refuse(&["keys", "rotate"], "there is none yet");
        place.execute(vec![
            "INSERT INTO signing_keys (id, public_key, private_key, created_at) VALUES ('first', 'public', 'hidden half', 1)".to_owned(),
            "INSERT INTO inside_keys (id, caller, public_key, private_key, created_at) VALUES ('of tools', 'tools', 'public', 'hidden half', 1)".to_owned(),
        ]);
        let told = place.succeed(&["keys", "list"]);
        assert!(told.contains("tokens first current") && told.contains("inside of tools current"), "{told}");
        let told = place.succeed(&["keys", "rotate"]);
        assert!(told.contains(" verifies, made") && told.contains("tokens first current, counts for 6"), "{told}");
        assert!(!told.contains("hidden half"), "{told}");
        place.refuse(&["keys", "rotate"], "within the last hour");
        let told = place.succeed(&["keys", "rotate", "--purpose", "inside"]);
        assert!(told.contains("inside of tools verifies"), "{told}");
        let told = place.succeed(&["keys", "rotate", "--revoke"]);
        assert!(told.contains("tokens first retired") && told.contains(" current, made"), "{told}");
        assert_eq!(content(&place, "audit_events").len(), 3, "each rotation is recorded");
    }
}

/// Somebody who has said something.
fn somebody(place: &Place) {
    place.succeed(&["migrate"]);
    match place {
        Place::Sqlite(folder) => said(SqliteFile::open(&folder.path().join("sqlite_db.db")).unwrap()),
        Place::Postgres(url, _) => said(wait(PostgresDatabase::open(url.parse().unwrap())).unwrap()),
    }
}

fn said(database: impl Database) {
    let store = Store::new(database);
    wait(async {
        let user = NewUser { email: "a@example.org", name: "", password_hash: "x" };
        let user = store.create_user(user, Opening::Open).await.unwrap().unwrap();
        store.create_conversation(user.id, "planted", None).await.unwrap();
    });
}

#[test]
fn a_master_key_that_was_made_here_is_rotated_and_everybody_gets_a_new_data_key() {
    for place in Place::all() {
        somebody(&place);
        place.refuse(&["keys", "rotate", "--purpose", "master"], "a master key within a moment");
        place.execute(vec!["UPDATE generated_keys SET created_at = created_at - 60000".to_owned()]);
        let told = place.succeed(&["keys", "rotate", "--purpose", "master"]);
        assert_eq!(told.matches("master ").count(), 2, "{told}");
        assert!(told.contains(" current, made") && told.contains(" verifies, made"), "{told}");
        place.refuse(&["keys", "rotate", "--purpose", "master", "--revoke"], "signs nothing");
        let told = place.succeed(&["keys", "rotate-data"]);
        assert!(told.contains("1 people have a new key"), "{told}");
        assert_eq!(place.query("SELECT 1 FROM data_keys WHERE former_id IS NOT NULL").len(), 1);
        let recorded = place.query("SELECT subject FROM audit_events WHERE action = 'key.rotate' ORDER BY id");
        assert_eq!(recorded.len(), 2, "{recorded:?}");
    }
}
