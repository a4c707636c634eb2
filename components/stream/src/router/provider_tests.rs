//! What administrators do about providers.

use http::StatusCode;
use router_test::request;
use serde_json::{Value, json};

use super::{tests::*, *};
use crate::{programs::tests::WAYS, stored};

/// An administrator, of an installation with nobody else.
struct Test {
    fixture: router_test::Fixture,
    token: String,
    config: Arc<Config>,
}

impl Test {
    fn new() -> Self {
        let fixture = router_test::Fixture::default();
        let (_, token) = fixture.person("ada@example.org");
        let near = r#"[{"name": "near", "base_url": "http://near.example/v1", "models": ["llama"]}]"#;
        Self { fixture, token, config: config(near, "") }
    }

    fn send(&self, method: Method, path: &str, body: Option<Value>) -> router_test::Answer {
        let router = router(self.fixture.new_instance(), Arc::clone(&self.config), scripted, WAYS);
        let path = format!("/api/admin/providers{path}");
        router_test::send(router, request(method, &path, Some(&self.token), body.as_ref()))
    }

    fn put(&self, name: &str, body: Value) -> router_test::Answer {
        self.send(Method::PUT, &format!("/{name}"), Some(body))
    }

    fn list(&self) -> Vec<Value> {
        self.send(Method::GET, "", None).json["items"].as_array().unwrap().clone()
    }
}

const FAR: &str = "https://far.example/v1";

fn far() -> Value {
    json!({"base_url": FAR, "models": ["gpt-*"], "key": "planted-key-1", "priority": 5})
}

/// The provider `far` lists a model, and the model answers.
fn far_answers() {
    let answer = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ok\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    answering_with(&[
        ("https://far.example/v1/models", 200, json!({"data": [{"id": "gpt-5"}, {"id": "o3"}]}).to_string()),
        ("https://far.example/v1/chat/completions", 200, answer.to_owned()),
    ]);
}

fn code(answer: &router_test::Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

#[test]
fn a_provider_that_answers_is_stored_with_a_sealed_key_and_offers_its_models() {
    let test = Test::new();
    far_answers();
    let saved = test.put("far", far());
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.text);
    let asked = ASKED.take();
    assert!(asked.iter().all(|(_, key)| key == "Bearer planted-key-1") && asked.len() == 2, "{asked:?}");
    assert_eq!(saved.json["test"]["message"], "gpt-5 answers. 1 of 2 listed models fit.");
    let list = test.list();
    assert_eq!(list.iter().map(|item| item["name"].as_str().unwrap()).collect::<Vec<_>>(), ["default", "near", "far"]);
    assert_eq!(
        (&list[2]["has_key"], &list[2]["is_configured"], &list[1]["is_configured"]),
        (&json!(true), &json!(false), &json!(true))
    );
    assert!(!json!(list).to_string().contains("planted") && !saved.text.contains("planted"));
    let rows = futures::executor::block_on(test.fixture.app.store().model_providers()).unwrap();
    assert!(rows[0].sealed.starts_with("v1.") && !rows[0].settings.contains("planted"), "{rows:?}");
    answering(&[]);
    let models = get_models(&test.fixture, &test.config, Some(&test.token));
    assert_eq!(ids(&models), ["gpt-5", "m", "llama"], "by priority");
}

#[test]
fn a_provider_that_refuses_is_told_in_its_own_words_and_stored_only_if_that_is_wanted() {
    let test = Test::new();
    let refusal =
        json!({"error": {"message": "No credits for planted-key-1, see our terms.", "code": "invalid_api_key"}});
    answering(&[(FAR, 401, refusal)]);
    let refused = test.put("far", far());
    assert_eq!(code(&refused), (422, "provider_test_failed"));
    let words = refused.json["detail"].as_str().unwrap();
    assert!(words.contains("see our terms") && !words.contains("planted"), "{words}");
    assert_eq!(test.list().len(), 2);
    let mut nevertheless = far();
    nevertheless["untested"] = json!(true);
    assert_eq!(test.put("far", nevertheless).json["test"]["ok"], false);
    assert_eq!(test.list().len(), 3);
    assert_eq!(test.send(Method::POST, "/far/test", None).json["ok"], false);
    far_answers();
    assert_eq!(test.send(Method::POST, "/far/test", None).json["ok"], true);
    assert_eq!(test.send(Method::DELETE, "/far", None).status, StatusCode::NO_CONTENT);
    assert_eq!(code(&test.send(Method::DELETE, "/far", None)), (404, "not_found"));
}

