//! Requests from arguments: each argument stays in its place, in the style of the document.

use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{catalog, context, names, paths, schema, words};
use crate::request::{self, Built};

/// The request of `GET /things/{id}` with these additional parameters.
fn built(parameters: Value, arguments: Value) -> Request<Vec<u8>> {
    let mut all = vec![json!({ "name": "id", "in": "path", "required": true })];
    all.extend(parameters.as_array().unwrap().clone());
    let catalog = paths(&json!({ "/things/{id}": { "get": { "operationId": "get", "parameters": all } } }));
    assert!(catalog.faults().is_empty(), "{:?}", catalog.faults());
    request::build(catalog.find("api_get").unwrap(), &arguments.to_string(), &context(&[])).unwrap().request
}

#[test]
fn queries_are_written_in_each_style() {
    for (style, explode, value, expected) in [
        ("form", true, json!(["a b", "c&d"]), "q=a%20b&q=c%26d"),
        ("form", false, json!(["a", "b,c"]), "q=a,b%2Cc"),
        ("form", true, json!({ "x": 1, "y": true }), "x=1&y=true"),
        ("form", false, json!({ "x": 1, "y": true }), "q=x,1,y,true"),
        ("spaceDelimited", false, json!(["a", "b"]), "q=a%20b"),
        ("pipeDelimited", false, json!(["a", "b"]), "q=a%7Cb"),
        ("deepObject", true, json!({ "x": { "y": 1 }, "z": ["a", "b"] }), "q%5Bx%5D%5By%5D=1&q%5Bz%5D=a&q%5Bz%5D=b"),
        // Values deeper than four levels are JSON under their own name.
        (
            "deepObject",
            true,
            json!({ "a": { "b": { "c": { "d": { "e": { "admin": 1 } } } } } }),
            "q%5Ba%5D%5Bb%5D%5Bc%5D%5Bd%5D%5Be%5D=%7B%22admin%22%3A1%7D",
        ),
        ("form", true, json!("=&#?/"), "q=%3D%26%23%3F%2F"),
    ] {
        let parameter = json!([{ "name": "q", "in": "query", "style": style, "explode": explode }]);
        let request = built(parameter, json!({ "id": "1", "q": value }));
        assert_eq!(request.uri().to_string(), format!("https://api.example/v1/things/1?{expected}"), "{style}");
    }
    let content = json!([{ "name": "q", "in": "query", "content": { "application/json": { "schema": {} } } }]);
    assert_eq!(
        built(content, json!({ "id": "1", "q": { "a": [1] } })).uri().query(),
        Some("q=%7B%22a%22%3A%5B1%5D%7D")
    );
}

#[test]
fn paths_and_headers_are_written_in_the_simple_style() {
    let header = json!([{ "name": "X-List", "in": "header" }]);
    let request = built(header, json!({ "id": ["a", "b/c", 3], "X-List": { "k": "v", "n": 2 } }));
    assert_eq!(request.uri().path(), "/v1/things/a,b%2Fc,3");
    assert_eq!(request.headers()["x-list"], "k,v,n,2");
}

#[test]
fn headers_that_are_not_the_models_are_no_arguments() {
    let header = |name: &str| json!({ "name": name, "in": "header", "required": true });
    let all: Vec<Value> = ["Authorization", "Host", "Content-Type", "Accept", "Cookie", "X-Own"].map(header).to_vec();
    let catalog = paths(&json!({ "/a": { "get": { "operationId": "a", "parameters": all } } }));
    assert_eq!(schema(&catalog, "api_a")["required"], json!(["X-Own"]));
}

#[test]
fn a_secrets_place_is_no_argument_and_its_name_is_no_other_documents() {
    let document = |scheme: &str| {
        let parameters = json!([{ "name": "X-KEY", "in": "header", "required": true }, { "name": "q", "in": "query" }]);
        json!({
            "openapi": "3.0.0",
            "servers": [{ "url": "https://api.example" }],
            "paths": { "/a": { "get": { "parameters": parameters, "security": [{ scheme: [] }] } } },
            "components": { "securitySchemes": { scheme: { "type": "apiKey", "in": "header", "name": "X-Key" } } },
        })
        .to_string()
    };
    let catalog = catalog(&[("shop", &document("v2_key")), ("shop_v2", &document("key"))]);
    assert_eq!(schema(&catalog, "shop_get_a")["required"], json!([]));
    let secrets: Vec<String> = catalog.offer().secrets.into_iter().map(|secret| secret.name).collect();
    assert_eq!(secrets, ["shop.v2_key", "shop_v2.key"]);
    let request = request::build(catalog.find("shop_get_a").unwrap(), "{}", &context(&[("shop.v2_key", "mine")]))
        .unwrap()
        .request;
    assert_eq!(request.headers().get_all("x-key").iter().collect::<Vec<_>>(), ["mine"]);
}

