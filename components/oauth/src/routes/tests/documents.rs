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
    assert_eq!(shown["redirect_host"], "app.example.org");
    let tokens = test.exchange(&asked, &test.code(&asked));
    assert!(test.opens(&tokens.json["access_token"]));
    let elsewhere = with(asked.clone(), &[("redirect_uri", "https://evil.example/cb")]);
    assert_eq!(code(&test.show(&elsewhere)), (400, "redirect_refused"));
    for (wrong, says) in [
        (
            json!({"client_id": "https://evil.example/c.json", "redirect_uris": ["https://app.example.org/cb"]}),
            "another client_id",
        ),
        (json!({"client_id": DOCUMENT, "redirect_uris": []}), "redirect_uris"),
        (json!({"client_id": DOCUMENT, "redirect_uris": ["javascript:x"]}), "redirect_uri"),
        (json!({"client_id": DOCUMENT}), "redirect_uris"),
        (json!("x"), "not what a client metadata document is"),
        (
            json!({"client_id": DOCUMENT, "redirect_uris": ["https://app.example.org/cb"], "token_endpoint_auth_method": "private_key_jwt"}),
            "public clients",
        ),
    ] {
        test.document = wrong;
        let refused = test.show(&asked);
        assert_eq!(code(&refused), (400, "client_unknown"));
        assert!(refused.json["detail"].as_str().unwrap().contains(says), "{}", refused.text);
    }
    for unreachable in ["https://10.0.0.1/client.json", "https://other.example.org/client.json"] {
        assert_eq!(code(&test.show(&with(asked.clone(), &[("client_id", unreachable)]))), (400, "client_unknown"));
    }
}
