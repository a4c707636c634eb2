//! The address of a database, and connecting to it. The address is shown without its password.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore};
use storage::DatabaseError;
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database_error;

/// The timeout of a connection if the address sets none: far longer than a round trip in any network, far shorter than the minutes that a system
/// waits for a missing host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=...`, in the format of libpq.
///
/// As with Spin, the default is `sslmode=prefer`: TLS if the server offers it, and then with a certificate that this machine trusts.
#[derive(Clone, Debug)]
pub struct PostgresUrl(Box<Config>);

impl FromStr for PostgresUrl {
    type Err = DatabaseError;

    fn from_str(text: &str) -> Result<Self, DatabaseError> {
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        // The parser's own message may quote the address.
        let parsed = text.parse::<Config>().ok().filter(|_| is_url).ok_or_else(|| DatabaseError::Refused {
            query: "connect",
            message: "the address is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned(),
        });
        parsed.map(|mut config| {
            if config.get_connect_timeout().is_none() {
                config.connect_timeout(CONNECT_TIMEOUT);
            }
            Self(Box::new(config))
        })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (index, host) in self.0.get_hosts().iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}")?,
                Host::Unix(folder) => write!(f, "{separator}{}", folder.display())?,
            }
            let ports = self.0.get_ports();
            if let Some(port) = ports.get(index).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.0.get_dbname().unwrap_or_default())
    }
}

impl PostgresUrl {
    /// Connects. A task of its own serves the connection until the client is dropped. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] when the server cannot be reached, [`DatabaseError::Refused`] when it refuses us.
    pub async fn connect(&self) -> Result<Client, DatabaseError> {
        let failed = |error| match database_error("connect", &error) {
            // No statement has been sent yet.
            DatabaseError::Lost(told) => DatabaseError::Unavailable(told),
            other => other,
        };
        // The client reports the task's error.
        if self.0.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.0.connect(NoTls).await.map_err(failed)?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let (client, connection) = self.0.connect(MakeRustlsConnect::new(tls())).await.map_err(failed)?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// Trusts the machine's certificates (`SSL_CERT_FILE` is honoured).
fn tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ClientConfig::builder().with_root_certificates(Arc::new(roots)).with_no_client_auth()
}
