//! `assistant:NAME` as a model: a whole turn of an assistant with the installation's tools, in the form of Chat Completions (docs/adr/0052). It is a run like
//! any other, in a temporary chat that is made for the request, so budgets, limits, policies and the audit are those of chats.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use axum::{body::Body, response::Response};
use completions_api::{Answer, AssistantRequest, Failure, InvalidRequest};
use domain::{ConversationSettings, Id, NamedAssistant, Run, limits::MAX_ASSISTANT_NAME_CHARS};
use futures::future::try_join;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use memchr::memmem;
use models::Provider;
use orchestrator::{
    Opened,
    prompt_builder::{MAX_MESSAGES, max_context_bytes},
    request_handler::Reading,
};
use passthrough::Endpoint;
use permissions::{Action, Required as _, table::ConversationsWrite};
use problem::Problem;
use serde::Deserialize;
use storage::{
    Database,
    assistants::{Assistant, NotNamed, Viewer},
    budgets::Budget,
    messages::{Appended, IncomingMessage},
    model_listings::models_of,
};
use web::{
    Result, Session,
    limits::{RequestLimits, over_budget},
    preferences,
};

use super::{
    Programs, asking,
    delivery::Work,
    execution::{self, Execution, LATE, Listener, Task},
    models::not_offered,
    refusal::never_again,
};
use crate::{COMPONENT, host::SpinHost, model_list, stored, tools::Tools};

/// What the name of an assistant stands behind.
const PREFIX: &str = "assistant:";
/// Longer than any assistant's name: a character has at most four bytes.
const MAX_NAME_BYTES: usize = 4 * MAX_ASSISTANT_NAME_CHARS;
/// Assistants in a list of models: more than anybody chooses from.
const MAX_LISTED: u32 = 200;

/// The assistant that a request names as its model, if it names one.
pub(crate) fn named(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        model: Cow<'a, str>,
    }

    // Nearly no request has it.
    memmem::find(body, PREFIX.as_bytes())?;
    let named: Named<'_> = serde_json::from_slice(body).ok()?;
    name_in(&named.model).map(str::to_owned)
}

/// The name of an assistant in that of a model.
pub(crate) fn name_in(model: &str) -> Option<&str> {
    model.strip_prefix(PREFIX)
}

/// The name of an assistant as a model.
pub(crate) fn model_of(assistant: &Assistant) -> String {
    format!("{PREFIX}{}", assistant.contents.name)
}

/// 400: it is asked at another address.
pub(crate) fn elsewhere() -> Problem {
    let detail = "An assistant answers at /v1/chat/completions. Ask it there.";
    Problem::new(StatusCode::BAD_REQUEST, "api_not_offered", detail).with_field("model")
}

/// Refuses who may not ask assistants: it is as if they sent a message in a chat, with all tools of their person.
fn check(session: &Session) -> Result<()> {
    session.check(&Action::Route(ConversationsWrite::NAME))?;
    session.check_may_run()
}

/// The assistant that a program means.
pub(crate) async fn by_name<D: Database>(programs: &Programs<D>, session: &Session, name: &str) -> Result<Assistant> {
    check(session)?;
    if name.len() > MAX_NAME_BYTES {
        return Err(not_offered(name).into());
    }
    let found = programs.app.store().assistant_by_name(session.user_id(), name).await?;
    Ok(found.map_err(|error: NotNamed| {
        Problem::new(StatusCode::NOT_FOUND, "model_not_found", error.to_string()).with_field("model")
    })?)
}

/// Whether a program may use the assistant's own model, if it has one.
pub(crate) fn may_answer(session: &Session, assistant: &Assistant) -> bool {
    let may_use = |model: &String| session.access().allows(&Action::UseModel(model));
    assistant.contents.model.as_ref().is_none_or(may_use)
}

/// The assistants that a program can name, the newest first.
pub(crate) async fn usable<D: Database>(programs: &Programs<D>, session: &Session) -> Result<Vec<Assistant>> {
    if check(session).is_err() {
        return Ok(Vec::new());
    }
    let user_id = session.user_id();
    let viewer = Viewer { user_id, manages_shared: false };
    let mut all = programs.app.store().assistants(viewer, None, MAX_LISTED).await?;
    all.retain(|assistant| assistant.is_readable);
    // As a name is looked for: one's own first, and of others there must be only one.
    let folded = |assistant: &Assistant| assistant.contents.name.trim().to_lowercase();
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for assistant in &all {
        let (own, shared) = counts.entry(folded(assistant)).or_default();
        *(if assistant.owner_id == user_id { own } else { shared }) += 1;
    }
    all.retain(|assistant| {
        let is_meant = match counts.get(&folded(assistant)) {
            Some((0, shared)) => *shared == 1,
            _ => assistant.owner_id == user_id,
        };
        is_meant && may_answer(session, assistant)
    });
    Ok(all)
}

