//! What a reader does while its run waits for tasks at other servers: it is told what is new about them, and has them asked about when they are due.
//! The question goes on beside the reader, which is served meanwhile.

use std::{
    collections::HashMap,
    pin::{Pin, pin},
    time::Duration,
};

use domain::{Id, Timestamp, event::Event};
use futures::future::{Either, select};

use crate::{Host, Reader, Severity};

/// The longest time of a question: the component that asks gives up sooner.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// The pause between two questions. No task is due sooner.
const PAUSE: Duration = Duration::from_secs(1);

/// The pause after a question that could not be asked.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// The tasks of a run, as one reader sees them.
pub(crate) struct TaskWatch<'a, H> {
    host: &'a H,
    user_id: Id,
    run_id: Id,
    /// The last message about each task that the reader was sent.
    told: HashMap<String, String>,
    /// The question that is being asked, and when it began.
    question: Option<(Duration, Question<'a>)>,
    /// When the next question may be asked.
    ask_from: Duration,
}

type Question<'a> = Pin<Box<dyn Future<Output = bool> + 'a>>;

impl<'a, H: Host> TaskWatch<'a, H> {
    pub(crate) fn new(host: &'a H, user_id: Id, run_id: Id) -> Self {
        Self { host, user_id, run_id, told: HashMap::new(), question: None, ask_from: Duration::ZERO }
    }

    /// Sends the reader what is new about the tasks, and begins to ask about those that are due. `false`: the reader has left.
    pub(crate) async fn look<R: Reader>(&mut self, reader: &mut R) -> bool {
        let (host, run_id) = (self.host, self.run_id);
        let waiting = match host.store().waiting_tool_tasks(self.user_id, run_id).await {
            Ok(waiting) => waiting,
            Err(error) => {
                let fields = serde_json::json!({ "run_id": run_id, "cause": error.to_string() });
                host.log(Severity::Error, "the tasks of a run cannot be read", fields);
                return true;
            }
        };
        let mut frames = String::new();
        for task in &waiting {
            let message = task.message.as_deref().unwrap_or_default();
            let told = self.told.entry(task.call_id.clone()).or_default();
            if told != message {
                message.clone_into(told);
                let event = Event::ToolProgress { call_id: &task.call_id, progress: None, total: None, message };
                event.write(&mut 0, &run_id.to_string(), Timestamp::now(), &mut frames);
            }
        }
        if !frames.is_empty() && !reader.send(&frames) {
            return false;
        }
        let now = host.now();
        if self.question.is_none() && now >= self.ask_from && waiting.iter().any(|task| task.is_due) {
            self.question = Some((now, Box::pin(host.ask_about_tasks(self.user_id, run_id))));
        }
        true
    }

    /// Waits until a question is answered, at most for `limit`.
    pub(crate) async fn wait(&mut self, limit: Duration) {
        let host = self.host;
        let Some((began, question)) = &mut self.question else { return host.sleep(limit).await };
        let began = *began;
        match select(question.as_mut(), pin!(host.sleep(limit))).await {
            Either::Left((asked, _)) => {
                self.question = None;
                self.ask_from = host.now().saturating_add(if asked { PAUSE } else { FAULT_PAUSE });
            }
            Either::Right(_) if host.now().saturating_sub(began) >= QUESTION_LIMIT => self.question = None,
            Either::Right(_) => {}
        }
    }

    /// Drops the question: nobody waits for it while the run is executed.
    pub(crate) fn stop(&mut self) {
        self.question = None;
    }
}
