//! The measurements and their order. Every case runs directly against the model, through the relays and through the app on each database, one
//! after the other and several times, so that a busy moment of the machine affects all of them alike.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{Request, Uri};
use http_body_util::Full;
use native_sqlite::SqliteFile;
use tempfile::TempDir;

use crate::app::Person;
use crate::case::{CASES, Case, PACE_MS, QUICK_STREAMS_MAX, TOKENS};
use crate::gateways::{self, PROGRAMS};
use crate::postgres::{Postgres, Reason, Sent};
use crate::process::{Meter, Server, start};
use crate::report::{self, DatabaseSample, Rate, Report, Sample, Streams};
use crate::transcript::{Dialect, Reading};
use crate::{client, dataset, rate};

/// Conversations in the list whose reading is timed: one full page.
const LISTED: usize = 50;
const REPETITIONS: usize = 3;
/// For how long requests are counted.
const RATE_DURATION: Duration = Duration::from_secs(2);
const RATE_DURATION_QUICK: Duration = Duration::from_secs(1);
/// Streams that are not counted: after them the components are compiled, the pages mapped and the database made.
const WARM_UP_STREAMS: usize = 8;

/// How often counting a turn's statements is repeated. A turn usually gets running instances, unless one has just served its last request.
const WARM_ATTEMPTS: usize = 5;

/// The app's database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
    Both,
}

/// The relay, natively and as a component on the host that serves the app.
pub(crate) const RELAY: &str = "relay";
pub(crate) const COMPONENT: &str = "relay as a component";
const COMPONENT_MANIFEST: &str = include_str!("../guest/spin.toml");
/// The place of its manifest: a host keeps compiled components beside the manifest.
const COMPONENT_MANIFEST_AT: &str = "target/dev/bench-guest.toml";
/// Names of the app as a subject.
pub(crate) const APP: &str = "app";
pub(crate) const APP_ON_POSTGRES: &str = "app on PostgreSQL";

/// Options of the benchmark. Paths are seen from the root of the repository.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 1 and 32 streams, once, and less data: about a minute, and docs/benchmarks.md stays as it is
    #[arg(long)]
    quick: bool,
    /// What the app keeps everything in; `both` leaves PostgreSQL out on a machine that cannot have it
    #[arg(long, value_enum, default_value = "both")]
    store: Store,
    /// Write all samples to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure streams only, of these cases, once: for a profiler, or to compare two builds
    #[arg(long = "case", value_name = "STREAMS:DELAY_MS:ROUNDS")]
    cases: Vec<Case>,
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
    /// What serves the app and the relay that is a component: `spin`, or another program with its options
    #[arg(long, value_name = "PROGRAM", default_value = "target/host/embedded-host")]
    host: PathBuf,
    /// Measure other gateways beside `/v1`: a Python with the packages of host/dev/bench/gateways/requirements.in
    #[arg(long, value_name = "PYTHON")]
    gateways: Option<PathBuf>,
    #[arg(long, hide = true, default_value = "docs/benchmarks.md")]
    docs: PathBuf,
}

/// A subject of the measurements: the model, a relay or the app.
struct Subject {
    name: &'static str,
    address: SocketAddr,
    meter: Meter,
    dialect: Dialect,
    /// The user with the conversations; `None` for subjects without conversations.
    person: Option<Person>,
    /// The key of a program, for subjects that want one.
    key: String,
    /// Fields are dropped in this order, so the server ends first.
    _server: Option<Server>,
    /// The state folder of a host without a store.
    _state: Option<TempDir>,
    store: Option<AppStore>,
}

/// The app's storage, kept while it is measured.
enum AppStore {
    Sqlite(TempDir),
    /// The folder is for the host's other state.
    Postgres(Box<Postgres>, #[expect(dead_code, reason = "is removed when dropped")] TempDir),
}

impl Subject {
    fn postgres(&self) -> Option<&Postgres> {
        match &self.store {
            Some(AppStore::Postgres(postgres, _)) => Some(postgres),
            _ => None,
        }
    }

