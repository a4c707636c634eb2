//! Accounts.

use crate::{Id, Timestamp};

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Its id.
    pub id: Id,
    /// The email address in lower case, unique.
    pub email: String,
    /// The name that the person wants to be called; may be empty.
    pub name: String,
    /// The name of its own role.
    pub role: String,
    /// The names of the roles that its groups give.
    pub group_roles: Vec<String>,
    /// Whether it may not be used.
    pub is_suspended: bool,
    /// Whether logging in needs a code besides the password.
    pub has_second_factor: bool,
    /// Counts the changes of what it may do. A token that was made before the last one is void.
    pub access_version: i64,
    /// When it was created.
    pub created_at: Timestamp,
}

impl User {
    /// The names of all its roles, each once, its own first.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let own = self.role.as_str();
        std::iter::once(own).chain(self.group_roles.iter().map(String::as_str).filter(move |role| *role != own))
    }
}
