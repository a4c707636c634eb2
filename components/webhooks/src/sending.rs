//! Sends what waits, after whoever woke this component was answered. A webhook has one sender at a time, at whatever host, and several are served side by side,
//! so a slow receiver holds up nobody else. A receiver gets a message at least once: if a sender dies after the answer, another one sends it again.

use std::{
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::extract::State;
use domain::Timestamp;
use http::StatusCode;
use permissions::{Action, Required as _, table::WebhooksUse};
use platform::sleep;
use storage::{
    Database, StorageError,
    webhooks::{WebhookAttempt, WebhookMessage, WebhookOutcome, WebhookTurn},
};
use web::{
    Inside,
    access::access_of,
    inside::Waking,
    log::{Level, log},
};

use crate::{
    COMPONENT,
    message::{pause_ms, request, retry_after_ms},
    outside::Unanswered,
    router::Webhooks,
    webhooks::Sealed,
};

/// Senders of one instance. Receivers that are there answer in a fraction of a second.
const MAX_SENDERS: usize = 8;
/// A receiver that takes longer has its next message in another turn.
const SLOW: Duration = Duration::from_secs(1);
/// A sender goes on for so long, then it leaves the rest to the others.
const WORK: Duration = Duration::from_secs(60);
/// If something is due so soon, a sender waits for it: the first attempts follow each other without anybody coming by.
const SOON_MS: i64 = 10_000;
/// The shortest wait, so that a message which cannot be taken yet is not asked about all the time.
const MIN_WAIT_MS: i64 = 100;

thread_local! {
    static SENDERS: Cell<usize> = const { Cell::new(0) };
    /// Whether one of them waits for what is due soon. More would find the same.
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// `POST /internal/deliveries`: something may be due.
pub(crate) async fn wake<D: Database + 'static>(State(webhooks): State<Webhooks<D>>, _: Inside<Waking>) -> StatusCode {
    (webhooks.soon)(webhooks.clone());
    StatusCode::ACCEPTED
}

/// Has what is due sent, after the response, unless enough senders are at it.
pub(crate) fn soon<D: Database + 'static>(webhooks: Webhooks<D>) {
    if SENDERS.get() >= MAX_SENDERS {
        return;
    }
    SENDERS.set(SENDERS.get().saturating_add(1));
    platform::spawn(async move {
        if let Err(error) = go_on(&webhooks).await {
            let cause = BTreeMap::from([("cause", error.to_string())]);
            log(COMPONENT, Level::Error, "webhooks could not be sent", cause);
        }
        SENDERS.set(SENDERS.get().saturating_sub(1));
    });
}

async fn go_on<D: Database + 'static>(webhooks: &Webhooks<D>) -> Result<(), StorageError> {
    let began = Instant::now();
    while began.elapsed() < WORK {
        if send_next(webhooks).await? {
            continue;
        }
        let next_ms = if WAITS.get() { None } else { webhooks.store().next_webhook_message_ms().await? };
        let Some(wait_ms) = next_ms.filter(|next_ms| *next_ms <= SOON_MS) else { break };
        WAITS.set(true);
        sleep(Duration::from_millis(wait_ms.max(MIN_WAIT_MS).unsigned_abs())).await;
        WAITS.set(false);
    }
    Ok(())
}

/// Sends what is due to one receiver. `false`: nothing is due that nobody else sends.
pub(crate) async fn send_next<D: Database>(webhooks: &Webhooks<D>) -> Result<bool, StorageError> {
    let Some(turn) = webhooks.store().take_webhook_turn().await? else { return Ok(false) };
    // Another sender looks for another webhook while this one waits for its receiver.
    (webhooks.soon)(webhooks.clone());
    send(webhooks, &turn).await.map(|()| true)
}

