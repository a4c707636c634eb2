//! A tool provider. `provider!` lists its tools, and each tool is a function below. `docs/tools.md` is the guide.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Progress, Structured, provider, sleep, tool};
use upstream::{Http as _, Limits, Outside};

provider! { name: "letters", title: "Letters", tools: [count, count_down] }

/// A long loop delays all calls of the instance, so the work needs a limit.
const TEXT_MAX_BYTES: usize = 100_000;

// Each field's comment is its description in the model's schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Count {
    /// Where to look.
    text: String,
    /// The letter or word to count.
    wanted: String,
}

// With `Structured`, the result has a schema too. A tool may also return a plain `String`.
#[derive(Serialize, JsonSchema, Debug, PartialEq)]
struct Counted {
    /// How often it is there, capital or not.
    count: usize,
}

/// Counts how often a letter or word is in a text. Use it instead of counting yourself.
#[tool(title = "Count letters", read_only, closed_world)]
async fn count(arguments: Count) -> Result<Structured<Counted>, Failure> {
    Ok(Structured(Counted { count: occurrences(&arguments.text, &arguments.wanted)? }))
}

/// The tool's own work, so that a test can call it.
fn occurrences(text: &str, wanted: &str) -> Result<usize, Failure> {
    // The model reads this message and tries again: say what to do.
    if wanted.is_empty() {
        return Err(Failure::InvalidArguments("Say in `wanted` which letter or word to count.".to_owned()));
    }
    if text.len() > TEXT_MAX_BYTES {
        return Err(Failure::InvalidArguments(format!("Send at most {TEXT_MAX_BYTES} bytes of text at once.")));
    }
    Ok(text.to_lowercase().matches(&wanted.to_lowercase()).count())
}

// A tool that takes a while reports its progress.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CountDown {
    /// Where to begin.
    #[schemars(range(min = 1, max = 20))]
    start: u32,
}

const STEP: Duration = Duration::from_millis(300);

/// Counts down to zero. Use it when somebody wants to see a count-down.
#[tool(title = "Count down", read_only, closed_world)]
async fn count_down(arguments: CountDown, progress: &Progress) -> Result<String, Failure> {
    let start = arguments.start;
    for done in 0..start {
        progress.report(done, Some(start), &format!("{} to go", start - done)).await;
        sleep(STEP).await;
    }
    Ok("Lift-off.".to_owned())
}

// An API with a key: write its address here and, as `allowed_outbound_hosts = ["https://api.example.com"]`, into the section of
// `spin.toml`; then take `expect` away, and add to `provider!`, in front of its tools: secrets: [tool_provider::Secret { name: "key",
// title: "API key", description: "From your account there.", visible: false, optional: false }],
const API: &str = "https://api.example.com/";
const LIMITS: Limits = Limits { bytes: 100_000, wait: Duration::from_secs(20) };

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LookUp {}

// `context` also knows the person's language, `context.locale()`, and time zone, `context.time_zone()`.

/// Looks something up at api.example.com.
#[expect(dead_code, reason = "it is an example until `provider!` has it")]
#[tool(title = "Look up", read_only, secret = "key")]
async fn look_up(_: LookUp, context: &Context) -> Result<String, Failure> {
    let request = http::Request::get(API).header("authorization", format!("Bearer {}", context.secret("key")?));
    let request = request.body(Vec::new()).map_err(|error| Failure::UpstreamFailed(error.to_string()))?;
    let answer = Outside.send(request, LIMITS).await?;
    if answer.status() != http::StatusCode::OK {
        return Err(Failure::UpstreamFailed(format!("it answered {}", answer.status())));
    }
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_capital_or_not() {
        assert_eq!(occurrences("Strawberry, Rhubarb", "r"), Ok(5));
        assert_eq!(occurrences("", "r"), Ok(0));
    }

    #[test]
    fn what_is_to_be_counted_must_be_said() {
        assert!(matches!(occurrences("strawberry", ""), Err(Failure::InvalidArguments(_))));
    }
}
