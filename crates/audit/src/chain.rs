//! The chain: each event that has arrived gets the next position, and a hash over everything before it. A seal is a signed statement about the last
//! hash of a batch. Whoever seals computes a batch from what the database holds; the database decides whose batch counts.

use serde::{Deserialize, Serialize};

use crate::{event::StoredEvent, sha256};

/// The most events in a batch: some hundred kilobytes, and a moment of hashing. A seal of fewer left nothing waiting.
pub const BATCH: u32 = 500;

/// The end of the chain so far.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Head {
    /// The position of the last event; 0 if there is none.
    pub position: i64,
    /// The hash there; empty if there is none.
    pub hash: String,
}

/// An event's place in the chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Link {
    /// From 1, without gaps.
    pub position: i64,
    /// The event.
    pub event_id: String,
    /// When it arrived, in milliseconds since the epoch; 0 for what was recorded before the chain began.
    pub arrived_at: i64,
    /// The digest of the event.
    pub digest: String,
    /// The hash of everything up to here.
    pub hash: String,
}

impl Link {
    /// The hash of this place: SHA-256 of the hash before, the position, the arrival and the digest as a JSON array.
    #[must_use]
    pub fn hash_after(&self, previous: &str) -> String {
        sha256(&serde_json::json!([previous, self.position, self.arrived_at, self.digest]).to_string())
    }
}

/// What a seal says and its signature covers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealClaims {
    /// The first position of the batch.
    pub first: i64,
    /// The last one.
    pub last: i64,
    /// The hash at the last one.
    pub hash: String,
    /// When it was sealed, in milliseconds since the epoch, by the database's clock.
    pub sealed_at: i64,
}

/// Puts events into the chain after `head`, in the order in which they are given, with their arrivals. `None`: there are none.
#[must_use]
pub fn extend(head: &Head, arrived: &[(StoredEvent, i64)], now: i64) -> Option<(Vec<Link>, SealClaims)> {
    let (mut position, mut hash) = (head.position, head.hash.clone());
    let mut links = Vec::with_capacity(arrived.len());
    for (event, arrived_at) in arrived {
        position = position.saturating_add(1);
        let mut link = Link {
            position,
            event_id: event.id.clone(),
            arrived_at: *arrived_at,
            digest: event.digest(),
            hash: String::new(),
        };
        hash = link.hash_after(&hash);
        link.hash.clone_from(&hash);
        links.push(link);
    }
    let first = links.first()?.position;
    Some((links, SealClaims { first, last: position, hash, sealed_at: now }))
}
