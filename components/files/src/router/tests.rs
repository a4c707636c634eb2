//! The routes, natively: what is uploaded comes back as it was, in forms and in parts, whatever breaks; and nothing is left of what is gone.

use axum::body::Body;
use bytes::Bytes;
use domain::User;
use futures::{executor::block_on, stream};
use http::{HeaderMap, Request};
use native_sqlite::SqliteFile;
use router_test::{Answer, Fixture, request, send};
use serde_json::json;
use storage::{Statement, files::PIECE_BYTES};

use super::*;
use crate::{
    outside::{Exchange, Unanswered},
    reader::{Hearing, Pieces, Reader, Unheard},
    sweeping::sweep,
};

mod buckets;
mod readings;
mod server;

/// Longer than the longest file of these tests.
const MAX_BYTES: usize = 3 * PIECE_BYTES;

fn nowhere(_: Request<Bytes>) -> Exchange {
    Box::pin(async { Err(Unanswered::Denied) })
}

fn nobody(_: Request<Pieces>) -> Hearing {
    Box::pin(async { Err(Unheard("nobody is there".to_owned())) })
}

/// Whoever sweeps is called by the test.
fn later<D>(_: Files<D>) {}

fn config() -> Config {
    Config { max_bytes: MAX_BYTES as u64, quota_bytes: 2 * MAX_BYTES as u64, ..Config::default() }
}

pub(super) fn files<D: Database>(app: App<D>) -> Files<D> {
    Files::new(app, config(), nowhere, nobody, later)
}

struct Test {
    fixture: Fixture,
    person: User,
    token: String,
    config: Config,
    outlet: Outlet,
    reader: Reader,
}

impl Default for Test {
    fn default() -> Self {
        let fixture = Fixture::default();
        let (person, token) = fixture.person("ada@example.org");
        Self { fixture, person, token, config: config(), outlet: nowhere, reader: nobody }
    }
}

/// Bytes that no two pieces have alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|number| u8::try_from(number % 253).unwrap()).collect()
}

impl Test {
    fn files(&self) -> Files<SqliteFile> {
        Files::new(self.fixture.new_instance(), self.config.clone(), self.outlet, self.reader, later)
    }

    fn send(&self, request: Request<Body>) -> Answer {
        send(router(self.files()), request)
    }

    fn ask(&self, method: Method, path: &str) -> Answer {
        self.send(request(method, path, Some(&self.token), None))
    }

    fn with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = request(method, path, Some(&self.token), None);
        for (name, value) in headers {
            request.headers_mut().insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        *request.body_mut() = body;
        self.send(request)
    }

    /// A form, in chunks that have nothing to do with pieces.
    fn form(&self, name: &str, content: &[u8]) -> Answer {
        let head = format!(
            "--border\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nx\r\n--border\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: image/png\r\n\r\n"
        );
        let whole = [head.as_bytes(), content, b"\r\n--border--\r\n"].concat();
        let chunks: Vec<_> = whole.chunks(10_007).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        let kind = [("content-type", "multipart/form-data; boundary=border")];
        self.with(Method::POST, "/api/files", &kind, Body::from_stream(stream::iter(chunks)))
    }

    fn uploaded(&self, content: &[u8]) -> String {
        let answer = self.form("a.bin", content);
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    fn content(&self, id: &str) -> (HeaderMap, Vec<u8>) {
        let path = format!("/api/files/{id}/content");
        let request = request(Method::GET, &path, Some(&self.token), None);
        block_on(async {
            let response = web::serve("test", router(self.files()), request).await;
            assert_eq!(response.status(), StatusCode::OK);
            let (head, body) = response.into_parts();
            (head.headers, axum::body::to_bytes(body, 2 * MAX_BYTES).await.unwrap().to_vec())
        })
    }

    /// Begins an upload in parts, and returns its address.
    fn begun(&self, size: usize) -> String {
        let size = size.to_string();
        let headers =
            [("tus-resumable", "1.0.0"), ("upload-length", size.as_str()), ("upload-metadata", "x,filename YS50eHQ=")];
        let answer = self.with(Method::POST, "/api/files", &headers, Body::empty());
        assert_eq!(
            (answer.status, answer.json["name"].as_str()),
            (StatusCode::CREATED, Some("a.txt")),
            "{}",
            answer.text
        );
        answer.headers["location"].to_str().unwrap().to_owned()
    }

    fn part(&self, path: &str, offset: usize, body: Body) -> Answer {
        let offset = offset.to_string();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("upload-offset", offset.as_str()),
            ("content-type", "application/offset+octet-stream"),
        ];
        self.with(Method::PATCH, path, &headers, body)
    }

