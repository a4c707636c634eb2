//! The keywords that check one value and contain no schemas. A fault of the value is described in words.

use std::{cmp::Ordering, collections::HashSet, fmt::Write};

use serde_json::{Number, Value};

/// How many values of a list a message names.
pub(super) const MAX_LISTED: usize = 20;

/// The fault of a value by one keyword. `None` also for keywords of other kinds, and for rules of the wrong type.
pub(super) fn objection(keyword: &str, rule: &Value, instance: &Value) -> Option<String> {
    match (keyword, instance) {
        ("type", _) => type_objection(rule, instance),
        ("enum", _) => {
            let allowed = rule.as_array()?;
            (!allowed.iter().any(|value| same(value, instance))).then(|| format!("must be one of {}", list(allowed)))
        }
        ("const", _) => (!same(rule, instance)).then(|| format!("must be {}", super::shortened(&rule.to_string()))),
        (_, Value::Number(number)) => number_objection(keyword, rule, number),
        ("minLength" | "maxLength", Value::String(text)) => {
            count(keyword, "minLength", rule, text.chars().count(), ["character", "characters"])
        }
        ("minItems" | "maxItems", Value::Array(items)) => {
            count(keyword, "minItems", rule, items.len(), ["item", "items"])
        }
        ("uniqueItems", Value::Array(items)) => {
            let mut seen = HashSet::new();
            let repeats = |item| {
                let mut text = String::new();
                canonical(item, &mut text);
                !seen.insert(text)
            };
            (rule == &Value::Bool(true) && items.iter().any(repeats)).then(|| "must have no item twice".to_owned())
        }
        ("minProperties" | "maxProperties", Value::Object(object)) => {
            count(keyword, "minProperties", rule, object.len(), ["property", "properties"])
        }
        ("required", Value::Object(object)) => {
            let names = rule.as_array()?.iter().filter_map(Value::as_str);
            missing(names.filter(|name| !object.contains_key(*name)))
        }
        _ => None,
    }
}

/// A message that these properties are missing, if there are any.
pub(super) fn missing<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    let names: Vec<Value> = names.take(MAX_LISTED).map(Value::from).collect();
    (!names.is_empty()).then(|| format!("lacks the required {}", list(&names)))
}

/// A list of values in words, cut.
pub(super) fn list(values: &[Value]) -> String {
    let mut words: Vec<String> =
        values.iter().take(MAX_LISTED).map(|value| super::shortened(&value.to_string())).collect();
    if values.len() > MAX_LISTED {
        words.push("and more".to_owned());
    }
    words.join(", ")
}

fn type_objection(rule: &Value, instance: &Value) -> Option<String> {
    let allowed: Vec<&str> = match rule {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let is = |name: &str| match (name, instance) {
        ("integer", Value::Number(number)) => {
            exact(number).is_some() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        ("number", Value::Number(_)) => true,
        _ => name == type_name(instance),
    };
    (!allowed.iter().any(|name| is(name))).then(|| {
        let words: Vec<String> = allowed.iter().take(MAX_LISTED).map(|name| with_article(name)).collect();
        format!("must be {}, not {}", words.join(" or "), with_article(type_name(instance)))
    })
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn with_article(name: &str) -> String {
    match name {
        "null" => "null".to_owned(),
        "array" | "object" | "integer" => format!("an {name}"),
        _ => format!("a {}", super::shortened(name)),
    }
}

fn number_objection(keyword: &str, rule: &Value, number: &Number) -> Option<String> {
    let Value::Number(limit) = rule else { return None };
    let order = compare(number, limit)?;
    let (fits, words) = match keyword {
        "minimum" => (order != Ordering::Less, "at least"),
        "maximum" => (order != Ordering::Greater, "at most"),
        "exclusiveMinimum" => (order == Ordering::Greater, "more than"),
        "exclusiveMaximum" => (order == Ordering::Less, "less than"),
        "multipleOf" => (is_multiple(number, limit), "a multiple of"),
        _ => return None,
    };
    (!fits).then(|| format!("must be {words} {limit}"))
}

fn count(keyword: &str, least: &str, rule: &Value, found: usize, [one, many]: [&str; 2]) -> Option<String> {
    let Value::Number(limit) = rule else { return None };
    let (limit, found) = (exact(limit)?, i128::try_from(found).ok()?);
    let (fits, words) = if keyword == least { (found >= limit, "at least") } else { (found <= limit, "at most") };
    let noun = if limit == 1 { one } else { many };
    (!fits).then(|| format!("must have {words} {limit} {noun}, not {found}"))
}

/// The number, if it is whole and within the range that is calculated with.
pub(super) fn exact(number: &Number) -> Option<i128> {
    /// Every whole `f64` below this is a whole `i128`.
    const LARGEST: f64 = 1e38;
    if let Some(whole) = number.as_i64() {
        return Some(i128::from(whole));
    }
    if let Some(whole) = number.as_u64() {
        return Some(i128::from(whole));
    }
    let number = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < LARGEST)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within i128")]
    Some(number as i128)
}

fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (exact(a), exact(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn is_multiple(number: &Number, of: &Number) -> bool {
    /// Most decimal fractions have no exact binary form: 0.0075 is only nearly 75 times 0.0001.
    const NEARLY: f64 = 4.0 * f64::EPSILON;
    match (exact(number), exact(of), number.as_f64(), of.as_f64()) {
        (Some(number), Some(of), ..) => number.checked_rem(of).is_none_or(|rest| rest == 0),
        (_, _, Some(number), Some(of)) => {
            let times = number / of;
            !times.is_finite() || (times - times.round()).abs() <= NEARLY * times.abs().max(1.0)
        }
        _ => true,
    }
}

/// Whether two values are equal in JSON Schema, where 1 and 1.0 are equal.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Appends a text that is the same for equal values. It recurses as deep as the JSON reader allows values to be, which is 128.
pub fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => {
            // Writing to a string does not fail.
            let _ = match exact(number) {
                Some(whole) => write!(text, "{whole}"),
                None => write!(text, "{number}"),
            };
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in entries {
                let _ = write!(text, "{}:", Value::from(key.as_str()));
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        _ => {
            let _ = write!(text, "{value}");
        }
    }
}
