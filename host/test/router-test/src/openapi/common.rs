//! What every route has in common and no handler repeats: who may call it, the problems that anything here can answer, and the headers of answers.
//!
//! A handler describes its own problems by their codes: `(status = 409, description = "`run_active`: an answer is being written.")`. One that several
//! routes have is in [`COMMON`], and named without words: `(status = 429, description = "`rate_limited`.")`. The body of such an answer is added here.
//! An answer that has nothing but what is common is described once, and routes refer to it.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Access;

/// A problem that several routes have in the same words: its status, its code, and when it is answered.
struct Common {
    status: u16,
    code: &'static str,
    when: &'static str,
}

const fn common(status: u16, code: &'static str, when: &'static str) -> Common {
    Common { status, code, when }
}

/// By status, and in the order in which they are told.
const COMMON: [Common; 23] = [
    common(400, "invalid_json", "The body is no JSON, or other than the route takes."),
    common(401, "unauthenticated", "There is no valid token or key."),
    common(403, "beyond_own_role", "It would give or take more than the caller may do."),
    common(403, "forbidden", "None of the roles has the permission."),
    common(403, "insufficient_scope", "The key or token lacks the scope."),
    common(403, "key_not_allowed", "An API key is not taken here."),
    common(403, "cross_origin", "The request comes from another site's page."),
    common(404, "not_found", "There is no such thing, or it belongs to somebody else."),
    common(408, "too_slow", "The body came too slowly."),
    common(410, "erased", "What was stored for the account was erased."),
    common(412, "tus_version", "Another version of the protocol is wanted."),
    common(413, "too_large", "The body is too long."),
    common(415, "unsupported_media_type", "The body is not declared as JSON."),
    common(422, "invalid_field", "A value does not fit; `field` names it."),
    common(429, "rate_limited", "Too many in a while; nothing was done. `limit`, if it is there, says which."),
    common(429, "budget", "A budget of tokens or money is used up; `limit` says which."),
    common(431, "headers_too_large", "The headers are too long together."),
    common(500, "internal", "Something went wrong here."),
    common(503, "unavailable", "The database does not answer."),
    common(503, "key_missing", "A key to read with is missing."),
    common(503, "key_damaged", "A key to read with is damaged."),
    common(503, "file_store_unavailable", "The store of files does not answer."),
    common(507, "unwritable", "Nothing can be stored: the disk is full or read-only."),
];

/// How the description of an error without a body begins.
const NO_BODY: &str = "No body";

/// The id in examples.
const REQUEST_ID: &str = "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00";

const PROBLEM: &str = "application/problem+json";
/// Server-sent events.
pub(super) const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

/// The code of a used up budget. Whoever can get it is told in every answer what is left.
const BUDGET: &str = "`budget`";

/// Adds to an operation what it has in common with others. Returns the answers to which it refers, by their names.
pub(super) fn complete(
    operation: &mut Value,
    path: &str,
    method: &http::Method,
    access: &Access,
) -> Map<String, Value> {
    for field in ["summary", "operationId"] {
        assert!(operation[field].is_string(), "{method} {path} needs a {field}");
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        without_null(&mut parameter["schema"]);
    }
    operation["security"] = security(access);
    let told = operation["description"].as_str().map(|told| format!("{told}\n\n")).unwrap_or_default();
    operation["description"] = Value::from(told + &who(access));
    let mut problems = common_problems(operation, path, method, access);
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    let is_budgeted = responses
        .get("429")
        .is_some_and(|limited| limited["description"].as_str().unwrap_or_default().contains(BUDGET));
    let passed_on = passed_on(responses, &mut problems);
    let mut referred = Map::new();
    for (status, response) in responses.iter_mut() {
        // Any other.
        let Ok(status) = status.parse::<u16>() else { continue };
        let said = response["description"].as_str().unwrap_or_default().to_owned();
        let (mut codes, has_form) = (named(&said, status), response["content"].is_object());
        if status >= 400 && !said.starts_with(NO_BODY) && (!has_form || !codes.is_empty()) {
            assert!(
                !codes.is_empty(),
                "{method} {path}: {status} is described by a code, such as `run_active`: and why"
            );
            codes.extend(problems.remove(&status).unwrap_or_default());
            // In a form of its own, or as a problem.
            if has_form {
                let mut said = problem(status, &codes);
                response["content"][PROBLEM] = said["content"][PROBLEM].take();
                response["description"] = said["description"].take();
            } else {
                *response = refusal(status, codes, is_budgeted, &mut referred);
                continue;
            }
        } else if let Some(common) = problems.remove(&status).filter(|_| has_form) {
            response["content"][PROBLEM] = problem(status, &common)["content"][PROBLEM].take();
        }
        if let Some(stream) = response.get_mut("content").and_then(|content| content.get_mut(EVENTS)) {
            stream["schema"] = event(stream["schema"].take());
        }
        headers(response, status, is_budgeted);
    }
    for (status, codes) in problems {
        responses.insert(status.to_string(), refusal(status, codes, is_budgeted, &mut referred));
    }
    for (status, form) in passed_on {
        responses[&status]["content"][JSON] = form;
    }
    referred
}

