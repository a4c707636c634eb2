//! `/api/admin/groups`: groups, the roles that they give, and their members.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{Id, Timestamp};
use http::StatusCode;
use permissions::{Roles, role::MAX_ROLES_OF_PERSON, table::GroupsManage};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    groups::{Group, GroupSaved, MAX_GROUPS, MAX_GROUPS_OF_USER},
};
use web::{Allowed, Json, Listing, Page, PathId, Query, Result, Session, extract::PathIds};

use crate::{
    authority::{check_exists, check_may_give, record},
    router::Admin,
    users::UserBody,
};

/// Members on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;
/// A name is a line in a list.
const MAX_NAME_CHARS: usize = 100;

/// A group of people, and the roles that it gives.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Group, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "name": "Finance", "roles": ["member"], "members": 12, "created_at": "2026-01-01T12:00:00.000Z"})))]
pub(crate) struct GroupBody {
    id: Id,
    name: String,
    roles: Vec<String>,
    /// How many there are.
    members: u64,
    created_at: Timestamp,
}

impl From<Group> for GroupBody {
    fn from(Group { id, name, roles, members, created_at }: Group) -> Self {
        Self { id, name, roles, members, created_at }
    }
}

/// Lists all groups.
///
/// By name.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/groups", tag = "Groups", operation_id = "listGroups",
    responses(
        (status = 200, description = "All groups.", body = Page<GroupBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<GroupsManage>,
) -> Result<Json<Page<GroupBody>>> {
    Ok(Json(Page::whole(admin.store().groups().await?.into_iter().map(Into::into))))
}

/// What a group is to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = GroupContents, example = json!({"name": "Finance", "roles": ["member"]})))]
pub(crate) struct Contents {
    /// 1 to 100 characters on one line.
    #[cfg_attr(test, schema(min_length = 1, max_length = 100))]
    name: String,
    /// The names of roles.
    roles: Vec<String>,
}

impl Contents {
    fn check(&self, session: &Session, roles: &Roles) -> Result<()> {
        let length = self.name.trim().chars().count();
        if !(1..=MAX_NAME_CHARS).contains(&length) || self.name.contains(char::is_control) {
            return Err(Problem::invalid_field("name", "Use 1 to 100 characters on one line.").into());
        }
        if self.roles.len() > MAX_ROLES_OF_PERSON {
            return Err(Problem::invalid_field("roles", format!("At most {MAX_ROLES_OF_PERSON} roles.")).into());
        }
        for role in &self.roles {
            check_exists(roles, "roles", role)?;
        }
        check_may_give(session, roles, self.roles.iter().map(String::as_str))
    }
}

fn saved(saved: GroupSaved) -> Result<GroupBody> {
    match saved {
        GroupSaved::Saved(group) => Ok(group.into()),
        GroupSaved::NameTaken => {
            Err(Problem::conflict("name_taken", "There is a group of this name already. Choose another.").into())
        }
        GroupSaved::TooMany => {
            let detail = format!("There are {MAX_GROUPS} groups already. Delete one first.");
            Err(Problem::conflict("too_many_groups", detail).into())
        }
        GroupSaved::NotFound => Err(Problem::not_found().into()),
    }
}

/// Makes a group.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/groups", tag = "Groups", operation_id = "createGroup",
    request_body = Contents,
    responses(
        (status = 201, description = "The group.", body = GroupBody),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`name_taken`: there is a group of this name. `too_many_groups`: there are 500 already."),
    ),
))]
pub(crate) async fn create<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<GroupsManage>,
    Json(new): Json<Contents>,
) -> Result<Response> {
    new.check(&session, &admin.roles().await?)?;
    let group = saved(admin.store().create_group(new.name.trim(), &new.roles).await?)?;
    record(&admin, &session, "group.create", group.id, Some(&new.roles.join(" "))).await?;
    Ok((StatusCode::CREATED, Json::<_>(group)).into_response())
}

