//! The clock: the current time, and computing with dates. Language models guess dates; these tools compute them, with the rules of every time zone
//! built in.
//!
//! One file for each tool: its arguments, its result, the tool, and a function that takes the current time, so that tests can choose it. `moment`
//! reads and writes times for all tools. Nothing here may reach anything but the system's clock.

mod add;
mod business_days;
mod calendar;
mod convert;
mod difference;
mod moment;
mod now;

use tool_provider::provider;

provider! {
    name: "clock",
    title: "Clock",
    instructions: "Never guess what day it is or compute with dates yourself: use these tools. \
                   Dates are written 2026-03-29, times 2026-03-29T14:30, moments 2026-03-29T14:30:00+02:00; `now` and `today` work too.",
    tools: [
        now::now,
        convert::convert,
        add::add,
        difference::difference,
        business_days::business_days,
        calendar::calendar,
    ],
}
