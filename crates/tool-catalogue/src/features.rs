//! What the composed servers have besides tools, within limits. Only clients at the gateway use it; models are offered tools.

use std::collections::HashSet;

use mcp::{Features, Prompt, Resource, ResourceTemplate};
use serde::Serialize;

use crate::cut;

/// Entries of each of a server's lists: more than a person looks through.
const MAX_ENTRIES: usize = 500;
/// The longest URI. It is sent in a header too, which hosts and proxies limit to some 8 KiB.
pub const MAX_URI_BYTES: usize = 2_048;
/// The longest name of a prompt or an argument: as long as a tool's.
const MAX_NAME_CHARS: usize = 128;
/// The longest words about an entry, and the longest instructions: as long as a tool's description.
const MAX_WORDS_CHARS: usize = 2_000;
/// Arguments of a prompt.
const MAX_ARGUMENTS: usize = 50;
/// All entries of a server together, as JSON. They are stored with the server's tools, and read with them. Those of as many servers as there may be
/// take what all tools may ([`toolbox::catalog::MAX_BYTES`]).
const MAX_BYTES: usize = 64 * 1024;

/// What of a server's features is kept, and in words how much is not: what is over a limit or could not be asked for. Prompts have room first, because
/// they are few, and resources last: what is listed of them beyond a page or two nobody looks for in a list.
pub(crate) fn within_limits(features: Features) -> (Features, Option<String>) {
    let Features { instructions, resources, templates, prompts, has_completions } = features;
    let mut room = Room(MAX_BYTES);
    let mut names = HashSet::new();
    let prompts = room.kept(prompts, |entry| prompt(entry).filter(|prompt| names.insert(prompt.name.clone())));
    let templates = room.kept(templates, template);
    let resources = room.kept(resources, resource);
    let left_out = [(prompts.1, "prompts"), (templates.1, "templates of resources"), (resources.1, "resources")];
    let left_out = left_out.into_iter().filter(|(count, _)| *count > 0);
    let left_out: Vec<String> = left_out.map(|(count, what)| format!("{count} of its {what}")).collect();
    let words =
        format!("{} are too many, too long, or have a name or URI that cannot be asked for", left_out.join(" and "));
    let (prompts, templates, resources) = (prompts.0, templates.0, resources.0);
    let kept = Features { instructions: words_of(instructions), resources, templates, prompts, has_completions };
    (kept, (!left_out.is_empty()).then_some(words))
}

/// How many bytes there is room for.
struct Room(usize);

impl Room {
    /// The entries that are fit and for which there is room, and how many are not.
    fn kept<T: Serialize>(&mut self, entries: Vec<T>, fit: impl FnMut(T) -> Option<T>) -> (Vec<T>, usize) {
        let all = entries.len();
        let has_room = |entry: &T| {
            let bytes = serde_json::to_vec(entry).map_or(usize::MAX, |json| json.len());
            let left = self.0.checked_sub(bytes);
            self.0 = left.unwrap_or(self.0);
            left.is_some()
        };
        let kept: Vec<T> = entries.into_iter().take(MAX_ENTRIES).filter_map(fit).filter(has_room).collect();
        let left_out = all.saturating_sub(kept.len());
        (kept, left_out)
    }
}

fn resource(resource: Resource) -> Option<Resource> {
    is_uri(&resource.uri).then(|| Resource {
        name: cut(&resource.name, MAX_NAME_CHARS),
        title: words_of(resource.title),
        description: words_of(resource.description),
        mime_type: words_of(resource.mime_type),
        ..resource
    })
}

fn template(template: ResourceTemplate) -> Option<ResourceTemplate> {
    is_uri(&template.uri_template).then(|| ResourceTemplate {
        name: cut(&template.name, MAX_NAME_CHARS),
        title: words_of(template.title),
        description: words_of(template.description),
        mime_type: words_of(template.mime_type),
        ..template
    })
}

fn prompt(mut prompt: Prompt) -> Option<Prompt> {
    prompt.title = words_of(prompt.title);
    prompt.description = words_of(prompt.description);
    prompt.arguments.retain(|argument| is_name(&argument.name));
    prompt.arguments.truncate(MAX_ARGUMENTS);
    for argument in &mut prompt.arguments {
        argument.title = words_of(argument.title.take());
        argument.description = words_of(argument.description.take());
    }
    is_name(&prompt.name).then_some(prompt)
}

fn words_of(words: Option<String>) -> Option<String> {
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
    use mcp::PromptArgument;

    use super::*;

    #[test]
    fn what_could_not_be_asked_for_is_left_out_and_the_rest_is_bounded() {
        let resource = |uri: &str| Resource { uri: uri.to_owned(), ..Resource::default() };
        let uris = ["note://1", "file:///a%20b", "note", "://x", "1note://x", "note://a b", "note://\u{7}"];
        let mut resources: Vec<Resource> = uris.map(resource).into();
        resources.push(resource(&format!("note://{}", "x".repeat(MAX_URI_BYTES))));
        let (kept, left_out) = within_limits(Features { resources, ..Features::default() });
        let kept: Vec<_> = kept.resources.iter().map(|kept| kept.uri.as_str()).collect();
        assert_eq!(kept, ["note://1", "file:///a%20b"]);
        assert!(left_out.is_some_and(|words| words.starts_with("6 of its resources are ")));

        let prompt = Prompt { name: "p".into(), description: Some("x".repeat(10_000)), ..Prompt::default() };
        let features = Features { prompts: vec![prompt.clone(), Prompt::default(), prompt], ..Features::default() };
        let (kept, left_out) = within_limits(features);
        assert_eq!(kept.prompts.len(), 1, "one has no name, and one has another's");
        assert!(left_out.is_some_and(|words| words.starts_with("2 of its prompts are ")));
        let description = kept.prompts.first().and_then(|prompt| prompt.description.as_ref());
        assert_eq!(description.map(|it| it.chars().count()), Some(2_001));

        let few = (0..MAX_ENTRIES).map(|number| resource(&format!("n:{number}"))).collect();
        assert_eq!(within_limits(Features { resources: few, ..Features::default() }).1, None, "all of it fits");
    }

    #[test]
    fn many_resources_take_no_room_from_prompts_and_a_long_one_none_from_those_after_it() {
        let resource = |uri: String| Resource { uri, description: Some("x".repeat(600)), ..Resource::default() };
        let resources = (0..MAX_ENTRIES).map(|number| resource(format!("note://{number}"))).collect();
        let prompts = vec![Prompt { name: "p".into(), ..Prompt::default() }];
        let templates = vec![ResourceTemplate { uri_template: "note://{n}".into(), ..ResourceTemplate::default() }];
        let (kept, left_out) = within_limits(Features { resources, prompts, templates, ..Features::default() });
        assert_eq!((kept.prompts.len(), kept.templates.len()), (1, 1));
        assert!((80..110).contains(&kept.resources.len()), "{}", kept.resources.len());
        assert!(left_out.is_some_and(|words| words.contains("of its resources")));

        let named = |name: usize, bytes: usize| {
            let argument =
                PromptArgument { name: "a".into(), description: Some("x".repeat(2_000)), ..PromptArgument::default() };
            Prompt { name: name.to_string(), arguments: vec![argument; bytes / 2_000], ..Prompt::default() }
        };
        let prompts = vec![named(1, 40_000), named(2, 40_000), named(3, 2_000)];
        let (kept, _) = within_limits(Features { prompts, ..Features::default() });
        assert_eq!(kept.prompts.iter().map(|prompt| prompt.name.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    }
}
