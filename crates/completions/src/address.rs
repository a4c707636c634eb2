//! The address for requests, made from the base address that an operator configures.

/// The last part of the path.
const PATH: &str = "/chat/completions";

/// A model's server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// The URL for completions.
    pub url: String,
    /// The server's name for everything remembered about it: the base without its query and user, which may be secret.
    pub server: String,
}

impl Address {
    /// From a base such as `https://api.openai.com/v1`. A query stays behind the path, because some gateways select their version by it. A base
    /// that already is the whole address stays unchanged.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let base = base.trim();
        let (base, _fragment) = base.split_once('#').unwrap_or((base, ""));
        let (path, query) = base.split_once('?').map_or((base, None), |(path, query)| (path, Some(query)));
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix(PATH).unwrap_or(path).trim_end_matches('/');
        let url = match query {
            Some(query) if !query.is_empty() => format!("{path}{PATH}?{query}"),
            _ => format!("{path}{PATH}"),
        };
        Self { url, server: without_user(path) }
    }
}

fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_put_behind_the_base_and_before_its_query() {
        for (base, url, server) in [
            ("https://a.example/v1", "https://a.example/v1/chat/completions", "https://a.example/v1"),
            (" https://a.example/v1/ ", "https://a.example/v1/chat/completions", "https://a.example/v1"),
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/chat/completions", "http://127.0.0.1:11434"),
            (
                "https://a.example/v1?api-version=x&key=k",
                "https://a.example/v1/chat/completions?api-version=x&key=k",
                "https://a.example/v1",
            ),
            ("https://a.example/v1/?v=x", "https://a.example/v1/chat/completions?v=x", "https://a.example/v1"),
            ("https://a.example/v1?", "https://a.example/v1/chat/completions", "https://a.example/v1"),
            ("https://a.example/v1?v=x#part", "https://a.example/v1/chat/completions?v=x", "https://a.example/v1"),
            (
                "https://a.example/v1/chat/completions?v=x",
                "https://a.example/v1/chat/completions?v=x",
                "https://a.example/v1",
            ),
            ("https://me:k@a.example/v1", "https://me:k@a.example/v1/chat/completions", "https://a.example/v1"),
        ] {
            assert_eq!(Address::new(base), Address { url: url.into(), server: server.into() });
        }
    }
}
