//! What this component says about its routes, held against the router and `static/public/openapi.json`.

use utoipa::OpenApi as _;

use super::permission_tests::routes;
use crate::{assistants, conversations, memories, messages, runs, usage};

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        assistants::list,
        assistants::create,
        assistants::read,
        assistants::update,
        assistants::delete,
        assistants::list_groups,
        conversations::list,
        conversations::create,
        conversations::read,
        conversations::update,
        conversations::delete,
        memories::list,
        memories::switch,
        memories::delete_all,
        memories::update,
        memories::delete,
        messages::list,
        messages::send,
        runs::read,
        runs::decide,
        runs::cancel,
        runs::retry,
        usage::read,
    ),
    tags(
        (name = "Conversations", description = "One's own conversations, and the messages in them."),
        (name = "Assistants", description = "Settings under a name, one's own or shared with groups."),
        (name = "Memories", description = "What one had remembered in conversations, for all of them."),
        (name = "Runs", description = "A run is the work of answering one message. Storing the message queues it; the first reader of its events starts it, and it goes on when the reader leaves."),
        (name = "Usage", description = "What one uses."),
    ),
)]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| router_test::openapi::compare(Description::openapi(), routes).await);
}
