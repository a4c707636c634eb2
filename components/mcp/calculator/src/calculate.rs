//! The tool that computes an expression.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Failure, Structured, tool};

use crate::expression;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calculate {
    /// For example `(19.99 * 3 + 4.5) * 1.19`, `200 - 15%`, `15% of 80` or `round(1000 * 1.05^10, 2)`. Operators: + - * / ^ ! and %
    /// (percent; between two numbers the remainder, before a negative number mod(x, y); `x + y%` adds y percent of x). Numbers without thousands separators. Functions:
    /// sqrt cbrt root(x, n) abs sign floor ceil trunc round(x, places) min max sum mean median gcd lcm mod(a, b) ncr(n, k) npr(n, k)
    /// ln log10 log2 log(x, base) exp, and in radians sin cos tan asin acos atan. Constants: pi, e.
    expression: String,
}

/// A number as text, because JSON's numbers are not exact.
#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Calculated {
    /// The number, in decimal.
    pub(crate) result: String,
    /// Whether `result` is the exact value; if not, it is rounded.
    pub(crate) exact: bool,
    /// What there is to say about its meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<&'static str>,
}

/// Computes an arithmetic expression exactly, with numbers of any usual size: 0.1 + 0.2 is 0.3. Use it for every calculation, however
/// simple it looks: sums, prices, percentages, interest, statistics.
#[tool(title = "Calculate", read_only, closed_world)]
pub(crate) async fn calculate(arguments: Calculate) -> Result<Structured<Calculated>, Failure> {
    let (value, note) = expression::evaluate_with_note(&arguments.expression).map_err(Failure::InvalidArguments)?;
    let (result, exact) = value.write();
    Ok(Structured(Calculated { result, exact, note }))
}
