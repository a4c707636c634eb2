//! The responses, whichever page is built: these tests do not need npm.

use std::io::Read as _;

use super::*;

fn ask(method: &Method, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect();
    answer(&Asked { method, path, site: &Site::new("https://chat.example.org"), headers: &headers })
}

fn get(path: &str) -> Response<Bytes> {
    ask(&Method::GET, path, &[])
}

fn problem_code(response: &Response<Bytes>) -> String {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    body["code"].as_str().unwrap().to_owned()
}

#[test]
fn every_address_of_the_app_is_the_page() {
    let page = get("/");
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
    assert!(page.body().starts_with(b"<!doctype html>"));
    for path in ["/index.html", "/c/01990000-0000-7000-8000-000000000000", "/no/such/page", "/apiary", ""] {
        assert_eq!(get(path).body(), page.body(), "{path}");
    }
}

#[test]
fn the_page_is_at_its_own_address() {
    let ask = |host| ask(&Method::GET, "/", &[("host", host)]);
    for host in ["chat.example.org", "127.0.0.1:3000"] {
        assert_eq!(ask(host).status(), StatusCode::OK, "{host}");
    }
    let elsewhere = ask("evil.example");
    assert_eq!((elsewhere.status().as_u16(), problem_code(&elsewhere).as_str()), (421, "misdirected"));
}

#[test]
fn every_file_is_served_as_what_it_is() {
    for (path, asset) in assets::all() {
        let response = get(path);
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(*response.body(), asset.bytes(Encoding::Identity).unwrap(), "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], asset.content_type, "{path}");
        let for_ever = response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable");
        assert_eq!(for_ever, path.starts_with("/assets/"), "{path}");
    }
}

#[test]
fn the_description_of_the_api_is_shown_by_a_page_of_its_own() {
    // Without a built page there is none, and each refusal has its own id.
    if assets::all().any(|(path, _)| path == DOCS) {
        assert_eq!(get("/docs").body(), get("/docs.html").body());
        assert!(get("/docs").body() != get("/").body());
        assert_eq!(get("/openapi.json").headers()[header::CONTENT_TYPE], "application/json");
    }
}

#[test]
fn every_form_of_a_file_is_the_same_file() {
    for (path, _) in assets::all() {
        let plain = get(path);
        for accepted in ["br", "gzip"] {
            let packed = ask(&Method::GET, path, &[("accept-encoding", accepted)]);
            let coding = packed.headers().get(header::CONTENT_ENCODING).map_or("", |coding| coding.to_str().unwrap());
            let unpacked = match coding {
                "br" => {
                    let mut unpacked = Vec::new();
                    brotli::BrotliDecompress(&mut &**packed.body(), &mut unpacked).unwrap();
                    unpacked
                }
                "gzip" => {
                    let mut unpacked = Vec::new();
                    flate2::read::GzDecoder::new(&**packed.body()).read_to_end(&mut unpacked).unwrap();
                    unpacked
                }
                _ => packed.body().to_vec(),
            };
            assert!(unpacked == *plain.body(), "{path} as {accepted}");
            assert!(coding.is_empty() || coding == accepted, "{path} as {accepted}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_not_the_page() {
    for path in ["/assets/index-00000000.js", "/robots.txt", "/.env", "/assets/../Cargo.toml"] {
        let response = get(path);
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(problem_code(&response), "not_found", "{path}");
    }
}

#[test]
fn an_address_of_the_api_is_never_a_page() {
    for path in ["/api", "/api/nothing", "/auth/nothing", "/mcp/nothing", "/.well-known/nothing"] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let response = ask(&method, path, &[]);
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(problem_code(&response), "not_found", "{method} {path}");
        }
    }
}

#[test]
fn only_reading_is_allowed() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let response = ask(&method, "/", &[]);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD", "{method}");
        assert_eq!(problem_code(&response), "method_not_allowed", "{method}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let known = [("x-request-id", "r1")];
    let (mut get, head) = (ask(&Method::GET, "/", &known), ask(&Method::HEAD, "/", &known));
    assert_eq!(head.status(), StatusCode::OK);
    let length = get.headers_mut().remove(header::CONTENT_LENGTH).unwrap();
    assert_eq!(length, get.body().len().to_string());
    assert_eq!(head.headers(), get.headers());
    assert!(head.body().is_empty());
    assert!(ask(&Method::HEAD, "/none.js", &[]).body().is_empty());
}

#[test]
fn what_is_known_is_not_sent_again_and_each_encoding_is_known_by_itself() {
    for (path, asset) in assets::all() {
        let plain = get(path);
        assert_eq!(plain.headers()[header::VARY], "Accept-Encoding", "{path}");
        let etag = plain.headers()[header::ETAG].to_str().unwrap();
        for known in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
            let again = ask(&Method::GET, path, &[("if-none-match", &known)]);
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path} {known}");
            assert!(again.body().is_empty(), "{path}");
            assert_eq!(again.headers()[header::ETAG], etag, "{path}");
            assert_eq!(again.headers()[header::CACHE_CONTROL], plain.headers()[header::CACHE_CONTROL], "{path}");
        }
        let small = ask(&Method::GET, path, &[("accept-encoding", "br, gzip;q=0.5"), ("if-none-match", etag)]);
        if asset.is_packed() {
            assert_eq!(small.status(), StatusCode::OK, "{path}");
            assert_eq!(small.headers()[header::CONTENT_ENCODING], "br", "{path}");
            assert!(small.headers()[header::ETAG] != etag, "{path}");
            assert!(small.body().len() < plain.body().len(), "{path}");
        } else {
            assert!(small.headers().get(header::CONTENT_ENCODING).is_none(), "{path}");
        }
    }
}

#[test]
fn every_answer_is_closed_to_others_and_has_an_id() {
    for response in [get("/"), get("/none.js"), get("/api/none"), ask(&Method::POST, "/", &[])] {
        let headers = response.headers();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert!(headers["permissions-policy"].to_str().unwrap().contains("camera=()"));
        assert_eq!(headers[REQUEST_ID].len(), Uuid::nil().to_string().len());
        assert_eq!(headers[header::STRICT_TRANSPORT_SECURITY], "max-age=63072000");
    }
    let (site, headers) = (Site::new("http://127.0.0.1:3000"), HeaderMap::new());
    let plain = answer(&Asked { method: &Method::GET, path: "/", site: &site, headers: &headers });
    assert!(plain.headers().get(header::STRICT_TRANSPORT_SECURITY).is_none(), "it could not be reached afterwards");
}

#[test]
fn a_request_keeps_its_id_unless_it_is_unfit_for_a_log() {
    let id_of =
        |id: &str| ask(&Method::GET, "/", &[("x-request-id", id)]).headers()[REQUEST_ID].to_str().unwrap().to_owned();
    assert_eq!(id_of("abc-123"), "abc-123");
    assert_ne!(id_of("two words"), "two words");
    let long = "x".repeat(MAX_REQUEST_ID_CHARS + 1);
    assert_ne!(id_of(&long), long);
}
