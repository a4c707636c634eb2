//! Decides which calls need approval: policies of the installation and of the user, compared with a tool's `server:tool`.
//!
//! In a pattern, `*` stands for any characters on its side of the first `:`. Every other character stands for itself.

use domain::Effect;
use wildmatch::WildMatchPattern;

use crate::{KnownTool, cut, exposure::is_heard_by_others};

/// The longest pattern: the names of a server and a tool, and some `*`.
pub const MAX_PATTERN_CHARS: usize = 256;

/// The most patterns of tools that a conversation may name: more than anybody chooses by hand.
pub const MAX_CHOSEN: usize = 100;
/// The longest JSON of so many patterns: it may write a character as twelve bytes.
pub const MAX_CHOSEN_BYTES: usize = MAX_CHOSEN * MAX_PATTERN_CHARS * 12;

/// Only `*` is a wildcard: the single-character wildcard is NUL, which no name has. A match takes at most as many steps as the lengths of pattern and
/// name multiplied.
type Glob = WildMatchPattern<'*', '\0'>;

/// A pattern, and the effect on the tools that it matches.
#[derive(Clone, Debug)]
pub struct Policy {
    server: Glob,
    tool: Glob,
    effect: Effect,
    weight: Weight,
}

/// How specific a pattern is: the number of its literal characters, then whether it has no `*`.
type Weight = (usize, bool);

/// Why a pattern is invalid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPattern {
    /// The pattern does not have the form `server:tool`.
    #[error("a pattern has the form server:tool, and * in either stands for anything")]
    Form,
    /// The pattern is too long.
    #[error("a pattern has at most {MAX_PATTERN_CHARS} characters")]
    TooLong,
    /// The pattern has control characters.
    #[error("a pattern has no control characters")]
    Control,
    /// An entry of a list does not begin with an effect.
    #[error("a policy is allow, ask or deny, and then a pattern")]
    Effect,
}

/// An invalid entry in a list of policies.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{entry}\": {cause}")]
pub struct InvalidPolicy {
    /// The entry, cut.
    pub entry: String,
    /// Why the entry is invalid.
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

    /// Reads a stored policy. A pattern that an older version accepted and this one does not is ignored; if its effect is deny, it denies everything
    /// instead.
    #[must_use]
    pub fn stored(pattern: &str, effect: Effect) -> Option<Self> {
        Self::parse(pattern, effect).ok().or_else(|| (effect == Effect::Deny).then(Self::deny_everything))
    }

    /// Whether the pattern matches a tool.
    #[must_use]
    pub fn matches(&self, tool: &KnownTool) -> bool {
        self.names(&tool.server, &tool.name)
    }

    /// Whether the policy denies the tool with this name on this server.
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
    /// [`InvalidPolicy`] for the first invalid entry.
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

    /// The policy to use when the stored policies cannot be read.
    #[must_use]
    pub fn deny_everything() -> Self {
        Self { server: Glob::new("*"), tool: Glob::new("*"), effect: Effect::Deny, weight: (0, false) }
    }

    const fn is_exact(&self) -> bool {
        self.weight.1
    }
}

/// The tools that a conversation may use, of those that its person may. It allows nothing by itself.
#[derive(Clone, Default, Debug)]
pub struct Chosen(Option<Vec<Policy>>);

impl Chosen {
    /// From patterns; `None`: all tools. One that cannot be read stands for no tool.
    #[must_use]
    pub fn parse(patterns: Option<&[String]>) -> Self {
        let parsed = |pattern: &String| Policy::parse(pattern, Effect::Allow).ok();
        Self(patterns.map(|patterns| patterns.iter().filter_map(parsed).collect()))
    }

    /// Whether the tool with this name on this server is among them.
    #[must_use]
    pub fn includes(&self, server: &str, name: &str) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.names(server, name)))
    }
}

/// The pattern that matches exactly one tool. No tool's name has a `*`, and no server's name a `:` (see [`crate::catalog`]).
#[must_use]
pub fn exact_pattern(tool: &KnownTool) -> String {
    format!("{}:{}", tool.server, tool.name)
}

/// Decides whether calls of a tool are allowed, asked about or denied.
///
/// - A deny of the installation or the user wins.
/// - Otherwise a tool that always asks is asked about.
/// - Among the user's policies, and among the installation's, the most specific wins; if several are equally specific, the strictest.
/// - The user's policy wins over the installation's. But an allow does not loosen the installation's ask, unless it names exactly this tool: such a
///   policy is stored when a person who is asked answers "always".
/// - Without any policy, our own tools that only read and those that are built in are allowed, and all others are asked about.
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
        (None, None) if (tool.annotations.read_only || tool.built_in) && !tool.remote => Effect::Allow,
        (None, None) => Effect::Ask,
    }
}

/// Decides calls of a tool that an instruction in what was read may have led to: of one whose arguments others hear, after something private was read, if they
/// hold what the person did not write; of one that is built in and keeps something, after something was read that others wrote. The person is asked, unless a policy allows exactly
/// this tool.
#[must_use]
pub fn decide_exposed(tool: &KnownTool, installation: &[Policy], user: &[Policy]) -> Effect {
    let effect = decide(tool, installation, user);
    let is_named = || {
        let mut policies = installation.iter().chain(user);
        policies.any(|policy| policy.is_exact() && policy.effect == Effect::Allow && policy.matches(tool))
    };
    if effect == Effect::Allow && (is_heard_by_others(tool) || tool.keeps()) && !is_named() {
        Effect::Ask
    } else {
        effect
    }
}

fn most_specific<'p>(tool: &KnownTool, policies: &'p [Policy]) -> Option<&'p Policy> {
    policies
        .iter()
        .filter(|policy| policy.matches(tool))
        .max_by_key(|policy| (policy.weight, policy.effect != Effect::Allow))
}
