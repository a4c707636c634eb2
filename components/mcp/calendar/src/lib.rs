//! Calendars by CalDAV (RFC 4791): what a person has planned, when they are free, and events made, changed and deleted.
//!
//! One file for each tool. Each tool is a thin function around one that takes the way out as a parameter (`upstream::Http`), so that tests
//! drive it against a real server. The server: `dav` finds calendars, `objects` reads and writes events, `xml` reads the answers.
//! iCalendar (RFC 5545): `document` has its lines, and changes some so that whatever is not understood stays; `series` says which times
//! an event has, by `rule`, `repeat`, `extent` and `zones`; `target` says what a change is about. `moment` is how the model writes times.
//!
//! Must not reach anything but the server in the person's settings, and must not send their password to another.

mod change_event;
mod create_event;
mod dav;
mod delete_event;
mod document;
mod etag;
mod extent;
mod free_busy;
mod line;
mod list_calendars;
mod list_events;
mod moment;
mod objects;
mod occurrences;
mod recurrence;
mod refusal;
mod repeat;
mod rule;
mod series;
mod stamp;
mod target;
#[cfg(test)]
mod tests;
mod times;
mod window;
mod xml;
mod zones;

use tool_provider::provider;

provider! {
    name: "calendar",
    title: "Calendar",
    instructions: "Events are named by the `id` and `etag` that `list_events` gives. Read an event before you change or delete it. \
                   Of an event that repeats, `occurrence` names the one that is meant. These tools invite nobody; a calendar server may tell the attendees of an event that it changed.",
    secrets: [
        tool_provider::provider::Secret {
            name: "url",
            title: "Address",
            description: "Where the calendars are (CalDAV): https:// and the server's name, or the whole address that your provider's help gives.",
            visible: true,
            optional: false,
        },
        tool_provider::provider::Secret {
            name: "username",
            title: "User name",
            description: "Your name at the calendar server; often your e-mail address.",
            visible: true,
            optional: false,
        },
        tool_provider::provider::Secret {
            name: "password",
            title: "Password",
            description: "Your password there. Many providers want an app password, which you make in their security settings.",
            visible: false,
            optional: false,
        },
    ],
    tools: [
        list_calendars::list_calendars,
        list_events::list_events,
        free_busy::free_busy,
        create_event::create_event,
        change_event::change_event,
        delete_event::delete_event,
    ],
}
