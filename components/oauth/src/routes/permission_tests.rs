//! What every route answers to whom.

use serde_json::Value;

use super::{tests::Scripted, *};

pub(super) fn routes<D: Database + 'static>(app: App<D>) -> Router {
    let config = Config { signing_key: String::new(), reads_documents: true, client_address_header: None };
    router(app, config, Scripted(Value::Null))
}

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |_| router_test::permissions::compare_routes("oauth", routes).await);
}

#[test]
fn somebody_elses_is_as_if_it_were_not_there() {
    router_test::paused(async |_| router_test::others::compare_others(routes).await);
}
