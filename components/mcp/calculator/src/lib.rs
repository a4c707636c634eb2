//! The calculator: exact arithmetic and units, for models that would otherwise guess.
//!
//! One file for each tool. `expression` reads and evaluates expressions, `functions` has their functions, `number` computes exactly and writes
//! numbers, `units` is a table. Everything is bounded before it is computed, because nothing can interrupt a guest (docs/adr/0014-calculator.md). No
//! currencies: a rate is not a fact but a price.

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
