//! A loaded application: all components, ready to instantiate, the routes to them, and the requests between them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use manifest::Manifest;
use manifest::allowed_hosts::{AllowedHosts, chained_component};
use manifest::files::mounts;
use manifest::routes::{RouteMatch, Router, WELL_KNOWN_PREFIX};
use manifest::variables::Variables;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{InstantiationError, ProxyHandler, ProxyPre, TrapOrPanicError};
use wasmtime_wasi_http::{p2, p3};

use crate::cache::Cache;
use crate::compile::compile_all;
use crate::engine::{linker_for, new_engine, new_linker};
use crate::gate::Gate;
use crate::grants::Grants;
use crate::instance::{ComponentState, Ending, InstanceState, Limits};
use crate::key_value::KeyValueFile;
use crate::logs::{Log, Output, host_line};
use crate::outbound::{Network, Outbound, full};
use crate::postgres::Pools;
use crate::private;
use crate::sqlite::DatabaseFile;

/// The options for loading an application.
#[derive(Debug)]
pub(crate) struct Options {
    /// The manifest's folder; paths in the manifest are relative to it.
    pub(crate) manifest_folder: PathBuf,
    /// The folder for databases, stores and logs.
    pub(crate) state_folder: PathBuf,
    /// The folder for compiled components.
    pub(crate) cache_folder: PathBuf,
    /// The values of `--variable`.
    pub(crate) variables: HashMap<String, String>,
    /// Limits on the requests and the life of an instance.
    pub(crate) limits: Limits,
    /// The most component instances alive at once.
    pub(crate) max_instances: u32,
    /// The longest time that a request waits for an instance.
    pub(crate) patience: Duration,
    /// Whether Nagle's algorithm stays on: small pieces sent to the outside then wait for acknowledgements.
    pub(crate) outbound_nagle: bool,
    /// Whether guests' output stays off the terminal.
    pub(crate) quiet: bool,
    /// Whose output alone goes there; everybody's if there is nobody.
    pub(crate) followed: Vec<String>,
}

pub(crate) struct Application {
    router: Router,
    components: Arc<HashMap<String, ProxyHandler<ComponentState>>>,
    network: Network,
    gate: Gate,
    /// Ends the instances when the host stops.
    pub(crate) ending: Ending,
}

impl Application {
    /// Compiles the manifest's components and prepares them. Blocks while it compiles.
    pub(crate) fn load(manifest: &Manifest, options: &Options) -> Result<Self> {
        let variables = Variables::settle(&manifest.variables, &options.variables, |name| std::env::var(name).ok())?;
        let router = Router::new(&manifest.triggers, |route, id| {
            host_line(id, &format!("its route {route} is never used: a later one is the same"));
        })?;
        let loading = Loading::new(options, manifest, &variables)?;
        let grants = loading.grants()?;
        let engine = new_engine(options.max_instances)?;
        let linker = new_linker(&engine)?;
        let cache = Cache::new(engine, made(&options.cache_folder, |path| std::fs::create_dir_all(path))?);
        let compiled = compile_all(&cache, &options.manifest_folder, manifest)?;
        let network = Network::new(options.outbound_nagle);
        let ending = Ending::default();
        let mut components = HashMap::new();
        for trigger in &manifest.triggers {
            let id = &trigger.component;
            let (Some(grants), Some(component)) = (grants.get(id), compiled.get(id)) else { continue };
            let service = service(id, component, &linker)?;
            let limits = match service {
                ProxyPre::P2(_) => options.limits.for_one_request(),
                ProxyPre::P3(_) => options.limits,
            };
            let state = ComponentState {
                service,
                grants: grants.clone(),
                outbound: Outbound::new(grants.clone(), network.clone()),
                limits,
                ending: ending.clone(),
            };
            components.insert(id.clone(), ProxyHandler::new(state));
        }
        let components = Arc::new(components);
        let chained = components.clone();
        let _ = network.chain.set(Box::new(move |id, request| {
            let handler = chained.get(id).cloned().map(|handler| (id.to_owned(), handler));
            Box::pin(async move {
                let (id, handler) = handler?;
                let found = RouteMatch::chained(&id, request.uri().path());
                Some(answer(&handler, &found, request).await)
            })
        }));
        let gate = Gate::new(ending.instances.clone(), options.max_instances, options.patience);
        Ok(Self { router, components, network, gate, ending })
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.router.iter()
    }

