//! Files: they arrive in pieces, are their person's alone, and nothing is left of one that is gone.

use domain::{Id, User};
use storage::{
    Store,
    account_export::SECTIONS,
    data_key_rotation::Rotation,
    files::{FileCreated, FileRemoval, NewFile, PIECE_BYTES, ReceivedPiece, StoredFile},
    messages::{Appended, IncomingMessage},
};

use crate::{
    fixture::{Fixture, LEASE_MS, lease_of},
    on_each_database,
    places::{Place, Real, block_on},
    sealing::rows,
};

on_each_database! {
    a_file_arrives_in_pieces_and_is_read_as_it_was,
    of_two_who_continue_a_file_one_does,
    a_quota_is_kept_however_many_come_at_once,
    a_file_of_somebody_else_is_not_found_and_not_attached,
    what_only_a_deleted_conversation_had_goes_and_what_another_has_stays,
    a_file_that_nobody_attaches_goes_and_one_that_is_attached_stays,
    a_copy_has_the_files_of_all_but_temporary_chats,
    who_executes_a_run_learns_that_a_file_is_attached_in_its_conversation,
    a_run_reaches_the_files_of_its_conversation_and_no_others,
    pieces_of_a_file_that_is_gone_are_removed_once_and_by_another_if_somebody_is_killed,
    a_file_of_the_configured_store_leaves_word_of_how_many_pieces_it_had,
    a_new_data_key_opens_the_files_of_before,
}

const QUOTA: u64 = 10 * PIECE_BYTES as u64;

impl Fixture {
    pub(crate) fn begun(&self, user: &User, name: &str, size: u64) -> StoredFile {
        let new = NewFile { name, size, is_in_objects: false, quota_bytes: QUOTA };
        match block_on(self.store.create_file(user.id, &new)).unwrap() {
            FileCreated::Created(file) => file,
            other => panic!("{other:?}"),
        }
    }

    /// A file with these bytes.
    pub(crate) fn file(&self, user: &User, name: &str, bytes: &[u8]) -> StoredFile {
        let mut file = self.begun(user, name, bytes.len() as u64);
        for (number, piece) in (0..).zip(bytes.chunks(PIECE_BYTES)) {
            file = self.received(user, &file, number, piece);
        }
        assert!(file.is_ready);
        file
    }

    fn received(&self, user: &User, file: &StoredFile, number: u64, piece: &[u8]) -> StoredFile {
        let received = file.received + piece.len() as u64;
        let piece = ReceivedPiece {
            number,
            sealed: Some(file.seal(number, piece).unwrap()),
            received,
            media_type: (number == 0).then_some("text/plain"),
            is_last: received == file.size,
        };
        assert!(block_on(self.store.receive_piece(user.id, file, &piece)).unwrap());
        block_on(self.store.file(user.id, file.id)).unwrap().unwrap()
    }

    fn bytes_of(&self, user: &User, id: Id) -> Vec<u8> {
        let store = Store::new(self.another_connection());
        let file = block_on(store.file(user.id, id)).unwrap().unwrap();
        let pieces = (0..).map_while(|number| {
            let sealed = block_on(store.file_piece(user.id, id, number)).unwrap()?;
            Some(file.open(number, &sealed).unwrap())
        });
        pieces.flatten().collect()
    }

    fn sent_with(&self, user: &User, conversation_id: Id, files: &[Id]) -> Appended {
        let incoming =
            IncomingMessage { content: "look", title: "t", default_model: "m", files, ..IncomingMessage::default() };
        let appended = block_on(self.store.append_message(user.id, conversation_id, &incoming)).unwrap();
        if let Appended::Stored(_, run, _) = &appended {
            rows(&self.another_connection(), &format!("UPDATE runs SET state = 'complete' WHERE id = '{}'", run.id));
        }
        appended
    }

    fn file_exists(&self, user: &User, id: Id) -> bool {
        block_on(self.store.file(user.id, id)).unwrap().is_some()
    }

