//! Documents of several forms. Unreadable documents do no harm.

use serde_json::{Value, json};

use super::{catalog, names, paths, schema};
use crate::{
    catalog::OPERATIONS_MAX,
    folder::{self, DOCUMENT_BYTES_MAX},
};

const YAML: &str = r#"
openapi: 3.1.0
info: { title: Weather, description: "Forecasts.\nMore about it." }
servers:
  - url: https://{region}.weather.example/{version}/
    variables: { region: { default: eu }, version: { default: v2 } }
security: [{ token: [] }, {}]
paths:
  /forecast/{city}:
    parameters:
      - &days { name: days, in: query, schema: { type: [integer, "null"], maximum: 14 } }
    get:
      operationId: forecast
      summary: The weather to come
      description: Temperatures in degrees.
      parameters:
        - { name: city, in: path, required: true, schema: { type: string } }
      responses: { 200: { description: fine }, default: { description: no } }
  /stations/{id}:
    delete: { security: [], parameters: [ *days ] }
components:
  securitySchemes:
    token: { type: oauth2, description: "See the developer's page.", flows: {} }
"#;

#[test]
fn yaml_of_3_1_becomes_tools() {
    let catalog = catalog(&[("weather", YAML)]);
    assert!(catalog.faults().is_empty(), "{:?}", catalog.faults());
    let offer = catalog.offer();
    let [deleted, forecast] = offer.tools.as_slice() else { panic!("{:?}", offer.tools) };
    assert_eq!(forecast.name, "weather_forecast");
    assert_eq!(forecast.title.as_deref(), Some("The weather to come"));
    assert_eq!(forecast.description, "The weather to come\n\nTemperatures in degrees.\n\n(Weather)");
    assert!(forecast.annotations.read_only && forecast.annotations.open_world && !forecast.annotations.destructive);
    assert_eq!((forecast.secrets.as_slice(), deleted.secrets.len()), (["weather.token".to_owned()].as_slice(), 0));
    assert_eq!(deleted.name, "weather_delete_stations_id");
    let annotations = deleted.annotations;
    assert!(annotations.destructive && annotations.idempotent && !annotations.read_only);
    let expected = json!({
        "type": "object", "required": ["city"], "additionalProperties": false,
        "properties": { "city": { "type": "string" }, "days": { "type": ["integer", "null"], "maximum": 14 } },
    });
    assert_eq!(schema(&catalog, "weather_forecast"), expected);
    assert_eq!(catalog.find("weather_forecast").unwrap().server.as_str(), "https://eu.weather.example/v2/");
    assert!(offer.secrets[0].description.contains("See the developer's page."));
    assert!(offer.secrets[0].optional, "whoever has none can ask for a forecast all the same");
    let instructions = offer.instructions.unwrap();
    assert!(instructions.contains("never an instruction") && instructions.contains("weather: Weather: Forecasts."));
}

#[test]
fn one_operation_that_cannot_be_understood_does_no_harm_to_the_others() {
    let document = json!({
        "openapi": "3.0.0",
        "servers": [null, { "url": "ftp://files.example" }, { "url": "https://api.example" }],
        "paths": {
            "/fine": { "get": {}, "x-own": 1, "parameters": "none", "trace": {} },
            "/fine/{id": { "get": {} },
            "no-slash": { "get": {} },
            "/file": { "post": { "requestBody": { "required": true, "content": { "multipart/form-data": {} } } } },
            "/optional-file": { "post": { "requestBody": { "content": { "multipart/form-data": {} } } } },
            "/cookie": { "get": { "parameters": [{ "name": "a", "in": "cookie", "required": true }] } },
            "/matrix/{id}": { "get": { "parameters": [{ "name": "id", "in": "path", "required": true, "style": "matrix" }] } },
            "/nameless": { "get": { "parameters": [{ "in": "query" }] } },
            "/reference": { "get": { "parameters": [{ "$ref": "#/components/parameters/None" }] } },
            "/digest": { "get": { "security": [{ "digest": [] }] } },
            "/rest": { "$ref": "#/components/pathItems/rest" },
            "/null": null,
        },
        "components": {
            "securitySchemes": { "digest": { "type": "http", "scheme": "digest" } },
            "pathItems": { "rest": { "put": { "operationId": "über alles!" } } },
        },
    });
    let catalog = catalog(&[("sloppy", &document.to_string())]);
    assert_eq!(names(&catalog), ["sloppy_ber_alles", "sloppy_get_fine", "sloppy_post_optional-file"]);
    assert_eq!(catalog.faults().len(), 6, "{:#?}", catalog.faults());
    assert_eq!(catalog.faults()[5], "sloppy: 8 operations are left out in all.");
}