/// The group, whose roles the caller may give and take.
async fn changeable<D: Database>(admin: &Admin<D>, session: &Session, id: Id) -> Result<Group> {
    let group = admin.store().group(id).await?.ok_or_else(Problem::not_found)?;
    check_may_give(session, &admin.roles().await?, group.roles.iter().map(String::as_str))?;
    Ok(group)
}

/// Changes a group.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/admin/groups/{id}", tag = "Groups", operation_id = "updateGroup",
    params(("id" = Id, Path)),
    request_body = Contents,
    responses(
        (status = 200, description = "The group, as it is now.", body = GroupBody),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`name_taken`: there is a group of this name."),
    ),
))]
pub(crate) async fn update<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<GroupsManage>,
    PathId(id): PathId,
    Json(contents): Json<Contents>,
) -> Result<Json<GroupBody>> {
    changeable(&admin, &session, id).await?;
    contents.check(&session, &admin.roles().await?)?;
    let group = saved(admin.store().update_group(id, contents.name.trim(), &contents.roles).await?)?;
    record(&admin, &session, "group.update", id, Some(&contents.roles.join(" "))).await?;
    Ok(Json(group))
}

/// Deletes a group.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/groups/{id}", tag = "Groups", operation_id = "deleteGroup",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It is gone."),
        (status = 403, description = "`beyond_own_role`."),
    ),
))]
pub(crate) async fn delete<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<GroupsManage>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    changeable(&admin, &session, id).await?;
    admin.store().delete_group(id).await?;
    record(&admin, &session, "group.delete", id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the members of a group.
///
/// The newest account first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/groups/{id}/members", tag = "Groups", operation_id = "listGroupMembers",
    params(("id" = Id, Path), Listing),
    responses(
        (status = 200, description = "A page of accounts, without `group_roles`.", body = Page<UserBody>),
    ),
))]
pub(crate) async fn members<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<GroupsManage>,
    PathId(id): PathId,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<UserBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    admin.store().group(id).await?.ok_or_else(Problem::not_found)?;
    let found = admin.store().group_members(id, listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |user| user.id.to_string(), Into::into)))
}

/// Adds somebody to a group.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/admin/groups/{id}/members/{user_id}", tag = "Groups", operation_id = "addGroupMember",
    params(("id" = Id, Path), ("user_id" = Id, Path)),
    responses(
        (status = 204, description = "They are in it."),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`too_many_groups`: they are in sixteen already."),
    ),
))]
pub(crate) async fn add_member<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<GroupsManage>,
    PathIds(id, user_id): PathIds,
) -> Result<StatusCode> {
    changeable(&admin, &session, id).await?;
    admin.store().user(user_id).await?.ok_or_else(Problem::not_found)?;
    if admin.store().is_group_member(id, user_id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    if !admin.store().add_group_member(id, user_id).await? {
        admin.store().group(id).await?.ok_or_else(Problem::not_found)?;
        let detail = format!("This person is in {MAX_GROUPS_OF_USER} groups already. Take them out of one first.");
        return Err(Problem::conflict("too_many_groups", detail).into());
    }
    record(&admin, &session, "group.join", id, Some(&user_id.to_string())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes somebody out of a group.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/groups/{id}/members/{user_id}", tag = "Groups", operation_id = "removeGroupMember",
    params(("id" = Id, Path), ("user_id" = Id, Path)),
    responses(
        (status = 204, description = "They are not in it."),
        (status = 403, description = "`beyond_own_role`."),
    ),
))]
pub(crate) async fn remove_member<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<GroupsManage>,
    PathIds(id, user_id): PathIds,
) -> Result<StatusCode> {
    changeable(&admin, &session, id).await?;
    if !admin.store().is_group_member(id, user_id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    admin.store().remove_group_member(id, user_id).await?;
    record(&admin, &session, "group.leave", id, Some(&user_id.to_string())).await?;
    Ok(StatusCode::NO_CONTENT)
}
