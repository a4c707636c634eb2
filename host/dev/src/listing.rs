//! The tools that a tool server lists: as text for a person, and the faults in their descriptions. This module must not send anything to a server.

use std::collections::BTreeSet;

use json_schema::{MAX_DEPTH, Unfit};
use serde_json::{Value, value::to_raw_value};

use crate::fetched::sha256;

/// The key under which the adapter lists properties that the protocol does not have.
const META_TOOL: &str = "edge-assistant/tool";
/// The contract's rule for names.
const NAME_MAX_CHARS: usize = 64;
const NAME_SIGNS: [char; 3] = ['_', '-', '.'];
/// The longest name in the chat. A longer one is cut, and ends in digits of a hash.
const FULL_NAME_MAX_CHARS: usize = 64;
const HASH_DIGITS: usize = 8;
/// The types of JSON Schema.
const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];
/// Keywords whose values are schemas by name, and keywords with a schema or a list of schemas.
const NAMED_SCHEMAS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const SCHEMAS: [&str; 14] = [
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
];

/// A tool, as the adapter lists it.
pub(crate) struct ServedTool(Value);

/// A setting that a person must enter before the tool works.
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) optional: bool,
    /// The provider uses it without describing it.
    undeclared: bool,
}

impl ServedTool {
    pub(crate) fn new(listed: Value) -> Self {
        Self(listed)
    }

    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    /// The name in the chat: `toolbox::catalog::model_name`. A test compares the two. A dependency on `toolbox` would add 25 crates to this program,
    /// which is compiled first by everybody.
    pub(crate) fn full_name(&self, server: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
        let name: String = format!("{server}_{}", self.name()).chars().map(plain).collect();
        if name.len() <= FULL_NAME_MAX_CHARS {
            return name;
        }
        let hash = sha256(format!("{server}\0{}", self.name()).as_bytes());
        let begin = name.chars().take(FULL_NAME_MAX_CHARS - HASH_DIGITS - 1);
        begin.chain(['_']).chain(hash.chars().take(HASH_DIGITS)).collect()
    }

    pub(crate) fn title(&self) -> &str {
        self.text("title")
    }

    pub(crate) fn description(&self) -> &str {
        self.text("description")
    }

    pub(crate) fn input_schema(&self) -> &Value {
        self.0.get("inputSchema").unwrap_or(&Value::Null)
    }

    /// The input schema in the form that the app gives to models and uses to check arguments.
    pub(crate) fn repaired_input_schema(&self) -> Result<Value, Unfit> {
        let not_json = |error: serde_json::Error| Unfit::NotJson(error.to_string());
        let raw = to_raw_value(self.input_schema()).map_err(not_json)?;
        serde_json::from_str(json_schema::repaired(&raw)?.get()).map_err(not_json)
    }

    pub(crate) fn output_schema(&self) -> Option<&Value> {
        self.0.get("outputSchema")
    }

    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let secrets = self.meta("secrets").and_then(Value::as_array);
        let text = |secret: &Value, key: &str| secret.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let secret = |secret: &Value| Secret {
            name: text(secret, "name"),
            title: text(secret, "title"),
            optional: secret.get("optional") == Some(&Value::Bool(true)),
            // This is how the adapter lists a secret without a description.
            undeclared: text(secret, "description").is_empty() && text(secret, "name") == text(secret, "title"),
        };
        secrets.into_iter().flatten().map(secret).collect()
    }

    /// The effect of a call, in a word or two.
    pub(crate) fn effect(&self) -> &'static str {
        let hint = |name: &str| self.0.get("annotations").and_then(|hints| hints.get(name)?.as_bool());
        match () {
            () if self.meta("alwaysAsks") == Some(&Value::Bool(true)) => "asks every time",
            () if hint("readOnlyHint") == Some(true) => "read only",
            () if hint("destructiveHint") == Some(false) => "asks",
            () => "asks: may destroy something",
        }
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn meta(&self, key: &str) -> Option<&Value> {
        self.0.get("_meta")?.get(META_TOOL)?.get(key)
    }
}

/// The faults in the tools of a server, each with advice.
pub(crate) fn problems(server: &str, tools: &[ServedTool]) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut names, mut undeclared) = (BTreeSet::new(), BTreeSet::new());
    for tool in tools {
        let name = tool.name();
        let mut say = |what: String| problems.push(format!("the tool `{name}` of mcp-{server}: {what}"));
        let is_sign = |c: char| c.is_ascii_alphanumeric() || NAME_SIGNS.contains(&c);
        if name.is_empty() || name.len() > NAME_MAX_CHARS || !name.chars().all(is_sign) {
            say(format!("a name has 1 to {NAME_MAX_CHARS} letters, digits, `_`, `-` and `.`: give it another"));
        }
        if !names.insert(name) {
            say("an earlier tool has the same name: rename one of them".to_owned());
        }
        if tool.description().trim().is_empty() {
            say("it has no description, and a model needs one to decide whether to call it: say what it does and when to use it".to_owned());
        }
        for (which, schema) in [("input", Some(tool.input_schema())), ("output", tool.output_schema())] {
            if let Some(wrong) = schema.and_then(wrong_with_schema) {
                say(format!("its {which} schema {wrong}"));
            }
        }
        undeclared.extend(tool.secrets().into_iter().filter(|secret| secret.undeclared).map(|secret| secret.name));
    }
    for secret in undeclared {
        problems.push(format!(
            "mcp-{server}: its tools name the secret `{secret}`, which the provider does not declare, so nobody is told what to enter: \
             declare it with a title and a description, or correct the name"
        ));
    }
    problems
}

