//! Application variables: the sources of their values, and the templates that use them.
//!
//! A value comes from `--variable`, otherwise from `SPIN_VARIABLE_<NAME>`, otherwise from the manifest's default. All are read at start, so a
//! missing one is an error before anything is served. Values never reach a log.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};

use crate::Variable;

/// The prefix of environment variables, as in Spin.
const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

/// The values of `[variables]`.
#[derive(Debug, Default)]
pub struct Variables(HashMap<String, String>);

impl Variables {
    /// Determines the value of every declared variable. `given` are the `--variable`s, `environment` reads the process's environment.
    ///
    /// # Errors
    /// A name that Spin refuses, required variables without a value (all in one message), or a `given` variable that the manifest does not
    /// declare.
    pub fn settle(
        declared: &BTreeMap<String, Variable>,
        given: &HashMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        for name in declared.keys() {
            check_name(name).map_err(|why| anyhow::anyhow!("variable {name:?} {why}"))?;
        }
        for name in given.keys() {
            if !declared.contains_key(name) {
                bail!("--variable {name}=... is not declared in [variables] of the manifest");
            }
        }
        let mut values = HashMap::new();
        let mut missing = Vec::new();
        for (name, variable) in declared {
            if variable.default.is_none() && !variable.required {
                bail!("variable {name:?} needs a default or `required = true`");
            }
            let from_environment = || environment(&format!("{ENVIRONMENT_PREFIX}{}", name.to_ascii_uppercase()));
            match given.get(name).cloned().or_else(from_environment).or_else(|| variable.default.clone()) {
                Some(value) => drop(values.insert(name.clone(), value)),
                None => missing.push(name.as_str()),
            }
        }
        if let Some(first) = missing.first() {
            let first = first.to_ascii_uppercase();
            bail!(
                "no value for the required variable(s) {}: set for example {ENVIRONMENT_PREFIX}{first}",
                missing.join(", ")
            );
        }
        Ok(Self(values))
    }

    /// Fills in a template: a text with `{{ name }}` in it.
    ///
    /// # Errors
    /// A name that is not declared, or braces that do not close.
    pub fn fill(&self, template: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once("{{") {
            let (name, after) =
                after.split_once("}}").with_context(|| format!("{template:?} has {{{{ without }}}}"))?;
            let value = self.0.get(name.trim()).with_context(|| {
                format!("{template:?} uses {:?}, which is not declared in [variables]", name.trim())
            })?;
            filled.push_str(text);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Spin's rule for names: lower-case ASCII letters, digits and single underscores, starting with a letter and ending
/// with a letter or a digit.
///
/// # Errors
/// What is wrong with the name; the text follows the name.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Err("must start with a lower-case letter")
    } else if !name.chars().all(allowed) {
        Err("may have only lower-case letters, digits and underscores")
    } else if name.ends_with('_') || name.contains("__") {
        Err("must not end with an underscore or have two in a row")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> BTreeMap<String, Variable> {
        toml::from_str("host = { default = 'localhost' }\nkey = { required = true }").unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
        let environment = |name: &str| (name == "SPIN_VARIABLE_KEY").then(|| "from-env".to_owned());
        let both = Variables::settle(&declared(), &given(&[("key", "from-cli")]), environment).unwrap();
        assert_eq!(both.fill("{{ key }}").unwrap(), "from-cli");
        let one = Variables::settle(&declared(), &given(&[]), environment).unwrap();
        assert_eq!(one.fill("{{key}}@{{ host }}:80").unwrap(), "from-env@localhost:80");
    }

    #[test]
    fn a_required_variable_without_a_value_is_named_with_the_way_to_set_it() {
        let error = Variables::settle(&declared(), &given(&[]), |_| None).unwrap_err().to_string();
        assert!(error.contains("key") && error.contains("SPIN_VARIABLE_KEY"), "{error}");
    }

    #[test]
    fn a_template_with_an_unknown_variable_or_open_braces_is_refused() {
        let variables = Variables::settle(&declared(), &given(&[("key", "x")]), |_| None).unwrap();
        assert!(variables.fill("{{ nobody }}").is_err());
        assert!(variables.fill("{{ key").is_err());
        assert_eq!(variables.fill("no template").unwrap(), "no template");
    }

    #[test]
    fn names_follow_spins_rule() {
        for good in ["a", "openai_api_key", "v2"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "A", "2a", "a__b", "a_", "a-b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
