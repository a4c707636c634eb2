//! Calendars by CalDAV (RFC 4791): tools that list, create, change and delete a person's events, and find free time.
//!
//! There is one file for each tool. Each tool is a thin function around one that takes the way out as a parameter (`upstream::Http`), so tests run it
//! against a real server. The server: `dav` finds calendars, `objects` reads and writes events, `xml` reads responses. iCalendar (RFC 5545):
//! `document` holds an object's lines and changes some of them, so that everything else stays; `series` computes an event's occurrences, with `rule`,
//! `repeat`, `extent` and `zones`; `target` finds the event that a change is about. `moment` has the model's form of times.
//!
//! The tools reach only the server in the person's settings, and send the password to no other server.

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
