//! Scopes: the permissions beyond which a key or a program's token does not go, whatever its owner may do (RFC 6749, section 3.3).

use std::{fmt, sync::Arc};

use crate::{
    InvalidPermission, Permission, Role,
    role::MAX_PERMISSIONS,
    table::{CALL_TOOL, GatewayUse, Required as _, SERVICE},
};

/// What scopes of a program's token have at most, as they are written: they are in the token, and everybody who verifies it has a limit.
pub const MAX_SCOPES_BYTES: usize = 1024;

/// The permissions of a key or a token. They give nothing: what its owner does not have, it does not have either.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scopes(Arc<Role>);

/// Scopes that cannot be given.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidScopes {
    /// There are none.
    #[error("at least one scope is needed")]
    None,
    /// There are more than a role can have.
    #[error("at most {MAX_PERMISSIONS} scopes are taken")]
    TooMany,
    /// One of them is no permission.
    #[error(transparent)]
    Permission(#[from] InvalidPermission),
}

/// Whether a text can be a scope (RFC 6749, section 3.3): visible ASCII without `"` and `\`. Nothing else is given to a program or written into a
/// header.
#[must_use]
pub fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

impl Scopes {
    /// From permissions as a person chooses them.
    ///
    /// # Errors
    /// [`InvalidScopes`].
    pub fn new<'a>(permissions: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidScopes> {
        let mut read = Vec::new();
        for permission in permissions {
            if read.len() >= MAX_PERMISSIONS {
                return Err(InvalidScopes::TooMany);
            }
            read.push(permission.parse()?);
        }
        if read.is_empty() { Err(InvalidScopes::None) } else { Ok(Self::of(read)) }
    }

    /// As they were stored, separated by spaces. One that this release does not know is left out: nobody has what is not understood.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(Arc::new(Role::stored("", text.split_whitespace())))
    }

    /// What a program usually needs: the built-in role `service`.
    #[must_use]
    pub fn of_program() -> Self {
        Self::of(Role::built_in(SERVICE).iter().flat_map(Role::permissions).cloned())
    }

    /// Everything that the owner may do.
    #[must_use]
    pub fn everything() -> Self {
        Self::of([Permission::everything()])
    }

    /// What opens the gateway with all its tools.
    #[must_use]
    pub fn of_gateway() -> Self {
        Self::of([Permission::of_table(GatewayUse::NAME, false), Permission::of_table(CALL_TOOL, true)])
    }

    /// Those of `asked` that have to do with the gateway, and always the permission to use it; everything of the gateway if none of `asked` has
    /// to do with it. A program that signs in may ask for what there is not, and is told what it got (RFC 6749, section 3.3). `None`: written, they
    /// are longer than [`MAX_SCOPES_BYTES`].
    #[must_use]
    pub fn of_gateway_among(asked: &str) -> Option<Self> {
        let is_for_gateway = |permission: &Permission| Self::of_gateway().include(permission.as_str());
        let known =
            asked.split_whitespace().filter(|scope| is_scope_token(scope)).filter_map(|scope| scope.parse().ok());
        let mut granted: Vec<Permission> = known.filter(is_for_gateway).collect();
        if granted.is_empty() {
            return Some(Self::of_gateway());
        }
        granted.push(Permission::of_table(GatewayUse::NAME, false));
        let granted = Self::of(granted);
        (granted.to_string().len() <= MAX_SCOPES_BYTES && granted.permissions().count() <= MAX_PERMISSIONS)
            .then_some(granted)
    }

    fn of(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self(Arc::new(Role::nameless(permissions)))
    }

    /// What both allow. Of two permissions, one includes the other or they have nothing in common: a `*` is only at the end.
    pub(crate) fn both(&self, other: &Self) -> Self {
        let within = |scopes: &Self, all: &Self| -> Vec<Permission> {
            scopes.permissions().filter(|scope| all.include(scope.as_str())).cloned().collect()
        };
        Self::of(within(self, other).into_iter().chain(within(other, self)))
    }

    /// Whether they include what a permission allows.
    pub(crate) fn include(&self, permission: &str) -> bool {
        self.permissions().any(|scope| scope.includes(permission))
    }

    /// Whether they include every tool, so that they take nothing away from a run, which calls tools for its owner.
    #[must_use]
    pub fn include_all_tools(&self) -> bool {
        self.include(&format!("{CALL_TOOL}:*"))
    }

    /// The permissions, in order.
    pub fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.0.permissions()
    }
}

