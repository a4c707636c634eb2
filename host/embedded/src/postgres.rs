//! `spin:postgres@4.2.0` over `tokio-postgres`, with the semantics of Spin's own.
//!
//! A connection is a client from its component's pool (`pools`), to which it returns when the guest drops the handle. Statements are prepared
//! anew each time. `values` converts the values.

mod pools;
mod values;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use http::Uri;
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::config::Host;
use tokio_postgres::{Config, RowStream as PostgresRows};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::spin::postgres::postgres::{
    self as wit, Column, DbError, DbValue, Error, ParameterValue, QueryError, RowSet,
};
use crate::grants::Grants;
use crate::instance::{Spin, SpinView};
use crate::outbound::chain_of;
use crate::row_stream::RowStream;
pub(crate) use pools::Pools;
use values::{columns, parameters, row_bytes, values};

/// The largest result that is held in memory, and the largest row of a streamed one; Spin's limit.
const MAX_RESULT_BYTES: usize = 128 << 20;

/// How many rows are read ahead for a guest that streams them; Spin's number.
const ROWS_AHEAD: usize = 4;

/// PostgreSQL's port, for addresses without one.
const DEFAULT_PORT: u16 = 5432;

/// A client from the pool; the guest has a handle for it.
#[derive(Debug, Clone)]
pub struct Connection(Arc<deadpool_postgres::Client>);

/// The guest's settings for a connection that is not open yet.
#[derive(Debug, Clone)]
pub struct ConnectionBuilder {
    address: String,
    /// A certificate that is trusted in addition to the machine's.
    root: Option<CertificateDer<'static>>,
}

type Row = Vec<DbValue>;
type Streamed = (Vec<Column>, StreamReader<Row>, FutureReader<Result<(), Error>>);

impl Connection {
    async fn rows(&self, statement: &str, values: &[ParameterValue]) -> Result<PostgresRows, Error> {
        let parameters = parameters(values).map_err(Error::BadParameter)?;
        self.0.query_raw(statement, parameters).await.map_err(query_failed)
    }

    /// The columns are those of the first row: without rows there are none, as in Spin.
    async fn query(&self, statement: &str, parameters: &[ParameterValue]) -> Result<RowSet, Error> {
        let mut rows = pin!(self.rows(statement, parameters).await?);
        let mut set = RowSet { columns: Vec::new(), rows: Vec::new() };
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(query_failed)? {
            if set.rows.is_empty() {
                set.columns = columns(&row);
            }
            let row = values(&row).map_err(query_failed)?;
            bytes += row_bytes(&row);
            if bytes > MAX_RESULT_BYTES {
                return Err(too_large());
            }
            set.rows.push(row);
        }
        Ok(set)
    }

    /// Returns the columns with the first row, then the rows as they arrive, and at the end whether the statement succeeded. A statement that
    /// fails after it was prepared, for example on a constraint, fails at the end, as in Spin.
    async fn stream(
        &self,
        statement: &str,
        parameters: &[ParameterValue],
    ) -> Result<(Vec<Column>, mpsc::Receiver<Row>, oneshot::Receiver<Result<(), Error>>), Error> {
        let mut rows = Box::pin(self.rows(statement, parameters).await?).fuse();
        let first = rows.next().await;
        let columns = first.iter().flatten().next().map(columns).unwrap_or_default();
        let mut rows = stream::iter(first).chain(rows);
        let (sender, receiver) = mpsc::channel(ROWS_AHEAD);
        let (end_sender, end) = oneshot::channel();
        tokio::spawn(async move {
            let passing = async {
                while let Some(row) = rows.try_next().await.map_err(query_failed)? {
                    let row = values(&row).map_err(query_failed)?;
                    if row_bytes(&row) > MAX_RESULT_BYTES {
                        return Err(too_large());
                    }
                    if sender.send(row).await.is_err() {
                        break;
                    }
                }
                Ok(())
            };
            let result = tokio::select! {
                biased;
                // The guest wants no more rows, but the server may not have found the next one yet.
                () = sender.closed() => Ok(()),
                result = passing => result,
            };
            let _ = end_sender.send(result);
        });
        Ok((columns, receiver, end))
    }

    /// Returns the number of affected rows.
    async fn execute(&self, statement: &str, values: &[ParameterValue]) -> Result<u64, Error> {
        // A different error than `query` returns, as in Spin.
        let parameters = parameters(values).map_err(Error::ValueConversionFailed)?;
        self.0.execute_raw(statement, parameters).await.map_err(query_failed)
    }
}

impl ConnectionBuilder {
    fn new(address: String) -> Self {
        Self { address, root: None }
    }

