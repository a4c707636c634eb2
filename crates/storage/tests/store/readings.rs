//! Readings: each document is read once, in turn between people, by another one if somebody is killed, and nothing is left of the text of one that is gone.

use domain::{Id, User};
use storage::{
    Store,
    file_readings::{LEASE_MS, ReadText, ReadingFailure, ReadingState, TakenReading},
    files::{FileCreated, NewFile, ReceivedPiece, StoredFile},
};

use crate::{
    files::renew_data_keys,
    fixture::Fixture,
    on_each_database,
    places::{Place, block_on},
    sealing::rows,
};

on_each_database! {
    a_document_is_queued_when_it_is_whole_and_other_files_are_not,
    of_many_who_take_a_reading_one_has_it,
    one_person_with_many_files_keeps_nobody_waiting,
    a_reading_of_somebody_who_was_killed_goes_on_with_another,
    a_reading_that_was_nothing_of_the_file_does_not_count,
    a_text_is_its_persons_and_is_counted_as_theirs,
    nothing_is_left_of_the_text_of_a_file_that_is_gone,
    a_new_data_key_opens_the_texts_of_before,
}

impl Fixture {
    fn typed(&self, user: &User, media_type: &str) -> StoredFile {
        let file = self.begun(user, "a", 5);
        let piece = ReceivedPiece {
            number: 0,
            sealed: Some(file.seal(0, b"hello").unwrap()),
            received: 5,
            media_type: Some(media_type),
            is_last: true,
        };
        assert!(block_on(self.store.receive_piece(user.id, &file, &piece)).unwrap());
        self.stored(user, file.id)
    }

    fn document(&self, user: &User) -> StoredFile {
        self.typed(user, "application/pdf")
    }

    fn stored(&self, user: &User, id: Id) -> StoredFile {
        block_on(self.store.file(user.id, id)).unwrap().unwrap()
    }

    fn taken(&self) -> Option<TakenReading> {
        block_on(self.store.take_reading()).unwrap()
    }

    fn read(&self, user: &User, taken: &TakenReading, text: &[u8]) {
        let sealed = self.stored(user, taken.file_id).seal_text(0, text).unwrap();
        assert!(block_on(self.store.keep_text(taken, 0, &sealed)).unwrap());
        let read = ReadText { notes: "scanned,truncated".into(), parts: 3, bytes: text.len() as u64 };
        assert!(block_on(self.store.end_reading(taken, Ok(&read))).unwrap());
    }

    fn text_of(&self, user: &User, id: Id) -> Vec<u8> {
        let store = Store::new(self.another_connection());
        let file = block_on(store.file(user.id, id)).unwrap().unwrap();
        file.open_text(0, &block_on(store.text_piece(user.id, id, 0)).unwrap().unwrap()).unwrap()
    }

    /// As if whoever reads had been killed long ago.
    fn time_passes(&self) {
        rows(&self.another_connection(), &format!("UPDATE file_readings SET until = until - {LEASE_MS} - 1"));
    }
}

fn a_document_is_queued_when_it_is_whole_and_other_files_are_not(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    for kind in ["text/plain", "text/html", "image/png", "audio/mpeg", "video/mp4"] {
        assert_eq!(fixture.typed(&user, kind).reading, None, "{kind}");
    }
    assert!(!block_on(fixture.store.background_work()).unwrap().sweeps);
    fixture.begun(&user, "b", 5);
    assert_eq!(fixture.taken(), None, "it is not whole");
    let document = fixture.document(&user);
    assert_eq!(document.reading.unwrap().state, ReadingState::Queued);
    assert!(block_on(fixture.store.background_work()).unwrap().sweeps);
    let taken = fixture.taken().unwrap();
    assert_eq!((taken.file_id, taken.user_id, taken.attempts), (document.id, user.id, 1));
    assert_eq!(fixture.stored(&user, document.id).reading.unwrap().state, ReadingState::Reading);
    assert!(!block_on(fixture.store.background_work()).unwrap().sweeps);
    let failure = ReadingFailure { code: "file_encrypted".into(), detail: "It has a password.".into() };
    assert!(block_on(fixture.store.end_reading(&taken, Err(&failure))).unwrap());
    let listed = block_on(fixture.store.files(user.id, None, 1)).unwrap();
    assert_eq!(listed[0].reading.as_ref().unwrap().state, ReadingState::Failed(failure));
    assert_eq!(fixture.taken(), None);
}

fn of_many_who_take_a_reading_one_has_it(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    fixture.document(&user);
    let taken: Vec<_> = std::thread::scope(|scope| {
        let host = || block_on(Store::new(fixture.another_connection()).take_reading()).unwrap();
        let hosts: Vec<_> = (0..4).map(|_| scope.spawn(host)).collect();
        hosts.into_iter().filter_map(|host| host.join().unwrap()).collect()
    });
    assert_eq!(taken.len(), 1);
}

