//! Accounts and their roles.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Id, Timestamp};

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id.
    pub id: Id,
    /// The email address in lower case, unique.
    pub email: String,
    /// The name that the person wants to be called; may be empty.
    pub name: String,
    /// What the account may do.
    pub role: UserRole,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What an account may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// Configures the installation. The first account has this role.
    Admin,
    /// Uses the installation.
    User,
}

impl UserRole {
    /// The text that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }
}

/// A text that is not a role.
#[derive(Debug, thiserror::Error)]
#[error("no such role")]
pub struct UnknownRole;

impl FromStr for UserRole {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "admin" => Ok(Self::Admin),
            "user" => Ok(Self::User),
            _ => Err(UnknownRole),
        }
    }
}