    fn count_of(&self, table: &str) -> usize {
        rows(&self.another_connection(), &format!("SELECT 1 FROM {table}")).len()
    }
}

fn a_file_arrives_in_pieces_and_is_read_as_it_was(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let bytes: Vec<u8> = (0..2 * PIECE_BYTES + 7).map(|number| (number % 251) as u8).collect();
    let begun = fixture.begun(&user, "planted-name.txt", bytes.len() as u64);
    assert!(!begun.is_ready && begun.received == 0 && begun.expires_at.is_some());
    // The beginning of the first piece comes alone, and then again with the rest.
    let half = fixture.received(&user, &begun, 0, &bytes[..100]);
    assert_eq!((half.received, half.media_type.as_str(), half.is_ready), (100, "text/plain", false));
    let first = ReceivedPiece {
        number: 0,
        sealed: Some(half.seal(0, &bytes[..PIECE_BYTES]).unwrap()),
        received: PIECE_BYTES as u64,
        media_type: None,
        is_last: false,
    };
    assert!(block_on(fixture.store.receive_piece(user.id, &half, &first)).unwrap());
    let mut file = block_on(fixture.store.file(user.id, begun.id)).unwrap().unwrap();
    assert_eq!(file.media_type, "text/plain", "as it was said");
    for number in 1..3 {
        let end = bytes.len().min((number + 1) * PIECE_BYTES);
        file = fixture.received(&user, &file, number as u64, &bytes[number * PIECE_BYTES..end]);
    }
    assert!(file.is_ready && file.size == bytes.len() as u64);
    assert!(fixture.bytes_of(&user, file.id) == bytes);
    assert_eq!(block_on(fixture.store.files(user.id, None, 10)).unwrap()[0].name, "planted-name.txt");
    assert_eq!(block_on(fixture.store.file_bytes(user.id)).unwrap(), bytes.len() as u64);
    let stored = rows(&fixture.another_connection(), "SELECT name || key FROM files");
    assert!(!format!("{stored:?}").contains("planted"));
}

fn of_two_who_continue_a_file_one_does(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let file = fixture.begun(&user, "a", 8);
    let done: Vec<bool> = std::thread::scope(|scope| {
        let host = || {
            let store = Store::new(fixture.another_connection());
            let piece = ReceivedPiece {
                number: 0,
                sealed: Some(file.seal(0, b"12345").unwrap()),
                received: 5,
                media_type: None,
                is_last: false,
            };
            block_on(store.receive_piece(user.id, &file, &piece)).unwrap()
        };
        let hosts: Vec<_> = (0..4).map(|_| scope.spawn(host)).collect();
        hosts.into_iter().map(|host| host.join().unwrap()).collect()
    });
    assert_eq!(done.iter().filter(|done| **done).count(), 1);
    let file = block_on(fixture.store.file(user.id, file.id)).unwrap().unwrap();
    let whole = fixture.received(&user, &file, 0, b"678");
    let late = ReceivedPiece { number: 0, sealed: None, received: 9, media_type: None, is_last: false };
    assert!(!block_on(fixture.store.receive_piece(user.id, &whole, &late)).unwrap(), "it is whole");
}

fn a_quota_is_kept_however_many_come_at_once(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let created: Vec<bool> = std::thread::scope(|scope| {
        let host = || {
            let store = Store::new(fixture.another_connection());
            let new = NewFile { name: "a", size: QUOTA / 2, is_in_objects: false, quota_bytes: QUOTA };
            matches!(block_on(store.create_file(user.id, &new)).unwrap(), FileCreated::Created(_))
        };
        let hosts: Vec<_> = (0..4).map(|_| scope.spawn(host)).collect();
        hosts.into_iter().map(|host| host.join().unwrap()).collect()
    });
    assert_eq!(created.iter().filter(|created| **created).count(), 2);
    let more = NewFile { name: "a", size: 1, is_in_objects: false, quota_bytes: QUOTA };
    let full = block_on(fixture.store.create_file(user.id, &more)).unwrap();
    assert!(matches!(full, FileCreated::Full(QUOTA)), "{full:?}");
}

