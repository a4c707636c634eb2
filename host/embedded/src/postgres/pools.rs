//! Pools of connected clients, and how new ones connect. Same pool and numbers as Spin.
//!
//! A client is cleaned when it is taken from the pool, not when it is returned: temporary tables, settings and advisory locks are removed, but
//! an open transaction is not. A client whose connection has ended is replaced.

use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::outbound::{chain_of, trusted_roots};

/// The most clients of one address; further requests wait without limit. Spin's number.
const MAX_CLIENTS: usize = 64;

/// The most addresses of one component that have a pool; Spin's number.
const MAX_POOLS: usize = 16;

/// One component's pools; components share none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pools(Arc<Mutex<Vec<(Key, Pool)>>>);

/// The address as the guest wrote it, and the certificate that it trusts.
type Key = (String, Option<CertificateDer<'static>>);

impl Pools {
    /// A client for `config`, which is `address` as the driver parses it. The error is a text for the guest.
    pub(super) async fn client(
        &self,
        address: String,
        root: Option<CertificateDer<'static>>,
        config: Config,
    ) -> Result<Client, String> {
        let pool = self.pool((address, root), config)?;
        pool.get().await.map_err(|error| chain_of(&error))
    }

    fn pool(&self, key: Key, config: Config) -> Result<Pool, String> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = pools.iter().find(|(known, _)| *known == key) {
            return Ok(pool.clone());
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Clean };
        let manager = if config.get_ssl_mode() == SslMode::Disable {
            Manager::from_config(config, NoTls, recycling)
        } else {
            Manager::from_config(config, MakeRustlsConnect::new(tls_config(key.1.as_ref())?), recycling)
        };
        let pool = Pool::builder(manager).max_size(MAX_CLIENTS).build().map_err(|error| chain_of(&error))?;
        if pools.len() == MAX_POOLS {
            // Its clients in use continue; they are closed when they are returned.
            pools.remove(0);
        }
        pools.push((key, pool.clone()));
        Ok(pool)
    }
}

/// The first certificate of a PEM text, as a root for checking others.
pub(super) fn root_certificate(pem: &str) -> Result<CertificateDer<'static>, String> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())?;
    RootCertStore::empty().add(certificate.clone()).map_err(|error| error.to_string())?;
    Ok(certificate)
}

fn tls_config(root: Option<&CertificateDer<'static>>) -> Result<ClientConfig, String> {
    let mut roots = trusted_roots();
    if let Some(root) = root {
        Arc::make_mut(&mut roots).add(root.clone()).map_err(|error| error.to_string())?;
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
