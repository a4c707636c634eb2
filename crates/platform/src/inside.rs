//! What one component has another one do, where nothing of the answer counts but whether it did. Whoever reads more sends with [`http_client`](crate::http_client).

use bytes::Bytes;
use http::{HeaderValue, Request, header};

use crate::http_client;

/// Asks a component at a private path, with the proof of [`App::prove`](web::App::prove). `body` is JSON, or empty.
///
/// # Errors
/// Why it was not done, for the log.
pub async fn ask(component: &str, path: &str, proof: web::Result<HeaderValue>, body: Bytes) -> Result<(), String> {
    let proof = proof.map_err(|error| error.causes().unwrap_or_default())?;
    let request = Request::post(format!("http://{component}.spin.internal{path}"))
        .header(header::AUTHORIZATION, proof)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| error.to_string())?;
    let response = http_client::send(request).await.map_err(|error| error.to_string())?;
    if response.status.is_success() { Ok(()) } else { Err(format!("{component} answered {}", response.status)) }
}
