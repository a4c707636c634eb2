//! What a run may use: reserved before the model is asked, and settled with what was used (docs/adr/0038). Where nobody has a budget, it sends no
//! statement. Must not know whose budgets they are.

use completions::Round;
use domain::{event::Progress, prices::Price};
use storage::{
    budgets::{Budget, Reservation, RoundEstimate},
    runs::Lease,
};

use crate::{
    Host, Reader, error_handler,
    llm_client::Stopped,
    reservation::{self, MAX_TRIES, TooLittle, fitting, is_reserved},
    session_manager::{Interrupted, RunSession},
    tokens,
};

/// How many bytes of an answer count as a token while it is written, which costs nothing to compute. Latin text has a tenth more.
const BYTES_PER_TOKEN: usize = 4;

/// The budget of a run's rounds.
#[derive(Debug)]
pub struct RunBudget {
    /// `None`: the operator's prices cannot be read, so that nobody knows what anything costs.
    price: Option<Price>,
    /// Whether anybody has a budget; `None` before it was asked.
    counts: Option<bool>,
    /// The round in flight, if something is reserved for it.
    round: Option<RoundEstimate>,
}

impl RunBudget {
    /// For rounds with this price. `None`: it cannot be read.
    #[must_use]
    pub const fn new(price: Option<Price>) -> Self {
        Self { price, counts: None, round: None }
    }

    /// The next rounds have this price: another provider is asked.
    pub const fn set_price(&mut self, price: Option<Price>) {
        self.price = price;
    }

    async fn counts<H: Host>(&mut self, host: &H) -> bool {
        match self.counts {
            Some(counts) => counts,
            None => *self.counts.insert(host.has_budgets().await),
        }
    }

    /// Settles a round that an executor began who has died: with its request, and with what readers were told of its answer.
    pub(crate) async fn settle_lost<H: Host>(
        &mut self,
        host: &H,
        lease: Lease,
        progress: &Progress,
    ) -> Result<(), Interrupted> {
        if self.counts(host).await {
            let told = tokens::estimate(&progress.text) + tokens::estimate(&progress.thinking);
            host.store().settle_budget(lease, true, told).await?;
        }
        Ok(())
    }

    /// Reserves for a request and its answer of at most so many tokens. If the whole answer does not fit, for one of half of what is left, so that others can go on, too.
    pub(crate) async fn reserve<H: Host, R: Reader>(
        &mut self,
        session: &RunSession<'_, H, R>,
        prompt_tokens: u64,
        answer_tokens: u64,
    ) -> Result<(), Stopped> {
        if !self.counts(session.host()).await {
            return Ok(());
        }
        if self.price.is_none()
            && session.host().store().has_budget_of_money(session.lease().run_id).await.map_err(Interrupted::from)?
        {
            return Err(Stopped::Failed(error_handler::unreadable_prices()));
        }
        let round = RoundEstimate { prompt_tokens, answer_tokens, price: self.price.unwrap_or_default() };
        let reserved = reservation::reserve(round, async |round| short(session, round).await).await?;
        let round = reserved.map_err(|TooLittle { budget, is_reserved }| {
            Stopped::Failed(error_handler::over_budget(&budget, is_reserved))
        })?;
        self.round = Some(round);
        Ok(())
    }

    /// Reserves more if the answer has become longer than what is reserved for it: twice as much, or all that is left.
    pub(crate) async fn cover<H: Host, R: Reader>(
        &mut self,
        session: &RunSession<'_, H, R>,
        heard: &Round,
    ) -> Result<(), Stopped> {
        let Some(round) = &mut self.round else { return Ok(()) };
        let needed = heard_bytes(heard).div_ceil(BYTES_PER_TOKEN) as u64;
        if needed <= round.answer_tokens {
            return Ok(());
        }
        let answer_tokens = round.answer_tokens.saturating_mul(2).max(needed);
        let mut longer = RoundEstimate { answer_tokens, ..*round };
        let mut tries = 1;
        while let Some(short) = reservation::shortest(short(session, longer).await?, longer) {
            let fits = fitting(&short, short.left, longer);
            if tries == MAX_TRIES || fits < needed {
                let is_reserved = is_reserved(&short, longer, needed);
                return Err(Stopped::Failed(error_handler::cut_by_budget(&short, is_reserved)));
            }
            longer.answer_tokens = fits;
            tries += 1;
        }
        *round = longer;
        Ok(())
    }

    /// Settles the round if the server has not said what it cost; if it has, that is settled when it is stored.
    pub(crate) async fn settle<H: Host, R: Reader>(
        &mut self,
        session: &RunSession<'_, H, R>,
        heard: &Round,
        end: &Result<(), Stopped>,
    ) -> Result<(), Interrupted> {
        let is_lost = matches!(
            end,
            Err(Stopped::Interrupted(Interrupted::LeaseLost | Interrupted::Storage(_) | Interrupted::Transition(_)))
        );
        // Some servers report zeros, which say nothing.
        let is_reported = heard.usage.is_some_and(|usage| usage.prompt_tokens > 0 || usage.completion_tokens > 0);
        if self.round.take().is_none() || is_reported || is_lost {
            return Ok(());
        }
        let is_unasked = !heard.has_begun() && matches!(end, Err(Stopped::Refused(_) | Stopped::Failed(_)));
        let answer = answer_tokens(heard);
        Ok(session.host().store().settle_budget(session.lease(), !is_unasked, answer).await?)
    }
}

/// Tries to reserve. The budgets that count, if one of them has too little left; else none.
async fn short<H: Host, R: Reader>(
    session: &RunSession<'_, H, R>,
    round: RoundEstimate,
) -> Result<Vec<Budget>, Interrupted> {
    match session.host().store().reserve_budget(session.lease(), round).await? {
        Reservation::Reserved => Ok(Vec::new()),
        Reservation::LeaseLost => Err(Interrupted::LeaseLost),
        Reservation::Short(budgets) => Ok(budgets),
    }
}

/// An estimate of the tokens of an answer, with its reasoning and its calls.
#[must_use]
pub fn answer_tokens(heard: &Round) -> u64 {
    let calls = heard.tool_calls.iter().map(|call| tokens::estimate(&call.name) + tokens::estimate(&call.arguments));
    tokens::estimate(&heard.text) + tokens::estimate(&heard.reasoning) + calls.sum::<u64>()
}

fn heard_bytes(round: &Round) -> usize {
    let calls = round.tool_calls.iter().map(|call| call.arguments.len());
    round.text.len() + round.reasoning.len() + calls.sum::<usize>()
}
