//! The instances of one component: their state, when they take a request, and when they end.
//!
//! Reuse itself is done by `wasmtime_wasi_http::handler::ProxyHandler`, as in Spin; this module sets the numbers. A guest that traps ends only
//! its own instance and the requests in it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use manifest::files::Mount;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wasmtime::component::{GuestTaskId, HasData, ResourceTable};
use wasmtime::{ResourceLimiter, Store, StoreContextMut, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::grants::Grants;
use crate::logs::host_line;
use crate::outbound::Outbound;

/// The limit for all linear memories of one instance together. Hosted edges give 128 MiB. Twice that lets developers measure an excess before
/// production refuses it.
pub(crate) const MEMORY_LIMIT_BYTES: usize = 256 << 20;

/// How often a running guest yields to others; Spin's tick.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(10);

/// The most handles of one instance (connections, bodies, headers). Spin allows 256 connections; 16 requests with their bodies need far fewer.
const MAX_HANDLES: usize = 16 * 1024;

/// How many lines of a trap's backtrace are logged: the guest's own frames come first.
const BACKTRACE_LINES: usize = 16;

/// Limits on the requests and the life of an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most requests in an instance's life.
    pub(crate) max_requests: usize,
    /// The most requests at once.
    pub(crate) max_concurrent: usize,
    /// How long an idle instance is kept.
    pub(crate) idle_timeout: Duration,
    /// A guest that computes this long without waiting for anything counts as an endless loop and is ended. Spin has no such limit; here it
    /// saves a developer from having to find out why one core is busy.
    pub(crate) cpu_time: Duration,
}

/// The state of one instance: the `T` of its `Store<T>`.
pub(crate) struct InstanceState {
    grants: Arc<Grants>,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    memory: MemoryLimit,
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}

/// The type that stands for the Spin interfaces where wasmtime needs one.
pub(crate) struct Spin;

/// The data that the Spin interfaces work on.
pub(crate) struct SpinView<'a> {
    /// The component's rights.
    pub(crate) grants: &'a Grants,
    pub(crate) table: &'a mut ResourceTable,
}

impl HasData for Spin {
    type Data<'a> = SpinView<'a>;
}

impl InstanceState {
    /// The view for the Spin interfaces.
    pub(crate) fn spin(&mut self) -> SpinView<'_> {
        SpinView { grants: &self.grants, table: &mut self.table }
    }
}

struct MemoryLimit {
    used_bytes: usize,
    component: String,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.used_bytes.saturating_add(desired.saturating_sub(current));
        if wanted > MEMORY_LIMIT_BYTES {
            let limit = MEMORY_LIMIT_BYTES >> 20;
            host_line(&self.component, &format!("refused more memory: an instance has {limit} MiB at most"));
            return Ok(false);
        }
        self.used_bytes = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The pool limits tables.
        Ok(true)
    }
}

/// Distinguishes a computing guest from a waiting one.
#[derive(Default)]
struct CpuTime {
    ticks: AtomicU64,
    yielded: AtomicBool,
}

impl CpuTime {
    /// The guest ran for another tick. Returns whether it may continue.
    fn tick(&self, limit: Duration) -> bool {
        self.yielded.store(true, Ordering::Relaxed);
        let ticks = self.ticks.fetch_add(1, Ordering::Relaxed);
        u128::from(ticks) * EPOCH_TICK.as_millis() < limit.as_millis()
    }

    /// The worker is idle: either the guest yielded on a tick, or it really waits.
    fn waits(&self) {
        if !self.yielded.swap(false, Ordering::Relaxed) {
            self.ticks.store(0, Ordering::Relaxed);
        }
    }
}

impl Limits {
    /// For a component of WASI 0.2: one request an instance, as in Spin. Nothing is left of a request when the next one comes, and nobody else is
    /// there when it traps.
    pub(crate) const fn for_one_request(self) -> Self {
        Self { max_requests: 1, max_concurrent: 1, ..self }
    }
}

