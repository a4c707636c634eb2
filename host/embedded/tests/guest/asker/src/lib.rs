//! Fixture: an HTTP component that calls its composed dependency over an async WIT interface of our own.

use bytes::Bytes;
use spin_sdk::http::{FullBody, IntoResponse, Request, Response};
use spin_sdk::http_service;

mod generated {
    #![allow(missing_docs, unsafe_code)]
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        world: "asker",
        runtime_path: "spin_sdk::wit_bindgen::rt",
    });
}

use generated::fixture::answers::answers::{Failure, ask};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let question = request.uri().query().unwrap_or_default().to_owned();
    let told = match ask(question).await {
        Ok(answer) => format!("{} {}", answer.text, answer.denied),
        Err(Failure::Unknown(question)) => format!("unknown {question}"),
    };
    Response::new(FullBody::new(Bytes::from(told)))
}
