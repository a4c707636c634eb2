//! Exporting and importing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use serde_json::Value;

use crate::places::{LATER_TABLES, Place, TABLES, TOOL_TABLES, content, later_rows, rows, said, tool_rows};

/// A migrated database with rows in every table.
fn filled(place: Place) -> Place {
    place.succeed(&["migrate"]);
    place.execute([rows(), tool_rows(), later_rows()].concat());
    place
}

fn without_time(file: &[u8]) -> String {
    let text = String::from_utf8(file.to_vec()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let mut header: Value = serde_json::from_str(lines[0]).unwrap();
    header["header"]["exported_at"].take();
    // Its SHA-256 also covers the header.
    let mut end: Value = serde_json::from_str(lines.pop().unwrap()).unwrap();
    end["end"]["sha256"].take();
    format!("{header}\n{}\n{end}", lines[1..].join("\n"))
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_copy_of_a_copy_is_the_same_on_either_database() {
    let folder = tempfile::tempdir().unwrap();
    let original = filled(Place::sqlite());
    let mut last = original.export(&folder.path().join("0"));
    let first = without_time(&last);
    let end: Value = serde_json::from_str(first.lines().last().unwrap()).unwrap();
    let tallies = end["end"]["tables"].as_array().unwrap();
    assert!(tallies.iter().all(|tally| tally["rows"].as_u64().unwrap() > 0), "a table without rows proves nothing");
    for (index, copy) in [Place::postgres(), Some(Place::sqlite())].into_iter().flatten().enumerate() {
        fs::write(folder.path().join("given"), &last).unwrap();
        copy.succeed(&["import", &path(&folder, "given")]);
        last = copy.export(&folder.path().join(format!("{}", index + 1)));
        assert_eq!(without_time(&last), first);
        for table in TABLES.iter().chain(&TOOL_TABLES).chain(&LATER_TABLES) {
            assert_eq!(content(&copy, table), content(&original, table), "{table}");
        }
    }
}

#[test]
fn only_its_owner_can_read_an_export_and_no_other_file_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let place = filled(Place::sqlite());
    let file = folder.path().join("file");
    place.export(&file);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    place.refuse(&["export", file.to_str().unwrap()], "exists");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_no_database_of_ours_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "file");
    Place::sqlite().refuse(&["export", &file], "there is no database");
    for place in Place::all() {
        place.execute(vec!["CREATE TABLE theirs (id bigint PRIMARY KEY)".to_owned()]);
        place.refuse(&["export", &file], "that no migration created");
        place.refuse(&["import", &path(&folder, "none")], "cannot open");
    }
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_table_that_would_be_left_out_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for place in Place::all() {
        place.succeed(&["migrate"]);
        place.execute(vec!["CREATE TABLE theirs (id bigint PRIMARY KEY)".to_owned()]);
        place.refuse(&["export", &path(&folder, "file")], "a table theirs");
    }
}

#[test]
fn a_file_that_was_changed_or_cut_off_is_found_and_nothing_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let good = filled(Place::sqlite()).export(&folder.path().join("file"));
    let at = |text: &str| good.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    let changed = |place: usize, to: u8| {
        let mut file = good.clone();
        assert_ne!(file[place], to);
        file[place] = to;
        file
    };
    let in_the_time = at("exported_at") + "exported_at\":\"2".len();
    let in_the_end = good.len() - "0\"}}\n".len();
    let cut_at_a_line = good[..good.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let damaged = [
        (changed(at("u1@example"), b'v'), "SHA-256 differs"),
        (changed(in_the_time, b'9'), "SHA-256 differs"),
        (changed(in_the_end, if good[in_the_end] == b'0' { b'1' } else { b'0' }), "SHA-256 differs"),
        (changed(at("9007199254740993"), b'x'), "cannot be read"),
        (changed(at("{\"table"), b' '), "cannot be read"),
        (good[..cut_at_a_line].to_vec(), "ends too early"),
        (good[..good.len() / 2].to_vec(), "cannot be read"),
        ([good.as_slice(), b"[]\n"].concat(), "something follows"),
    ];
    for place in Place::all() {
        for (file, why) in &damaged {
            fs::write(folder.path().join("damaged"), file).unwrap();
            place.refuse(&["import", &path(&folder, "damaged")], why);
        }
        // A correct import still works.
        place.succeed(&["import", &path(&folder, "file")]);
    }
}

#[test]
fn a_hash_that_does_not_fit_the_rows_is_found_when_they_are_read_back() {
    use sha2::Digest;
    let folder = tempfile::tempdir().unwrap();
    let good = filled(Place::sqlite()).export(&folder.path().join("file"));
    // A row was changed and the file's own SHA-256 recomputed.
    let text = String::from_utf8(good).unwrap().replacen("u1@example.org", "v1@example.org", 1);
    let (body, end) = text.trim_end().rsplit_once('\n').unwrap();
    let mut end: Value = serde_json::from_str(end).unwrap();
    let hash: String = sha2::Sha256::digest(format!("{body}\n")).iter().map(|byte| format!("{byte:02x}")).collect();
    end["end"]["sha256"] = Value::String(hash);
    fs::write(folder.path().join("forged"), format!("{body}\n{end}\n")).unwrap();
    for place in Place::all() {
        let output = place.run(&["import", &path(&folder, "forged")]);
        assert_eq!(output.status.code(), Some(1));
        let told = said(&output);
        let users = told.lines().find(|line| line.starts_with("users")).unwrap();
        assert!(users.ends_with("DIFFERENT") && told.contains("nothing was imported"), "{told}");
        assert_eq!(told.matches("DIFFERENT").count(), 1, "{told}");
        assert!(content(&place, "users").is_empty());
    }
}

