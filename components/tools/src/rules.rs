//! What tools may do unasked: the rules that hold for a caller. They are set in `policies.rs`.

use domain::Id;
use storage::{Database, tool_policies::ToolPolicy};
use tool_catalogue::Host;
use toolbox::{Annotations, Effect, KnownTool, Policy, policy::exact_pattern};
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
    pub(crate) fn effect(&self, tool: &KnownTool) -> Effect {
        toolbox::decide(tool, &self.installation, &self.user)
    }

    /// Whether the caller may read what a composed server has besides tools. It is treated as a tool that only reads and whose name no pattern
    /// but `*` matches. Where the caller would have to be asked they may not: nobody can be asked at the gateway.
    pub(crate) fn open(&self, server: &str) -> bool {
        let nameless = KnownTool {
            annotations: Annotations { read_only: true, ..Annotations::default() },
            remote: false,
            reads_private: false,
            ..KnownTool::unlisted(server.to_owned(), String::new())
        };
        self.effect(&nameless) == Effect::Allow
    }

    /// What the caller has said about exactly this tool.
    pub(crate) fn own(&self, tool: &KnownTool) -> Option<Effect> {
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
