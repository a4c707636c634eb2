//! The environment in which the app is started: `.env`, and three names that people know from OpenAI's own tools. A real environment variable wins
//! over `.env`, and `SPIN_VARIABLE_*` over the short names. Values are never printed.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Context as _;

use crate::repo::Repo;

/// Short names and their variables.
const SHORT_NAMES: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "SPIN_VARIABLE_OPENAI_API_KEY"),
    ("OPENAI_BASE_URL", "SPIN_VARIABLE_OPENAI_BASE_URL"),
    ("OPENAI_MODEL", "SPIN_VARIABLE_OPENAI_MODEL"),
];
/// If one of these is set, there is a real model.
const MODEL_IS_GIVEN_BY: [&str; 2] = ["SPIN_VARIABLE_OPENAI_API_KEY", "SPIN_VARIABLE_OPENAI_BASE_URL"];

/// The variables by name. Empty ones count as not set.
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads `.env`, if it exists, and then the real environment, which wins.
    pub(crate) fn read(repo: &Repo) -> anyhow::Result<Self> {
        let file = match std::fs::read(repo.path(".env")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).context("cannot read .env"),
        };
        // Names and values that are not UTF-8 are for other programs, which inherit them unchanged.
        let real =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::merge(&file, real)
    }

    fn merge(file: &[u8], real: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let mut set = BTreeMap::new();
        for entry in dotenvy::from_read_iter(file) {
            // The parser's message would quote the line, which may contain a key.
            let (name, value) = entry.ok().context("a line of .env is not NAME=value: correct it")?;
            set.insert(name, value);
        }
        set.extend(real);
        set.retain(|_, value| !value.is_empty());
        Ok(Self(set))
    }

    /// Sets variables from their short names, if they are not set.
    pub(crate) fn map_short_names(&mut self) {
        for (short, variable) in SHORT_NAMES {
            if let Some(value) = self.0.get(short).cloned() {
                self.0.entry(variable.to_owned()).or_insert(value);
            }
        }
    }

    /// Removes all variables that name a model, so that the scripted one is used.
    pub(crate) fn forget_the_model(&mut self) {
        for (short, variable) in SHORT_NAMES {
            self.0.remove(short);
            self.0.remove(variable);
        }
    }

    /// Sets a variable like `--variable` does, replacing any value.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.0.insert(format!("SPIN_VARIABLE_{}", name.to_uppercase()), value.to_owned());
    }

    pub(crate) fn names_a_model(&self) -> bool {
        MODEL_IS_GIVEN_BY.iter().any(|name| self.0.contains_key(*name))
    }

    /// Gives this environment to a child process. Unset variables about the model are removed from it too.
    pub(crate) fn give_to(&self, child: &mut Command) {
        child.envs(&self.0);
        for (_, variable) in SHORT_NAMES.iter().filter(|(_, variable)| !self.0.contains_key(*variable)) {
            child.env_remove(variable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Environment};

    fn merged(file: &str, real: &[(&str, &str)]) -> Environment {
        let real = real.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut environment = Environment::merge(file.as_bytes(), real).unwrap();
        environment.map_short_names();
        environment
    }

    fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
        environment.0.get(name).map(String::as_str)
    }

    #[test]
    fn the_real_environment_wins_over_the_file() {
        let environment = merged("OPENAI_MODEL=a # why\nexport OTHER='b c'\n", &[("OPENAI_MODEL", "real")]);
        assert_eq!(value(&environment, "SPIN_VARIABLE_OPENAI_MODEL"), Some("real"));
        assert_eq!(value(&environment, "OTHER"), Some("b c"));
    }

    #[test]
    fn spin_variables_win_over_short_names() {
        let environment = merged("SPIN_VARIABLE_OPENAI_API_KEY=long", &[("OPENAI_API_KEY", "short")]);
        assert_eq!(value(&environment, "SPIN_VARIABLE_OPENAI_API_KEY"), Some("long"));
    }

    #[test]
    fn a_key_or_an_address_names_a_model_and_empty_values_do_not() {
        assert!(merged("", &[("OPENAI_API_KEY", "k")]).names_a_model());
        assert!(merged("OPENAI_BASE_URL=http://127.0.0.1:11434/v1", &[]).names_a_model());
        assert!(!merged("OPENAI_API_KEY=", &[("OPENAI_MODEL", "m")]).names_a_model());
    }

    #[test]
    fn a_forgotten_model_is_not_inherited() {
        let mut environment = merged("", &[("OPENAI_API_KEY", "k")]);
        environment.forget_the_model();
        let mut child = Command::new("true");
        environment.give_to(&mut child);
        assert!(!environment.names_a_model());
        assert!(child.get_envs().any(|(name, value)| name == "SPIN_VARIABLE_OPENAI_API_KEY" && value.is_none()));
    }

    #[test]
    fn a_bad_line_is_an_error_that_does_not_quote_it() {
        let error = Environment::merge(b"OPENAI KEY = sk-secret", std::iter::empty()).err().unwrap();
        assert!(!format!("{error:#}").contains("sk-secret"));
    }
}
