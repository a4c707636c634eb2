//! `verify-audit` on a record that was sealed as the app does it: it says that the record is whole, or which event was touched.

use audit::chain::extend;
use identity::{Issuer, statement::About};
use native_postgres::PostgresDatabase;
use native_sqlite::SqliteFile;
use storage::{
    Database, Store,
    audit::AuditEvent,
    users::{NewUser, Opening},
};

use crate::places::{Place, wait};

/// Four events, sealed one by one.
fn record(place: &Place) {
    place.succeed(&["migrate"]);
    match place {
        Place::Sqlite(folder) => sealed(SqliteFile::open(&folder.path().join("sqlite_db.db")).unwrap()),
        Place::Postgres(url, _) => sealed(wait(PostgresDatabase::open(url.parse().unwrap())).unwrap()),
    }
}

fn sealed(database: impl Database) {
    let (store, issuer) = (Store::new(database), Issuer::generate());
    wait(async {
        store.publish_signing_key(issuer.id(), &issuer.public_key(), true).await.unwrap();
        let user = NewUser { email: "a@example.org", name: "", password_hash: "x" };
        let user = store.create_user(user, Opening::Open).await.unwrap().unwrap();
        for subject in ["1", "2", "3", "4"] {
            let event = AuditEvent { detail: Some("member"), ..AuditEvent::new(user.id, "user.role", subject) };
            store.append_audit(&event).await.unwrap();
            let arrivals = store.audit_arrivals(10).await.unwrap().unwrap();
            let (links, claims) = extend(&arrivals.head, &arrivals.events, arrivals.now.as_millis()).unwrap();
            let signature = issuer.sign_statement(About::AuditSeal, claims.clone(), arrivals.now).unwrap();
            store.seal_audit(&links, &claims, (issuer.id(), &signature)).await.unwrap();
        }
    });
}

fn without_triggers(place: &Place, statements: &[&str]) {
    let mut all = Vec::new();
    for table in ["audit_events", "audit_chain", "audit_seals"] {
        match place {
            Place::Sqlite(_) => {
                let sql = format!("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = '{table}'");
                for row in place.query(&sql) {
                    let [storage::Value::Text(name)] = row.0.as_slice() else { panic!("{row:?}") };
                    all.push(format!("DROP TRIGGER {name}"));
                }
            }
            Place::Postgres(..) => all.push(format!("ALTER TABLE {table} DISABLE TRIGGER USER")),
        }
    }
    all.extend(statements.iter().map(ToString::to_string));
    place.execute(all);
}

#[test]
fn a_record_that_nobody_touched_is_whole_also_in_an_export_and_in_its_copy() {
    for place in Place::all() {
        record(&place);
        let said = place.succeed(&["verify-audit"]);
        assert!(said.contains("is whole up to position 4"), "{said}");
        let head = said.split("next check: ").nth(1).unwrap().trim();
        assert_eq!(place.succeed(&["audit-head"]).trim(), head);
        place.succeed(&["verify-audit", "--head", head]);
        place.refuse(&["verify-audit", "--head", "4:abc"], "position 4 is not what was noted");
        place.refuse(&["verify-audit", "--head", "four"], "write POSITION:HASH");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("export");
        place.export(&file);
        let file = file.to_str().unwrap();
        let said = Place::sqlite().succeed(&["verify-audit", "--head", head, "--export", file]);
        assert!(said.contains("is whole up to position 4"), "{said}");
        for copy in Place::all() {
            copy.succeed(&["import", file]);
            copy.succeed(&["verify-audit", "--head", head]);
        }
    }
}

#[test]
fn what_was_done_to_a_record_is_said() {
    let spoiled: [(&[&str], &str); 5] = [
        (&["UPDATE audit_events SET outcome = 'x' WHERE subject = '2'"], "at position 2 was changed"),
        (&["DELETE FROM audit_events WHERE subject = '2'"], "at position 2 was removed"),
        (
            &[
                "UPDATE audit_chain SET position = 9 WHERE position = 2",
                "UPDATE audit_chain SET position = 2 WHERE position = 3",
                "UPDATE audit_chain SET position = 3 WHERE position = 9",
            ],
            "position 2, where event",
        ),
        (
            &[
                "INSERT INTO audit_events (id, at, user_id, action, subject, outcome) VALUES ('x', 1, 'u', 'a', 's', 'ok')",
            ],
            "event x has no place in the chain",
        ),
        (
            &["DELETE FROM audit_events WHERE subject = '4'", "DELETE FROM audit_chain WHERE position = 4"],
            "positions 4 to 4 are not what was signed",
        ),
    ];
    for (statements, said) in spoiled {
        for place in Place::all() {
            record(&place);
            without_triggers(&place, statements);
            place.refuse(&["verify-audit"], said);
        }
    }
}

#[test]
fn an_end_that_was_cut_off_with_its_seals_a_wiped_record_and_a_strangers_key_are_found() {
    for place in Place::all() {
        record(&place);
        let said = place.succeed(&["verify-audit"]);
        let head = said.split("next check: ").nth(1).unwrap().trim().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let strangers = folder.path().join("jwks.json");
        std::fs::write(&strangers, format!("{{\"keys\": [{}]}}", Issuer::generate().public_key())).unwrap();
        place.refuse(&["verify-audit", "--jwks", strangers.to_str().unwrap()], "not signed with a known key");
        without_triggers(
            &place,
            &[
                "DELETE FROM audit_events WHERE subject = '4'",
                "DELETE FROM audit_chain WHERE position = 4",
                "DELETE FROM audit_seals WHERE first_position = 4",
            ],
        );
        place.succeed(&["verify-audit"]);
        place.refuse(&["verify-audit", "--head", &head], "its end was cut off");
        place.execute(vec!["DELETE FROM audit_chain".into(), "DELETE FROM audit_seals".into()]);
        place.refuse(&["verify-audit"], "has no place in the chain");
    }
}
