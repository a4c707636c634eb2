//! The setting of this component: whether there is an index.

use platform::variables::variable;

/// The variable.
const SEARCH_INDEX: &str = "search_index";

/// What is configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Config {
    /// Whether texts are indexed, and can be searched.
    pub(crate) has_index: bool,
}

impl Config {
    /// Reads the variable that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        Self::parse(&variable(SEARCH_INDEX).await)
    }

    /// Whatever is no `on` turns the index off: what somebody wanted who mistyped `off` must not leak.
    fn parse(text: &str) -> Self {
        Self { has_index: text.trim().eq_ignore_ascii_case("on") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_on_turns_the_index_on() {
        for (text, has_index) in
            [("on", true), (" On ", true), ("off", false), ("of", false), ("true", false), ("", false)]
        {
            assert_eq!(Config::parse(text), Config { has_index }, "{text}");
        }
    }
}
