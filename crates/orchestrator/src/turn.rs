//! Executes a run from its claim to its end: rounds of asking the model and calling tools, until the model answers.

use std::{borrow::Cow, collections::HashSet, time::Duration};

use completions::{Echo, Round, dialect::Field};
use domain::{
    Id, Message, MessageRole, RunState, RunStep, ToolCall, Usage,
    event::{Event, Progress},
};
use models::Provider;
use serde_json::{Map, Value, json};
use storage::{
    StorageError,
    claims::Claim,
    messages::NewMessage,
    runs::{Batch, Ending, Lease},
    tool_listings::ToolOffers,
    tool_tasks::ToolTask,
};
use traces::Span;

use crate::{
    Host, Reader, Settings, Severity,
    asking::Asking,
    attachments::{self, Attachments},
    budget::RunBudget,
    error_handler::{self, TurnFailure},
    llm_client::{self, Stopped, Told},
    prompt_builder::{self, MAX_MESSAGES, Question, max_context_bytes},
    response_streamer::Outbox,
    session_manager::{Interrupted, RunSession},
    spans,
    tool_executor::{self, Earlier, Executed},
    tool_search::Tools,
    wanted::Wanted,
};

/// The rounds of one run, over all its executors. In the last one, the model may not call tools, so it must answer with what it has.
const MAX_ROUNDS: usize = 12;

/// How long an answer waits for the list of tools.
const TOOLS_LIMIT: Duration = Duration::from_secs(20);
/// How long it waits for what is in attached files: some megabytes at most.
const FILES_LIMIT: Duration = Duration::from_secs(20);

/// How far an executor brought a run, with the reader and its position if the reader must still be served.
pub(crate) enum TurnOutcome<R> {
    /// The run has ended.
    Ended,
    /// The run waits for a decision of the person, or for a call that goes on at its server.
    Waiting(Option<(R, u64)>),
    /// The executor stopped before the end. The run is not ended, and its lease expires. A stop by the person is not among these; it is a normal end.
    Interrupted(Interrupted, Option<(R, u64)>),
}

/// The good ends of a run's rounds.
enum Rounds {
    /// The model has answered.
    Answered,
    /// The run waits for the person.
    Waiting,
}

/// The state of a run besides its session.
struct Turn<'a> {
    settings: &'a Settings,
    asking: Asking<'a>,
    /// The notices that were told: each once in a run.
    told: Vec<Cow<'static, str>>,
    wanted: Wanted<'a>,
    attempt: u64,
    usage: Option<Usage>,
    estimated_tokens: u64,
    earlier: Earlier,
    offers: &'a ToolOffers,
    budget: RunBudget,
    /// Whose run it is.
    user_id: Id,
}

