//! The script: the knobs in a model's name. Must not look at the request's messages.

use std::time::Duration;

use axum::http::StatusCode;

use crate::failure::ScriptedFailure;

/// The prefix of every model's name.
pub(crate) const PREFIX: &str = "scripted";

/// More chunks than any test or benchmark streams; each costs about 300 bytes while its stream lasts.
const CHUNKS_MAX: usize = 100_000;
/// The largest single chunk: beyond what any client should accept in one event.
const SIZE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// More rounds and parallel calls than any loop of tool calls allows.
const CALLS_MAX: usize = 128;
/// Longer than any client waits.
const WAIT_MAX_MS: u64 = 600_000;

/// A pleasant speed: about a hundred words in two and a half seconds.
const DELAY_DEFAULT_MS: u64 = 25;
/// The time to the first token of a fast model.
const TTFT_DEFAULT_MS: u64 = 200;

/// The knobs, for people.
const KNOBS: &str = "\
A model's name is `scripted`, followed by any of these, each with a dash before it:
  chunks=N              content chunks
  delay=MS              between chunks; 0: as fast as it can, many events per write
  ttft=MS               before the first chunk
  reasoning=N           N chunks of reasoning first, in the field `reasoning_content`
  reasoning_field=NAME  `reasoning` or `reasoning_content`
  tool=NAME             asks for this tool; arguments: the last user message if it is a JSON object
  tools=N               N calls at once
  rounds=N              asks for tools in the first N rounds
  obey=1                follows `CALL tool_name {json}` anywhere in the last message, tool output included
  echo=1                answers exactly the last user message
  size=BYTES            one chunk of this size
  finish=REASON         `length` or `content_filter` instead of `stop`
  refusal=1             answers in `delta.refusal`
  nousage=1  nodone=1   leaves out the usage, or `[DONE]`
  crlf=1  comments=1  split=1
                        line ends; comment lines; writes cut anywhere, inside characters too
  fail=STATUS           400, 401, 429, 500 or 503, with retry_after=S
  reset=N  silence=N  midstream_error=N  badjson=N
                        after N chunks: cuts the connection (0: before the head), says nothing more,
                        sends an error, sends a line that is not JSON
  failures=K            only the first K requests with these messages suffer the faults above
  test=KEY              names the test: `GET /_journal?test=KEY`, and failures=K counts by it
For example: scripted-chunks=50-delay=20-ttft=100";

/// The knobs of a model's name, as text for a terminal.
pub fn knobs() -> &'static str {
    KNOBS
}

/// The knobs of a model's name.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) chunks: Option<usize>,
    pub(crate) delay: Duration,
    pub(crate) ttft: Duration,
    pub(crate) reasoning: usize,
    pub(crate) reasoning_field: &'static str,
    pub(crate) tool: Option<String>,
    pub(crate) parallel_calls: Option<usize>,
    pub(crate) rounds: Option<usize>,
    pub(crate) obey: bool,
    pub(crate) echo: bool,
    pub(crate) size_bytes: Option<usize>,
    pub(crate) finish: Option<&'static str>,
    pub(crate) refusal: bool,
    pub(crate) usage: bool,
    pub(crate) wire: Wire,
    pub(crate) faults: Faults,
    /// Only this many first requests have the `faults`; `None`: all have.
    pub(crate) failures: Option<u32>,
    pub(crate) test: Option<String>,
}

/// How events are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire {
    pub(crate) crlf: bool,
    pub(crate) comments: bool,
    pub(crate) split: bool,
}

/// The faults. Numbers count the chunks before a fault.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) fail: Option<StatusCode>,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) reset: Option<usize>,
    pub(crate) silence: Option<usize>,
    pub(crate) midstream_error: Option<usize>,
    pub(crate) bad_json: Option<usize>,
    pub(crate) no_done: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            chunks: None,
            delay: Duration::from_millis(DELAY_DEFAULT_MS),
            ttft: Duration::from_millis(TTFT_DEFAULT_MS),
            reasoning: 0,
            reasoning_field: "reasoning_content",
            tool: None,
            parallel_calls: None,
            rounds: None,
            obey: false,
            echo: false,
            size_bytes: None,
            finish: None,
            refusal: false,
            usage: true,
            wire: Wire::default(),
            faults: Faults::default(),
            failures: None,
            test: None,
        }
    }
}

