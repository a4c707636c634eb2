//! What is said when the settings are wrong, and that nobody else gets the password or the mails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::{list_mailboxes, read_mail, read_mail::ReadMail};

fn at(address: &str, user: &str) -> Context {
    let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let secrets = vec![secret("url", address), secret("username", user), secret("password", "a token")];
    Context { id: "list".into(), locale: "en".into(), deadline: Duration::from_secs(60), secrets }
}

#[tokio::test]
async fn the_server_is_found_from_its_name_and_from_its_session() {
    let Some(world) = World::start_or_skip() else { return };
    let url = world.cyrus.url.clone();
    for address in ["", "/", "/jmap/", "/jmap", "/.well-known/jmap", "/nowhere/"] {
        let mut call = world.call("list");
        call.secrets[0].1 = format!("{url}{address}");
        let listed = list_mailboxes::run(&call, &world.transport).await.unwrap();
        assert!(listed.mailboxes.iter().any(|mailbox| mailbox.role.as_deref() == Some("inbox")), "{address}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_settings_is_said() {
    let Some(world) = World::start_or_skip() else { return };
    let mut wrong = world.call("list");
    wrong.secrets[2].1 = "a guess".into();
    assert!(words(list_mailboxes::run(&wrong, &world.transport).await).contains("enter them again"));
    wrong.secrets.remove(2);
    assert!(words(list_mailboxes::run(&wrong, &world.transport).await).contains("password"));
    for address in ["", "ftp://127.0.0.1/", "https://me@127.0.0.1/"] {
        assert!(
            words(list_mailboxes::run(&at(address, "ada"), &world.transport).await).contains("looks like"),
            "{address}"
        );
    }
}

#[tokio::test]
async fn mails_of_others_are_not_found() {
    let Some(world) = World::start_or_skip() else { return };
    world.deliver(2, "Subject: Secret", "secret");
    let id = world.mails_in("inbox").await.remove(0).id;
    let read = ReadMail { id, ..ReadMail::default() };
    assert!(read_mail::run(&read, &world.call("read"), &world.transport).await.is_ok());
    for thread in [false, true] {
        let read = ReadMail { id: read.id.clone(), thread, ..ReadMail::default() };
        let read = read_mail::run(&read, &world.call_of(1, "read"), &world.transport).await;
        assert!(words(read).contains("no such mail"));
    }
}

/// A server that answers everything alike, and the head of each request it got.
async fn serve<F: Future>(answer: &str, call: impl FnOnce(String) -> F) -> (F::Output, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut got = String::new();
    let serving = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            got.push_str(&String::from_utf8_lossy(&request[..length]));
            let answer = format!("HTTP/1.1 {answer}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    };
    let output = tokio::select! {
        output = call(address) => output,
        () = serving => panic!("the server ended"),
    };
    (output, got)
}

/// No server is asked.
struct Nowhere;

impl Transport for Nowhere {
    async fn send(&self, request: Request<Vec<u8>>, _: Duration) -> Result<Response<Vec<u8>>, Failure> {
        panic!("{} was asked", request.uri())
    }
}

#[tokio::test]
async fn no_address_leads_into_this_installation() {
    for address in ["https://ops.spin.internal/ready", "OPS.Spin.Internal.", "http://self.alt:3000/"] {
        let said = words(list_mailboxes::run(&at(address, "ada"), &Nowhere).await);
        assert!(said.contains("part of this installation"), "{address}: {said}");
    }
}

#[tokio::test]
async fn a_server_cannot_send_the_password_into_this_installation() {
    let session = r#"{"apiUrl":"https://ops.spin.internal/","primaryAccounts":{"urn:ietf:params:jmap:mail":"a"}}"#;
    let session = format!("200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{session}", session.len());
    let redirect = "307 Away\r\nconnection: close\r\nlocation: //ops.spin.internal/\r\ncontent-length: 0\r\n\r\n";
    for answer in [session.as_str(), redirect] {
        let transport = native();
        let (listed, got) =
            serve(answer, async |address| list_mailboxes::run(&at(&address, "ada"), &transport).await).await;
        assert!(words(listed).contains("sends on to"), "{got}");
        assert_eq!(got.matches("GET ").count(), 1, "{got}");
    }
}

#[tokio::test]
async fn what_is_no_jmap_server_is_said_and_no_other_gets_the_password() {
    let session = r#"{"apiUrl":"http://localhost:1/api","primaryAccounts":{"urn:ietf:params:jmap:mail":"a"}}"#;
    let elsewhere = format!("200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{session}", session.len());
    for (answer, said) in [
        ("200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", "no JMAP server"),
        ("302 Found\r\nconnection: close\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n", "no JMAP server"),
        (
            "301 Moved\r\nconnection: close\r\nlocation: http://localhost:1/\r\ncontent-length: 0\r\n\r\n",
            "sends on to http://localhost:1",
        ),
        (&elsewhere, "sends on to http://localhost:1"),
    ] {
        let transport = native();
        let (listed, _) =
            serve(answer, async |address| list_mailboxes::run(&at(&address, "ada"), &transport).await).await;
        let words = words(listed);
        assert!(words.contains(said), "{words}");
    }
}

#[tokio::test]
async fn a_token_without_a_user_name_is_sent_as_one() {
    let transport = native();
    for (user, scheme) in [("", "Bearer a token"), (" ", "Bearer a token"), ("ada", "Basic YWRhOmEgdG9rZW4=")] {
        let answer = "404 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let (_, got) = serve(answer, async |address| list_mailboxes::run(&at(&address, user), &transport).await).await;
        assert!(got.to_lowercase().contains(&format!("authorization: {}", scheme.to_lowercase())), "{got}");
    }
}
