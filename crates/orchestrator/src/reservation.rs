//! How much is reserved in budgets for a request to a model: for its whole answer, or for one of half of what is left, so that others can go on, too. Runs
//! and requests of programs reserve alike. Must not know whose budgets they are.

use domain::prices::MILLIONTHS;
use storage::budgets::{Budget, RoundEstimate};

/// If less than this is left for an answer, the model is not asked: nobody can use half a paragraph.
const MIN_ANSWER_TOKENS: u64 = 256;
/// How often it is tried to reserve. Each smaller reservation fits what was left a moment ago, so more than two mean that others reserve, too.
pub(crate) const MAX_TRIES: u32 = 4;

/// Too little is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TooLittle {
    /// The budget that has the least left.
    pub budget: Budget,
    /// It would be enough if nothing were reserved for other answers in progress.
    pub is_reserved: bool,
}

/// Reserves with `try_to`, which says which budgets are short; none of them: it is reserved. It returns what is reserved in the end.
///
/// # Errors
/// Those of `try_to`.
pub async fn reserve<E>(
    mut estimate: RoundEstimate,
    mut try_to: impl AsyncFnMut(RoundEstimate) -> Result<Vec<Budget>, E>,
) -> Result<Result<RoundEstimate, TooLittle>, E> {
    let mut tries = 1;
    // A request whose answer is known to be short needs no more room than that.
    let least = MIN_ANSWER_TOKENS.min(estimate.answer_tokens);
    while let Some(short) = shortest(try_to(estimate).await?, estimate) {
        let fits = fitting(&short, short.left, estimate);
        if tries == MAX_TRIES || fits < least || estimate.answer_tokens <= least {
            let is_reserved = is_reserved(&short, estimate, least);
            return Ok(Err(TooLittle { budget: short, is_reserved }));
        }
        estimate.answer_tokens = (fits / 2).clamp(least, estimate.answer_tokens);
        tries += 1;
    }
    Ok(Ok(estimate))
}

/// Of some budgets, the one that has the least left for the answer.
pub(crate) fn shortest(budgets: Vec<Budget>, estimate: RoundEstimate) -> Option<Budget> {
    budgets.into_iter().min_by_key(|budget| fitting(budget, budget.left, estimate))
}

/// Whether an answer of this many tokens would fit if nothing were reserved for others.
pub(crate) fn is_reserved(budget: &Budget, estimate: RoundEstimate, answer_tokens: u64) -> bool {
    budget.left_unreserved > budget.left && fitting(budget, budget.left_unreserved, estimate) >= answer_tokens
}

/// The longest answer for which this much of a budget is enough, in tokens.
pub(crate) fn fitting(budget: &Budget, left: u64, estimate: RoundEstimate) -> u64 {
    let RoundEstimate { prompt_tokens, price, .. } = estimate;
    if !budget.kind.is_money() {
        return left.saturating_sub(prompt_tokens);
    }
    let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
    let left = product(left, MILLIONTHS).checked_sub(product(prompt_tokens, price.input));
    let fits = left.map(|left| left.checked_div(price.output.into()).unwrap_or(u128::MAX));
    fits.map_or(0, |tokens| u64::try_from(tokens).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use domain::{Timestamp, prices::Price};
    use storage::limits::{LimitKind, Subject};

    use super::*;

    fn budget(kind: LimitKind, left: u64) -> Budget {
        let (subject, at) = (Subject::Installation, Timestamp::from_millis(0));
        Budget { subject, kind, amount: 0, left, left_unreserved: left, at }
    }

    #[test]
    fn an_answer_fits_the_tokens_or_the_money_that_is_left() {
        let price = Price { input: 1_000_000, output: 4_000_000 };
        let fits = |kind, left, price| {
            fitting(&budget(kind, left), left, RoundEstimate { prompt_tokens: 100, answer_tokens: 0, price })
        };
        assert_eq!(fits(LimitKind::TokensPerDay, 400, price), 300);
        assert_eq!(fits(LimitKind::TokensPerDay, 50, price), 0);
        assert_eq!(fits(LimitKind::CostPerDay, 500, price), 100, "100 for the request, 4 for each token");
        assert_eq!(price.cost(100, 100), 500);
        assert_eq!(fits(LimitKind::CostPerMonth, 99, price), 0);
        assert_eq!(fits(LimitKind::CostPerMonth, 0, Price::default()), u64::MAX, "of a model without a price");
    }

    #[test]
    fn what_does_not_fit_gets_half_of_what_is_left_or_is_refused() {
        let reserved = |left: u64, answer_tokens| {
            let estimate = RoundEstimate { prompt_tokens: 100, answer_tokens, price: Price::default() };
            let budget = budget(LimitKind::TokensPerDay, left);
            let short = async |estimate: RoundEstimate| {
                let needed = estimate.prompt_tokens + estimate.answer_tokens;
                Ok::<_, ()>(if needed > left { vec![budget.clone()] } else { Vec::new() })
            };
            let reserved = futures::executor::block_on(reserve(estimate, short)).unwrap();
            reserved.ok().map(|estimate| estimate.answer_tokens)
        };
        assert_eq!(reserved(20_000, 10_000), Some(10_000));
        assert_eq!(reserved(4_100, 10_000), Some(2_000));
        assert_eq!(reserved(400, 10_000), Some(256));
        assert_eq!(reserved(300, 10_000), None);
        assert_eq!(reserved(110, 10), Some(10), "a short answer needs little");
        assert_eq!((reserved(105, 10), reserved(100, 0), reserved(99, 0)), (None, Some(0), None));
    }
}
