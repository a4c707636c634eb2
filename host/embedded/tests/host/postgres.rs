//! `spin:postgres` against a real PostgreSQL. Where none is available, these tests report that they are skipped.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use http::Request;
use native_postgres::server::{Options, Server, skipped};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;
use tokio_rustls::TlsAcceptor;

use crate::harness::{Host, nobody, read, until, web};

/// One server for all tests that do not stop it; each test has its own database. The server ends with this process.
fn database() -> Option<String> {
    static SERVER: OnceLock<anyhow::Result<Server>> = OnceLock::new();
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(start).as_ref().inspect_err(|error| skipped(error)).ok()?;
    Some(server.create_database(&format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed))).unwrap())
}

fn start() -> anyhow::Result<Server> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    // These tests do not need the disk's guarantees.
    Server::start(workspace, Options { fsync: false, ..Options::default() })
}

/// A host whose component may connect to any port of this machine.
fn host(database: &str) -> Host {
    Host::start(&manifest(database, "postgres://127.0.0.1:*", ""))
}

fn manifest(database: &str, grant: &str, root: &str) -> String {
    web(&format!(
        "allowed_outbound_hosts = [\"{grant}\"]\n\
         [component.web.variables]\ndatabase = \"{database}\"\nroot = \"\"\"{root}\"\"\"\n"
    ))
}

/// The response to statements, a line for each.
async fn run(host: &Host, how: &str, statements: &str) -> (u16, String) {
    let body = bytes::Bytes::from(statements.to_owned()).into();
    read(host.send(Request::post(format!("/postgres?{how}")).body(body).unwrap()).await).await
}

async fn ok(host: &Host, statements: &str) -> String {
    let (status, told) = run(host, "", statements).await;
    assert_eq!(status, 200, "{told}");
    told
}

/// The server process behind the client that the next request gets.
async fn backend(host: &Host) -> String {
    ok(host, "SELECT pg_backend_pid() AS pid").await
}

/// Queries the server on a separate connection.
async fn ask(database: &str, statement: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query_one(statement, &[]).await.unwrap().get(0)
}

/// The clients of this database, except this connection.
const OTHER_CLIENTS: &str = "SELECT count(*) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

