//! What tools may do unasked: the rules that hold for a caller. They are set in `policies.rs`.

use domain::Id;
use serde_json::value::RawValue;
use storage::{Database, tool_policies::ToolPolicy};
use tool_catalogue::Host;
use toolbox::{Annotations, Effect, Policy, Tool, policy::exact_pattern};
use web::Result;

use crate::state::Tools;

/// The policies that hold for a caller.
pub(crate) struct Rules {
    pub(crate) installation: Vec<Policy>,
    pub(crate) user: Vec<Policy>,
    own: Vec<ToolPolicy>,
}

impl Rules {
    /// From what the operator configured and what is stored.
    pub(crate) fn new(configured: &[Policy], stored: Vec<ToolPolicy>) -> Self {
        let (installation, own): (Vec<_>, Vec<_>) = stored.into_iter().partition(|policy| policy.installation);
        Self {
            installation: configured.iter().cloned().chain(read(&installation)).collect(),
            user: read(&own).collect(),
            own,
        }
    }

    /// What happens when the caller has a tool called.
    pub(crate) fn effect(&self, tool: &Tool) -> Effect {
        toolbox::decide(tool, &self.installation, &self.user)
    }

    /// Whether the caller may read what a composed server has besides tools. It is treated as a tool that only reads and whose name no pattern
    /// but `*` matches. Where the caller would have to be asked they may not: nobody can be asked at the gateway.
    pub(crate) fn open(&self, server: &str) -> bool {
        let nameless = Tool {
            server: server.to_owned(),
            name: String::new(),
            title: None,
            description: String::new(),
            input_schema: RawValue::NULL.to_owned(),
            output_schema: None,
            is_mended: true,
            annotations: Annotations { read_only: true, ..Annotations::default() },
            remote: false,
            reads_private: false,
            always_asks: false,
            task_support: mcp::TaskSupport::Forbidden,
            result_ttl_ms: None,
        };
        self.effect(&nameless) == Effect::Allow
    }

    /// What the caller has said about exactly this tool.
    pub(crate) fn own(&self, tool: &Tool) -> Option<Effect> {
        let pattern = exact_pattern(tool);
        self.own.iter().find(|policy| policy.pattern == pattern).map(|policy| policy.effect)
    }
}

fn read(policies: &[ToolPolicy]) -> impl Iterator<Item = Policy> {
    policies.iter().filter_map(|policy| Policy::stored(&policy.pattern, policy.effect))
}

/// The rules for a caller.
pub(crate) async fn of<D: Database + 'static, H: Host>(tools: &Tools<D, H>, user_id: Id) -> Result<Rules> {
    Ok(Rules::new(&tools.config.policies, tools.store().tool_policies(user_id).await?))
}
