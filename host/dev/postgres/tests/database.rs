//! The storage port over a real PostgreSQL: what the storage crate's own tests do not cover.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use native_postgres::server::{Options, Server};
use native_postgres::{PostgresDatabase, PostgresUrl};
use storage::{Database, DatabaseError, Row, Statement, TransactionOutcome, Value};

fn start() -> Option<Server> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    Server::start_or_skip(workspace, Options { fsync: false, ..Options::default() })
}

async fn open(server: &Server) -> PostgresDatabase {
    PostgresDatabase::open(server.url("postgres").parse().unwrap()).await.unwrap()
}

fn statement(sql: &str) -> Statement {
    Statement::new("test", sql, [])
}

async fn refused(database: &PostgresDatabase, statement: Statement) -> String {
    match database.query(statement).await {
        Err(DatabaseError::Refused { query: "test", message }) => message,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn values_go_in_and_come_out_as_what_they_are() {
    let Some(server) = start() else { return };
    let database = open(&server).await;
    let values = [Value::Null, Value::Integer(i64::MIN), Value::Text("🌱 'x'\n".into()), Value::Null];
    let sql = "SELECT CAST(?1 AS text), CAST(?2 AS bigint), CAST(?3 AS text), CAST(?4 AS bigint), 1, CAST(2 AS smallint), 'n'::name";
    let rows = database.query(Statement::new("test", sql, values.clone())).await.unwrap();
    let rest = [Value::Integer(1), Value::Integer(2), Value::Text("n".into())];
    assert_eq!(rows, [Row(values.into_iter().chain(rest).collect())]);
    // Spin's driver does not accept these either.
    let parameter = refused(&database, Statement::new("test", "SELECT CAST(?1 AS integer)", [1_i64.into()])).await;
    assert!(parameter.contains("int4") && parameter.contains("an integer"), "{parameter}");
    assert!(refused(&database, Statement::new("test", "SELECT 1", [1_i64.into()])).await.contains("0 parameters"));
    assert!(refused(&database, statement("SELECT true")).await.contains("bool"));
}

#[tokio::test]
async fn an_error_says_what_is_wrong_but_not_what_is_stored() {
    let Some(server) = start() else { return };
    let database = open(&server).await;
    database.query(statement("CREATE TABLE t (id text PRIMARY KEY)")).await.unwrap();
    let insert = || Statement::new("test", "INSERT INTO t VALUES (?1)", ["secret".into()]);
    database.query(insert()).await.unwrap();
    let message = refused(&database, insert()).await;
    assert!(message.contains("23505") && !message.contains("secret"), "{message}");
    let number = Statement::new("test", "SELECT CAST(CAST(?1 AS text) AS bigint)", ["secret".into()]);
    let message = refused(&database, number).await;
    assert!(message.contains("22P02") && !message.contains("secret"), "{message}");
}

#[tokio::test]
async fn a_connection_that_has_ended_is_replaced() {
    let Some(mut server) = start() else { return };
    let database = open(&server).await;
    let end = database.query(statement("SELECT 1 FROM pg_terminate_backend(pg_backend_pid())")).await;
    assert!(matches!(end, Err(DatabaseError::Unavailable(_) | DatabaseError::Lost(_))), "{end:?}");
    database.query(statement("SELECT 1")).await.unwrap();
    server.stop().unwrap();
    let stopped = database.query(statement("SELECT 1")).await;
    assert!(matches!(stopped, Err(DatabaseError::Unavailable(_) | DatabaseError::Lost(_))), "{stopped:?}");
    server.restart().unwrap();
    database.query(statement("SELECT 1")).await.unwrap();
    let transaction = database.transaction(vec![statement("SELECT 1")]).await;
    assert_eq!(transaction.unwrap(), TransactionOutcome::Committed(vec![vec![Row(vec![1_i64.into()])]]));
}

#[tokio::test]
async fn a_transaction_that_fails_or_is_given_up_leaves_nothing() {
    let Some(server) = start() else { return };
    let database = open(&server).await;
    database.query(statement("CREATE TABLE t (id bigint PRIMARY KEY)")).await.unwrap();
    let insert = || statement("INSERT INTO t VALUES (1)");
    let failed = database.transaction(vec![insert(), insert()]).await;
    assert!(matches!(failed, Err(DatabaseError::Refused { .. })), "{failed:?}");
    {
        // The transaction is dropped while it waits for a lock that another connection has.
        let other = open(&server).await;
        let lock = statement("SELECT 1 FROM (SELECT pg_advisory_lock(1)) AS taken");
        other.query(lock).await.unwrap();
        let waits = statement("SELECT 1 FROM (SELECT pg_advisory_xact_lock(1)) AS taken");
        let mut waiting = Box::pin(database.transaction(vec![insert(), waits]));
        let is_waiting = statement("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
        while other.query(is_waiting.clone()).await.unwrap().is_empty() {
            assert!(futures::poll!(&mut waiting).is_pending());
        }
    }
    assert!(database.query(statement("SELECT 1 FROM t")).await.unwrap().is_empty());
    database.query(insert()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_unavailable_and_who_is_not_let_in_is_refused() {
    let Some(mut server) = start() else { return };
    let connect = async |url: String| PostgresDatabase::open(url.parse::<PostgresUrl>().unwrap()).await.err().unwrap();
    let nothing = connect(server.url("nothing")).await;
    assert!(matches!(&nothing, DatabaseError::Refused { message, .. } if message.contains("3D000")), "{nothing}");
    let stranger = connect(format!("postgres://postgres:wrong@127.0.0.1:{}/postgres", server.port())).await;
    assert!(matches!(&stranger, DatabaseError::Refused { message, .. } if message.contains("28P01")), "{stranger}");
    let url = server.url("postgres");
    server.stop().unwrap();
    let stopped = connect(url).await;
    assert!(matches!(stopped, DatabaseError::Unavailable(_) | DatabaseError::Lost(_)), "{stopped}");
}
