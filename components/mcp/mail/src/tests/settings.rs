//! Messages about wrong settings. Nobody else gets the password or the mails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http::Response;

use super::*;
use crate::{list_mailboxes, read_mail, read_mail::ReadMail};

fn at(address: &str, user: &str) -> Context {
    let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let secrets = vec![secret("url", address), secret("username", user), secret("password", "a token")];
    Context { id: "list".into(), preferences: Vec::new(), deadline: Duration::from_secs(60), secrets }
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

#[tokio::test]
async fn no_address_leads_into_this_installation() {
    for address in ["https://ops.spin.internal/ready", "OPS.Spin.Internal.", "http://self.alt:3000/"] {
        let nowhere = Scripted::new(|asked| panic!("{} was asked", asked.uri));
        let said = words(list_mailboxes::run(&at(address, "ada"), &nowhere).await);
        assert!(said.contains("part of this installation"), "{address}: {said}");
    }
}

const ADDRESS: &str = "https://mail.example/";

/// Asks a server that gives the same response to every request.
async fn listed(answer: &Response<Vec<u8>>, user: &str) -> (String, Vec<scripted_server::Asked>) {
    let server = Scripted::new(|_| Ok(answer.clone()));
    let listed = words(list_mailboxes::run(&at(ADDRESS, user), &server).await);
    let asked = server.asked().clone();
    assert!(asked.iter().all(|asked| asked.uri.host() == Some("mail.example")), "{asked:?}");
    (listed, asked)
}

fn session(api: &str) -> Response<Vec<u8>> {
    let session = format!(r#"{{"apiUrl":"{api}","primaryAccounts":{{"urn:ietf:params:jmap:mail":"a"}}}}"#);
    answer(200, &[], session)
}

#[tokio::test]
async fn a_server_cannot_send_the_password_into_this_installation() {
    for answer in [session("https://ops.spin.internal/"), answer(307, &[("location", "//ops.spin.internal/")], "")] {
        let (words, asked) = listed(&answer, "ada").await;
        assert!(words.contains("redirects to") && asked.len() == 1, "{words}");
    }
}

#[tokio::test]
async fn what_is_no_jmap_server_is_said_and_no_other_gets_the_password() {
    for (answer, said) in [
        (answer(200, &[], "hi"), "no JMAP server"),
        (answer(302, &[("location", "/again")], ""), "no JMAP server"),
        (answer(301, &[("location", "http://localhost:1/")], ""), "redirects to http://localhost:1"),
        (session("http://localhost:1/api"), "redirects to http://localhost:1"),
    ] {
        let (words, _) = listed(&answer, "ada").await;
        assert!(words.contains(said), "{words}");
    }
}

#[tokio::test]
async fn a_token_without_a_user_name_is_sent_as_one() {
    for (user, expected) in [("", "Bearer a token"), (" ", "Bearer a token"), ("ada", "Basic YWRhOmEgdG9rZW4=")] {
        let (_, asked) = listed(&answer(404, &[], ""), user).await;
        assert!(asked.iter().all(|asked| asked.headers["authorization"] == expected), "{asked:?}");
    }
}
