//! The calculator: exact arithmetic and units, for models that would guess.
//!
//! One file for each tool. `expression` reads and evaluates, `functions` are what it may call, `number` is exact arithmetic and how
//! it is written, `units` a table. Everything is bounded before it is computed, because nothing can interrupt a guest
//! (docs/adr/0014-calculator.md). No currencies: their rates are not a fact but a price.

mod calculate;
mod convert;
mod expression;
mod functions;
mod number;
mod units;

use tool_provider::provider;

provider! {
    name: "calculator",
    title: "Calculator",
    instructions: "Never compute in your head: use `calculate` for every arithmetic and `convert` for units. \
                   If `exact` is false, say that the result is rounded.",
    tools: [calculate::calculate, convert::convert],
}
