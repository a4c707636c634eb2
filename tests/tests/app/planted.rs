//! Something is typed into every field that there is, and everything that the app writes is searched for it: files of the database, its journal, the log.
//! What may be found is written here, with the reason; docs/encryption.md has the same, column by column.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tests::{App, Person, repository, start_model, text};

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A word, the fields that it is typed into, and why it may be found. `None`: it must not be.
const WORDS: [(&str, &str, Option<&str>); 35] = [
    ("heron-address", "an account's address", Some("logging in and administrators search for it")),
    ("heron-person", "an account's name", Some("administrators search for it")),
    ("heron-password", "a password", None),
    ("heron-guess", "a password that is wrong", None),
    ("heron-nobody", "an address that nobody has", None),
    ("heron-title", "a conversation's title", None),
    ("heron-message", "a message", None),
    ("heron-model", "the name of a model", Some("runs and dialects are found by it")),
    ("heron-repeat", "an Idempotency-Key", Some("SQL compares it")),
    ("heron-argument", "a tool's arguments, and what the tool says of them", None),
    ("heron-gateway", "the same, from a program", None),
    ("heron-asked", "what a program says to a model, and what it answers", None),
    ("heron-odd", "the same, where it is refused", None),
    ("heron-refused", "a message that the model's server refuses", None),
    ("heron-malformed", "a body that is no message", None),
    ("heron-secret", "a secret for a tool", None),
    ("heron-pattern", "the pattern of a policy", Some("SQL decides by it")),
    ("heron-key", "an API key's name", None),
    ("heron-robot", "the name of a program's account", Some("as an account's name")),
    ("heron-spare", "the name of a key of a program's account", None),
    ("heron-group", "a group's name", Some("SQL keeps it from being given twice")),
    ("heron-role", "a role's name", Some("every request is decided by it")),
    (
        "heron-provider",
        "the name and the address of a provider of models",
        Some("runs say it, and administrators see it"),
    ),
    ("heron-credential", "the key of a provider of models", None),
    ("heron-header", "a header for a provider of models", None),
    ("heron-assistant", "an assistant's name", None),
    ("heron-purpose", "what an assistant is for", None),
    ("heron-fact", "what is remembered about somebody", None),
    ("heron-instructions", "instructions of an assistant and of a conversation", None),
    ("heron-chosen", "the tools that a conversation uses", None),
    ("heron-format", "the form of an answer", None),
    ("heron-program", "the name that a program registers, before anybody lets it in", None),
    ("heron-file", "a file's name", None),
    ("heron-content", "what is in a file", None),
    ("heron-hook", "the path of a webhook's address", None),
];

/// Routes into which nothing is typed that anybody chooses, and why.
const NOTHING: [(&str, &str); 35] = [
    ("PUT /api/admin/groups/{id}/members/{user_id}", "ids"),
    ("POST /api/admin/invitations", "a role and a number"),
    ("POST /api/admin/keys/rotate", "a purpose"),
    ("PUT /api/admin/limits", "a role or an id, and numbers"),
    ("POST /api/admin/providers/{name}/test", "nothing"),
    ("PUT /api/admin/retention", "a role and a number"),
    ("PATCH /api/admin/users/{id}", "a role"),
    ("POST /api/admin/users/{id}/erasure", "nothing"),
    ("POST /api/admin/users/{id}/reset-link", "nothing"),
    ("POST /api/account/receipt", "a random secret, which is hashed"),
    ("POST /auth/login/second-factor", "a code"),
    ("POST /auth/login/second-factor/confirm", "a code"),
    ("POST /auth/login/second-factor/setup", "nothing"),
    ("POST /auth/logout", "nothing"),
    ("POST /auth/mcp-token", "nothing"),
    ("POST /auth/oidc/backchannel-logout", "a provider's token"),
    ("POST /auth/oidc/identities/remove", "a provider"),
    ("POST /auth/oidc/link", "a password, as at the log-in"),
    ("POST /auth/oidc/login", "a provider"),
    ("POST /auth/password", "passwords, as at the log-in"),
    ("POST /auth/password-reset", "a password, as at the log-in"),
    ("POST /auth/refresh", "a random secret, which is hashed"),
    ("POST /auth/second-factor/confirm", "a code"),
    ("POST /auth/second-factor/recovery-codes", "a password or a code"),
    ("POST /auth/second-factor/remove", "a password or a code"),
    ("POST /auth/second-factor/setup", "a password or a code"),
    ("POST /oauth/authorization", "what the program has registered"),
    ("POST /oauth/revoke", "a random secret, which is hashed"),
    ("POST /oauth/token", "random secrets, which are hashed"),
    ("PATCH /api/memories", "yes or no"),
    ("POST /api/runs/{id}/approvals", "an id and a decision"),
    ("POST /api/tools/connections", "a server's name"),
    ("POST /api/runs/{id}/cancel", "nothing"),
    ("POST /api/webhooks/{id}/test", "nothing"),
    ("POST /api/admin/webhooks/{id}/test", "nothing"),
];

