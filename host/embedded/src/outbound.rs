//! Outgoing requests of guests: refused, passed to another component in this process, or sent over the network.
//!
//! Bodies pass through chunk by chunk. If the guest drops a response body unread, its connection closes at once; after a body was read to its
//! end, the connection is reused.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use manifest::allowed_hosts::chained_component;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::grants::Grants;
use crate::logs::host_line;
use crate::timeouts::BetweenBytes;

/// The default timeout for connecting, for the first byte and between bytes; Spin's.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// The most idle connections kept for one host: enough for several concurrent token streams, and few enough not to matter.
const MAX_IDLE_CONNECTIONS: usize = 32;

/// The host name by which guests address the application itself.
const SELF_HOST: &str = "self.alt";

/// Passes a request to another component.
pub(crate) type Chain =
    dyn Fn(&str, Request<WasiBody>) -> Pin<Box<dyn Future<Output = Option<Response<WasiBody>>> + Send>> + Send + Sync;

/// The part of all components' outgoing requests that they share.
#[derive(Clone)]
pub(crate) struct Network {
    client: Client<Connector, WasiBody>,
    /// Set once all components are loaded.
    pub(crate) chain: Arc<OnceLock<Box<Chain>>>,
    /// Set once the listener is bound.
    pub(crate) own_address: Arc<OnceLock<SocketAddr>>,
}

/// One component's outgoing requests.
#[derive(Clone)]
pub(crate) struct Outbound {
    grants: Arc<Grants>,
    network: Network,
}

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl Network {
    /// A new client.
    pub(crate) fn new(nagle: bool) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(!nagle);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::builder().with_root_certificates(trusted_roots()).with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(MAX_IDLE_CONNECTIONS).build(Connector(https));
        Self { client, chain: Arc::default(), own_address: Arc::default() }
    }
}

/// The machine's certificates (`SSL_CERT_FILE` is honoured), or Mozilla's if the machine has none.
pub(crate) fn trusted_roots() -> Arc<RootCertStore> {
    static ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    });
    ROOTS.clone()
}

impl Outbound {
    /// For the component with these grants.
    pub(crate) fn new(grants: Arc<Grants>, network: Network) -> Self {
        Self { grants, network }
    }

    async fn send(self, mut request: Request<WasiBody>, options: RequestOptions) -> Result<Response<WasiBody>, Error> {
        let id = self.grants.id.clone();
        if request.headers().contains_key(header::HOST) {
            host_line(&id, "refused a request with a host header: Spin takes the host from the address only");
            return Err(Error::HttpRequestDenied);
        }
        self.check(&mut request)?;
        let first_byte = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let between_bytes = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
        if let Some(target) = chained_component(request.uri()) {
            let target = target.to_owned();
            let chain = self.network.chain.get().ok_or(Error::ConfigurationError)?;
            return chain(&target, request).await.ok_or_else(|| {
                host_line(&id, &format!("called {target:?}: no such component with an http trigger"));
                Error::DestinationNotFound
            });
        }
        let told = format!("{} {}", request.method(), without_query(request.uri()));
        let connect = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let sending = CONNECT_TIMEOUT.scope(connect, self.network.client.request(request));
        let response = match tokio::time::timeout(first_byte, sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let reason = chain_of(&error);
                host_line(&id, &format!("{told} failed: {reason}"));
                return Err(client_error(&error));
            }
            Err(_) => {
                host_line(&id, &format!("{told} failed: no answer within {first_byte:?}"));
                return Err(Error::ConnectionReadTimeout);
            }
        };
        Ok(response.map(|body| BetweenBytes::new(body, between_bytes).boxed_unsync()))
    }

    /// Refuses addresses that were not granted, and sets the address of a request to the application itself.
    fn check(&self, request: &mut Request<WasiBody>) -> Result<(), Error> {
        let host = request.uri().host().unwrap_or_default();
        if host.is_empty() || host == SELF_HOST {
            if !self.grants.allowed_hosts.allow_self() {
                self.grants.report_missing("allowed_outbound_hosts", "a request to the application", "http://self");
                return Err(Error::HttpRequestDenied);
            }
            let address = self.network.own_address.get().ok_or(Error::ConfigurationError)?;
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.scheme = Some(Scheme::HTTP);
            parts.authority = Authority::try_from(address.to_string()).ok();
            *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Error::HttpRequestUriInvalid)?;
            return Ok(());
        }
        if self.grants.allowed_hosts.allow(request.uri()) {
            return Ok(());
        }
        let uri = request.uri();
        let authority = uri
            .authority()
            .map_or("", |authority| authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host));
        let entry = format!("{}://{authority}", uri.scheme_str().unwrap_or("https"));
        self.grants.report_missing("allowed_outbound_hosts", &format!("a request to {entry}"), &entry);
        Err(Error::HttpRequestDenied)
    }
}

impl WasiHttpHooks for Outbound {
    // In Spin, guests may read a request's host header. `send` refuses it in their own requests.
    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        name != header::HOST && wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // How the guest handled the response; nothing depends on it.
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let this = self.clone();
        Box::new(async move {
            let response = this.send(request, options.unwrap_or_default()).await?;
            Ok((response, Box::new(std::future::ready(Ok(()))) as _))
        })
    }
}

tokio::task_local! {
    /// A task-local, because the client cannot pass a request's own timeout to the connector.
    static CONNECT_TIMEOUT: Duration;
}

/// Connects within the request's connect timeout.
#[derive(Clone)]
struct Connector(HttpsConnector<HttpConnector>);

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = CONNECT_TIMEOUT.try_with(|timeout| *timeout).unwrap_or(DEFAULT_TIMEOUT);
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(timeout, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(Box::new(std::io::Error::from(std::io::ErrorKind::TimedOut)) as _),
            }
        })
    }
}

/// A query may contain secrets, so it is not logged.
fn without_query(uri: &Uri) -> String {
    let text = uri.to_string();
    text.split('?').next().unwrap_or_default().to_owned()
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        // Dereference first: `source` of a reference to an error is a different method.
        let error: &'a (dyn StdError + 'static) = *error;
        error.source()
    })
}

/// The error and its causes, for a person.
pub(crate) fn chain_of(error: &(dyn StdError + 'static)) -> String {
    let mut told: Vec<String> = sources(error).map(ToString::to_string).collect();
    told.dedup();
    told.join(": ")
}

/// The WASI error for a request that got no response.
fn client_error(error: &hyper_util::client::legacy::Error) -> Error {
    for source in sources(error) {
        if source.to_string().starts_with("dns error") {
            return Error::DnsError { rcode: Some("address not available".to_owned()), info_code: Some(0) };
        }
        if let Some(io) = source.downcast_ref::<std::io::Error>() {
            let tls = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match (tls, io.kind()) {
                (Some(rustls::Error::InvalidCertificate(_)), _) => return Error::TlsCertificateError,
                (Some(_), _) => return Error::TlsProtocolError,
                (None, std::io::ErrorKind::TimedOut) if error.is_connect() => return Error::ConnectionTimeout,
                // The connection was there, so the request may have arrived.
                (None, std::io::ErrorKind::TimedOut) => return Error::ConnectionReadTimeout,
                (None, _) => {}
            }
        }
    }
    if error.is_connect() { Error::ConnectionRefused } else { Error::HttpProtocolError }
}

/// A small body, in memory.
pub(crate) fn full(bytes: impl Into<Bytes>) -> WasiBody {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