    async fn measure(&mut self, case: Case) -> anyhow::Result<Sample> {
        let model = case.model();
        self.meter.forget_peak();
        let began = self.cpu().await?;
        let mut requests = Vec::with_capacity(case.streams * case.rounds);
        for _ in 0..case.streams * case.rounds {
            requests.push(self.request(&model).await?);
        }
        let prepared = self.cpu().await?;
        if let Some(postgres) = self.postgres() {
            postgres.forget_statements().await?;
        }
        let mut readings: Vec<Reading> = Vec::with_capacity(requests.len());
        let streaming = Instant::now();
        while !requests.is_empty() {
            let round = requests.split_off(requests.len().saturating_sub(case.streams));
            let read = client::streams(self.address, self.dialect, round, TOKENS).await;
            readings.extend(read.with_context(|| format!("{case:?} through {}", self.name))?);
        }
        let streamed = streaming.elapsed();
        let ended = self.cpu().await?;
        let posts_cpu_ms = self.person.is_some().then_some(prepared.served_ms - began.served_ms);
        let mut sample =
            Sample::of(&readings, ended.served_ms - prepared.served_ms, posts_cpu_ms, self.meter.peak_mib()?);
        if let Some(postgres) = self.postgres() {
            let cpu_ms = ended.database_ms - prepared.database_ms;
            let posts_cpu_ms = prepared.database_ms - began.database_ms;
            let longest = postgres.statements().await?.into_iter().max_by_key(|sent| sent.longest_us);
            sample.database = Some(DatabaseSample::of(readings.len(), cpu_ms, posts_cpu_ms, streamed, longest));
        }
        Ok(sample)
    }

    /// The CPU time so far, once the serving process is idle.
    async fn cpu(&self) -> anyhow::Result<Cpu> {
        let served_ms = self.meter.cpu_ms().await?;
        let database_ms = self.postgres().map(Postgres::cpu_ms).transpose()?.unwrap_or_default();
        Ok(Cpu { served_ms, database_ms })
    }

    /// The statements PostgreSQL gets for one turn, from the message to the end of its stream, with instances that are already running.
    async fn statements_of_a_turn(&mut self, case: Case) -> anyhow::Result<Vec<Sent>> {
        let mut sent = Vec::new();
        for _ in 0..WARM_ATTEMPTS {
            // The first turn is not counted: it starts the instances or keeps them running.
            for counted in [false, true] {
                let person = self.person.as_mut().context("nobody sends messages")?;
                let conversation = person.conversation(Some(&case.model())).await?;
                let postgres = self.postgres().context("only PostgreSQL counts statements")?;
                if counted {
                    postgres.forget_statements().await?;
                }
                let person = self.person.as_mut().context("nobody sends messages")?;
                let request = person.turn_in(&conversation).await?;
                client::streams(self.address, self.dialect, vec![request], TOKENS).await?;
            }
            sent = self.postgres().context("only PostgreSQL counts statements")?.statements().await?;
            if sent.iter().all(|sent| sent.reason() != Reason::NewInstance) {
                break;
            }
        }
        Ok(sent)
    }

    /// The user with the data set, and the ids of the conversations; `None` if the benchmark cannot write to the database.
    async fn somebody_with_data(&self, conversations: usize) -> anyhow::Result<Option<(Person, Vec<String>)>> {
        let Some(store) = &self.store else { return Ok(None) };
        let person = Person::sign_up(self.address).await?;
        let began = Instant::now();
        let model = Case { streams: 1, delay_ms: 0, rounds: 1 }.model();
        let ids = match store {
            AppStore::Sqlite(folder) => {
                let database = SqliteFile::open(&folder.path().join("sqlite_db.db"))?;
                dataset::fill(&database, &person.id, &model, conversations).await?
            }
            AppStore::Postgres(postgres, _) => {
                dataset::fill(&postgres.open().await?, &person.id, &model, conversations).await?
            }
        };
        let took = began.elapsed().as_secs_f64();
        eprintln!("{}: {conversations} conversations of {} messages in {took:.1} s", self.name, dataset::MESSAGES);
        Ok(Some((person, ids)))
    }

    /// The request that begins a stream; for the app, two POSTs come before it.
    async fn request(&mut self, model: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        match (&mut self.person, self.dialect) {
            (Some(person), _) => person.turn(model).await,
            (None, Dialect::Model) => client::completion_request(self.address, client::COMPLETIONS, model, &self.key),
            (None, Dialect::App) => client::request("GET", self.address, &format!("/events?model={model}"), "", None),
        }
    }
}

/// CPU time so far.
#[derive(Clone, Copy)]
struct Cpu {
    served_ms: f64,
    /// CPU time of all PostgreSQL's processes; 0 without PostgreSQL.
    database_ms: f64,
}

/// Measures, prints the report, and writes it to its file.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut report = Report::new();
    let mut subjects = start_subjects(arguments, &mut report).await?;
    let quick = arguments.quick || !arguments.cases.is_empty();
    let cases = CASES.into_iter().filter(|case| !quick || case.streams <= QUICK_STREAMS_MAX);
    let cases = if arguments.cases.is_empty() { cases.collect() } else { arguments.cases.clone() };
    let repetitions = if quick { 1 } else { REPETITIONS };
    for subject in &mut subjects {
        subject.measure(Case { streams: WARM_UP_STREAMS, delay_ms: 0, rounds: 1 }).await?;
    }
    for repetition in 1..=repetitions {
        for &case in &cases {
            for subject in &mut subjects {
                let sample = subject.measure(case).await?;
                eprintln!(
                    "{repetition}/{repetitions}  {:3} streams, {:2} ms apart, {:20} {sample}",
                    case.streams, case.delay_ms, subject.name
                );
                report.add_streams(Streams { case, through: subject.name, samples: vec![sample] });
            }
        }
    }
    if arguments.cases.is_empty() {
        for subject in subjects.iter_mut().filter(|subject| subject.postgres().is_some()) {
            report.turn = subject.statements_of_a_turn(Case { streams: 1, delay_ms: PACE_MS, rounds: 1 }).await?;
        }
        measure_rates(&subjects, quick, repetitions, &mut report).await?;
    }
    drop(subjects);

