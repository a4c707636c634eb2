//! Reads a request as far as it must be known, and writes it for a provider: the same fields in the same order, each value byte for byte.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

use crate::{Endpoint, tokens};

/// More than APIs have: a body with thousands of fields is no request.
const MAX_FIELDS: usize = 256;
/// What a request says about its stream.
const STREAM_OPTIONS: &str = "stream_options";
/// The field of these that has the tokens reported at the end.
const INCLUDE_USAGE: &str = "include_usage";
/// Whether a provider keeps the answer.
const STORE: &str = "store";

/// Fields with which an answer refers to something that a provider keeps. All programs here use one account at it, so a reference could be to what
/// somebody else said.
const KEPT_ELSEWHERE: [&str; 3] = ["previous_response_id", "conversation", "background"];

/// Why a request cannot go on. The messages quote no values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRequest {
    /// It is no JSON object, or has a field twice.
    #[error("the body is not a JSON object that can be read: {0}")]
    Json(String),
    /// It is nested too deeply.
    #[error("the body is nested too deeply")]
    TooDeep,
    /// It names no model.
    #[error("name a model: the field model must be a text")]
    Model,
    /// `stream` is neither true nor false.
    #[error("the field stream must be true or false")]
    Stream,
    /// It refers to an answer that a provider keeps.
    #[error(
        "{0} is not taken here: this installation keeps no answers at a provider. Send the whole conversation in each request"
    )]
    Kept(&'static str),
}

impl InvalidRequest {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) | Self::TooDeep => None,
            Self::Model => Some("model"),
            Self::Stream => Some("stream"),
            Self::Kept(field) => Some(field),
        }
    }
}

/// A request of a program.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    endpoint: Endpoint,
    body: &'a [u8],
    fields: Fields<'a>,
    model: Cow<'a, str>,
    streams: bool,
    prompt_tokens: u64,
}

/// The fields, in order, each once.
#[derive(Clone, Debug)]
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        self.get(name).and_then(|value| serde_json::from_str(value.get()).ok())
    }
}

/// A name that borrows if it can.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Self::Value = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    // Of two with one name, we might check the one and the provider use the other.
                    if fields.iter().any(|(known, _)| *known == name) || fields.len() >= MAX_FIELDS {
                        return Err(serde::de::Error::custom("a field is there twice, or there are too many"));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Reader).map(Self)
    }
}

impl<'a> Request<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn read(endpoint: Endpoint, body: &'a [u8]) -> Result<Self, InvalidRequest> {
        let odd = |error: serde_json::Error| InvalidRequest::Json(error.to_string());
        let fields: Fields<'a> = serde_json::from_slice(body).map_err(odd)?;
        let model = fields.read("model").map(|Name(model)| model).filter(|model| !model.is_empty());
        let model = model.ok_or(InvalidRequest::Model)?;
        let streams = match fields.get("stream").map(RawValue::get) {
            Some("true") => true,
            None | Some("false" | "null") => false,
            Some(_) => return Err(InvalidRequest::Stream),
        };
        if endpoint == Endpoint::Responses {
            let is_said =
                |field: &&&str| !matches!(fields.get(field).map(RawValue::get), None | Some("null" | "false"));
            if let Some(field) = KEPT_ELSEWHERE.iter().find(is_said) {
                return Err(InvalidRequest::Kept(field));
            }
        }
        let mut prompt_tokens = 0_u64;
        for (name, value) in &fields.0 {
            let tokens = tokens::of(value).ok_or(InvalidRequest::TooDeep)?;
            prompt_tokens = prompt_tokens.saturating_add(if name == "model" { 0 } else { tokens });
        }
        Ok(Self { endpoint, body, fields, model, streams, prompt_tokens })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer comes piece by piece.
    #[must_use]
    pub const fn streams(&self) -> bool {
        self.streams
    }

    /// An estimate of the request's tokens.
    #[must_use]
    pub const fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    /// The most tokens that the answer may have, if the request says it: of all answers, if it wants several. 0: there is none.
    #[must_use]
    pub fn answer_tokens(&self) -> Option<u64> {
        if self.endpoint == Endpoint::Embeddings {
            return Some(0);
        }
        let limits = ["max_completion_tokens", "max_output_tokens", "max_tokens"];
        let most = limits.into_iter().find_map(|field| self.fields.read::<u64>(field))?;
        Some(most.saturating_mul(self.fields.read::<u64>("n").unwrap_or(1).max(1)))
    }

    /// Whether the tokens of a stream are reported only because we ask for it, so that the program is not to see the report.
    #[must_use]
    pub fn asks_for_usage(&self) -> bool {
        let options: Option<Map<String, Value>> = self.fields.read(STREAM_OPTIONS);
        let is_wanted = options.is_some_and(|options| options.get(INCLUDE_USAGE) == Some(&Value::Bool(true)));
        self.endpoint == Endpoint::ChatCompletions && self.streams && !is_wanted
    }

