//! A scripted authorization server (OAuth 2.1) beside the MCP servers that it guards. A person's part, to log in and to agree, is [`AuthorizationServer::agreed`].

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

/// An authorization server. Clones are the same.
#[derive(Clone, Debug)]
pub struct AuthorizationServer(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    issuer: String,
    /// Where the metadata of the MCP server are.
    resource_metadata: String,
    metadata: Value,
    resource: Value,
    expires_in: Value,
    /// What the token endpoint answers instead, and how often.
    refuses: Option<(u16, Value)>,
    codes: BTreeMap<String, BTreeMap<String, String>>,
    refresh: BTreeMap<String, String>,
    access: BTreeMap<String, String>,
    needs: BTreeMap<String, String>,
    /// Whether the MCP server lists its tools for everybody.
    lists_openly: bool,
    /// A tool that takes no token at all.
    closed_tool: String,
    asked: Vec<(String, BTreeMap<String, String>)>,
    count: u32,
}

impl AuthorizationServer {
    /// Guards the MCP server at `resource`, from `https://auth.example.org`.
    #[must_use]
    pub fn guarding(resource: &str) -> Self {
        let issuer = "https://auth.example.org";
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "registration_endpoint": format!("{issuer}/register"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
            "authorization_response_iss_parameter_supported": true,
        });
        let origin = Url::parse(resource).expect("an address").origin().ascii_serialization();
        let resource = json!({ "resource": resource, "authorization_servers": [issuer], "scopes_supported": ["read"] });
        Self(Rc::new(RefCell::new(State {
            issuer: issuer.to_owned(),
            resource_metadata: format!("{origin}/.well-known/oauth-protected-resource"),
            metadata,
            resource,
            expires_in: json!(3_600),
            refuses: None,
            codes: BTreeMap::new(),
            refresh: BTreeMap::new(),
            access: BTreeMap::new(),
            needs: BTreeMap::new(),
            lists_openly: false,
            closed_tool: String::new(),
            asked: Vec::new(),
            count: 0,
        })))
    }

    /// Changes what it says of itself.
    pub fn set(&self, field: &str, value: Value) {
        self.0.borrow_mut().metadata[field] = value;
    }

    /// Changes what the MCP server says of itself.
    pub fn set_resource(&self, field: &str, value: Value) {
        self.0.borrow_mut().resource[field] = value;
    }

    /// How long new tokens are valid, as it says.
    pub fn set_lifetime(&self, expires_in: Value) {
        self.0.borrow_mut().expires_in = expires_in;
    }

    /// Makes the token endpoint refuse.
    pub fn refuse(&self, refusal: Option<(u16, Value)>) {
        self.0.borrow_mut().refuses = refusal;
    }

    /// Makes a tool need a scope.
    pub fn need(&self, tool: &str, scope: &str) {
        self.0.borrow_mut().needs.insert(tool.to_owned(), scope.to_owned());
    }

    /// Makes the MCP server list its tools for everybody, and want a token only for calls.
    pub fn list_openly(&self) {
        self.0.borrow_mut().lists_openly = true;
    }

    /// Makes a tool answer 401 whatever token there is.
    pub fn close_tool(&self, tool: &str) {
        tool.clone_into(&mut self.0.borrow_mut().closed_tool);
    }

    /// Forgets all access tokens, or also the refresh tokens.
    pub fn forget(&self, also_refresh: bool) {
        let mut state = self.0.borrow_mut();
        state.access.clear();
        if also_refresh {
            state.refresh.clear();
        }
    }

    /// The requests since the last time: path, and what was sent.
    #[must_use]
    pub fn asked(&self) -> Vec<(String, BTreeMap<String, String>)> {
        std::mem::take(&mut self.0.borrow_mut().asked)
    }

    /// The tokens that are valid.
    #[must_use]
    pub fn valid(&self) -> Vec<String> {
        let state = self.0.borrow();
        state.access.keys().chain(state.refresh.keys()).cloned().collect()
    }

    /// A person opens an address, logs in and agrees. The query that their browser takes back.
    ///
    /// # Panics
    /// If the address is not one of a client that knows PKCE and resource indicators.
    #[must_use]
    pub fn agreed(&self, address: &str) -> String {
        let url = Url::parse(address).expect("an address");
        assert_eq!(url.path(), "/authorize");
        let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
        let mut state = self.0.borrow_mut();
        assert_eq!(asked["resource"], state.resource["resource"].as_str().expect("a resource"));
        state.count += 1;
        let code = format!("code-{}", state.count);
        let issuer = state.issuer.clone();
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("code", code.as_str()), ("state", &asked["state"]), ("iss", &issuer)])
            .finish();
        state.codes.insert(code, asked);
        query
    }

    /// Whether a request for the MCP server may pass; if not, its answer.
    pub(crate) fn guard(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let state = self.0.borrow();
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let scope = token.and_then(|token| state.access.get(token.strip_prefix("Bearer ")?));
        let metadata = &state.resource_metadata;
        let message: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let tool = message["params"]["name"].as_str();
        if state.lists_openly && tool.is_none() {
            return None;
        }
        let Some(scope) = scope.filter(|_| tool != Some(state.closed_tool.as_str())) else {
            return Some(challenge(401, &format!("Bearer resource_metadata=\"{metadata}\"")));
        };
        let needed = tool.and_then(|tool| state.needs.get(tool));
        let needed = needed.filter(|needed| !scope.split(' ').any(|scope| scope == needed.as_str()))?;
        Some(challenge(403, &format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"")))
    }

    /// Answers what is asked of the authorization server, or about the MCP server.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (path, mut state) = (request.uri().path().to_owned(), self.0.borrow_mut());
        let json = |status: u16, body: &Value| {
            let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
            response.body(Bytes::from(body.to_string())).unwrap_or_default()
        };
        let mut sent: BTreeMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
        if let Some(authorization) = request.headers().get(header::AUTHORIZATION) {
            sent.insert("authorization".to_owned(), authorization.to_str().unwrap_or_default().to_owned());
        }
        state.asked.push((path.clone(), sent.clone()));
        match path.as_str() {
            "/.well-known/oauth-protected-resource" => json(200, &state.resource),
            "/.well-known/oauth-authorization-server" => json(200, &state.metadata),
            "/register" => json(201, &json!({ "client_id": "client-1", "token_endpoint_auth_method": "none" })),
            "/revoke" => {
                let token = sent.get("token").cloned().unwrap_or_default();
                state.access.remove(&token);
                state.refresh.remove(&token);
                json(200, &Value::Null)
            }
            "/token" => {
                if let Some((status, refusal)) = &state.refuses {
                    return json(*status, refusal);
                }
                match state.granted(&sent) {
                    Ok(tokens) => json(200, &tokens),
                    Err(error) => json(400, &json!({ "error": error, "error_description": "\u{1b}no" })),
                }
            }
            _ => json(404, &Value::Null),
        }
    }
}

