//! What is measured and in which order: every case goes directly to the model, through the relay and through the app, one
//! after the other and several times over, so that a busy moment of the machine hits all of them alike.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{Request, Uri};
use http_body_util::Full;
use serde::Serialize;

use crate::app::Person;
use crate::process::{Meter, Server, start};
use crate::report::{self, Rate, Report, Sample, Streams};
use crate::transcript::{Dialect, Reading};
use crate::{client, rate};

/// Tokens of every stream.
pub(crate) const TOKENS: u64 = 50;
/// Pause of the paced model between two tokens: about what hosted models take.
const PACE_MS: u64 = 20;
/// Conversations in the list whose reading is timed: one full page.
const LISTED: usize = 50;
const REPETITIONS: usize = 3;
/// How long requests are counted.
const RATE_DURATION: Duration = Duration::from_secs(2);
const RATE_DURATION_QUICK: Duration = Duration::from_secs(1);
/// Streams that nobody counts: they have the components compiled, the pages mapped and the database made.
const WARM_UP_STREAMS: usize = 8;

/// Options of the benchmark. Paths are seen from the root of the repository.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 1 and 32 streams, once: under 30 s, and docs/benchmarks.md stays as it is
    #[arg(long)]
    quick: bool,
    /// Write all samples to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure an app that runs already too, for example on Spin; it must ask the model at --model-listen
    #[arg(long, value_name = "http://ADDRESS", requires = "pid", requires = "model_listen")]
    url: Option<Uri>,
    /// The process that serves --url
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Where the scripted model listens; a free port unless given
    #[arg(long, value_name = "ADDRESS")]
    model_listen: Option<SocketAddr>,
    /// A variable for the app, as with `cargo dev up`
    #[arg(long = "variable", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    #[arg(long, hide = true, default_value = "target/host/embedded-host")]
    host: PathBuf,
    #[arg(long, hide = true, default_value = "docs/benchmarks.md")]
    docs: PathBuf,
}

/// So many streams at once, so many times one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) streams: usize,
    pub(crate) delay_ms: u64,
    /// A few streams use less CPU than the kernel's clock can tell, so they are repeated.
    #[serde(skip)]
    rounds: usize,
}

/// From small to large: what a process took for a large case it keeps.
const CASES: [Case; 6] = [
    Case { streams: 1, delay_ms: PACE_MS, rounds: 4 },
    Case { streams: 1, delay_ms: 0, rounds: 32 },
    Case { streams: 32, delay_ms: PACE_MS, rounds: 1 },
    Case { streams: 32, delay_ms: 0, rounds: 4 },
    Case { streams: 256, delay_ms: PACE_MS, rounds: 1 },
    Case { streams: 256, delay_ms: 0, rounds: 1 },
];
/// Cases with more streams than this are not quick.
const QUICK_STREAMS_MAX: usize = 32;

impl Case {
    fn model(self) -> String {
        format!("scripted-chunks={TOKENS}-delay={}-ttft={}", self.delay_ms, self.delay_ms)
    }
}

/// What streams go through.
struct Subject {
    name: &'static str,
    address: SocketAddr,
    meter: Meter,
    dialect: Dialect,
    /// Who has the conversations; nobody where there are none.
    person: Option<Person>,
    _server: Option<Server>,
}

impl Subject {
    async fn measure(&mut self, case: Case) -> anyhow::Result<Sample> {
        let model = case.model();
        self.meter.forget_peak();
        let began = self.meter.cpu_ms().await?;
        let mut requests = Vec::with_capacity(case.streams * case.rounds);
        for _ in 0..case.streams * case.rounds {
            requests.push(self.request(&model).await?);
        }
        let prepared = self.meter.cpu_ms().await?;
        let mut readings: Vec<Reading> = Vec::with_capacity(requests.len());
        while !requests.is_empty() {
            let round = requests.split_off(requests.len().saturating_sub(case.streams));
            let read = client::streams(self.address, self.dialect, round, TOKENS).await;
            readings.extend(read.with_context(|| format!("{case:?} through {}", self.name))?);
        }
        let ended = self.meter.cpu_ms().await?;
        let posts_cpu_ms = self.person.is_some().then_some(prepared - began);
        Ok(Sample::of(&readings, ended - prepared, posts_cpu_ms, self.meter.peak_mib()?))
    }

    /// What a stream begins with; for the app, two POSTs come before it.
    async fn request(&mut self, model: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        match (&mut self.person, self.dialect) {
            (Some(person), _) => person.turn(model).await,
            (None, Dialect::Model) => client::completion_request(self.address, model),
            (None, Dialect::App) => client::request("GET", self.address, &format!("/events?model={model}"), "", None),
        }
    }
}

