//! Lists the tools of a server.

use std::{
    collections::HashMap,
    pin::{Pin, pin},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{Either, poll_immediate, select},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{Client, ClientError, Transport, TransportError, exchange::Call};
use crate::{
    header, lenient,
    model::{Implementation, Tool},
    provider::Features,
    wire::{Era, META_FEATURES, METHOD_NOT_FOUND},
};

/// The most pages: more than any list needs. Each is limited by [`super::ClientOptions::max_answer_bytes`].
const MAX_PAGES: usize = 32;
/// The most bytes of all definitions together: far more than a model is told of one server.
const MAX_LISTING_BYTES: usize = 4 * 1024 * 1024;
/// The time limit for the pages after the first, counted from the start of the listing. It is a little shorter than the caller's limit for the whole
/// list. If the first page takes longer, the list has only that page.
const PAGES_LIMIT: Duration = Duration::from_secs(4);
/// The most tools: more than any model could be told about.
const MAX_TOOLS: usize = 2048;
/// The longest cursor, because cursors are kept. Those of real servers have some hundred bytes.
const MAX_CURSOR_BYTES: usize = 4 * 1024;

/// A server's tools, and what it says about itself.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The tools, in the server's order, each name once.
    pub tools: Vec<Tool>,
    /// The tools that cannot be used.
    pub refused: Vec<RefusedTool>,
    /// Why the list may be incomplete.
    pub cut: Option<Cut>,
    /// How long the list may be cached, in milliseconds. `None`: the server does not say. Legacy servers cannot say it.
    pub ttl_ms: Option<u64>,
    /// Whether the list is only for this authorization and must not be shown to others.
    pub private: bool,
    /// The server's era. The next client can be given it as [`super::ClientOptions::era`].
    pub era: Era,
    /// The server's name and version, as it claims. `None` if it names none or was not asked: a server that is known to be modern is not asked.
    pub server: Option<Implementation>,
    /// Instructions for the model; `None` under the same conditions. Untrusted.
    pub instructions: Option<String>,
    /// The server's features besides tools, if it is built with this crate and sends them ([`crate::Description::tells_features`]). Untrusted.
    pub features: Option<Features>,
}

/// A tool whose definition is invalid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedTool {
    /// The name; empty if there is none.
    pub name: String,
    /// Why the definition is invalid.
    pub reason: String,
}

/// Why a list may be incomplete.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Cut {
    /// A cursor came a second time.
    #[error("the server sends the same page again and again")]
    Circle,
    /// There are too many pages.
    #[error("the list has more than {MAX_PAGES} pages")]
    Pages,
    /// There are too many tools.
    #[error("the list has more than {MAX_TOOLS} tools")]
    Tools,
    /// The definitions are too long.
    #[error("the list is longer than {MAX_LISTING_BYTES} bytes")]
    Bytes,
    /// The cursor of the next page is too long.
    #[error("the cursor of its next page is longer than {MAX_CURSOR_BYTES} bytes")]
    Cursor,
    /// A page after the first cannot be read.
    #[error("its page {number} cannot be read: {cause}")]
    Page {
        /// The number of the page, from 1.
        number: usize,
        /// The cause.
        cause: ClientError,
    },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    tools: Option<Box<RawValue>>,
    /// Any JSON value: it is opaque and is sent back unchanged.
    #[serde(default)]
    next_cursor: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "lenient::field")]
    ttl_ms: Option<i64>,
    #[serde(default, deserialize_with = "lenient::field")]
    cache_scope: Option<String>,
    #[serde(rename = "_meta", default, deserialize_with = "lenient::field")]
    meta: HashMap<String, Box<RawValue>>,
}

/// A list of tools inside another object with the field `tools`.
#[derive(Deserialize)]
struct Nested {
    tools: Vec<Box<RawValue>>,
}

impl Page {
    /// Reads a page. Some servers omit the object around the list.
    fn read(result: &RawValue) -> serde_json::Result<Self> {
        if result.get().starts_with('[') {
            return Ok(Self { tools: Some(result.to_owned()), ..Self::default() });
        }
        serde_json::from_str(result.get())
    }

    /// The tools of the page. A value that is not a list must not count as an empty one: the known tools of the server would be forgotten.
    fn definitions(&self) -> serde_json::Result<Vec<Box<RawValue>>> {
        let Some(tools) = &self.tools else { return Ok(Vec::new()) };
        // PHP may write an empty list as `{}`.
        let is_empty = |fields: HashMap<String, IgnoredAny>| fields.is_empty();
        let mut definitions: Vec<Box<RawValue>> = if serde_json::from_str(tools.get()).is_ok_and(is_empty) {
            Vec::new()
        } else if tools.get().starts_with('{') {
            serde_json::from_str::<Nested>(tools.get())?.tools
        } else {
            serde_json::from_str(tools.get())?
        };
        definitions.retain(|definition| definition.get() != "null");
        Ok(definitions)
    }
}