    /// The address as the driver parses it, if the component may connect there; otherwise the reason, for the guest.
    fn granted(&self, grants: &Grants) -> Result<Config, String> {
        let config: Config = self.address.parse().map_err(|error: tokio_postgres::Error| chain_of(&error))?;
        let mut names: Vec<Vec<String>> = Vec::new();
        for host in config.get_hosts() {
            match host {
                Host::Tcp(name) => names.push(vec![name.clone()]),
                Host::Unix(_) => return Err("Unix sockets are not supported on WebAssembly".to_owned()),
            }
        }
        // The driver connects to `hostaddr`, if given.
        for (index, address) in config.get_hostaddrs().iter().enumerate() {
            match names.get_mut(index) {
                Some(names) => names.push(address.to_string()),
                None => names.push(vec![address.to_string()]),
            }
        }
        for (index, names) in names.iter().enumerate() {
            let ports = config.get_ports();
            // A single port applies to all hosts.
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
            for name in names {
                let host = if name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
                    format!("[{name}]")
                } else {
                    name.clone()
                };
                let entry = format!("postgres://{host}:{port}");
                if !entry.parse::<Uri>().is_ok_and(|uri| grants.allowed_hosts.allow(&uri)) {
                    grants.report_missing("allowed_outbound_hosts", &format!("a connection to {entry}"), &entry);
                    return Err(format!("address {entry} is not permitted"));
                }
            }
        }
        Ok(config)
    }

    async fn open(self, granted: Result<Config, String>, pools: Pools) -> Result<Connection, Error> {
        let client = async { pools.client(self.address, self.root, granted?).await };
        Ok(Connection(Arc::new(client.await.map_err(Error::ConnectionFailed)?)))
    }
}

fn query_failed(error: tokio_postgres::Error) -> Error {
    let as_text = format!("{error:?}");
    let Some(error) = error.as_db_error() else { return Error::QueryFailed(QueryError::Text(as_text)) };
    let line = error.line().map(|line| line.to_string());
    let extras = [
        ("column", error.column()),
        ("constraint", error.constraint()),
        ("routine", error.routine()),
        ("hint", error.hint()),
        ("table", error.table()),
        ("datatype", error.datatype()),
        ("schema", error.schema()),
        ("file", error.file()),
        ("line", line.as_deref()),
        ("where_", error.where_()),
    ];
    Error::QueryFailed(QueryError::DbError(DbError {
        as_text,
        severity: error.severity().to_owned(),
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        extras: extras.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect(),
    }))
}

fn too_large() -> Error {
    Error::QueryFailed(QueryError::Text(format!("query result exceeds limit of {MAX_RESULT_BYTES} bytes")))
}

impl SpinView<'_> {
    async fn connect(&mut self, builder: ConnectionBuilder) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let granted = builder.granted(self.grants);
        match builder.open(granted, self.grants.postgres_pools.clone()).await {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

async fn connect_async<T>(
    accessor: &Accessor<T, Spin>,
    builder: ConnectionBuilder,
) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
    let (granted, pools) = accessor.with(|mut access| {
        let grants = access.get().grants;
        (builder.granted(grants), grants.postgres_pools.clone())
    });
    match builder.open(granted, pools).await {
        Ok(connection) => accessor.with(|mut access| Ok(Ok(access.get().table.push(connection)?))),
        Err(error) => Ok(Err(error)),
    }
}

impl wit::Host for SpinView<'_> {}

impl wit::HostConnectionBuilder for SpinView<'_> {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<ConnectionBuilder>> {
        Ok(self.table.push(ConnectionBuilder::new(address))?)
    }

    async fn set_ca_root(
        &mut self,
        builder: Resource<ConnectionBuilder>,
        certificate: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let builder = self.table.get_mut(&builder)?;
        Ok(pools::root_certificate(&certificate)
            .map(|root| builder.root = Some(root))
            .map_err(|reason| Error::Other(format!("invalid root certificate: {reason}"))))
    }

    async fn build(
        &mut self,
        builder: Resource<ConnectionBuilder>,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let builder = self.table.get(&builder)?.clone();
        self.connect(builder).await
    }

    async fn drop(&mut self, builder: Resource<ConnectionBuilder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl wit::HostConnection for SpinView<'_> {
    async fn open(&mut self, address: String) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        self.connect(ConnectionBuilder::new(address)).await
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<RowSet, Error>> {
        Ok(self.table.get(&connection)?.query(&statement, &parameters).await)
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(self.table.get(&connection)?.execute(&statement, &parameters).await)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

fn resource<T, R: Clone + 'static>(accessor: &Accessor<T, Spin>, handle: &Resource<R>) -> wasmtime::Result<R> {
    accessor.with(|mut access| Ok(access.get().table.get(handle)?.clone()))
}

impl<T: Send> wit::HostConnectionBuilderWithStore<T> for Spin {
    async fn build_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<ConnectionBuilder>,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        connect_async(accessor, resource(accessor, &handle)?).await
    }
}

impl<T: Send> wit::HostConnectionWithStore<T> for Spin {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        connect_async(accessor, ConnectionBuilder::new(address)).await
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<Streamed, Error>> {
        match resource(accessor, &handle)?.stream(&statement, &parameters).await {
            Err(error) => Ok(Err(error)),
            Ok((columns, rows, end)) => accessor.with(|mut access| {
                let rows = StreamReader::new(&mut access, RowStream(rows))?;
                Ok(Ok((columns, rows, FutureReader::new(&mut access, end)?)))
            }),
        }
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(resource(accessor, &handle)?.execute(&statement, &parameters).await)
    }
}
