//! What a server says with its 401 or 403 (RFC 6750, section 3; RFC 9728, section 5.1).

use http::HeaderValue;
use http_auth::ChallengeParser;

/// The longest list of scopes that is read. It is sent in an address.
const MAX_SCOPE_BYTES: usize = 4_096;

/// A server's `Bearer` challenge.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// Where the metadata of the server are.
    pub resource_metadata: Option<String>,
    /// The scopes that the request needs, separated by spaces.
    pub scope: Option<String>,
    /// Why a token was refused.
    pub error: Option<String>,
}

impl Challenge {
    /// Reads `WWW-Authenticate`. A header that cannot be read, or that has no `Bearer` in it, says nothing.
    #[must_use]
    pub fn read(header: Option<&HeaderValue>) -> Self {
        let text = header.and_then(|header| header.to_str().ok()).unwrap_or_default();
        let mut challenges = ChallengeParser::new(text).map_while(Result::ok);
        let Some(bearer) = challenges.find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer")) else {
            return Self::default();
        };
        let said = |name: &str| {
            let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped()).filter(|value| !value.is_empty())
        };
        Self {
            resource_metadata: said("resource_metadata"),
            scope: said("scope").filter(|scope| scope.len() <= MAX_SCOPE_BYTES),
            error: said("error"),
        }
    }

    /// The server wants a token with more scopes (RFC 6750, section 3.1).
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

/// All scopes of both lists, each once. If they are too long together, the last ones are left out.
#[must_use]
pub fn scopes_together(first: &str, second: &str) -> String {
    let mut all: Vec<&str> = Vec::new();
    for scope in first.split_ascii_whitespace().chain(second.split_ascii_whitespace()) {
        if !all.contains(&scope)
            && all.iter().map(|scope| scope.len() + 1).sum::<usize>() + scope.len() <= MAX_SCOPE_BYTES
        {
            all.push(scope);
        }
    }
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Challenge {
        Challenge::read(Some(&HeaderValue::from_str(header).unwrap()))
    }

    #[test]
    fn a_bearer_challenge_is_found_among_others() {
        let said = read(
            r#"Basic realm="x, Bearer scope=\"no\"", bearer error="insufficient_scope", scope="a b", resource_metadata="https://h/x,y""#,
        );
        assert_eq!(said.resource_metadata.as_deref(), Some("https://h/x,y"));
        assert_eq!(said.scope.as_deref(), Some("a b"));
        assert!(said.wants_more());
        assert_eq!(read("Bearer"), Challenge::default());
        assert_eq!(read("Basic realm=\"x\""), Challenge::default());
        assert_eq!(read("\"\"=,="), Challenge::default());
        assert_eq!(Challenge::read(None), Challenge::default());
        assert_eq!(read(&format!("Bearer scope=\"{}\"", "x".repeat(5_000))).scope, None);
    }

    #[test]
    fn scopes_are_added_up() {
        assert_eq!(scopes_together("read write", "write  admin"), "read write admin");
        assert_eq!(scopes_together("", ""), "");
        let many: Vec<String> = (0..500).map(|n| format!("scope-{n:04}")).collect();
        let together = scopes_together("wanted", &many.join(" "));
        assert!(together.starts_with("wanted scope-0000 ") && together.len() <= MAX_SCOPE_BYTES);
    }
}