impl<T: Transport> Client<T> {
    /// Lists all pages of the server's tools, and what the server says about itself. After a page that cannot be read, or beyond a limit, the rest of
    /// the list is missing, and [`Listing::cut`] says why.
    ///
    /// # Errors
    /// [`ClientError`]. A server without tools has an empty list.
    pub async fn list_tools(&self) -> Result<Listing, ClientError> {
        let mut over = pin!(self.transport.sleep(PAGES_LIMIT).fuse());
        // The timer starts when it is first polled.
        let _ = poll_immediate(over.as_mut()).await;
        let era = self.connect().await?;
        let connection = self.connection.borrow().clone();
        let mut listing = Listing {
            tools: Vec::new(),
            refused: Vec::new(),
            cut: None,
            ttl_ms: None,
            private: false,
            era,
            server: connection.server,
            instructions: connection.instructions,
            features: None,
        };
        let mut definitions: HashMap<String, Box<RawValue>> = HashMap::new();
        let mut cursors: Vec<Box<RawValue>> = Vec::new();
        let mut bytes = 0_usize;
        for number in 1..=MAX_PAGES {
            let cursor = cursors.last().map(AsRef::as_ref);
            let page = match number {
                1 => self.page(cursor).await,
                _ => self.page_before(over.as_mut(), cursor).await,
            };
            let (page, listed) = match page {
                Ok(page) => page,
                Err(ClientError::Protocol { code: METHOD_NOT_FOUND, .. }) if number == 1 => return Ok(listing),
                Err(error) if number == 1 => return Err(error),
                Err(cause) => {
                    listing.cut = Some(Cut::Page { number, cause });
                    return Ok(listing);
                }
            };
            for definition in listed {
                bytes += definition.get().len();
                listing.cut = match () {
                    () if bytes > MAX_LISTING_BYTES => Some(Cut::Bytes),
                    () if listing.tools.len() + listing.refused.len() >= MAX_TOOLS => Some(Cut::Tools),
                    () => None,
                };
                if listing.cut.is_some() {
                    return Ok(listing);
                }
                listing.add(definition, &mut definitions);
            }
            if number == 1 {
                listing.features = page.meta.get(META_FEATURES).and_then(|json| serde_json::from_str(json.get()).ok());
            }
            // The list stays fresh as long as its shortest-lived page. Negative times count as zero.
            let ttl_ms = page.ttl_ms.map(|ttl_ms| u64::try_from(ttl_ms).unwrap_or(0));
            listing.ttl_ms = if number == 1 { ttl_ms } else { listing.ttl_ms.min(ttl_ms) };
            listing.private |= page.cache_scope.as_deref() == Some("private");
            // The last page has no cursor. Some servers send an empty one, or `false`.
            let Some(next) = page.next_cursor.filter(|cursor| !matches!(cursor.get(), "\"\"" | "false")) else {
                return Ok(listing);
            };
            if cursors.iter().any(|cursor| cursor.get() == next.get()) {
                listing.cut = Some(Cut::Circle);
                return Ok(listing);
            }
            if next.get().len() > MAX_CURSOR_BYTES {
                listing.cut = Some(Cut::Cursor);
                return Ok(listing);
            }
            cursors.push(next);
        }
        listing.cut = Some(Cut::Pages);
        Ok(listing)
    }

    /// Reads a page, unless the time is over first.
    async fn page_before(
        &self,
        over: Pin<&mut impl Future<Output = ()>>,
        cursor: Option<&RawValue>,
    ) -> Result<(Page, Vec<Box<RawValue>>), ClientError> {
        match select(pin!(self.page(cursor)), over).await {
            Either::Left((page, _)) => page,
            Either::Right(((), _)) => Err(TransportError::TimedOut.into()),
        }
    }

    async fn page(&self, cursor: Option<&RawValue>) -> Result<(Page, Vec<Box<RawValue>>), ClientError> {
        let mut call = Call::new("tools/list");
        if let Some(cursor) = cursor {
            call.params.insert("cursor", cursor.to_owned());
        }
        let result = self.exchange(call, None).await?;
        let page = Page::read(&result).and_then(|page| page.definitions().map(|definitions| (page, definitions)));
        page.map_err(|error| ClientError::Malformed(error.to_string()))
    }
}

impl Listing {
    /// Adds a tool. A tool that is listed twice with the same definition counts once. A second tool with the same name is refused, because it would
    /// be unclear which one a call means.
    fn add(&mut self, definition: Box<RawValue>, known: &mut HashMap<String, Box<RawValue>>) {
        match read(&definition, self.era) {
            Err(refused) => self.refused.push(refused),
            Ok(tool) => match known.get(&tool.name) {
                Some(same) if same.get() == definition.get() => {}
                Some(_) => {
                    let reason = "another tool of this name is listed before it".to_owned();
                    self.refused.push(RefusedTool { name: tool.name, reason });
                }
                None => {
                    known.insert(tool.name.clone(), definition);
                    self.tools.push(tool);
                }
            },
        }
    }
}

/// The input schema of a definition, in both spellings.
#[derive(Deserialize)]
struct Beside {
    #[serde(default, rename = "inputSchema")]
    input_schema: Option<Box<RawValue>>,
    /// The spelling of model APIs. It counts if the right one is missing.
    #[serde(default, rename = "input_schema")]
    snake_schema: Option<Box<RawValue>>,
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
    let parsed = |json: &str| Ok((serde_json::from_str::<Tool>(json)?, serde_json::from_str::<Beside>(json)?));
    let (mut tool, beside) = parsed(definition.get()).or_else(|error: serde_json::Error| {
        let once = lenient::each_key_once(definition.get()).and_then(|once| parsed(&once).ok());
        once.ok_or_else(|| refused(error.to_string()))
    })?;
    if let (None, Some(schema)) = (beside.input_schema, beside.snake_schema) {
        tool.input_schema = schema;
    }
    // Before 2026-07-28 the annotation for headers has no meaning.
    if era == Era::Modern {
        header::parameters(&tool.input_schema).map_err(refused)?;
    }
    Ok(tool)
}