/// Routes into which the words are typed, or which take what others take.
const TYPED: [&str; 29] = [
    "POST /api/admin/groups",
    "PUT /api/admin/groups/{id}",
    "PUT /api/admin/providers/{name}",
    "PUT /api/admin/roles/{name}",
    "POST /api/admin/service-accounts",
    "POST /api/admin/service-accounts/{id}/api-keys",
    "POST /auth/api-keys",
    "POST /auth/login",
    "PATCH /auth/me",
    "POST /auth/signup",
    "POST /oauth/register",
    "POST /api/assistants",
    "PATCH /api/assistants/{id}",
    "PATCH /api/memories/{id}",
    "POST /api/conversations",
    "PATCH /api/conversations/{id}",
    "POST /api/conversations/{id}/messages",
    "POST /api/runs/{id}/retry",
    "PUT /api/tools/policies",
    "PUT /api/tools/secrets",
    "POST /mcp",
    "POST /mcp/{server}",
    "POST /v1/chat/completions",
    "POST /v1/embeddings",
    "POST /v1/responses",
    "POST /api/webhooks",
    "POST /api/admin/webhooks",
    "POST /api/files",
    "PATCH /api/files/{id}",
];

/// Every route that takes a body is in one of the two lists above, and nothing else is. The gateway refuses other methods than POST.
#[test]
fn every_route_that_takes_something_is_typed_into_or_has_a_reason() -> Result<()> {
    let document = fs::read_to_string(repository().join("docs/permissions.md"))?;
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')?.0.split_once(" /"));
    let routes = rows.flat_map(|(methods, path)| {
        methods.split(", ").map(move |method| format!("{method} /{}", path.trim_end_matches('/')))
    });
    let takes = |route: &String| {
        let methods: &[&str] = if route.contains(" /mcp") { &["POST "] } else { &["POST ", "PUT ", "PATCH "] };
        methods.iter().any(|method| route.starts_with(method))
    };
    let routes: BTreeSet<String> = routes.filter(takes).collect();
    let listed: BTreeSet<&str> = TYPED.into_iter().chain(NOTHING.map(|(route, _)| route)).collect();
    let unknown: Vec<_> = routes.iter().filter(|route| !listed.contains(route.as_str())).collect();
    ensure!(unknown.is_empty(), "what is typed into these is searched by no test: {unknown:?}");
    let gone: Vec<_> = listed.iter().filter(|route| !routes.contains(**route)).collect();
    ensure!(gone.is_empty(), "the document has no such routes: {gone:?}");
    Ok(())
}

async fn taken(what: &str, response: Response) -> Result<Value> {
    let status = response.status();
    let body = response.text().await?;
    ensure!(status.is_success(), "{what}: {status} {body}");
    Ok(serde_json::from_str(&body).unwrap_or_default())
}

