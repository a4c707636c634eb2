//! The tools of all servers, under the names that models and clients of the gateway see. Names are looked up in a table and never split into parts.
//!
//! No server's list takes room from another server: each has a share of the limits, and its own names.

mod names;
mod shares;

use std::collections::{BTreeMap, HashSet};

use json_schema::{Unfit, repaired};

use crate::{KnownTool, ServerName, cut};

pub use names::{model_name, model_names};

/// The most servers. The work of listing tools grows with each.
pub const MAX_SERVERS: usize = 64;
/// The most tools of all servers. With more, every request would build a catalog of megabytes.
pub const MAX_TOOLS: usize = 1_000;
/// The most bytes of all tools together, schemas and descriptions: half of the limit for reading a list of offers.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most bytes of one server's tools, so that no server fills a model's prompt or one of our responses.
pub const MAX_SERVER_BYTES: usize = 512 * 1024;
/// The longest description; the rest is cut. OpenAI documents 1,024 for functions, and accepts more.
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// The longest title. People read it when they are asked for approval.
pub const MAX_TITLE_CHARS: usize = 100;
/// The longest name of a server.
pub const MAX_SERVER_NAME_CHARS: usize = 64;
/// The longest name of a tool. The Model Context Protocol ("Tool Names") says 128, but some servers have longer names. This length fits into a
/// policy's pattern beside the longest name of a server.
pub const MAX_TOOL_NAME_CHARS: usize = 191;
/// The longest name that a model sees (OpenAI, function names).
pub const MAX_MODEL_NAME_BYTES: usize = 64;

/// The tools that can be offered.
#[derive(Debug, Default)]
pub struct Catalog {
    tools: BTreeMap<String, KnownTool>,
    refused: Vec<Refused>,
}

/// A server or a tool that is not in the catalog. Its names are cut.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The server.
    pub server: String,
    /// The tool. `None`: the whole server, or the number of its tools that the reason names.
    pub tool: Option<String>,
    /// The reason.
    pub reason: Reason,
}

impl Refused {
    /// `server` or `server:tool`, for a log.
    #[must_use]
    pub fn name(&self) -> String {
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
    /// The name is empty.
    #[error("it has no name")]
    NoName,
    /// The name is too long.
    #[error("its name is longer than {0} characters")]
    NameTooLong(usize),
    /// The name has characters that could mislead a reader, or that have a meaning in a policy's pattern.
    #[error(
        "its name has invisible characters, characters that change the direction of writing, a '*', or in a server's name a ':'"
    )]
    Name,
    /// An earlier server has this name.
    #[error("another server has this name and comes first")]
    SameServer,
    /// An earlier tool of the same server has this name.
    #[error("another tool of its server has this name and comes first")]
    SameTool,
    /// Another tool has the same name for models.
    #[error("another tool has the name {0} too")]
    SameName(String),
    /// There are too many servers.
    #[error("there are more than {MAX_SERVERS} servers")]
    TooManyServers,
    /// The server's share of the bytes is used up.
    #[error("{0} of its tools are left out: their schemas and descriptions are too long together")]
    TooLong(usize),
    /// The server's share of the number of tools is used up.
    #[error(
        "{0} of its tools are left out: there is room for {MAX_TOOLS} tools of all servers, and each server has a share"
    )]
    TooManyTools(usize),
    /// The schema cannot be used.
    #[error("its input schema {0}")]
    Schema(#[from] Unfit),
}

impl Reason {
    /// Whether only some of the server's tools are left out.
    #[must_use]
    pub const fn is_of_part(&self) -> bool {
        matches!(self, Self::TooLong(_) | Self::TooManyTools(_))
    }
}

impl Catalog {
    /// Makes the catalog. Tools and servers that it cannot hold are in [`Self::refused`] and do not affect the others.
    #[must_use]
    pub fn new(servers: Vec<(ServerName, Vec<KnownTool>)>) -> Self {
        let mut catalog = Self::default();
        let mut usable: Vec<(ServerName, Vec<KnownTool>)> = Vec::new();
        for (server, tools) in servers {
            let fault = name_fault(&server, MAX_SERVER_NAME_CHARS, &['*', ':'])
                .or_else(|| usable.iter().any(|(known, _)| *known == server).then_some(Reason::SameServer))
                .or_else(|| (usable.len() >= MAX_SERVERS).then_some(Reason::TooManyServers));
            match fault {
                Some(reason) => catalog.refuse(&server, None, reason),
                None => {
                    let tools = catalog.usable(&server, tools);
                    usable.push((server, tools));
                }
            }
        }
        catalog.share(&mut usable);
        let tools: Vec<KnownTool> = usable.into_iter().flat_map(|(_, tools)| tools).collect();
        let own: Vec<_> = tools.iter().map(|tool| (tool.server.as_str(), tool.name.as_str())).collect();
        let names = model_names(&own);
        for (tool, name) in tools.into_iter().zip(names) {
            match catalog.tools.get(&name) {
                None => _ = catalog.tools.insert(name, tool),
                Some(_) => catalog.refuse(&tool.server, Some(&tool.name), Reason::SameName(name)),
            }
        }
        catalog
    }