    /// How much is there, and how much there will be.
    fn progress(&self, path: &str) -> (String, String) {
        let answer = self.with(Method::HEAD, path, &[("tus-resumable", "1.0.0")], Body::empty());
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        (header("upload-offset"), header("upload-length"))
    }

    fn count(&self, table: &str) -> usize {
        let statement = Statement::new("t", format!("SELECT 1 FROM {table}"), []);
        block_on(self.fixture.another_connection().query(statement)).unwrap().len()
    }

    fn swept(&self) {
        block_on(sweep(&self.files())).unwrap();
    }
}

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |_| {
        router_test::permissions::compare_routes("files", |app| router(files(app))).await;
    });
}

#[test]
fn nobody_learns_from_a_refusal_whether_there_is_something() {
    router_test::paused(async |_| router_test::others::compare_others(|app| router(files(app))).await);
}

#[test]
fn only_components_that_need_files_read_them_and_one_has_them_swept() {
    router_test::paused(async |_| {
        let callers = [
            ("/internal/files/{id}", "auth"),
            ("/internal/files/{id}", "stream"),
            ("/internal/files/{id}", "tools"),
            ("/internal/files/{id}/text", "stream"),
            ("/internal/files/{id}/text", "tools"),
            (platform::files::PATH, "auth"),
        ];
        router_test::inside::walk("files", &callers, |app| router(files(app))).await;
    });
}

#[test]
fn a_file_of_a_form_comes_back_as_it_was_with_its_type_by_its_content() {
    let test = Test::default();
    for (content, kind) in [
        (b"\x89PNG\r\n\x1a\nrest".to_vec(), "image/png"),
        (b"<!DOCTYPE html><script>alert(1)</script>".to_vec(), "text/html"),
        ("Grüße".repeat(PIECE_BYTES / 4).into_bytes(), "text/plain"),
        (bytes(1), "application/octet-stream"),
        (bytes(PIECE_BYTES), "application/octet-stream"),
        (bytes(2 * PIECE_BYTES + 1), "application/octet-stream"),
    ] {
        let answer = test.form("../Bild \u{202e}ä.png", &content);
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let said = &answer.json;
        assert_eq!(
            (&said["name"], &said["type"], &said["size"]),
            (&json!("Bild ä.png"), &json!(kind), &json!(content.len()))
        );
        assert_eq!((&said["state"], said["expires_at"].is_string()), (&json!("ready"), true));
        let id = said["id"].as_str().unwrap();
        assert_eq!(answer.headers["location"], format!("/api/files/{id}"));
        let (headers, read) = test.content(id);
        assert!(read == content, "{kind}");
        assert_eq!(headers["content-type"], kind);
        assert_eq!(headers["content-length"], content.len().to_string());
        // Whatever it is, it is saved and not shown as a page.
        assert!(headers["content-disposition"].to_str().unwrap().starts_with("attachment;"));
        assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
        let read = test.ask(Method::GET, &format!("/api/files/{id}")).json;
        assert_eq!(test.ask(Method::GET, "/api/files").json["items"][0], read);
        assert_eq!((&read["id"], &read["type"], &read["size"]), (&said["id"], &said["type"], &said["size"]));
        assert_eq!(test.ask(Method::DELETE, &format!("/api/files/{id}")).status, StatusCode::NO_CONTENT);
        assert_eq!(test.ask(Method::GET, &format!("/api/files/{id}")).status, StatusCode::NOT_FOUND);
    }
    test.swept();
    assert_eq!((test.count("files"), test.count("file_pieces"), test.count("file_removals")), (0, 0, 0));
}

