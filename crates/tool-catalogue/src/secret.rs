//! What a tool says that a person must enter once. What they enter is not here.

use serde::Deserialize;

/// The secrets that a tool may name; a form with more is filled in by nobody.
pub(crate) const MAX_SECRETS_OF_TOOL: usize = 16;
/// The longest name of a secret that is known here, title and description: those longer are left out, or cut.
pub const MAX_SECRET_NAME_CHARS: usize = 64;
const MAX_SECRET_TITLE_CHARS: usize = 100;
const MAX_SECRET_DESCRIPTION_CHARS: usize = 1_000;

/// What a person must enter once.
#[derive(Clone, Debug, Deserialize)]
pub struct Secret {
    /// As the tools of its server name it.
    pub name: String,
    /// For people.
    pub title: String,
    /// Where to get it.
    pub description: String,
    /// Whether whoever entered it may see it again.
    pub visible: bool,
    /// Whether the tools that name it can do without it.
    pub optional: bool,
}

impl Secret {
    /// As it is shown; a provider may be written in any language and say rubbish.
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