    /// The body for a provider. It is the program's own, but for two fields: a stream of Chat Completions reports its tokens, if `reports_usage`, and an
    /// answer of Responses is kept nowhere unless the program says so.
    #[must_use]
    pub fn body(&self, reports_usage: bool) -> Cow<'a, [u8]> {
        let (field, value) = if reports_usage && self.asks_for_usage() {
            let mut options: Map<String, Value> = self.fields.read(STREAM_OPTIONS).unwrap_or_default();
            options.insert(INCLUDE_USAGE.to_owned(), Value::Bool(true));
            (STREAM_OPTIONS, Value::Object(options).to_string())
        } else if self.endpoint == Endpoint::Responses && self.fields.get(STORE).is_none() {
            (STORE, "false".to_owned())
        } else {
            return Cow::Borrowed(self.body);
        };
        let mut body = Vec::with_capacity(self.body.len().saturating_add(64));
        let others = self.fields.0.iter().filter(|(name, _)| name != field);
        for (name, value) in others.map(|(name, value)| (&**name, value.get())).chain([(field, value.as_str())]) {
            body.push(if body.is_empty() { b'{' } else { b',' });
            // Writing a text into memory always succeeds.
            let _ = serde_json::to_writer(&mut body, name);
            body.push(b':');
            body.extend_from_slice(value.as_bytes());
        }
        body.push(b'}');
        Cow::Owned(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<Request<'_>, InvalidRequest> {
        Request::read(Endpoint::ChatCompletions, body.as_bytes())
    }

    fn written(request: &Request<'_>, reports_usage: bool) -> String {
        String::from_utf8(request.body(reports_usage).into_owned()).unwrap()
    }

    #[test]
    fn a_request_that_needs_no_change_goes_on_byte_for_byte() {
        let body = "{ \"model\" : \"m\",\n\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00ef\"}], \"of_tomorrow\": 1.50e0 }";
        let request = chat(body).unwrap();
        assert_eq!((request.model(), request.streams(), request.answer_tokens()), ("m", false, None));
        assert_eq!(written(&request, true), body);
    }

    #[test]
    fn a_stream_is_asked_for_its_tokens_and_every_other_value_stays_as_it_was() {
        for (body, sent) in [
            (
                r#"{"model":"m","stream":true, "seed": 1.0,"x":{"a" : 1}}"#,
                r#"{"model":"m","stream":true,"seed":1.0,"x":{"a" : 1},"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"model":"m","stream_options":{"include_obfuscation":false},"stream":true}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#,
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":null}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
        ] {
            let request = chat(body).unwrap();
            assert!(request.asks_for_usage());
            assert_eq!(written(&request, true), sent);
            assert_eq!(written(&request, false), body, "for a server that does not know the field");
        }
        let wanted = chat(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#).unwrap();
        assert!(!wanted.asks_for_usage());
    }

    #[test]
    fn an_answer_of_responses_is_kept_nowhere_unless_the_program_says_so() {
        let responses = |body: &'static str| Request::read(Endpoint::Responses, body.as_bytes());
        let unsaid = responses(r#"{"model":"m","input":"hi","stream":true}"#).unwrap();
        assert_eq!(written(&unsaid, true), r#"{"model":"m","input":"hi","stream":true,"store":false}"#);
        let said = r#"{"model":"m","input":"hi","store":true}"#;
        assert_eq!(written(&responses(said).unwrap(), true), said);
        assert!(responses(r#"{"model":"m","previous_response_id":null,"background":false}"#).is_ok());
        for field in KEPT_ELSEWHERE {
            let body = format!(r#"{{"model":"m","{field}":"resp_1"}}"#);
            let refused = Request::read(Endpoint::Responses, body.as_bytes()).map(drop);
            assert_eq!(refused, Err(InvalidRequest::Kept(field)));
        }
    }

    #[test]
    fn what_cannot_be_decided_about_is_refused() {
        let refused = |body: &str| chat(body).map(drop).unwrap_err();
        for body in ["", "[]", "{", r#"{"model":"m","model":"n"}"#, r#"{"model":"m","mod\u0065l":"n"}"#] {
            assert!(matches!(refused(body), InvalidRequest::Json(_)), "{body}");
        }
        for body in ["{}", r#"{"model":""}"#, r#"{"model":7}"#, r#"{"model":null}"#] {
            assert_eq!(refused(body), InvalidRequest::Model, "{body}");
        }
        assert_eq!(refused(r#"{"model":"m","stream":"yes"}"#), InvalidRequest::Stream);
        let deep = format!(r#"{{"model":"m","x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(refused(&deep), InvalidRequest::TooDeep);
        let many: String = (0..300).map(|n| format!(r#","f{n}":1"#)).collect();
        assert!(matches!(refused(&format!(r#"{{"model":"m"{many}}}"#)), InvalidRequest::Json(_)));
    }

    #[test]
    fn the_longest_answer_is_what_the_request_says_for_all_its_answers() {
        let most = |rest: &str| chat(&format!(r#"{{"model":"m"{rest}}}"#)).unwrap().answer_tokens();
        assert_eq!(most(r#","max_tokens":100"#), Some(100));
        assert_eq!(most(r#","max_completion_tokens":50,"n":3"#), Some(150));
        assert_eq!(most(r#","max_tokens":"many""#), None);
        let embeddings = Request::read(Endpoint::Embeddings, br#"{"model":"e","input":"a"}"#).unwrap();
        assert_eq!(embeddings.answer_tokens(), Some(0));
    }
}