    println!("{report}");
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !quick {
        report::refresh(&arguments.docs, &report)?;
    }
    Ok(())
}

/// Starts all subjects. Those that this machine cannot run are left out, and the report says so.
async fn start_subjects(arguments: &Arguments, report: &mut Report) -> anyhow::Result<Vec<Subject>> {
    let this = std::env::current_exe()?;
    let listen = arguments.model_listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let model = start(&this, ["model".to_owned(), format!("--listen={listen}")]).await?;
    let relay = start(&this, ["relay".to_owned(), format!("--model={}", model.address)]).await?;
    let model_address = model.address;
    let state = tempfile::tempdir()?;
    let url = format!("completions_url={}", client::completions_url(model_address));
    std::fs::write(COMPONENT_MANIFEST_AT, COMPONENT_MANIFEST)
        .with_context(|| format!("cannot write {COMPONENT_MANIFEST_AT}"))?;
    let component = start_host(arguments, &state, ["--from", COMPONENT_MANIFEST_AT, "--variable", &url]).await?;
    let mut subjects = vec![
        served("direct", model, Dialect::Model)?,
        served(RELAY, relay, Dialect::App)?,
        Subject { _state: Some(state), ..served(COMPONENT, component, Dialect::App)? },
    ];
    eprintln!("starting the app; the first start compiles its components, which can take a minute ...");
    if arguments.store != Store::Postgres {
        let state = tempfile::tempdir()?;
        let app = start_app(arguments, model_address, &state, None).await?;
        let mut person = Person::sign_up(app.address).await?;
        let (key, meter) = (person.key().await?, Meter::of_server(app.pid)?);
        let (address, store) = (app.address, Some(AppStore::Sqlite(state)));
        subjects.push(Subject { person: Some(person), store, ..served(APP, app, Dialect::App)? });
        // The same process, so it is measured when it does nothing else.
        subjects.push(Subject { key, ..subject(PROGRAMS, address, meter, Dialect::Model) });
    }
    if arguments.store != Store::Sqlite {
        match Postgres::start().await {
            Ok(postgres) => {
                let state = tempfile::tempdir()?;
                let app = start_app(arguments, model_address, &state, Some(&postgres)).await?;
                let person = Some(Person::sign_up(app.address).await?);
                report.add_version("PostgreSQL", &postgres.version().await?);
                let store = Some(AppStore::Postgres(Box::new(postgres), state));
                subjects.push(Subject { person, store, ..served(APP_ON_POSTGRES, app, Dialect::App)? });
            }
            Err(error) if arguments.store == Store::Both => {
                eprintln!("PostgreSQL is left out, it cannot be had here: {error:#}");
                report.left_out.push("PostgreSQL is left out: it could not be had.");
            }
            Err(error) => return Err(error),
        }
    }
    if let (Some(url), Some(pid)) = (&arguments.url, arguments.pid) {
        let authority = url.authority().with_context(|| format!("{url} is no http://ADDRESS:PORT"))?;
        let address: SocketAddr = authority.as_str().parse().with_context(|| format!("{url}: give an IP address"))?;
        let person = Some(Person::sign_up(address).await?);
        let meter = Meter::of(pid)?;
        subjects.push(Subject { person, ..subject("app at --url", address, meter, Dialect::App) });
    }
    if let Some(python) = &arguments.gateways {
        for (name, server) in gateways::start_all(python, model_address).await? {
            subjects.push(served(name, server, Dialect::Model)?);
        }
    }
    Ok(subjects)
}

