//! The tools of a server.

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

/// More pages than any list needs; each is bounded by [`super::ClientOptions::max_answer_bytes`].
const MAX_PAGES: usize = 32;
/// Definitions of all pages together: a hundred times what a model is told of one server.
const MAX_LISTING_BYTES: usize = 4 * 1024 * 1024;
/// How long pages after the first are waited for, counted from the very beginning: a little less than whoever lists waits for the whole. If the
/// first takes longer, it alone is the list.
const PAGES_LIMIT: Duration = Duration::from_secs(4);
/// More tools than any model could be told about.
const MAX_TOOLS: usize = 2048;
/// A cursor is kept, and sent back: those of real servers have some hundred bytes.
const MAX_CURSOR_BYTES: usize = 4 * 1024;

/// What a server has.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its tools, in its order, each name once.
    pub tools: Vec<Tool>,
    /// Those that cannot be used.
    pub refused: Vec<RefusedTool>,
    /// Why there may be more than these.
    pub cut: Option<Cut>,
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
    /// What it has besides tools, if it is made of this crate and says so ([`crate::Description::tells_features`]). Anybody can say anything here.
    pub features: Option<Features>,
}

/// A tool whose definition is invalid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedTool {
    /// Its name; empty if it has none.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

/// Why a list may not be whole.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Cut {
    /// The server goes round in a circle.
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
    /// Where the next page begins is said in too many words.
    #[error("the cursor of its next page is longer than {MAX_CURSOR_BYTES} bytes")]
    Cursor,
    /// A page that is not the first cannot be had.
    #[error("its page {number} cannot be read: {cause}")]
    Page {
        /// Which, from 1.
        number: usize,
        /// Why.
        cause: ClientError,
    },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    tools: Option<Box<RawValue>>,
    /// Anything: it is opaque and goes back as it came.
    #[serde(default)]
    next_cursor: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "lenient::field")]
    ttl_ms: Option<i64>,
    #[serde(default, deserialize_with = "lenient::field")]
    cache_scope: Option<String>,
    #[serde(rename = "_meta", default, deserialize_with = "lenient::field")]
    meta: HashMap<String, Box<RawValue>>,
}

/// Tools that lie in an object of their name once more.
#[derive(Deserialize)]
struct Nested {
    tools: Vec<Box<RawValue>>,
}

impl Page {
    /// Some servers forget the object around the list.
    fn read(result: &RawValue) -> serde_json::Result<Self> {
        if result.get().starts_with('[') {
            return Ok(Self { tools: Some(result.to_owned()), ..Self::default() });
        }
        serde_json::from_str(result.get())
    }

    /// What it lists. What is no list must not be taken for an empty one: the tools that are known of the server would be forgotten.
    fn definitions(&self) -> serde_json::Result<Vec<Box<RawValue>>> {
        let Some(tools) = &self.tools else { return Ok(Vec::new()) };
        // As PHP writes a list with nothing in it.
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
    /// Lists the server's tools, all pages of them, and what it says about itself. What comes after a page that cannot be read or that is one too
    /// many is missing, and [`Listing::cut`] says so.
    ///
    /// # Errors
    /// [`ClientError`]. A server without tools has an empty list.
    pub async fn list_tools(&self) -> Result<Listing, ClientError> {
        let mut over = pin!(self.transport.sleep(PAGES_LIMIT).fuse());
        // Time passes from when it is first looked at.
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
            // The whole is fresh for as long as its shortest-lived page; less than nothing is nothing.
            let ttl_ms = page.ttl_ms.map(|ttl_ms| u64::try_from(ttl_ms).unwrap_or(0));
            listing.ttl_ms = if number == 1 { ttl_ms } else { listing.ttl_ms.min(ttl_ms) };
            listing.private |= page.cache_scope.as_deref() == Some("private");
            // Servers end their lists with no cursor, and some with an empty one.
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

    /// A page, unless something else comes before it.
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
    /// Adds a tool. One that is listed again as it was is the same; another of its name is none, for nobody could say which is called.
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

/// What a definition says beside what [`Tool`] has of it.
#[derive(Deserialize)]
struct Beside {
    #[serde(default, rename = "inputSchema")]
    input_schema: Option<Box<RawValue>>,
    /// The name that models' servers have for it, which counts where the right one is not there.
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
    // Before 2026-07-28 the extension means nothing.
    if era == Era::Modern {
        header::parameters(&tool.input_schema).map_err(refused)?;
    }
    Ok(tool)
}
