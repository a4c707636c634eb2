//! Converts the adapter's input to the fixture's types.

use conformance_provider::Input;
use mcp::Map;
use tool_provider::provider::contract::{Context, Failure};

pub(crate) fn object(json: &str) -> Result<Map, Failure> {
    serde_json::from_str(json).map_err(|error| Failure::InvalidArguments(error.to_string()))
}

/// The caller's answers and state in a request.
pub(crate) struct Asked<'a> {
    responses: Map,
    state: Option<&'a str>,
    capabilities: Map,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(context: &'a Context) -> Result<Self, Failure> {
        let responses = context.input_responses.iter().map(|(key, json)| {
            let value = serde_json::from_str(json).map_err(|error| Failure::InvalidInput(error.to_string()))?;
            Ok((key.clone(), value))
        });
        Ok(Self {
            responses: responses.collect::<Result<_, Failure>>()?,
            state: context.input_state.as_deref(),
            capabilities: object(&context.client_capabilities)?,
        })
    }

    pub(crate) fn input<'b>(&'b self, arguments: &'b Map) -> Input<'b> {
        Input { arguments, responses: &self.responses, state: self.state, capabilities: &self.capabilities }
    }
}