/// An answer with a problem that has one of these codes. If it has only what is common, it is a reference, and the answer is added to those referred to.
fn refusal(status: u16, mut codes: Codes, is_budgeted: bool, referred: &mut Map<String, Value>) -> Value {
    let place = |code: &str, when: &str| {
        COMMON.iter().position(|common| (common.status, common.code, common.when) == (status, code, when))
    };
    let is_common = codes.iter().all(|(code, when)| place(code, when).is_some());
    if is_common {
        codes.sort_by_key(|(code, when)| place(code, when));
        codes.dedup();
    }
    let mut response = problem(status, &codes);
    headers(&mut response, status, is_budgeted);
    if !is_common {
        return response;
    }
    let names: Vec<String> = codes.iter().map(|(code, _)| in_camel_case(code)).collect();
    let name = names.join("Or");
    let reference = json!({ "$ref": format!("#/components/responses/{name}") });
    referred.insert(name, response);
    reference
}

fn in_camel_case(code: &str) -> String {
    let words = code.split('_').map(|word| word.split_at(1.min(word.len())));
    words.map(|(first, rest)| first.to_uppercase() + rest).collect()
}

/// The problems that a server elsewhere may have, which are passed on with its status, whatever that is: of the answer `default`. They are added to those
/// of every other error. Its form is returned, beside each status.
fn passed_on(responses: &mut Map<String, Value>, problems: &mut BTreeMap<u16, Codes>) -> Vec<(String, Value)> {
    let Some(said) = responses.get_mut("default") else { return Vec::new() };
    let codes = named(said["description"].as_str().unwrap_or_default(), None);
    let form = said["content"][JSON].clone();
    said["content"][PROBLEM] = problem(None, &codes)["content"][PROBLEM].take();
    let described = responses.keys().filter_map(|status| status.parse().ok());
    // Whom we do not know, we refuse ourselves.
    let errors = described.chain(problems.keys().copied()).filter(|status| *status >= 400 && *status != 401);
    let errors: BTreeSet<u16> = errors.collect();
    for status in &errors {
        problems.entry(*status).or_default().extend(codes.iter().cloned());
    }
    errors.into_iter().map(|status| (status.to_string(), form.clone())).collect()
}

/// Codes and when they are answered.
type Codes = Vec<(String, String)>;

fn common_problems(operation: &Value, path: &str, method: &http::Method, access: &Access) -> BTreeMap<u16, Codes> {
    let body = &operation["requestBody"]["content"];
    let (has_body, has_json) = (body.is_object(), body.get(JSON).is_some());
    let parameters = || operation["parameters"].as_array().into_iter().flatten();
    let has_query = parameters().any(|parameter| parameter["in"] == "query");
    let is_secured = matches!(access, Access::Secured { .. } | Access::OwnProof);
    let is_there = |common: &&Common| match (common.status, common.code, access) {
        (400 | 415, ..) => has_json,
        (408 | 413, ..) => has_body,
        (422, ..) => has_json || has_query,
        (401 | 410, ..) => is_secured,
        (403, "forbidden", Access::Secured { permission, .. }) => permission.is_some(),
        (403, "insufficient_scope", Access::Secured { permission, session, key, .. }) => {
            permission.is_some() && (*key || !*session)
        }
        (403, "key_not_allowed", Access::Secured { key, .. }) => !key,
        (403, "cross_origin", Access::Secured { session, .. }) => *session && !method.is_safe(),
        (403 | 412 | 429, ..) | (503, "file_store_unavailable", _) => false,
        (404, ..) => path.contains('{'),
        (507, ..) => !method.is_safe(),
        _ => true,
    };
    let mut problems: BTreeMap<u16, Codes> = BTreeMap::new();
    for Common { status, code, when } in COMMON.iter().filter(is_there) {
        problems.entry(*status).or_default().push(((*code).to_owned(), (*when).to_owned()));
    }
    problems
}

/// An event of a stream, as whoever reads server-sent events gets it (WHATWG HTML, section 9.2), whose data is described.
fn event(data: Value) -> Value {
    let mut text = json!({ "type": "string" });
    if data.get("$ref").is_some() {
        text["contentMediaType"] = JSON.into();
        text["contentSchema"] = data;
    }
    let other = json!({ "type": "string" });
    json!({ "type": "object", "required": ["data"], "properties": { "data": text, "event": other, "id": other } })
}