/// Separated by spaces, as they are stored and sent.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, permission) in self.permissions().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            permission.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Roles};

    fn shown(scopes: &Scopes) -> String {
        scopes.to_string()
    }

    #[test]
    fn what_is_allowed_is_what_both_the_roles_and_the_scopes_allow() {
        let access = |role, scopes: &[&str]| {
            Roles::default().access([role]).within(Some(&Scopes::new(scopes.iter().copied()).unwrap()))
        };
        let clock = Action::CallTool { server: "clock", tool: "now" };
        let mail = Action::CallTool { server: "mail", tool: "send" };
        let limited = access("admin", &["tools:call:clock:*", "users:read"]);
        assert!(limited.allows(&clock) && limited.allows(&Action::Route("users:read")));
        assert!(
            !limited.allows(&mail) && limited.roles_allow(&mail) && !limited.allows(&Action::Route("roles:manage"))
        );
        assert!(!access("member", &["*"]).allows(&Action::Route("users:read")), "a scope gives nothing");
        let names = |access: &crate::Access| access.permissions().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&limited), ["tools:call:clock:*", "users:read"]);
        assert_eq!(names(&access("member", &["users:read", "tools:call:mail:*"])), ["tools:call:mail:*"]);
        let everything = Roles::default().access(["admin"]);
        assert!(!limited.allows_giving(&everything) && everything.allows_giving(&limited));
        assert!(!limited.allows_giving(&access("admin", &["tools:call:mail:*"])));
        let twice = limited.within(Some(&Scopes::new(["tools:call:*"]).unwrap())).within(None);
        assert!(twice.allows(&clock) && !twice.allows(&mail) && !twice.allows(&Action::Route("users:read")));
    }

    #[test]
    fn scopes_are_permissions_of_the_table_and_at_least_one() {
        assert_eq!(Scopes::new([]), Err(InvalidScopes::None));
        assert!(matches!(Scopes::new(["openid"]), Err(InvalidScopes::Permission(_))));
        assert_eq!(Scopes::new(vec!["users:read"; MAX_PERMISSIONS + 1]), Err(InvalidScopes::TooMany));
        assert_eq!(shown(&Scopes::stored("users:read something:new")), "users:read");
        assert!(Scopes::of_program().include_all_tools() && Scopes::everything().include_all_tools());
        assert!(!Scopes::new(["tools:call:clock:*"]).unwrap().include_all_tools());
    }

    #[test]
    fn a_program_that_signs_in_gets_no_scope_beyond_the_gateway() {
        for (asked, granted) in [
            ("", "gateway:use tools:call:*"),
            ("openid offline_access", "gateway:use tools:call:*"),
            ("tools:call:clock:*", "gateway:use tools:call:clock:*"),
            ("gateway:use", "gateway:use"),
            // What turns the direction of a text, or ends one in a header (RFC 6749, section 3.3).
            ("gateway:use tools:call:a\u{202e}b tools:call:\"x tools:call:x\\", "gateway:use"),
            ("* users:manage conversations:write gateway:use", "gateway:use"),
        ] {
            assert_eq!(shown(&Scopes::of_gateway_among(asked).unwrap()), granted, "{asked}");
        }
        let many = |count: usize| (0..count).map(|n| format!("tools:call:server:{n:010} ")).collect::<String>();
        assert!(Scopes::of_gateway_among(&many(30)).is_some());
        assert_eq!(Scopes::of_gateway_among(&many(40)), None, "no token has room for them");
    }
}
