//! Runs that are executed for programs, on paused time, with a model that follows a script.

use std::{cell::Cell, pin::Pin, task::ready, time::Duration};

use ::models::Provider;
use cache::Clock as _;
use completions_api::{Answer, Ending, Failure};
use domain::{Id, RunState, ToolCall};
use futures::{Stream, StreamExt as _, future};
use orchestrator::{
    CallTerms, FileText, Host, Ledger, ModelAnswer, Offered, Opened as OpenedRun, Severity, ToolAnswer, ToolProgress,
    Unreachable,
};
use router_test::{Surroundings, paused};
use storage::{
    Store,
    claims::Claim,
    messages::{Appended, IncomingMessage},
    runs::Lease,
    tool_listings::ToolOffers,
};

use super::*;
use crate::programs::execution::{self, LATE};

/// A model that says these pieces, with this pause before each.
struct Scripted<D> {
    app: App<D>,
    clock: Surroundings,
    ledger: Ledger,
    says: Vec<String>,
    pause: Duration,
    asked: Cell<u32>,
}

impl<D: Database> Host for Scripted<D> {
    type Database = D;
    type Body = Pin<Box<dyn Stream<Item = std::result::Result<Bytes, Unreachable>>>>;

    fn store(&self) -> &Store<D> {
        self.app.store()
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn model_servers(&self) -> String {
        String::new()
    }

    async fn providers(&self, _: &Claim) -> Vec<Provider> {
        vec![Provider::standard("https://own.example/v1", "k", "m", "")]
    }

    async fn ask_model(&self, _: &Provider, _: Vec<u8>) -> std::result::Result<ModelAnswer<Self::Body>, Unreachable> {
        self.asked.set(self.asked.get() + 1);
        let word = |text: &String| json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string();
        let said: Vec<String> = self.says.iter().map(word).chain([END, "[DONE]"].map(str::to_owned)).collect();
        let (clock, pause) = (self.clock.clone(), self.pause);
        let body = stream::iter(said).then(move |data| {
            let clock = clock.clone();
            async move {
                if !pause.is_zero() {
                    clock.sleep(pause).await;
                }
                Ok(Bytes::from(format!("data: {data}\n\n")))
            }
        });
        Ok(ModelAnswer { status: 200, headers: HeaderMap::new(), body: Box::pin(body) })
    }

    async fn tools(&self, _: &ToolOffers) -> Option<Offered> {
        Some(Offered::default())
    }

    async fn has_budgets(&self) -> bool {
        false
    }

    async fn file(&self, _: Id, _: Id, _: u64) -> Option<Vec<u8>> {
        None
    }

    async fn file_text(&self, _: Id, _: Id, _: usize) -> FileText {
        FileText::Away
    }

    async fn call_tool(&self, _: Lease, _: &ToolCall, _: CallTerms<'_>, _: &dyn Fn(ToolProgress)) -> ToolAnswer {
        ToolAnswer::failed("There is none.")
    }

    async fn ask_about_tasks(&self, _: Id, _: Id) -> bool {
        false
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    fn log(&self, _: Severity, _: &str, _: Value) {}
}

/// What a program has got, piece by piece.
type Got = Rc<RefCell<Vec<String>>>;

/// A program that takes a while for each piece, and leaves after some.
struct Slow {
    clock: Surroundings,
    takes: Duration,
    reads: usize,
    got: Got,
    reading: Pin<Box<dyn Future<Output = ()>>>,
}

impl Sink for Slow {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.got.borrow_mut().push(String::from_utf8(bytes.to_vec()).unwrap());
        let (clock, takes) = (self.clock.clone(), self.takes);
        self.reading = Box::pin(async move { clock.sleep(takes).await });
        true
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        ready!(self.reading.as_mut().poll(context));
        self.reading = Box::pin(future::ready(()));
        Poll::Ready(self.got.borrow().len() < self.reads)
    }

    fn break_off(&mut self) {
        self.got.borrow_mut().push("<broken off>".to_owned());
    }
}

/// Has a model that says this answer a program that takes so long for each piece and leaves after `reads` of them; one that reads none waits for a whole
/// answer. What the program got, the listener, how often the model was asked, and how the run ended.
async fn executed(
    clock: Surroundings,
    (says, pause): (Vec<String>, Duration),
    (takes, reads): (Duration, usize),
) -> (Vec<String>, Listener, u32, RunState) {
    let fixture = Fixture::default();
    let (user, _) = fixture.person("ada@example.org");
    let app = fixture.new_instance();
    let store = app.store();
    let conversation = store.create_conversation(user.id, "", None).await.unwrap();
    let incoming = IncomingMessage { content: "hi", title: "t", default_model: "m", ..IncomingMessage::default() };
    let run_id = match store.append_message(user.id, conversation.id, &incoming).await.unwrap() {
        Appended::Stored(_, run, _) => run.id,
        other => panic!("{other:?}"),
    };
    let (ledger, asked) = (Ledger::new(), Cell::new(0));
    let host = Scripted { app: app.clone(), clock: clock.clone(), ledger, says, pause, asked };
    let OpenedRun::Events(reading) = orchestrator::open(&host, user.id, run_id, 0).await.unwrap() else { panic!() };
    let (answer, got) = (Answer::new("chatcmpl-1".into(), "assistant:A".into(), 7), Got::default());
    let listener = match reads {
        0 => Listener::collecting(answer),
        reads => {
            let (got, reading) = (Rc::clone(&got), Box::pin(future::ready(())));
            Listener::writing(answer.streamed(false), Box::new(Slow { clock, takes, reads, got, reading }))
        }
    };
    let settings = &config("", "").settings;
    execution::read(&host, settings, (user.id, run_id), reading, listener.clone()).await;
    let state = store.run(user.id, run_id).await.unwrap().unwrap().state;
    (got.take(), listener, host.asked.get(), state)
}

#[test]
fn who_reads_slowly_gets_the_whole_answer_in_fewer_pieces_and_the_run_does_not_wait() {
    paused(async |clock| {
        let says: Vec<String> = (0..9_000).map(|number| format!("{number} ")).collect();
        let text = says.concat();
        let reads = (Duration::from_secs(20), usize::MAX);
        let (got, _, asked, state) = executed(clock, (says, Duration::ZERO), reads).await;
        let said = got.concat();
        let events = said.split_terminator("\n\n").filter_map(|event| event.strip_prefix("data: "));
        let events: Vec<Value> = events.filter_map(|data| serde_json::from_str(data).ok()).collect();
        let content = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
        assert_eq!(content.collect::<String>(), text);
        assert!(said.ends_with("data: [DONE]\n\n"), "{}", got.len());
        assert!(got.len() < 50 && said.len() < 2 * text.len(), "{} pieces, {} bytes", got.len(), said.len());
        assert_eq!((asked, state), (1, RunState::Complete));
    });
}

#[test]
fn a_run_whose_program_leaves_is_stopped_and_its_stream_is_not_whole() {
    paused(async |clock| {
        let says = (0..1_000).map(|_| "word ".to_owned()).collect();
        let (got, _, asked, state) = executed(clock.clone(), (says, Duration::from_secs(1)), (Duration::ZERO, 5)).await;
        assert_eq!((got.len(), got.last().map(String::as_str)), (6, Some("<broken off>")));
        assert_eq!((asked, state), (1, RunState::Cancelled));
        assert!(clock.now() < Duration::from_secs(60), "{:?}", clock.now());
    });
}

#[test]
fn a_whole_answer_that_takes_too_long_is_stopped_and_a_stream_is_not() {
    paused(async |clock| {
        let says = || ["one ", "two"].map(str::to_owned).to_vec();
        let pause = Duration::from_secs(50);
        let (_, whole, ..) = executed(clock.clone(), (says(), pause), (Duration::ZERO, 0)).await;
        assert_eq!(whole.answer().whole().unwrap()["choices"][0]["message"]["content"], "one two");
        let slow = || (0..20).map(|_| "word ".to_owned()).collect();
        let (_, late, asked, state) = executed(clock.clone(), (slow(), pause), (Duration::ZERO, 0)).await;
        let ending = late.answer().ending().cloned();
        assert!(matches!(ending, Some(Ending::Failed(Failure { ref code, .. })) if code == LATE), "{ending:?}");
        assert_eq!((asked, state), (1, RunState::Cancelled));
        let (got, _, _, state) = executed(clock, (slow(), pause), (Duration::ZERO, usize::MAX)).await;
        assert!(state == RunState::Complete && got.concat().ends_with("data: [DONE]\n\n"));
    });
}