/// Executes a claimed run. `span` is what is recorded of it.
pub(crate) async fn execute<H: Host, R: Reader>(
    host: &H,
    settings: &Settings,
    lease: Lease,
    claim: &Claim,
    (reader, seen): (Option<R>, u64),
    span: &mut Span,
) -> TurnOutcome<R> {
    let run = &claim.run;
    let mut progress = match progress(host, claim).await {
        Ok(progress) => progress,
        Err(interrupted) => return TurnOutcome::Interrupted(interrupted, reader.map(|reader| (reader, seen))),
    };
    let providers = host.providers(claim).await;
    // Nobody is asked if nobody has the model.
    let nobody = Provider::default();
    // A run that goes on stays with whoever answered.
    let from = run.provider.as_ref().and_then(|name| providers.iter().position(|provider| provider.name == *name));
    let providers = providers.get(from.unwrap_or_default()..).unwrap_or_default();
    let asked = providers.split_first().unwrap_or((&nobody, &[]));
    let asking = Asking::new(settings, &run.model, asked, &claim.dialects, run.cost.clone());
    let mut budget = asking.budget();
    if claim.attempt > 1
        && let Err(interrupted) = budget.settle_lost(host, lease, &progress).await
    {
        return TurnOutcome::Interrupted(interrupted, reader.map(|reader| (reader, seen)));
    }
    let outbox = Outbox::new(run.id.to_string(), &progress, reader, seen);
    let mut session = RunSession::new(host, run, lease, outbox);
    session.outbox.tell(&Event::Processing);
    let mut earlier = Earlier {
        approvals_asked: std::mem::take(&mut progress.approvals_asked),
        tasks_told: std::mem::take(&mut progress.tasks_told),
        tasks: Vec::new(),
    };
    if claim.attempt > 1 {
        match going_on(&mut session).await {
            Ok(tasks) => earlier.tasks = tasks,
            Err(interrupted) => return TurnOutcome::Interrupted(interrupted, session.outbox.into_reader()),
        }
    }
    let mut turn = Turn {
        settings,
        asking,
        told: Vec::new(),
        wanted: Wanted::of(claim),
        attempt: claim.attempt,
        usage: run.usage,
        estimated_tokens: 0,
        earlier,
        offers: &claim.offers,
        budget,
        user_id: claim.user_id,
    };
    let (mut round, mut told) = (Round::default(), Told::new(progress));
    let stopped = if claim.cancel_requested {
        Err(Stopped::Interrupted(Interrupted::Cancelled))
    } else if let Some(abandoned) = &run.failure {
        Err(Stopped::Failed(error_handler::abandoned(abandoned)))
    } else if providers.is_empty() {
        Err(Stopped::Failed(error_handler::not_offered(&run.model)))
    } else if claim.attempt > error_handler::MAX_EXECUTORS {
        Err(Stopped::Failed(error_handler::given_up(error_handler::MAX_EXECUTORS)))
    } else {
        match turn.rounds(&mut session, &mut round, &mut told).await {
            Ok(Rounds::Waiting) => return TurnOutcome::Waiting(session.outbox.into_reader()),
            Ok(Rounds::Answered) => Ok(()),
            Err(stopped) => Err(stopped),
        }
    };
    spans::run_ended(span, &stopped, turn.usage);
    match turn.end(&mut session, round, &told, stopped).await {
        Ok(()) => TurnOutcome::Ended,
        Err(interrupted) => {
            if interrupted.is_unwritable() {
                session.outbox.tell(&Event::Unkept { message: error_handler::UNWRITABLE, code: "unwritable" });
            }
            TurnOutcome::Interrupted(interrupted, session.outbox.into_reader())
        }
    }
}

/// The progress of earlier executors.
async fn progress<H: Host>(host: &H, claim: &Claim) -> Result<Progress, Interrupted> {
    if claim.attempt == 1 {
        return Ok(Progress::default());
    }
    let progress = host.store().progress(claim.run.id).await?;
    host.log(Severity::Info, "took a run up again", json!({ "run_id": claim.run.id, "attempt": claim.attempt }));
    Ok(progress)
}

/// The tasks of the run that go on. The results of the others are stored, also if the run is to be stopped.
async fn going_on<H: Host, R: Reader>(session: &mut RunSession<'_, H, R>) -> Result<Vec<ToolTask>, Interrupted> {
    let tasks = session.host().store().tool_tasks(session.run.id).await?;
    tool_executor::store_ended(session, tasks).await
}

