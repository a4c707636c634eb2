//! The wasmtime engine and the linker: the limits of the pool, and the interfaces that guests may import.

use anyhow::{Context, Result};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceType};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::spin;
use crate::instance::{EPOCH_TICK, InstanceState, Spin};
use crate::logs::host_line;

/// How much of a free slot of the pool stays resident, so that reuse does not fault every page in again; Spin's numbers.
const MEMORY_KEEP_RESIDENT_BYTES: usize = 2 << 20;
const TABLE_KEEP_RESIDENT_BYTES: usize = 1 << 19;

/// Interfaces that Spin has and this host lacks, by the beginning of their names. A component may import them; a call ends its instance.
const NOT_SERVED: [&str; 7] =
    ["spin:mysql/", "spin:redis/", "spin:mqtt/", "fermyon:spin/", "wasi:keyvalue/", "wasi:config/", "wasi:otel/"];

/// An engine whose guests yield on every tick.
pub(crate) fn new_engine(max_instances: u32) -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true).wasm_component_model_async(true).epoch_interruption(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(max_instances)));
    let engine = Engine::new(&config).map_err(anyhow::Error::from).context(
        "cannot reserve address space for so many instances: allow more virtual memory (ulimit -v unlimited)",
    )?;
    let ticking = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = ticking.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(EPOCH_TICK);
        }
    });
    Ok(engine)
}

/// The proportions are Spin's: a composed component has several core instances, memories and tables.
fn pool(max_instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(max_instances)
        .total_core_instances(4 * max_instances)
        .total_memories(max_instances)
        .total_tables(2 * max_instances)
        .total_stacks(max_instances)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_core_instances_per_component(200)
        .max_memories_per_component(32)
        .max_tables_per_component(64)
        .max_memories_per_module(2)
        .max_tables_per_module(2)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT_BYTES)
        .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES);
    pool
}

/// A linker with every interface that this host implements.
pub(crate) fn new_linker(engine: &Engine) -> Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    spin::key_value::key_value::add_to_linker::<_, Spin>(&mut linker, InstanceState::spin)?;
    spin::postgres::postgres::add_to_linker::<_, Spin>(&mut linker, InstanceState::spin)?;
    spin::sqlite::sqlite::add_to_linker::<_, Spin>(&mut linker, InstanceState::spin)?;
    spin::variables::variables::add_to_linker::<_, Spin>(&mut linker, InstanceState::spin)?;
    Ok(linker)
}

/// The linker for one component: the common one, with stubs for interfaces that only Spin has.
pub(crate) fn linker_for(
    id: &str,
    component: &Component,
    linker: &Linker<InstanceState>,
) -> Result<Linker<InstanceState>> {
    let mut linker = linker.clone();
    let ty = component.component_type();
    let engine = component.engine();
    for (name, import) in ty.imports(engine) {
        if !NOT_SERVED.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let ComponentItem::ComponentInstance(instance) = import.ty else { continue };
        host_line(id, &format!("imports {name}, which the embedded host has not: a call ends the instance"));
        let mut stubs = linker.instance(name)?;
        for (item, export) in instance.exports(engine) {
            let told = format!("{name} {item} is not served by the embedded host: use Spin");
            match export.ty {
                ComponentItem::ComponentFunc(function) if function.async_() => {
                    stubs.func_new_concurrent(item, move |_, _, _, _| {
                        let told = told.clone();
                        Box::pin(async move { Err(wasmtime::Error::msg(told)) })
                    })?;
                }
                ComponentItem::ComponentFunc(_) => {
                    stubs.func_new(item, move |_, _, _, _| Err(wasmtime::Error::msg(told.clone())))?;
                }
                ComponentItem::Resource(_) => {
                    stubs.resource(item, ResourceType::host::<()>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(linker)
}
