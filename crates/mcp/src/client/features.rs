//! What a server has besides tools, of servers that speak 2026-07-28. Servers made of this crate send whole lists, so only the first page of
//! each is read.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{Client, ClientError, Transport, exchange::Call, passing::parsed};
use crate::{
    lenient,
    model::{Map, Prompt, Resource, ResourceTemplate},
};

/// What a server has besides tools.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Features {
    /// What a model should know to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Its resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// Patterns of resources that are not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<ResourceTemplate>,
    /// Its prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<Prompt>,
    /// It can propose values for arguments.
    #[serde(default)]
    pub has_completions: bool,
}

#[derive(Deserialize)]
struct Discovered {
    #[serde(default, deserialize_with = "lenient::field")]
    capabilities: Map,
    #[serde(default, deserialize_with = "lenient::field")]
    instructions: Option<String>,
}

impl<T: Transport> Client<T> {
    /// Asks a server what it has besides tools: one request, and one for each list that it says it has. An entry that cannot be read is left out.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_features(&self) -> Result<Features, ClientError> {
        let discovered = self.exchange(Call::new("server/discover"), None).await?;
        let Discovered { capabilities, instructions } = parsed(&discovered)?;
        let has = |name| capabilities.contains_key(name);
        let mut features = Features { instructions, has_completions: has("completions"), ..Features::default() };
        if has("resources") {
            features.resources = self.list("resources/list", "resources").await?;
            features.templates = self.list("resources/templates/list", "resourceTemplates").await?;
        }
        if has("prompts") {
            features.prompts = self.list("prompts/list", "prompts").await?;
        }
        Ok(features)
    }

    async fn list<I: DeserializeOwned>(&self, method: &'static str, name: &str) -> Result<Vec<I>, ClientError> {
        let result = self.exchange(Call::new(method), None).await?;
        let mut lists: std::collections::HashMap<&str, Box<RawValue>> = parsed(&result)?;
        let items = lists.remove(name).ok_or_else(|| ClientError::Malformed(format!("it has no {name}")))?;
        let items: Vec<Box<RawValue>> = parsed(&items)?;
        Ok(items.iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect())
    }
}
