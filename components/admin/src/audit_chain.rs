//! `/api/admin/audit/chain`: how far the record is sealed. The check of all of it is `cargo dev audit verify`.

use axum::extract::State;
use domain::Timestamp;
use permissions::table::AuditRead;
use serde::Serialize;
use storage::{Database, audit_chain::ChainState};
use web::{Allowed, Json, Result};

use crate::router::Admin;

/// How far the record is sealed.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AuditChain, example = json!({"sealed_up_to": 1042, "hash": "9f2c...", "sealed_at": "2026-01-01T12:00:00.000Z", "key_id": "4nZp0s", "waiting": 3})))]
pub(crate) struct ChainBody {
    /// The position up to which events are sealed; 0 if none is.
    sealed_up_to: i64,
    /// The hash there. With the position it is the head, to note for a later check.
    hash: Option<String>,
    sealed_at: Option<Timestamp>,
    /// The key that signed it, of `/.well-known/jwks.json` or an earlier one.
    key_id: Option<String>,
    /// How many events wait.
    waiting: i64,
}

/// Says how far the record is sealed.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/audit/chain", tag = "Record", operation_id = "getAuditChain",
    responses(
        (status = 200, description = "How far.", body = ChainBody),
    ),
))]
pub(crate) async fn read<D: Database>(State(admin): State<Admin<D>>, _: Allowed<AuditRead>) -> Result<Json<ChainBody>> {
    let ChainState { seal, waiting, .. } = admin.store().audit_chain_state().await?;
    Ok(Json(match seal {
        Some(seal) => ChainBody {
            sealed_up_to: seal.last_position,
            hash: Some(seal.hash),
            sealed_at: Some(seal.sealed_at),
            key_id: Some(seal.key_id),
            waiting,
        },
        None => ChainBody { sealed_up_to: 0, hash: None, sealed_at: None, key_id: None, waiting },
    }))
}
