//! `GET /events?model=NAME` and `GET /health` as a component. Its variable `completions_url` is the model's address.

use axum::{body::Body, extract::Query};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use platform::{Answer, http_client, variables::variable};

use crate::{Asked, completion, frames};

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: platform::Request) -> Answer {
    if request.uri().path() == "/health" {
        return Response::new(Body::from(r#"{"status":"ok"}"#)).into();
    }
    let Ok(Query(asked)) = Query::<Asked>::try_from_uri(request.uri()) else {
        return failed(StatusCode::BAD_REQUEST, "there is no model in the query".to_owned());
    };
    relay(&asked.model).await.unwrap_or_else(|error| failed(StatusCode::BAD_GATEWAY, error))
}

async fn relay(model: &str) -> Result<Answer, String> {
    let request = Request::post(variable("completions_url").await)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "Bearer bench")
        .body(Bytes::from(completion(model).to_string()));
    let answer = http_client::send(request.map_err(|error| error.to_string())?).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(format!("the model answered {}", answer.status));
    }
    let mut response = Response::new(Body::from_stream(frames(answer.body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response.into())
}

fn failed(status: StatusCode, why: String) -> Answer {
    let mut response = Response::new(Body::from(why));
    *response.status_mut() = status;
    response.into()
}