fn a_file_of_somebody_else_is_not_found_and_not_attached(place: Place) {
    let fixture = Fixture::new(place);
    let [ada, eve] = ["ada@example.org", "eve@example.org"].map(|email| fixture.user(email));
    let file = fixture.file(&ada, "a", b"hello");
    assert!(!fixture.file_exists(&eve, file.id));
    assert_eq!(block_on(fixture.store.file_piece(eve.id, file.id, 0)).unwrap(), None);
    assert!(!block_on(fixture.store.delete_file(eve.id, file.id)).unwrap());
    let conversation = fixture.conversation(&eve);
    assert!(matches!(fixture.sent_with(&eve, conversation, &[file.id]), Appended::NoSuchFile));
    assert!(fixture.texts(&eve, conversation).is_empty());
    // One that is not whole is not attached either.
    let (own, begun) = (fixture.conversation(&ada), fixture.begun(&ada, "b", 5));
    assert!(matches!(fixture.sent_with(&ada, own, &[file.id, begun.id]), Appended::NoSuchFile));
    let late = ReceivedPiece { number: 0, sealed: None, received: 1, media_type: None, is_last: false };
    assert!(!block_on(fixture.store.receive_piece(eve.id, &begun, &late)).unwrap());
}

fn what_only_a_deleted_conversation_had_goes_and_what_another_has_stays(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let [one, both, last] = ["one", "both", "last"].map(|name| fixture.file(&user, name, name.as_bytes()));
    let [first, second] = [(); 2].map(|()| fixture.conversation(&user));
    let sent = fixture.sent_with(&user, first, &[both.id, one.id]);
    let Appended::Stored(message, run, _) = sent else { panic!("{sent:?}") };
    assert_eq!(message.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["both", "one"]);
    let page = block_on(fixture.store.messages(user.id, first, 0, 10, 1_000)).unwrap();
    assert_eq!(page.messages[0].files, message.files);
    assert_eq!((message.files[1].size, message.files[1].media_type.as_str()), (3, "text/plain"));
    assert_eq!(block_on(fixture.store.context(&run, 10, 1_000)).unwrap()[0].files, message.files);
    assert!(matches!(fixture.sent_with(&user, second, &[both.id, last.id]), Appended::Stored(..)));
    assert!(block_on(fixture.store.delete_conversation(user.id, first)).unwrap());
    assert_eq!([&one, &both, &last].map(|file| fixture.file_exists(&user, file.id)), [false, true, true]);
    // A file that its person deletes is no longer with the message, which stays.
    assert!(block_on(fixture.store.delete_file(user.id, last.id)).unwrap());
    let page = block_on(fixture.store.messages(user.id, second, 0, 10, 1_000)).unwrap();
    assert_eq!(page.messages[0].files.iter().map(|file| file.id).collect::<Vec<_>>(), [both.id]);
    assert!(block_on(fixture.store.delete_conversation(user.id, second)).unwrap());
    assert_eq!((fixture.count_of("files"), fixture.count_of("message_files")), (0, 0));
    assert_eq!(fixture.count_of("file_removals"), 3);
}

fn a_file_that_nobody_attaches_goes_and_one_that_is_attached_stays(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let (kept, left, begun) =
        (fixture.file(&user, "a", b"kept"), fixture.file(&user, "b", b"left"), fixture.begun(&user, "c", 9));
    let conversation = fixture.conversation(&user);
    assert!(matches!(fixture.sent_with(&user, conversation, &[kept.id]), Appended::Stored(..)));
    assert!(!block_on(fixture.store.delete_expired_files()).unwrap(), "there is a day for it");
    assert!(!block_on(fixture.store.background_work()).unwrap().sweeps);
    rows(&fixture.another_connection(), "UPDATE files SET expires_at = 1 WHERE expires_at IS NOT NULL");
    assert!(block_on(fixture.store.background_work()).unwrap().sweeps);
    while block_on(fixture.store.delete_expired_files()).unwrap() {}
    assert_eq!([&kept, &left, &begun].map(|file| fixture.file_exists(&user, file.id)), [true, false, false]);
    assert!(fixture.bytes_of(&user, kept.id) == b"kept");
}

