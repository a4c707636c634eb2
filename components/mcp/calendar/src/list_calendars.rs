//! The tool `list_calendars`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};
use upstream::{Http, Outside};

use crate::dav::Server;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListCalendars {}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Calendars {
    calendars: Vec<Calendar>,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Calendar {
    /// To name it in other calls.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Whether events can be made and changed in it.
    pub(crate) writable: bool,
}

/// Lists the person's calendars. Use it when they mean a particular one, or to learn where a new event can go.
#[tool(title = "List calendars", read_only, secret = "url", secret = "username", secret = "password")]
pub(crate) async fn list_calendars(_: ListCalendars, context: &Context) -> Result<Structured<Calendars>, Failure> {
    let calendars = run(context, &Outside).await?;
    Ok(Structured(Calendars { calendars }))
}

pub(crate) async fn run<T: Http>(context: &Context, transport: &T) -> Result<Vec<Calendar>, Failure> {
    let found = Server::new(context, transport)?.calendars().await?;
    let calendar = |calendar: crate::dav::Calendar| Calendar {
        id: calendar.id,
        name: calendar.name,
        description: calendar.description,
        writable: calendar.is_writable,
    };
    Ok(found.into_iter().map(calendar).collect())
}
