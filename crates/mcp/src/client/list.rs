//! The tools of a server.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Client, ClientError, Transport,
    exchange::{Call, raw},
};
use crate::{
    header,
    model::{Implementation, Tool},
    wire::{Era, METHOD_NOT_FOUND},
};

/// More pages than any list needs; each is bounded by [`super::ClientOptions::max_answer_bytes`].
const MAX_PAGES: usize = 32;
/// Definitions of all pages together: a hundred times what a model is told of one server.
const MAX_LISTING_BYTES: usize = 4 * 1024 * 1024;
/// More tools than any model could be told about.
const MAX_TOOLS: usize = 2048;

/// What a server has.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its tools, in its order.
    pub tools: Vec<Tool>,
    /// Those that cannot be used.
    pub refused: Vec<RefusedTool>,
    /// For how long this stays so, in milliseconds. `None`: the server does not say, as legacy ones cannot.
    pub ttl_ms: Option<u64>,
    /// This is for this authorization only and not to be shown to others.
    pub private: bool,
    /// How the server speaks; [`super::ClientOptions::era`] can be set to it the next time.
    pub era: Era,
    /// Which software it says it is, if it was asked: it is not when how it speaks was known before.
    pub server: Option<Implementation>,
    /// What a model should know to use it, likewise. Other people's words.
    pub instructions: Option<String>,
}

/// A tool whose definition is invalid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedTool {
    /// Its name; empty if it has none.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    tools: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default)]
    ttl_ms: Option<i64>,
    #[serde(default)]
    cache_scope: Option<String>,
}

impl<T: Transport> Client<T> {
    /// Lists the server's tools, all pages of them, and what it says about itself.
    ///
    /// # Errors
    /// [`ClientError`]. A server without tools has an empty list.
    pub async fn list_tools(&self) -> Result<Listing, ClientError> {
        let era = self.connect().await?;
        let connection = self.connection.borrow().clone();
        let mut listing = Listing {
            tools: Vec::new(),
            refused: Vec::new(),
            ttl_ms: None,
            private: false,
            era,
            server: connection.server,
            instructions: connection.instructions,
        };
        let (mut cursor, mut bytes): (Option<String>, usize) = (None, 0);
        for number in 0..MAX_PAGES {
            let mut call = Call::new("tools/list");
            if let Some(cursor) = &cursor {
                call.params.insert("cursor", raw(cursor)?);
            }
            let page = match self.exchange(call, None).await {
                Ok(page) => page,
                Err(ClientError::Protocol { code: METHOD_NOT_FOUND, .. }) if number == 0 => return Ok(listing),
                Err(error) => return Err(error),
            };
            let page: Page =
                serde_json::from_str(page.get()).map_err(|error| ClientError::Malformed(error.to_string()))?;
            bytes += page.tools.iter().map(|definition| definition.get().len()).sum::<usize>();
            if bytes > MAX_LISTING_BYTES || listing.tools.len() + listing.refused.len() + page.tools.len() > MAX_TOOLS {
                return Err(ClientError::TooLarge);
            }
            for definition in &page.tools {
                match read(definition, era) {
                    Ok(tool) => listing.tools.push(tool),
                    Err(refused) => listing.refused.push(refused),
                }
            }
            // The whole is fresh for as long as its shortest-lived page; less than nothing is nothing.
            let ttl_ms = page.ttl_ms.map(|ttl_ms| u64::try_from(ttl_ms).unwrap_or(0));
            listing.ttl_ms = if number == 0 { ttl_ms } else { listing.ttl_ms.min(ttl_ms) };
            listing.private |= page.cache_scope.as_deref() == Some("private");
            match page.next_cursor {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(listing),
            }
        }
        Err(ClientError::TooLarge)
    }
}

fn read(definition: &RawValue, era: Era) -> Result<Tool, RefusedTool> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let refused = |reason: String| {
        let name = serde_json::from_str::<Named>(definition.get()).map(|named| named.name).unwrap_or_default();
        RefusedTool { name, reason }
    };
    let tool: Tool = serde_json::from_str(definition.get()).map_err(|error| refused(error.to_string()))?;
    // Before 2026-07-28 the extension means nothing.
    if era == Era::Modern {
        header::parameters(&tool.input_schema).map_err(refused)?;
    }
    Ok(tool)
}
