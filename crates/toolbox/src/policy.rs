//! Who may call what without being asked: policies of the installation and of the user, compared with a tool's `server:tool`.
//!
//! In a pattern `*` stands for any characters of its side of the first `:`, and every other character for itself.

use domain::Effect;
use wildmatch::WildMatchPattern;

use crate::{KnownTool, cut, exposure::is_heard_by_others};

/// The longest pattern: a server's name and a tool's, and some `*`.
pub const MAX_PATTERN_CHARS: usize = 256;

/// `*` alone is a wildcard: no name has a NUL in it. Takes at most as many steps as pattern times name has characters.
type Glob = WildMatchPattern<'*', '\0'>;

/// A pattern and its effect.
#[derive(Clone, Debug)]
pub struct Policy {
    server: Glob,
    tool: Glob,
    effect: Effect,
    weight: Weight,
}

/// How specific a pattern is: its literal characters, then whether there is nothing else in it.
type Weight = (usize, bool);

/// A pattern that is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPattern {
    /// It has not the form.
    #[error("a pattern has the form server:tool, and * in either stands for anything")]
    Form,
    /// It is too long.
    #[error("a pattern has at most {MAX_PATTERN_CHARS} characters")]
    TooLong,
    /// It has control characters.
    #[error("a pattern has no control characters")]
    Control,
    /// In a list, what holds is not said before it.
    #[error("a policy is allow, ask or deny and a pattern")]
    Effect,
}

/// An entry of a list that is no policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{entry}\": {cause}")]
pub struct InvalidPolicy {
    /// The entry, cut.
    pub entry: String,
    /// What is wrong with it.
    pub cause: InvalidPattern,
}

impl Policy {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn parse(pattern: &str, effect: Effect) -> Result<Self, InvalidPattern> {
        if pattern.chars().count() > MAX_PATTERN_CHARS {
            return Err(InvalidPattern::TooLong);
        }
        if pattern.chars().any(char::is_control) {
            return Err(InvalidPattern::Control);
        }
        match pattern.split_once(':') {
            Some((server, tool)) if !server.is_empty() && !tool.is_empty() => Ok(Self {
                server: Glob::new(server),
                tool: Glob::new(tool),
                effect,
                weight: (pattern.chars().filter(|c| *c != '*').count(), !pattern.contains('*')),
            }),
            _ => Err(InvalidPattern::Form),
        }
    }

    /// Reads what was stored. A pattern that an older version took and this one does not is as good as none; a deny among them is taken to
    /// deny everything.
    #[must_use]
    pub fn stored(pattern: &str, effect: Effect) -> Option<Self> {
        Self::parse(pattern, effect).ok().or_else(|| (effect == Effect::Deny).then(Self::deny_everything))
    }

    /// Whether it is about a tool.
    #[must_use]
    pub fn matches(&self, tool: &KnownTool) -> bool {
        self.names(&tool.server, &tool.name)
    }

    /// Whether it denies the tool of this name on a server.
    #[must_use]
    pub fn denies(&self, server: &str, name: &str) -> bool {
        self.effect == Effect::Deny && self.names(server, name)
    }

    fn names(&self, server: &str, name: &str) -> bool {
        self.server.matches(server) && self.tool.matches(name)
    }

    /// Reads a list as an operator writes it: `allow calendar:list_*, deny mail:*`.
    ///
    /// # Errors
    /// What is wrong with the first that is wrong.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, InvalidPolicy> {
        let entry = |entry: &str| {
            let wrong = |cause| InvalidPolicy { entry: cut(entry, MAX_PATTERN_CHARS), cause };
            let (effect, pattern) =
                entry.split_once(char::is_whitespace).ok_or_else(|| wrong(InvalidPattern::Effect))?;
            let effect = Effect::parse(effect).ok_or_else(|| wrong(InvalidPattern::Effect))?;
            Self::parse(pattern.trim(), effect).map_err(wrong)
        };
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(entry).collect()
    }

    /// What holds when policies cannot be read.
    #[must_use]
    pub fn deny_everything() -> Self {
        Self { server: Glob::new("*"), tool: Glob::new("*"), effect: Effect::Deny, weight: (0, false) }
    }

    const fn is_exact(&self) -> bool {
        self.weight.1
    }
}

/// The pattern that is about exactly one tool. No name of a tool has a `*`, and none of a server a `:` (see [`crate::catalog`]).
#[must_use]
pub fn exact_pattern(tool: &KnownTool) -> String {
    format!("{}:{}", tool.server, tool.name)
}

/// What happens to calls of a tool.
///
/// - A deny of either wins.
/// - Of what is left, a tool that always asks does.
/// - Within the user's policies, and within the installation's, the most specific wins; of equals the strictest.
/// - The user's wins over the installation's, except that an allow does not loosen the installation's ask, unless it names exactly this tool,
///   which is what a person writes who was asked and said "always".
/// - If nobody says anything, tools that only read are allowed where we can believe them, and the others asked for.
#[must_use]
pub fn decide(tool: &KnownTool, installation: &[Policy], user: &[Policy]) -> Effect {
    if installation.iter().chain(user).any(|policy| policy.denies(&tool.server, &tool.name)) {
        return Effect::Deny;
    }
    if tool.always_asks {
        return Effect::Ask;
    }
    match (most_specific(tool, installation), most_specific(tool, user)) {
        (Some(installation), Some(user))
            if installation.effect == Effect::Ask && user.effect == Effect::Allow && !user.is_exact() =>
        {
            Effect::Ask
        }
        (_, Some(policy)) | (Some(policy), None) => policy.effect,
        (None, None) if tool.annotations.read_only && !tool.remote => Effect::Allow,
        (None, None) => Effect::Ask,
    }
}

/// What happens to calls of a tool after something private was read, as far as they say what the person did not write: where others hear them,
/// the person is asked, unless a policy allows exactly this tool.
#[must_use]
pub fn decide_exposed(tool: &KnownTool, installation: &[Policy], user: &[Policy]) -> Effect {
    let effect = decide(tool, installation, user);
    let is_named = || {
        let mut policies = installation.iter().chain(user);
        policies.any(|policy| policy.is_exact() && policy.effect == Effect::Allow && policy.matches(tool))
    };
    if effect == Effect::Allow && is_heard_by_others(tool) && !is_named() { Effect::Ask } else { effect }
}

fn most_specific<'p>(tool: &KnownTool, policies: &'p [Policy]) -> Option<&'p Policy> {
    policies
        .iter()
        .filter(|policy| policy.matches(tool))
        .max_by_key(|policy| (policy.weight, policy.effect != Effect::Allow))
}