/// Answers a request.
pub(crate) async fn answer<D: Database + 'static>(
    programs: Programs<D>,
    session: &Session,
    headers: &HeaderMap,
    name: &str,
    body: &[u8],
) -> Result<Response> {
    let assistant = by_name(&programs, session, name).await?;
    let mut request = AssistantRequest::read(body).map_err(|error| invalid(&error))?;
    let answering = model_that_answers(&programs, session, &assistant).await?;
    let (run, left) = begin(&programs, session, &assistant, &mut request, &answering).await?;
    let mut response = executed(&programs, session, headers, request, &run).await?;
    response.headers_mut().extend(left);
    Ok(response)
}

/// The model that answers.
struct Answering {
    model: String,
    /// The size of its context in tokens, where it is largest.
    window: u64,
}

/// The assistant's model, or the one that answers in a chat that names none.
async fn model_that_answers<D: Database>(
    programs: &Programs<D>,
    session: &Session,
    assistant: &Assistant,
) -> Result<Answering> {
    let may_use = |model: &str| session.access().allows(&Action::UseModel(model));
    let (configured, settings) = (&programs.config.default_model, &programs.config.settings);
    let answering = |model: &str, providers: &[&Provider]| {
        let window = providers.iter().map(|provider| settings.window(provider, model)).max();
        Answering { model: model.to_owned(), window: window.unwrap_or(settings.context_window_tokens) }
    };
    let (wanted, is_own) = match &assistant.contents.model {
        Some(model) => (model, true),
        None => (configured, false),
    };
    let providers = asking::providers(programs, Endpoint::ChatCompletions, wanted).await?;
    let answering = if is_own || (may_use(wanted) && !providers.is_empty()) {
        answering(wanted, &providers.iter().collect::<Vec<_>>())
    } else {
        let store = programs.app.store();
        let all = &stored::all(store, &programs.config, &store.model_providers().await?, None).await;
        let listings = model_list::current(store, all, programs.send).await?;
        let offers = all.offers(|provider| models_of(&listings, &provider.address.server));
        let model = all.default_model(configured, may_use, &offers).unwrap_or(configured);
        answering(model, &all.of_model(model))
    };
    session.check(&Action::UseModel(&answering.model))?;
    if is_own && providers.is_empty() {
        return Err(not_offered(&answering.model).into());
    }
    Ok(answering)
}

/// How the run is to answer: as the assistant is set, but for what the program says.
fn settings(assistant: &Assistant, request: &AssistantRequest) -> ConversationSettings {
    let Assistant { id, contents, .. } = assistant;
    let mut model = contents.settings.clone();
    let instructions = [model.instructions.take(), request.instructions.clone()];
    let instructions: Vec<String> = instructions.into_iter().flatten().collect();
    model.instructions = Some(instructions.join("\n\n")).filter(|instructions| !instructions.is_empty());
    model.temperature = request.temperature.or(model.temperature);
    model.max_output_tokens = request.max_output_tokens.or(model.max_output_tokens);
    model.reasoning_effort = request.reasoning_effort.or(model.reasoning_effort);
    if request.without_tools {
        model.tools = Some(Vec::new());
    }
    let assistant = Some(NamedAssistant { id: *id, name: contents.name.clone() });
    ConversationSettings { assistant, model, unattended: true, began_elsewhere: !request.said.is_empty() }
}

