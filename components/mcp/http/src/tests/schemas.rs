//! Schemas of documents, converted so that the app can check them.

use serde_json::{Value, json};

use super::{catalog, paths, schema};
use crate::schema::fitting;

/// The schema of a body in a document with these schemas.
fn body(version: &str, schemas: Value, body: Value) -> Value {
    let document = json!({
        "openapi": version,
        "info": { "title": "Example" },
        "servers": [{ "url": "https://api.example" }],
        "components": { "schemas": schemas },
        "paths": { "/a": { "post": {
            "operationId": "a",
            "requestBody": { "content": { "application/json": { "schema": body } } },
        } } },
    });
    schema(&catalog(&[("api", &document.to_string())]), "api_a")["properties"]["body"].clone()
}

fn fits(schema: &Value, value: Value) -> bool {
    json_schema::check(schema, &value).unwrap().is_empty()
}

#[test]
fn the_dialect_of_3_0_becomes_todays() {
    let schema = body(
        "3.0.3",
        json!({ "Name": { "type": "string", "enum": ["a", "b"], "nullable": true, "xml": {}, "x-own": 1 } }),
        json!({ "type": "object", "required": ["n", "secret"], "properties": {
            "n": { "type": "integer", "minimum": 3, "exclusiveMinimum": true, "example": 4, "maximum": 9, "exclusiveMaximum": false },
            "name": { "$ref": "#/components/schemas/Name" },
            "either": { "nullable": true, "allOf": [{ "type": "string" }] },
            "secret": { "type": "string", "readOnly": true },
        } }),
    );
    let expected = json!({ "type": "integer", "exclusiveMinimum": 3, "maximum": 9, "examples": [4] });
    assert_eq!(schema["properties"]["n"], expected);
    assert_eq!(schema["properties"]["name"], json!({ "type": ["string", "null"], "enum": ["a", "b", null] }));
    assert_eq!((&schema["required"], schema["properties"].get("secret")), (&json!(["n"]), None));
    assert!(fits(&schema, json!({ "n": 4, "name": null, "either": null })));
    assert!(!fits(&schema, json!({ "n": 3 })) && !fits(&schema, json!({ "n": 4, "either": 5 })));
}

#[test]
fn a_schema_that_holds_itself_ends() {
    let schemas = json!({
        "Node": { "type": "object", "properties": {
            "name": { "type": "string" },
            "children": { "type": "array", "items": { "$ref": "#/components/schemas/Node" } },
        } },
        "Loop": { "$ref": "#/components/schemas/Pool" },
        "Pool": { "$ref": "#/components/schemas/Loop" },
    });
    let node = body("3.1.0", schemas.clone(), json!({ "$ref": "#/components/schemas/Node" }));
    assert_eq!(node["properties"]["children"], json!({ "type": "array", "items": {} }));
    assert!(fits(&node, json!({ "name": "a", "children": [{ "name": "b" }] })) && !fits(&node, json!({ "name": 1 })));
    assert_eq!(body("3.1.0", schemas.clone(), json!({ "$ref": "#/components/schemas/Loop" })), json!({}));
    assert_eq!(body("3.1.0", schemas.clone(), json!({ "$ref": "#/components/schemas/None" })), json!({}));
    for elsewhere in ["https://elsewhere.example/schema.json", "other.yaml#/Node"] {
        let said = json!({ "description": format!("As described in {elsewhere}, which cannot be read here.") });
        assert_eq!(body("3.1.0", schemas.clone(), json!({ "$ref": elsewhere })), said, "{elsewhere}");
    }
}

#[test]
fn a_schema_that_doubles_with_each_reference_is_cut_to_size() {
    let mut schemas = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({ "$ref": format!("#/components/schemas/S{}", level + 1) });
        let fields = json!({ "a": next, "b": next, "c": next, "d": next });
        schemas.insert(format!("S{level}"), json!({ "type": "object", "properties": fields }));
    }
    let root = json!({ "components": { "schemas": schemas } });
    let cut = fitting(&root, &json!({ "$ref": "#/components/schemas/S0" }), 4_000);
    assert!(cut.to_string().len() <= 4_000, "{cut}");
    assert_eq!(cut["properties"]["a"]["type"], "object");
    assert!(fits(&cut, json!({ "a": { "b": {} } })) && !fits(&cut, json!({ "a": 1 })));
}

#[test]
fn what_is_very_large_is_neither_kept_nor_written_out() {
    let large: Value = (0..20_000).map(|index| json!({ "a": index })).collect();
    let schema = json!({
        "type": ["object", "null"], "const": large, "default": large, "example": large, "pattern": "x".repeat(1_000),
        "properties": { "few": { "enum": [1, 2] }, "short": { "const": "x" } },
    });
    let root = json!({});
    let expected = json!({ "few": { "enum": [1, 2] }, "short": { "const": "x" } });
    let cut = fitting(&root, &schema, 4_000);
    let found = ["const", "default", "examples"].map(|keyword| cut.get(keyword));
    assert_eq!((found, &cut["properties"]), ([None; 3], &expected));
    let many: serde_json::Map<String, Value> =
        (0..30_000).map(|index| (format!("p{index}"), json!({ "readOnly": true }))).collect();
    let required: Vec<&String> = many.keys().collect();
    let many = json!({ "type": "object", "required": required, "properties": many });
    assert_eq!(fitting(&root, &many, 4_000), json!({}));
    let objects = json!({ "type": "object", "enum": vec![json!({ "a": "x".repeat(100) }); 150] });
    assert_eq!(fitting(&root, &objects, 4_000), json!({}));
    assert_eq!(fitting(&root, &objects, 40_000), objects);
}

#[test]
fn what_was_cut_excludes_nothing() {
    let schema = body(
        "3.1.0",
        json!({}),
        json!({
            "oneOf": [{ "type": "object", "required": ["a"] }, { "type": "object", "required": ["b"] }],
            "not": { "type": "object" }, "if": {}, "then": false, "unevaluatedProperties": false, "discriminator": {},
        }),
    );
    assert!(fits(&schema, json!({ "a": 1, "b": 2 })) && !fits(&schema, json!({})));
}

#[test]
fn sloppy_schemas_are_usable() {
    for sloppy in [
        json!({ "type": "file" }),
        json!({ "type": "date", "required": true, "enum": [], "properties": [] }),
        json!({ "type": ["string", "weird"], "minLength": "3", "items": [{ "type": "string" }] }),
        json!({ "allOf": [], "description": 7, "default": null, "pattern": 3 }),
        json!("string"),
        json!(null),
        json!(false),
    ] {
        let schema = body("3.1.0", json!({}), sloppy.clone());
        assert!(fits(&schema, json!("text")), "{sloppy} became {schema}");
    }
}

#[test]
fn arguments_that_the_document_does_not_know_do_not_fit() {
    let parameter = json!({ "name": "q", "in": "query", "required": true, "description": "What to look for.",
        "schema": { "type": "string" } });
    let catalog = paths(&json!({ "/a": { "get": { "operationId": "a", "parameters": [parameter] } } }));
    let schema = schema(&catalog, "api_a");
    assert_eq!(schema["properties"]["q"], json!({ "type": "string", "description": "What to look for." }));
    assert!(fits(&schema, json!({ "q": "x" })));
    assert!(
        !fits(&schema, json!({})) && !fits(&schema, json!({ "q": 1 })) && !fits(&schema, json!({ "q": "", "r": 1 }))
    );
}
