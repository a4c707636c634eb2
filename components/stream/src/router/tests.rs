//! The routes, natively, with providers that answer from a script.

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use models::Provider;
use router_test::{Answer, Fixture, request, send};
use serde_json::{Value, json};

use super::*;
use crate::{
    outside::{Exchange, Unasked, Whole},
    programs::tests::WAYS,
};

thread_local! {
    /// What the providers answer, by the beginning of the address: status and body. Of several, each is given once, and the last one again.
    static ANSWERS: RefCell<Vec<(&'static str, u16, String)>> = const { RefCell::new(Vec::new()) };
    /// What they were asked: address and authorization.
    pub(super) static ASKED: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn answering(answers: &[(&'static str, u16, Value)]) {
    let answers = answers.iter().map(|(address, status, body)| (*address, *status, body.to_string()));
    ANSWERS.set(answers.collect());
}

pub(super) fn answering_with(answers: &[(&'static str, u16, String)]) {
    ANSWERS.set(answers.to_vec());
}

pub(crate) fn scripted(request: Request<Bytes>) -> Exchange {
    let address = request.uri().to_string();
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    ASKED.with_borrow_mut(|asked| asked.push((address.clone(), authorization.unwrap_or_default().to_owned())));
    let answer = ANSWERS.with_borrow_mut(|answers| {
        let fits = |(beginning, ..): &(&str, u16, String)| address.starts_with(beginning);
        let at = answers.iter().position(fits)?;
        let is_last = answers.iter().filter(|answer| fits(answer)).count() == 1;
        let (_, status, body) = if is_last { answers.get(at).cloned()? } else { answers.remove(at) };
        Some(Whole { status, headers: HeaderMap::new(), body: body.into_bytes() })
    });
    Box::pin(async move { answer.ok_or_else(|| Unasked::Connection("refused".to_owned())) })
}

/// With these providers besides the standard one at `https://own.example/v1`, which has `m` and `gpt-*`.
pub(crate) fn config(providers: &str, keys: &str) -> Arc<Config> {
    let standard = Provider::standard("https://own.example/v1", "k", "m", "gpt-*");
    let config =
        Config { default_model: "m".to_owned(), provider_hosts: "https://*:443".to_owned(), ..Config::default() };
    Arc::new(config.with(standard, models::parse(providers, keys).unwrap(), !providers.is_empty()))
}

pub(super) fn get_models(fixture: &Fixture, config: &Arc<Config>, token: Option<&str>) -> Answer {
    let router = router(fixture.new_instance(), Arc::clone(config), scripted, WAYS);
    send(router, request(Method::GET, "/api/models", token, None))
}

pub(super) fn ids(answer: &Answer) -> Vec<&str> {
    answer.json["items"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[test]
fn models_are_those_that_providers_name_and_those_that_they_list() {
    let fixture = Fixture::default();
    let (_, token) = fixture.person("ada@example.org");
    let near = r#"[{"name": "near", "base_url": "http://near.example/v1", "priority": 1,
        "models": [{"name": "llama", "context_window_tokens": 8192, "price": {"input": 0.5, "output": 1}}, "gpt-*"]}]"#;
    let config = config(near, r#"{"near": "n"}"#);
    answering(&[
        ("https://own.example/v1/models", 200, json!({"data": [{"id": "gpt-5"}, {"id": "o3"}, {"id": "gpt-image-1"}]})),
        ("http://near.example/v1/models", 200, json!({"data": [{"id": "gpt-5"}]})),
    ]);
    let models = get_models(&fixture, &config, Some(&token));
    assert_eq!(ids(&models), ["llama", "gpt-5", "m"]);
    let [llama, gpt, m] = models.json["items"].as_array().unwrap().as_slice() else { panic!("{}", models.text) };
    assert_eq!((&llama["context_window_tokens"], &llama["price"]["output"]), (&json!(8192), &json!(1.0)));
    assert_eq!((&gpt["providers"], &gpt["sees"]), (&json!(["near", "default"]), &json!(true)));
    assert_eq!((&m["default"], &llama["default"], &m["price"]), (&json!(true), &json!(false), &Value::Null));
    let mut asked = ASKED.take();
    asked.sort();
    let key = |key: &str| format!("Bearer {key}");
    let addresses = ["http://near.example/v1/models", "https://own.example/v1/models"].map(str::to_owned);
    assert_eq!(asked, addresses.into_iter().zip([key("n"), key("k")]).collect::<Vec<_>>());
    // The lists are kept.
    assert_eq!(ids(&get_models(&fixture, &config, Some(&token))), ["llama", "gpt-5", "m"]);
    assert_eq!(ASKED.take(), []);
    assert_eq!(get_models(&fixture, &config, None).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_provider_that_does_not_answer_hides_no_model_that_is_named() {
    let fixture = Fixture::default();
    let (_, token) = fixture.person("ada@example.org");
    let config = config(r#"[{"name": "near", "base_url": "http://near.example/v1", "models": ["llama", "*"]}]"#, "");
    answering(&[("http://near.example/v1/models", 404, json!({"error": "no such page"}))]);
    assert_eq!(ids(&get_models(&fixture, &config, Some(&token))), ["m", "llama"]);
}

#[test]
fn nobody_is_shown_a_model_that_they_may_not_use() {
    let fixture = Fixture::default();
    let _ = fixture.person("ada@example.org");
    let store = fixture.app.store();
    let made = futures::executor::block_on(store.set_role("some", "conversations:read models:use:l*", 9));
    assert!(made.unwrap());
    let (_, token) = fixture.person_with("eve@example.org", "some");
    let config = config(r#"[{"name": "near", "base_url": "http://near.example/v1", "models": ["llama"]}]"#, "");
    answering(&[]);
    let models = get_models(&fixture, &config, Some(&token));
    assert_eq!((ids(&models), &models.json["items"][0]["default"]), (vec!["llama"], &json!(true)));
}

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    answering(&[]);
    router_test::paused(async |_| {
        router_test::permissions::compare_routes("stream", |app| router(app, config("", ""), scripted, WAYS)).await;
    });
}