#[test]
fn two_parameters_of_one_name_and_one_called_body_are_told_apart() {
    let parameters = json!([
        { "name": "id", "in": "query" }, { "name": "body", "in": "query" }, { "name": "filter[a b]", "in": "query" },
    ]);
    let body = json!({ "content": { "application/json": { "schema": { "type": "object" } } }, "required": true });
    let operation = json!({ "operationId": "a", "parameters": parameters, "requestBody": body });
    let catalog = paths(&json!({ "/a/{id}": { "post": operation } }));
    let operation = catalog.find("api_a").unwrap();
    let properties: Vec<&str> = operation.arguments.iter().map(|argument| argument.property.as_str()).collect();
    let [id, other, query_body, filter] = properties.as_slice() else { panic!("{properties:?}") };
    assert_eq!([*id, *other, *query_body, *filter], ["id", "id_query", "body", "filter_a_b"]);
    let posted = &operation.body.as_ref().unwrap().property;
    assert_eq!(posted, "body_body");
    let arguments = json!({ *id: "1", *other: "2", *query_body: "3", *filter: "4", posted.as_str(): { "x": 1 } });
    let request = request::build(operation, &arguments.to_string(), &context(&[])).unwrap().request;
    let query = request.uri().query().unwrap();
    assert!(query.contains("id=2") && query.contains("body=3") && query.contains("filter%5Ba%20b%5D=4"), "{query}");
    assert_eq!((request.uri().path(), request.body().as_slice()), ("/v1/a/1", br#"{"x":1}"#.as_slice()));
}

#[test]
fn a_field_of_an_object_is_no_other_parameter_and_no_secret() {
    let query = |name: &str, style: &str| json!({ "name": name, "in": "query", "style": style });
    let parameters = [
        query("fields", "form"),
        query("page", "deepObject"),
        query("page[size]", "form"),
        query("ids[]", "form"),
        query("user", "form"),
    ];
    let document = json!({
        "openapi": "3.1.0",
        "servers": [{ "url": "https://api.example" }],
        "paths": { "/a": { "get": { "operationId": "a", "parameters": parameters, "security": [{ "key": [] }] } } },
        "components": { "securitySchemes": { "key": { "type": "apiKey", "in": "query", "name": "api_key" } } },
    });
    let catalog = catalog(&[("api", &document.to_string())]);
    let build = |arguments: Value| {
        let operation = catalog.find("api_a").unwrap();
        request::build(operation, &arguments.to_string(), &context(&[("api.key", "mine")]))
    };
    for key in ["user", "User", " user", "user[a]", "api_key", "API_KEY", "page", "page[size]", "ids", "ids[0]"] {
        let refused = words(build(json!({ "fields": { "fine": 1, key: 2 } })).map(|built| built.request));
        assert!(refused.starts_with("\"fields\" must not have"), "{key}: {refused}");
    }
    let refused = words(build(json!({ "page": { "size": 1_000 } })).map(|built| built.request));
    assert!(refused.contains("\"page[size]\", which is another parameter"), "{refused}");
    let fine = json!({ "fields": { "fine": 1, "fields": 2, "username": 3 }, "page": { "number": 4 } });
    let request = build(fine).unwrap().request;
    assert_eq!(request.uri().query(), Some("fields=2&fine=1&username=3&page%5Bnumber%5D=4&api_key=mine"));
}

#[test]
fn each_header_is_written_once() {
    let key = |place: &str, name: &str| json!({ "type": "apiKey", "in": place, "name": name });
    let document = json!({
        "openapi": "3.1.0",
        "servers": [{ "url": "https://api.example" }],
        "paths": { "/a": { "get": {
            "operationId": "a",
            "parameters": [{ "name": "User-Agent", "in": "header" }],
            "security": [{ "first": [], "second": [], "kind": [] }],
        } } },
        "components": { "securitySchemes": {
            "first": key("cookie", "one"), "second": key("cookie", "two"), "kind": key("header", "Accept"),
        } },
    });
    let catalog = catalog(&[("api", &document.to_string())]);
    let secrets = context(&[("api.first", "1"), ("api.second", "2"), ("api.kind", "own/kind")]);
    let argument = json!({ "User-Agent": "mine" }).to_string();
    let request = request::build(catalog.find("api_a").unwrap(), &argument, &secrets).unwrap().request;
    let all = |name: &str| request.headers().get_all(name).iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("user-agent"), ["mine"]);
    assert_eq!(all("accept"), ["own/kind"]);
    assert_eq!(all("cookie"), ["one=1; two=2"]);
    assert!(request.headers()["cookie"].is_sensitive());
}

#[test]
fn parameters_side_by_side_make_no_step() {
    let catalog = paths(&json!({ "/a/{x}{y}/b": { "get": { "operationId": "a" } } }));
    let build = |x: &str, y: &str| {
        let arguments = json!({ "x": x, "y": y }).to_string();
        request::build(catalog.find("api_a").unwrap(), &arguments, &context(&[])).map(|built| built.request)
    };
    assert_eq!(build("c", ".d").unwrap().uri().path(), "/v1/a/c.d/b");
    let refused = words(build("%2", "e"));
    assert!(refused.contains("must not lead to another path"), "{refused}");
}

#[test]
fn an_address_has_an_end() {
    let catalog = paths(&json!({ "/{a}": { "get": { "operationId": "a" } } }));
    assert_eq!(names(&catalog), ["api_a"]);
    let long = json!({ "a": "x".repeat(10_000) }).to_string();
    let refused = words(request::build(catalog.find("api_a").unwrap(), &long, &context(&[])).map(|it| it.request));
    assert!(refused.contains("too long"), "{refused}");
}

proptest! {
    #[test]
    fn whatever_a_path_parameter_is_it_is_one_segment(id in any::<String>(), q in any::<String>()) {
        let parameters = json!([{ "name": "q", "in": "query" }]);
        let operation = json!({ "operationId": "get", "parameters": parameters });
        let catalog = paths(&json!({ "/things/{id}/parts": { "get": operation } }));
        let arguments = json!({ "id": id, "q": q }).to_string();
        if let Ok(Built { request, .. }) = request::build(catalog.find("api_get").unwrap(), &arguments, &context(&[])) {
            let address = url::Url::parse(&request.uri().to_string()).unwrap();
            let segments: Vec<&str> = address.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 4);
            prop_assert_eq!((segments[0], segments[1], segments[3]), ("v1", "things", "parts"));
            prop_assert_eq!(address.host_str(), Some("api.example"));
            let pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, [("q".to_owned(), q)]);
        }
    }
}
