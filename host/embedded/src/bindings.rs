//! The code that `bindgen!` generates from Spin's WIT files. The implementations are in the modules named after the interfaces. `build.rs`
//! writes the macro call.
#![allow(missing_docs, unreachable_pub)]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
