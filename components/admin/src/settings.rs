//! `/api/admin/settings`: how the installation is configured, without secrets. Settings are changed where it is deployed.

use axum::extract::State;
use permissions::table::SettingsRead;
use serde::Serialize;
use storage::Database;
use web::{Allowed, Json, Page};

use crate::router::Admin;

/// A setting, without secrets.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Setting, example = json!({"name": "signup", "value": "invite"})))]
pub(crate) struct SettingBody {
    name: &'static str,
    value: String,
}

/// Lists how the installation is configured.
///
/// Without secrets. Settings are changed where it is deployed.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/settings", tag = "Installation", operation_id = "listSettings",
    responses(
        (status = 200, description = "All settings.", body = Page<SettingBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<SettingsRead>,
) -> Json<Page<SettingBody>> {
    let body = |(name, value)| SettingBody { name, value };
    Json(Page::whole(admin.config.settings.into_iter().map(body)))
}
