//! How a list is asked for, page by page.

use problem::Problem;
use serde::Deserialize;
use web::Result;

/// Items on a page at most: a page is one query and one answer.
const MAX_LIMIT: u32 = 200;

/// The query of a list.
#[derive(Deserialize)]
pub(crate) struct Listing {
    limit: Option<u32>,
    cursor: Option<String>,
    order: Option<String>,
}

impl Listing {
    /// How many items are wanted.
    pub(crate) fn limit(&self, default: u32) -> Result<u32> {
        match self.limit.unwrap_or(default) {
            limit if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            _ => Err(Problem::invalid_field("limit", "Use a number from 1 to 200.").into()),
        }
    }

    /// Whether the newest come first; the oldest do unless asked otherwise.
    pub(crate) fn newest_first(&self) -> Result<bool> {
        match self.order.as_deref() {
            None | Some("asc") => Ok(false),
            Some("desc") => Ok(true),
            Some(_) => Err(Problem::invalid_field("order", "Use asc or desc.").into()),
        }
    }

    /// Where the page begins, as `parse` reads what the page before said.
    pub(crate) fn cursor<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(text) = self.cursor.as_deref() else { return Ok(None) };
        let wrong = || Problem::invalid_field("cursor", "Use the next_cursor of the page before.");
        Ok(Some(parse(text).ok_or_else(wrong)?))
    }
}