/// Sends the messages of a turn, until one fails or the receiver is slow.
async fn send<D: Database>(webhooks: &Webhooks<D>, turn: &WebhookTurn) -> Result<(), StorageError> {
    let mut messages = turn.messages.iter().peekable();
    if messages.peek().is_none() {
        return webhooks.store().end_webhook_turn(turn.id, turn.turn).await;
    }
    let is_allowed =
        turn.person.as_ref().is_none_or(|roles| access_of(roles).allows(&Action::Route(WebhooksUse::NAME)));
    let receiver = if is_allowed { receiver(webhooks, turn).await? } else { Err("not_allowed") };
    while let Some(message) = messages.next() {
        let (answer, outcome) = match &receiver {
            // Whoever lost the permission is told nothing any more.
            Err(_) if !is_allowed => ("not_allowed".to_owned(), WebhookOutcome::GivenUp { pause_ms: 0 }),
            Err(why) => failed(turn, message, why),
            Ok(receiver) => attempt(webhooks, turn, receiver, message, messages.peek().is_some()).await,
        };
        let stored = WebhookAttempt { webhook_id: turn.id, turn: turn.turn, message, answer: &answer, outcome };
        let is_own = webhooks.store().store_webhook_attempt(&stored).await?;
        if !is_own || !matches!(outcome, WebhookOutcome::Delivered { goes_on: true, .. }) {
            break;
        }
    }
    Ok(())
}

/// Where the messages of a turn go, and with which secret; or why nowhere, in a word.
async fn receiver<D: Database>(
    webhooks: &Webhooks<D>,
    turn: &WebhookTurn,
) -> Result<Result<Sealed, &'static str>, StorageError> {
    let opened = match webhooks.store().open_webhook(turn.id, &turn.sealed).await {
        Ok(opened) => opened,
        Err(StorageError::Database(error)) => return Err(error.into()),
        // Somebody has to put the key back first.
        Err(_) => return Ok(Err("key_missing")),
    };
    let Ok(sealed) = serde_json::from_str::<Sealed>(&opened) else { return Ok(Err("damaged")) };
    // What is allowed may have changed since it was made.
    let is_allowed = webhooks.config.server_of(&sealed.url).is_ok();
    Ok(if is_allowed { Ok(sealed) } else { Err("address_not_allowed") })
}

/// What an attempt came to, in a word, and what follows.
async fn attempt<D: Database>(
    webhooks: &Webhooks<D>,
    turn: &WebhookTurn,
    Sealed { url, secret }: &Sealed,
    message: &WebhookMessage,
    has_more: bool,
) -> (String, WebhookOutcome) {
    let Ok(request) = request(url, secret, message, Timestamp::now()) else { return failed(turn, message, "damaged") };
    let began = Instant::now();
    let answer = (webhooks.send)(request).await;
    let took = began.elapsed();
    match answer {
        Ok(status) if status.is_success() => {
            // A slow receiver lets the others come first, and then waits as long as it made wait.
            let is_slow = took >= SLOW;
            let pause_ms = if is_slow { i64::try_from(took.as_millis()).unwrap_or_default() } else { 0 };
            let outcome = WebhookOutcome::Delivered { goes_on: has_more && !is_slow, pause_ms };
            (format!("http_{}", status.as_u16()), outcome)
        }
        // The specification's way to say that the receiver wants nothing any more.
        Ok(StatusCode::GONE) => ("http_410".to_owned(), WebhookOutcome::Gone),
        Ok(status) => failed(turn, message, &format!("http_{}", status.as_u16())),
        Err(Unanswered::Denied) => failed(turn, message, "address_not_allowed"),
        Err(Unanswered::Unreachable) => failed(turn, message, "unreachable"),
        Err(Unanswered::Slow) => failed(turn, message, "timeout"),
    }
}

/// A failure of this kind, and when the message is sent again.
fn failed(turn: &WebhookTurn, message: &WebhookMessage, answer: &str) -> (String, WebhookOutcome) {
    let pause_ms = pause_ms(turn.failures);
    let outcome = match retry_after_ms(message.attempts) {
        Some(after_ms) => WebhookOutcome::Retry { after_ms, pause_ms },
        None => WebhookOutcome::GivenUp { pause_ms },
    };
    (answer.to_owned(), outcome)
}
