//! Roles: sets of permissions with a name. Three are built in, the others are the installation's own.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    Access, InvalidPermission, Permission,
    table::{ADMIN, BUILT_IN, TABLE},
};

/// Names of roles are in every token, and a token has a limit.
pub const MAX_ROLE_NAME_BYTES: usize = 40;
/// Permissions of one role: more than the table has, with room for patterns.
pub const MAX_PERMISSIONS: usize = 100;
/// Roles that an installation can make: every instance reads them all.
pub const MAX_ROLES: usize = 50;
/// Roles that a token names: the person's own and those of their groups. Of somebody who has more, the database is asked at each request.
pub const MAX_ROLES_OF_PERSON: usize = 16;

/// What releases before roles called everybody who is not an administrator. A role of this name would be confused with it.
pub const FORMER_MEMBER: &str = "user";

/// What releases before roles call an account with this role of its own.
#[must_use]
pub fn former(role: &str) -> &'static str {
    if role == ADMIN { ADMIN } else { FORMER_MEMBER }
}

/// A role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    name: String,
    permissions: BTreeSet<Permission>,
}

/// A role that cannot be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRole {
    /// Not a name.
    #[error("a role's name has 1 to {MAX_ROLE_NAME_BYTES} small letters, digits and hyphens, and begins with a letter")]
    Name,
    /// The name of a built-in role.
    #[error("this role is built in and cannot be changed")]
    BuiltIn,
    /// Too many permissions.
    #[error("a role has at most {MAX_PERMISSIONS} permissions")]
    TooMany,
    /// One of its permissions is none.
    #[error(transparent)]
    Permission(#[from] InvalidPermission),
}

impl Role {
    /// A role of the installation's own.
    ///
    /// # Errors
    /// [`InvalidRole`].
    pub fn custom<'a>(name: &str, permissions: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidRole> {
        check_name(name)?;
        let permissions = permissions.into_iter().map(str::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if permissions.len() > MAX_PERMISSIONS {
            return Err(InvalidRole::TooMany);
        }
        Ok(Self { name: name.to_owned(), permissions })
    }

    /// A role as it was stored. A permission that this release does not know is left out: nobody has what is not understood.
    #[must_use]
    pub fn stored<'a>(name: &str, permissions: impl IntoIterator<Item = &'a str>) -> Self {
        let known = permissions.into_iter().filter_map(|permission| permission.parse().ok());
        Self { name: name.to_owned(), permissions: known.take(MAX_PERMISSIONS).collect() }
    }

    /// A built-in role.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let name = BUILT_IN.into_iter().find(|built_in| *built_in == name)?;
        let permissions = if name == ADMIN {
            BTreeSet::from([Permission::everything()])
        } else {
            let rows = TABLE.iter().filter(|row| row.roles.contains(&name));
            rows.map(|row| Permission::of_table(row.name, row.has_pattern)).collect()
        };
        Some(Self { name: name.to_owned(), permissions })
    }

    /// Permissions that are asked about like those of a role.
    pub(crate) fn nameless(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self { name: String::new(), permissions: permissions.into_iter().collect() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its permissions, in order.
    pub fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.permissions.iter()
    }
}

/// Whether a role can be called this: a built-in one, or one of the installation's own.
#[must_use]
pub fn is_role_name(name: &str) -> bool {
    BUILT_IN.contains(&name) || check_name(name).is_ok()
}

fn check_name(name: &str) -> Result<(), InvalidRole> {
    if BUILT_IN.contains(&name) || name == FORMER_MEMBER {
        return Err(InvalidRole::BuiltIn);
    }
    let well_formed = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if well_formed && name.len() <= MAX_ROLE_NAME_BYTES { Ok(()) } else { Err(InvalidRole::Name) }
}

/// All roles of an installation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roles {
    /// Shared with what people may do, which is put together for each request.
    all: Vec<Arc<Role>>,
}

impl Default for Roles {
    fn default() -> Self {
        Self::new([])
    }
}

impl Roles {
    /// The built-in roles and these.
    pub fn new(custom: impl IntoIterator<Item = Role>) -> Self {
        let built_in = BUILT_IN.into_iter().filter_map(Role::built_in);
        Self { all: built_in.chain(custom.into_iter().take(MAX_ROLES)).map(Arc::new).collect() }
    }

    /// The role of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Role>> {
        // A built-in role is found before one of the same name.
        self.all.iter().find(|role| role.name == name)
    }

    /// What somebody with these roles may do. A role that does not exist (any more) allows nothing.
    #[must_use]
    pub fn access<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Access {
        Access::of_roles(names.into_iter().filter_map(|name| self.find(name)).cloned())
    }

    /// All roles, the built-in ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.all.iter().map(AsRef::as_ref)
    }
}
