//! A scripted provider: it answers as a real one would, except for what a test changes.

use std::sync::{Arc, Mutex, MutexGuard};

use ::oidc::{Exchange, HttpRequest, Unreachable};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::Response;
use openidconnect::{
    JsonWebKeyId, PrivateSigningKey as _,
    core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm},
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

pub(super) const ISSUER: &str = "https://id.example.org";
pub(super) const CLIENT_ID: &str = "edge-assistant";

/// The provider. Clones share it.
#[derive(Clone)]
pub(super) struct Scripted(Arc<Mutex<Script>>);

pub(super) struct Script {
    /// The key that it signs with, and its id.
    pub(super) key: (String, CoreEdDsaPrivateSigningKey),
    /// Changes of the discovery document.
    pub(super) document: Value,
    /// The claims of the next ID token.
    pub(super) claims: Value,
    /// What the userinfo endpoint says.
    pub(super) userinfo: Option<Value>,
    /// Whether it answers at all.
    pub(super) is_down: bool,
    /// The header of the next ID token, besides `alg` and `kid`.
    pub(super) header: Value,
    /// The challenge of the code that it gave out.
    pub(super) challenge: String,
    /// What happens elsewhere while a code is redeemed.
    pub(super) on_token: Option<Box<dyn FnOnce() + Send>>,
    /// The paths that were asked for.
    pub(super) asked: Vec<String>,
}

fn key(id: &str) -> (String, CoreEdDsaPrivateSigningKey) {
    // PKCS#8 of an Ed25519 key (RFC 8410, section 7) is this prefix and 32 bytes.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend(Sha256::digest(domain::Id::new().to_string()));
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", BASE64_STANDARD.encode(der));
    let key = CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(id.to_owned())));
    (id.to_owned(), key.unwrap())
}

pub(super) fn merged(mut base: Value, changes: &Value) -> Value {
    let fields = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap_or(&Map::new()) {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    base
}

impl Scripted {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Script {
            key: key("one"),
            document: json!({}),
            claims: json!({}),
            userinfo: None,
            is_down: false,
            header: json!({}),
            challenge: String::new(),
            on_token: None,
            asked: Vec::new(),
        })))
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }

    /// It signs with another key from now on.
    pub(super) fn rotate(&self, id: &str) {
        self.script().key = key(id);
    }

    /// Its keys, as it publishes them.
    pub(super) fn keys(&self) -> String {
        json!({"keys": [self.script().key.1.as_verification_key()]}).to_string()
    }

    pub(super) fn send(&self, request: HttpRequest) -> Exchange {
        let mut script = self.script();
        script.asked.push(request.uri().path().to_owned());
        if let Some(meanwhile) = script.on_token.take_if(|_| request.uri().path() == "/token") {
            meanwhile();
        }
        let answer = if script.is_down {
            Err(Unreachable("connection refused".to_owned()))
        } else {
            let (status, body) = script.answer(&request);
            let response = Response::builder().status(status).header("content-type", "application/json");
            Ok(response.body(body.to_string().into_bytes()).unwrap())
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Script {
    fn answer(&self, request: &HttpRequest) -> (u16, Value) {
        match request.uri().path() {
            "/.well-known/openid-configuration" => (200, self.discovery()),
            "/jwks" => (200, json!({"keys": [self.key.1.as_verification_key()]})),
            "/token" => self.token(request),
            "/userinfo" if request.headers()["authorization"] == "Bearer opaque" => {
                self.userinfo.clone().map_or((403, json!({})), |info| (200, info))
            }
            _ => (404, json!({})),
        }
    }

    fn discovery(&self) -> Value {
        let document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/authorize"),
            "token_endpoint": format!("{ISSUER}/token"),
            "jwks_uri": format!("{ISSUER}/jwks"),
            "end_session_endpoint": format!("{ISSUER}/logout"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA", "RS256"],
        });
        merged(document, &self.document)
    }

    fn token(&self, request: &HttpRequest) -> (u16, Value) {
        let form: Vec<_> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let field = |wanted: &str| form.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier").unwrap_or_default()));
        // The client's name and its secret, as basic authentication writes them.
        let is_ours = request.headers()["authorization"] == "Basic ZWRnZS1hc3Npc3RhbnQ6czNjcmV0";
        if !is_ours || field("code") != Some("the-code") || challenge != self.challenge {
            return (400, json!({"error": "invalid_grant"}));
        }
        let id_token = self.sign(&self.claims);
        (200, json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}))
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let (id, key) = &self.key;
        let header = merged(json!({"alg": "EdDSA", "kid": id}), &self.header);
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
