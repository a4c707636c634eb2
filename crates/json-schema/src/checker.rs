//! Checks a value against a schema, and counts the steps.

use std::collections::{BTreeSet, HashMap};

use regex_lite::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::{
    Unusable,
    keywords::{MAX_LISTED, exact, list, missing, objection},
    references::References,
    report::{Path, Problems, none_fits},
    shortened,
};

/// The most schemas read and values compared, at most a quarter of a second of them. Ordinary calls take some hundred.
const MAX_STEPS: usize = 500_000;
/// How deep schemas may be nested during a check; the stack of a guest is 1 MiB.
const MAX_DEPTH: usize = 100;
const MAX_PATTERN_BYTES: usize = 1_000;
/// The cost of compiling a pattern, in steps.
const STEPS_A_PATTERN: usize = 500;
/// The size of a compiled pattern in bytes, and the steps that each letter then costs. In the worst case, a letter visits all states of the pattern.
const PATTERN_SIZES: [(usize, usize); 3] = [(1_024, 1), (4 * 1_024, 5), (16 * 1_024, 20)];

/// The current place in the value and in the schema.
#[derive(Clone, Copy)]
struct At<'s, 'p> {
    path: Path<'p>,
    depth: usize,
    /// The schema resource of references without a name.
    base: &'s Value,
}

impl<'s> At<'s, '_> {
    fn key<'q>(&'q self, key: &'q str) -> At<'s, 'q> {
        At { path: Path::Key(&self.path, key), ..*self }
    }

    fn index(&self, index: usize) -> At<'s, '_> {
        At { path: Path::Index(&self.path, index), ..*self }
    }
}

/// The parts of a value that schemas have checked, for the `unevaluated` keywords.
#[derive(Default)]
struct Seen {
    keys: BTreeSet<String>,
    items: BTreeSet<usize>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.items.extend(other.items);
    }
}

pub(super) struct Checker<'s> {
    root: &'s Value,
    references: References<'s>,
    /// Before 2019-09, keywords beside a `$ref` are ignored.
    reference_is_alone: bool,
    /// Compiled, with the steps that a letter costs. `None`: the pattern is not checked.
    patterns: HashMap<&'s str, Option<(Regex, usize)>>,
    steps: usize,
    /// Whether the schema has an `unevaluated` keyword.
    tracks: bool,
}

impl<'s> Checker<'s> {
    pub(super) fn new(root: &'s Value, reference_is_alone: bool) -> Self {
        let (references, tracks) = (References::of(root), mentions_unevaluated(root));
        Self { root, references, reference_is_alone, patterns: HashMap::new(), steps: 0, tracks }
    }

    /// Checks a value against the whole schema.
    pub(super) fn whole(&mut self, instance: &Value, problems: &mut Problems) -> Result<(), Unusable> {
        let at = At { path: Path::Root, depth: 0, base: self.root };
        self.check(self.root, instance, at, problems).map(drop)
    }