#[tokio::test]
async fn what_is_typed_anywhere_is_found_nowhere_but_where_it_is_written() -> Result<()> {
    let options = start_model()?.options().with_misbehaving_tools()?.variable("master_key", KEY);
    let options = options.variable("webhook_host", "http://127.0.0.1:*");
    let Some((mut host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let admin = Person::in_app(&app).await?;
    as_a_person(&app, &admin).await?;
    as_an_administrator(&admin).await?;
    let mut found = vec![None; WORDS.len()];
    for (name, written) in host.everything_written().await? {
        let written = String::from_utf8_lossy(&written);
        for ((word, ..), found) in WORDS.iter().zip(&mut found) {
            if written.contains(word) {
                *found = Some(name.clone());
            }
        }
    }
    for ((word, what, reason), found) in WORDS.iter().zip(found) {
        match (reason, found) {
            (None, Some(place)) => anyhow::bail!("{what} ({word}) can be read in {place}"),
            // So what was searched is what was written.
            (Some(_), None) => anyhow::bail!("{what} ({word}) is nowhere: take the reason away"),
            _ => {}
        }
    }
    Ok(())
}

/// An upload of a file in a form.
pub(crate) fn form(person: &Person, name: &str, content: &[u8]) -> reqwest::RequestBuilder {
    let head = format!("--border\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
    let body = [head.as_bytes(), content, b"\r\n--border--\r\n"].concat();
    person.request(Method::POST, "/api/files").header("content-type", "multipart/form-data; boundary=border").body(body)
}

async fn as_a_person(app: &App, admin: &Person) -> Result<()> {
    let post = |path: &str, body: Value| app.request(Method::POST, path).json(&body).send();
    let (email, password) = ("heron-address@example.org", "heron-password");
    taken("signing up", post("/auth/signup", json!({"email": email, "password": password, "name": "x"})).await?)
        .await?;
    for (email, password) in [(email, "heron-guess"), ("heron-nobody@example.org", password)] {
        ensure!(!post("/auth/login", json!({"email": email, "password": password})).await?.status().is_success());
    }
    let body = json!({"client_name": "heron-program", "redirect_uris": ["http://127.0.0.1:1/back"]});
    taken("registering", post("/oauth/register", body).await?).await?;
    let person = admin;
    let send = |method: Method, path: &str, body: Value| person.request(method, path).json(&body).send();
    taken("a name", send(Method::PATCH, "/auth/me", json!({"name": "heron-person"})).await?).await?;
    taken("a key", send(Method::POST, "/auth/api-keys", json!({"name": "heron-key"})).await?).await?;
    let (turn, _) = person.hear("scripted-echo=1-delay=0-ttft=0-test=heron-model", "heron-message").await?;
    let path = format!("/api/conversations/{}", turn.conversation);
    taken("a title", send(Method::PATCH, &path, json!({"title": "heron-title"})).await?).await?;
    let messages = format!("{path}/messages");
    let again = person.request(Method::POST, &messages).header("idempotency-key", "heron-repeat");
    let sent = taken("a message", again.json(&json!({"content": "heron-message"})).send().await?).await?;
    person.events(&text(&sent, "/run/id")?).await?.all().await?;
    let settings = json!({"instructions": "heron-instructions", "tools": ["heron-chosen:*"]});
    taken("settings", send(Method::PATCH, &path, json!({"settings": settings})).await?).await?;
    let schema = json!({"type": "object", "description": "heron-format"});
    let format = json!({"type": "json_schema", "json_schema": {"name": "heron-format", "schema": schema}});
    let body = json!({"content": "heron-message", "response_format": format});
    let sent = taken("a form", send(Method::POST, &messages, body).await?).await?;
    person.events(&text(&sent, "/run/id")?).await?.all().await?;
    let file = taken("a file", form(person, "heron-file", b"heron-content").send().await?).await?;
    let body = json!({"content": "heron-message", "files": [file["id"]]});
    let sent = taken("a message with a file", send(Method::POST, &messages, body).await?).await?;
    person.events(&text(&sent, "/run/id")?).await?.all().await?;
    let body = json!({"name": "heron-assistant", "description": "heron-purpose", "settings": settings});
    let assistant = taken("an assistant", send(Method::POST, "/api/assistants", body).await?).await?;
    let path = format!("/api/assistants/{}", text(&assistant, "/id")?);
    taken("an assistant", send(Method::PATCH, &path, json!({"description": "heron-purpose again"})).await?).await?;
    let said = json!({"fact": "heron-fact"}).to_string();
    person.hear("scripted-tool=memory_remember-delay=0-ttft=0", &said).await?;
    let memory = text(&person.get("/api/memories").await?, "/items/0/id")?;
    let edited = send(Method::PATCH, &format!("/api/memories/{memory}"), json!({"content": "heron-fact is edited"}));
    taken("a fact", edited.await?).await?;
    let body = json!({"content": ["heron-malformed"]});
    ensure!(!send(Method::POST, &messages, body).await?.status().is_success(), "it is taken");
    let arguments = json!({"expression": "heron-argument"}).to_string();
    for (model, content, kind) in [
        ("scripted-tool=calculator_calculate-delay=0-ttft=0", arguments.as_str(), "tool_result"),
        ("scripted-fail=400-ttft=0", "heron-refused", "error"),
    ] {
        let (_, events) = person.hear(model, content).await?;
        ensure!(events.iter().any(|event| event.kind() == kind), "{content}: no {kind} in {events:?}");
    }
    for (path, content, is_taken) in [
        ("/v1/chat/completions", "heron-asked", true),
        ("/v1/embeddings", "heron-odd", false),
        ("/v1/responses", "heron-odd", false),
    ] {
        let (model, messages) = ("scripted-echo=1-delay=0-ttft=0", json!([{"role": "user", "content": content}]));
        let asked = send(Method::POST, path, json!({"model": model, "messages": messages, "input": content})).await?;
        ensure!(asked.status().is_success() == is_taken, "{path}: {}", asked.text().await?);
    }
    let secret = json!({"server": "misbehaving", "name": "password", "value": "heron-secret"});
    taken("a secret", send(Method::PUT, "/api/tools/secrets", secret).await?).await?;
    let policy = json!({"pattern": "calculator:heron-pattern", "effect": "ask"});
    taken("a policy", send(Method::PUT, "/api/tools/policies", policy).await?).await?;
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "calculator_calculate", "arguments": {"expression": "heron-gateway"}},
    });
    let program = person.program().await?;
    let asked = program
        .request(Method::POST, "/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25");
    let answer = taken("a call at the gateway", asked.json(&call).send().await?).await?;
    ensure!(answer["result"].is_object(), "the gateway called no tool: {answer}");
    Ok(())
}

