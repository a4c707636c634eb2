//! One component's instances: what each holds, when it takes a request, and when it ends.
//!
//! Reuse itself is `wasmtime_wasi_http::handler::ProxyHandler`'s, as in Spin; this decides the numbers. A guest that
//! traps ends its own instance and the requests in it, nobody else's.

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
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::grants::Grants;
use crate::logs::host_line;
use crate::outbound::Outbound;

/// All linear memories of one instance together. Hosted edges give 128 MiB; twice that leaves room to notice in
/// development before production does.
pub(crate) const MEMORY_LIMIT_BYTES: usize = 256 << 20;

/// How often a running guest lets others run; Spin's tick.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Handles one instance may hold at once (connections, bodies, headers). Spin allows 256 connections; 16 requests with
/// their bodies stay far below this.
const MAX_HANDLES: usize = 16 * 1024;

/// How many lines of a trap's backtrace are logged: the guest's own frames come first.
const BACKTRACE_LINES: usize = 16;

/// When instances take requests and when they end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Requests in an instance's life.
    pub(crate) max_requests: usize,
    /// Requests at once.
    pub(crate) max_concurrent: usize,
    /// How long an instance without work is kept.
    pub(crate) idle_timeout: Duration,
    /// A guest that computes this long without once waiting for anything is taken to loop, and ended. Spin has no such
    /// limit; a person at a terminal should not have to find out why one core is busy.
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

/// Stands for "the Spin interfaces" where wasmtime wants a type for them.
pub(crate) struct Spin;

/// What the Spin interfaces work on.
pub(crate) struct SpinView<'a> {
    /// What the component may use.
    pub(crate) grants: &'a Grants,
    /// The instance's handles.
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
        // The pool bounds tables.
        Ok(true)
    }
}

/// Tells a guest that computes from one that waits.
#[derive(Default)]
struct CpuTime {
    ticks: AtomicU64,
    yielded: AtomicBool,
}

impl CpuTime {
    /// The guest ran through another tick. Whether it may go on.
    fn tick(&self, limit: Duration) -> bool {
        self.yielded.store(true, Ordering::Relaxed);
        let ticks = self.ticks.fetch_add(1, Ordering::Relaxed);
        u128::from(ticks) * EPOCH_TICK.as_millis() < limit.as_millis()
    }

    /// The worker has nothing to do at the moment: either the guest yielded on a tick, or it really waits.
    fn waits(&self) {
        if !self.yielded.swap(false, Ordering::Relaxed) {
            self.ticks.store(0, Ordering::Relaxed);
        }
    }
}

/// What all components share for ending.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending {
    /// Cancelled when the host stops: instances without work then end at once.
    pub(crate) stop: CancellationToken,
    /// Holds a token for every living instance.
    pub(crate) instances: TaskTracker,
}

/// Makes one component's instances.
pub(crate) struct ComponentState {
    /// Ready to instantiate.
    pub(crate) service: ServicePre<InstanceState>,
    /// What the component may use.
    pub(crate) grants: Arc<Grants>,
    /// For its outgoing requests.
    pub(crate) outbound: Outbound,
    /// When instances take requests and when they end.
    pub(crate) limits: Limits,
    /// For ending.
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
        let mut store = Store::new(self.service.engine(), state);
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
        let proxy = Proxy::P3(self.service.instantiate_async(&mut store).await?);
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

/// When an instance without work ends.
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
            // Spin's default: neither requests nor what they leave behind have a time limit.
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
        // The guest's last words come before ours.
        drop(store);
        if let Err(error) = result {
            let frames = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
            let frames: Vec<&str> = frames.lines().take(BACKTRACE_LINES).collect();
            let told = format!("an instance ended, and with it its requests: {}", error.root_cause());
            host_line(&self.component, &format!("{told}\n{}", frames.join("\n")));
        }
    }
}
