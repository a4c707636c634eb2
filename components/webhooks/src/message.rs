//! Messages as receivers get them, by the Standard Webhooks specification (version 1.0.0): the body, the signature, and when a message is sent again. Pure.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, header};
use serde_json::{Value, json};
use sha2::Sha256;
use storage::webhooks::WebhookMessage;

use bytes::Bytes;

/// The types of events that can be told, and whether they are about one person, who can have them told too.
pub(crate) const EVENTS: [(&str, bool); 4] =
    [("run.ended", true), ("approval.needed", true), ("budget.reached", false), ("audit.recorded", false)];

/// The type of a message that tells nothing.
pub(crate) const TEST: &str = "webhook.test";

/// The beginning of a written secret.
const SECRET_PREFIX: &str = "whsec_";
/// As long as what HMAC-SHA256 gives; the specification wants 24 to 64.
const SECRET_BYTES: usize = 32;
const MIN_SECRET_BYTES: usize = 24;

/// The pauses before a message is sent again: short for a receiver that is being replaced, then for one whose people must be called. All together almost two
/// days, and longer where much waits for a receiver that is away ([`MAX_PAUSE_MS`]).
const RETRIES_S: [i64; 9] = [1, 5, 30, 120, 600, 3_600, 21_600, 43_200, 86_400];

/// The longest pause of a webhook after a failure, in which no message is tried: a receiver that is away costs an attempt a minute, however much waits.
const MAX_PAUSE_MS: i64 = 60_000;

/// In how many milliseconds a message is sent again that was sent so often before this attempt. `None`: it is given up.
pub(crate) fn retry_after_ms(attempts: i64) -> Option<i64> {
    let retry = RETRIES_S.get(usize::try_from(attempts).ok()?)?;
    Some(retry.saturating_mul(1_000))
}

/// For how many milliseconds nothing is sent after a failure that came after so many others.
pub(crate) fn pause_ms(failures: i64) -> i64 {
    let doublings = u32::try_from(failures.clamp(0, 16)).unwrap_or_default();
    (1_000_i64 << doublings).min(MAX_PAUSE_MS)
}

/// A new secret, as receivers' libraries read it.
pub(crate) fn new_secret() -> Result<String, getrandom::Error> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret)?;
    Ok(format!("{SECRET_PREFIX}{}", BASE64_STANDARD.encode(secret)))
}

/// Why a message cannot be written. It happens to none that this component stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritable {
    /// The secret is none.
    #[error("the secret of a webhook is damaged")]
    Secret,
    /// The address is none, or the id cannot be in a header.
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
}

/// The body: the same bytes at every attempt.
fn body(message: &WebhookMessage) -> String {
    let data: Value = serde_json::from_str(&message.data).unwrap_or_default();
    json!({ "type": message.kind, "timestamp": message.occurred_at.to_string(), "data": data }).to_string()
}

/// The request that tells a message at this moment. The time is signed too, so that receivers can refuse what somebody sends them again later.
pub(crate) fn request(
    url: &str,
    secret: &str,
    message: &WebhookMessage,
    now: Timestamp,
) -> Result<Request<Bytes>, Unwritable> {
    let (body, timestamp) = (body(message), now.as_millis() / 1_000);
    let signed = format!("{}.{timestamp}.{body}", message.id);
    let key = secret.strip_prefix(SECRET_PREFIX).and_then(|secret| BASE64_STANDARD.decode(secret).ok());
    let key = key.filter(|key| key.len() >= MIN_SECRET_BYTES).ok_or(Unwritable::Secret)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| Unwritable::Secret)?;
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "edge-assistant-webhooks")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", format!("v1,{signature}"));
    Ok(request.body(Bytes::from(body))?)
}

#[cfg(test)]
mod tests {
    use standardwebhooks::Webhook;

    use super::*;

    fn message() -> WebhookMessage {
        WebhookMessage {
            id: "evt_1".into(),
            kind: "run.ended".into(),
            data: r#"{"run_id":"r","state":"complete"}"#.into(),
            occurred_at: Timestamp::from_millis(1_700_000_000_000),
            attempts: 0,
        }
    }

    fn verified(request: &Request<Bytes>, secret: &str) -> bool {
        Webhook::new(secret).unwrap().verify(request.body(), request.headers()).is_ok()
    }

    #[test]
    fn the_receivers_own_library_verifies_what_is_sent_now_and_nothing_else() {
        let secret = new_secret().unwrap();
        let sent = request("https://a.example/", &secret, &message(), Timestamp::now()).unwrap();
        assert!(verified(&sent, &secret));
        assert!(!verified(&sent, &new_secret().unwrap()), "another secret");
        let changed = sent.clone().map(|body| Bytes::from(String::from_utf8_lossy(&body).replace("complete", "error")));
        assert!(!verified(&changed, &secret), "another body");
        let old = Timestamp::from_millis(Timestamp::now().as_millis() - 6 * 60 * 1_000);
        assert!(
            !verified(&request("https://a.example/", &secret, &message(), old).unwrap(), &secret),
            "sent again later"
        );
    }

    #[test]
    fn a_message_says_what_kind_of_event_it_is_and_when_it_happened() {
        let sent = request("https://a.example/", &new_secret().unwrap(), &message(), Timestamp::now()).unwrap();
        let body: Value = serde_json::from_slice(sent.body()).unwrap();
        let data = json!({ "run_id": "r", "state": "complete" });
        assert_eq!(body, json!({ "type": "run.ended", "timestamp": "2023-11-14T22:13:20.000Z", "data": data }));
        let again = request("https://a.example/", &new_secret().unwrap(), &message(), Timestamp::now()).unwrap();
        assert_eq!(sent.body(), again.body());
        assert_eq!(sent.headers()["webhook-id"], again.headers()["webhook-id"]);
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<i64> = (0..).map_while(retry_after_ms).collect();
        assert_eq!(pauses.len(), 9);
        assert!(pauses.is_sorted() && pauses[0] == 1_000);
        assert!((40..48).contains(&(pauses.iter().sum::<i64>() / 3_600_000)), "given up after almost two days");
        assert_eq!([0, 1, 2, 6, 1_000].map(pause_ms), [1_000, 2_000, 4_000, 60_000, 60_000]);
    }

    #[test]
    fn a_damaged_secret_is_an_error() {
        for secret in ["", "whsec_", "whsec_%", "abc", "whsec_c2hvcnQ="] {
            assert!(request("https://a.example/", secret, &message(), Timestamp::now()).is_err(), "{secret}");
        }
    }
}