    /// Sets the address at which the application is served, for guests' requests to the application itself.
    pub(crate) fn set_address(&self, address: SocketAddr) {
        let _ = self.network.own_address.set(address);
    }

    /// Answers a request from outside.
    pub(crate) async fn handle(&self, mut request: Request<WasiBody>, client: SocketAddr) -> Response<WasiBody> {
        let path = request.uri().path();
        if let Some(well_known) = path.strip_prefix(WELL_KNOWN_PREFIX) {
            return if well_known == "health" { Response::new(full("OK")) } else { status(StatusCode::NOT_FOUND) };
        }
        let Some(found) = self.router.find(path, client) else { return status(StatusCode::NOT_FOUND) };
        let Some(handler) = self.components.get(&found.component) else { return status(StatusCode::NOT_FOUND) };
        if let Err(reason) = set_absolute_uri(&mut request) {
            return problem(StatusCode::BAD_REQUEST, "invalid_host", &format!("The request is refused: {reason}."));
        }
        let Some(admitted) = self.gate.admit().await else {
            host_line(&found.component, "503: too many instances are at work");
            return busy();
        };
        let response = answer(handler, &found, request.map(|body| admitted.watch(body))).await;
        admitted.placed();
        response
    }
}

/// The data for all components' grants.
struct Loading<'a> {
    options: &'a Options,
    manifest: &'a Manifest,
    variables: &'a Variables,
    log_folder: PathBuf,
    key_value_file: KeyValueFile,
    database_file: Arc<DatabaseFile>,
}

impl<'a> Loading<'a> {
    fn new(options: &'a Options, manifest: &'a Manifest, variables: &'a Variables) -> Result<Self> {
        let state_folder = made(&options.state_folder, private::make_folder)?;
        let log_folder = made(&state_folder.join("logs"), private::make_folder)?;
        let key_value_file = KeyValueFile::open(&state_folder)?;
        let database_file = Arc::new(DatabaseFile::new(&state_folder));
        Ok(Self { options, manifest, variables, log_folder, key_value_file, database_file })
    }

    fn grants(&self) -> Result<BTreeMap<String, Arc<Grants>>> {
        let components = &self.manifest.components;
        let granted = |(id, component): (&String, &manifest::Component)| {
            let grants = self.grants_of(id, component).with_context(|| format!("in component.{id}"))?;
            Ok((id.clone(), Arc::new(grants)))
        };
        components.iter().map(granted).collect()
    }

    fn grants_of(&self, id: &str, component: &manifest::Component) -> Result<Grants> {
        let mut variables = HashMap::new();
        for (name, template) in &component.variables {
            variables.insert(name.clone(), self.variables.fill(template)?);
        }
        if !component.sqlite_databases.is_empty() {
            // SQLite reports if the file cannot be made.
            let _ = private::open_file(self.database_file.path());
        }
        let ids: Vec<&str> = self.manifest.components.keys().map(String::as_str).collect();
        let allowed_hosts = AllowedHosts::new(&component.allowed_outbound_hosts, self.variables, &ids)
            .context("in allowed_outbound_hosts")?;
        let followed = &self.options.followed;
        let quiet = self.options.quiet || (!followed.is_empty() && !followed.iter().any(|followed| followed == id));
        Ok(Grants {
            id: id.to_owned(),
            environment: component.environment.clone().into_iter().collect(),
            variables,
            files: mounts(&component.files, &self.options.manifest_folder).context("in files")?,
            allowed_hosts,
            key_value_stores: component.key_value_stores.iter().cloned().collect(),
            sqlite_databases: component.sqlite_databases.iter().cloned().collect(),
            database_file: Arc::clone(&self.database_file),
            key_value_file: self.key_value_file.clone(),
            postgres_pools: Pools::default(),
            stdout: Log::open(&self.log_folder, id, Output::Stdout, quiet)?,
            stderr: Log::open(&self.log_folder, id, Output::Stderr, quiet)?,
        })
    }
}

