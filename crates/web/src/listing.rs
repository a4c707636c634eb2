//! Lists, page by page: how one is asked for, and how it is answered.

use domain::Id;
use problem::Problem;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Items on a page at most: a page is one query and one answer.
const MAX_LIMIT: u32 = 200;

/// The query of a list. Only messages know an `order`, so it is described with them.
#[derive(Clone, Default, Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct Listing {
    /// How many items are wanted at most.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 200, example = 50))]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    #[cfg_attr(feature = "openapi", param(ignore))]
    order: Option<String>,
}

impl Listing {
    /// How many items are wanted.
    ///
    /// # Errors
    /// 422, which names the field.
    pub fn limit(&self, default: u32) -> Result<u32> {
        match self.limit.unwrap_or(default) {
            limit if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            _ => Err(Problem::invalid_field("limit", "Use a number from 1 to 200.").into()),
        }
    }

    /// Whether the newest come first; the oldest do unless asked otherwise.
    ///
    /// # Errors
    /// 422, which names the field.
    pub fn newest_first(&self) -> Result<bool> {
        match self.order.as_deref() {
            None | Some("asc") => Ok(false),
            Some("desc") => Ok(true),
            Some(_) => Err(Problem::invalid_field("order", "Use asc or desc.").into()),
        }
    }

    /// Where the page begins, as `parse` reads what the page before said.
    ///
    /// # Errors
    /// 422, which names the field.
    pub fn cursor<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(text) = self.cursor.as_deref() else { return Ok(None) };
        let wrong = || Problem::invalid_field("cursor", "Use the next_cursor of the page before.");
        Ok(Some(parse(text).ok_or_else(wrong)?))
    }

    /// Where the page begins, in a list by ids.
    ///
    /// # Errors
    /// 422, which names the field.
    pub fn before(&self) -> Result<Option<Id>> {
        self.cursor(|text| text.parse().ok())
    }
}

/// Some of many, and how to ask for the next.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; null: this is the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Items of which one more than `limit` were asked for, which tells whether there are more. `cursor` says where a page ends that ends with an
    /// item.
    pub fn new<I>(mut found: Vec<I>, limit: u32, cursor: impl FnOnce(&I) -> String, body: impl FnMut(I) -> T) -> Self {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > wanted;
        found.truncate(wanted);
        let next_cursor = if more { found.last().map(cursor) } else { None };
        Self { items: found.into_iter().map(body).collect(), next_cursor }
    }

    /// All that there are.
    pub fn whole(items: impl IntoIterator<Item = T>) -> Self {
        Self { items: items.into_iter().collect(), next_cursor: None }
    }
}
