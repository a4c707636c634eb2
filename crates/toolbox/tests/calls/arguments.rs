//! What a model is told about its arguments. Also compares our reading of JSON Schema with that of a published validator.

use json_schema::check;
use proptest::prelude::*;
use serde_json::{Value, json};
use toolbox::validate;

use crate::raw;

fn told(schema: &Value, arguments: &str) -> String {
    validate(&raw(schema), arguments).unwrap_err().to_string()
}

#[test]
fn arguments_that_fit_are_given_back() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    assert_eq!(Value::Object(validate(&raw(&schema), r#" {"a": 1} "#).unwrap()), json!({"a": 1}));
    assert!(validate(&raw(&schema), "").unwrap().is_empty() && validate(&raw(&schema), " \n").unwrap().is_empty());
}

#[test]
fn the_longest_arguments_can_be_checked() {
    let schema =
        json!({"properties": {"data": {"pattern": "^[A-Za-z0-9+/]*={0,2}$"}, "list": {"items": {"type": "integer"}}}});
    let arguments = json!({"data": "QUJD".repeat(50_000), "list": vec![1; 30_000]}).to_string();
    assert!(arguments.len() < toolbox::arguments::MAX_ARGUMENTS_BYTES && arguments.len() > 250_000);
    assert!(validate(&raw(&schema), &arguments).is_ok());
}

#[test]
fn what_is_no_object_is_said() {
    let schema = json!({});
    assert_eq!(told(&schema, "[1]"), "they must be a JSON object");
    assert!(told(&schema, r#"{"a": 1"#).starts_with("they are not valid JSON: EOF while parsing"));
    assert!(told(&schema, &"[".repeat(1_000)).starts_with("they are not valid JSON: recursion limit"));
    assert_eq!(told(&schema, &format!("{{{}}}", " ".repeat(300_000))), "they are longer than 262144 bytes");
}

#[test]
fn null_is_taken_where_it_is_the_default_or_said_to_be_allowed() {
    let schema = json!({"properties": {
        "a": {"type": "string", "default": null},
        "b": {"type": "integer", "nullable": true},
        "c": {"type": "string", "default": "x"},
        "d": {"type": "object", "properties": {"e": {"enum": ["f"], "default": null}}},
    }});
    assert!(validate(&raw(&schema), r#"{"a": null, "b": null, "d": {"e": null}}"#).is_ok());
    assert_eq!(told(&schema, r#"{"c": null}"#), "/c: must be a string, not null");
    assert_eq!(told(&schema, r#"{"a": 1}"#), "/a: must be a string, not a number");
}

#[test]
fn a_name_that_is_there_twice_is_refused_wherever_it_is() {
    for twice in [r#"{"to": "a", "to": "b"}"#, r#"{"a": [{"b": {"to": 1, "x": 2, "t\u006f": 1}}]}"#] {
        let words = told(&json!({}), twice);
        assert!(words.starts_with("they have a name twice in one object: to"), "{words}");
    }
    assert!(validate(&raw(&json!({})), r#"{"to": {"to": 1}, "x": [{"to": 1}, {"to": 2.5e3}, true, null]}"#).is_ok());
}

#[test]
fn each_problem_is_said_with_its_place() {
    let schema = json!({
        "type": "object",
        "properties": {
            "to": {"type": "array", "items": {"type": "string", "pattern": "@"}, "minItems": 1},
            "kind": {"enum": ["mail", "note"]},
            "size": {"type": "integer", "maximum": 10},
        },
        "required": ["to", "subject"],
        "additionalProperties": false,
    });
    let mut lines: Vec<_> = told(&schema, r#"{"cc": 1, "kind": "fax", "size": 11, "to": ["a@b", 1, "x"]}"#)
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "/kind: must be one of \"mail\", \"note\"",
            "/size: must be at most 10",
            "/to/1: must be a string, not a number",
            "has no property cc; it may have: \"kind\", \"size\", \"to\"",
            "lacks the required \"subject\"",
        ],
        "at most five of them: the third address is not mentioned"
    );
    assert_eq!(
        told(&schema, r#"{"subject": 1, "to": ["x", 1]}"#).lines().collect::<Vec<_>>(),
        [
            "has no property subject; it may have: \"kind\", \"size\", \"to\"",
            "/to/0: must match the pattern @",
            "/to/1: must be a string, not a number",
        ]
    );
}

#[test]
fn of_several_forms_the_nearest_is_said() {
    let schema = json!({"properties": {"when": {"anyOf": [
        {"type": "null"},
        {"type": "object", "properties": {"day": {"type": "integer"}}, "required": ["day"]},
    ]}}});
    assert_eq!(
        told(&schema, r#"{"when": {"day": "monday"}}"#),
        "/when: fits none of the 2 allowed forms (/when/day: must be an integer, not a string)"
    );
    assert_eq!(
        told(&schema, r#"{"when": 1}"#),
        "/when: fits none of the 2 allowed forms (/when: must be null, not a number; or /when: must be an object, not a number)"
    );
}

#[test]
fn references_stay_inside() {
    let schema = json!({
        "$defs": {"a b": {"type": "string"}, "named": {"$anchor": "here", "type": "null"}},
        "properties": {"a": {"$ref": "#/$defs/a%20b"}, "b": {"$ref": "#here"}, "self": {"$ref": "#"},
                       "out": {"$ref": "https://example.org/schema.json"}},
    });
    assert!(validate(&raw(&schema), r#"{"a": "x", "b": null, "self": {"self": {"a": ""}}}"#).is_ok());
    assert_eq!(told(&schema, r#"{"self": {"a": 1}}"#), "/self/a: must be a string, not a number");
    assert_eq!(
        told(&schema, r#"{"out": 1}"#),
        "the tool's own schema cannot be used: its reference https://example.org/schema.json has no target inside it, and \
         references to the outside are not followed"
    );
}

#[test]
fn older_drafts_are_known_and_others_read_as_well_as_can_be() {
    let draft_07 = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"text": {"type": "string"}},
        "properties": {"a": {"$ref": "#/definitions/text", "type": "null"}, "pair": {"items": [{"type": "null"}], "additionalItems": false}},
        "dependencies": {"a": ["pair"]},
    });
    assert!(validate(&raw(&draft_07), r#"{"a": "beside a reference nothing counts", "pair": [null]}"#).is_ok());
    assert_eq!(told(&draft_07, r#"{"a": ""}"#), "lacks the required \"pair\", which a needs");
    assert_eq!(told(&draft_07, r#"{"pair": [null, 1]}"#), "/pair/1: is not allowed");
    for other in ["http://json-schema.org/draft-03/schema#", "https://example.org/mine", ""] {
        let other = json!({"$schema": other, "properties": {"a": {"type": "string"}}});
        assert_eq!(told(&other, r#"{"a": 1}"#), "/a: must be a string, not a number");
    }
}

/// Schemas with all keywords that we check, and with references that resolve.
fn schemas() -> impl Strategy<Value = Value> {
    let small = -2..4_i64;
    let key = || prop::sample::select(vec!["a", "b", "ab"]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"])
            .prop_map(|name| json!({"type": name})),
        small.clone().prop_map(|n| json!({"minimum": n})),
        small.clone().prop_map(|n| json!({"exclusiveMaximum": n})),
        (1..4_i64).prop_map(|n| json!({"multipleOf": n})),
        (0..3_u8).prop_map(|n| json!({"maxLength": n})),
        (0..3_u8).prop_map(|n| json!({"minItems": n, "maxProperties": n})),
        values().prop_map(|value| json!({"const": value})),
        prop::collection::vec(values(), 1..4).prop_map(|values| json!({"enum": values})),
        prop::collection::btree_set(key(), 1..3).prop_map(|keys| json!({"required": keys})),
        Just(json!({"pattern": "^a+b?$"})),
        Just(json!({"uniqueItems": true})),
        Just(json!({"$ref": "#/$defs/one"})),
        Just(json!({"dependentRequired": {"a": ["b"]}})),
    ];
    leaf.prop_recursive(3, 24, 3, move |inner| {
        let several = || prop::collection::vec(inner.clone(), 1..4);
        let one = || inner.clone();
        prop_oneof![
            several().prop_map(|all| json!({"allOf": all})),
            several().prop_map(|any| json!({"anyOf": any})),
            several().prop_map(|one| json!({"oneOf": one})),
            one().prop_map(|not| json!({"not": not})),
            (one(), one(), one()).prop_map(|(a, b, c)| json!({"if": a, "then": b, "else": c})),
            (one(), one()).prop_map(|(a, b)| json!({"prefixItems": [a], "items": b})),
            one().prop_map(|a| json!({"contains": a, "maxContains": 2})),
            (one(), one(), one()).prop_map(
                |(a, b, c)| json!({"properties": {"a": a}, "patternProperties": {"b$": b}, "additionalProperties": c})
            ),
            (one(), one())
                .prop_map(|(a, b)| json!({"properties": {"a": a}, "anyOf": [b, true], "unevaluatedProperties": false})),
            (one(), one()).prop_map(
                |(a, b)| json!({"prefixItems": [a], "anyOf": [{"contains": b}, true], "unevaluatedItems": false})
            ),
            one().prop_map(|a| json!({"propertyNames": a})),
            one().prop_map(|a| json!({"dependentSchemas": {"a": a}})),
        ]
    })
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..4_i64).prop_map(Value::from),
        (-4..8_i32).prop_map(|half| Value::from(f64::from(half) / 2.0)),
        "[ab]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "ab"]), inner, 0..3)
                .prop_map(|object| json!(object)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn schemas_mean_what_a_published_validator_says(
        mut schema in schemas().prop_filter("an object", Value::is_object),
        one in schemas().prop_filter("no circle", |one| !one.to_string().contains("$ref")),
        instances in prop::collection::vec(values(), 8),
    ) {
        schema["$defs"] = json!({"one": one});
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("urn:s", schema.clone()).unwrap();
        let compiled = compiler.compile("urn:s", &mut schemas).unwrap();
        for instance in instances {
            let theirs = schemas.validate(&instance, compiled).is_ok();
            let ours = check(&schema, &instance).unwrap();
            prop_assert_eq!(ours.is_empty(), theirs, "{} with {}: {:?}", &schema, &instance, &ours);
        }
    }
}