fn a_copy_has_the_files_of_all_but_temporary_chats(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let [of_both, of_temporary, _of_none] = ["a", "b", "c"].map(|name| fixture.file(&user, name, b"hello"));
    let kept = fixture.conversation(&user);
    let temporary = block_on(fixture.store.begin_temporary_conversation(user.id, None)).unwrap().unwrap().id;
    for (conversation, files) in [(kept, &[of_both.id][..]), (temporary, &[of_both.id, of_temporary.id])] {
        assert!(matches!(fixture.sent_with(&user, conversation, files), Appended::Stored(..)));
    }
    let files = SECTIONS.iter().find(|section| section.name == "files").unwrap();
    assert_eq!(block_on(fixture.store.export_rows(user.id, files, None, 10)).unwrap().len(), 2);
}

fn who_executes_a_run_learns_that_a_file_is_attached_in_its_conversation(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let (file, [with, without]) = (fixture.file(&user, "a", b"kept"), [(); 2].map(|()| fixture.conversation(&user)));
    assert!(matches!(fixture.sent_with(&user, with, &[file.id]), Appended::Stored(..)));
    for (conversation, has_files) in [(with, true), (without, false)] {
        let (_, lease) = fixture.claimed(&user, conversation);
        let holder = block_on(fixture.store.holder_of(lease, "c")).unwrap().unwrap();
        assert_eq!(holder.has_files, has_files);
    }
}

fn a_run_reaches_the_files_of_its_conversation_and_no_others(place: Place) {
    let fixture = Fixture::new(place);
    let [ada, eve] = ["ada@example.org", "eve@example.org"].map(|email| fixture.user(email));
    let [old, new, elsewhere] = ["old", "new", "elsewhere"].map(|name| fixture.file(&ada, name, b"kept"));
    let [with, without, other] = [(); 3].map(|()| fixture.conversation(&ada));
    for (conversation, files) in [(with, vec![old.id, new.id]), (with, vec![old.id]), (other, vec![elsewhere.id])] {
        assert!(matches!(fixture.sent_with(&ada, conversation, &files), Appended::Stored(..)));
    }
    let reached = |user: &User, run_id: Id, limit: u32| -> Vec<String> {
        let files = block_on(fixture.store.files_of_run(user.id, run_id, limit)).unwrap();
        files.into_iter().map(|file| file.name).collect()
    };
    for (conversation, names) in [(with, vec!["new", "old"]), (without, vec![])] {
        let (_, run) = fixture.send(&ada, conversation, "and now?");
        let claim = block_on(fixture.store.claim(lease_of(&run), LEASE_MS, "")).unwrap().unwrap();
        assert_eq!(claim.offers.denied.contains(&"files:*".to_owned()), names.is_empty());
        assert_eq!(reached(&ada, run.id, 50), names);
        assert_eq!(reached(&ada, run.id, 1).len(), names.len().min(1));
        assert!(reached(&eve, run.id, 50).is_empty());
    }
}

fn remove_all(store: &Store<Real>) -> usize {
    let mut removed = 0;
    while let Some(removal) = block_on(store.take_file_removal()).unwrap() {
        while block_on(store.delete_file_pieces(&removal)).unwrap() {}
        block_on(store.end_file_removal(&removal)).unwrap();
        removed += 1;
    }
    removed
}