#[test]
fn what_postgresql_cannot_store_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(copy) = Place::postgres() else { return };
    let original = filled(Place::sqlite());
    original.execute(vec!["UPDATE users SET name = 'a' || char(0) WHERE id = 'z5'".to_owned()]);
    original.export(&folder.path().join("file"));
    Place::sqlite().succeed(&["import", &path(&folder, "file")]);
    copy.refuse(&["import", &path(&folder, "file")], "users.name holds the character U+0000");
}

#[test]
fn a_database_that_is_not_empty_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "file");
    filled(Place::sqlite()).export(Path::new(&file));
    for place in Place::all() {
        place.succeed(&["migrate"]);
        place.execute(vec![
            "INSERT INTO signing_keys (id, public_key, created_at) VALUES ('k', 'public', 1)".to_owned(),
        ]);
        place.refuse(&["import", &file], "holds rows already, in signing_keys");
        assert!(content(&place, "users").is_empty());
        place.execute(vec!["DELETE FROM signing_keys".to_owned()]);
        place.succeed(&["import", &file]);
    }
}

#[test]
fn a_file_of_another_schema_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let text = String::from_utf8(filled(Place::sqlite()).export(&folder.path().join("file"))).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let mut header: Value = serde_json::from_str(head).unwrap();
    let mut refused = |schema: Value, why: &str| {
        header["header"]["schema"] = schema;
        fs::write(folder.path().join("other"), format!("{header}\n{rest}")).unwrap();
        let place = Place::sqlite();
        place.refuse(&["import", &path(&folder, "other")], why);
        let Place::Sqlite(folder) = &place else { panic!() };
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no database was made");
    };
    let newest: Value = serde_json::from_str(head).unwrap();
    let mut schema = newest["header"]["schema"].as_array().unwrap().clone();
    let mut newer = schema.clone();
    newer.push(newer[0].clone());
    newer.last_mut().unwrap()["version"] = 999.into();
    refused(Value::Array(newer), "newer than this release");
    let last = schema.pop().unwrap();
    refused(Value::Array(schema.clone()), "run `cargo dev migrate` on the database it came from");
    let mut changed = last;
    changed["sqlite_sha256"] = "x".into();
    schema.push(changed);
    refused(Value::Array(schema), "of another build");
}

#[test]
fn an_older_database_is_migrated_before_it_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    for place in Place::all() {
        place.succeed(&["migrate"]);
        place.execute(vec!["DELETE FROM schema_migrations WHERE version > 1".to_owned()]);
        place.refuse(&["export", &path(&folder, "file")], "run `cargo dev migrate` first");
    }
}

#[test]
fn an_export_is_of_one_moment_while_the_app_writes() {
    const WRITES_MAX: usize = 2_000;
    let folder = tempfile::tempdir().unwrap();
    for (index, place) in Place::all().into_iter().enumerate() {
        let place = filled(place);
        let stop = AtomicBool::new(false);
        let (began, writing) = mpsc::channel();
        let file = folder.path().join(index.to_string());
        let pair = |number: usize| {
            let id = format!("w{number:06}");
            vec![
                format!(
                    "INSERT INTO users (id, email, name, role, password_hash, created_at) VALUES ('{id}', '{id}', '', 'user', NULL, 1)"
                ),
                format!(
                    "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at) VALUES ('{id}', '{id}', 'hash', 1, 1)"
                ),
            ]
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Many more writes than fit into the time of an export, and a limit in case it fails.
                for number in 0..WRITES_MAX {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    place.execute(pair(number));
                    let _ = began.send(());
                }
            });
            writing.recv().unwrap();
            place.export(&file);
            stop.store(true, Ordering::Relaxed);
        });
        let copy = Place::sqlite();
        copy.succeed(&["import", file.to_str().unwrap()]);
        let (users, sessions) = (content(&copy, "users").len(), content(&copy, "sessions").len());
        assert_eq!(users, sessions, "they are written together");
    }
}

#[test]
fn a_password_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let Some(place) = Place::postgres() else { return };
    let Place::Postgres(url, _) = &place else { return };
    let password = url.split([':', '@']).nth(2).unwrap();
    let other = |url: String| said(&Place::Postgres(url, None).run(&["migrate"]));
    let mut told = place.succeed(&["migrate"]);
    assert!(told.contains("127.0.0.1"), "{told}");
    told += &place.succeed(&["export", &path(&folder, "file")]);
    told += &other(url.replace("shared_", "nothing_"));
    told += &other(format!("{url}?sslmode=require"));
    told += &other(format!("{url}?nonsense=1"));
    told += &other(url.replace("postgres://", "postgres//"));
    assert!(told.contains("3D000") && told.contains("TLS") && told.contains("not of the form"), "{told}");
    assert!(!told.contains(password), "{told}");
}
