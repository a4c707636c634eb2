//! What is read of files: a corpus of them, each with what it becomes. A file that was read wrongly is one more file in `corpus/`, with its outcome
//! beside it. `WRITE_OUTCOMES=1` writes the outcomes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod outcome;

use std::{fs, path::Path};

use extraction::Hints;

#[test]
fn of_every_file_is_read_what_is_in_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".outcome"))
        .collect();
    names.sort();
    assert!(names.len() > 20);
    let mut wrong = Vec::new();
    for name in names {
        let bytes = fs::read(folder.join(&name)).unwrap();
        let read = outcome::shown(&extraction::read(bytes, Hints { name: &name, media_type: "" }));
        let beside = folder.join(format!("{name}.outcome"));
        if std::env::var_os("WRITE_OUTCOMES").is_some() {
            fs::write(&beside, &read).unwrap();
        } else if fs::read_to_string(&beside).unwrap_or_default() != read {
            wrong.push(format!("{name} became:\n{read}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
