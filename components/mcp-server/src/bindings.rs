//! The provider this adapter is composed with, as `wit/provider.wit` has it.
#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]

spin_sdk::wit_bindgen::generate!({
    path: "../../wit",
    world: "adapter",
    runtime_path: "spin_sdk::wit_bindgen::rt",
});

pub(crate) use edge_assistant::tools::provider;
