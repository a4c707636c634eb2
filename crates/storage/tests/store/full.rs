//! A full disk is told apart from a busy database and a wrong statement.

use storage::{
    Database as _, DatabaseError, Statement, StorageError, Store,
    database::sqlite_error,
    users::{NewUser, Opening},
};

use crate::places::{Place, block_on};

fn refused_with(pragma: &'static str) -> StorageError {
    let place = Place::sqlite();
    block_on(storage::migration::migrate(&place.open())).unwrap();
    let database = place.open();
    block_on(database.query(Statement::new("t", pragma, []))).unwrap();
    let store = Store::new(database);
    let long = "x".repeat(100_000);
    block_on(store.create_user(NewUser { email: "a@example.org", name: &long, password_hash: "x" }, Opening::Open))
        .unwrap_err()
}

#[test]
fn a_full_disk_and_one_that_may_only_be_read_are_said_to_be_so() {
    for pragma in ["PRAGMA max_page_count = 1", "PRAGMA query_only = ON"] {
        let error = refused_with(pragma);
        assert!(matches!(error, StorageError::Database(DatabaseError::Unwritable(_))), "{pragma}: {error:?}");
    }
}

#[test]
fn what_passes_by_itself_is_not_taken_for_a_full_disk() {
    for words in ["database is locked", "database table is locked: runs", "database is busy"] {
        assert!(matches!(sqlite_error("q", words.to_owned()), DatabaseError::Unavailable(_)), "{words}");
    }
    for words in ["near \"SELEC\": syntax error", "UNIQUE constraint failed: users.email"] {
        assert!(matches!(sqlite_error("q", words.to_owned()), DatabaseError::Refused { .. }), "{words}");
    }
}