fn made(path: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<PathBuf> {
    make(path).and_then(|()| path.canonicalize()).with_context(|| format!("cannot make the folder {}", path.display()))
}

/// The component, ready to instantiate. One that exports both versions of WASI's handler is served with the newer.
fn service(id: &str, component: &Component, linker: &Linker<InstanceState>) -> Result<ProxyPre<InstanceState>> {
    let linker = linker_for(id, component, linker)?;
    let ready = linker.instantiate_pre(component).map_err(anyhow::Error::from).with_context(|| {
        format!("component {id:?} imports an interface, or a version of one, that this host does not have")
    })?;
    if let Ok(service) = p3::bindings::ServicePre::new(ready.clone()) {
        return Ok(ProxyPre::P3(service));
    }
    p2::bindings::ProxyPre::new(ready).map(ProxyPre::P2).map_err(anyhow::Error::from).with_context(|| {
        format!(
            "component {id:?} has an http trigger and exports neither wasi:http/handler@0.3.0 nor \
             wasi:http/incoming-handler@0.2"
        )
    })
}

/// Hands a request to a component. If the component fails, the response is a 500 with an empty body, as in Spin. If there is no room for an
/// instance, it is a 503.
async fn answer(
    handler: &ProxyHandler<ComponentState>,
    found: &RouteMatch,
    mut request: Request<WasiBody>,
) -> Response<WasiBody> {
    let uri = request.uri().clone();
    found.set_headers(&uri, request.headers_mut());
    match handler.handle((), request).await {
        Ok(response) => response,
        Err(error) => {
            let id = &found.component;
            // The end of the instance was already logged.
            if !error.is::<TrapOrPanicError>() {
                if let Some(failed) = error.downcast_ref::<InstantiationError<()>>() {
                    host_line(id, &format!("503 for {}: no instance could be started: {:#}", uri.path(), failed.error));
                    return busy();
                }
                host_line(id, &format!("500 for {}: it answered with an error: {error:#}", uri.path()));
            }
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The 503 when there is no room; a retry in a moment may succeed.
fn busy() -> Response<WasiBody> {
    let detail = "The service is too busy. Try again in a moment.";
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A problem in the application's form (RFC 9457), for responses of the host itself.
fn problem(code: StatusCode, name: &str, detail: &str) -> Response<WasiBody> {
    let title = code.canonical_reason().unwrap_or_default();
    let body = serde_json::json!({
        "type": "about:blank", "title": title, "status": code.as_u16(), "detail": detail, "code": name,
    });
    let mut response = status(code);
    *response.body_mut() = full(body.to_string());
    let media_type = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

fn status(status: StatusCode) -> Response<WasiBody> {
    let mut response = Response::new(full(""));
    *response.status_mut() = status;
    response
}

/// Gives a request's address its scheme and host, and removes headers that belong only to the connection.
fn set_absolute_uri(request: &mut Request<WasiBody>) -> Result<()> {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().map(str::to_owned)).transpose();
    let host = host.context("its host header is not text")?;
    let mut parts = request.uri().clone().into_parts();
    parts.authority = match (host, parts.authority) {
        (None, None) => anyhow::bail!("it has no host header"),
        (None, Some(authority)) => Some(authority),
        (Some(host), named) => {
            let authority = host.parse().context("its host header is not a host")?;
            anyhow::ensure!(named.is_none_or(|named| named == authority), "its host header and its address differ");
            Some(authority)
        }
    };
    parts.scheme = Some(Scheme::HTTP);
    let uri = Uri::from_parts(parts)?;
    // A component's internal name has no meaning in a request from outside.
    if chained_component(&uri).is_some() {
        request.headers_mut().remove(header::HOST);
    }
    request.headers_mut().remove(header::CONNECTION);
    *request.uri_mut() = uri;
    Ok(())
}
