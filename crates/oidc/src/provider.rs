//! The providers that an operator configures.

use std::collections::{BTreeMap, BTreeSet};

use network_address::is_this_machine;
use permissions::role::{MAX_ROLES_OF_PERSON, is_role_name};
use serde::Deserialize;
use url::Url;

/// The log-in page shows a button for each.
const MAX_PROVIDERS: usize = 16;
/// A label fits on a button.
const MAX_LABEL_CHARS: usize = 60;
/// The name of the provider that is configured by single variables.
pub const SINGLE: &str = "oidc";

/// A provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Provider {
    /// Its name in addresses: small letters, digits and hyphens.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Its issuer, exactly as its discovery document and its tokens say it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our password there. `None`: we are a public client, and PKCE alone protects the code.
    pub client_secret: Option<Secret>,
    /// The scopes that are asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim with the person's groups: its name, or a JSON pointer (RFC 6901) such as `/realm_access/roles`.
    pub groups_claim: String,
    /// The role that each group gives.
    pub roles: BTreeMap<String, String>,
    /// Whether whoever comes from there gets an account. `None`: as the installation's `signup` says.
    pub signup: Option<bool>,
    /// Whether addresses count as verified although the provider does not say so.
    pub trusts_email: bool,
    /// For so long, the provider may go on from an earlier log-in there without asking the person anew. `None`: as long as it wants.
    pub max_age_s: Option<u32>,
}

/// A value that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Providers that cannot be used. The texts are for `/ready`, so they quote no secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidProvider {
    /// Not a list of providers.
    #[error(
        "it must be a JSON list of {{\"name\", \"label\"?, \"issuer\", \"client_id\", \"client_secret\"?, \"scopes\"?, \"groups_claim\"?, \"roles\"?, \"signup\"?, \"trusts_email\"?, \"max_age_s\"?}}; line {line}, column {column} is not"
    )]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// More than the log-in page can show.
    #[error("there are more than {MAX_PROVIDERS} providers")]
    TooMany,
    /// A name that cannot be in an address.
    #[error("a provider's name has 1 to 32 small letters, digits and hyphens")]
    Name,
    /// Two with one name or one issuer: nobody could say who is meant.
    #[error("{0} is there twice, or another provider has its issuer")]
    Twice(String),
    /// A label that fits on no button.
    #[error("the label of {0} is empty or longer than {MAX_LABEL_CHARS} characters")]
    Label(String),
    /// Not an issuer.
    #[error("the issuer of {0} must be an https address without a query; http is for this machine only")]
    Issuer(String),
    /// Without it, nobody knows us there.
    #[error("{0} has no client_id")]
    ClientId(String),
    /// A role that cannot exist.
    #[error("in roles of {0}, {1:?} cannot be the name of a role")]
    Role(String, String),
    /// More roles than a token can name.
    #[error("the groups of {0} give more than {MAX_ROLES_OF_PERSON} roles")]
    TooManyRoles(String),
    /// Neither of both values.
    #[error("signup of {0} must be \"open\" or \"closed\"")]
    Signup(String),
}

/// A provider as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    label: Option<String>,
    issuer: String,
    client_id: String,
    #[serde(default)]
    client_secret: String,
    scopes: Option<Vec<String>>,
    groups_claim: Option<String>,
    #[serde(default)]
    roles: BTreeMap<String, String>,
    signup: Option<String>,
    #[serde(default)]
    trusts_email: bool,
    max_age_s: Option<u32>,
}

impl Provider {
    /// Reads the JSON list of the variable `oidc_providers`; an empty text is an empty list.
    ///
    /// # Errors
    /// [`InvalidProvider`].
    pub fn parse_list(json: &str) -> Result<Vec<Self>, InvalidProvider> {
        if json.trim().is_empty() {
            return Ok(Vec::new());
        }
        // The error's own message could quote a secret.
        let entries: Vec<Entry> = serde_json::from_str(json)
            .map_err(|error| InvalidProvider::Json { line: error.line(), column: error.column() })?;
        if entries.len() > MAX_PROVIDERS {
            return Err(InvalidProvider::TooMany);
        }
        let providers = entries.into_iter().map(Self::read).collect::<Result<Vec<_>, _>>()?;
        let mut known = BTreeSet::new();
        for provider in &providers {
            if !known.insert(&provider.name) || !known.insert(&provider.issuer) {
                return Err(InvalidProvider::Twice(provider.name.clone()));
            }
        }
        Ok(providers)
    }

