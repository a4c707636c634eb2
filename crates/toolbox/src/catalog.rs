//! The tools of all servers under the names that models and clients of the gateway see. A name is looked up in a table, never taken apart.
//!
//! What one server lists costs no other server anything: each has its share of what there is room for, and its names.

mod names;
mod shares;

use std::collections::{BTreeMap, HashSet};

use json_schema::{Unfit, repaired};

use crate::{KnownTool, ServerName, cut};

pub use names::{model_name, model_names};

/// The most servers; the work of listing them grows with each.
pub const MAX_SERVERS: usize = 64;
/// The most tools of all servers; beyond, a catalog of megabytes would be made for every request.
pub const MAX_TOOLS: usize = 1_000;
/// What is shown of all tools together, schemas and descriptions: half of what is read at once of a list of offers.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The same of one server, so that no server fills what a model's prompt or an answer of ours can hold.
pub const MAX_SERVER_BYTES: usize = 512 * 1024;
/// The longest description kept; the rest is cut. OpenAI documents 1,024 for functions, and accepts more.
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// The longest title kept; people read it in a question.
pub const MAX_TITLE_CHARS: usize = 100;
/// The longest name of a server.
pub const MAX_SERVER_NAME_CHARS: usize = 64;
/// The longest name of a tool. The Model Context Protocol ("Tool Names") says 128, and not everybody keeps to it; this is what fits into the
/// pattern of a policy beside the longest name of a server.
pub const MAX_TOOL_NAME_CHARS: usize = 191;
/// The longest name that a model sees (OpenAI, function names).
pub const MAX_MODEL_NAME_BYTES: usize = 64;

/// The tools there are.
#[derive(Debug, Default)]
pub struct Catalog {
    tools: BTreeMap<String, KnownTool>,
    refused: Vec<Refused>,
}

/// A server or a tool that is not in the catalog, its names cut.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The server.
    pub server: String,
    /// The tool; `None`: all of the server, or so many of its tools as the reason says.
    pub tool: Option<String>,
    /// Why.
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
    /// It has no name.
    #[error("it has no name")]
    NoName,
    /// Its name is too long.
    #[error("its name is longer than {0} characters")]
    NameTooLong(usize),
    /// Its name has characters that could mislead whoever reads it, or a pattern that it is compared with.
    #[error(
        "its name has characters that are not shown or change the direction of writing, or a '*', or as a server's a ':'"
    )]
    Name,
    /// A server before it has this name.
    #[error("another server has this name and comes first")]
    SameServer,
    /// A tool before it on the same server has this name.
    #[error("another tool of its server has this name and comes first")]
    SameTool,
    /// Another tool comes to the same name for models, of whatever length.
    #[error("another tool has the name {0} too")]
    SameName(String),
    /// There are too many servers.
    #[error("there are more than {MAX_SERVERS} servers")]
    TooManyServers,
    /// Its server's share of what there is room for is used up.
    #[error("{0} of its tools are left out: their schemas and descriptions are too long together")]
    TooLong(usize),
    /// Its server's share of the tools there may be is used up.
    #[error(
        "{0} of its tools are left out: there is room for {MAX_TOOLS} tools of all servers, and each server has a share"
    )]
    TooManyTools(usize),
    /// Its schema cannot be used.
    #[error(transparent)]
    Schema(#[from] Unfit),
}

impl Reason {
    /// Whether it is about a part of a server's tools, and the rest is there.
    #[must_use]
    pub const fn is_of_part(&self) -> bool {
        matches!(self, Self::TooLong(_) | Self::TooManyTools(_))
    }
}

impl Catalog {
    /// Makes the catalog. What cannot be in it is in [`Self::refused`], and does no harm to the rest.
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

    /// What of a server's tools can be used, each as it is shown.
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

    /// Leaves out what is more than each server's share.
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
            // One that is too long does not keep out the shorter ones after it.
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
        // A server is asked for so many tools and no more, so this list is bounded by what the listing is.
        let tool = tool.map(|tool| cut(tool, MAX_TOOL_NAME_CHARS));
        self.refused.push(Refused { server: cut(server, MAX_SERVER_NAME_CHARS), tool, reason });
    }

    /// The tool of this name.
    #[must_use]
    pub fn find(&self, model_name: &str) -> Option<&KnownTool> {
        self.tools.get(model_name)
    }

    /// All tools with their names, in the order of the names, which does not change.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &KnownTool)> {
        self.tools.iter().map(|(name, tool)| (name.as_str(), tool))
    }

    /// The tools of one server, in the same order.
    pub fn of_server(&self, server: &str) -> impl Iterator<Item = &KnownTool> {
        self.tools.values().filter(move |tool| tool.server == server)
    }

    /// What is not in it, and why.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }
}

/// Gives a tool schemas that every model's server and every client takes. It is done once for a list, and kept with it.
///
/// # Errors
/// [`Unfit`]: it cannot be shown to any.
pub fn mend(tool: &mut mcp::Tool) -> Result<(), Unfit> {
    tool.input_schema = repaired(&tool.input_schema)?;
    // Clients of the gateway refuse a whole list for one schema of a result that is none.
    tool.output_schema = tool.output_schema.take().filter(|schema| repaired(schema).is_ok());
    Ok(())
}

/// A tool as it is shown: cut, and with a schema that every model's server takes.
fn shown(server: &str, mut tool: KnownTool) -> Result<KnownTool, Unfit> {
    if !tool.is_mended {
        tool.input_schema = repaired(&tool.input_schema)?;
        tool.output_schema = tool.output_schema.filter(|schema| repaired(schema).is_ok());
    }
    server.clone_into(&mut tool.server);
    // What is not printed costs six characters each where it is written as JSON.
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

/// Whether a character is not shown, or turns the direction of writing around. What joins letters or signs to one is part of words.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}
