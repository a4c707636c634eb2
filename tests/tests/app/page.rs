//! `/`: the page and its files.

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use tests::{anonymous, problem};

/// The page; `None` when it has not been built.
async fn page() -> Result<Option<String>> {
    let response = anonymous(Method::GET, "/")?.send().await?;
    assert_eq!(response.status(), StatusCode::OK);
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    assert!(header("content-type").starts_with("text/html"));
    let policy = header("content-security-policy");
    for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "connect-src 'self'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let page = response.text().await?;
    Ok(page.contains("/assets/").then_some(page))
}

#[tokio::test]
async fn the_page_comes_with_its_policy_at_every_address_that_is_not_a_files() -> Result<()> {
    let Some(page) = page().await? else { tests::skip!("static/dist has not been built") };
    for path in ["/c/01990000-0000-7000-8000-000000000000", "/anything"] {
        let response = anonymous(Method::GET, path)?.send().await?;
        assert_eq!(response.text().await?, page, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn its_files_are_kept_for_ever_and_the_page_is_asked_for_again() -> Result<()> {
    let Some(page) = page().await? else { tests::skip!("static/dist has not been built") };
    let files: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(!files.is_empty());
    for file in files {
        let response = anonymous(Method::GET, file)?.header("accept-encoding", "br").send().await?;
        assert_eq!(response.status(), StatusCode::OK, "{file}");
        let kept = response.headers().get("cache-control").context("no cache-control")?.to_str()?;
        assert_eq!(kept, "public, max-age=31536000, immutable", "{file}");
        assert_eq!(
            response.headers().get("content-encoding").map(|value| value.as_bytes()),
            Some(&b"br"[..]),
            "{file}"
        );
    }
    let first = anonymous(Method::GET, "/")?.send().await?;
    assert_eq!(first.headers().get("cache-control").map(|value| value.as_bytes()), Some(&b"no-cache"[..]));
    let etag = first.headers().get("etag").context("no etag")?.clone();
    let again = anonymous(Method::GET, "/")?.header("if-none-match", etag).send().await?;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    Ok(())
}

#[tokio::test]
async fn files_that_do_not_exist_and_other_methods_are_refused() -> Result<()> {
    problem(anonymous(Method::GET, "/assets/none.js")?.send().await?, 404, "not_found").await?;
    problem(anonymous(Method::GET, "/.env")?.send().await?, 404, "not_found").await?;
    let response = anonymous(Method::POST, "/")?.send().await?;
    assert_eq!(response.headers().get("allow").map(|value| value.as_bytes()), Some(&b"GET, HEAD"[..]));
    problem(response, 405, "method_not_allowed").await?;
    Ok(())
}
