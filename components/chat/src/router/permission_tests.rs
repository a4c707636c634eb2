//! What every route answers to whom.

use super::*;

pub(super) fn routes<D: Database + 'static>(app: App<D>) -> Router {
    router(app, Arc::new(tests::config("")), |_, _, _| {})
}

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |_| router_test::permissions::compare_routes("chat", routes).await);
}

#[test]
fn somebody_elses_is_as_if_it_were_not_there() {
    router_test::paused(async |_| router_test::others::compare_others(routes).await);
}
