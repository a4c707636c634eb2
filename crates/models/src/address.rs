//! The addresses of requests, made from the base address of a provider.

use crate::Api;

/// What follows the base for each API, and for the list of models.
const COMPLETIONS: &str = "/chat/completions";
const RESPONSES: &str = "/responses";
const MODELS: &str = "/models";

/// A provider's address.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Address {
    path: String,
    query: Option<String>,
    /// The server's name for everything remembered about it: the base without its query and user, which may be secret.
    pub server: String,
}

impl Address {
    /// From a base such as `https://api.openai.com/v1`. A query stays behind the path, because some gateways select their version by it. A base
    /// that already is the whole address of an API counts without its last part.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let base = base.trim();
        let (base, _fragment) = base.split_once('#').unwrap_or((base, ""));
        let (path, query) = base.split_once('?').map_or((base, None), |(path, query)| (path, Some(query)));
        let path = path.trim_end_matches('/');
        let path = [COMPLETIONS, RESPONSES].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path);
        let path = path.trim_end_matches('/');
        let query = query.filter(|query| !query.is_empty()).map(str::to_owned);
        Self { path: path.to_owned(), query, server: without_user(path) }
    }

    /// Whether it has a query.
    #[must_use]
    pub const fn has_query(&self) -> bool {
        self.query.is_some()
    }

    /// Where an API is.
    #[must_use]
    pub fn of(&self, api: Api) -> String {
        self.at(match api {
            Api::ChatCompletions => COMPLETIONS,
            Api::Responses => RESPONSES,
        })
    }

    /// Where a path behind the base is, such as `/embeddings`.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{}{path}?{query}", self.path),
            None => format!("{}{path}", self.path),
        }
    }

    /// Where the list of models is.
    #[must_use]
    pub fn models(&self) -> String {
        self.at(MODELS)
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
            let address = Address::new(base);
            assert_eq!((address.of(Api::ChatCompletions).as_str(), address.server.as_str()), (url, server));
        }
    }

    #[test]
    fn the_other_addresses_are_beside_it() {
        let address = Address::new("https://a.example/v1/responses?v=x");
        assert_eq!(address.of(Api::Responses), "https://a.example/v1/responses?v=x");
        assert_eq!(address.models(), "https://a.example/v1/models?v=x");
    }
}