fn pieces_of_a_file_that_is_gone_are_removed_once_and_by_another_if_somebody_is_killed(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let (kept, gone) = (fixture.file(&user, "a", b"kept"), fixture.file(&user, "b", &[7; 2 * PIECE_BYTES]));
    assert_eq!(fixture.count_of("file_pieces"), 3);
    assert!(block_on(fixture.store.delete_file(user.id, gone.id)).unwrap());
    assert_eq!(block_on(fixture.store.file_piece(user.id, gone.id, 0)).unwrap(), None, "at once");
    assert!(block_on(fixture.store.background_work()).unwrap().sweeps);
    // Whoever takes it is killed; for a minute, nobody else goes on.
    let killed = block_on(fixture.store.take_file_removal()).unwrap().unwrap();
    assert_eq!((killed.file_id, killed.attempts, killed.is_in_objects), (gone.id, 0, false));
    assert_eq!(remove_all(&fixture.store), 0);
    rows(&fixture.another_connection(), "UPDATE file_removals SET due_at = 0");
    assert_eq!(remove_all(&fixture.store), 1);
    assert_eq!((fixture.count_of("file_pieces"), fixture.count_of("file_removals")), (1, 0));
    assert!(fixture.bytes_of(&user, kept.id) == b"kept");
}

fn a_file_of_the_configured_store_leaves_word_of_how_many_pieces_it_had(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let new = NewFile { name: "a", size: 2 * PIECE_BYTES as u64 + 1, is_in_objects: true, quota_bytes: QUOTA };
    let FileCreated::Created(file) = block_on(fixture.store.create_file(user.id, &new)).unwrap() else { panic!() };
    // A piece that is not whole waits in the database, and goes when all of it is in the configured store.
    let half = fixture.received(&user, &file, 0, b"half");
    assert_eq!(fixture.count_of("file_pieces"), 1);
    let whole =
        ReceivedPiece { number: 0, sealed: None, received: PIECE_BYTES as u64, media_type: None, is_last: false };
    assert!(block_on(fixture.store.receive_piece(user.id, &half, &whole)).unwrap());
    assert_eq!(fixture.count_of("file_pieces"), 0);
    assert!(block_on(fixture.store.delete_file(user.id, file.id)).unwrap());
    assert_eq!(block_on(fixture.store.take_file_removal()).unwrap(), None, "an object may be on its way");
    rows(&fixture.another_connection(), "UPDATE file_removals SET due_at = 0");
    let removal = block_on(fixture.store.take_file_removal()).unwrap().unwrap();
    assert!(removal.is_in_objects && removal.pieces >= 3, "{removal:?}");
    block_on(fixture.store.postpone_file_removal(&removal, 60_000)).unwrap();
    assert_eq!(block_on(fixture.store.take_file_removal()).unwrap(), None);
    block_on(fixture.store.postpone_file_removal(&FileRemoval { pieces: 1, ..removal }, 0)).unwrap();
    let again = block_on(fixture.store.take_file_removal()).unwrap().unwrap();
    assert_eq!((again.attempts, again.pieces), (1, 1));
}

/// Replaces everybody's data keys, and forgets the former ones.
pub(crate) fn renew_data_keys(fixture: &Fixture) {
    let database = fixture.another_connection();
    let rotated = block_on(fixture.store.rotate_data_keys(None, Id::new())).unwrap();
    assert!(matches!(rotated, Rotation::Begun { made: 1, .. }), "{rotated:?}");
    rows(&database, "UPDATE data_keys SET created_at = created_at - 300000");
    for _ in 0..2 {
        rows(&database, "UPDATE sealing_progress SET due_at = 0 WHERE finished_at IS NULL");
        let fresh = Store::new(fixture.another_connection());
        while block_on(fresh.seal_next_rows()).unwrap() {}
        block_on(fresh.forget_former_data_keys()).unwrap();
    }
    assert_eq!(rows(&database, "SELECT 1 FROM data_keys WHERE former_id IS NOT NULL").len(), 0);
}

fn a_new_data_key_opens_the_files_of_before(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("ada@example.org");
    let file = fixture.file(&user, "planted", b"hello");
    let database = fixture.another_connection();
    let sealed = || format!("{:?}", rows(&database, "SELECT name, key FROM files"));
    let (before, pieces) = (sealed(), rows(&database, "SELECT sealed FROM file_pieces"));
    renew_data_keys(&fixture);
    assert!(before != sealed() && pieces == rows(&database, "SELECT sealed FROM file_pieces"));
    assert!(fixture.bytes_of(&user, file.id) == b"hello");
}
