//! Files in buckets of real S3-compatible servers.

use super::{
    server::{Kind, SECRET_KEY, Server, outlet},
    *,
};

/// Runs a test on each server that can be had.
fn on_each_server(work: impl Fn(Server)) {
    for kind in [Kind::Nanio, Kind::LocalBucket] {
        if let Some(server) = Server::start_or_skip(kind) {
            work(server);
        }
    }
}

fn test(server: &Server) -> Test {
    let config = Config { keeping: server.keeping(SECRET_KEY), ..config() };
    Test { config, outlet, ..Test::default() }
}

impl Test {
    /// As if the pause before the next attempt were over.
    fn hurry(&self) {
        let sql = "UPDATE file_removals SET due_at = 0";
        block_on(self.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    }
}

#[test]
fn files_are_sealed_objects_and_nothing_is_left_of_one_that_is_deleted() {
    on_each_server(|server| {
        let test = test(&server);
        for content in [b"hello".to_vec(), bytes(PIECE_BYTES), bytes(2 * PIECE_BYTES + 9)] {
            let pieces = content.len().div_ceil(PIECE_BYTES);
            let id = test.uploaded(&content);
            let objects = server.objects();
            assert_eq!((objects.len(), test.count("file_pieces")), (pieces, 0));
            assert!(
                objects
                    .iter()
                    .all(|(path, bytes)| path.to_str().unwrap().contains(&id) && !bytes.starts_with(&content[..5]))
            );
            assert!(test.content(&id).1 == content);
            assert_eq!(test.ask(Method::DELETE, &format!("/api/files/{id}")).status, StatusCode::NO_CONTENT);
            test.swept();
            assert_eq!((server.objects().len(), test.count("file_removals")), (0, 0));
        }
    });
}

#[test]
fn an_upload_in_parts_keeps_what_is_no_whole_piece_until_it_is_one() {
    on_each_server(|server| {
        let test = test(&server);
        let content = bytes(PIECE_BYTES + 30);
        let path = test.begun(content.len());
        assert_eq!(test.part(&path, 0, Body::from(content[..20].to_vec())).status, StatusCode::NO_CONTENT);
        assert_eq!((server.objects().len(), test.count("file_pieces")), (0, 1));
        let rest = Body::from(content[20..PIECE_BYTES + 5].to_vec());
        assert_eq!(test.part(&path, 20, rest).status, StatusCode::NO_CONTENT);
        assert_eq!((server.objects().len(), test.count("file_pieces")), (1, 1));
        let rest = Body::from(content[PIECE_BYTES + 5..].to_vec());
        assert_eq!(test.part(&path, PIECE_BYTES + 5, rest).status, StatusCode::NO_CONTENT);
        assert_eq!((server.objects().len(), test.count("file_pieces")), (2, 0));
        assert!(test.content(path.rsplit('/').next().unwrap()).1 == content);
        // Whoever did not hear that all of it is there asks again.
        assert_eq!(test.part(&path, content.len(), Body::empty()).status, StatusCode::NO_CONTENT);
        // One that nobody continues or attaches goes, with what it has there.
        let sql = "UPDATE files SET expires_at = 1";
        block_on(test.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
        test.swept();
        assert_eq!((server.objects().len(), test.count("files"), test.count("file_removals")), (0, 0, 0));
    });
}

#[test]
fn a_store_that_is_away_loses_nothing_and_leaves_nothing() {
    on_each_server(|mut server| {
        let test = test(&server);
        let kept = test.uploaded(b"kept");
        let gone = test.uploaded(b"gone");
        let content = bytes(PIECE_BYTES + 1);
        let path = test.begun(content.len());
        server.stop();
        let answer = test.form("a", b"hello");
        assert_eq!((answer.status.as_u16(), answer.json["code"].as_str()), (503, Some("file_store_unavailable")));
        let answer = test.ask(Method::GET, &format!("/api/files/{kept}/content"));
        assert_eq!(answer.json["code"], "file_store_unavailable");
        // A part that could not be stored is not counted.
        assert_eq!(test.part(&path, 0, Body::from(content.clone())).status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(test.progress(&path).0, "0");
        // What is deleted meanwhile is remembered.
        assert_eq!(test.ask(Method::DELETE, &format!("/api/files/{gone}")).status, StatusCode::NO_CONTENT);
        test.swept();
        assert!(test.count("file_removals") >= 1);
        server.start_again();
        test.hurry();
        test.swept();
        assert_eq!((test.count("file_removals"), server.objects().len()), (0, 1));
        assert!(test.content(&kept).1 == b"kept");
        assert_eq!(test.part(&path, 0, Body::from(content.clone())).status, StatusCode::NO_CONTENT);
        assert!(test.content(path.rsplit('/').next().unwrap()).1 == content);
    });
}

#[test]
fn an_object_that_was_written_by_somebody_who_was_killed_goes_with_its_file() {
    on_each_server(|server| {
        let test = test(&server);
        let path = test.begun(2 * PIECE_BYTES);
        let id: domain::Id = path.rsplit('/').next().unwrap().parse().unwrap();
        // It was stored, and not counted any more.
        block_on(test.files().objects().unwrap().put(id, 0, b"sealed".to_vec())).unwrap();
        assert_eq!((server.objects().len(), test.progress(&path).0.as_str()), (1, "0"));
        assert_eq!(test.ask(Method::DELETE, &path).status, StatusCode::NO_CONTENT);
        test.swept();
        assert_eq!(server.objects().len(), 1, "another may be on its way");
        test.hurry();
        test.swept();
        assert_eq!(server.objects().len(), 0);
    });
}

#[test]
fn a_store_that_knows_another_secret_takes_nothing() {
    let Some(server) = Server::start_or_skip(Kind::Nanio) else { return };
    let mut test = test(&server);
    test.config.keeping = server.keeping("another secret");
    let answer = test.form("a", b"hello");
    assert_eq!((answer.status.as_u16(), answer.json["code"].as_str()), (503, Some("file_store_unavailable")));
    assert!(!answer.text.contains("secret") && server.objects().is_empty(), "{}", answer.text);
}
