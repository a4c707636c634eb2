//! How often one address may ask.

use http::{HeaderName, StatusCode};

use super::*;

#[test]
fn one_address_asks_for_so_many_tokens_a_minute_and_others_go_on() {
    let fixture = Fixture::default();
    let ask = |address: &str, path: &str| {
        let client_address_header = Some(HeaderName::from_static("x-real-ip"));
        let config = Config { signing_key: String::new(), reads_documents: true, client_address_header };
        let router = router(fixture.app.clone(), config, Scripted(Value::Null));
        let mut request = router_test::request(Method::POST, path, None, Some(&json!({})));
        request.headers_mut().insert("x-real-ip", address.parse().unwrap());
        router_test::send(router, request)
    };
    // On a slow machine some are given back meanwhile.
    let is_refused = |answer: &Answer| answer.status == StatusCode::TOO_MANY_REQUESTS;
    let taken = (0..2_000).take_while(|_| !is_refused(&ask("203.0.113.7", "/oauth/register"))).count();
    assert!((120..2_000).contains(&taken), "{taken}");
    let refused = (0..10).map(|_| ask("203.0.113.7", "/oauth/register")).find(is_refused).unwrap();
    assert_eq!(refused.json["error"], "temporarily_unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    assert!(!is_refused(&ask("203.0.113.8", "/oauth/register")));
    assert!(!is_refused(&ask("203.0.113.7", "/oauth/token")), "who registers programs uses up no tokens");
    let refused = (0..2_000).map(|_| ask("203.0.113.7", "/oauth/token")).find(is_refused).unwrap();
    assert_eq!(refused.json["error"], "temporarily_unavailable");
}
