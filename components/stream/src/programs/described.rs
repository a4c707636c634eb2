//! The refusals of the routes below `/v1`, described once.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, PartialSchema as _,
    openapi::{ContentBuilder, RefOr, Response, ResponseBuilder},
};

/// Of what is passed on: status and codes.
const PASSED_ON: [(&str, &str); 6] = [
    (
        "400",
        "`invalid_request`: it cannot be passed on. `api_not_offered`: the provider has no such route, or the model is an assistant and is asked elsewhere.",
    ),
    ("403", "`forbidden`: none of the roles has the model."),
    ("404", "`model_not_found`: the installation does not offer the model."),
    ("429", "`rate_limited`: too many in a minute. `budget`: a budget of tokens or money is used up."),
    (
        "502",
        "`provider_unreachable`: it cannot be reached. `provider_empty`: its answer is empty. `provider_key_refused`: it refuses the installation's key. `provider_account_empty`: nothing is left there. `provider_moved`: it has another address.",
    ),
    ("504", "`provider_silent`: it does not answer in time."),
];

/// What the provider itself says.
const OF_PROVIDER: &str = "`provider_refused`: the provider refuses it or fails, in its words and with its status.";

/// What there is besides where assistants answer.
const OF_ASSISTANTS: [(&str, &str); 5] = [
    ("400", "`context_length`: what the assistant would have to read is longer than its model reads."),
    ("404", "The same if there is no such assistant. `not_found`: the account has been deleted."),
    ("409", "`cancelled`: somebody stopped the assistant."),
    (
        "502",
        "`answer_unfit`: the assistant's answer does not fit the form that is wanted. `run_failed`: the assistant came to no end.",
    ),
    (
        "504",
        "`answer_late`: the assistant took longer than ten minutes for an answer that is not streamed, and was stopped.",
    ),
];

/// Where models answer.
pub(super) struct Refusals;

/// Where models and assistants answer.
pub(super) struct AssistantRefusals;

fn responses(more: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let mut said = BTreeMap::<&str, String>::new();
    for (status, codes) in PASSED_ON.iter().chain(more) {
        let words = said.entry(status).or_default();
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(codes);
    }
    let any = ContentBuilder::new().schema(Some(serde_json::Value::schema())).build();
    let of_provider = ResponseBuilder::new().description(OF_PROVIDER).content("application/json", any).build();
    let said = said.into_iter().map(|(status, words)| (status, ResponseBuilder::new().description(words).build()));
    let all = said.chain([("default", of_provider)]);
    all.map(|(status, response)| (status.to_owned(), RefOr::T(response))).collect()
}

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[])
    }
}

impl IntoResponses for AssistantRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&OF_ASSISTANTS)
    }
}