#[test]
fn a_form_that_breaks_off_or_is_too_long_leaves_nothing() {
    let test = Test::default();
    let kind = [("content-type", "multipart/form-data; boundary=border")];
    let head = b"--border\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".to_vec();
    let broken: Vec<Result<Vec<u8>, std::io::Error>> =
        vec![Ok(head.clone()), Ok(bytes(PIECE_BYTES + 9)), Ok(bytes(9)), Err(std::io::Error::other("gone"))];
    let answer = test.with(Method::POST, "/api/files", &kind, Body::from_stream(stream::iter(broken)));
    assert_eq!((answer.status.as_u16(), answer.json["code"].as_str()), (400, Some("invalid_form")));
    // As if the body had ended well, in the middle of the file.
    let ended = [head.clone(), bytes(99)].concat();
    assert_eq!(test.with(Method::POST, "/api/files", &kind, Body::from(ended)).status.as_u16(), 400);
    let answer = test.form("a", &bytes(MAX_BYTES + 1));
    assert_eq!((answer.status.as_u16(), answer.json["code"].as_str()), (413, Some("too_large")));
    let announced = [kind[0], ("content-length", "99999999")];
    assert_eq!(test.with(Method::POST, "/api/files", &announced, Body::empty()).status.as_u16(), 413);
    assert_eq!(test.form("a", b"").status.as_u16(), 422);
    // What is no form, or has no file, or a head that does not end.
    assert_eq!(
        test.with(Method::POST, "/api/files", &[("content-type", "image/png")], Body::from("x")).status.as_u16(),
        415
    );
    let none = b"--border\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--border--\r\n".to_vec();
    assert_eq!(test.with(Method::POST, "/api/files", &kind, Body::from(none)).status.as_u16(), 422);
    let endless: Vec<Result<Vec<u8>, std::io::Error>> = (0..80).map(|_| Ok(vec![b'a'; 1_024])).collect();
    let answer = test.with(Method::POST, "/api/files", &kind, Body::from_stream(stream::iter(endless)));
    assert_eq!(answer.json["code"], "invalid_form", "{}", answer.text);
    test.swept();
    assert_eq!((test.count("files"), test.count("file_pieces"), test.count("file_removals")), (0, 0, 0));
}

#[test]
fn an_upload_in_parts_goes_on_where_it_broke_off() {
    let test = Test::default();
    let content = bytes(2 * PIECE_BYTES + 177);
    let path = test.begun(content.len());
    assert_eq!(test.progress(&path), ("0".to_owned(), content.len().to_string()));
    let mut at = 0;
    // Parts that end well within a piece, at its end, and beyond it; and one that breaks off.
    for (length, breaks) in [(10, false), (PIECE_BYTES - 10, false), (100, true), (PIECE_BYTES, true), (1, false)] {
        let part = content[at..at + length].to_vec();
        let end = if breaks { Some(Err(std::io::Error::other("gone"))) } else { None };
        let body = Body::from_stream(stream::iter(std::iter::once(Ok(part)).chain(end)));
        let answer = test.part(&path, at, body);
        at += length;
        assert_eq!(answer.status.as_u16(), if breaks { 400 } else { 204 }, "{}", answer.text);
        assert!(!breaks || answer.json["code"] == "invalid_body", "{}", answer.text);
        assert_eq!(test.progress(&path).0, at.to_string());
        assert_eq!(test.ask(Method::GET, &path).json["state"], "arriving");
    }
    let again = test.part(&path, 5, Body::from("x"));
    assert_eq!((again.status.as_u16(), again.json["code"].as_str()), (409, Some("upload_offset")));
    assert_eq!(test.part(&path, at, Body::from(bytes(content.len()))).status.as_u16(), 413);
    let rest = test.part(&path, at, Body::from(content[at..].to_vec()));
    assert_eq!(
        (rest.status.as_u16(), &rest.headers["upload-offset"]),
        (204, &content.len().to_string().parse().unwrap())
    );
    assert_eq!(test.ask(Method::GET, &path).json["state"], "ready");
    assert!(test.content(path.rsplit('/').next().unwrap()).1 == content);
    // Whole is whole.
    assert_eq!(test.part(&path, content.len(), Body::from("x")).status.as_u16(), 413);
}