impl Script {
    /// Parses a model's name. 404 `model_not_found` for a name of another model, 400 for an unknown knob.
    pub(crate) fn parse(model: &str) -> Result<Self, ScriptedFailure> {
        let rest = model.strip_prefix(PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('-'));
        let Some(rest) = rest else {
            return Err(ScriptedFailure::new(
                StatusCode::NOT_FOUND,
                "invalid_request_error",
                Some("model_not_found"),
                format!("The model `{model}` does not exist here: this is the scripted model, ask for `{PREFIX}`."),
            ));
        };
        let mut script = Self::default();
        for (key, value) in pairs(rest) {
            script.set(&key, &value)?;
        }
        Ok(script)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ScriptedFailure> {
        let count = |max| number(key, value, max);
        let wait = || number(key, value, WAIT_MAX_MS).map(Duration::from_millis);
        match key {
            "chunks" => self.chunks = Some(count(CHUNKS_MAX)?),
            "delay" => self.delay = wait()?,
            "ttft" => self.ttft = wait()?,
            "reasoning" => self.reasoning = count(CHUNKS_MAX)?,
            "reasoning_field" => {
                self.reasoning_field = one_of(key, value, &["reasoning", "reasoning_content"])?;
            }
            "tool" => self.tool = Some(value.to_owned()),
            "tools" => self.parallel_calls = Some(count(CALLS_MAX)?),
            "rounds" => self.rounds = Some(count(CALLS_MAX)?),
            "obey" => self.obey = flag(key, value)?,
            "echo" => self.echo = flag(key, value)?,
            "size" => self.size_bytes = Some(count(SIZE_MAX_BYTES)?),
            "finish" => self.finish = Some(one_of(key, value, &["stop", "length", "content_filter"])?),
            "refusal" => self.refusal = flag(key, value)?,
            "nousage" => self.usage = !flag(key, value)?,
            "nodone" => self.faults.no_done = flag(key, value)?,
            "crlf" => self.wire.crlf = flag(key, value)?,
            "comments" => self.wire.comments = flag(key, value)?,
            "split" => self.wire.split = flag(key, value)?,
            "fail" => {
                let status = one_of(key, value, &["400", "401", "429", "500", "503"])?;
                self.faults.fail = StatusCode::from_bytes(status.as_bytes()).ok();
            }
            "retry_after" => self.faults.retry_after_s = Some(number(key, value, WAIT_MAX_MS / 1000)?),
            "reset" => self.faults.reset = Some(count(CHUNKS_MAX)?),
            "silence" => self.faults.silence = Some(count(CHUNKS_MAX)?),
            "midstream_error" => self.faults.midstream_error = Some(count(CHUNKS_MAX)?),
            "badjson" => self.faults.bad_json = Some(count(CHUNKS_MAX)?),
            "failures" => self.failures = Some(number(key, value, u32::MAX)?),
            "test" => self.test = Some(value.to_owned()),
            _ => return Err(ScriptedFailure::invalid("model", format!("No knob is called `{key}`. {KNOBS}"))),
        }
        Ok(())
    }
}

/// Splits `-a=1-b=x-y` into `a` = `1` and `b` = `x-y`: values such as tool names may contain dashes.
fn pairs(rest: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in rest.split('-').skip(1) {
        match (part.split_once('='), pairs.last_mut()) {
            (Some((key, value)), _) => pairs.push((key.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push('-');
                value.push_str(part);
            }
            (None, None) => pairs.push((part.to_owned(), String::new())),
        }
    }
    pairs
}

fn number<T>(key: &str, value: &str, max: T) -> Result<T, ScriptedFailure>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match value.parse::<T>() {
        Ok(number) if number <= max => Ok(number),
        _ => Err(ScriptedFailure::invalid("model", format!("`{key}={value}`: a number from 0 to {max} is needed."))),
    }
}

fn flag(key: &str, value: &str) -> Result<bool, ScriptedFailure> {
    Ok(number::<u8>(key, value, 1)? == 1)
}

fn one_of(key: &str, value: &str, allowed: &[&'static str]) -> Result<&'static str, ScriptedFailure> {
    allowed.iter().copied().find(|name| *name == value).ok_or_else(|| {
        ScriptedFailure::invalid("model", format!("`{key}={value}`: one of {} is needed.", allowed.join(", ")))
    })
}
