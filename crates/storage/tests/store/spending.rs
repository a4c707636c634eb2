//! What somebody spent since two moments: what their runs know, and the tokens of those that do not know it.

use domain::{Id, Timestamp, prices::Price};
use storage::{Database, Statement, usage::ModelUsage};

use crate::{
    fixture::Fixture,
    places::{Place, block_on},
};

crate::on_each_database! {
    what_was_spent_is_told_since_both_moments_and_what_nobody_knows_apart,
}

fn what_was_spent_is_told_since_both_moments_and_what_nobody_knows_apart(place: Place) {
    let fixture = Fixture::new(place);
    let (ada, eve) = (fixture.user("ada@example.org"), fixture.user("eve@example.org"));
    let database = fixture.another_connection();
    let at = |millis: i64| Timestamp::from_millis(1_800_000_000_000 + millis);
    // Since the first moment, since the second, in another currency, without a cost, before both, and somebody else's.
    for (user, millis, model, tokens, cost) in [
        (&ada, 10, "a", 100, "7, 'EUR'"),
        (&ada, 60, "a", 10, "5, 'EUR'"),
        (&ada, 61, "a", 20, "9, 'USD'"),
        (&ada, 62, "b", 30, "NULL, NULL"),
        (&ada, -90_000_000, "a", 1_000, "70, 'EUR'"),
        (&eve, 63, "a", 5_000, "700, 'EUR'"),
    ] {
        let conversation = fixture.conversation(user);
        let id = Id::first_of(at(millis));
        let sql = format!(
            "INSERT INTO runs (id, conversation_id, user_id, message_id, model, state, attempt, lease_expires_at, cancel_requested,
                 prompt_tokens, completion_tokens, created_at, updated_at, cost, currency)
             VALUES ('{id}', '{conversation}', '{}', 'm', '{model}', 'complete', 1, 0, 0, {tokens}, 1, {1}, {1}, {cost})",
            user.id,
            at(millis).as_millis(),
        );
        block_on(database.query(Statement::new("t", sql, []))).unwrap();
    }
    let [longer, shorter] = block_on(fixture.store.spent_by(ada.id, [at(0), at(50)], "EUR")).unwrap();
    let used = |model: &str, prompt_tokens, completion_tokens, cost, uncosted| ModelUsage {
        model: model.to_owned(),
        prompt_tokens,
        completion_tokens,
        cost,
        uncosted,
    };
    assert_eq!(longer, [used("a", 130, 3, 12, (20, 1)), used("b", 30, 1, 0, (30, 1))]);
    assert_eq!(shorter, [used("a", 30, 2, 5, (20, 1)), used("b", 30, 1, 0, (30, 1))]);
    // At today's price, or at none.
    let price = Price { input: 1_000_000, output: 2_000_000 };
    assert_eq!(longer[0].cost_at(Some(price)), (12 + 22, 0));
    assert_eq!(longer[1].cost_at(None), (0, 31));
}