impl Turn<'_> {
    async fn rounds<H: Host, R: Reader>(
        &mut self,
        session: &mut RunSession<'_, H, R>,
        round: &mut Round,
        told: &mut Told,
    ) -> Result<Rounds, Stopped> {
        let (host, run) = (session.host(), session.run);
        let listed = match session.attend(TOOLS_LIMIT, host.tools(self.offers)).await {
            Err(Interrupted::TimedOut) => {
                let cause = format!("they were not there after {TOOLS_LIMIT:?}");
                host.log(Severity::Error, "the tools cannot be listed", json!({ "cause": cause }));
                None
            }
            listed => listed?,
        };
        if listed.is_none() {
            // An answer without tools is better than none, but must not look as if there were no tools.
            self.tell(session, error_handler::UNLISTED_TOOLS);
        }
        let mut tools = Tools::new(listed.unwrap_or_default(), self.asking.window());
        let system_prompt = tools.introduced(&self.settings.system_prompt);
        let mut attachments = Attachments::default();
        loop {
            let window = self.asking.window();
            let max_bytes = max_context_bytes(window);
            let messages = host.store().context(run, MAX_MESSAGES, max_bytes).await.map_err(Interrupted::from)?;
            let pending = tool_executor::pending(&messages, run.id);
            if !pending.is_empty() {
                if session.state() != RunState::ToolExecution {
                    session.step(RunStep::CallTools)?;
                }
                let usable = (&tools, self.wanted.terms());
                match tool_executor::execute(session, &pending, usable, &self.earlier, self.usage).await? {
                    Executed::Finished => continue,
                    Executed::Waiting => return Ok(Rounds::Waiting),
                }
            }
            let sees = self.asking.sees();
            let reading = attachments.read(host, self.user_id, &messages, sees, window);
            match session.attend(FILES_LIMIT, reading).await {
                // Of what was not read until then, the model is told that it is there.
                Err(Interrupted::TimedOut) => {}
                read => read?,
            }
            let last = rounds_finished(&messages, run.id) + 1 >= MAX_ROUNDS;
            let offered = tools.offered(&messages, run.id);
            let prompt = prompt_builder::build(&Question {
                model: &run.model,
                server: self.asking.server(),
                api: self.asking.api(),
                dialect: &self.asking.dialect,
                system_prompt: &system_prompt,
                instructions: self.wanted.instructions(),
                memories: self.wanted.memories(),
                generation: self.wanted.generation(),
                messages: &messages,
                attachments: &attachments,
                sees,
                asked: run.message_id,
                tools: &offered,
                may_call: !last,
                context_window_tokens: window,
            })
            .map_err(|error| Interrupted::from(StorageError::from(error)))?;
            let too_long = self.asking.take_too_long();
            let shortened = too_long.is_some() || (prompt.omitted > 0 && self.asking.dialect.context_tokens.is_some());
            match too_long {
                Some((refused, failure)) if prompt.estimated_tokens >= refused => {
                    self.asking.after(session, &mut self.budget, failure)?;
                    continue;
                }
                _ if shortened => self.tell(session, error_handler::SHORTENED),
                _ => {}
            }
            if !offered.is_empty() && !self.asking.dialect.sends(Field::Tools) {
                self.tell(session, error_handler::WITHOUT_TOOLS);
            }
            for message in self.wanted.unmet(&self.asking.dialect) {
                self.tell(session, message);
            }
            for words in attachments.told(&messages, run.message_id) {
                self.tell(session, words);
            }
            if !sees && attachments::have_pictures(&messages, run.message_id) {
                self.tell(session, error_handler::WITHOUT_PICTURES);
            }
            let call_ids = tool_executor::call_ids(&messages, run.id);
            drop(messages);
            attachments.shrink();
            self.estimated_tokens += prompt.estimated_tokens;
            // A long answer that is only allowed keeps no budget from others: one that becomes longer reserves more.
            let allowed = self.wanted.generation().max_output_tokens.unwrap_or(u64::MAX);
            let room = allowed.min(prompt_builder::max_answer_tokens(window));
            self.budget.reserve(session, prompt.estimated_tokens, room).await?;
            *round = Round::default();
            let heard = llm_client::ask(session, self.asking.asked(), &prompt, round, told, &mut self.budget).await;
            let heard = self.asking.unless_empty(round, heard);
            if matches!(heard, Err(Stopped::Failed(_))) && !round.has_begun() && self.asking.has_successor() {
                // What it reports is not charged: a round has one price, and the next provider's would be multiplied with its tokens.
                round.usage = None;
            }
            self.count(round);
            self.budget.settle(session, round, &heard).await?;
            match heard {
                Err(Stopped::Refused(refused)) => {
                    self.asking.adapt(session, &mut self.budget, *refused, prompt.estimated_tokens)?;
                    tools = tools.fitting(self.asking.window());
                    continue;
                }
                Err(Stopped::Failed(failure)) if !round.has_begun() => {
                    self.asking.after(session, &mut self.budget, failure)?;
                    tools = tools.fitting(self.asking.window());
                    continue;
                }
                _ => {}
            }
            if round.has_begun() {
                self.asking.remember(session).await;
            }
            heard?;
            if round.tool_calls.is_empty() || last {
                let nothing = || error_handler::said_nothing(round.finish_reason.as_deref());
                let fault = if is_blank(&round.text) { Some(nothing()) } else { self.wanted.fault(round) };
                return fault.map_or(Ok(Rounds::Answered), |failure| Err(Stopped::Failed(failure)));
            }
            self.finish_round(session, round, &tools, call_ids).await?;
        }
    }

    /// Tells the person, once in a run, what the model is not asked or does not get. A reader of this run may not have seen the run in which that was
    /// learned.
    fn tell<H: Host, R: Reader>(&mut self, session: &mut RunSession<'_, H, R>, said: impl Into<Cow<'static, str>>) {
        let message = said.into();
        if !self.told.contains(&message) {
            session.outbox.write(&Event::Shortened { message: &message });
            self.told.push(message);
        }
    }

    fn count(&mut self, round: &Round) {
        if let Some(usage) = round.usage {
            let (prompt_tokens, completion_tokens) = (usage.prompt_tokens, usage.completion_tokens);
            let usage = Usage { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
            self.usage = Some(self.usage.unwrap_or_default().plus(usage));
            self.asking.count(round);
        }
    }

    /// Stores a round that ended with tool calls: a finished step, which is not repeated.
    async fn finish_round<H: Host, R: Reader>(
        &self,
        session: &mut RunSession<'_, H, R>,
        round: &mut Round,
        tools: &Tools,
        mut call_ids: HashSet<String>,
    ) -> Result<(), Interrupted> {
        session.step(RunStep::CallTools)?;
        let round = std::mem::take(round);
        let echo = echo(&round, self.asking.server(), &session.run.model);
        let mut calls: Vec<ToolCall> = round
            .tool_calls
            .into_iter()
            .map(|call| ToolCall { id: call.id, name: call.name, arguments: call.arguments })
            .collect();
        tool_executor::make_unique(&mut calls, &mut call_ids);
        for call in &calls {
            session.outbox.write(&Event::ToolRequest {
                name: &call.name,
                title: tools.title(&call.name),
                call_id: &call.id,
                arguments: &call.arguments,
            });
        }
        let message =
            NewMessage { tool_calls: calls, echo, ..self.asking.answer(round.text, round.reasoning, "tool_calls") };
        session.finish_step(&message, self.usage).await
    }

    /// Ends the run, in success or failure.
    async fn end<H: Host, R: Reader>(
        &self,
        session: &mut RunSession<'_, H, R>,
        round: Round,
        told: &Told,
        stopped: Result<(), Stopped>,
    ) -> Result<(), Interrupted> {
        match stopped {
            Ok(()) => {
                // A model whose tool calls are not allowed or have no name has stopped.
                let reason = round.finish_reason.filter(|reason| reason != "tool_calls");
                let reason = reason.unwrap_or_else(|| "stop".to_owned());
                self.complete(session, round.text, round.reasoning, &reason, RunStep::Finish).await
            }
            Err(Stopped::Interrupted(Interrupted::Cancelled)) => {
                let (text, reasoning) = said(round, told);
                self.complete(session, text, reasoning, "cancelled", RunStep::Cancel).await
            }
            Err(Stopped::Interrupted(other)) => Err(other),
            Err(Stopped::Refused(refused)) => {
                let (text, reasoning) = said(round, told);
                self.fail(session, text, reasoning, &refused.1).await
            }
            Err(Stopped::Failed(failure)) => {
                let (text, reasoning) = said(round, told);
                self.fail(session, text, reasoning, &failure).await
            }
        }
    }

    async fn complete<H: Host, R: Reader>(
        &self,
        session: &mut RunSession<'_, H, R>,
        text: String,
        reasoning: String,
        finish_reason: &str,
        step: RunStep,
    ) -> Result<(), Interrupted> {
        let nothing = is_blank(&text) && step == RunStep::Cancel;
        let message = (!nothing).then(|| self.asking.answer(text, reasoning, finish_reason));
        let event = Event::Complete {
            finish_reason,
            usage: self.usage,
            message_id: message.as_ref().map(|message| message.id),
            attempt: self.attempt,
            answered: Some(self.asking.answered()),
        };
        session.outbox.deliver();
        session.outbox.write(&event);
        self.finish(session, step, message, None).await
    }

    async fn fail<H: Host, R: Reader>(
        &self,
        session: &mut RunSession<'_, H, R>,
        text: String,
        reasoning: String,
        failure: &TurnFailure,
    ) -> Result<(), Interrupted> {
        let message = (!is_blank(&text)).then(|| self.asking.answer(text, reasoning, "error"));
        session.host().log(
            Severity::Error,
            "a run failed",
            json!({
                "run_id": session.run.id, "code": failure.code, "cause": failure.cause, "provider": self.asking.answered().provider,
            }),
        );
        session.outbox.deliver();
        session.outbox.write(&Event::Error {
            message: &failure.message,
            code: failure.code,
            retryable: failure.retryable,
        });
        self.finish(session, RunStep::Fail, message, Some(failure)).await
    }

    async fn finish<H: Host, R: Reader>(
        &self,
        session: &mut RunSession<'_, H, R>,
        step: RunStep,
        message: Option<NewMessage>,
        failure: Option<&TurnFailure>,
    ) -> Result<(), Interrupted> {
        let ending = Ending {
            state: RunState::Complete,
            failure: failure.map(TurnFailure::to_run_failure),
            usage: self.usage,
            message,
            batch: Batch::default(),
        };
        session.finish(step, ending).await?;
        session.host().log(
            Severity::Info,
            "a run ended",
            json!({
                "run_id": session.run.id,
                "attempt": self.attempt,
                "estimated_prompt_tokens": self.estimated_tokens,
                "prompt_tokens": self.usage.map(|usage| usage.prompt_tokens),
                "completion_tokens": self.usage.map(|usage| usage.completion_tokens),
            }),
        );
        Ok(())
    }
}

