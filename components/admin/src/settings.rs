//! `/api/admin/settings`: how the installation is configured, without secrets. Settings are changed where it is deployed.

use axum::extract::State;
use permissions::table::SettingsRead;
use serde::Serialize;
use storage::Database;
use web::{Allowed, Json, Page};

use crate::router::Admin;

#[derive(Serialize)]
pub(crate) struct SettingBody {
    name: &'static str,
    value: String,
}

/// `GET /api/admin/settings`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<SettingsRead>,
) -> Json<Page<SettingBody>> {
    let body = |(name, value)| SettingBody { name, value };
    Json(Page::whole(admin.config.settings.into_iter().map(body)))
}