/// Has a run wait for its executor, and says in headers what is left of the limits.
async fn begin<D: Database>(
    programs: &Programs<D>,
    session: &Session,
    assistant: &Assistant,
    request: &mut AssistantRequest,
    Answering { model, window }: &Answering,
) -> Result<(Run, Vec<(HeaderName, HeaderValue)>)> {
    let (store, user_id) = (programs.app.store(), session.user_id());
    let api_key_id = session.api_key().map(|key| key.id);
    let limits = RequestLimits::of(session, &programs.config.rates);
    // What is said may have megabytes. Whoever has nothing left must not have it written again and again; what counts is decided with the message.
    let (left, used_up) = try_join(store.quotas(limits.buckets()), store.used_up_budget(user_id, api_key_id)).await?;
    limits.check(&left)?;
    if let Some(budget) = used_up {
        return Err(nothing_left(&budget).into());
    }
    let settings = settings(assistant, request);
    let max_messages = usize::try_from(MAX_MESSAGES).unwrap_or(usize::MAX);
    let said = request.take_said(max_messages, max_context_bytes(*window));
    let conversation_id = store.begin_program_conversation(user_id, &settings, &said).await?;
    let conversation_id = conversation_id.ok_or_else(Problem::not_found)?;
    let incoming = IncomingMessage {
        content: &request.content,
        default_model: model,
        model: Some(model),
        response_format: request.response_format.as_ref(),
        api_key_id,
        limits: limits.buckets(),
        ..IncomingMessage::default()
    };
    let appended = store.append_message(user_id, conversation_id, &incoming).await;
    let refused = match appended {
        Ok(Appended::Stored(_, run, left)) => {
            traces::run_begun(run.id.as_u128(), run.id);
            return Ok((run, limits.headers(&left)));
        }
        Ok(Appended::Limited(left)) => limits.refusal(&left).into(),
        Ok(Appended::OverBudget(budget)) => nothing_left(&budget).into(),
        Ok(Appended::NotFound | Appended::NoSuchFile | Appended::Existing(..) | Appended::RunActive) => {
            Problem::not_found().into()
        }
        Err(error) => error.into(),
    };
    // Nothing is to be left of what is not answered. If this fails, it goes with its time.
    let _ = store.delete_conversation(user_id, conversation_id).await;
    Err(refused)
}

/// 429: a budget is used up, or reserved.
fn nothing_left(budget: &Budget) -> Problem {
    let problem = over_budget(budget);
    if budget.left_unreserved > 0 { problem } else { never_again(problem) }
}

/// Executes a run and answers with what comes of it.
async fn executed<D: Database + 'static>(
    programs: &Programs<D>,
    session: &Session,
    headers: &HeaderMap,
    request: AssistantRequest,
    run: &Run,
) -> Result<Response> {
    let whose = (session.user_id(), run.id);
    let tools = Tools::new(programs.app.clone(), whose, preferences::passed_on(headers), session.access().clone());
    let host = SpinHost::new(programs.app.clone(), Arc::clone(&programs.config), tools);
    let Opened::Events(reading) = orchestrator::open(&host, session.user_id(), run.id, 0).await? else {
        return Err(Problem::not_found().into());
    };
    let execute = programs.ways.execute;
    let read = reader(programs.clone(), host, whose, reading);
    let answer = Answer::new(format!("chatcmpl-{}", run.id), request.model, run.created_at.as_millis() / 1_000);
    // Without tools there is only one round.
    let answer = match request.response_format.is_some() && !request.without_tools {
        true => answer.in_a_form(),
        false => answer,
    };
    if request.streams {
        let answer = answer.streamed(request.wants_usage);
        let mut response = Response::default();
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response.headers_mut().extend([kind, asking::UNBUFFERED]);
        let work: Work = Box::new(move |sink| execute(Execution { listener: Listener::writing(answer, sink), read }));
        return Ok((programs.ways.deliver)(response, work));
    }
    let listener = Listener::collecting(answer);
    execute(Execution { listener: listener.clone(), read }).await;
    let whole = listener.answer().whole().map_err(|failure| failed(&failure))?;
    let mut response = Response::new(Body::from(whole.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn reader<D: Database + 'static>(
    programs: Programs<D>,
    host: SpinHost<D>,
    whose: (Id, Id),
    reading: Reading,
) -> Box<dyn FnOnce(Listener) -> Task> {
    Box::new(move |listener| {
        Box::pin(async move {
            execution::read(&host, &programs.config.settings, whose, reading, listener).await;
            platform::webhooks::wake_if_any(COMPONENT, &programs.app);
        })
    })
}

/// Why there is no whole answer. A client must not repeat a turn by itself: its tools may have done something.
fn failed(Failure { code, message }: &Failure) -> Problem {
    let (status, code) = match code.as_str() {
        "budget" => (StatusCode::TOO_MANY_REQUESTS, "budget"),
        "context_length" => (StatusCode::BAD_REQUEST, "context_length"),
        "answer_unfit" => (StatusCode::BAD_GATEWAY, "answer_unfit"),
        "cancelled" => (StatusCode::CONFLICT, "cancelled"),
        LATE => (StatusCode::GATEWAY_TIMEOUT, LATE),
        _ => (StatusCode::BAD_GATEWAY, "run_failed"),
    };
    never_again(Problem::new(status, code, message.clone()))
}

fn invalid(error: &InvalidRequest) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_request", error.to_string());
    match error.field() {
        Some(field) => problem.with_field(field),
        None => problem,
    }
}
