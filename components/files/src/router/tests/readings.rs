//! Documents become text: the file goes to its reader as it was, the text is stored, and whoever cannot be read says why.

use domain::Id;
use futures::StreamExt as _;
use http::HeaderMap;
use serde_json::Value;

use super::*;
use crate::{reader::Answered, reading::read_waiting};

/// A document for [`scripted`].
fn document(words: &str) -> Vec<u8> {
    format!("%PDF-1.7 {words}").into_bytes()
}

/// Reads what it is sent, and answers as it says.
fn scripted(request: Request<Pieces>) -> Hearing {
    Box::pin(async move {
        let (head, mut pieces) = request.into_parts();
        assert_eq!((head.uri.path(), head.headers["accept"].as_bytes()), ("/", b"text/plain".as_slice()));
        let mut body = Vec::new();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(|error| Unheard(error.to_string()))?);
        }
        assert_eq!(head.headers["content-length"], body.len().to_string());
        let says = |words: &str| String::from_utf8_lossy(&body).contains(words);
        let (status, text) = match () {
            () if says("locked") => {
                (422, json!({"code": "file_encrypted", "detail": "It has a password."}).to_string())
            }
            () if says("bomb") => (500, String::new()),
            () if says("short") => (200, String::new()),
            () => (200, "größer ".repeat(body.len() / 4)),
        };
        let mut headers = HeaderMap::new();
        headers.insert("document-parts", 3.into());
        headers.insert("document-notes", "scanned".parse().unwrap());
        let chunks: Vec<_> = text.into_bytes().chunks(9_973).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Ok(Answered { status: StatusCode::from_u16(status).unwrap(), headers, body: Box::pin(stream::iter(chunks)) })
    })
}

fn test() -> Test {
    Test { reader: scripted, ..Test::default() }
}

impl Test {
    fn read_documents(&self) {
        block_on(read_waiting(&self.files())).unwrap();
    }

    fn reading(&self, id: &str) -> Value {
        self.ask(Method::GET, &format!("/api/files/{id}")).json["reading"].clone()
    }

    /// As if the pause before the next attempt were over.
    fn time_passes(&self) {
        let sql = "UPDATE file_readings SET until = 0";
        block_on(self.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    }

    fn text(&self, id: &str) -> Answer {
        let path = format!("/internal/files/{id}/text");
        let proof = self.fixture.proof("stream", "files", Some(self.person.id), Id::new());
        let app = self.fixture.new_instance().of_component("files");
        let files = Files::new(app, self.config.clone(), self.outlet, self.reader, later);
        send(router(files), request(Method::GET, &path, Some(&proof), None))
    }
}

#[test]
fn a_document_becomes_text_for_models() {
    let test = test();
    let plain = test.uploaded(b"hello");
    assert_eq!((test.reading(&plain), test.text(&plain).status), (Value::Null, StatusCode::NOT_FOUND));
    let answer = test.form("plan.pdf", &document(&"x".repeat(2 * PIECE_BYTES)));
    let id = answer.json["id"].as_str().unwrap();
    assert_eq!(answer.json["reading"]["state"], "queued", "{}", answer.text);
    assert_eq!(test.text(id).status, StatusCode::ACCEPTED);
    test.read_documents();
    let reading = test.reading(id);
    assert_eq!(
        (&reading["state"], &reading["parts"], &reading["notes"]),
        (&json!("read"), &json!(3), &json!(["scanned"]))
    );
    assert!(reading["code"].is_null());
    let text = test.text(id);
    assert_eq!((text.status, text.headers["document-notes"].as_bytes()), (StatusCode::OK, b"scanned".as_slice()));
    assert!(text.text.len() > 4 * PIECE_BYTES && text.text.len() as u64 == reading["bytes"].as_u64().unwrap());
    assert!(text.text == "größer ".repeat(text.text.len() / "größer ".len()));
}

#[test]
fn a_document_that_cannot_be_read_says_why_and_keeps_no_other_waiting() {
    let test = test();
    let [locked, bomb, fine] = ["locked", "bomb", "fine"].map(|words| test.uploaded(&document(words)));
    test.read_documents();
    let reading = test.reading(&locked);
    assert_eq!((&reading["state"], &reading["code"]), (&json!("failed"), &json!("file_encrypted")));
    let refused = test.text(&locked);
    assert_eq!((refused.status.as_u16(), &refused.json["detail"]), (422, &json!("It has a password.")));
    assert_eq!((&test.reading(&fine)["state"], &test.reading(&bomb)["state"]), (&json!("read"), &json!("reading")));
    for _ in 0..2 {
        test.time_passes();
        test.read_documents();
    }
    assert_eq!(
        (&test.reading(&bomb)["state"], &test.reading(&bomb)["code"]),
        (&json!("failed"), &json!("file_unreadable"))
    );
}

#[test]
fn a_file_that_kills_whoever_reads_it_is_given_up() {
    let test = test();
    let id = test.uploaded(&document("fine"));
    for _ in 0..3 {
        assert!(block_on(test.fixture.app.store().take_reading()).unwrap().is_some());
        test.time_passes();
    }
    test.read_documents();
    assert_eq!(test.reading(&id)["code"], "file_unreadable");
}

#[test]
fn a_database_that_fails_meanwhile_is_no_attempt_of_the_document() {
    let test = test();
    let id = test.uploaded(&document("fine"));
    let database =
        |sql: &'static str| block_on(test.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    for _ in 0..4 {
        database("CREATE TRIGGER away BEFORE INSERT ON file_texts BEGIN SELECT RAISE(ABORT, 'away'); END");
        test.read_documents();
        database("DROP TRIGGER away");
        assert_eq!(test.reading(&id)["state"], "reading", "it is tried again later");
        test.time_passes();
    }
    test.read_documents();
    assert_eq!(test.reading(&id)["state"], "read");
}

#[test]
fn a_reader_that_breaks_twice_has_a_minute_before_the_last_attempt() {
    let test = test();
    test.uploaded(&document("bomb"));
    let pause_ms = || {
        let sql = "SELECT CAST(until - unixepoch('subsec') * 1000 AS INTEGER) FROM file_readings";
        let rows = block_on(test.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
        rows[0].columns("t").integer().unwrap()
    };
    for expected in [0..=1_000, 50_000..=60_000] {
        test.read_documents();
        let pause_ms = pause_ms();
        assert!(expected.contains(&pause_ms), "{pause_ms}");
        test.time_passes();
    }
}

#[test]
fn a_document_with_a_damaged_piece_is_not_tried_again() {
    let test = test();
    let id = test.uploaded(&document(&"x".repeat(2 * PIECE_BYTES)));
    let sql = "DELETE FROM file_pieces WHERE number = 1";
    block_on(test.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    test.read_documents();
    let reading = test.reading(&id);
    assert_eq!((&reading["state"], &reading["code"]), (&json!("failed"), &json!("file_damaged")));
}

#[test]
fn a_document_without_a_text_is_read_nevertheless() {
    let test = test();
    let id = test.uploaded(&document("short"));
    test.read_documents();
    assert_eq!((&test.reading(&id)["bytes"], test.text(&id).text.as_str()), (&json!(0), ""));
}