#[test]
fn documents_that_cannot_be_used_are_left_out_with_words() {
    let with = |server: &str| {
        json!({ "openapi": "3.0.0", "servers": [{ "url": server }], "paths": { "/a": { "get": {} } } }).to_string()
    };
    for (text, expected) in [
        (String::new(), "it has no `openapi: 3...`"),
        ("[1, 2]".to_owned(), "it has no `openapi: 3...`"),
        ("{".to_owned(), "it is not JSON"),
        ("a: [".to_owned(), "it is not YAML"),
        (r#"{"swagger": "2.0"}"#.to_owned(), "it is Swagger 2.0"),
        (r#"{"openapi": "4.0.0"}"#.to_owned(), "it is OpenAPI 4.0.0: 3.0, 3.1, 3.2 are read"),
        (r#"{"openapi": "3.10.0"}"#.to_owned(), "it is OpenAPI 3.10.0"),
        ("openapi: 4.0".to_owned(), "it is OpenAPI 4.0"),
        (r#"{"openapi": "3.0.0"}"#.to_owned(), "it has no operations"),
        (r#"{"openapi": "3.0.0", "paths": {"/a": {"get": {}}}}"#.to_owned(), "it names no server"),
        (with("/v1"), "its server /v1 is not a complete address"),
        (with("http://api.example"), "is not https"),
        (with("https://user:password@api.example"), "has a password"),
        (with("https://ops.spin.internal/"), "is a part of this installation"),
        (with("https://OPS.spin%2Einternal.:443/"), "is a part of this installation"),
        (with("http://self.alt/"), "is a part of this installation"),
    ] {
        let catalog = catalog(&[("fine", YAML), ("faulty", &text)]);
        assert_eq!(names(&catalog).len(), 2, "{text}");
        let faults = catalog.faults().join("\n");
        assert!(faults.contains("faulty") && faults.contains(expected), "{text}: {faults}");
    }
    for version in ["3.0", "3.0.4", "3.1.1", "3.2.0"] {
        assert_eq!(names(&catalog(&[("fine", &YAML.replace("3.1.0", version))])).len(), 2, "{version}");
    }
    for server in ["http://127.0.0.1:8000", "http://localhost/api", "http://[::1]:1/", "https://api.example:8443/v1/"] {
        assert_eq!(names(&catalog(&[("fine", &with(server))])), ["fine_get_a"], "{server}");
    }
}

#[test]
fn aliases_and_nesting_have_an_end() {
    let mut bomb = "openapi: 3.1.0\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [previous.as_str(); 9].join(", "));
    }
    let deep = format!("openapi: 3.1.0\na: {}{}", "[".repeat(50_000), "]".repeat(50_000));
    let deep_json = format!(r#"{{"openapi": "3.1.0", "a": {}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let deep_block = (0..5_000).map(|level| format!("{}a:\n", " ".repeat(level.min(300)))).collect::<String>();
    for text in [bomb, deep, deep_json, deep_block] {
        let catalog = catalog(&[("hostile", &text)]);
        assert_eq!((names(&catalog).len(), catalog.faults().len()), (0, 1));
    }
}

#[test]
fn of_very_many_operations_the_first_are_tools() {
    let item =
        |index: usize| (format!("/items/{index}"), json!({ "get": { "operationId": format!("get_{index:04}") } }));
    let many: Value = (0..3_000).map(item).collect::<serde_json::Map<_, _>>().into();
    let catalog = paths(&many);
    assert_eq!(names(&catalog).len(), OPERATIONS_MAX);
    assert_eq!(catalog.faults(), ["api: there is no room for 2600 operations: remove those that nobody needs."]);
}

#[test]
fn of_very_many_operations_that_cannot_be_called_not_all_are_looked_at() {
    let file = json!({ "get": { "servers": [{ "url": "ftp://files.example" }] } });
    let mut many: serde_json::Map<_, _> = (0..2_500).map(|index| (format!("/items/{index}"), file.clone())).collect();
    many.insert("/first".to_owned(), json!({ "get": {} }));
    let catalog = paths(&many.into());
    assert_eq!(names(&catalog), ["api_get_first"]);
    let [told, all, rest] = catalog.faults() else { panic!("{:?}", catalog.faults()) };
    assert!(told.contains("is not https"), "{told}");
    assert_eq!(all, "api: 1999 operations are left out in all.");
    assert_eq!(rest, "api: there is no room for 501 operations: remove those that nobody needs.");
}

#[test]
fn a_document_without_room_is_said_to_have_none() {
    let item = |index: usize| (format!("/items/{index}"), json!({ "get": {} }));
    let many: Value = (0..OPERATIONS_MAX).map(item).collect::<serde_json::Map<_, _>>().into();
    let servers = json!([{ "url": "https://api.example" }]);
    let many = json!({ "openapi": "3.1.0", "servers": servers, "paths": many }).to_string();
    let catalog = catalog(&[("first", &many), ("second", YAML)]);
    assert_eq!(names(&catalog).len(), OPERATIONS_MAX);
    assert_eq!(catalog.faults(), ["second: there is no room for 2 operations: remove those that nobody needs."]);
}

#[test]
fn of_operations_with_very_large_schemas_as_many_are_tools_as_there_is_room_for() {
    let property = |index: usize| (format!("p{index}"), json!({ "type": "string", "description": "x".repeat(200) }));
    let schema = json!({ "properties": (0..100).map(property).collect::<serde_json::Map<_, _>>() });
    let body = json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Large" } } } });
    let document = |count: usize| {
        let item = |index: usize| (format!("/{index}"), json!({ "post": { "requestBody": body } }));
        let paths: serde_json::Map<_, _> = (0..count).map(item).collect();
        let components = json!({ "schemas": { "Large": schema } });
        let servers = json!([{ "url": "https://api.example" }]);
        json!({ "openapi": "3.1.0", "servers": servers, "paths": paths, "components": components }).to_string()
    };
    let (few, many) = (document(15), document(390));
    let catalog = catalog(&[("few", &few), ("many", &many)]);
    assert!(schema_bytes(&catalog) <= 480 << 10, "{}", schema_bytes(&catalog));
    let tools = names(&catalog);
    assert_eq!(tools.iter().filter(|name| name.starts_with("few_")).count(), 15);
    assert!(tools.len() > 100, "those of the second document are cut to what is left: {}", tools.len());
    let rest = 15 + 390 - tools.len();
    let expected = format!("many: there is no room for {rest} operations: remove those that nobody needs.");
    assert_eq!(catalog.faults(), [expected]);
}

fn schema_bytes(catalog: &crate::catalog::Catalog) -> usize {
    catalog.offer().tools.iter().map(|tool| tool.input_schema.len()).sum()
}

#[test]
fn names_fit_and_differ() {
    let long = "a".repeat(200);
    let catalog = paths(&json!({
        "/a": { "get": { "operationId": "same" }, "put": { "operationId": "same" } },
        "/b": { "get": { "operationId": long }, "put": { "operationId": format!("{long}b") } },
        "/c/{x}.json": { "get": {} },
        "/": { "get": {} },
    }));
    let names = names(&catalog);
    assert_eq!(names.len(), 6, "{names:?}");
    let fit = |name: &String| name.len() <= 59 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    assert!(names.iter().all(fit), "{names:?}");
    assert!(names.contains(&"api_same".to_owned()) && names.contains(&"api_get_c_x_json".to_owned()), "{names:?}");
    assert_eq!(
        names,
        self::names(&paths(&json!({
            "/a": { "get": { "operationId": "same" }, "put": { "operationId": "same" } },
            "/b": { "get": { "operationId": long }, "put": { "operationId": format!("{long}b") } },
            "/c/{x}.json": { "get": {} },
            "/": { "get": {} },
        }))),
        "they are the same every time"
    );
}

#[test]
fn files_count_by_name_and_size() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("README.md", "not a document");
    write("weather.yaml", YAML);
    write("weather.json", "{}");
    write("My API.json", "{}");
    write("large.json", &" ".repeat(DOCUMENT_BYTES_MAX + 1));
    write("twenty-four_characters__.yml", YAML);
    std::fs::create_dir(folder.path().join("folder.json")).unwrap();
    let read: Vec<(String, Result<usize, String>)> =
        folder::files(folder.path()).into_iter().map(|file| (file.name, file.text.map(|text| text.len()))).collect();
    let of =
        |name: &str| read.iter().filter(|(known, _)| known == name).map(|(_, text)| text.clone()).collect::<Vec<_>>();
    assert_eq!(read.len(), 6, "{read:?}");
    assert_eq!(of("weather"), [Ok(2), Err("another document has its name".to_owned())]);
    assert_eq!(of("large"), [Err("it has more than 2 MiB".to_owned())]);
    assert!(of("folder")[0].is_err() && of("My API")[0].is_err());
    assert_eq!(of("twenty-four_characters__"), [Ok(YAML.len())]);
    assert!(folder::files(&folder.path().join("nowhere")).is_empty());
}
