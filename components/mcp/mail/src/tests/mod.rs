//! The tools against a real server. Everything but the way out is the code of the component.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod reading;
mod scripted;
mod sending;
mod settings;

use std::time::Duration;

use native_cyrus::{Cyrus, PEOPLE};
use scripted_server::{Native, Scripted, answer};
use tool_provider::{Context, Failure};

use crate::{
    search_mail,
    search_mail::{Hit, SearchMail},
};

/// How long the server may take to index new mails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, and the tools of its user ada.
struct World {
    transport: Native,
    cyrus: Cyrus,
}

impl World {
    fn start_or_skip() -> Option<Self> {
        Cyrus::start_or_skip().map(|cyrus| Self { transport: Native::default(), cyrus })
    }

    /// Delivers a mail to ada from Carol, at ten on a day in March 2026.
    fn deliver(&self, day: u32, head: &str, body: &str) {
        let message = format!("From: Carol <carol@ext.example>\nTo: Ada <ada@localhost>\n{head}\n\n{body}\n");
        self.cyrus.deliver(0, "INBOX", &format!("{day:02}-Mar-2026 10:00:00 +0000"), &message).unwrap();
    }

    /// The context of a person's call.
    fn call_of(&self, person: usize, id: &str) -> Context {
        let (name, password) = PEOPLE[person];
        let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let address = format!("{name}@localhost");
        Context {
            id: id.into(),
            preferences: Vec::new(),
            deadline: Duration::from_secs(60),
            secrets: vec![
                secret("url", &self.cyrus.url),
                secret("username", name),
                secret("password", password),
                secret("address", &address),
            ],
        }
    }

    fn call(&self, id: &str) -> Context {
        self.call_of(0, id)
    }

    async fn search(&self, arguments: SearchMail) -> Vec<Hit> {
        search_mail::run(&arguments, &self.call("search"), &self.transport).await.unwrap().mails
    }

    /// The mails in a mailbox, newest first.
    async fn mails_in(&self, mailbox: &str) -> Vec<Hit> {
        self.search(SearchMail { mailbox: Some(mailbox.into()), ..SearchMail::default() }).await
    }

    async fn indexed(&self, word: &str) {
        let start = std::time::Instant::now();
        while self.search(SearchMail { text: Some(word.into()), ..SearchMail::default() }).await.is_empty() {
            assert!(start.elapsed() < PATIENCE, "{word} is not found");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn words<T>(result: Result<T, Failure>) -> String {
    match result {
        Ok(_) => panic!("it worked"),
        Err(Failure::InvalidArguments(words) | Failure::NotConfigured(words) | Failure::UpstreamFailed(words)) => words,
        Err(Failure::TimedOut) => panic!("it took too long"),
    }
}