#[test]
fn what_does_not_answer_as_a_provider_is_said_in_words() {
    let test = Test::new();
    for (models, completions, words) in [
        ((200, "<html>Welcome</html>"), (404, ""), "a web page"),
        ((200, r#"{"data":[]}"#), (404, ""), "lists no models"),
        ((200, r#"{"data":[{"id":"o3"}]}"#), (404, ""), "no model that fits. It lists o3"),
        ((200, r#"{"data":[{"id":"gpt-5"}]}"#), (402, r#"{"error":{"message":"Pay first."}}"#), "Pay first"),
        ((404, "not found"), (404, ""), "lists no models"),
    ] {
        answering_with(&[
            ("https://far.example/v1/models", models.0, models.1.to_owned()),
            ("https://far.example/v1/chat/completions", completions.0, completions.1.to_owned()),
        ]);
        let refused = test.put("far", far());
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(code(&refused) == (422, "provider_test_failed") && detail.contains(words), "{}", refused.text);
    }
    answering(&[]);
    let refused = test.put("far", far());
    assert!(refused.json["detail"].as_str().unwrap().contains("does not answer: refused"), "{}", refused.text);
}

#[test]
fn a_server_without_a_list_and_with_wishes_is_asked_as_it_wants() {
    let test = Test::new();
    let refusal = json!({"error": {"message": "Unsupported parameter: 'include'", "type": "invalid_request_error"}});
    answering_with(&[
        ("https://far.example/v1/models", 404, "404 page not found".to_owned()),
        ("https://far.example/v1/responses", 400, refusal.to_string()),
        ("https://far.example/v1/responses", 200, "data: {\"type\":\"response.output_text.delta\",\"delta\":\"ok\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n".to_owned()),
    ]);
    let saved = test.put("far", json!({"base_url": FAR, "models": ["mine"], "dialect": "responses"}));
    assert_eq!(saved.json["test"]["message"], "mine answers.", "{}", saved.text);
}

#[test]
fn a_key_stays_with_its_server() {
    let test = Test::new();
    far_answers();
    assert_eq!(test.put("far", far()).status, StatusCode::OK);
    ASKED.take();
    let without_key = |base_url: &str| json!({"base_url": base_url, "models": ["gpt-*"]});
    assert_eq!(test.put("far", without_key(FAR)).status, StatusCode::OK);
    assert!(ASKED.take().iter().all(|(_, key)| key == "Bearer planted-key-1"), "it is kept");
    let moved = test.put("far", without_key("https://elsewhere.example/v1"));
    assert_eq!((code(&moved), &moved.json["field"]), ((422, "invalid_field"), &json!("key")));
    assert_eq!(ASKED.take(), [], "nobody else was asked");
    let mut removed = without_key(FAR);
    removed["key"] = json!("");
    assert_eq!(test.put("far", removed).json["has_key"], false);
}

#[test]
fn an_address_that_is_not_allowed_is_refused_with_the_variable_to_set() {
    let test = Test::new();
    answering(&[]);
    for address in
        ["http://127.0.0.1:11434/v1", "https://far.example:8443/v1", "http://tools.spin.internal/x", "ftp://x", "x"]
    {
        let refused = test.put("far", json!({"base_url": address, "untested": true}));
        assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("base_url")), "{address}");
    }
    let refused = test.put("far", json!({"base_url": "http://127.0.0.1:11434/v1"}));
    let words = refused.json["detail"].as_str().unwrap();
    assert!(
        words.contains("SPIN_VARIABLE_MODEL_PROVIDER_HOSTS") && words.contains("http://127.0.0.1:11434"),
        "{words}"
    );
    assert_eq!(ASKED.take(), []);
}

#[test]
fn what_may_be_secret_in_an_address_is_told_to_nobody_and_kept() {
    let test = Test::new();
    far_answers();
    let with_query = json!({"base_url": format!("{FAR}?key=planted-query-1"), "models": ["gpt-*"]});
    let saved = test.put("far", with_query);
    assert_eq!((&saved.json["base_url"], &saved.json["has_query"]), (&json!(FAR), &json!(true)), "{}", saved.text);
    assert!(ASKED.take().iter().all(|(address, _)| address.ends_with("?key=planted-query-1")));
    let rows = futures::executor::block_on(test.fixture.app.store().model_providers()).unwrap();
    assert!(!format!("{rows:?}{:?}{}", test.list(), saved.text).contains("planted"), "{rows:?}");
    assert_eq!(test.put("far", json!({"base_url": FAR, "models": ["gpt-*"]})).json["has_query"], true);
}

#[test]
fn a_provider_is_not_asked_any_more_where_none_may_be_any_more() {
    let mut test = Test::new();
    far_answers();
    assert_eq!(test.put("far", far()).status, StatusCode::OK);
    ASKED.take();
    let narrower = Config { provider_hosts: "https://near.example:443".to_owned(), ..(*test.config).clone() };
    test.config = Arc::new(narrower);
    assert!(test.list()[2]["problem"].as_str().unwrap().contains("SPIN_VARIABLE_MODEL_PROVIDER_HOSTS"));
    assert_eq!(code(&test.send(Method::POST, "/far/test", None)), (422, "invalid_field"));
    assert_eq!(ids(&get_models(&test.fixture, &test.config, Some(&test.token))), ["m", "llama"]);
    assert!(ASKED.take().iter().all(|(address, _)| !address.starts_with(FAR)));
}

#[test]
fn a_provider_whose_key_cannot_be_opened_is_not_asked_and_says_so() {
    let test = Test::new();
    far_answers();
    assert_eq!(test.put("far", far()).status, StatusCode::OK);
    ASKED.take();
    let store = test.fixture.app.store();
    let row = futures::executor::block_on(store.model_providers()).unwrap().remove(0);
    let other = storage::model_providers::StoredProvider { sealed: row.sealed.replace("v1.", "v1.x"), ..row };
    assert!(futures::executor::block_on(store.set_model_provider("far", FAR, &other)).unwrap());
    let refused = test.send(Method::POST, "/far/test", None);
    assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("key")));
    assert_eq!(ASKED.take(), []);
    // A run of a model that it does not have needs no key.
    let opened = |model| futures::executor::block_on(stored::opened(store, &test.config, &other, Some(model)));
    assert!(matches!(opened("llama"), Ok(None)));
    assert!(matches!(opened("gpt-5"), Err(stored::Unusable::Key(_))));
}

#[test]
fn a_standard_provider_that_nobody_set_up_is_not_asked_for_one_that_cannot_be_used() {
    let test = Test::new();
    far_answers();
    assert_eq!(test.put("far", far()).status, StatusCode::OK);
    let store = test.fixture.app.store();
    let rows = futures::executor::block_on(store.model_providers()).unwrap();
    let unset = models::Provider::standard("https://api.openai.com/v1", "", "m", "");
    let asked = |hosts: &str, has_more: bool, rows: &[storage::model_providers::StoredProvider]| {
        let config = Config { provider_hosts: hosts.to_owned(), ..Config::default() };
        let config = config.with(unset.clone(), Vec::new(), has_more);
        let all = futures::executor::block_on(stored::all(store, &config, rows, Some("gpt-5")));
        all.for_run("gpt-5").iter().map(|provider| provider.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(asked("https://*:443", false, &rows), ["far"]);
    assert_eq!(asked("", false, &rows), [""; 0], "it may be nowhere any more");
    let unopenable = rows.iter().map(|row| storage::model_providers::StoredProvider {
        sealed: row.sealed.replace("v1.", "v1.x"),
        ..row.clone()
    });
    assert_eq!(asked("https://*:443", false, &unopenable.collect::<Vec<_>>()), [""; 0], "its key cannot be opened");
    assert_eq!(asked("", true, &[]), [""; 0], "what is configured cannot be read");
    assert_eq!(asked("", false, &[]), ["default"], "it is the only one");
}

#[test]
fn what_is_configured_is_changed_where_it_is_deployed() {
    let test = Test::new();
    for name in ["default", "near"] {
        assert_eq!(code(&test.put(name, far())), (409, "provider_configured"));
        assert_eq!(code(&test.send(Method::DELETE, &format!("/{name}"), None)), (409, "provider_configured"));
    }
    let refused = test.put("Bad%20name", far());
    assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("name")));
    let (_, token) = test.fixture.person("eve@example.org");
    let member = Test { token, ..test };
    assert_eq!(code(&member.send(Method::GET, "", None)), (403, "forbidden"));
}
