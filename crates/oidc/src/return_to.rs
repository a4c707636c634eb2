//! Where a person goes back to after signing in: a path of this installation, so that no link leads through it to another site.

use url::Url;

/// The page itself.
pub const HOME: &str = "/";

/// Paths of the page are shorter than 100 bytes. `/authorize` has a query of up to several kilobytes, which makes what keeps this too long for a
/// cookie: the page asks for the path alone and keeps the query in the tab (`static/src/state/session.ts`). Whatever is longer becomes [`HOME`].
const MAX_BYTES: usize = 512;

/// A host that does not exist, to see whether a path leads away from it.
const NOWHERE: &str = "http://nowhere.invalid/";

/// The path and query of a page of ours; [`HOME`] for anything else. A part behind `#` is left out: browsers do not send it.
#[must_use]
pub fn local_path(text: &str) -> String {
    checked(text).unwrap_or_else(|| HOME.to_owned())
}

fn checked(text: &str) -> Option<String> {
    let begins_well = text.starts_with('/') && !text.starts_with("//") && text.len() <= MAX_BYTES;
    // Browsers read a backslash as a slash and leave out line breaks and tabs.
    if !begins_well || text.contains(|letter: char| letter == '\\' || letter.is_control()) {
        return None;
    }
    let nowhere = Url::parse(NOWHERE).ok()?;
    let url = nowhere.join(text).ok().filter(|url| url.origin() == nowhere.origin())?;
    // Of these, none is a page.
    if url.path().starts_with("//") || ["/auth/", "/api/", "/mcp"].iter().any(|prefix| url.path().starts_with(prefix)) {
        return None;
    }
    Some(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())))
}

/// The same path with a further parameter in its query, in place of one of that name.
#[must_use]
pub fn with_parameter(path: &str, name: &str, value: &str) -> String {
    let Some(mut url) = Url::parse(NOWHERE).ok().and_then(|nowhere| nowhere.join(path).ok()) else {
        return HOME.to_owned();
    };
    let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_installation_are_returned_to() {
        for page in ["/", "/c/0190-a", "/settings/tools", "/c/x?a=b"] {
            assert_eq!(local_path(page), page);
        }
        assert_eq!(local_path("/c/x#part"), "/c/x");
        for elsewhere in [
            "",
            "c/x",
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\\\\evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
            "javascript:alert(1)",
            "/auth/oidc/login?provider=x",
            "/api/conversations",
            &format!("/{}", "a".repeat(600)),
        ] {
            assert_eq!(local_path(elsewhere), HOME, "{elsewhere}");
        }
    }

    #[test]
    fn a_parameter_is_there_once() {
        assert_eq!(with_parameter("/c/x", "sign_in", "denied"), "/c/x?sign_in=denied");
        assert_eq!(with_parameter("/c/x?a=b&sign_in=old", "sign_in", "new"), "/c/x?a=b&sign_in=new");
    }
}
