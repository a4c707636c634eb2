//! What a run has said and done, read from its log.

use super::{after, frames};

/// How far a run has come, read from its log, for an executor that takes the run over.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The id of the last logged event.
    pub last_id: u64,
    /// Pieces of text logged in the whole run.
    pub token_count: u64,
    /// The answer's text since the last tool event.
    pub text: String,
    /// The reasoning since the last tool event.
    pub thinking: String,
    /// The calls that the person was asked about.
    pub approvals_asked: Vec<String>,
    /// The calls that were said to go on at their servers.
    pub tasks_told: Vec<String>,
}

impl Progress {
    /// Reads the next batch of the log; batches come in order. Text that two executors logged, because one was thought dead, is read once.
    pub fn read(&mut self, batch: &str) {
        for frame in frames(&after(batch, self.last_id)) {
            self.last_id = frame.id;
            match frame.event {
                "token" => {
                    self.text.push_str(&frame.content());
                    self.token_count += 1;
                }
                "thinking" => self.thinking.push_str(&frame.content()),
                // Of the states, only `restarted` withdraws the text so far.
                "state" if frame.content() != "restarted" => {}
                other => {
                    self.text.clear();
                    self.thinking.clear();
                    match other {
                        "tool_approval" => self.approvals_asked.extend(frame.call_id()),
                        "tool_task" => self.tasks_told.extend(frame.call_id()),
                        _ => {}
                    }
                }
            }
        }
    }
}
