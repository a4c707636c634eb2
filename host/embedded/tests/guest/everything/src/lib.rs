//! Fixture: one component for all the host's tests; the path chooses the behaviour.

mod postgres;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use spin_sdk::http::body::{IncomingBodyExt, stream};
use spin_sdk::http::{BoxBody, FullBody, IntoResponse, Request, Response, StatusCode, box_body};
use spin_sdk::sqlite::{Connection, Value};
use spin_sdk::wasip3::{http_compat::IncomingBody, spawn};
use spin_sdk::{http_service, key_value::Store, time::sleep, variables};

/// Counts the requests of this instance.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let count = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let last = path.rsplit('/').next().unwrap_or_default();
    let told = match last {
        "echo" => return Response::new(box_body(request.into_body())),
        "length" => length(request).await,
        "stream" => return streaming(),
        "much" => return much(),
        "background" => return background(query),
        "pass" => return pass(&query).await,
        "count" => Ok(count.to_string()),
        "headers" => Ok(headers(&request)),
        "variable" => variables::get(&query).await.map_err(|error| format!("{error:?}")),
        "read" => std::fs::read_to_string(&query).map_err(|error| error.kind().to_string()),
        "write" => std::fs::write(&query, "changed").map(|()| String::new()).map_err(|error| error.kind().to_string()),
        "environment" => Ok(std::env::var(&query).unwrap_or_default()),
        "sleep" => Ok(slept(&query).await),
        "get" => fetched(&query).await,
        "sqlite" => sqlite(&query).await,
        "sqlite-sync" => sqlite_sync(&query),
        "rows" => rows(&query).await,
        "database" => Connection::open(&query).await.map(|_| "open".to_owned()).map_err(|error| format!("{error:?}")),
        "postgres" => postgres::statements(&query, request).await,
        "postgres-values" => postgres::values().await,
        "postgres-misfits" => postgres::misfits().await,
        "postgres-rows" => postgres::rows(&query).await,
        "postgres-execute" => postgres::execute().await,
        "set" | "key" | "keys" => key_value(last, &query).await,
        "print" => {
            println!("to stdout {query}");
            eprintln!("to stderr {query}");
            Ok(String::new())
        }
        "trap" => trap(&query),
        "eat" => eat(),
        "loop" => endless(),
        "infer" => infer(&query),
        _ => Err(format!("no {path}")),
    };
    match told {
        Ok(told) => text(StatusCode::OK, told),
        Err(told) => text(StatusCode::BAD_GATEWAY, told),
    }
}

fn text(status: StatusCode, told: String) -> Response<BoxBody> {
    let mut response = Response::new(box_body(FullBody::new(Bytes::from(told))));
    *response.status_mut() = status;
    response
}

fn headers(request: &Request<IncomingBody<spin_sdk::wasip3::http::types::Request>>) -> String {
    let line = |(name, value): (&spin_sdk::http::HeaderName, &spin_sdk::http::HeaderValue)| {
        format!("{name}: {}\n", value.to_str().unwrap_or_default())
    };
    request.headers().iter().map(line).collect()
}

