//! Whom a turn asks, in which dialect, and for how much: the first provider that has the model, and after a failure before the first word the next one.
//!
//! It sends nothing; `llm_client` does.

use completions::{Dialect, Lesson, Round, dialect::Field};
use domain::{
    Cost,
    event::{Answered, Event},
};
use models::{Api, Provider};
use storage::messages::{Author, NewMessage};

use crate::{
    Host, Reader, Settings, Severity,
    budget::RunBudget,
    error_handler::{self, TurnFailure},
    llm_client::{Asked, Stopped},
    session_manager::RunSession,
};

/// How often a run changes its dialect. Each change removes something from the request, and there is no more than this to remove.
const MAX_ADAPTATIONS: u32 = 12;

/// What a turn knows about those whom it asks.
pub(crate) struct Asking<'a> {
    settings: &'a Settings,
    pub(crate) model: &'a str,
    /// The provider that is asked.
    provider: &'a Provider,
    /// Under which name is remembered what it wants.
    server: String,
    /// Those that are asked if it fails, in their order.
    successors: &'a [Provider],
    /// What was learned about servers before: addresses and dialects.
    dialects: &'a [(String, String)],
    /// The dialect of the provider, as far as it is known.
    pub(crate) dialect: Dialect,
    adaptations: u32,
    /// Whether the dialect has changes that are not stored.
    learned: bool,
    /// Whether all changes hold for later runs too.
    lasting: bool,
    /// A request that was too long: its estimated tokens, and the failure if there is no shorter one.
    too_long: Option<(u64, TurnFailure)>,
    /// What the tokens of the run cost, as far as it is known.
    cost: Option<Cost>,
}

impl<'a> Asking<'a> {
    /// `cost`: what the run has cost before.
    pub(crate) fn new(
        settings: &'a Settings,
        model: &'a str,
        (provider, successors): (&'a Provider, &'a [Provider]),
        dialects: &'a [(String, String)],
        cost: Option<Cost>,
    ) -> Self {
        Self {
            settings,
            model,
            provider,
            dialect: learned(dialects, &provider.remembered_as()),
            server: provider.remembered_as(),
            successors,
            dialects,
            adaptations: 0,
            learned: false,
            lasting: true,
            too_long: None,
            cost,
        }
    }

    /// A budget for rounds with this provider.
    pub(crate) fn budget(&self) -> RunBudget {
        RunBudget::new(self.settings.pricing.counted(self.provider, self.model))
    }