/// An answer with a problem that has one of these codes.
fn problem(status: impl Into<Option<u16>>, codes: &Codes) -> Value {
    let status = status.into();
    let title = status.and_then(|status| StatusCode::from_u16(status).ok()?.canonical_reason()).unwrap_or("Error");
    let example = codes.first().zip(status).map(|((code, when), status)| {
        json!({ "type": "about:blank", "title": title, "status": status, "detail": when, "code": code, "request_id": REQUEST_ID })
    });
    let words: Vec<String> = codes.iter().map(|(code, when)| format!("- `{code}`: {when}")).collect();
    let codes: BTreeSet<&str> = codes.iter().map(|(code, _)| code.as_str()).collect();
    let mut properties = json!({ "code": { "enum": codes } });
    if let Some(status) = status {
        properties["status"] = json!({ "const": status });
    }
    let schema = json!({ "allOf": [
        { "$ref": "#/components/schemas/Problem" },
        { "type": "object", "properties": properties },
    ] });
    let mut content = json!({ "schema": schema });
    if let Some(example) = example {
        content["example"] = example;
    }
    json!({ "description": words.join("\n"), "content": { PROBLEM: content } })
}

/// Adds the headers that an answer with this status has.
fn headers(response: &mut Value, status: u16, is_budgeted: bool) {
    let mut add = |name: &str| response["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
    add("X-Request-Id");
    match status {
        401 => add("WWW-Authenticate"),
        429 | 503 => add("Retry-After"),
        _ => {}
    }
    if is_budgeted && matches!(status, 200 | 201 | 409 | 429) {
        add("RateLimit");
        add("RateLimit-Policy");
    }
}

/// The codes that a description names, with their words: each is in backticks, with a colon behind them. One that is common with this status may begin a
/// sentence without words, and has those of the table.
fn named(description: &str, status: impl Into<Option<u16>>) -> Codes {
    let status = status.into();
    let known = |code: &str| {
        COMMON.iter().find(|common| Some(common.status) == status && common.code == code).map(|common| common.when)
    };
    let mut codes = Codes::new();
    let mut pieces = description.split('`').peekable();
    let mut is_beginning = true;
    while let Some(words) = pieces.next() {
        is_beginning = words.trim_end().ends_with('.') || is_beginning && words.trim().is_empty();
        if let Some((_, before)) = codes.last_mut() {
            before.push_str(words);
        }
        let (Some(quoted), Some(after)) = (pieces.next(), pieces.peek_mut()) else { break };
        let is_code = !quoted.is_empty() && quoted.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let following: &str = after;
        let own = following.strip_prefix(": ").filter(|_| is_code).map(|rest| (rest, ""));
        let common = following.strip_prefix('.').filter(|_| is_beginning).zip(known(quoted));
        if let Some((rest, when)) = own.or(common) {
            *after = rest;
            codes.push((quoted.to_owned(), when.to_owned()));
        } else if let Some((_, before)) = codes.last_mut() {
            before.push_str(&format!("`{quoted}`"));
        }
    }
    codes.into_iter().map(|(code, words)| (code, words.trim_end().to_owned())).collect()
}

/// A parameter that may be left out is not null.
fn without_null(schema: &mut Value) {
    if let Some(kinds) = schema["type"].as_array() {
        let kinds: Vec<&Value> = kinds.iter().filter(|kind| **kind != "null").collect();
        if let [kind] = kinds[..] {
            schema["type"] = kind.clone();
        }
    }
    let forms = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let mut forms = forms.into_iter().filter(|form| form["type"] != "null");
    if let (Some(form), None) = (forms.next(), forms.next()) {
        *schema = form;
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.retain(|_, value| !value.is_null());
    }
}

/// Who may call a route, in words: what shows descriptions to people shows scopes to nobody.
fn who(access: &Access) -> String {
    let Access::Secured { permission, session, key, gateway_token } = access else {
        let words = match access {
            Access::OwnProof => "**Needs** the cookie `ea_refresh`.",
            _ => "**Open** to everybody.",
        };
        return words.to_owned();
    };
    let ways =
        [("a session", *session), ("an API key", *key), ("a token for the gateway", *gateway_token && !*session)];
    let ways: Vec<&str> = ways.into_iter().filter(|(_, is_taken)| *is_taken).map(|(way, _)| way).collect();
    let ways = ways.join(" or ");
    match permission {
        Some(permission) => format!("**Needs** {ways}, with the permission `{permission}`."),
        None => format!("**Needs** {ways}."),
    }
}

fn security(access: &Access) -> Value {
    let Access::Secured { permission, session, key, gateway_token } = access else {
        return match access {
            Access::OwnProof => json!([{ "refreshCookie": [] }]),
            _ => json!([]),
        };
    };
    let scopes: Vec<&str> = permission.as_deref().into_iter().collect();
    let ways = [
        ("session", *session),
        ("sessionCookie", *session),
        ("apiKey", *key),
        ("gatewayToken", *gateway_token && !*session),
    ];
    ways.into_iter().filter(|(_, is_taken)| *is_taken).map(|(name, _)| json!({ name: scopes })).collect()
}

/// The schema of problems, and those that it has parts of.
fn schemas() -> Map<String, Value> {
    let mut all = vec![("Problem".to_owned(), <problem::Body<'_> as utoipa::PartialSchema>::schema())];
    <problem::Body<'_> as utoipa::ToSchema>::schemas(&mut all);
    all.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).expect("a schema is JSON"))).collect()
}