fn wrong_with_schema(schema: &Value) -> Option<String> {
    if let Value::String(text) = schema {
        let why = serde_json::from_str::<Value>(text).err().map(|error| error.to_string());
        return Some(match why {
            Some(why) => format!("is not valid JSON ({why}): write an object such as {{\"type\": \"object\"}}"),
            None => "is a text with JSON in it: take the quotes away".to_owned(),
        });
    }
    let mut wrong = Vec::new();
    misspelt(schema, "", 0, &mut wrong);
    if let Some((path, word)) = wrong.first() {
        return Some(format!(
            "says \"type\": \"{word}\" at {path}, which is not a type, so nothing is checked there: write {}",
            TYPES.join(", ")
        ));
    }
    let raw = to_raw_value(schema).ok()?;
    json_schema::repaired(&raw).err().map(|unfit| match unfit {
        Unfit::NotAnObject => {
            "does not describe an object, but arguments and structured results are objects: write an object with `properties` (in \
             Rust, a struct)"
                .to_owned()
        }
        unfit => unfit.to_string(),
    })
}

/// The unknown types in a schema, and their places. Names that the app replaces, such as `int`, are known.
fn misspelt(schema: &Value, path: &str, depth: usize, wrong: &mut Vec<(String, String)>) {
    // Deeper schemas are refused anyway.
    let (Value::Object(keywords), true) = (schema, depth <= MAX_DEPTH) else { return };
    for (keyword, value) in keywords {
        let here = format!("{path}/{keyword}");
        if keyword == "type" {
            let said = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            let unknown = said.iter().filter(|word| word.as_str().and_then(json_schema::kind).is_none());
            wrong.extend(unknown.map(|word| (here.clone(), word.as_str().map_or(word.to_string(), str::to_owned))));
        } else if NAMED_SCHEMAS.contains(&keyword.as_str()) {
            for (name, inner) in value.as_object().into_iter().flatten() {
                misspelt(inner, &format!("{here}/{name}"), depth + 1, wrong);
            }
        } else if SCHEMAS.contains(&keyword.as_str()) {
            for inner in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
                misspelt(inner, &here, depth + 1, wrong);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, more: &Value) -> ServedTool {
        let mut tool = json!({ "name": name, "description": "d", "inputSchema": { "type": "object" } });
        for (key, value) in more.as_object().unwrap() {
            tool[key] = value.clone();
        }
        ServedTool::new(tool)
    }

    #[test]
    fn what_calling_leads_to_is_said_as_the_person_meets_it() {
        for (annotations, always_asks, expected) in [
            (json!({ "readOnlyHint": true }), false, "read only"),
            (json!({ "readOnlyHint": true }), true, "asks every time"),
            (json!({ "readOnlyHint": false, "destructiveHint": false }), false, "asks"),
            (json!({}), false, "asks: may destroy something"),
        ] {
            let meta = json!({ META_TOOL: { "alwaysAsks": always_asks } });
            let tool = tool("a", &json!({ "annotations": annotations, "_meta": meta }));
            assert_eq!(tool.effect(), expected);
        }
    }

    #[test]
    fn a_tool_has_the_name_of_the_chat_however_long_it_is() {
        assert_eq!(tool("a.b", &json!({})).full_name("x-y"), "x-y_a_b");
        for length in 1..=64 {
            let name = "ä.b".repeat(length).chars().take(length).collect::<String>();
            let expected = toolbox::catalog::model_name("a-server", &name);
            assert_eq!(tool(&name, &json!({})).full_name("a-server"), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_tools_is_said_with_the_cure() {
        let nested =
            json!({ "type": "object", "properties": { "a": { "items": { "anyOf": [{ "type": "strng" }] } } } });
        let secret = json!({ META_TOOL: { "secrets": [{ "name": "kee", "title": "kee", "description": "" }] } });
        for (more, expected) in [
            (json!({ "inputSchema": nested }), "\"strng\" at /properties/a/items/anyOf/type"),
            (json!({ "inputSchema": nested }), "write string, number, integer,"),
            (json!({ "outputSchema": { "type": ["object", "nul"] } }), "its output schema says \"type\": \"nul\""),
            (json!({ "inputSchema": "{'type': 'object'}" }), "its input schema is not valid JSON"),
            (json!({ "inputSchema": "{}" }), "take the quotes away"),
            (json!({ "inputSchema": { "type": "string" } }), "its input schema does not describe an object"),
            (json!({ "description": " " }), "no description"),
            (json!({ "name": "a b" }), "give it another"),
            (json!({ "_meta": secret }), "name the secret `kee`"),
        ] {
            let said = problems("x", &[tool("a", &more)]);
            assert!(said.len() == 1 && said[0].contains(expected), "{expected}: {said:?}");
        }
        let twice = problems("x", &[tool("a", &json!({})), tool("a", &json!({}))]);
        assert!(twice.len() == 1 && twice[0].contains("rename one"), "{twice:?}");
    }

    #[test]
    fn a_right_tool_has_no_problems_also_with_types_by_other_names() {
        let secret = json!({ "name": "key", "title": "Key", "description": "" });
        let schema = json!({ "type": "object", "properties": { "type": { "type": ["string", "null"] }, "n": { "type": "int" }, "l": { "type": "list" } } });
        let more = json!({ "inputSchema": schema, "_meta": { META_TOOL: { "secrets": [secret] } } });
        assert_eq!(problems("x", &[tool("a", &more)]), Vec::<String>::new());
    }
}
