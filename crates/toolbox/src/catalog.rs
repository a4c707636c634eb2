//! The tools of all servers under the names that models and clients of the gateway see. A name is looked up in a table, never taken apart.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::{ServerName, Tool, arguments::MAX_SCHEMA_BYTES, cut};

/// The most servers; the work of listing them grows with each.
pub const MAX_SERVERS: usize = 64;
/// The most tools of all servers; beyond, a catalog of megabytes would be made for every request.
pub const MAX_TOOLS: usize = 1_000;
/// Schemas of one server together, so that no server fills what a model's prompt or an answer of ours can hold.
pub const MAX_SERVER_SCHEMA_BYTES: usize = 512 * 1024;
/// The longest description kept; the rest is cut. OpenAI documents 1,024 for functions, and accepts more.
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// The longest title kept; people read it in a question.
pub const MAX_TITLE_CHARS: usize = 100;
/// The longest name of a server.
pub const MAX_SERVER_NAME_CHARS: usize = 64;
/// The longest name of a tool (Model Context Protocol, "Tool Names").
pub const MAX_TOOL_NAME_CHARS: usize = 128;
/// The longest name that a model sees (OpenAI, function names).
pub const MAX_MODEL_NAME_BYTES: usize = 64;
/// The digits of the hash that a name that was cut ends in: two in four thousand millions are alike, and are then refused.
const HASH_DIGITS: usize = 8;

/// The tools there are.
#[derive(Debug, Default)]
pub struct Catalog {
    tools: BTreeMap<String, Tool>,
    refused: Vec<Refused>,
}

/// A server or a tool that is not in the catalog, its names cut.
#[derive(Debug)]
struct Refused {
    server: String,
    /// `None`: all of the server.
    tool: Option<String>,
    reason: Reason,
}

impl Refused {
    fn name(&self) -> String {
        let name = match &self.tool {
            Some(tool) => format!("{}:{tool}", self.server),
            None => self.server.clone(),
        };
        name.escape_debug().to_string()
    }
}

/// Why something is not in the catalog.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// It has no name.
    #[error("it has no name")]
    NoName,
    /// Its name is too long.
    #[error("its name is longer than {0} characters")]
    NameTooLong(usize),
    /// Its name has characters that could mislead whoever reads it, or a pattern that it is compared with.
    #[error("its name has characters other than letters, digits, spaces and signs, or a '*', or as a server's a ':'")]
    Name,
    /// Another server has this name.
    #[error("another server has this name")]
    SameServer,
    /// Another tool comes to the same name for models.
    #[error("another tool has the name {0} too")]
    SameName(String),
    /// There are too many servers.
    #[error("there are more than {MAX_SERVERS} servers")]
    TooManyServers,
    /// Its server's schemas are too large together.
    #[error("the input schemas of its server are longer than {MAX_SERVER_SCHEMA_BYTES} bytes together")]
    SchemasTooLarge,
    /// There are too many tools.
    #[error("there are more than {MAX_TOOLS} tools")]
    TooManyTools,
    /// Its schema is too large.
    #[error("its input schema is longer than {MAX_SCHEMA_BYTES} bytes")]
    SchemaTooLarge,
    /// Its schema is not an object.
    #[error("its input schema is not an object")]
    NotASchema,
}

impl Catalog {
    /// Makes the catalog. What cannot be in it is in [`Self::refused`], and does no harm to the rest.
    #[must_use]
    pub fn new(servers: Vec<(ServerName, Vec<Tool>)>) -> Self {
        let mut catalog = Self::default();
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for (name, _) in &servers {
            let count = names.entry(name.clone()).or_default();
            *count = count.saturating_add(1);
        }
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let (mut server_count, mut tool_count) = (0_usize, 0_usize);
        for (server, tools) in servers {
            let fault = name_fault(&server, MAX_SERVER_NAME_CHARS, &['*', ':'])
                .or_else(|| (names.get(&server) != Some(&1)).then_some(Reason::SameServer))
                .or_else(|| (server_count >= MAX_SERVERS).then_some(Reason::TooManyServers));
            if let Some(reason) = fault {
                catalog.refuse(&server, None, reason);
                continue;
            }
            server_count = server_count.saturating_add(1);
            let mut schema_bytes = 0_usize;
            for tool in tools {
                schema_bytes = schema_bytes.saturating_add(tool.input_schema.get().len());
                if schema_bytes > MAX_SERVER_SCHEMA_BYTES {
                    catalog.refuse(&server, Some(&tool.name), Reason::SchemasTooLarge);
                    break;
                }
                if tool_count >= MAX_TOOLS {
                    catalog.refuse(&server, None, Reason::TooManyTools);
                    break;
                }
                tool_count = tool_count.saturating_add(1);
                catalog.add(&server, tool, &mut taken);
            }
        }
        catalog
    }

