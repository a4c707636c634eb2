//! What every route has in common and no handler repeats: who may call it, the problems that anything here can answer, and the headers of answers.
//!
//! A handler describes its own problems by their codes: `(status = 409, description = "`run_active`: an answer is being written.")`. The body of such
//! an answer is added here.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Access;

/// A problem that handlers do not name: its status, its name in the document, its codes, and when it is answered.
struct Common {
    status: u16,
    name: &'static str,
    codes: &'static [&'static str],
    when: &'static str,
}

const COMMON: [Common; 13] = [
    Common {
        status: 400,
        name: "InvalidJson",
        codes: &["invalid_json"],
        when: "The body is no JSON, or other than the route takes.",
    },
    Common {
        status: 401,
        name: "Unauthenticated",
        codes: &["unauthenticated"],
        when: "There is no valid token or key.",
    },
    Common {
        status: 403,
        name: "Forbidden",
        codes: &["forbidden", "insufficient_scope"],
        when: "A role or a scope does not allow it; `permission` names what is missing.",
    },
    Common {
        status: 404,
        name: "NotFound",
        codes: &["not_found"],
        when: "There is no such thing, or it belongs to somebody else.",
    },
    Common { status: 408, name: "TooSlow", codes: &["too_slow"], when: "The body came too slowly." },
    Common { status: 410, name: "Erased", codes: &["erased"], when: "What was stored for the account was erased." },
    Common { status: 413, name: "TooLarge", codes: &["too_large"], when: "The body is too long." },
    Common {
        status: 415,
        name: "UnsupportedMediaType",
        codes: &["unsupported_media_type"],
        when: "The body is not declared as JSON.",
    },
    Common {
        status: 422,
        name: "InvalidField",
        codes: &["invalid_field"],
        when: "A value does not fit; `field` names it.",
    },
    Common {
        status: 431,
        name: "HeadersTooLarge",
        codes: &["headers_too_large"],
        when: "The headers are too long together.",
    },
    Common { status: 500, name: "Internal", codes: &["internal"], when: "Something went wrong here." },
    Common {
        status: 503,
        name: "Unavailable",
        codes: &["unavailable", "key_missing", "key_damaged"],
        when: "The database does not answer, or a key to read with is missing.",
    },
    Common {
        status: 507,
        name: "Unwritable",
        codes: &["unwritable"],
        when: "Nothing can be stored: the disk is full or read-only.",
    },
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

/// Adds to an operation what it has in common with others.
pub(super) fn complete(operation: &mut Value, path: &str, method: &http::Method, access: &Access) {
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
    for (status, response) in responses.iter_mut() {
        // Any other.
        let Ok(status) = status.parse::<u16>() else { continue };
        let said = response["description"].as_str().unwrap_or_default().to_owned();
        let (mut codes, has_form) = (named(&said), response["content"].is_object());
        if status >= 400 && !said.starts_with(NO_BODY) && (!has_form || !codes.is_empty()) {
            assert!(
                !codes.is_empty(),
                "{method} {path}: {status} is described by a code, such as `run_active`: and why"
            );
            codes.extend(problems.remove(&status).unwrap_or_default());
            let mut said = problem(status, &codes);
            // In a form of its own, or as a problem.
            if has_form {
                response["content"][PROBLEM] = said["content"][PROBLEM].take();
                response["description"] = said["description"].take();
            } else {
                *response = said;
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
        let common = COMMON.iter().find(|common| common.status == status).expect("it is in the table");
        let is_whole = codes.iter().map(|(code, _)| code.as_str()).eq(common.codes.iter().copied());
        let response = if is_whole && status != 403 {
            json!({ "$ref": format!("#/components/responses/{}", common.name) })
        } else {
            let mut response = problem(status, &codes);
            headers(&mut response, status, is_budgeted);
            response
        };
        responses.insert(status.to_string(), response);
    }
    for (status, form) in passed_on {
        responses[&status]["content"][JSON] = form;
    }
}

/// The problems that a server elsewhere may have, which are passed on with its status, whatever that is: of the answer `default`. They are added to those
/// of every other error. Its form is returned, beside each status.
fn passed_on(responses: &mut Map<String, Value>, problems: &mut BTreeMap<u16, Codes>) -> Vec<(String, Value)> {
    let Some(said) = responses.get_mut("default") else { return Vec::new() };
    let codes = named(said["description"].as_str().unwrap_or_default());
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
    let mut problems: BTreeMap<u16, Codes> = COMMON
        .iter()
        .filter(|common| match common.status {
            400 | 415 => has_json,
            408 | 413 => has_body,
            422 => has_json || has_query,
            401 | 410 => is_secured,
            403 => false,
            404 => path.contains('{'),
            507 => !method.is_safe(),
            _ => true,
        })
        .map(|common| {
            (common.status, common.codes.iter().map(|code| ((*code).to_owned(), common.when.to_owned())).collect())
        })
        .collect();
    let mut forbidden = Vec::new();
    if let Access::Secured { permission, session, key, .. } = access {
        if let Some(permission) = permission {
            forbidden.push(("forbidden", format!("None of the roles has the permission `{permission}`.")));
        }
        if permission.is_some() && (*key || !*session) {
            forbidden.push(("insufficient_scope", "The key or token lacks that scope.".to_owned()));
        }
        if !key {
            forbidden.push(("key_not_allowed", "An API key is not taken here.".to_owned()));
        }
        if *session && !method.is_safe() {
            forbidden.push(("cross_origin", "The request comes from another site's page.".to_owned()));
        }
    }
    if !forbidden.is_empty() {
        problems.insert(403, forbidden.into_iter().map(|(code, when)| (code.to_owned(), when)).collect());
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

/// The codes that a description names, with their words: each is in backticks, with a colon behind them.
fn named(description: &str) -> Codes {
    let mut codes = Codes::new();
    let mut pieces = description.split('`').peekable();
    while let Some(words) = pieces.next() {
        if let Some((_, before)) = codes.last_mut() {
            before.push_str(words);
        }
        let (Some(quoted), Some(after)) = (pieces.next(), pieces.peek_mut()) else { break };
        let is_code = !quoted.is_empty() && quoted.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        match after.strip_prefix(": ").filter(|_| is_code) {
            Some(rest) => {
                *after = rest;
                codes.push((quoted.to_owned(), String::new()));
            }
            None => {
                if let Some((_, before)) = codes.last_mut() {
                    before.push_str(&format!("`{quoted}`"));
                }
            }
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
    let responses: Map<String, Value> = COMMON
        .iter()
        .filter(|common| common.status != 403)
        .map(|Common { status, name, codes, when }| {
            let codes = codes.iter().map(|code| ((*code).to_owned(), (*when).to_owned())).collect();
            let mut response = problem(*status, &codes);
            headers(&mut response, *status, false);
            ((*name).to_owned(), response)
        })
        .collect();
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
            "responses": responses,
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
        let codes = named("`run_active`: one is `queued` or works. `budget`: it is used up; see `GET /api/usage`.");
        let codes: Vec<_> = codes.iter().map(|(code, words)| (code.as_str(), words.as_str())).collect();
        assert_eq!(
            codes,
            [("run_active", "one is `queued` or works."), ("budget", "it is used up; see `GET /api/usage`.")]
        );
        assert!(named("It is wrong.").is_empty() && named("Use `a`, or `b`.").is_empty());
    }
}