    fn spend(&mut self, steps: usize) -> Result<(), Unusable> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS { Err(Unusable::TooLong) } else { Ok(()) }
    }

    /// Checks whether the value fits. Its problems are returned instead of reported.
    fn fits(
        &mut self,
        schema: &'s Value,
        instance: &Value,
        at: At<'s, '_>,
    ) -> Result<Result<Seen, Problems>, Unusable> {
        let mut problems = Problems::default();
        let seen = self.check(schema, instance, at, &mut problems)?;
        Ok(if problems.is_empty() { Ok(seen) } else { Err(problems) })
    }

    fn check(
        &mut self,
        schema: &'s Value,
        instance: &Value,
        mut at: At<'s, '_>,
        problems: &mut Problems,
    ) -> Result<Seen, Unusable> {
        self.spend(1)?;
        at.depth = at.depth.saturating_add(1);
        if at.depth > MAX_DEPTH {
            return Err(Unusable::TooDeep);
        }
        let mut seen = Seen::default();
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(true) => return Ok(seen),
            Value::Bool(false) => {
                problems.push(at.path, || "is not allowed".to_owned());
                return Ok(seen);
            }
            _ => return Err(Unusable::NotASchema),
        };
        let alone = if self.reference_is_alone { keywords.get("$ref").and_then(Value::as_str) } else { None };
        if let Some(reference) = alone {
            return self.follow(reference, instance, at, problems);
        }
        if keywords.get("$id").and_then(Value::as_str).is_some_and(|id| !id.starts_with('#')) {
            at.base = schema;
        }
        for (keyword, rule) in keywords {
            self.spend(cost(keyword, rule, instance))?;
            if let Some(what) = objection(keyword, rule, instance) {
                problems.push(at.path, || what);
            }
            self.apply(keyword, rule, keywords, instance, at, problems, &mut seen)?;
        }
        match instance {
            Value::Object(object) => self.object(keywords, object, at, problems, &mut seen)?,
            Value::Array(items) => self.array(keywords, items, at, problems, &mut seen)?,
            Value::String(text) => {
                if let Some(pattern) = keywords.get("pattern").and_then(Value::as_str)
                    && self.matches(pattern, text)? == Some(false)
                {
                    problems.push(at.path, || format!("must match the pattern {}", shortened(pattern)));
                }
            }
            _ => {}
        }
        Ok(seen)
    }

    fn follow(
        &mut self,
        reference: &str,
        instance: &Value,
        at: At<'s, '_>,
        problems: &mut Problems,
    ) -> Result<Seen, Unusable> {
        let (schema, base) = self.references.follow(reference, at.base)?;
        self.check(schema, instance, At { base, ..at }, problems)
    }

    /// Applies a keyword whose schemas check the same value.
    #[expect(clippy::too_many_arguments, reason = "all of what a keyword may look at")]
    fn apply(
        &mut self,
        keyword: &str,
        rule: &'s Value,
        keywords: &'s Map<String, Value>,
        instance: &Value,
        at: At<'s, '_>,
        problems: &mut Problems,
        seen: &mut Seen,
    ) -> Result<(), Unusable> {
        match (keyword, rule) {
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                seen.add(self.follow(reference, instance, at, problems)?);
            }
            ("allOf", Value::Array(schemas)) => {
                for schema in schemas {
                    seen.add(self.check(schema, instance, at, problems)?);
                }
            }
            ("anyOf", Value::Array(schemas)) => {
                let (mut fitting, mut failures) = (0_usize, Vec::new());
                for schema in schemas {
                    match self.fits(schema, instance, at)? {
                        Ok(more) => {
                            fitting = fitting.saturating_add(1);
                            seen.add(more);
                            if !self.tracks {
                                break;
                            }
                        }
                        Err(failure) => failures.push(failure),
                    }
                }
                if fitting == 0 {
                    none_fits(&failures, at.path, problems);
                }
            }
            ("oneOf", Value::Array(schemas)) => {
                let (mut fitting, mut failures) = (Vec::new(), Vec::new());
                for schema in schemas {
                    match self.fits(schema, instance, at)? {
                        Ok(more) => fitting.push(more),
                        Err(failure) => failures.push(failure),
                    }
                }
                match fitting.len() {
                    0 => none_fits(&failures, at.path, problems),
                    1 => fitting.into_iter().for_each(|more| seen.add(more)),
                    several => problems.push(at.path, || {
                        format!("must fit exactly one of the {} allowed forms, not {several}", schemas.len())
                    }),
                }
            }
            ("not", schema) if self.fits(schema, instance, at)?.is_ok() => {
                problems.push(at.path, || "has a form that is not allowed".to_owned());
            }
            ("if", condition) => {
                let branch = match self.fits(condition, instance, at)? {
                    Ok(more) => {
                        seen.add(more);
                        keywords.get("then")
                    }
                    Err(_) => keywords.get("else"),
                };
                if let Some(schema) = branch {
                    seen.add(self.check(schema, instance, at, problems)?);
                }
            }
            ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                let Value::Object(object) = instance else { return Ok(()) };
                for (_, schema) in schemas.iter().filter(|(key, rule)| object.contains_key(*key) && !rule.is_array()) {
                    seen.add(self.check(schema, instance, at, problems)?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn object(
        &mut self,
        keywords: &'s Map<String, Value>,
        object: &Map<String, Value>,
        at: At<'s, '_>,
        problems: &mut Problems,
        seen: &mut Seen,
    ) -> Result<(), Unusable> {
        let members = |keyword| keywords.get(keyword).and_then(Value::as_object);
        for (key, names) in ["dependentRequired", "dependencies"].into_iter().filter_map(members).flatten() {
            if let Some(names) = names.as_array().filter(|_| object.contains_key(key)) {
                self.spend(names.len())?;
                let absent = names.iter().filter_map(Value::as_str).filter(|name| !object.contains_key(*name));
                if let Some(what) = missing(absent) {
                    problems.push(at.path, || format!("{what}, which {} needs", shortened(key)));
                }
            }
        }
        let (properties, patterns) = (members("properties"), members("patternProperties"));
        let additional = keywords.get("additionalProperties");
        for (key, value) in object {
            self.spend(1 + (key.len() >> 6))?;
            let inner = at.key(key);
            if let Some(schema) = keywords.get("propertyNames")
                && self.fits(schema, &Value::from(key.as_str()), inner)?.is_err()
            {
                problems.push(at.path, || format!("may not have a property of the name {}", shortened(key)));
            }
            let (mut evaluated, mut unsure) = (false, false);
            if let Some(schema) = properties.and_then(|properties| properties.get(key)) {
                if !(value.is_null() && takes_null(schema)) {
                    self.check(schema, value, inner, problems)?;
                }
                evaluated = true;
            }
            for (pattern, schema) in patterns.into_iter().flatten() {
                match self.matches(pattern, key)? {
                    Some(true) => {
                        self.check(schema, value, inner, problems)?;
                        evaluated = true;
                    }
                    Some(false) => {}
                    None => unsure = true,
                }
            }
            if let Some(schema) = additional.filter(|_| !evaluated && !unsure) {
                self.extra(schema, value, key, properties, at, problems)?;
                evaluated = true;
            }
            if self.tracks && (evaluated || unsure) {
                seen.keys.insert(key.clone());
            }
        }
        if let Some(schema) = keywords.get("unevaluatedProperties") {
            for (key, value) in object {
                if seen.keys.insert(key.clone()) {
                    self.extra(schema, value, key, properties, at, problems)?;
                }
            }
        }
        Ok(())
    }

    /// Checks a property that only `schema` applies to.
    fn extra(
        &mut self,
        schema: &'s Value,
        value: &Value,
        key: &str,
        known: Option<&Map<String, Value>>,
        at: At<'s, '_>,
        problems: &mut Problems,
    ) -> Result<(), Unusable> {
        if schema != &Value::Bool(false) {
            return self.check(schema, value, at.key(key), problems).map(drop);
        }
        problems.push(at.path, || {
            let known: Vec<Value> = known
                .into_iter()
                .flat_map(Map::keys)
                .take(MAX_LISTED + 1)
                .map(|key| Value::from(key.as_str()))
                .collect();
            let known = if known.is_empty() { "none".to_owned() } else { list(&known) };
            format!("has no property {}; it may have: {known}", shortened(key))
        });
        Ok(())
    }

    fn array(
        &mut self,
        keywords: &'s Map<String, Value>,
        items: &[Value],
        at: At<'s, '_>,
        problems: &mut Problems,
        seen: &mut Seen,
    ) -> Result<(), Unusable> {
        // Before 2020-12, a list in `items` meant today's `prefixItems`, and `additionalItems` meant today's `items`.
        let (prefix, rest) = match (keywords.get("prefixItems"), keywords.get("items")) {
            (None, Some(prefix @ Value::Array(_))) => (Some(prefix), keywords.get("additionalItems")),
            (prefix, rest) => (prefix, rest),
        };
        let prefix = prefix.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, item) in items.iter().enumerate() {
            self.spend(1)?;
            if let Some(schema) = prefix.get(index).or(rest) {
                self.check(schema, item, at.index(index), problems)?;
                if self.tracks {
                    seen.items.insert(index);
                }
            }
        }
        if let Some(schema) = keywords.get("contains") {
            let mut found = 0_i128;
            for (index, item) in items.iter().enumerate() {
                if self.fits(schema, item, at.index(index))?.is_ok() {
                    found = found.saturating_add(1);
                    // Only in 2020-12 do these items count as checked. It matters only to `unevaluatedItems`, which drafts before 2019-09 do not
                    // know.
                    if self.tracks {
                        seen.items.insert(index);
                    }
                }
            }
            let limit = |keyword| match keywords.get(keyword) {
                Some(Value::Number(limit)) => exact(limit),
                _ => None,
            };
            let (least, most) = (limit("minContains").unwrap_or(1), limit("maxContains").unwrap_or(i128::MAX));
            if found < least || found > most {
                problems.push(at.path, || {
                    format!(
                        "has {found} items of a certain form and must have at least {least}, and at most maxContains"
                    )
                });
            }
        }
        if let Some(schema) = keywords.get("unevaluatedItems") {
            for (index, item) in items.iter().enumerate() {
                if seen.items.insert(index) {
                    self.check(schema, item, at.index(index), problems)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the pattern is found in the text. `None`: the pattern is not checked.
    fn matches(&mut self, pattern: &'s str, text: &str) -> Result<Option<bool>, Unusable> {
        if !self.patterns.contains_key(pattern) {
            self.spend(STEPS_A_PATTERN)?;
            self.patterns.insert(pattern, compile(pattern));
        }
        let steps_a_letter = self.patterns.get(pattern).and_then(Option::as_ref).map_or(0, |(_, steps)| *steps);
        self.spend(text.len().saturating_mul(steps_a_letter))?;
        Ok(self.patterns.get(pattern).and_then(Option::as_ref).map(|(regex, _)| regex.is_match(text)))
    }
}

/// Whether a property may be `null` although its type does not say so: `null` is its default, or OpenAPI's keyword `nullable` allows it.
fn takes_null(schema: &Value) -> bool {
    schema.get("default") == Some(&Value::Null) || schema.get("nullable") == Some(&Value::Bool(true))
}

fn compile(pattern: &str) -> Option<(Regex, usize)> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return None;
    }
    PATTERN_SIZES.into_iter().find_map(|(bytes, steps_a_letter)| {
        let regex = RegexBuilder::new(pattern).size_limit(bytes).build().ok()?;
        Some((regex, steps_a_letter))
    })
}

/// The steps that a keyword costs with this value.
fn cost(keyword: &str, rule: &Value, instance: &Value) -> usize {
    match keyword {
        "enum" | "const" if !instance.is_null() => size(rule),
        "uniqueItems" => size(instance),
        "required" | "type" => rule.as_array().map_or(1, Vec::len),
        "dependentSchemas" | "dependentRequired" | "dependencies" => rule.as_object().map_or(1, Map::len),
        "$ref" | "$dynamicRef" | "$recursiveRef" => rule.as_str().map_or(1, |text| text.len() >> 6).max(1),
        // Counting characters and similar work is a thousand times faster than the rest, but not free.
        _ => instance.as_str().map_or(1, |text| text.len() >> 8).max(1),
    }
}

/// The number of values in a value; long texts count as more than one.
fn size(value: &Value) -> usize {
    let (mut total, mut rest) = (0_usize, vec![value]);
    while let Some(value) = rest.pop() {
        total = total.saturating_add(1);
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(object) => rest.extend(object.values()),
            Value::String(text) => total = total.saturating_add(text.len() >> 6),
            _ => {}
        }
    }
    total
}

fn mentions_unevaluated(schema: &Value) -> bool {
    let mut rest = vec![schema];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(keywords) => {
                if keywords.contains_key("unevaluatedProperties") || keywords.contains_key("unevaluatedItems") {
                    return true;
                }
                rest.extend(keywords.values());
            }
            _ => {}
        }
    }
    false
}
