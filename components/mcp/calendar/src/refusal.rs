//! Messages for a server's refusals: what they mean to a person, and what to do next. The server's own text may be anything, so it is not shown.

use http::{Response, StatusCode, header};
use tool_provider::Failure;

/// Addresses in messages are cut: nobody types longer ones.
const LOCATION_CHARS_MAX: usize = 200;

/// The event is not the version that was read.
pub(crate) fn changed_meanwhile() -> Failure {
    Failure::InvalidArguments(
        "The event was changed meanwhile: read it again with `list_events`, and use the etag that it has now.".into(),
    )
}

pub(crate) fn no_caldav() -> Failure {
    Failure::NotConfigured(
        "There is no CalDAV server at the address in the settings of this tool: look for the CalDAV address in your calendar provider's help."
            .into(),
    )
}

pub(crate) fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::UpstreamFailed(format!("The calendar server cannot be asked that way: {error}."))
}

pub(crate) fn refused(response: &Response<Vec<u8>>) -> Failure {
    match response.status() {
        StatusCode::UNAUTHORIZED => Failure::NotConfigured(
            "The calendar server does not take the user name and password: enter them again in the settings of this tool. \
             Many providers want an app password."
                .into(),
        ),
        StatusCode::FORBIDDEN | StatusCode::CONFLICT if says(response, "no-uid-conflict") => Failure::UpstreamFailed(
            "The calendar server already has this event in another place, and accepts it only once.".into(),
        ),
        StatusCode::FORBIDDEN | StatusCode::CONFLICT if says(response, "valid-calendar-") => Failure::UpstreamFailed(
            "The calendar server does not accept an event like this one: change it in another program.".into(),
        ),
        StatusCode::FORBIDDEN => Failure::UpstreamFailed(
            "The calendar server does not allow that: the calendar belongs to somebody else or is read-only. \
             `list_calendars` says which calendars are writable."
                .into(),
        ),
        StatusCode::NOT_FOUND | StatusCode::GONE => Failure::InvalidArguments(
            "There is no such calendar or event: `list_calendars` and `list_events` list the existing ones.".into(),
        ),
        StatusCode::PRECONDITION_FAILED => changed_meanwhile(),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => no_caldav(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Failure::UpstreamFailed("The calendar server has too much to do: try again in some minutes.".into())
        }
        status if status.is_redirection() => {
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("another place");
            Failure::UpstreamFailed(format!(
                "The calendar server redirects to {}: enter that address in this tool's settings.",
                shortened(to)
            ))
        }
        StatusCode::INSUFFICIENT_STORAGE => {
            Failure::UpstreamFailed("The calendar server has no room left: delete something there first.".into())
        }
        status => Failure::UpstreamFailed(format!("The calendar server did not do that: its answer was {status}.")),
    }
}

/// The failure of a query for events.
pub(crate) fn refused_report(response: &Response<Vec<u8>>) -> Failure {
    let is_much = matches!(response.status(), StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE);
    if is_much || says(response, "number-of-matches-within-limits") {
        return Failure::UpstreamFailed(
            "The calendar server does not give so many events at once: ask for less time at once.".into(),
        );
    }
    refused(response)
}

/// The response is empty or cannot be read.
pub(crate) fn unreadable() -> Failure {
    Failure::UpstreamFailed(
        "The calendar server's answer is empty or cannot be read: try again in some minutes.".into(),
    )
}

/// Whether the response names a condition (RFC 4918 section 16).
fn says(response: &Response<Vec<u8>>, name: &str) -> bool {
    response.body().windows(name.len()).any(|part| part == name.as_bytes())
}

fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(LOCATION_CHARS_MAX).collect()
}