    /// The provider of the variables `oidc_issuer`, `oidc_client_id` and `oidc_client_secret`.
    ///
    /// # Errors
    /// [`InvalidProvider`].
    pub fn single(issuer: &str, client_id: &str, client_secret: &str) -> Result<Self, InvalidProvider> {
        Self::read(Entry {
            name: SINGLE.to_owned(),
            label: None,
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            scopes: None,
            groups_claim: None,
            roles: BTreeMap::new(),
            signup: None,
            trusts_email: false,
            max_age_s: None,
        })
    }

    fn read(entry: Entry) -> Result<Self, InvalidProvider> {
        let name = entry.name;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(is_name) {
            return Err(InvalidProvider::Name);
        }
        let Some(host) = issuer_host(&entry.issuer) else { return Err(InvalidProvider::Issuer(name)) };
        let label = entry.label.unwrap_or(host);
        if label.trim().is_empty() || label.chars().count() > MAX_LABEL_CHARS {
            return Err(InvalidProvider::Label(name));
        }
        if entry.client_id.is_empty() {
            return Err(InvalidProvider::ClientId(name));
        }
        let roles: BTreeSet<&String> = entry.roles.values().collect();
        if let Some(wrong) = roles.iter().find(|role| !is_role_name(role)) {
            return Err(InvalidProvider::Role(name, (*wrong).clone()));
        }
        if roles.len() > MAX_ROLES_OF_PERSON {
            return Err(InvalidProvider::TooManyRoles(name));
        }
        let signup = match entry.signup.as_deref() {
            None => None,
            Some("open") => Some(true),
            Some("closed") => Some(false),
            Some(_) => return Err(InvalidProvider::Signup(name)),
        };
        let scopes = entry.scopes.unwrap_or_else(|| vec!["email".to_owned(), "profile".to_owned()]);
        Ok(Self {
            name,
            label,
            issuer: entry.issuer,
            client_id: entry.client_id,
            client_secret: Some(entry.client_secret).filter(|secret| !secret.is_empty()).map(Secret),
            scopes: scopes.into_iter().filter(|scope| scope != "openid").collect(),
            groups_claim: entry.groups_claim.unwrap_or_else(|| "groups".to_owned()),
            roles: entry.roles,
            signup,
            trusts_email: entry.trusts_email,
            max_age_s: entry.max_age_s,
        })
    }

    /// The roles of somebody in these groups, each once and sorted.
    #[must_use]
    pub fn roles_of(&self, groups: &[String]) -> Vec<String> {
        let roles: BTreeSet<&String> = groups.iter().filter_map(|group| self.roles.get(group)).collect();
        roles.into_iter().cloned().collect()
    }

    /// Whether a request may go to this address: over TLS, or on this machine if the issuer is there.
    pub(crate) fn may_reach(&self, address: &Url) -> bool {
        address.scheme() == "https"
            || (self.issuer.starts_with("http://") && address.host_str().is_some_and(is_this_machine))
    }
}

