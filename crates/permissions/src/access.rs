//! What somebody may do, from all their roles together, and no more than the scopes of the key or token they use.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use crate::{
    Permission, Role, Scopes,
    table::{CALL_TOOL, USE_MODEL},
};

/// What somebody may do. The default is nothing.
#[derive(Clone, Default, Debug)]
pub struct Access {
    roles: Vec<Arc<Role>>,
    scopes: Option<Scopes>,
}

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
        Self { roles: vec![Arc::new(Role::nameless(permissions))], scopes: None }
    }

    /// With these roles, which are not copied.
    pub(crate) fn of_roles(roles: impl IntoIterator<Item = Arc<Role>>) -> Self {
        Self { roles: roles.into_iter().collect(), scopes: None }
    }

    /// The same within scopes, if there are any, and within those that it has already: what all allow.
    #[must_use]
    pub fn within(mut self, scopes: Option<&Scopes>) -> Self {
        self.scopes = match (self.scopes, scopes) {
            (Some(before), Some(scopes)) => Some(before.both(scopes)),
            (before, scopes) => before.or_else(|| scopes.cloned()),
        };
        self
    }

    /// The scopes that limit it.
    #[must_use]
    pub const fn scopes(&self) -> Option<&Scopes> {
        self.scopes.as_ref()
    }

    /// Whether somebody with this access may do something. Nothing else decides about permissions.
    #[must_use]
    pub fn allows(&self, action: &Action<'_>) -> bool {
        self.roles_allow(action) && self.scopes.as_ref().is_none_or(|scopes| scopes.include(&action.needs()))
    }

    /// Whether the roles allow something that may still be outside the scopes.
    #[must_use]
    pub fn roles_allow(&self, action: &Action<'_>) -> bool {
        let needs = action.needs();
        self.permissions_of_roles().any(|permission| permission.includes(&needs))
    }

    /// Whether somebody may give away all that another has, and so change their account: nobody gives or takes what they do not have.
    #[must_use]
    pub fn allows_giving(&self, other: &Self) -> bool {
        other.permissions().all(|permission| self.allows(&Action::Give(permission)))
    }

    /// Whether every model may be used, so that nobody need look which one is.
    #[must_use]
    pub fn allows_all_models(&self) -> bool {
        self.allows(&Action::UseModel("*"))
    }

    /// The permissions, in order, each once.
    pub fn permissions(&self) -> impl Iterator<Item = &Permission> {
        let Some(scopes) = &self.scopes else {
            return self.permissions_of_roles().collect::<BTreeSet<_>>().into_iter();
        };
        // Of two permissions, one includes the other or they have nothing in common: a `*` is only at the end.
        let of_roles = self.permissions_of_roles().filter(|permission| scopes.include(permission.as_str()));
        let of_scopes = scopes.permissions().filter(|scope| self.roles_allow(&Action::Give(scope)));
        of_roles.chain(of_scopes).collect::<BTreeSet<_>>().into_iter()
    }

    fn permissions_of_roles(&self) -> impl Iterator<Item = &Permission> {
        self.roles.iter().flat_map(|role| role.permissions())
    }
}