    /// The usable tools of a server, in the form in which they are shown.
    fn usable(&mut self, server: &str, tools: Vec<KnownTool>) -> Vec<KnownTool> {
        let mut names = HashSet::new();
        let mut usable = Vec::with_capacity(tools.len());
        for tool in tools {
            let name = tool.name.clone();
            let fault = name_fault(&name, MAX_TOOL_NAME_CHARS, &['*'])
                .or_else(|| (!names.insert(name.clone())).then_some(Reason::SameTool));
            match fault.map_or_else(|| shown(server, tool).map_err(Reason::from), Err) {
                Ok(shown) => usable.push(shown),
                Err(reason) => self.refuse(server, Some(&name), reason),
            }
        }
        usable
    }

    /// Leaves out tools beyond each server's share.
    fn share(&mut self, servers: &mut [(ServerName, Vec<KnownTool>)]) {
        let counts: Vec<usize> = servers.iter().map(|(_, tools)| tools.len()).collect();
        for ((server, tools), share) in servers.iter_mut().zip(shares::of(&counts, MAX_TOOLS)) {
            let left_out = tools.len().saturating_sub(share);
            tools.truncate(share);
            if left_out > 0 {
                self.refuse(server, None, Reason::TooManyTools(left_out));
            }
        }
        let bytes: Vec<usize> =
            servers.iter().map(|(_, tools)| tools.iter().map(bytes_of).sum::<usize>().min(MAX_SERVER_BYTES)).collect();
        for ((server, tools), share) in servers.iter_mut().zip(shares::of(&bytes, MAX_BYTES)) {
            let before = tools.len();
            let mut used = 0_usize;
            // A tool that is too long does not keep out shorter tools after it.
            tools.retain(|tool| {
                let with_it = used.saturating_add(bytes_of(tool));
                let fits = with_it <= share;
                used = if fits { with_it } else { used };
                fits
            });
            let left_out = before.saturating_sub(tools.len());
            if left_out > 0 {
                self.refuse(server, None, Reason::TooLong(left_out));
            }
        }
    }

    fn refuse(&mut self, server: &str, tool: Option<&str>, reason: Reason) {
        // A listing has a limit for its tools, so this list is bounded too.
        let tool = tool.map(|tool| cut(tool, MAX_TOOL_NAME_CHARS));
        self.refused.push(Refused { server: cut(server, MAX_SERVER_NAME_CHARS), tool, reason });
    }

    /// The tool that models see under this name.
    #[must_use]
    pub fn find(&self, model_name: &str) -> Option<&KnownTool> {
        self.tools.get(model_name)
    }

    /// All tools with their names, in the order of the names, so that the order does not change.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &KnownTool)> {
        self.tools.iter().map(|(name, tool)| (name.as_str(), tool))
    }

    /// The tools of one server, in the same order.
    pub fn of_server(&self, server: &str) -> impl Iterator<Item = &KnownTool> {
        self.tools.values().filter(move |tool| tool.server == server)
    }

    /// The servers and tools that are not in the catalog, and why.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }
}

/// Repairs a tool's input schema, so that all model APIs and clients accept it, and removes an output schema that cannot be repaired. Done once for
/// each list, and stored with it.
///
/// # Errors
/// [`Unfit`]: the input schema cannot be repaired.
pub fn mend(tool: &mut mcp::Tool) -> Result<(), Unfit> {
    tool.input_schema = repaired(&tool.input_schema)?;
    // Clients of the gateway refuse a whole list because of one invalid output schema.
    tool.output_schema = tool.output_schema.take().filter(|schema| repaired(schema).is_ok());
    Ok(())
}

/// A tool in the form in which it is shown: with texts cut, and with an input schema that all model APIs accept.
fn shown(server: &str, mut tool: KnownTool) -> Result<KnownTool, Unfit> {
    if !tool.is_mended {
        tool.input_schema = repaired(&tool.input_schema)?;
        tool.output_schema = tool.output_schema.filter(|schema| repaired(schema).is_ok());
    }
    server.clone_into(&mut tool.server);
    // A control character takes six characters in JSON.
    let printed = |text: &str| text.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), " ");
    tool.description = cut(&printed(&tool.description), MAX_DESCRIPTION_CHARS);
    tool.title = tool.title.map(|title| cut(&printed(&title), MAX_TITLE_CHARS));
    tool.title = tool.title.filter(|title| !title.trim().is_empty());
    Ok(tool)
}

fn bytes_of(tool: &KnownTool) -> usize {
    let output = tool.output_schema.as_ref().map_or(0, |schema| schema.get().len());
    tool.input_schema.get().len().saturating_add(tool.description.len()).saturating_add(output)
}

fn name_fault(name: &str, max_chars: usize, forbidden: &[char]) -> Option<Reason> {
    if name.trim().is_empty() {
        Some(Reason::NoName)
    } else if name.chars().count() > max_chars {
        Some(Reason::NameTooLong(max_chars))
    } else if name.chars().any(|c| misleads(c) || forbidden.contains(&c)) {
        Some(Reason::Name)
    } else {
        None
    }
}

/// Whether a character is invisible or changes the direction of writing. Joiners are allowed, because they are part of words.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}
