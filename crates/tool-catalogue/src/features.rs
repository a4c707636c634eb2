//! What the composed servers have besides tools, within limits. Only clients at the gateway use it; models are offered tools.

use mcp::{Features, Prompt, Resource, ResourceTemplate};
use serde::Serialize;

use crate::cut;

/// Entries of each of a server's lists: more than a person looks through.
const MAX_ENTRIES: usize = 500;
/// The longest URI. It is sent in a header too, which hosts and proxies limit to some 8 KiB.
const MAX_URI_BYTES: usize = 2_048;
/// The longest name of a prompt or an argument: as long as a tool's.
const MAX_NAME_CHARS: usize = 128;
/// The longest words about an entry, and the longest instructions: as long as a tool's description.
const MAX_WORDS_CHARS: usize = 2_000;
/// Arguments of a prompt.
const MAX_ARGUMENTS: usize = 50;
/// All entries of a server together, as JSON. They are stored with the server's tools, and read with them.
const MAX_BYTES: usize = 256 * 1024;

/// What of a server's features is kept. What is over a limit or could not be asked for is left out: our own component lists it, so its author sees
/// what is missing.
pub(crate) fn within_limits(features: Features) -> Features {
    let Features { instructions, resources, templates, prompts, has_completions } = features;
    let mut room = Room(MAX_BYTES);
    Features {
        instructions: words(instructions),
        resources: room.first(resources.into_iter().filter_map(resource)),
        templates: room.first(templates.into_iter().filter_map(template)),
        prompts: room.first(prompts.into_iter().filter_map(prompt)),
        has_completions,
    }
}

/// How many bytes there is room for.
struct Room(usize);

impl Room {
    /// The first entries, as many as there is room for.
    fn first<T: Serialize>(&mut self, entries: impl Iterator<Item = T>) -> Vec<T> {
        let fits = |entry: &T| {
            let bytes = serde_json::to_vec(entry).map_or(usize::MAX, |json| json.len());
            let left = self.0.checked_sub(bytes);
            self.0 = left.unwrap_or_default();
            left.is_some()
        };
        entries.take(MAX_ENTRIES).take_while(fits).collect()
    }
}

fn resource(resource: Resource) -> Option<Resource> {
    is_uri(&resource.uri).then(|| Resource {
        name: cut(&resource.name, MAX_NAME_CHARS),
        title: words(resource.title),
        description: words(resource.description),
        mime_type: words(resource.mime_type),
        ..resource
    })
}

fn template(template: ResourceTemplate) -> Option<ResourceTemplate> {
    is_uri(&template.uri_template).then(|| ResourceTemplate {
        name: cut(&template.name, MAX_NAME_CHARS),
        title: words(template.title),
        description: words(template.description),
        mime_type: words(template.mime_type),
        ..template
    })
}

fn prompt(mut prompt: Prompt) -> Option<Prompt> {
    prompt.title = words(prompt.title);
    prompt.description = words(prompt.description);
    prompt.arguments.retain(|argument| is_name(&argument.name));
    prompt.arguments.truncate(MAX_ARGUMENTS);
    for argument in &mut prompt.arguments {
        argument.title = words(argument.title.take());
        argument.description = words(argument.description.take());
    }
    is_name(&prompt.name).then_some(prompt)
}

fn words(words: Option<String>) -> Option<String> {
    words.map(|words| cut(&words, MAX_WORDS_CHARS))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().nth(MAX_NAME_CHARS).is_none() && !name.contains(char::is_control)
}

/// Whether it begins as a URI or a template of one does (RFC 3986, section 3.1), and has nothing in it that is no part of any.
fn is_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    };
    scheme.is_some_and(is_scheme)
        && text.len() <= MAX_URI_BYTES
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_asked_for_is_left_out_and_the_rest_is_bounded() {
        let resource = |uri: &str| Resource { uri: uri.to_owned(), ..Resource::default() };
        let uris = ["note://1", "file:///a%20b", "note", "://x", "1note://x", "note://a b", "note://\u{7}"];
        let mut resources: Vec<Resource> = uris.map(resource).into();
        resources.push(resource(&format!("note://{}", "x".repeat(MAX_URI_BYTES))));
        let kept = within_limits(Features { resources, ..Features::default() }).resources;
        assert_eq!(kept.iter().map(|kept| kept.uri.as_str()).collect::<Vec<_>>(), ["note://1", "file:///a%20b"]);

        let prompt = Prompt { name: "p".into(), description: Some("x".repeat(10_000)), ..Prompt::default() };
        let features = Features { prompts: vec![prompt, Prompt::default()], ..Features::default() };
        let prompts = within_limits(features).prompts;
        assert_eq!(prompts.len(), 1, "one has no name");
        assert!(prompts.iter().all(|prompt| prompt.description.as_ref().is_some_and(|it| it.chars().count() == 2_001)));

        let many = (0..2 * MAX_ENTRIES).map(|number| resource(&format!("note://{number}"))).collect();
        assert_eq!(within_limits(Features { resources: many, ..Features::default() }).resources.len(), MAX_ENTRIES);
        let large = Prompt { name: "p".into(), description: Some("x".repeat(2_000)), ..Prompt::default() };
        let kept = within_limits(Features { prompts: vec![large; 400], ..Features::default() }).prompts;
        assert!((100..150).contains(&kept.len()), "{}", kept.len());
    }
}