fn one_person_with_many_files_keeps_nobody_waiting(place: Place) {
    let fixture = Fixture::new(place);
    let [ada, eve] = ["ada@example.org", "eve@example.org"].map(|email| fixture.user(email));
    for _ in 0..20 {
        fixture.document(&ada);
    }
    fixture.document(&eve);
    let turns: Vec<Id> = std::iter::from_fn(|| fixture.taken()).map(|taken| taken.user_id).collect();
    assert_eq!(turns.len(), 21);
    assert!(turns.iter().position(|turn| *turn == eve.id).unwrap() < 10, "{turns:?}");
}

fn a_reading_of_somebody_who_was_killed_goes_on_with_another(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let document = fixture.document(&user);
    let killed = fixture.taken().unwrap();
    assert_eq!(fixture.taken(), None, "for a while, it has one reader");
    fixture.time_passes();
    assert!(block_on(fixture.store.background_work()).unwrap().sweeps);
    let next = fixture.taken().unwrap();
    assert_eq!((next.file_id, next.attempts), (document.id, 2));
    // The one who was only slow stores nothing more.
    let sealed = document.seal_text(0, b"late").unwrap();
    assert!(!block_on(fixture.store.keep_text(&killed, 0, &sealed)).unwrap());
    assert!(!block_on(fixture.store.end_reading(&killed, Ok(&ReadText::default()))).unwrap());
    block_on(fixture.store.postpone_reading(&killed, 0, true)).unwrap();
    assert_eq!(fixture.taken(), None);
    fixture.read(&user, &next, b"right");
    assert_eq!(fixture.text_of(&user, document.id), b"right");
    let reading = fixture.stored(&user, document.id).reading.unwrap();
    assert_eq!((reading.state, reading.parts, reading.bytes), (ReadingState::Read, 3, 5));
    assert_eq!(reading.notes, ["scanned", "truncated"]);
}

fn a_reading_that_was_nothing_of_the_file_does_not_count(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    fixture.document(&user);
    for (counts, attempts) in [(false, 1), (true, 1), (true, 2), (false, 3), (true, 3)] {
        let taken = fixture.taken().unwrap();
        assert_eq!(taken.attempts, attempts);
        block_on(fixture.store.postpone_reading(&taken, 1_000, counts)).unwrap();
        assert_eq!(fixture.taken(), None, "there is a pause");
        fixture.time_passes();
    }
}

fn a_text_is_its_persons_and_is_counted_as_theirs(place: Place) {
    let fixture = Fixture::new(place);
    let [ada, eve] = ["ada@example.org", "eve@example.org"].map(|email| fixture.user(email));
    let document = fixture.document(&ada);
    fixture.read(&ada, &fixture.taken().unwrap(), b"planted-text");
    assert_eq!(block_on(fixture.store.text_piece(eve.id, document.id, 0)).unwrap(), None);
    assert_eq!(block_on(fixture.store.file_bytes(ada.id)).unwrap(), 5 + 12);
    let new = NewFile { name: "a", size: 4, is_in_objects: false, quota_bytes: 20 };
    assert!(matches!(block_on(fixture.store.create_file(ada.id, &new)).unwrap(), FileCreated::Full(17)));
    let stored = rows(&fixture.another_connection(), "SELECT sealed FROM file_texts");
    assert!(!format!("{stored:?}").contains("planted"));
    // A piece of a text is none of the file, and the other way round.
    let sealed = block_on(fixture.store.text_piece(ada.id, document.id, 0)).unwrap().unwrap();
    assert!(document.open(0, &sealed).is_err());
}

fn nothing_is_left_of_the_text_of_a_file_that_is_gone(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let (gone, kept) = (fixture.document(&user), fixture.document(&user));
    for _ in 0..2 {
        fixture.read(&user, &fixture.taken().unwrap(), b"hello");
    }
    let going = fixture.document(&user);
    let taken = fixture.taken().unwrap();
    let sealed = going.seal_text(0, b"half").unwrap();
    assert!(block_on(fixture.store.keep_text(&taken, 0, &sealed)).unwrap());
    for file in [&gone, &going] {
        assert!(block_on(fixture.store.delete_file(user.id, file.id)).unwrap());
        assert_eq!(block_on(fixture.store.text_piece(user.id, file.id, 0)).unwrap(), None, "at once");
    }
    assert!(!block_on(fixture.store.keep_text(&taken, 1, &sealed)).unwrap(), "it is gone");
    while let Some(removal) = block_on(fixture.store.take_file_removal()).unwrap() {
        while block_on(fixture.store.delete_file_pieces(&removal)).unwrap() {}
        block_on(fixture.store.end_file_removal(&removal)).unwrap();
    }
    let left = rows(
        &fixture.another_connection(),
        "SELECT file_id FROM file_texts UNION ALL SELECT file_id FROM file_readings",
    );
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(fixture.text_of(&user, kept.id), b"hello");
}

fn a_new_data_key_opens_the_texts_of_before(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let document = fixture.document(&user);
    fixture.read(&user, &fixture.taken().unwrap(), b"hello");
    let pieces = || rows(&fixture.another_connection(), "SELECT sealed FROM file_texts");
    let before = pieces();
    renew_data_keys(&fixture);
    assert!(before == pieces(), "no piece is sealed anew");
    assert_eq!(fixture.text_of(&user, document.id), b"hello");
}
