//! Limits the component's memory in the component itself: to what hosted edges give, on every host.

/// 128 MiB. A file that takes more ends its request.
const MEMORY_MAX_BYTES: u32 = 128 << 20;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg-cdylib=--max-memory={MEMORY_MAX_BYTES}");
    }
}
