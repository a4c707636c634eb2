//! `spin:key-value@3.0.0` over one SQLite file in the state folder, in the table that Spin uses.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rusqlite::OptionalExtension;
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::spin::key_value::key_value::{self as wit, Error};
use crate::instance::{Spin, SpinView};
use crate::private::open_file;
use crate::row_stream::RowStream;

/// The file of the store `default`, named as in Spin.
const STORE_FILE: &str = "sqlite_key_value.db";

/// The largest value or key; Spin's limit.
const MAX_RESULT_BYTES: usize = 128 << 20;

/// How many keys are read ahead for a guest that lists them; Spin's number.
const KEYS_AHEAD: usize = 4;

/// The one connection that all stores share, as in Spin.
#[derive(Debug, Clone)]
pub(crate) struct KeyValueFile(Arc<Mutex<rusqlite::Connection>>);

/// An open store; the guest has a handle for it.
#[derive(Debug, Clone)]
pub struct Store {
    label: String,
    file: KeyValueFile,
}

impl KeyValueFile {
    /// Opens the file in the state folder, creating it if it is not there.
    pub(crate) fn open(state_folder: &Path) -> Result<Self> {
        let path = state_folder.join(STORE_FILE);
        let open = || {
            // SQLite reports if the file cannot be made.
            let _ = open_file(&path);
            let connection = rusqlite::Connection::open(&path)?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS spin_key_value (
                    store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))",
            )?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let connection = open().with_context(|| format!("cannot open the key-value store {}", path.display()))?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn with<R>(&self, run: impl FnOnce(&rusqlite::Connection) -> R) -> R {
        run(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    async fn run<R: Send + 'static>(
        self,
        run: impl FnOnce(&rusqlite::Connection, &str) -> rusqlite::Result<R> + Send + 'static,
    ) -> wasmtime::Result<Result<R, Error>> {
        let result = tokio::task::spawn_blocking(move || self.file.with(|connection| run(connection, &self.label)));
        Ok(result.await?.map_err(other))
    }
}

fn other(error: rusqlite::Error) -> Error {
    Error::Other(error.to_string())
}

fn too_large() -> Error {
    Error::Other(format!("query result exceeds limit of {MAX_RESULT_BYTES} bytes"))
}

fn store<T>(accessor: &Accessor<T, Spin>, handle: &Resource<Store>) -> wasmtime::Result<Store> {
    accessor.with(|mut access| Ok(access.get().table.get(handle)?.clone()))
}

impl wit::Host for SpinView<'_> {}

impl wit::HostStore for SpinView<'_> {
    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T: Send> wit::HostStoreWithStore<T> for Spin {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> wasmtime::Result<Result<Resource<Store>, Error>> {
        accessor.with(|mut access| {
            let view = access.get();
            if !view.grants.key_value_stores.contains(&label) {
                view.grants.report_missing("key_value_stores", &format!("the key-value store {label:?}"), &label);
                return Ok(Err(Error::AccessDenied));
            }
            let file = view.grants.key_value_file.clone();
            Ok(Ok(view.table.push(Store { label, file })?))
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let value: Result<Option<Vec<u8>>, Error> = store(accessor, &handle)?
            .run(move |connection, label| {
                connection
                    .prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                    .query_row([label, &key], |row| row.get(0))
                    .optional()
            })
            .await?;
        Ok(match value {
            Ok(Some(value)) if value.len() > MAX_RESULT_BYTES => Err(too_large()),
            other => other,
        })
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        store(accessor, &handle)?
            .run(move |connection, label| {
                connection
                    .prepare_cached(
                        "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
                         ON CONFLICT (store, key) DO UPDATE SET value = ?3",
                    )?
                    .execute(rusqlite::params![label, key, value])
                    .map(drop)
            })
            .await
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        store(accessor, &handle)?
            .run(move |connection, label| {
                connection
                    .prepare_cached("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                    .execute([label, &key])
                    .map(drop)
            })
            .await
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        store(accessor, &handle)?
            .run(move |connection, label| {
                connection
                    .prepare_cached("SELECT 1 FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                    .exists([label, &key])
            })
            .await
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        handle: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let store = store(accessor, &handle)?;
        let (keys_sender, keys) = mpsc::channel(KEYS_AHEAD);
        let (end_sender, end) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let result = store.file.with(|connection| send_keys(connection, &store.label, &keys_sender));
            let _ = end_sender.send(result);
        });
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, RowStream(keys))?;
            Ok((keys, FutureReader::new(&mut access, end)?))
        })
    }
}

fn send_keys(connection: &rusqlite::Connection, label: &str, keys: &mpsc::Sender<String>) -> Result<(), Error> {
    let mut statement = connection.prepare_cached("SELECT key FROM spin_key_value WHERE store = ?1").map_err(other)?;
    let mut rows = statement.query([label]).map_err(other)?;
    while let Some(row) = rows.next().map_err(other)? {
        let key: String = row.get(0).map_err(other)?;
        if key.len() > MAX_RESULT_BYTES {
            return Err(too_large());
        }
        // The guest stopped reading, which is not a failure.
        if keys.blocking_send(key).is_err() {
            break;
        }
    }
    Ok(())
}
