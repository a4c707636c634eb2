//! Errors are alike on every route: complete problems, never a 500, never an empty body. The app goes on.

use std::convert::Infallible;

use anyhow::{Context as _, Result};
use reqwest::{Body, Method, Response, StatusCode};
use serde_json::json;
use tests::{App, Person, anonymous, problem, within};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn post_json(person: &Person, path: &str, body: impl Into<Body>) -> Result<Response> {
    let request = person.request(Method::POST, path).header("content-type", "application/json");
    Ok(within(path, request.body(body).send()).await??)
}

async fn still_answers(app: &App) -> Result<()> {
    let response = within("/health", app.request(Method::GET, "/health").send()).await??;
    assert_eq!(response.status(), StatusCode::OK);
    Ok(())
}

/// Sends bytes as they are and returns the status and the body of the answer.
async fn raw(app: &App, request: &[u8]) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(app.authority()).await?;
    // The response may come, and the connection end, before everything is written.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = within("the end of the answer", stream.read_to_end(&mut answer)).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no answer at all")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

#[tokio::test]
async fn an_id_that_came_with_the_request_comes_back_if_it_is_fit_for_a_log() -> Result<()> {
    let long = "x".repeat(65);
    for (given, kept) in [("my-id.1", true), (long.as_str(), false), ("two words", false), ("", false)] {
        for path in ["/health", "/api/none", "/auth/none", "/none.js"] {
            let response = anonymous(Method::GET, path)?.header("x-request-id", given).send().await?;
            let id = response.headers().get("x-request-id").context("no request id")?.to_str()?.to_owned();
            assert!(!id.is_empty() && (id == given) == kept, "{path}: {given:?} became {id:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_of_every_component_is_closed_to_other_sites() -> Result<()> {
    let person = Person::new().await?;
    for path in [
        "/api/conversations",
        "/api/none",
        "/api/admin/users",
        "/api/runs/01990000-0000-7000-8000-000000000000/events",
        "/api/tools",
        "/auth/me",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/oauth/none",
        "/mcp",
        "/health",
        "/ready",
        "/",
    ] {
        for response in [anonymous(Method::GET, path)?.send().await?, person.request(Method::GET, path).send().await?] {
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            assert!(
                header("content-security-policy").is_some_and(|it| it.contains("frame-ancestors 'none'")),
                "{path}"
            );
            assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(header("referrer-policy"), Some("no-referrer"), "{path}");
            assert_eq!(header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
            assert!(header("cache-control").is_some(), "{path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_nowhere_is_404() -> Result<()> {
    let person = Person::new().await?;
    for path in [
        "/api",
        "/api/",
        "/api/none",
        "/api/conversations/",
        "/api/conversations/none",
        "/api/conversations/01990000-0000-7000-8000-000000000000",
        "/api/conversations/01990000-0000-7000-8000-000000000000/messages",
        "/api/runs/none",
        "/api/runs/none/events",
        "/api/runs/01990000-0000-7000-8000-000000000000/events",
        "/auth",
        "/auth/none",
        "/.well-known/none",
    ] {
        problem(person.request(Method::GET, path).send().await?, 404, "not_found").await.context(path)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_method_that_is_not_taken_is_405_and_names_those_that_are() -> Result<()> {
    let id = "01990000-0000-7000-8000-000000000000";
    let person = Person::new().await?;
    for (method, path, allowed) in [
        (Method::PUT, "/api/conversations".to_owned(), "GET,HEAD,POST"),
        (Method::POST, format!("/api/conversations/{id}"), "GET,HEAD,PATCH,DELETE"),
        (Method::DELETE, format!("/api/conversations/{id}/messages"), "GET,HEAD,POST"),
        (Method::POST, format!("/api/runs/{id}"), "GET,HEAD"),
        (Method::POST, format!("/api/runs/{id}/events"), "GET,HEAD"),
        (Method::GET, format!("/api/runs/{id}/cancel"), "POST"),
        (Method::GET, "/auth/login".to_owned(), "POST"),
        (Method::POST, "/auth/me".to_owned(), "GET,HEAD,PATCH"),
        (Method::POST, "/health".to_owned(), "GET,HEAD"),
        (Method::DELETE, "/ready".to_owned(), "GET,HEAD"),
        (Method::POST, "/api/tools".to_owned(), "GET,HEAD"),
    ] {
        let response = person.request(method.clone(), &path).send().await?;
        let allow = response.headers().get("allow").context("no Allow")?.to_str()?.to_owned();
        problem(response, 405, "method_not_allowed").await.with_context(|| format!("{method} {path}"))?;
        assert_eq!(allow.replace(' ', ""), allowed, "{method} {path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_too_long_is_413_whether_its_length_was_told_or_not() -> Result<()> {
    let person = Person::new().await?;
    for (path, length) in [("/auth/login", 20_000), ("/api/conversations", 600_000)] {
        let body = format!("{{\"title\":\"{}\"}}", "x".repeat(length));
        problem(post_json(&person, path, body.clone()).await?, 413, "too_large").await.context(path)?;
        let pieces: Vec<_> =
            body.as_bytes().chunks(8 * 1024).map(|piece| Ok::<_, Infallible>(piece.to_vec())).collect();
        let body = Body::wrap_stream(futures::stream::iter(pieces));
        problem(post_json(&person, path, body).await?, 413, "too_large").await.context(path)?;
    }
    // A careful client asks before it sends megabytes.
    let conversation = person.converse("scripted").await?;
    let head = format!(
        "POST /api/conversations/{conversation}/messages HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 8000000\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
        person.app.authority(),
        person.token
    );
    let (status, body) = raw(&person.app, head.as_bytes()).await?;
    assert!(status == 413 && body.contains("too_large"), "{status}: {body}");
    still_answers(&person.app).await
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_415() -> Result<()> {
    let person = Person::new().await?;
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data", ""]
    {
        let request = person.request(Method::POST, "/api/conversations").header("content-type", content_type);
        problem(request.body("{}").send().await?, 415, "unsupported_media_type").await.context(content_type)?;
    }
    let none = person.request(Method::POST, "/api/conversations").body("{}").send().await?;
    problem(none, 415, "unsupported_media_type").await?;
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = person.request(Method::POST, "/api/conversations").header("content-type", content_type);
        assert_eq!(request.body("{}").send().await?.status(), StatusCode::CREATED, "{content_type}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_json_or_not_what_is_taken_is_400() -> Result<()> {
    let person = Person::new().await?;
    let messages = format!("/api/conversations/{}/messages", person.converse("scripted").await?);
    let deep = format!("{{\"content\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: [&[u8]; 12] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\"content\"",
        b"{}",
        b"{\"content\":7}",
        b"{\"content\":\"\xff\xfe\"}",
        b"{\"content\":\"\\ud800\"}",
        b"{\"content\":\"a\"}{\"content\":\"b\"}",
        b"\0\0\0\0",
        deep.as_bytes(),
    ];
    for body in bodies {
        let start = String::from_utf8_lossy(body).chars().take(40).collect::<String>();
        problem(post_json(&person, &messages, body.to_vec()).await?, 400, "invalid_json").await.context(start)?;
    }
    assert!(person.messages(messages.split('/').nth(3).unwrap_or_default()).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn odd_addresses_never_break_anything() -> Result<()> {
    let person = Person::new().await?;
    let long = format!("/api/conversations/{}", "x".repeat(60_000));
    let long_query = format!("/api/conversations?cursor={}", "9".repeat(60_000));
    for path in [
        "/%00",
        "/api/%00",
        "/api/conversations/%00",
        "/api/conversations/%ff%fe",
        "/api/conversations/%F0%9F%A6%80",
        "/api/conversations/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/conversations/../../../etc/passwd",
        "/api/conversations/%",
        "/api/conversations/%zz",
        "/api//conversations",
        "//api/conversations",
        "/api/conversations;x=1",
        "/api/conversations?limit=%00",
        "/api/conversations?limit=1&limit=2",
        "/api/conversations?limit=99999999999999999999",
        "/api/conversations?cursor=9999999999999999999999_01990000-0000-7000-8000-000000000000",
        "/api/conversations?cursor=-9223372036854775808_01990000-0000-7000-8000-000000000000",
        "/api/conversations?%ff=%ff",
        "/api/runs/%20/events",
        "/auth/%6de",
        "/auth/me/../me",
        "/.well-known/%6awks.json",
        "/health/%00",
        "/..%2f..%2fspin.toml",
        "/assets/..%2findex.html",
        "/assets/%00.js",
        long.as_str(),
        long_query.as_str(),
    ] {
        for method in ["GET", "POST", "DELETE", "BREW"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
                person.app.authority(),
                person.token
            );
            let shown: String = path.chars().take(80).collect();
            let (status, body) =
                raw(&person.app, request.as_bytes()).await.with_context(|| format!("{method} {shown}"))?;
            assert!(status < 500, "{method} {shown}: {status}: {body}");
            assert!(!body.is_empty() || status == 204, "{method} {shown}: {status} with nothing");
            assert!(status < 400 || body.contains("\"request_id\""), "{method} {shown}: {status}: {body}");
        }
    }
    still_answers(&person.app).await
}

#[tokio::test]
async fn what_is_hardly_http_breaks_nothing() -> Result<()> {
    let app = tests::shared()?;
    let host = format!("host: {}\r\nconnection: close\r\n", app.authority());
    let many: String = (0..500).map(|number| format!("x-{number}: y\r\n")).collect();
    let requests = [
        format!("GET /\0 HTTP/1.1\r\n{host}\r\n"),
        format!("GET /api/conversations HTTP/1.1\r\n{host}x: {}\r\n\r\n", "y".repeat(100_000)),
        format!("GET /api/conversations HTTP/1.1\r\n{host}authorization: Bearer {}\r\n\r\n", "y".repeat(100_000)),
        format!("GET /api/conversations HTTP/1.1\r\n{host}cookie: {}\r\n\r\n", "ea_access=x; ".repeat(5_000)),
        format!("GET /api/conversations HTTP/1.1\r\n{host}{many}\r\n"),
        format!("POST /auth/login HTTP/1.1\r\n{host}content-type: application/json\r\ncontent-length: -1\r\n\r\n"),
        format!("POST /auth/login HTTP/1.1\r\n{host}content-length: 1\r\ncontent-length: 2\r\n\r\n{{}}"),
        format!("POST /auth/login HTTP/1.1\r\n{host}transfer-encoding: chunked\r\n\r\nzz\r\n"),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        // Without the header `Host`, hosts answer 500 by themselves: no component sees such a request.
        format!("GET /health HTTP/1.0\r\n{host}\r\n"),
    ];
    for request in requests {
        let shown: String = request.chars().take(60).collect();
        let (status, body) = raw(&app, request.as_bytes()).await.context(shown.clone())?;
        assert!(status < 500, "{shown}: {status}: {body}");
    }
    still_answers(&app).await
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_nothing() -> Result<()> {
    let person = Person::new().await?;
    for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(person.app.authority()).await?;
        let head = format!(
            "POST /api/conversations HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{framing}\r\n\r\n",
            person.app.authority(),
            person.token
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(b"5\r\n{\"tit").await?;
        drop(stream);
    }
    still_answers(&person.app).await?;
    assert_eq!(person.get("/api/conversations").await?["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn an_error_names_nothing_of_the_inside() -> Result<()> {
    let person = Person::new().await?;
    for (path, body) in [("/api/conversations", "{\"title\":"), ("/auth/login", "{}"), ("/auth/login", "[1]")] {
        let told = post_json(&person, path, body).await?.text().await?;
        for word in ["panick", ".rs:", "SELECT", "sqlite", "/work", "target/"] {
            assert!(!told.contains(word), "{path}: {told}");
        }
    }
    Ok(())
}
