//! What a provider says about a person, as far as it matters here.

use openidconnect::{AdditionalClaims, EndUserName, LocalizedClaim, UserInfoClaims, core::CoreGenderClaim};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::provider::Provider;

/// Subjects are at most 255 bytes (OpenID Connect Core, section 2).
pub(crate) const MAX_SUBJECT_BYTES: usize = 255;
/// A name fits on a line.
const MAX_NAME_CHARS: usize = 100;
/// A longer ID token is not kept as a hint for the log-out: it travels in an address, and servers refuse long ones, some at 2 KB.
const MAX_HINT_BYTES: usize = 1_536;

/// A person, according to verified claims.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Who they are at the provider, for ever.
    pub subject: String,
    /// Their address as the provider writes it, if it says one.
    pub email: Option<String>,
    /// Whether the provider has verified that the address is theirs.
    pub is_email_verified: bool,
    /// Their name; may be empty.
    pub name: String,
    /// Their groups that give roles; `None` if the claim was missing.
    pub groups: Option<Vec<String>>,
    /// Their session at the provider (`sid`), for the back-channel log-out.
    pub sid: Option<String>,
    /// The ID token, a hint for the log-out at the provider.
    pub hint: Option<String>,
}

/// The claims that the crate `openidconnect` has no field for.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Rest(pub(crate) Map<String, Value>);

impl AdditionalClaims for Rest {}

pub(crate) type UserInfo = UserInfoClaims<Rest, CoreGenderClaim>;

impl Person {
    pub(crate) fn new(
        subject: &str,
        email: Option<&str>,
        is_email_verified: bool,
        name: Option<&LocalizedClaim<EndUserName>>,
        rest: &Rest,
        provider: &Provider,
    ) -> Self {
        Self {
            subject: subject.to_owned(),
            email: email.map(str::to_owned),
            is_email_verified,
            name: name.map(name_of).unwrap_or_default(),
            groups: groups(&rest.0, provider),
            sid: text(&rest.0, "sid"),
            hint: None,
        }
    }

    /// With what the userinfo endpoint says in addition. The ID token counts more.
    pub(crate) fn completed(mut self, info: &UserInfo, provider: &Provider) -> Self {
        let email = info.email().map(|email| email.as_str().to_owned());
        if self.email.is_none() || (!self.is_email_verified && self.email == email) {
            self.email = email;
            self.is_email_verified = info.email_verified().unwrap_or_default();
        }
        if self.name.is_empty() {
            self.name = info.name().map(name_of).unwrap_or_default();
        }
        self.groups = self.groups.or_else(|| groups(&info.additional_claims().0, provider));
        self
    }

    pub(crate) fn with_hint(mut self, id_token: &str) -> Self {
        self.hint = Some(id_token.to_owned()).filter(|hint| hint.len() <= MAX_HINT_BYTES);
        self
    }
}

pub(crate) fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    let text = claims.get(name).and_then(Value::as_str)?;
    Some(text.to_owned()).filter(|text| text.len() <= MAX_SUBJECT_BYTES)
}

fn name_of(name: &LocalizedClaim<EndUserName>) -> String {
    let name = name.get(None).or_else(|| name.iter().next().map(|(_, name)| name));
    let name = name.map(|name| name.as_str()).unwrap_or_default();
    name.chars().filter(|letter| !letter.is_control()).take(MAX_NAME_CHARS).collect::<String>().trim().to_owned()
}

/// The groups of the claim that give roles: a list of texts, or one text. Anything else in a list is not a group. There may be thousands of others.
fn groups(claims: &Map<String, Value>, provider: &Provider) -> Option<Vec<String>> {
    let claim = provider.groups_claim.as_str();
    let value = match claim.strip_prefix('/') {
        Some(path) => {
            let (first, rest) = path.split_once('/').unwrap_or((path, ""));
            let found = claims.get(first)?;
            if rest.is_empty() { found } else { found.pointer(&format!("/{rest}"))? }
        }
        None => claims.get(claim)?,
    };
    let all = match value {
        Value::String(_) => std::slice::from_ref(value),
        Value::Array(groups) => groups,
        _ => return None,
    };
    let names = all.iter().filter_map(Value::as_str).filter(|group| provider.roles.contains_key(*group));
    Some(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_found_by_name_or_pointer() {
        let Value::Object(claims) = json!({
            "groups": (0..5_000).map(|index| json!(format!("other {index}"))).chain([json!("a"), json!(1), json!("b")]).collect::<Vec<_>>(),
            "one": "a",
            "https://example.org/groups": ["c"],
            "realm_access": {"roles": ["d"]},
            "wrong": {"a": true},
        }) else {
            panic!("an object")
        };
        let found = |claim: &str| {
            let roles: Map<String, Value> =
                ["a", "b", "c", "d"].map(|group| (group.to_owned(), json!("member"))).into_iter().collect();
            let entry = json!([{
                "name": "corp", "issuer": "https://x", "client_id": "c", "groups_claim": claim, "roles": roles,
            }]);
            let provider = Provider::parse_list(&entry.to_string()).unwrap().remove(0);
            groups(&claims, &provider).map(|groups| groups.join(" "))
        };
        assert_eq!(found("groups").as_deref(), Some("a b"));
        assert_eq!(found("one").as_deref(), Some("a"));
        assert_eq!(found("https://example.org/groups").as_deref(), Some("c"));
        assert_eq!(found("/realm_access/roles").as_deref(), Some("d"));
        assert_eq!((found("wrong"), found("missing"), found("/realm_access/x")), (None, None, None));
    }
}
