//! Who may do what.
//!
//! [`table`] is the one table: every permission, and which built-in roles have it. [`Access::allows`] is the one function that decides.
//! Pure: it stores nothing and knows no HTTP. `docs/permissions.md` says which route needs which permission.

pub mod access;
pub mod permission;
pub mod role;
pub mod scopes;
pub mod table;

pub use access::{Access, Action};
pub use permission::{InvalidPermission, Permission};
pub use role::{InvalidRole, Role, Roles};
pub use scopes::{Scopes, is_scope_token};
pub use table::{Required, TABLE};
