//! Statements against the database whose address is the variable `database`.

use spin_sdk::http::Request;
use spin_sdk::http::body::IncomingBodyExt;
use spin_sdk::pg::wit::postgres::Connection as SyncConnection;
use spin_sdk::pg::{Certificate, Column, Connection, DbValue, Interval, OpenOptions, ParameterValue, RangeBoundKind};
use spin_sdk::variables;
use spin_sdk::wasip3::http_compat::IncomingBody;

type Body = IncomingBody<spin_sdk::wasip3::http::types::Request>;

/// Runs each line of the body on one connection, and returns a line for each. `how` is `sync`, `root` to trust the certificate in the variable
/// `root`, or empty.
pub(crate) async fn statements(how: &str, request: Request<Body>) -> Result<String, String> {
    let database = variable("database").await?;
    let body = request.into_body().bytes().await.map_err(told)?;
    let statements = String::from_utf8_lossy(&body);
    let mut answers = String::new();
    if how == "sync" {
        let connection = SyncConnection::open(&database).map_err(told)?;
        for statement in statements.lines() {
            let rows = connection.query(statement, &[]).map(|set| shown(&set.columns, &set.rows)).unwrap_or_else(told);
            answers += &format!("{rows}\n");
        }
        return Ok(answers);
    }
    let ca_root = if how == "root" { Some(Certificate::Text(variable("root").await?)) } else { None };
    let connection = Connection::open_with_options(database, OpenOptions { ca_root }).await.map_err(told)?;
    for statement in statements.lines() {
        answers += &format!("{}\n", query(&connection, statement, []).await.unwrap_or_else(|error| error));
    }
    Ok(answers)
}

/// Sends and reads back a value of each kind, then NULL as a text, as a number and as JSON.
pub(crate) async fn values() -> Result<String, String> {
    let connection = Connection::open(variable("database").await?).await.map_err(told)?;
    let (low, high) = (RangeBoundKind::Inclusive, RangeBoundKind::Exclusive);
    let values = [
        ("bool", ParameterValue::Boolean(true)),
        ("int2", ParameterValue::Int16(-2)),
        ("int4", ParameterValue::Int32(-4)),
        ("int8", ParameterValue::Int64(-8)),
        ("float4", ParameterValue::Floating32(1.5)),
        ("float8", ParameterValue::Floating64(-2.5)),
        ("text", ParameterValue::Str("ünï".to_owned())),
        ("bytea", ParameterValue::Binary(vec![0, 255])),
        ("date", ParameterValue::Date((2024, 2, 29))),
        ("time", ParameterValue::Time((23, 59, 58, 123_456_000))),
        ("timestamp", ParameterValue::Datetime((1999, 12, 31, 1, 2, 3, 4_000))),
        ("uuid", ParameterValue::Uuid("01890a5d-ac96-774b-bcce-b302099a8057".to_owned())),
        ("jsonb", ParameterValue::Jsonb(b"{\"a\": [1, null]}".to_vec())),
        ("numeric", ParameterValue::Decimal("12345.6789".to_owned())),
        ("int4range", ParameterValue::RangeInt32((Some((1, low)), Some((5, high))))),
        ("int8range", ParameterValue::RangeInt64((None, Some((5, high))))),
        ("numrange", ParameterValue::RangeDecimal((Some(("1.5".to_owned(), high)), None))),
        ("int4[]", ParameterValue::ArrayInt32(vec![Some(1), None])),
        ("int8[]", ParameterValue::ArrayInt64(vec![Some(-1)])),
        ("numeric[]", ParameterValue::ArrayDecimal(vec![Some("0.1".to_owned()), None])),
        ("text[]", ParameterValue::ArrayStr(vec![None, Some("x".to_owned())])),
        ("interval", ParameterValue::Interval(Interval { micros: 1, days: 2, months: 3 })),
        ("text", ParameterValue::DbNull),
        ("int4", ParameterValue::DbNull),
        ("jsonb", ParameterValue::DbNull),
    ];
    let mut answers = String::new();
    for (ty, value) in values {
        answers += &format!("{ty} {}\n", query(&connection, &format!("SELECT $1::{ty} AS v"), [value]).await?);
    }
    // Values that come back changed.
    let instant = query(
        &connection,
        "SELECT extract(epoch FROM $1::timestamptz)::int8 AS v",
        [ParameterValue::Timestamp(1_700_000_000)],
    );
    Ok(format!("{answers}timestamptz {}\n", instant.await?))
}

/// Values that do not fit, and their errors.
pub(crate) async fn misfits() -> Result<String, String> {
    let connection = Connection::open(variable("database").await?).await.map_err(told)?;
    let mut answers = String::new();
    for (ty, value) in [
        ("int4", ParameterValue::Int64(1)),
        ("date", ParameterValue::Date((2023, 2, 29))),
        ("uuid", ParameterValue::Uuid("no".to_owned())),
        ("jsonb", ParameterValue::Str("{}".to_owned())),
    ] {
        let answer = query(&connection, &format!("SELECT $1::{ty}"), [value]).await.unwrap_or_else(|error| error);
        answers += &format!("{ty} {answer}\n");
    }
    Ok(answers)
}

/// Counts rows one by one.
pub(crate) async fn rows(limit: &str) -> Result<String, String> {
    let connection = Connection::open(variable("database").await?).await.map_err(told)?;
    let statement = format!("SELECT i FROM generate_series(1, {limit}) AS i");
    let mut result = connection.query(statement, []).await.map_err(told)?;
    let mut rows = 0;
    while result.next().await.is_some() {
        rows += 1;
    }
    result.result().await.map_err(told)?;
    Ok(rows.to_string())
}

/// How many rows an `UPDATE` affected, with both calls.
pub(crate) async fn execute() -> Result<String, String> {
    let database = variable("database").await?;
    let connection = Connection::open(database.clone()).await.map_err(told)?;
    connection.execute("CREATE TABLE t (i int4)", []).await.map_err(told)?;
    let inserted = connection.execute("INSERT INTO t SELECT generate_series(1, 3)", []).await.map_err(told)?;
    let connection = SyncConnection::open(&database).map_err(told)?;
    let updated = connection.execute("UPDATE t SET i = 0 WHERE i > $1", &[ParameterValue::Int32(1)]).map_err(told)?;
    Ok(format!("{inserted} {updated}"))
}

async fn query(
    connection: &Connection,
    statement: &str,
    parameters: impl Into<Vec<ParameterValue>>,
) -> Result<String, String> {
    let mut result = connection.query(statement, parameters).await.map_err(told)?;
    let columns = result.columns().to_vec();
    let mut rows = Vec::new();
    while let Some(row) = result.rows().next().await {
        rows.push(row);
    }
    result.result().await.map_err(told)?;
    Ok(shown(&columns, &rows))
}

fn shown(columns: &[Column], rows: &[Vec<DbValue>]) -> String {
    let columns: Vec<_> = columns.iter().map(|column| format!("{}: {:?}", column.name, column.data_type)).collect();
    format!("{columns:?} {rows:?}")
}

async fn variable(name: &str) -> Result<String, String> {
    variables::get(name).await.map_err(told)
}

fn told(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
