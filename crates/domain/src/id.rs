//! Identifiers: UUIDv7 (RFC 9562), so they sort by the time of their creation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// The id of anything we store. Written in lower case with hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = "uuid", examples("0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00")))]
pub struct Id(Uuid);

/// Text that is not a UUID. For its sender, the thing that it names does not exist.
#[derive(Debug, thiserror::Error)]
#[error("not an id: {0}")]
pub struct InvalidId(#[from] uuid::Error);

impl Id {
    /// The id of nobody and nothing (RFC 9562, section 5.9).
    pub const NIL: Self = Self(Uuid::nil());

    /// A new id. It sorts after all earlier ids from the same process.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Its 128 bits.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// An id that sorts before all that were made at this time or later: an id begins with its time (RFC 9562, section 5.7).
    #[must_use]
    pub fn first_of(time: Timestamp) -> Self {
        let time_ms = u128::try_from(time.as_millis()).unwrap_or_default();
        Self(Uuid::from_u128(time_ms << 80))
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Ok(Self(Uuid::try_parse(text)?))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