/// Three pieces, 50 ms apart.
fn streaming() -> Response<BoxBody> {
    let (mut sender, body) = stream::<String>();
    spawn(async move {
        for piece in ["one", "two", "three"] {
            if sender.send(format!("{piece}\n")).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    Response::new(box_body(body))
}

/// The length of the body, once it has arrived completely.
async fn length(request: Request) -> Result<String, String> {
    let body = request.into_body().bytes().await.map_err(|error| format!("{error:?}"))?;
    Ok(body.len().to_string())
}

/// A body of 64 MiB: more than the system buffers for a client that does not read.
fn much() -> Response<BoxBody> {
    let (mut sender, body) = stream::<String>();
    spawn(async move {
        let piece = "much ".repeat(13_107);
        for _ in 0..1_024 {
            if sender.send(piece.clone()).await.is_err() {
                break;
            }
        }
    });
    Response::new(box_body(body))
}

/// Sends until the reader has left, then continues for a while and leaves a note in the store.
fn background(key: String) -> Response<BoxBody> {
    let (mut sender, body) = stream::<String>();
    spawn(async move {
        while sender.send("still here\n".to_owned()).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(300)).await;
        if let Ok(store) = Store::open_default().await {
            let _ = store.set(&key, b"done").await;
        }
    });
    Response::new(box_body(body))
}

/// Passes an upstream's body on as it arrives.
async fn pass(address: &str) -> Response<BoxBody> {
    match spin_sdk::http::get(address).await {
        Ok(response) => Response::new(box_body(response.into_body())),
        Err(error) => text(StatusCode::BAD_GATEWAY, format!("{error:?}")),
    }
}

async fn slept(milliseconds: &str) -> String {
    sleep(Duration::from_millis(milliseconds.parse().unwrap_or_default())).await;
    "slept".to_owned()
}

/// The head of an upstream's response; its body is dropped unread.
async fn fetched(address: &str) -> Result<String, String> {
    let response = spin_sdk::http::get(address).await.map_err(|error| format!("{error:?}"))?;
    Ok(response.status().to_string())
}

async fn sqlite(note: &str) -> Result<String, String> {
    let told = |error| format!("{error:?}");
    let database = Connection::open_default().await.map_err(told)?;
    let create = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, note TEXT, size REAL, raw BLOB)";
    database.execute(create, []).await.map_err(told)?.result().await.map_err(told)?;
    let insert = "INSERT INTO notes (note, size, raw) VALUES (?, ?, ?) RETURNING id, note, size, raw, NULL";
    let values = [Value::Text(note.to_owned()), Value::Real(1.5), Value::Blob(vec![1, 2])];
    let inserted = database.execute(insert, values).await.map_err(told)?;
    let columns = inserted.columns().join(",");
    let rows = inserted.collect().await.map_err(told)?;
    let (changes, rowid) = (database.changes().await, database.last_insert_rowid().await);
    Ok(format!("{columns} {rows:?} {changes} {rowid}"))
}

fn sqlite_sync(statement: &str) -> Result<String, String> {
    use spin_sdk::sqlite::wit::sqlite::Connection;
    let told = |error| format!("{error:?}");
    let statement = statement.replace("%20", " ");
    let database = Connection::open("default").map_err(told)?;
    Ok(format!("{:?}", database.execute(&statement, &[]).map_err(told)?))
}

/// Counts the requested number of rows, one by one.
async fn rows(limit: &str) -> Result<String, String> {
    let told = |error| format!("{error:?}");
    let database = Connection::open_default().await.map_err(told)?;
    let count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n";
    let limit = Value::Integer(limit.parse().unwrap_or_default());
    let mut result = database.execute(count, [limit]).await.map_err(told)?;
    let mut rows = 0;
    while result.next().await.is_some() {
        rows += 1;
    }
    result.result().await.map_err(told)?;
    Ok(rows.to_string())
}

async fn key_value(what: &str, query: &str) -> Result<String, String> {
    let told = |error| format!("{error:?}");
    let store = Store::open_default().await.map_err(told)?;
    match what {
        "set" => store.set(query, query).await.map(|()| "set".to_owned()).map_err(told),
        "key" => {
            let value = store.get(query).await.map_err(told)?;
            Ok(value.map_or("none".to_owned(), |value| String::from_utf8_lossy(&value).into_owned()))
        }
        _ => Ok(store.get_keys().await.collect().await.map_err(told)?.join(",")),
    }
}

/// A panic, as in a guest with a bug.
#[allow(clippy::panic)]
fn trap(reason: &str) -> Result<String, String> {
    panic!("asked to trap {reason}")
}

/// Allocates memory until there is none.
fn eat() -> Result<String, String> {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(16 << 20).is_err() {
            return Ok(format!("ate {} MiB", eaten.len() * 16));
        }
        piece.resize(16 << 20, 1);
        eaten.push(piece);
    }
}

fn endless() -> Result<String, String> {
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

/// Calls an interface that Spin has and the embedded host lacks.
fn infer(prompt: &str) -> Result<String, String> {
    let inferred = spin_sdk::llm::infer(spin_sdk::llm::InferencingModel::Llama2Chat, prompt);
    inferred.map(|result| result.text).map_err(|error| format!("{error:?}"))
}