    fn add(&mut self, server: &str, mut tool: Tool, taken: &mut BTreeSet<String>) {
        if let Some(reason) = tool_fault(&tool) {
            self.refuse(server, Some(&tool.name), reason);
            return;
        }
        server.clone_into(&mut tool.server);
        tool.description = cut(&tool.description, MAX_DESCRIPTION_CHARS);
        tool.title = tool.title.map(|title| cut(&title, MAX_TITLE_CHARS)).filter(|title| !title.trim().is_empty());
        tool.output_schema = tool.output_schema.filter(|schema| schema.get().len() <= MAX_SCHEMA_BYTES);
        let name = model_name(server, &tool.name);
        if taken.insert(name.clone()) {
            self.tools.insert(name, tool);
            return;
        }
        if let Some(other) = self.tools.remove(&name) {
            self.refuse(&other.server, Some(&other.name), Reason::SameName(name.clone()));
        }
        self.refuse(server, Some(&tool.name), Reason::SameName(name));
    }

    fn refuse(&mut self, server: &str, tool: Option<&str>, reason: Reason) {
        // A server is asked for so many tools and no more, so this list is bounded by what the listing is.
        let tool = tool.map(|tool| cut(tool, MAX_TOOL_NAME_CHARS));
        self.refused.push(Refused { server: cut(server, MAX_SERVER_NAME_CHARS), tool, reason });
    }

    /// The tool of this name.
    #[must_use]
    pub fn find(&self, model_name: &str) -> Option<&Tool> {
        self.tools.get(model_name)
    }

    /// All tools with their names, in the order of the names, which does not change.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tool)> {
        self.tools.iter().map(|(name, tool)| (name.as_str(), tool))
    }

    /// The tools of one server, in the same order.
    pub fn of_server(&self, server: &str) -> impl Iterator<Item = &Tool> {
        self.tools.values().filter(move |tool| tool.server == server)
    }

    /// What is not in it, `server` or `server:tool`, and why in words.
    pub fn refused(&self) -> impl Iterator<Item = (String, String)> {
        self.refused.iter().map(|refused| (refused.name(), refused.reason.to_string()))
    }
}

/// The name that models see: letters, digits, `_` and `-`, at most 64.
#[must_use]
pub fn model_name(server: &str, tool: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let mut name: String = server.chars().chain(['_']).chain(tool.chars()).map(allowed).collect();
    if name.len() > MAX_MODEL_NAME_BYTES {
        let hash = Sha256::digest(format!("{server}\0{tool}"));
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        name.truncate(MAX_MODEL_NAME_BYTES.saturating_sub(HASH_DIGITS).saturating_sub(1));
        name.push('_');
        name.extend(digits.chars().take(HASH_DIGITS));
    }
    name
}

fn tool_fault(tool: &Tool) -> Option<Reason> {
    let schema = tool.input_schema.get();
    name_fault(&tool.name, MAX_TOOL_NAME_CHARS, &['*'])
        .or_else(|| (schema.len() > MAX_SCHEMA_BYTES).then_some(Reason::SchemaTooLarge))
        .or_else(|| (!schema.trim_start().starts_with('{')).then_some(Reason::NotASchema))
}

fn name_fault(name: &str, max_chars: usize, forbidden: &[char]) -> Option<Reason> {
    // Letters and digits of any alphabet, but nothing invisible and nothing that turns the direction of writing around.
    let printable = |c: char| c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    if name.trim().is_empty() {
        Some(Reason::NoName)
    } else if name.chars().count() > max_chars {
        Some(Reason::NameTooLong(max_chars))
    } else if name.chars().any(|c| !printable(c) || forbidden.contains(&c)) {
        Some(Reason::Name)
    } else {
        None
    }
}
