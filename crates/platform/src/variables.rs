//! Configuration: the variables that `spin.toml` grants to the component.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use storage::DatabaseError;
use web::log;

/// The variables that this instance has read. They are the same for everybody. An instance lives only seconds after its last request, so a
/// change takes effect soon.
static READ: Mutex<BTreeMap<&'static str, String>> = Mutex::new(BTreeMap::new());

/// A variable that is only some components' business, trimmed. `None`: `spin.toml` does not grant it to this one.
///
/// # Errors
/// The host's provider of variables does not answer. Its words may quote the value, so they are not passed on.
pub async fn granted(name: &'static str) -> Result<Option<String>, DatabaseError> {
    match spin_sdk::variables::get(name).await {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(spin_sdk::variables::Error::Undefined(_)) => Ok(None),
        Err(_) => Err(DatabaseError::Unavailable(format!("the host could not say the variable {name}"))),
    }
}

/// A variable, trimmed; empty when it is not granted or not set.
pub async fn variable(name: &'static str) -> String {
    let known = READ.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    if let Some(value) = known {
        return value;
    }
    let value = spin_sdk::variables::get(name).await.map(|value| value.trim().to_owned()).unwrap_or_default();
    READ.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value.clone());
    value
}

/// Has the log written from the level on that the variable `log_level` names for this component, from the instance's first request on. What cannot be
/// read changes nothing; `/ready` says so.
pub(crate) async fn read_log_level(component: &str) {
    static IS_READ: AtomicBool = AtomicBool::new(false);
    if IS_READ.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Ok(level) = log::least(&variable("log_level").await, component) {
        log::write_from(level);
    }
}