#[test]
fn the_protocol_of_parts_is_held() {
    let test = Test::default();
    let of = |headers: &[(&str, &str)]| test.with(Method::POST, "/api/files", headers, Body::empty());
    let old = of(&[("tus-resumable", "0.2.2"), ("upload-length", "5")]);
    assert_eq!((old.status.as_u16(), &old.headers["tus-version"]), (412, &"1.0.0".parse().unwrap()));
    assert_eq!(of(&[("tus-resumable", "1.0.0")]).status.as_u16(), 422);
    assert_eq!(of(&[("tus-resumable", "1.0.0"), ("upload-length", "0")]).status.as_u16(), 422);
    assert_eq!(of(&[("tus-resumable", "1.0.0"), ("upload-length", "99999999")]).status.as_u16(), 413);
    let at_once = test.with(
        Method::POST,
        "/api/files",
        &[("tus-resumable", "1.0.0"), ("upload-length", "5"), ("content-type", "application/offset+octet-stream")],
        Body::from("hello"),
    );
    assert_eq!((at_once.status.as_u16(), &at_once.headers["upload-offset"]), (201, &"5".parse().unwrap()));
    assert_eq!((&at_once.json["state"], &at_once.json["name"]), (&json!("ready"), &json!("file")));
    let path = test.begun(5);
    let wrong =
        test.with(Method::PATCH, &path, &[("tus-resumable", "1.0.0"), ("upload-offset", "0")], Body::from("hello"));
    assert_eq!(wrong.status.as_u16(), 415);
    assert_eq!(test.ask(Method::GET, &format!("{path}/content")).json["code"], "file_arriving");
    assert_eq!(test.ask(Method::DELETE, &path).status.as_u16(), 204, "an upload is given up like a file is deleted");
}

#[test]
fn a_person_has_room_for_so_much_and_gets_it_back() {
    let test = Test::default();
    let [first, _] = [(); 2].map(|()| test.uploaded(&bytes(MAX_BYTES)));
    let full = test.form("a", b"x");
    assert_eq!((full.status.as_u16(), full.json["code"].as_str()), (413, Some("file_quota")), "{}", full.text);
    assert_eq!(test.ask(Method::DELETE, &format!("/api/files/{first}")).status, StatusCode::NO_CONTENT);
    test.uploaded(b"x");
}

#[test]
fn new_files_are_counted_by_the_minute() {
    let test = Test::default();
    let refused = (0..1_000).find(|_| test.form("a", b"x").status == StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.is_some_and(|refused| refused >= 60), "{refused:?}");
}

#[test]
fn a_file_that_was_changed_outside_is_said_to_be_damaged() {
    let test = Test::default();
    let [first, second] = [(); 2].map(|()| test.uploaded(b"hello"));
    let swap = format!(
        "UPDATE file_pieces SET sealed = (SELECT sealed FROM file_pieces WHERE file_id = '{second}') WHERE file_id = '{first}'"
    );
    block_on(test.fixture.another_connection().query(Statement::new("t", swap, []))).unwrap();
    assert_eq!(test.ask(Method::GET, &format!("/api/files/{first}/content")).json["code"], "file_damaged");
    block_on(test.fixture.app.store().destroy_data_key(test.person.id)).unwrap();
    assert_eq!(test.ask(Method::GET, &format!("/api/files/{second}/content")).json["code"], "erased");
    let listed = test.ask(Method::GET, "/api/files");
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 2, "{}", listed.text);
}

#[test]
fn settings_that_are_wrong_take_no_file_and_do_not_use_the_database_instead() {
    let mut test = Test::default();
    test.config.keeping = Keeping::Misconfigured;
    let answer = test.form("a", b"hello");
    assert_eq!((answer.status.as_u16(), answer.json["code"].as_str()), (503, Some("file_store_unavailable")));
    assert_eq!((test.count("files"), test.count("file_pieces")), (0, 0));
}