/// Shared by all components to end their instances.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending {
    /// Cancelled when the host stops: idle instances then end at once.
    pub(crate) stop: CancellationToken,
    /// Has a token for every living instance.
    pub(crate) instances: TaskTracker,
}

pub(crate) struct ComponentState {
    /// The component, ready to instantiate.
    pub(crate) service: ProxyPre<InstanceState>,
    /// The component's rights.
    pub(crate) grants: Arc<Grants>,
    /// Sends its outgoing requests.
    pub(crate) outbound: Outbound,
    pub(crate) limits: Limits,
    /// Ends its instances.
    pub(crate) ending: Ending,
}

impl HandlerState for ComponentState {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<InstanceState, Expiration, Worker>> {
        let grants = &self.grants;
        let mut wasi = WasiCtx::builder();
        wasi.stdout(grants.stdout.clone()).stderr(grants.stderr.clone()).envs(&grants.environment);
        for Mount { folder, path } in &grants.files {
            wasi.preopened_dir(folder, path, FsPerms::ReadOnly)?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let state = InstanceState {
            grants: grants.clone(),
            table,
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: self.outbound.clone(),
            memory: MemoryLimit { used_bytes: 0, component: grants.id.clone() },
        };
        let engine = match &self.service {
            ProxyPre::P2(service) => service.engine(),
            ProxyPre::P3(service) => service.engine(),
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        let cpu = Arc::new(CpuTime::default());
        let ticking = cpu.clone();
        store.set_epoch_deadline(1);
        let limit = self.limits.cpu_time;
        store.epoch_deadline_callback(move |_| {
            if ticking.tick(limit) {
                Ok(UpdateDeadline::Yield(1))
            } else {
                wasmtime::bail!("it computed for {limit:?} without waiting for anything")
            }
        });
        let proxy = self.service.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: InstanceState::http,
            expiration: Expiration {
                cpu,
                idle_timeout: self.limits.idle_timeout,
                sleep: Box::pin(tokio::time::sleep(self.limits.idle_timeout)),
                stop: self.ending.stop.clone(),
                stopping: Box::pin(self.ending.stop.clone().cancelled_owned()),
            },
            state: Worker { component: grants.id.clone(), limits: self.limits, _alive: self.ending.instances.token() },
        })
    }
}

/// Ends an idle instance.
pub(crate) struct Expiration {
    cpu: Arc<CpuTime>,
    idle_timeout: Duration,
    sleep: Pin<Box<Sleep>>,
    stop: CancellationToken,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl WorkerExpiration for Expiration {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, status: WorkerStatus, start: Instant) -> Poll<()> {
        let this = self.get_mut();
        this.cpu.waits();
        if status != WorkerStatus::Idle {
            // Spin's default: neither requests nor the work they leave behind have a time limit.
            return Poll::Pending;
        }
        if this.stop.is_cancelled() || this.stopping.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let deadline = (start + this.idle_timeout).into();
        if this.sleep.deadline() != deadline {
            this.sleep.as_mut().reset(deadline);
        }
        this.sleep.as_mut().poll(context)
    }
}

/// Decides whether an instance takes another request.
pub(crate) struct Worker {
    component: String,
    limits: Limits,
    _alive: TaskTrackerToken,
}

impl WorkerState for Worker {
    type StoreData = InstanceState;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.limits.max_requests {
            ShouldAccept::Never
        } else if concurrent >= self.limits.max_concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, InstanceState>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<InstanceState>, result: Result<(), wasmtime::Error>) {
        // Flush the guest's output before the host's own message.
        drop(store);
        if let Err(error) = result {
            let frames = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
            let frames: Vec<&str> = frames.lines().take(BACKTRACE_LINES).collect();
            let told = format!("an instance ended, and with it its requests: {}", error.root_cause());
            host_line(&self.component, &format!("{told}\n{}", frames.join("\n")));
        }
    }
}
