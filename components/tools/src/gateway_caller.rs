//! One caller of the gateway: which tools they are offered, and by which rules. What is done for them is in `gateway.rs`, `features.rs` and
//! `gateway_tasks.rs`.

use std::{cell::RefCell, rc::Rc};

use mcp::Failure;
use permissions::table::GatewayUse;
use storage::Database;
use tool_catalogue::{Host, Listed};
use toolbox::KnownTool;
use web::{
    Allowed, Error, Preferences,
    log::{Level, log},
};

use crate::{
    config::COMPONENT,
    rules::{self, Rules},
    state::Tools,
};

/// All servers, or one of them, as one server to one caller.
pub(crate) struct Gateway<D, H> {
    pub(crate) tools: Tools<D, H>,
    pub(crate) listed: Rc<Listed>,
    /// The one server; `None`: all.
    pub(crate) server: Option<String>,
    pub(crate) session: Allowed<GatewayUse>,
    pub(crate) preferences: Preferences,
    /// Read once for the request.
    pub(crate) rules: RefCell<Option<Rc<Rules>>>,
}

impl<D, H> Gateway<D, H> {
    /// Whether a server is offered at this address.
    pub(crate) fn is_of(&self, server: &str) -> bool {
        self.server.as_ref().is_none_or(|one| one == server)
    }

    /// The tools by the names under which they are offered here: their own at their own server, else those that models use.
    pub(crate) fn offered(&self) -> impl Iterator<Item = (&str, &str, &KnownTool)> {
        let offered = self.listed.catalog.iter().filter(|(_, tool)| self.is_of(&tool.server) && !tool.built_in);
        offered.map(|(name, tool)| {
            let shown = if self.server.is_some() && is_plain(&tool.name) { tool.name.as_str() } else { name };
            (shown, name, tool)
        })
    }
}

impl<D: Database + 'static, H: Host> Gateway<D, H> {
    pub(crate) async fn rules(&self) -> Result<Rc<Rules>, Failure> {
        if let Some(rules) = self.rules.borrow().clone() {
            return Ok(rules);
        }
        let rules = Rc::new(rules::of(&self.tools, self.session.user_id()).await.map_err(|error| unavailable(&error))?);
        *self.rules.borrow_mut() = Some(Rc::clone(&rules));
        Ok(rules)
    }
}

/// What a client is told when the database does not answer.
pub(crate) fn unavailable(error: &Error) -> Failure {
    let fields = serde_json::json!({ "cause": error.causes() });
    log(COMPONENT, Level::Error, "a request of the gateway cannot be answered", fields);
    Failure::Internal("This cannot be answered at the moment. Try again later.".to_owned())
}

/// Whether every client takes the name (Model Context Protocol, "Tool Names"): some refuse a whole list for one that is not.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
