//! Configuration: the variables that `spin.toml` grants to the component.

/// A variable, trimmed; empty when it is not granted or not set.
pub async fn variable(name: &str) -> String {
    spin_sdk::variables::get(name).await.map(|value| value.trim().to_owned()).unwrap_or_default()
}