/// The number of rounds that ended with calls.
fn rounds_finished(messages: &[Message], run_id: Id) -> usize {
    messages.iter().filter(|message| message.run_id == run_id && message.role == MessageRole::Assistant).count()
}

/// Whether a text is blank. A person cannot read it, and some servers refuse it in a prompt.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The fields that the server may want back with the round's calls.
fn echo(round: &Round, server: &str, model: &str) -> Option<String> {
    let mut fields = round.kept();
    // The reasoning is stored separately.
    let is_reasoning = |(_, value): &(&String, &Value)| value.as_str() == Some(&round.reasoning);
    let reasoning = fields.iter().find(is_reasoning).map(|(name, _)| name.clone());
    if let Some(name) = &reasoning {
        fields.remove(name);
    }
    let calls: Vec<_> = round.tool_calls.iter().map(|call| call.kept.clone()).collect();
    if reasoning.is_none() && fields.is_empty() && calls.iter().all(Map::is_empty) {
        return None;
    }
    let (server, model) = (server.to_owned(), model.to_owned());
    serde_json::to_string(&Echo { server, model, reasoning, fields, calls }).ok()
}

/// The text and reasoning of an interrupted round. A dead executor may have sent more than the model has repeated so far.
fn said(round: Round, told: &Told) -> (String, String) {
    let (text, reasoning) = told.remaining();
    (round.text + text, round.reasoning + reasoning)
}