/// The document without any operation.
pub(super) fn document() -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Edge Assistant",
            "version": "1",
            "description": "The HTTP API of an installation. Who is asking, errors, streams and what else is no single route: docs/api.md of the \
                            source. Later releases may add to it, and rename nothing, so be ready for fields and codes that you do not know.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This installation." }],
        "paths": {},
        "components": {
            "schemas": schemas(),
            "headers": {
                "X-Request-Id": header("The id of the request, which the log has too.", json!({ "type": "string" })),
                "WWW-Authenticate": header("How to get in (RFC 9110, section 11.6.1).", json!({ "type": "string" })),
                "RateLimit": header("What is left of the limits that counted (the draft of RateLimit header fields).", json!({ "type": "string" })),
                "RateLimit-Policy": header("The limits that counted.", json!({ "type": "string" })),
                "Retry-After": header("When to try again, in seconds.", json!({ "type": "integer", "minimum": 0 })),
            },
            "securitySchemes": {
                "session": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token of a session, valid for fifteen minutes. What is named beside it is the permission that a role must have." },
                "sessionCookie": { "type": "apiKey", "in": "cookie", "name": "ea_access", "description": "The same token as a cookie, which signing in sets. A request that changes something must come from a page of this installation." },
                "refreshCookie": { "type": "apiKey", "in": "cookie", "name": "ea_refresh", "description": "The cookie with which a session is renewed." },
                "apiKey": { "type": "http", "scheme": "bearer", "description": "A key of a program, which begins with `ea_`. What is named beside it is the scope that it must have." },
                "gatewayToken": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token for the gateway: of a program that signed in (OAuth 2.1), or made by `POST /auth/mcp-token`. It is valid nowhere else." },
            },
        },
        "tags": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_with_their_words() {
        let codes =
            named("`run_active`: one is `queued` or works. `budget`: it is used up; see `GET /api/usage`.", 409);
        let codes: Vec<_> = codes.iter().map(|(code, words)| (code.as_str(), words.as_str())).collect();
        assert_eq!(
            codes,
            [("run_active", "one is `queued` or works."), ("budget", "it is used up; see `GET /api/usage`.")]
        );
        assert!(named("It is wrong.", 409).is_empty() && named("Use `a`, or `b`.", 409).is_empty());
    }

    #[test]
    fn a_common_code_may_be_named_without_words() {
        let codes = |description, status| {
            named(description, status).into_iter().map(|(code, words)| format!("{code} {words}")).collect::<Vec<_>>()
        };
        let both = codes("`rate_limited`. `budget`.", 429);
        let begins = |told: &String, words| told.starts_with(words);
        assert!(begins(&both[0], "rate_limited Too many") && begins(&both[1], "budget A budget"), "{both:?}");
        assert_eq!(codes("`other`: see `budget`.", 429), ["other see `budget`."]);
        assert_eq!(codes("`rate_limited`.", 403), [""; 0]);
        assert_eq!(codes("`rate_limited`. `budget`: that of the day.", 429)[1], "budget that of the day.");
    }

    #[test]
    fn an_answer_with_nothing_of_its_own_is_described_once() {
        let mut referred = Map::new();
        let common = |code: &str| named(&format!("`{code}`."), 403).remove(0);
        let codes = vec![common("cross_origin"), common("forbidden"), common("cross_origin")];
        let answer = refusal(403, codes, false, &mut referred);
        assert_eq!(answer, json!({ "$ref": "#/components/responses/ForbiddenOrCrossOrigin" }));
        assert!(referred["ForbiddenOrCrossOrigin"]["content"][PROBLEM].is_object());
        let own = ("forbidden".to_owned(), "Not the model.".to_owned());
        let answer = refusal(403, vec![own, common("cross_origin")], false, &mut referred);
        assert!(answer["content"][PROBLEM].is_object());
        assert_eq!(referred.len(), 1);
    }
}
