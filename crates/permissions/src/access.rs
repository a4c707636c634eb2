//! What somebody may do, from all their roles together.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use crate::{
    Permission, Role,
    table::{CALL_TOOL, USE_MODEL},
};

/// What somebody may do. The default is nothing.
#[derive(Clone, Default, Debug)]
pub struct Access(Vec<Arc<Role>>);

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action<'a> {
    /// What needs the permission of this name: [`Required::NAME`](crate::Required::NAME).
    Route(&'static str),
    /// Call a tool of a server.
    CallTool {
        /// The server's name.
        server: &'a str,
        /// The tool's name there.
        tool: &'a str,
    },
    /// Have a model answer.
    UseModel(&'a str),
    /// Give somebody this permission.
    Give(&'a Permission),
}

impl Action<'_> {
    /// The permission that it needs.
    #[must_use]
    pub fn needs(&self) -> Cow<'_, str> {
        match *self {
            Self::Route(name) => name.into(),
            Self::CallTool { server, tool } => format!("{CALL_TOOL}:{server}:{tool}").into(),
            Self::UseModel(model) => format!("{USE_MODEL}:{model}").into(),
            Self::Give(permission) => permission.as_str().into(),
        }
    }
}

impl Access {
    /// With these permissions.
    pub fn new(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self(vec![Arc::new(Role::nameless(permissions))])
    }

    /// With these roles, which are not copied.
    pub(crate) fn of_roles(roles: impl IntoIterator<Item = Arc<Role>>) -> Self {
        Self(roles.into_iter().collect())
    }

    /// Whether somebody with this access may do something. Nothing else decides about permissions.
    #[must_use]
    pub fn allows(&self, action: &Action<'_>) -> bool {
        let needs = action.needs();
        self.all().any(|permission| permission.includes(&needs))
    }

    /// Whether somebody may give away all that another has, and so change their account: nobody gives or takes what they do not have.
    #[must_use]
    pub fn allows_giving(&self, other: &Self) -> bool {
        other.all().all(|permission| self.allows(&Action::Give(permission)))
    }

    /// Whether every model may be used, so that nobody need look which one is.
    #[must_use]
    pub fn allows_all_models(&self) -> bool {
        self.allows(&Action::UseModel("*"))
    }

    /// The permissions, in order, each once.
    pub fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.all().collect::<BTreeSet<_>>().into_iter()
    }

    fn all(&self) -> impl Iterator<Item = &Permission> {
        self.0.iter().flat_map(|role| role.permissions())
    }
}
