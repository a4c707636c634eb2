//! The secrets that a tool needs and a person must enter once. Their values are not here.

use serde::Deserialize;

/// How many secrets a tool may name. Nobody fills in a longer form.
pub(crate) const MAX_SECRETS_OF_TOOL: usize = 16;
/// The longest name, title and description of a secret. A secret with a longer name is left out; a longer title or description is cut.
pub const MAX_SECRET_NAME_CHARS: usize = 64;
const MAX_SECRET_TITLE_CHARS: usize = 100;
const MAX_SECRET_DESCRIPTION_CHARS: usize = 1_000;

/// A secret that a person must enter once.
#[derive(Clone, Debug, Deserialize)]
pub struct Secret {
    /// The name that its server's tools use.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// Where to get it.
    pub description: String,
    /// Whether the person who entered it may see it again.
    pub visible: bool,
    /// Whether the tools that name it also work without it.
    pub optional: bool,
}

impl Secret {
    /// The secret in a form that may be shown. A provider may be written in any language and send nonsense.
    pub(crate) fn shown(self) -> Option<Self> {
        let cut = |text: &str, max_chars: usize| text.chars().take(max_chars).collect::<String>();
        let Self { name, title, description, visible, optional } = self;
        let named = !name.trim().is_empty()
            && name.chars().count() <= MAX_SECRET_NAME_CHARS
            && !name.contains(char::is_control);
        let title = if title.trim().is_empty() { name.clone() } else { cut(&title, MAX_SECRET_TITLE_CHARS) };
        let description = cut(&description, MAX_SECRET_DESCRIPTION_CHARS);
        named.then_some(Self { name, title, description, visible, optional })
    }
}