/// The host of an issuer (OpenID Connect Core, section 2: https, without query and fragment). `None`: it is none.
fn issuer_host(issuer: &str) -> Option<String> {
    let url = Url::parse(issuer).ok().filter(|url| url.query().is_none() && url.fragment().is_none())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && issuer.len() <= 512;
    let is_allowed = url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_this_machine));
    url.host_str().filter(|_| is_plain && is_allowed).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entry: &str) -> Result<Provider, InvalidProvider> {
        Provider::parse_list(&format!("[{entry}]")).map(|mut list| list.remove(0))
    }

    #[test]
    fn a_provider_needs_a_name_an_issuer_and_a_client_id() {
        let provider = parse(r#"{"name":"corp","issuer":"https://id.example.org/realm","client_id":"c"}"#).unwrap();
        assert_eq!((provider.label.as_str(), provider.client_secret.clone()), ("id.example.org", None));
        assert_eq!((provider.scopes.join(" ").as_str(), provider.groups_claim.as_str()), ("email profile", "groups"));
        assert_eq!((provider.signup, provider.trusts_email, provider.max_age_s), (None, false, None));
        assert_eq!(Provider::parse_list(" "), Ok(Vec::new()));
        let single = Provider::single("http://127.0.0.1:9000", "c", "").unwrap();
        assert_eq!((single.name.as_str(), single.client_secret), (SINGLE, None));
    }

    #[test]
    fn what_is_wrong_is_named_without_quoting_a_secret() {
        for (entry, words) in [
            (r#"{"name":"corp","issuer":"https://x","client_secret":{"s3cret":1}}"#, "line 1"),
            (r#"{"name":"corp","issuer":"https://x","client_id":"c","clientsecret":"s3cret"}"#, "line 1"),
            (r#"{"name":"Corp!","issuer":"https://x","client_id":"c"}"#, "name"),
            (r#"{"name":"corp","issuer":"http://x","client_id":"c"}"#, "issuer of corp"),
            (r#"{"name":"corp","issuer":"https://x?y","client_id":"c"}"#, "issuer of corp"),
            (r#"{"name":"corp","issuer":"https://u:s3cret@x","client_id":"c"}"#, "issuer of corp"),
            (r#"{"name":"corp","issuer":"x","client_id":"c"}"#, "issuer of corp"),
            (r#"{"name":"corp","issuer":"https://x","client_id":""}"#, "client_id"),
            (r#"{"name":"corp","issuer":"https://x","client_id":"c","label":" "}"#, "label"),
            (r#"{"name":"corp","issuer":"https://x","client_id":"c","signup":"maybe"}"#, "signup"),
            (r#"{"name":"corp","issuer":"https://x","client_id":"c","roles":{"staff":"No Role"}}"#, "No Role"),
        ] {
            let said = parse(entry).unwrap_err().to_string();
            assert!(said.contains(words) && !said.contains("s3cret"), "{entry}: {said}");
        }
        let one = r#"{"name":"a","issuer":"https://x","client_id":"c"}"#;
        let same_issuer = one.replace(r#""a""#, r#""b""#);
        for twice in [format!("[{one},{one}]"), format!("[{one},{same_issuer}]")] {
            assert!(matches!(Provider::parse_list(&twice), Err(InvalidProvider::Twice(_))), "{twice}");
        }
        let many = vec![one; 17].join(",");
        assert_eq!(Provider::parse_list(&format!("[{many}]")), Err(InvalidProvider::TooMany));
    }

    #[test]
    fn groups_give_roles_each_once_and_those_that_are_not_named_give_none() {
        let roles = r#""roles":{"staff":"member","it":"admin","ops":"admin"}"#;
        let provider = parse(&format!(r#"{{"name":"corp","issuer":"https://x","client_id":"c",{roles}}}"#)).unwrap();
        let roles =
            |groups: &[&str]| provider.roles_of(&groups.iter().map(|&group| group.to_owned()).collect::<Vec<_>>());
        assert_eq!(roles(&["ops", "staff", "it", "others"]), ["admin", "member"]);
        assert!(roles(&["others", "Staff"]).is_empty());
    }

    #[test]
    fn the_secret_is_not_shown() {
        let entry = r#"{"name":"corp","issuer":"https://x","client_id":"c","client_secret":"s3cret"}"#;
        let provider = parse(entry).unwrap();
        assert_eq!(provider.client_secret.as_ref().map(Secret::reveal), Some("s3cret"));
        assert!(!format!("{provider:?}").contains("s3cret"));
    }
}