async fn as_an_administrator(admin: &Person) -> Result<()> {
    let send = |method: Method, path: &str, body: Value| admin.request(method, path).json(&body).send();
    let role = json!({"permissions": ["audit:read"]});
    taken("a role", send(Method::PUT, "/api/admin/roles/heron-role", role).await?).await?;
    let group = json!({"name": "heron-group", "roles": ["heron-role"]});
    taken("a group", send(Method::POST, "/api/admin/groups", group).await?).await?;
    let account = json!({"name": "heron-robot", "role": "heron-role"});
    let account = taken("an account", send(Method::POST, "/api/admin/service-accounts", account).await?).await?;
    let keys = format!("/api/admin/service-accounts/{}/api-keys", text(&account, "/id").context("no id")?);
    taken("a key", send(Method::POST, &keys, json!({"name": "heron-spare"})).await?).await?;
    let provider = json!({
        "base_url": "https://heron-provider.example/v1", "models": ["far"], "key": "heron-credential",
        "headers": {"x-team": "heron-header"}, "untested": true,
    });
    taken("a provider", send(Method::PUT, "/api/admin/providers/heron-provider", provider).await?).await?;
    for path in ["/api/webhooks", "/api/admin/webhooks"] {
        let body = json!({"url": "http://127.0.0.1:9/heron-hook", "events": ["run.ended"]});
        taken("a webhook", send(Method::POST, path, body).await?).await?;
    }
    Ok(())
}
