//! Reads bodies, path ids and queries within limits.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    response::{IntoResponse, Response},
};
use domain::Id;
use http::{HeaderValue, StatusCode, header, request::Parts};
use problem::Problem;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, Result,
    body::{self, read},
};

/// A JSON body of at most `MAX` bytes. The default is enough for everything but messages.
#[derive(Debug)]
pub struct Json<T, const MAX: usize = 16_384>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for Json<T, MAX> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let body = read_object(request, MAX).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| Problem::invalid_json(invalid(&error)).into())
    }
}

/// A body that says that it is JSON, of at most `MAX` bytes, for a handler that reads it itself. It counts against what an instance holds of long bodies
/// until the last copy of it is dropped.
#[derive(Debug)]
pub struct RawJson<const MAX: usize>(pub Bytes);

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for RawJson<MAX> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        Ok(Self(Bytes::from_owner(read_json(request, MAX).await?)))
    }
}

async fn read_json(request: Request, max: usize) -> Result<body::Body<'static>> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::unsupported_media_type().into());
    }
    let (head, body) = request.into_parts();
    read(&head.headers, body, max).await
}

/// Every body that is taken for our fields is an object. Of a list, serde would take the items for them, in the order in which our code has them.
async fn read_object(request: Request, max: usize) -> Result<body::Body<'static>> {
    let body = read_json(request, max).await?;
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid_json("Send a JSON object, not a list.").into());
    }
    Ok(body)
}

/// The messages of serde name our fields and types, which helps a program's author.
fn invalid(error: &serde_json::Error) -> String {
    if error.is_data() { format!("The JSON does not fit: {error}.") } else { format!("This is not JSON: {error}.") }
}

impl<T: Serialize, const MAX: usize> IntoResponse for Json<T, MAX> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let mut response = Response::new(Body::from(body));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
            Err(error) => Error::from(Problem::internal(error)).into_response(),
        }
    }
}

/// 201 with the created value.
pub fn created<T: Serialize>(value: T) -> Response {
    (StatusCode::CREATED, Json::<T>(value)).into_response()
}

/// The id in the path. An invalid id is 404, like an unknown one.
#[derive(Clone, Copy, Debug)]
pub struct PathId(pub Id);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let id = params.iter().next().and_then(|(_, value)| value.parse().ok()).ok_or_else(Problem::not_found)?;
        Ok(Self(id))
    }
}

/// The name in the path. What is not text is 404, like an unknown name.
#[derive(Clone, Debug)]
pub struct PathName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let name = params.iter().next().map(|(_, value)| value.to_owned()).ok_or_else(Problem::not_found)?;
        Ok(Self(name))
    }
}

/// The two ids in the path, in order. An invalid one is 404, like an unknown one.
#[derive(Clone, Copy, Debug)]
pub struct PathIds(pub Id, pub Id);

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let mut ids = params.iter().map(|(_, value)| value.parse());
        match (ids.next(), ids.next()) {
            (Some(Ok(first)), Some(Ok(second))) => Ok(Self(first, second)),
            _ => Err(Problem::not_found().into()),
        }
    }
}

/// The query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Problem::invalid_field("query", error.body_text()).into())
    }
}
