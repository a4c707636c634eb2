//! The parameters of a list: limit, cursor, order.

use problem::Problem;
use serde::Deserialize;
use web::Result;

/// The longest page: a page is one query and one response.
const MAX_LIMIT: u32 = 200;

#[derive(Deserialize)]
pub(crate) struct Listing {
    limit: Option<u32>,
    cursor: Option<String>,
    order: Option<String>,
}

impl Listing {
    pub(crate) fn limit(&self, default: u32) -> Result<u32> {
        match self.limit.unwrap_or(default) {
            limit if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            _ => Err(Problem::invalid_field("limit", "Use a number from 1 to 200.").into()),
        }
    }

    /// Whether the newest items come first. By default, the oldest do.
    pub(crate) fn newest_first(&self) -> Result<bool> {
        match self.order.as_deref() {
            None | Some("asc") => Ok(false),
            Some("desc") => Ok(true),
            Some(_) => Err(Problem::invalid_field("order", "Use asc or desc.").into()),
        }
    }

    /// The position where the page begins. `parse` reads the cursor of the previous page.
    pub(crate) fn cursor<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(text) = self.cursor.as_deref() else { return Ok(None) };
        let wrong = || Problem::invalid_field("cursor", "Use the next_cursor of the page before.");
        Ok(Some(parse(text).ok_or_else(wrong)?))
    }
}
