//! The record of who did what, as something that can be checked: digests of events, the chain over them, its signed seals, and the check of all of
//! these (docs/audit.md, ADR 0040). It also writes events in the words of OCSF.
//!
//! Pure: it knows no database and no key. `storage` keeps the record, `auth` signs, `cargo dev audit verify` checks.

pub mod chain;
pub mod event;
pub mod ocsf;
pub mod verification;

use sha2::{Digest as _, Sha256};

/// SHA-256 of a text, in hexadecimal.
fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
