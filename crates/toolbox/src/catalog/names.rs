//! Names for models: letters, digits, `_` and `-`, whatever a server's and a tool's own names are made of.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::MAX_MODEL_NAME_BYTES;

/// The digits of the hash that a name ends in which would else not be its own: two in four thousand millions are alike.
const HASH_DIGITS: usize = 8;
/// Names of tools that models are offered and no server has.
const OURS: [&str; 1] = ["search_tools"];

/// The names of tools, or of prompts, in their order: each is of a server and has a name there. Those of servers that come first are kept as they
/// are where others come to the same.
#[must_use]
pub fn model_names(own: &[(&str, &str)]) -> Vec<String> {
    let mut alike: HashMap<String, Vec<(&str, &str)>> = HashMap::new();
    for (server, name) in own {
        alike.entry(model_name(server, name)).or_default().push((server, name));
    }
    let named = own.iter().map(|(server, own)| {
        let name = model_name(server, own);
        let owner = alike.get(&name).and_then(|alike| owner(alike)).filter(|_| !OURS.contains(&name.as_str()));
        if owner == Some((server, own)) { name } else { hashed(server, own) }
    });
    named.collect()
}

/// Which of the tools that come to one name keeps it: of the first server's the one that is really called so, or the only one. If there are
/// several, none: it must not depend on the order in which a server lists them.
fn owner<'n>(alike: &[(&'n str, &'n str)]) -> Option<(&'n str, &'n str)> {
    let (first, _) = alike.first()?;
    let mut of_first = alike.iter().filter(|(server, _)| server == first);
    let really = of_first.clone().find(|(_, name)| is_plain(name));
    really.or_else(|| of_first.next().filter(|_| of_first.next().is_none())).copied()
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| allowed(c) == c)
}

/// The name that models see, if no other tool comes to it.
#[must_use]
pub fn model_name(server: &str, tool: &str) -> String {
    let name = joined(server, tool);
    if name.len() > MAX_MODEL_NAME_BYTES { hashed(server, tool) } else { name }
}

/// A name that no other tool has.
fn hashed(server: &str, tool: &str) -> String {
    let mut name = joined(server, tool);
    let hash = Sha256::digest(format!("{server}\0{tool}"));
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    name.truncate(MAX_MODEL_NAME_BYTES.saturating_sub(HASH_DIGITS).saturating_sub(1));
    name.push('_');
    name.extend(digits.chars().take(HASH_DIGITS));
    name
}

fn joined(server: &str, tool: &str) -> String {
    server.chars().chain(['_']).chain(tool.chars()).map(allowed).collect()
}

const fn allowed(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }
}
