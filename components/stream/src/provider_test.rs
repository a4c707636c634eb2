//! Whether a provider answers: its list of models, and one short question to the first model. What it says against it is told in its own words, without
//! secrets.

use completions::{Round, Withheld, learning};
use models::{Provider, fits, listed, may_answer};
use orchestrator::{
    api::Reading,
    error_handler::{self, TurnFailure},
    refusal,
};
use serde::Serialize;

use crate::outside::{Outlet, Unasked, Whole, list_request, question_request};

/// Changes of the request that a server may ask for before it answers.
const MAX_ADAPTATIONS: usize = 6;
/// Models that are named in words.
const MAX_NAMED: usize = 5;
/// Statuses of servers that have no list of models.
const NO_LIST: [u16; 4] = [400, 404, 405, 501];

/// What came of a test of a provider.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProviderTest, example = json!({"ok": true, "message": "gpt-4.1-mini answers.", "models": ["gpt-4.1", "gpt-4.1-mini"]})))]
pub(crate) struct Tested {
    /// Whether it can be used.
    pub(crate) ok: bool,
    /// For the person: what was seen, or why it cannot be used.
    pub(crate) message: String,
    /// The models that it lists.
    pub(crate) models: Vec<String>,
}

/// Tests a provider.
pub(crate) async fn test(provider: &Provider, send: Outlet) -> Tested {
    let failed = |message: String, models| Tested { ok: false, message, models };
    let listed = match list(provider, send).await {
        Ok(listed) => listed,
        Err(message) => return failed(message, Vec::new()),
    };
    let named = provider.models.iter().filter(|model| !model.is_pattern()).map(|model| model.name.as_str());
    let fitting = |id: &&str| may_answer(id) && provider.models.iter().any(|model| fits(&model.name, id));
    let models = listed.unwrap_or_default();
    let fitting: Vec<&str> = models.iter().map(String::as_str).filter(fitting).collect();
    let Some(model) = named.chain(fitting.iter().copied()).next() else {
        let has = models.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = match models.is_empty() {
            true => "The server lists no models. Name those that it has.".to_owned(),
            false => format!("The server has no model that fits. It lists {has}."),
        };
        return failed(message, models);
    };
    match question(provider, model, send).await {
        Ok(()) if fitting.is_empty() => Tested { ok: true, message: format!("{model} answers."), models },
        Ok(()) => {
            let message = format!("{model} answers. {} of {} listed models fit.", fitting.len(), models.len());
            Tested { ok: true, message, models }
        }
        Err(message) => failed(message, models),
    }
}

/// The server's list; `None`: it has none.
async fn list(provider: &Provider, send: Outlet) -> Result<Option<Vec<String>>, String> {
    let request = list_request(provider).map_err(|error| error.to_string())?;
    let answer = send(request).await.map_err(|error| words(provider, &error))?;
    match answer.status {
        200..300 => match listed(&answer.body) {
            Some(models) => Ok(Some(models)),
            None if answer.body.trim_ascii_start().starts_with(b"<") => {
                Err("This address answers with a web page, not as a model server.".to_owned())
            }
            None => Ok(None),
        },
        status if NO_LIST.contains(&status) => Ok(None),
        _ => Err(refused(provider, &answer, b"")),
    }
}

/// Asks a model something, as a run would.
async fn question(provider: &Provider, model: &str, send: Outlet) -> Result<(), String> {
    let mut dialect = completions::Dialect::default();
    for _ in 0..MAX_ADAPTATIONS {
        let (request, sent) = question_request(provider, model, &dialect).map_err(|error| error.to_string())?;
        let asked = request.body().clone();
        let answer = match send(request).await {
            // It listens. Models that reason, or must be loaded first, take longer.
            Err(Unasked::Slow) => return Ok(()),
            answer => answer.map_err(|error| words(provider, &error))?,
        };
        if !(200..300).contains(&answer.status) {
            let withheld = Withheld { authorization: &provider.secrets(), request: &asked };
            let failure = refusal::refused(answer.status, &answer.headers, &answer.body, &withheld).of(provider);
            let about = failure.refusal.and_then(refusal::Refusal::about);
            match about.and_then(|about| learning::lesson(about, &failure.said, &dialect, &sent)) {
                Some(lesson) => dialect = lesson.dialect,
                None => return Err(in_own_words(&failure, &withheld)),
            }
            continue;
        }
        let (mut reading, mut round, mut pieces) = (Reading::of(provider.api), Round::default(), Vec::new());
        let heard = reading.feed(&mut round, &answer.body, &mut pieces);
        let heard = heard.and_then(|()| reading.finish(&mut round, &mut pieces));
        let withheld = Withheld { authorization: &provider.secrets(), request: &asked };
        return heard.map_err(|error| error_handler::incomplete(&error, &withheld).of(provider).message);
    }
    Err("The server wants the request in too many other ways.".to_owned())
}

/// Why there is no answer, for a person.
fn words(provider: &Provider, error: &Unasked) -> String {
    let server = &provider.address.server;
    match error {
        Unasked::Denied => format!(
            "spin.toml does not let the component stream reach {server}: plain http is allowed on this machine only. Use https, or have the address added to \
             its allowed_outbound_hosts."
        ),
        other => format!("{server} does not answer: {other}."),
    }
}

fn refused(provider: &Provider, answer: &Whole, request: &[u8]) -> String {
    let withheld = Withheld { authorization: &provider.secrets(), request };
    in_own_words(&refusal::refused(answer.status, &answer.headers, &answer.body, &withheld).of(provider), &withheld)
}

/// What went wrong, with what the server says about it: people are not told of keys and billing, administrators are.
fn in_own_words(failure: &TurnFailure, withheld: &Withheld<'_>) -> String {
    let words = withheld.shown(&failure.said.words);
    match words.is_empty() || failure.message.contains(&words) {
        true => failure.message.clone(),
        false => format!("{} The server says: {words}", failure.message),
    }
}
