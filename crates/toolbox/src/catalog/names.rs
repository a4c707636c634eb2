//! Names for models: letters, digits, `_` and `-`, whatever the names of the server and the tool consist of.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::MAX_MODEL_NAME_BYTES;

/// The digits of the hash at the end of a name that would not be unique otherwise. The chance that two hashes are equal is one in four thousand
/// million.
const HASH_DIGITS: usize = 8;
/// Names of tools that the app itself offers to models.
const OURS: [&str; 1] = ["search_tools"];

/// The names of tools, or of prompts, in the given order of servers and names. If several come to the same name, one of the first server keeps it.
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

/// Which of several tools with the same model name keeps it. Of the first server's tools, it is the one whose own name needed no change, or the only
/// one. If there are several, none keeps it: the choice must not depend on the order in which a server lists its tools.
fn owner<'n>(alike: &[(&'n str, &'n str)]) -> Option<(&'n str, &'n str)> {
    let (first, _) = alike.first()?;
    let mut of_first = alike.iter().filter(|(server, _)| server == first);
    let really = of_first.clone().find(|(_, name)| is_plain(name));
    really.or_else(|| of_first.next().filter(|_| of_first.next().is_none())).copied()
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| allowed(c) == c)
}

/// The name that models see, if no other tool has the same.
#[must_use]
pub fn model_name(server: &str, tool: &str) -> String {
    let name = joined(server, tool);
    if name.len() > MAX_MODEL_NAME_BYTES { hashed(server, tool) } else { name }
}

/// A name that no other tool has, because it ends in a hash.
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