#[tokio::test]
async fn every_kind_of_value_survives_a_round_trip() {
    let Some(database) = database() else { return };
    let told = host(&database).ok("/postgres-values").await;
    let expected = [
        "bool [\"v: DbDataType::Boolean\"] [[DbValue::Boolean(true)]]",
        "int2 [\"v: DbDataType::Int16\"] [[DbValue::Int16(-2)]]",
        "int4 [\"v: DbDataType::Int32\"] [[DbValue::Int32(-4)]]",
        "int8 [\"v: DbDataType::Int64\"] [[DbValue::Int64(-8)]]",
        "float4 [\"v: DbDataType::Floating32\"] [[DbValue::Floating32(1.5)]]",
        "float8 [\"v: DbDataType::Floating64\"] [[DbValue::Floating64(-2.5)]]",
        "text [\"v: DbDataType::Str\"] [[DbValue::Str(\"ünï\")]]",
        "bytea [\"v: DbDataType::Binary\"] [[DbValue::Binary([0, 255])]]",
        "date [\"v: DbDataType::Date\"] [[DbValue::Date((2024, 2, 29))]]",
        "time [\"v: DbDataType::Time\"] [[DbValue::Time((23, 59, 58, 123456000))]]",
        "timestamp [\"v: DbDataType::Datetime\"] [[DbValue::Datetime((1999, 12, 31, 1, 2, 3, 4000))]]",
        "uuid [\"v: DbDataType::Uuid\"] [[DbValue::Uuid(\"01890a5d-ac96-774b-bcce-b302099a8057\")]]",
        "jsonb [\"v: DbDataType::Jsonb\"] [[DbValue::Jsonb([123, 34, 97, 34, 58, 91, 49, 44, 110, 117, 108, 108, 93, 125])]]",
        "numeric [\"v: DbDataType::Decimal\"] [[DbValue::Decimal(\"12345.6789\")]]",
        "int4range [\"v: DbDataType::RangeInt32\"] [[DbValue::RangeInt32((Some((1, RangeBoundKind::Inclusive)), Some((5, RangeBoundKind::Exclusive))))]]",
        "int8range [\"v: DbDataType::RangeInt64\"] [[DbValue::RangeInt64((None, Some((5, RangeBoundKind::Exclusive))))]]",
        "numrange [\"v: DbDataType::RangeDecimal\"] [[DbValue::RangeDecimal((Some((\"1.5\", RangeBoundKind::Exclusive)), None))]]",
        "int4[] [\"v: DbDataType::ArrayInt32\"] [[DbValue::ArrayInt32([Some(1), None])]]",
        "int8[] [\"v: DbDataType::ArrayInt64\"] [[DbValue::ArrayInt64([Some(-1)])]]",
        "numeric[] [\"v: DbDataType::ArrayDecimal\"] [[DbValue::ArrayDecimal([Some(\"0.1\"), None])]]",
        "text[] [\"v: DbDataType::ArrayStr\"] [[DbValue::ArrayStr([None, Some(\"x\")])]]",
        "interval [\"v: DbDataType::Interval\"] [[DbValue::Interval(Interval { micros: 1, days: 2, months: 3 })]]",
        "text [\"v: DbDataType::Str\"] [[DbValue::DbNull]]",
        "int4 [\"v: DbDataType::Int32\"] [[DbValue::DbNull]]",
        "jsonb [\"v: DbDataType::Jsonb\"] [[DbValue::DbNull]]",
        "timestamptz [\"v: DbDataType::Int64\"] [[DbValue::Int64(1700000000)]]",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_value_of_another_kind_is_an_error_and_the_connection_goes_on() {
    let Some(database) = database() else { return };
    let told = host(&database).ok("/postgres-misfits").await;
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains("QueryFailed") && lines[0].contains("i64"), "{told}");
    assert!(lines[1].contains("BadParameter"), "{told}");
    assert!(lines[2].contains("BadParameter"), "{told}");
    assert!(lines[3].contains("QueryFailed"), "{told}");
}

#[tokio::test]
async fn types_that_spin_does_not_read_are_not_read() {
    let Some(database) = database() else { return };
    let told = ok(&host(&database), "SELECT now() AS v\nSELECT '{}'::json AS v").await;
    let (instant, json) = told.split_once('\n').unwrap();
    assert!(instant.contains("QueryFailed") && instant.contains("timestamptz"), "{told}");
    assert_eq!(json.trim(), "[\"v: DbDataType::Other(\\\"json\\\")\"] [[DbValue::Unsupported([123, 125])]]");
}

#[tokio::test]
async fn rows_are_streamed_and_counted() {
    let Some(database) = database() else { return };
    let host = host(&database);
    assert_eq!(host.ok("/postgres-rows?5000").await, "5000");
    assert_eq!(host.ok("/postgres-execute").await, "3 2");
    // As in Spin, the columns come from the first row.
    assert_eq!(ok(&host, "SELECT 1 AS one WHERE false").await, "[] []\n");
    assert_eq!(ok(&host, "CREATE TABLE made (i int4)").await, "[] []\n");
    let (status, told) = run(&host, "sync", "SELECT 1 AS one").await;
    assert_eq!((status, told.as_str()), (200, "[\"one: DbDataType::Int32\"] [[DbValue::Int32(1)]]\n"));
}

#[tokio::test]
async fn a_failed_statement_says_what_postgresql_says() {
    let Some(database) = database() else { return };
    let host = host(&database);
    ok(&host, "CREATE TABLE t (id int4 PRIMARY KEY)\nINSERT INTO t VALUES (1)").await;
    for how in ["", "sync"] {
        let (_, told) = run(&host, how, "SELEKT\nINSERT INTO t VALUES (1)\nSELECT 1 AS v").await;
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].contains("DbError") && lines[0].contains("code: \"42601\""), "{told}");
        assert!(lines[1].contains("code: \"23505\"") && lines[1].contains("(\"constraint\", \"t_pkey\")"), "{told}");
        assert!(lines[1].contains("severity: \"ERROR\"") && lines[1].contains("already exists"), "{told}");
        assert!(lines[2].contains("Int32(1)"), "{told}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_granted_is_refused() {
    for (address, entry) in [
        ("postgres://user:secret@127.0.0.1:6000/db", "postgres://127.0.0.1:6000"),
        ("host=db.example.com user=user password=secret", "postgres://db.example.com:5432"),
        // The address that the driver really connects to counts.
        ("host=localhost hostaddr=127.0.0.2 port=6001 user=user password=secret", "postgres://127.0.0.2:6001"),
        ("host=localhost,other port=6001 user=user password=secret", "postgres://other:6001"),
    ] {
        let host = Host::start(&manifest(address, "postgres://localhost:6001", ""));
        for how in ["", "sync"] {
            let (status, told) = run(&host, how, "SELECT 1").await;
            assert_eq!(status, 502, "{told}");
            assert!(told.contains("ConnectionFailed") && told.contains("is not permitted"), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
        host.logged(&format!("add \"{entry}\" to component.web.allowed_outbound_hosts")).await;
        assert!(!host.log().contains("secret"));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_for_the_guest() {
    let (_held, taken) = nobody();
    let host = host(&format!("postgres://user:secret@{taken}/db"));
    for how in ["", "sync"] {
        let (status, told) = run(&host, how, "SELECT 1").await;
        assert_eq!(status, 502);
        assert!(told.contains("ConnectionFailed") && told.contains("refused") && !told.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn a_client_goes_back_to_the_pool_and_is_cleaned() {
    let Some(database) = database() else { return };
    let host = host(&database);
    let pid = backend(&host).await;
    ok(&host, "SET application_name = 'left behind'\nCREATE TEMP TABLE mine (i int4)").await;
    assert_eq!(backend(&host).await, pid);
    let told = ok(&host, "SHOW application_name\nSELECT * FROM mine").await;
    assert!(!told.contains("left behind") && told.contains("42P01"), "{told}");
    assert_eq!(ask(&database, OTHER_CLIENTS).await, 1);
}

#[tokio::test]
async fn a_transaction_that_was_left_open_is_the_next_ones_as_in_spin() {
    let Some(database) = database() else { return };
    let host = host(&database);
    ok(&host, "CREATE TABLE t (i int4)\nBEGIN\nINSERT INTO t VALUES (1)").await;
    assert_eq!(ask(&database, "SELECT count(*) FROM t").await, 0);
    ok(&host, "COMMIT").await;
    assert_eq!(ask(&database, "SELECT count(*) FROM t").await, 1);
    // A client with a failed transaction cannot be cleaned, so it is replaced.
    let pid = backend(&host).await;
    ok(&host, "BEGIN\nINSERT INTO t VALUES (2)\nSELECT 1 / 0").await;
    assert_ne!(backend(&host).await, pid);
    assert_eq!(ask(&database, "SELECT count(*) FROM t").await, 1);
}

#[tokio::test]
async fn who_finds_all_clients_in_use_waits_for_one() {
    let Some(database) = database() else { return };
    let host = host(&database);
    let (holder, connection) = tokio_postgres::connect(&database, NoTls).await.unwrap();
    tokio::spawn(connection);
    holder.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let requests = (0..70).map(|_| ok(&host, "SELECT pg_advisory_lock_shared(1) IS NULL AS v"));
    let release = async {
        let blocked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        until(async || ask(&database, blocked).await == 64).await;
        drop(holder);
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(requests), release);
    assert!(answers.iter().all(|answer| answer.contains("Boolean(false)")), "{answers:?}");
    // Clients stay open, so this is how many there ever were.
    assert_eq!(ask(&database, OTHER_CLIENTS).await, 64);
}

#[tokio::test]
async fn a_client_whose_connection_ended_is_replaced() {
    let Some(database) = database() else { return };
    let host = host(&database);
    let pid = backend(&host).await;
    let killed = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()) AS killed";
    assert!(ask(&database, killed).await >= 1);
    assert_ne!(backend(&host).await, pid);
}

#[tokio::test]
async fn a_server_that_was_restarted_is_found_again() {
    let Ok(mut server) = start().inspect_err(skipped) else { return };
    let host = host(&server.url("postgres"));
    let pid = backend(&host).await;
    server.terminate().unwrap();
    let (status, told) = run(&host, "", "SELECT 1").await;
    assert_eq!(status, 502);
    assert!(told.contains("ConnectionFailed"), "{told}");
    server.restart().unwrap();
    assert_ne!(backend(&host).await, pid);
}

/// A TLS-terminating proxy in front of a server, because the server of these tests has no TLS. Returns its port.
async fn tls_proxy(server: u16, certificate: CertificateDer<'static>, key: &KeyPair) -> u16 {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut request = [0; SSL_REQUEST.len()];
                client.read_exact(&mut request).await?;
                if request == SSL_REQUEST {
                    client.write_all(b"S").await?;
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    port
}

/// PostgreSQL's protocol, "SSLRequest": its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[tokio::test]
async fn tls_is_for_those_who_trust_the_servers_root() {
    let Some(database) = database() else { return };
    let (rest, name) = database.rsplit_once('/').unwrap();
    let (account, port) = rest.rsplit_once(':').unwrap();
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root_certificate = root.self_signed(&root_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap();
    let proxy = tls_proxy(port.parse().unwrap(), certificate.der().clone(), &key).await;

    // Also without `sslmode`: TLS is used where it is offered, and then the certificate is checked.
    for query in ["?sslmode=require", ""] {
        let address = format!("{account}:{proxy}/{name}{query}");
        let host = Host::start(&manifest(&address, "postgres://127.0.0.1:*", &root_certificate));
        let (status, told) = run(&host, "root", "SELECT 1 AS one").await;
        assert!(status == 200 && told.contains("Int32(1)"), "{told}");
        for how in ["", "sync"] {
            let (status, told) = run(&host, how, "SELECT 1 AS one").await;
            assert_eq!(status, 502);
            assert!(told.contains("ConnectionFailed") && told.contains("certificate"), "{told}");
        }
    }

    let host = Host::start(&manifest(&format!("{database}?sslmode=require"), "postgres://127.0.0.1:*", "no root"));
    let (status, told) = run(&host, "", "SELECT 1").await;
    assert!(status == 502 && told.contains("does not support TLS"), "{told}");
    let (status, told) = run(&host, "root", "SELECT 1").await;
    assert!(status == 502 && told.contains("invalid root certificate"), "{told}");
}
