//! An API's credentials: `securitySchemes` as secrets that each person enters, and their place in a request. A secret goes only to the place that the
//! document names.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tool_provider::provider::contract;

use crate::{
    parameter::{Parameter, Place},
    value::{self, cut, text},
};

/// The most schemes of a document.
const SCHEMES_MAX: usize = 50;
/// The longest description of a secret from a document. People read it in a form.
const DESCRIPTION_CHARS_MAX: usize = 600;

/// The place of a secret in a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Header(HeaderName),
    Query(String),
    Cookie(String),
    Bearer,
    /// The secret is the password; this one is the user name.
    Basic(Secret),
}

/// A secret that a person enters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) title: String,
}

/// A secret and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Credential {
    pub(crate) secret: Secret,
    pub(crate) way: Way,
}

/// The credentials of an operation.
#[derive(Clone, Default, Debug)]
pub(crate) struct Requirement {
    pub(crate) credentials: Vec<Credential>,
    /// Whether the operation also works without them.
    pub(crate) is_optional: bool,
}

impl Requirement {
    pub(crate) fn names(&self) -> Vec<String> {
        let names = |credential: &Credential| {
            let user = match &credential.way {
                Way::Basic(user) => Some(user.name.clone()),
                _ => None,
            };
            user.into_iter().chain([credential.secret.name.clone()])
        };
        self.credentials.iter().flat_map(names).collect()
    }

    /// Whether a parameter is the place of a secret. The person, not the model, provides credentials.
    pub(crate) fn takes(&self, parameter: &Parameter<'_>) -> bool {
        self.credentials.iter().any(|credential| match (&credential.way, parameter.place) {
            (Way::Header(name), Place::Header) => parameter.name.eq_ignore_ascii_case(name.as_str()),
            (Way::Query(name), Place::Query) => parameter.name == *name,
            _ => false,
        })
    }

    pub(crate) fn titles(&self) -> String {
        let titles: Vec<String> = self.credentials.iter().map(|it| format!("\"{}\"", it.secret.title)).collect();
        titles.join(" and ")
    }
}

/// The schemes of a document.
#[derive(Default, Debug)]
pub(crate) struct Schemes {
    known: BTreeMap<String, Credential>,
    secrets: Vec<contract::Secret>,
}

impl Schemes {
    /// Reads the schemes. Those that are not supported are left out.
    pub(crate) fn read(root: &Value, api: &str, title: &str) -> Self {
        let mut schemes = Self::default();
        let mut taken = BTreeSet::new();
        let Some(all) = root.pointer("/components/securitySchemes").and_then(Value::as_object) else { return schemes };
        for (id, scheme) in all.iter().take(SCHEMES_MAX) {
            let Some(scheme) = value::object(root, scheme) else { continue };
            let mut secret = |ending: &str, what: &str| {
                let name = crate::name::secret(api, &format!("{id}{ending}"), &mut taken)?;
                let title = if all.len() > 1 { format!("{title}: {what} ({id})") } else { format!("{title}: {what}") };
                Some(Secret { name, title: cut(&title, 90) })
            };
            let Some(credential) = credential(scheme, &mut secret) else { continue };
            let words = description(scheme, &credential.way, title);
            if let Way::Basic(user) = &credential.way {
                schemes.secrets.push(contract::Secret {
                    name: user.name.clone(),
                    title: user.title.clone(),
                    description: format!("Your name at {title}."),
                    visible: true,
                    optional: false,
                });
            }
            schemes.secrets.push(contract::Secret {
                name: credential.secret.name.clone(),
                title: credential.secret.title.clone(),
                description: words,
                visible: false,
                optional: false,
            });
            schemes.known.insert(id.clone(), credential);
        }
        schemes
    }

    /// The secrets that operations use. `named` says whether all operations that use a secret also work without it.
    pub(crate) fn secrets(self, named: &BTreeMap<String, bool>) -> Vec<contract::Secret> {
        let secret = |secret: contract::Secret| {
            let optional = *named.get(&secret.name)?;
            Some(contract::Secret { optional, ..secret })
        };
        self.secrets.into_iter().filter_map(secret).collect()
    }

    /// The credentials of an operation: the first alternative that is supported.
    ///
    /// # Errors
    /// The reason why no alternative is supported.
    pub(crate) fn requirement(&self, root: &Value, operation: &Map<String, Value>) -> Result<Requirement, String> {
        let security = operation.get("security").or_else(|| root.get("security"));
        let Some(alternatives) = security.and_then(Value::as_array).filter(|it| !it.is_empty()) else {
            return Ok(Requirement::default());
        };
        let is_optional = alternatives.iter().any(|it| it.as_object().is_some_and(Map::is_empty));
        let served = |alternative: &Value| {
            let ids = alternative.as_object().filter(|it| !it.is_empty())?.keys();
            ids.map(|id| self.known.get(id).cloned()).collect::<Option<Vec<_>>>()
        };
        match alternatives.iter().find_map(served) {
            Some(credentials) => Ok(Requirement { credentials, is_optional }),
            None if is_optional => Ok(Requirement::default()),
            None => Err("it requires a kind of credentials that is not supported".to_owned()),
        }
    }
}

fn credential(
    scheme: &Map<String, Value>,
    secret: &mut impl FnMut(&str, &str) -> Option<Secret>,
) -> Option<Credential> {
    let scheme_name = text(scheme, "scheme").map(str::to_ascii_lowercase);
    match (text(scheme, "type")?, scheme_name.as_deref()) {
        ("apiKey", _) => {
            let name = text(scheme, "name")?;
            let way = match text(scheme, "in")? {
                "header" => Way::Header(name.parse().ok().filter(may_be_written)?),
                "query" => Way::Query(name.to_owned()),
                "cookie" if HeaderName::try_from(name).is_ok() => Way::Cookie(name.to_owned()),
                _ => return None,
            };
            Some(Credential { secret: secret("", "key")?, way })
        }
        ("http", Some("basic")) => {
            let user = secret("_username", "user name")?;
            Some(Credential { secret: secret("_password", "password")?, way: Way::Basic(user) })
        }
        ("http", Some("bearer")) | ("oauth2" | "openIdConnect", _) => {
            Some(Credential { secret: secret("", "token")?, way: Way::Bearer })
        }
        _ => None,
    }
}

/// Whether a header may contain a key. Headers that control the connection may not.
fn may_be_written(header: &HeaderName) -> bool {
    let forbidden =
        [http::header::HOST, http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION];
    !forbidden.contains(header)
}

fn description(scheme: &Map<String, Value>, way: &Way, title: &str) -> String {
    let goes = match way {
        Way::Header(name) => format!("Goes to {title} in the header {name}."),
        Way::Query(name) => format!("Goes to {title} in the query as {}.", cut(name, 60)),
        Way::Cookie(name) => format!("Goes to {title} in the cookie {}.", cut(name, 60)),
        Way::Bearer => format!("An access token of {title}."),
        Way::Basic(_) => format!("Your password at {title}."),
    };
    match text(scheme, "description") {
        Some(words) => format!("{goes} {}", cut(words, DESCRIPTION_CHARS_MAX)),
        None => goes,
    }
}

pub(crate) fn header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
