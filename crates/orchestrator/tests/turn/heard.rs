//! Everything that a reader of a run's events received.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use domain::event;
use orchestrator::Reader;
use serde_json::Value;

/// The frames that a reader received.
#[derive(Clone)]
pub(crate) struct Heard {
    pub(crate) frames: Rc<RefCell<String>>,
    pub(crate) patience: Rc<Cell<usize>>,
}

impl Default for Heard {
    fn default() -> Self {
        Self { frames: Rc::default(), patience: Rc::new(Cell::new(usize::MAX)) }
    }
}

impl Reader for Heard {
    fn send(&mut self, frames: &str) -> bool {
        if self.patience.get() == 0 {
            return false;
        }
        self.patience.set(self.patience.get() - 1);
        self.frames.borrow_mut().push_str(frames);
        true
    }
}

impl Heard {
    /// The events with an id.
    pub(crate) fn logged(&self) -> String {
        event::frames(&self.frames.borrow()).map(|frame| frame.text).collect()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        event::frames(&self.frames.borrow()).map(|frame| frame.id).collect()
    }

    pub(crate) fn last_id(&self) -> u64 {
        self.ids().last().copied().unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        let frames = self.frames.borrow();
        event::frames(&frames).filter(|frame| frame.event == "token").map(|frame| frame.content()).collect()
    }

    /// The data of each event. Arguments may contain half of a surrogate pair, which is JSON but not text here; such data is null.
    pub(crate) fn data(&self) -> Vec<Value> {
        let frames = self.frames.borrow();
        frames
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap_or_default())
            .collect()
    }

    pub(crate) fn types(&self) -> Vec<String> {
        self.data().iter().map(|data| data["type"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn comments(&self) -> usize {
        self.frames.borrow().lines().filter(|line| line.starts_with(':')).count()
    }
}
