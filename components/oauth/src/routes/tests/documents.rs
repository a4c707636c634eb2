//! Programs that are known by a metadata document.

use super::*;

#[test]
fn a_program_is_known_by_its_document_too_if_it_is_about_this_program() {
    let mut test = Test::new();
    let asked = with(asked(DOCUMENT), &[("redirect_uri", "https://app.example.org/cb")]);
    let began = test.get(&format!("/oauth/authorize?{}", query(&asked)), None);
    assert_eq!(began.headers[header::LOCATION], format!("/authorize?{}", query(&asked)), "nothing is requested yet");
    let shown = test.show(&asked).json;
    assert_eq!((&shown["client_name"], &shown["client_host"]), (&json!("App"), &json!("app.example.org")));
    assert_eq!((&shown["redirect_host"], &shown["is_on_this_computer"]), (&json!("app.example.org"), &json!(false)));
    let tokens = test.exchange(&asked, &test.code(&asked));
    assert!(test.opens(&tokens.json["access_token"]));
    let elsewhere = with(asked.clone(), &[("redirect_uri", "https://evil.example/cb")]);
    assert_eq!(code(&test.show(&elsewhere)), (400, "redirect_refused"));
    let unread = |answer: &Answer| {
        assert_eq!(code(answer), (400, "client_unknown"));
        // Always the same words: nobody learns what answers inside the installation's network.
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.ends_with("its description could not be read. Tell its maker."), "{detail}");
    };
    for wrong in [
        json!({"client_id": "https://evil.example/c.json", "redirect_uris": ["https://app.example.org/cb"]}),
        json!({"client_id": DOCUMENT, "redirect_uris": []}),
        json!({"client_id": DOCUMENT, "redirect_uris": ["javascript:x"]}),
        json!({"client_id": DOCUMENT}),
        json!("x"),
        json!({"client_id": DOCUMENT, "redirect_uris": ["https://app.example.org/cb"], "token_endpoint_auth_method": "private_key_jwt"}),
    ] {
        test.document = wrong;
        unread(&test.show(&asked));
    }
    for unreachable in ["https://10.0.0.1/client.json", "https://other.example.org/client.json"] {
        unread(&test.show(&with(asked.clone(), &[("client_id", unreachable)])));
    }
}

#[test]
fn whoever_has_many_documents_read_is_told_how_long_to_wait() {
    let test = Test::new();
    let asked = with(asked(DOCUMENT), &[("redirect_uri", "https://app.example.org/cb")]);
    let refused = (0..50).map(|_| test.show(&asked)).find(|shown| shown.status != StatusCode::OK).unwrap();
    assert_eq!(code(&refused), (429, "rate_limited"));
    let wait_s: u64 = refused.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait_s), "{wait_s}");
}