/// Starts a host with the app on PostgreSQL, or on SQLite in `state`.
async fn start_app(
    arguments: &Arguments,
    model: SocketAddr,
    state: &TempDir,
    postgres: Option<&Postgres>,
) -> anyhow::Result<Server> {
    let mut variables = vec![
        format!("openai_base_url=http://{model}/v1"),
        "openai_api_key=bench".to_owned(),
        "openai_model=scripted".to_owned(),
        "openai_models=scripted*".to_owned(),
        // One person sends as much as many people do.
        "requests_per_minute=0".to_owned(),
        "person_requests_per_minute=0".to_owned(),
        "session_requests_per_minute=0".to_owned(),
    ];
    variables.extend(postgres.map(|postgres| format!("database_url={}", postgres.url())));
    variables.extend(arguments.variables.iter().cloned());
    start_host(arguments, state, variables.iter().flat_map(|variable| ["--variable", variable])).await
}

/// Starts a host with the state folder `state`.
async fn start_host<'a>(
    arguments: &Arguments,
    state: &'a TempDir,
    options: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<Server> {
    let host = ["up", "--listen=127.0.0.1:0", "--quiet", "--state-dir"].map(OsStr::new);
    let options = options.into_iter().map(OsStr::new);
    start(&arguments.host, host.into_iter().chain([state.path().as_os_str()]).chain(options)).await
}

fn served(name: &'static str, server: Server, dialect: Dialect) -> anyhow::Result<Subject> {
    let (meter, address) = (Meter::of_server(server.pid)?, server.address);
    Ok(Subject { _server: Some(server), ..subject(name, address, meter, dialect) })
}

/// A subject that somebody else serves, without anything of its own.
fn subject(name: &'static str, address: SocketAddr, meter: Meter, dialect: Dialect) -> Subject {
    let (person, key) = (None, "bench".to_owned());
    Subject { name, address, meter, dialect, person, key, _server: None, _state: None, store: None }
}

/// The request or turn that is repeated.
enum Load {
    Request(Request<Full<Bytes>>),
    /// Turns in a user's conversations.
    Turns(Person, Vec<String>),
}

async fn measure_rates(
    subjects: &[Subject],
    quick: bool,
    repetitions: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let duration = if quick { RATE_DURATION_QUICK } else { RATE_DURATION };
    let conversations = if quick { dataset::CONVERSATIONS_QUICK } else { dataset::CONVERSATIONS };
    let mut targets = Vec::new();
    for subject in subjects.iter().filter(|subject| subject.dialect == Dialect::App) {
        let health = client::request("GET", subject.address, "/health", "", None)?;
        targets.push((subject, "`GET /health`".to_owned(), Load::Request(health)));
        if subject.person.is_some() {
            // A user with exactly one page of conversations.
            let mut person = Person::sign_up(subject.address).await?;
            for _ in 0..LISTED {
                person.conversation(None).await?;
            }
            let list = Load::Request(person.get("/api/conversations")?);
            targets.push((subject, "`GET /api/conversations`".to_owned(), list));
        }
    }
    measure_targets(&targets, duration, repetitions, report).await?;

    let mut targets = Vec::new();
    for subject in subjects {
        let Some((person, ids)) = subject.somebody_with_data(conversations).await? else { continue };
        let list = Load::Request(person.get("/api/conversations")?);
        targets.push((subject, format!("`GET /api/conversations`, 50 of {conversations}"), list));
        let first = ids.first().context("the data set is empty")?;
        let messages = Load::Request(person.get(&format!("/api/conversations/{first}/messages"))?);
        targets.push((subject, format!("`GET …/messages`, 100 of {}", dataset::MESSAGES), messages));
        let what = format!("a turn after {} messages, {TOKENS} tokens at once", dataset::MESSAGES);
        targets.push((subject, what, Load::Turns(person, ids)));
    }
    measure_targets(&targets, duration, repetitions, report).await
}

async fn measure_targets(
    targets: &[(&Subject, String, Load)],
    duration: Duration,
    repetitions: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    for repetition in 1..=repetitions {
        for (subject, what, load) in targets {
            let before = subject.cpu().await?;
            let (answers, per_second) = match load {
                Load::Request(request) => rate::measure(subject.address, request, duration).await?,
                Load::Turns(person, ids) => rate::turns(person, ids, TOKENS, duration).await?,
            };
            let after = subject.cpu().await?;
            let each_us = |ms: f64| ms * 1000.0 / f64::from(answers.max(1));
            eprintln!("{repetition}/{repetitions}  {what} {}: {per_second:.0} a second", subject.name);
            let database_cpu_us = each_us(after.database_ms - before.database_ms);
            report.add_rate(Rate {
                what: what.clone(),
                through: subject.name,
                per_second: vec![per_second],
                cpu_us: vec![each_us(after.served_ms - before.served_ms)],
                database_cpu_us: subject.postgres().map(|_| database_cpu_us).into_iter().collect(),
            });
        }
    }
    Ok(())
}