impl State {
    fn granted(&mut self, sent: &BTreeMap<String, String>) -> Result<Value, &'static str> {
        let said = |name: &str| sent.get(name).map(String::as_str).unwrap_or_default();
        if said("resource") != self.resource["resource"] {
            return Err("invalid_target");
        }
        let scope = match said("grant_type") {
            "authorization_code" => {
                let asked = self.codes.remove(said("code")).ok_or("invalid_grant")?;
                let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(said("code_verifier")));
                let is_right = asked["code_challenge"] == challenge
                    && asked["redirect_uri"] == said("redirect_uri")
                    && (asked["client_id"] == said("client_id") || sent.contains_key("authorization"));
                if !is_right {
                    return Err("invalid_grant");
                }
                asked.get("scope").cloned().unwrap_or_default()
            }
            // Each is used once.
            "refresh_token" => self.refresh.remove(said("refresh_token")).ok_or("invalid_grant")?,
            _ => return Err("unsupported_grant_type"),
        };
        self.count += 1;
        let (access, refresh) = (format!("access-{}", self.count), format!("refresh-{}", self.count));
        self.access.insert(access.clone(), scope.clone());
        self.refresh.insert(refresh.clone(), scope);
        Ok(
            json!({ "access_token": access, "token_type": "bearer", "expires_in": self.expires_in, "refresh_token": refresh }),
        )
    }
}

fn challenge(status: u16, value: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    if let Ok(value) = header::HeaderValue::from_str(value) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}