    /// For one request.
    pub(crate) fn asked(&self) -> Asked<'_> {
        let (dialect, silence) = (&self.dialect, self.settings.silence);
        Asked { provider: self.provider, dialect, has_successor: self.has_successor(), silence }
    }

    /// Whether another provider can be asked.
    pub(crate) const fn has_successor(&self) -> bool {
        !self.successors.is_empty()
    }

    /// An answer of nothing is a failure, if another provider can be asked. What a provider held back stays held back.
    pub(crate) fn unless_empty(&self, round: &Round, heard: Result<(), Stopped>) -> Result<(), Stopped> {
        let reason = round.finish_reason.as_deref();
        let is_empty = heard.is_ok() && !round.has_begun() && reason != Some("content_filter");
        if is_empty && self.has_successor() { Err(Stopped::Failed(error_handler::said_nothing(reason))) } else { heard }
    }

    /// The name under which is remembered what the server wants.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The server's API.
    pub(crate) fn api(&self) -> Api {
        self.provider.api
    }

    /// The size of the model's context in tokens.
    pub(crate) fn window(&self) -> u64 {
        let known = self.settings.window(self.provider, self.model);
        self.dialect.context_tokens.unwrap_or(u64::MAX).min(known)
    }

    /// Whether the model gets pictures: unless it is known that it sees none, or its server refused them.
    pub(crate) fn sees(&self) -> bool {
        self.provider.facts(self.model).sees.unwrap_or(true) && self.dialect.sends(Field::Images)
    }

    /// The last request was too long. Its estimated tokens, and the failure.
    pub(crate) fn take_too_long(&mut self) -> Option<(u64, TurnFailure)> {
        self.too_long.take()
    }

    /// After a failure of the provider that said nothing: has the next one asked, and tells the person.
    pub(crate) fn after<H: Host, R: Reader>(
        &mut self,
        session: &mut RunSession<'_, H, R>,
        budget: &mut RunBudget,
        failure: TurnFailure,
    ) -> Result<(), Stopped> {
        let successors = self.successors;
        let Some((next, others)) = successors.split_first().filter(|_| failure.is_of_provider()) else {
            return Err(Stopped::Failed(failure));
        };
        let message = error_handler::switched(&self.provider.name, &failure, &next.name);
        session.host().log(
            Severity::Info,
            "asking another provider",
            serde_json::json!({
                "run_id": session.run.id, "code": failure.code, "cause": failure.cause, "from": self.provider.name, "to": next.name,
            }),
        );
        session.outbox.write(&Event::Switched { message: &message, provider: &next.name });
        *self = Self::new(self.settings, self.model, (next, others), self.dialects, self.cost.take());
        budget.set_price(self.settings.pricing.counted(next, self.model));
        Ok(())
    }

    /// Changes the dialect for the next request; if that does not help, the next provider is asked.
    pub(crate) fn adapt<H: Host, R: Reader>(
        &mut self,
        session: &mut RunSession<'_, H, R>,
        budget: &mut RunBudget,
        (lesson, failure): (Lesson, TurnFailure),
        refused_tokens: u64,
    ) -> Result<(), Stopped> {
        self.adaptations += 1;
        if self.adaptations > MAX_ADAPTATIONS {
            return self.after(session, budget, failure);
        }
        let dialect = lesson.dialect.to_json();
        session.host().log(
            Severity::Info,
            "asking the model in another way",
            serde_json::json!({ "run_id": session.run.id, "code": failure.code, "dialect": &dialect }),
        );
        if lesson.shortens {
            self.too_long = Some((refused_tokens, failure));
        }
        // Changes for this turn only are not in the JSON, so they are not stored.
        let is_new = dialect != self.dialect.to_json();
        self.dialect = lesson.dialect;
        self.lasting &= lesson.lasts;
        self.learned = self.lasting && (self.learned || is_new);
        Ok(())
    }

    /// Stores the learned dialect, which has just worked, for later runs. If that fails, a later run learns it again.
    pub(crate) async fn remember<H: Host, R: Reader>(&mut self, session: &RunSession<'_, H, R>) {
        if !std::mem::take(&mut self.learned) {
            return;
        }
        let host = session.host();
        let kept = host.store().save_model_dialect(self.server(), self.model, &self.dialect.to_json()).await;
        if let Err(error) = kept {
            let cause = error.to_string();
            host.log(
                Severity::Error,
                "how the model wants its requests cannot be kept",
                serde_json::json!({ "cause": cause }),
            );
        }
    }

    /// Adds the cost of a round.
    pub(crate) fn count(&mut self, round: &Round) {
        let price = self.settings.pricing.at(self.provider, self.model);
        if let Some((usage, price)) = round.usage.zip(price) {
            let currency = self.settings.pricing.currency();
            let cost = self.cost.get_or_insert_with(|| Cost { millionths: 0, currency: currency.to_owned() });
            cost.millionths = cost.millionths.saturating_add(price.cost(usage.prompt_tokens, usage.completion_tokens));
        }
    }

    /// A message of the provider's model.
    pub(crate) fn answer(&self, text: String, reasoning: String, finish_reason: &str) -> NewMessage {
        let author = Author { provider: self.provider.name.clone(), cost: self.cost.clone() };
        NewMessage { author: Some(author), ..NewMessage::answer(text, reasoning, finish_reason) }
    }

    /// Who answered, for the last event.
    pub(crate) fn answered(&self) -> Answered<'_> {
        Answered { model: self.model, provider: &self.provider.name, cost: self.cost.as_ref() }
    }
}

/// What was learned about a provider's server before.
fn learned(dialects: &[(String, String)], remembered_as: &str) -> Dialect {
    let dialect = dialects.iter().find(|(server, _)| server == remembered_as);
    dialect.map(|(_, dialect)| Dialect::from_json(dialect)).unwrap_or_default()
}
