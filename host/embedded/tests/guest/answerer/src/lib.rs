//! Fixture: the dependency that is composed into `asker`. It tries the database and the variables, so that tests see whose permissions it has.

mod generated {
    #![allow(missing_docs, unsafe_code)]
    use super::Answerer;
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        world: "answerer",
        runtime_path: "spin_sdk::wit_bindgen::rt",
    });
    export!(Answerer);
}

use std::time::Duration;

use generated::exports::fixture::answers::answers::{Answer, Failure, Guest};
use spin_sdk::sqlite::{Connection, Error};

struct Answerer;

impl Guest for Answerer {
    async fn ask(question: String) -> Result<Answer, Failure> {
        if question.is_empty() {
            return Err(Failure::Unknown(question));
        }
        spin_sdk::time::sleep(Duration::from_millis(1)).await;
        let greeting = spin_sdk::variables::get("greeting").await.unwrap_or_default();
        let denied = matches!(Connection::open_default().await, Err(Error::AccessDenied));
        Ok(Answer { text: format!("{greeting} {question}"), denied })
    }
}
