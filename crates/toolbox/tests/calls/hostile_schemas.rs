//! Hostile schemas: small ones that take for ever, deep ones, large ones, and patterns.

use std::time::{Duration, Instant};

use json_schema::{Unusable, check};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use toolbox::{InvalidArguments, validate};

use crate::raw;

/// Far more than the checks need, and far less than for ever. Tests run unoptimised, which takes twenty times as long.
const SOON: Duration = Duration::from_secs(20);

fn soon<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    result
}

/// Each definition refers to the next one twice.
fn doubling(levels: usize, keyword: &str) -> Value {
    let mut definitions: Map<String, Value> = (0..levels)
        .map(|level| {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            (format!("d{level}"), json!({keyword: [next, next]}))
        })
        .collect();
    definitions.insert(format!("d{levels}"), json!({"type": "string"}));
    json!({"$defs": definitions, "$ref": "#/$defs/d0"})
}

#[test]
fn a_schema_that_doubles_with_every_line_is_given_up() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        assert_eq!(soon(|| check(&doubling(40, keyword), &json!({}))), Err(Unusable::TooLong), "{keyword}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_without_end_is_given_up() {
    assert_eq!(check(&json!({"$ref": "#"}), &json!({})), Err(Unusable::TooDeep));
    let circle = json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"});
    assert_eq!(check(&circle, &json!({})), Err(Unusable::TooDeep));
}

#[test]
fn a_deep_schema_is_given_up() {
    let text = format!("{}true{}", r#"{"not":"#.repeat(5_000), "}".repeat(5_000));
    let schema = serde_json::value::RawValue::from_string(text);
    // The JSON reader has its own limit on depth. Both limits must end in an error and not in a crash.
    assert!(schema.is_err() || matches!(validate(&schema.unwrap(), "{}"), Err(InvalidArguments::Schema(_))));
    let mut deep = json!(true);
    for _ in 0..110 {
        deep = json!({"not": deep});
    }
    assert_eq!(check(&deep, &json!({})), Err(Unusable::TooDeep));
}

#[test]
fn patterns_take_linear_time_and_little_memory() {
    let (fits, text) = (json!({}), "a".repeat(10_000) + "!");
    for pattern in ["(a+)+$", "(a|aa)+$", "(a*)*b", "(?=a)", r"(a)\1", "a{1000}{1000}", r"\w{500}", "[", r"\p{L}+"] {
        let schema = json!({"properties": {"x": {"pattern": pattern}, "y": {"patternProperties": {pattern: true}}}});
        let found = soon(|| check(&schema, &json!({"x": text, "y": {text.as_str(): 1}})));
        assert!(found.is_ok(), "{pattern}: {found:?}");
    }
    // A pattern that we cannot check is ignored.
    let schema = json!({"properties": {"x": {"pattern": "(?=a)b"}}, "patternProperties": {"(?!x)y": false},
                        "additionalProperties": false});
    assert_eq!(check(&schema, &json!({"x": "c", "z": 1})), Ok(vec![]));
    let many: Vec<Value> = (0..500).map(|n| json!({"pattern": format!("(a|b|{n}){{50}}")})).collect();
    let _ = soon(|| check(&json!({"properties": {"x": {"allOf": many}}}), &json!({"x": text})));
    assert_eq!(check(&json!({"pattern": "(a+)+$"}), &fits), Ok(vec![]));
}

#[test]
fn large_values_against_large_lists_are_counted() {
    let large: Vec<Value> = (0..3_000).map(Value::from).collect();
    let same = json!({"enum": [large.clone()]});
    let schema = json!({"properties": {"x": {"allOf": vec![same; 1_000]}}});
    assert_eq!(soon(|| check(&schema, &json!({"x": large}))), Err(Unusable::TooLong));
    let items: Vec<Value> = (0..5_000).map(|n| json!([n])).collect();
    assert_eq!(soon(|| check(&json!({"uniqueItems": true}), &Value::from(items))), Ok(vec![]));
}

#[test]
fn problems_are_few_and_short() {
    let long = "x".repeat(10_000);
    let mut schema = json!({"enum": [long, long, long]});
    for _ in 0..20 {
        schema = json!({"anyOf": [schema, {"const": long}, {"type": long}, {"minimum": 2}]});
    }
    let schema = json!({"additionalProperties": schema, "maxProperties": 1});
    let arguments: Map<String, Value> = (0..50).map(|n| (format!("{n}{long}"), json!(1))).collect();
    let problems = soon(|| check(&schema, &Value::Object(arguments))).unwrap();
    assert_eq!(problems.len(), 5);
    assert!(problems.iter().all(|problem| problem.to_string().chars().count() < 500), "{problems:?}");
}

#[test]
fn a_large_schema_is_not_read() {
    let schema = raw(&json!({"description": "x".repeat(70_000)}));
    assert!(matches!(validate(&schema, "{}"), Err(InvalidArguments::Schema(Unusable::TooLong))));
}

proptest! {
    #[test]
    fn no_schema_is_too_odd(text in r#"[\[\]{}:,"a-z0-9$#/ ]{0,60}"#, keyword in prop::sample::select(vec![
        "$ref", "type", "enum", "items", "prefixItems", "properties", "required", "pattern", "multipleOf", "minLength", "if",
        "dependencies", "allOf", "not", "unevaluatedProperties", "$id", "$anchor", "$dynamicRef", "additionalProperties",
    ]), rule in prop_oneof![Just(json!(null)), Just(json!(0)), Just(json!(-1.5)), Just(json!("")), Just(json!("#")),
        Just(json!([])), Just(json!({})), Just(json!([[], 1, {"$ref": 1}])), Just(json!({"a": 1})), Just(json!({"a": []}))]) {
        for instance in [json!({"a": 1}), json!([1]), json!("a"), json!(0)] {
            let _ = check(&json!({keyword: rule, "properties": {"a": {keyword: rule}}}), &instance);
        }
        if let Ok(schema) = serde_json::value::RawValue::from_string(text) {
            let _ = validate(&schema, r#"{"a": [1, {"b": null}]}"#);
        }
    }
}