/// Measures, prints the report and writes it where it belongs.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (mut subjects, state) = start_subjects(arguments).await?;
    let mut report = Report::new();
    let cases = CASES.into_iter().filter(|case| !arguments.quick || case.streams <= QUICK_STREAMS_MAX);
    let cases: Vec<Case> = cases.collect();
    let repetitions = if arguments.quick { 1 } else { REPETITIONS };
    for subject in &mut subjects {
        subject.measure(Case { streams: WARM_UP_STREAMS, delay_ms: 0, rounds: 1 }).await?;
    }
    for repetition in 1..=repetitions {
        for &case in &cases {
            for subject in &mut subjects {
                let sample = subject.measure(case).await?;
                eprintln!(
                    "{repetition}/{repetitions}  {:3} streams, {:2} ms apart, {:13} {sample}",
                    case.streams, case.delay_ms, subject.name
                );
                report.add_streams(Streams { case, through: subject.name, samples: vec![sample] });
            }
        }
    }
    measure_rates(&subjects, arguments.quick, repetitions, &mut report).await?;
    drop((subjects, state));

    println!("{report}");
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !arguments.quick {
        report::refresh(&arguments.docs, &report)?;
    }
    Ok(())
}

/// Starts everything. The app's state lies in the folder that is given back, and goes with it.
async fn start_subjects(arguments: &Arguments) -> anyhow::Result<(Vec<Subject>, tempfile::TempDir)> {
    let this = std::env::current_exe()?;
    let listen = arguments.model_listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let model = start(&this, ["model".to_owned(), format!("--listen={listen}")]).await?;
    let relay = start(&this, ["relay".to_owned(), format!("--model={}", model.address)]).await?;
    let state = tempfile::tempdir()?;
    let mut host = ["up", "--listen=127.0.0.1:0", "--quiet", "--state-dir"].map(str::to_owned).to_vec();
    host.push(state.path().display().to_string());
    let address = model.address;
    let about_the_model = [
        format!("openai_base_url=http://{address}/v1"),
        "openai_api_key=bench".to_owned(),
        "openai_model=scripted".to_owned(),
        "openai_models=scripted*".to_owned(),
    ];
    host.extend(about_the_model.iter().chain(&arguments.variables).map(|variable| format!("--variable={variable}")));
    eprintln!("starting the app; the first start compiles its components, which can take a minute ...");
    let app = start(&arguments.host, host).await?;

    let mut subjects = vec![
        served("direct", model, Dialect::Model)?,
        served("relay", relay, Dialect::App)?,
        Subject { person: Some(Person::sign_up(app.address).await?), ..served("app", app, Dialect::App)? },
    ];
    if let (Some(url), Some(pid)) = (&arguments.url, arguments.pid) {
        let authority = url.authority().with_context(|| format!("{url} is no http://ADDRESS:PORT"))?;
        let address: SocketAddr = authority.as_str().parse().with_context(|| format!("{url}: give an IP address"))?;
        let person = Some(Person::sign_up(address).await?);
        let (meter, dialect) = (Meter::of(pid)?, Dialect::App);
        subjects.push(Subject { name: "app at --url", address, meter, dialect, person, _server: None });
    }
    Ok((subjects, state))
}

fn served(name: &'static str, server: Server, dialect: Dialect) -> anyhow::Result<Subject> {
    let meter = Meter::of(server.pid)?;
    Ok(Subject { name, address: server.address, meter, dialect, person: None, _server: Some(server) })
}

async fn measure_rates(
    subjects: &[Subject],
    quick: bool,
    repetitions: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let duration = if quick { RATE_DURATION_QUICK } else { RATE_DURATION };
    let mut targets = Vec::new();
    for subject in subjects.iter().filter(|subject| subject.dialect == Dialect::App) {
        let health = client::request("GET", subject.address, "/health", "", None)?;
        targets.push((subject, "/health", health));
        if subject.person.is_some() {
            // Somebody with exactly one page.
            let mut person = Person::sign_up(subject.address).await?;
            for _ in 0..LISTED {
                person.conversation(None).await?;
            }
            targets.push((subject, "/api/conversations", person.get("/api/conversations")?));
        }
    }
    for repetition in 1..=repetitions {
        for (subject, path, request) in &targets {
            let before = subject.meter.cpu_ms().await?;
            let (answers, per_second) = rate::measure(subject.address, request, duration).await?;
            let cpu_us = (subject.meter.cpu_ms().await? - before) * 1000.0 / f64::from(answers.max(1));
            eprintln!("{repetition}/{repetitions}  GET {path} {}: {per_second:.0} a second", subject.name);
            report.add_rate(Rate { path, through: subject.name, per_second: vec![per_second], cpu_us: vec![cpu_us] });
        }
    }
    Ok(())
}
