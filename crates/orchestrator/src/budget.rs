//! What a run may use: reserved before the model is asked, and settled with what was used (docs/adr/0038). Where nobody has a budget, it sends no
//! statement. Must not know whose budgets they are.

use completions::Round;
use domain::{
    event::Progress,
    prices::{MILLIONTHS, Price},
};
use storage::{
    budgets::{Budget, Reservation, RoundEstimate},
    runs::Lease,
};

use crate::{
    Host, Reader, error_handler,
    llm_client::Stopped,
    session_manager::{Interrupted, RunSession},
    tokens,
};

/// If less than this is left for an answer, the model is not asked: nobody can use half a paragraph.
const MIN_ANSWER_TOKENS: u64 = 256;
/// How often it is tried to reserve. Each smaller reservation fits what was left a moment ago, so more than two mean that others reserve, too.
const MAX_TRIES: u32 = 4;
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
        let mut round = RoundEstimate { prompt_tokens, answer_tokens, price: self.price.unwrap_or_default() };
        let mut tries = 1;
        while let Some(short) = reserved(session, round).await? {
            let fits = fitting(&short, short.left, round);
            if tries == MAX_TRIES || fits < MIN_ANSWER_TOKENS || round.answer_tokens <= MIN_ANSWER_TOKENS {
                let is_reserved = is_reserved(&short, round, MIN_ANSWER_TOKENS);
                return Err(Stopped::Failed(error_handler::over_budget(&short, is_reserved)));
            }
            round.answer_tokens = (fits / 2).clamp(MIN_ANSWER_TOKENS, round.answer_tokens);
            tries += 1;
        }
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
        while let Some(short) = reserved(session, longer).await? {
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
        let calls =
            heard.tool_calls.iter().map(|call| tokens::estimate(&call.name) + tokens::estimate(&call.arguments));
        let answer = tokens::estimate(&heard.text) + tokens::estimate(&heard.reasoning) + calls.sum::<u64>();
        Ok(session.host().store().settle_budget(session.lease(), !is_unasked, answer).await?)
    }
}

/// Reserves. The budget that has the least left for the answer, if it is too little.
async fn reserved<H: Host, R: Reader>(
    session: &RunSession<'_, H, R>,
    round: RoundEstimate,
) -> Result<Option<Budget>, Interrupted> {
    match session.host().store().reserve_budget(session.lease(), round).await? {
        Reservation::Reserved => Ok(None),
        Reservation::LeaseLost => Err(Interrupted::LeaseLost),
        Reservation::Short(budgets) => Ok(budgets.into_iter().min_by_key(|budget| fitting(budget, budget.left, round))),
    }
}

/// Whether an answer of this many tokens would fit if nothing were reserved for other runs.
fn is_reserved(budget: &Budget, round: RoundEstimate, answer_tokens: u64) -> bool {
    budget.left_unreserved > budget.left && fitting(budget, budget.left_unreserved, round) >= answer_tokens
}

/// The longest answer for which this much of a budget is enough, in tokens.
fn fitting(budget: &Budget, left: u64, round: RoundEstimate) -> u64 {
    let RoundEstimate { prompt_tokens, price, .. } = round;
    if !budget.kind.is_money() {
        return left.saturating_sub(prompt_tokens);
    }
    let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
    let left = product(left, MILLIONTHS).checked_sub(product(prompt_tokens, price.input));
    let fits = left.map(|left| left.checked_div(price.output.into()).unwrap_or(u128::MAX));
    fits.map_or(0, |tokens| u64::try_from(tokens).unwrap_or(u64::MAX))
}

fn heard_bytes(round: &Round) -> usize {
    let calls = round.tool_calls.iter().map(|call| call.arguments.len());
    round.text.len() + round.reasoning.len() + calls.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use storage::limits::{LimitKind, Subject};

    use super::*;

    #[test]
    fn an_answer_fits_the_tokens_or_the_money_that_is_left() {
        let price = Price { input: 1_000_000, output: 4_000_000 };
        let fits = |kind, left, price| {
            let (subject, at) = (Subject::Installation, Timestamp::from_millis(0));
            let budget = Budget { subject, kind, amount: 0, left, left_unreserved: left, at };
            fitting(&budget, left, RoundEstimate { prompt_tokens: 100, answer_tokens: 0, price })
        };
        assert_eq!(fits(LimitKind::TokensPerDay, 400, price), 300);
        assert_eq!(fits(LimitKind::TokensPerDay, 50, price), 0);
        assert_eq!(fits(LimitKind::CostPerDay, 500, price), 100, "100 for the request, 4 for each token");
        assert_eq!(price.cost(100, 100), 500);
        assert_eq!(fits(LimitKind::CostPerMonth, 99, price), 0);
        assert_eq!(fits(LimitKind::CostPerMonth, 0, Price::default()), u64::MAX, "of a model without a price");
    }
}
