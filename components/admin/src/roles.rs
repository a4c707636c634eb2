//! `/api/admin/roles`: the built-in roles, the installation's own, and all permissions there are.

use axum::extract::State;
use http::StatusCode;
use permissions::{
    Access, Role, TABLE,
    role::{InvalidRole, MAX_ROLES},
    table::{BUILT_IN, RolesManage, UsersRead},
};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::Database;
use web::{Allowed, Json, Result, extract::PathName};

use crate::{
    authority::{check_may_give, record},
    router::Admin,
};

/// A hundred permissions of the greatest length.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A set of permissions.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Role, example = json!({"name": "member", "built_in": true, "permissions": ["conversations:read", "models:use:*"]})))]
pub(crate) struct RoleBody {
    name: String,
    /// It stays as it is.
    built_in: bool,
    permissions: Vec<String>,
}

impl From<&Role> for RoleBody {
    fn from(role: &Role) -> Self {
        Self {
            built_in: BUILT_IN.contains(&role.name()),
            permissions: role.permissions().map(ToString::to_string).collect(),
            name: role.name().to_owned(),
        }
    }
}

/// A permission that a role can have.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Permission, example = json!({"name": "models:use", "purpose": "Have these models answer", "has_pattern": true})))]
struct PermissionBody {
    name: &'static str,
    /// What it allows.
    purpose: &'static str,
    /// It is followed by a pattern: `models:use:gpt-*`.
    has_pattern: bool,
}

/// All roles, and all permissions that there are.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct RoleList {
    items: Vec<RoleBody>,
    next_cursor: Option<String>,
    permissions: Vec<PermissionBody>,
}

/// Lists all roles, and all permissions that there are.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/roles", tag = "Roles", operation_id = "listRoles",
    responses(
        (status = 200, description = "Roles and permissions.", body = RoleList),
    ),
))]
pub(crate) async fn list<D: Database>(State(admin): State<Admin<D>>, _: Allowed<UsersRead>) -> Result<Json<RoleList>> {
    let roles = admin.roles().await?;
    let permissions = TABLE
        .iter()
        .map(|row| PermissionBody { name: row.name, purpose: row.purpose, has_pattern: row.has_pattern })
        .collect();
    Ok(Json(RoleList { items: roles.iter().map(Into::into).collect(), next_cursor: None, permissions }))
}

/// What a role is to allow.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RoleContents, example = json!({"permissions": ["conversations:read", "models:use:gpt-*"]})))]
pub(crate) struct Contents {
    /// At most a hundred, each with its pattern if it has one.
    #[cfg_attr(test, schema(max_items = 100))]
    permissions: Vec<String>,
}

/// Makes or changes a role.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/admin/roles/{name}", tag = "Roles", operation_id = "setRole",
    params(("name" = String, Path, description = "Small letters, digits and hyphens.")),
    request_body = Contents,
    responses(
        (status = 200, description = "The role.", body = RoleBody),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`built_in`: it stays as it is. `too_many_roles`: there are 50 already."),
    ),
))]
pub(crate) async fn set<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<RolesManage>,
    PathName(name): PathName,
    Json(contents): Json<Contents, MAX_BODY_BYTES>,
) -> Result<Json<RoleBody>> {
    let role = Role::custom(&name, contents.permissions.iter().map(String::as_str)).map_err(|error| unfit(&error))?;
    check_may_give(&session, &admin.roles().await?, [name.as_str()])?;
    if !session.access().allows_giving(&Access::new(role.permissions().cloned())) {
        let detail = "You can only put permissions into a role that you have yourself.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "beyond_own_role", detail).into());
    }
    let permissions: Vec<&str> = role.permissions().map(permissions::Permission::as_str).collect();
    let permissions = permissions.join(" ");
    if !admin.store().set_role(&name, &permissions, MAX_ROLES).await? {
        let detail = format!("There are {MAX_ROLES} roles already. Delete one first.");
        return Err(Problem::conflict("too_many_roles", detail).into());
    }
    record(&admin, &session, "role.set", &name, Some(&permissions)).await?;
    Ok(Json((&role).into()))
}

fn built_in() -> Problem {
    Problem::conflict("built_in", "This role is built in and stays as it is. Make one of another name.")
}

fn unfit(error: &InvalidRole) -> Problem {
    let field = match error {
        InvalidRole::BuiltIn => return built_in(),
        InvalidRole::Name => "name",
        _ => "permissions",
    };
    Problem::invalid_field(field, format!("{error}."))
}

/// Deletes a role.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/roles/{name}", tag = "Roles", operation_id = "deleteRole",
    params(("name" = String, Path, description = "Small letters, digits and hyphens.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`built_in`: it stays as it is. `role_in_use`: accounts, groups or open invitations have it."),
    ),
))]
pub(crate) async fn delete<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<RolesManage>,
    PathName(name): PathName,
) -> Result<StatusCode> {
    if BUILT_IN.contains(&name.as_str()) {
        return Err(built_in().into());
    }
    let roles = admin.roles().await?;
    roles.find(&name).ok_or_else(Problem::not_found)?;
    check_may_give(&session, &roles, [name.as_str()])?;
    let uses = admin.store().delete_role(&name).await?;
    if uses > 0 {
        let detail =
            format!("{uses} accounts, groups or open invitations have this role. Give them another role first.");
        return Err(Problem::conflict("role_in_use", detail).into());
    }
    record(&admin, &session, "role.delete", &name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
