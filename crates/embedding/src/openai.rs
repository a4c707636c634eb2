//! OpenAI's Embeddings (`POST /v1/embeddings`), as many servers implement it: what to ask in one request, and what the answer says.
//!
//! It sends nothing. Whoever does limits the answer's bytes, counts its tokens and asks again after failures: a batch asked twice gives the same vectors.

use serde::{Deserialize, Serialize};

use crate::{Vector, VectorError};

/// The most texts of a request. OpenAI takes 2,048; servers that run a model themselves often take a few dozen at once.
pub const MAX_BATCH_TEXTS: usize = 64;
/// The most bytes of a request's texts, so that a slow server answers within the time limit. A text that is longer is asked alone.
pub const MAX_BATCH_BYTES: usize = 64 * 1024;

/// Why an answer has no vectors.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not what the API says.
    #[error("the answer is not one of an embeddings API")]
    Form(#[from] serde_json::Error),
    /// A text has no vector, or two.
    #[error("the answer has {found} vectors for {expected} texts")]
    Count {
        /// How many texts were asked.
        expected: usize,
        /// How many of them have one vector.
        found: usize,
    },
    /// Vectors differ in their dimensions: they cannot be compared.
    #[error("the answer has vectors of different dimensions")]
    Mixed,
    /// A vector is not one.
    #[error("the answer has a vector that is none")]
    Vector(#[from] VectorError),
}

/// The vectors of a request's texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// One for each text, in the order of the texts, all with the same dimensions.
    pub vectors: Vec<Vector>,
    /// How many tokens the server counts. Servers that do not say so count none.
    pub tokens: u64,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Body {
    data: Vec<Item>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: u64,
}

/// Puts texts together to requests, in their order. None of them is empty.
pub fn batches<'a>(texts: &'a [&'a str]) -> impl Iterator<Item = &'a [&'a str]> {
    let mut rest = texts;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fits = rest.iter().take(MAX_BATCH_TEXTS).take_while(|text| {
            bytes = bytes.saturating_add(text.len());
            bytes <= MAX_BATCH_BYTES
        });
        let (batch, others) = rest.split_at_checked(fits.count().max(1))?;
        rest = others;
        Some(batch)
    })
}

/// The body of a request. `dimensions`: how many the vectors are to have, for models that can be asked for fewer.
///
/// # Errors
/// None that happens: texts are JSON.
pub fn request(model: &str, texts: &[&str], dimensions: Option<u32>) -> Result<String, serde_json::Error> {
    // Some libraries' default is base64, which not every server knows.
    serde_json::to_string(&Request { model, input: texts, encoding_format: "float", dimensions })
}

/// Reads the answer to a request with so many texts.
///
/// # Errors
/// [`AnswerError`].
pub fn answer(body: &[u8], texts: usize) -> Result<Answer, AnswerError> {
    let Body { data, usage } = serde_json::from_slice(body)?;
    let count = data.len();
    let mut vectors: Vec<Option<Vector>> = vec![None; texts];
    for Item { index, embedding } in data {
        // Answers may come in any order.
        if let Some(vector) = vectors.get_mut(index) {
            *vector = Some(Vector::of(&embedding)?);
        }
    }
    let vectors: Vec<_> = vectors.into_iter().flatten().collect();
    if count != texts || vectors.len() != texts {
        return Err(AnswerError::Count { expected: texts, found: vectors.len() });
    }
    if vectors.windows(2).any(|two| two.first().map(Vector::dimensions) != two.last().map(Vector::dimensions)) {
        return Err(AnswerError::Mixed);
    }
    Ok(Answer { vectors, tokens: usage.map_or(0, |usage| usage.total_tokens) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_asked_in_their_order_in_requests_that_are_not_too_large() {
        let (long, short) = ("x".repeat(MAX_BATCH_BYTES + 1), "y".repeat(MAX_BATCH_BYTES / 3));
        let mut texts = vec!["a"; MAX_BATCH_TEXTS + 1];
        texts.extend([long.as_str(), &short, &short, &short, &short]);
        let sizes: Vec<_> = batches(&texts).map(<[_]>::len).collect();
        assert_eq!(sizes, [MAX_BATCH_TEXTS, 1, 1, 3, 1]);
        assert_eq!(batches(&texts).flatten().copied().collect::<Vec<_>>(), texts);
        assert_eq!(batches(&[]).count(), 0);
    }

    #[test]
    fn a_request_has_what_the_api_says() {
        let body = request("embedder", &["one", "two \"2\""], Some(256)).unwrap();
        let expected = r#"{"model":"embedder","input":["one","two \"2\""],"encoding_format":"float","dimensions":256}"#;
        assert_eq!(body, expected);
        assert!(!request("embedder", &[], None).unwrap().contains("dimensions"));
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let body = br#"{"object":"list","model":"m","data":[{"object":"embedding","index":1,"embedding":[0,-2.5e-3]},
            {"object":"embedding","index":0,"embedding":[1,0]}],"usage":{"prompt_tokens":7,"total_tokens":7}}"#;
        let Answer { vectors, tokens } = answer(body, 2).unwrap();
        assert_eq!((vectors, tokens), (vec![Vector::of(&[1.0, 0.0]).unwrap(), Vector::of(&[0.0, -1.0]).unwrap()], 7));
        assert_eq!(answer(br#"{"data":[{"index":0,"embedding":[1]}]}"#, 1).unwrap().tokens, 0);
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        let item = |index: usize, embedding: &str| format!(r#"{{"index":{index},"embedding":{embedding}}}"#);
        let body = |items: &[String]| format!(r#"{{"data":[{}]}}"#, items.join(","));
        let error = |body: &str, texts| answer(body.as_bytes(), texts).unwrap_err();
        for wrong in ["", "{}", "[]", r#"{"error":{"message":"no"}}"#, r#"{"data":[{"index":0,"embedding":"AAAA"}]}"#] {
            assert!(matches!(error(wrong, 1), AnswerError::Form(_)), "{wrong}");
        }
        for items in [
            vec![item(0, "[1]")],
            vec![item(0, "[1]"), item(0, "[1]")],
            vec![item(0, "[1]"), item(7, "[1]")],
            vec![item(0, "[1]"), item(1, "[1]"), item(1, "[2]")],
        ] {
            assert!(matches!(error(&body(&items), 2), AnswerError::Count { expected: 2, .. }), "{items:?}");
        }
        assert!(matches!(error(&body(&[item(0, "[1]"), item(1, "[1,2]")]), 2), AnswerError::Mixed));
        assert!(matches!(error(&body(&[item(0, "[0,0]")]), 1), AnswerError::Vector(VectorError::Direction)));
        assert!(matches!(error(&body(&[item(0, "[]")]), 1), AnswerError::Vector(VectorError::Dimensions)));
    }
}
