//! The place of each item of an answer: its index, where a server sends one, else one that is made from its ids.

use std::collections::HashMap;

use crate::events::{Event, Item};

/// Where places begin that are made: behind all indexes.
const MADE: i64 = 1 << 32;

/// The places of the items so far.
#[derive(Clone, Default, Debug)]
pub(crate) struct Places {
    by_id: HashMap<String, i64>,
    /// The last item that something came of.
    last: i64,
}

impl Places {
    /// The place of the item that an event is about. One without an index and without an id is about the last item.
    pub(crate) fn of(&mut self, event: &Event) -> i64 {
        let item = Item(&event.item);
        let ids = [event.item_id.as_str(), item.field("id"), item.field("call_id")];
        let ids: Vec<&str> = ids.into_iter().flatten().filter(|id| !id.is_empty()).collect();
        let known = || ids.iter().find_map(|id| self.by_id.get(*id).copied());
        let made = || MADE + i64::try_from(self.by_id.len()).unwrap_or_default();
        let at = event.output_index.as_i64().or_else(known).or_else(|| (!ids.is_empty()).then(made));
        self.last = at.unwrap_or(self.last);
        for id in ids {
            self.by_id.insert(id.to_owned(), self.last);
        }
        self.last
    }
}
