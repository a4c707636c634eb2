//! Resources, prompts and their contents.

use mcp::{
    Content, Map, Prompt, PromptArgument, PromptContent, PromptMessage, Resource, ResourceBody, ResourceContents,
    ResourceTemplate, Role,
};
use serde_json::Value;

/// A red dot as PNG.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// One sample of silence as WAV.
pub(crate) const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQIAAAAAAA==";

const TEMPLATE: (&str, &str) = ("test://template/", "/data");

pub(crate) fn image() -> Content {
    Content::Image { data: PNG.to_owned(), mime_type: "image/png".to_owned() }
}

pub(crate) fn text_resource(uri: &str, mime_type: &str, text: &str) -> ResourceContents {
    ResourceContents {
        uri: uri.to_owned(),
        mime_type: Some(mime_type.to_owned()),
        body: ResourceBody::Text(text.to_owned()),
    }
}

/// The resources listed.
pub fn resources() -> Vec<Resource> {
    [
        ("test://static-text", "A text", "text/plain"),
        ("test://static-binary", "A picture", "image/png"),
        ("test://watched-resource", "A text to subscribe to", "text/plain"),
    ]
    .map(|(uri, description, mime_type)| Resource {
        uri: uri.to_owned(),
        name: uri.trim_start_matches("test://").to_owned(),
        description: Some(description.to_owned()),
        mime_type: Some(mime_type.to_owned()),
        ..Resource::default()
    })
    .into()
}

/// The resources that are not listed.
pub fn templates() -> Vec<ResourceTemplate> {
    let (start, end) = TEMPLATE;
    vec![ResourceTemplate {
        uri_template: format!("{start}{{id}}{end}"),
        name: "template".to_owned(),
        description: Some("Says its id".to_owned()),
        mime_type: Some("application/json".to_owned()),
        ..ResourceTemplate::default()
    }]
}

/// Reads a resource.
pub fn read(uri: &str) -> Option<ResourceContents> {
    let (start, end) = TEMPLATE;
    match uri {
        "test://static-text" => Some(text_resource(uri, "text/plain", "This is a text.")),
        "test://watched-resource" => Some(text_resource(uri, "text/plain", "This text never changes.")),
        "test://static-binary" => Some(ResourceContents {
            uri: uri.to_owned(),
            mime_type: Some("image/png".to_owned()),
            body: ResourceBody::Blob(PNG.to_owned()),
        }),
        _ => {
            let id = uri.strip_prefix(start)?.strip_suffix(end)?;
            let text = serde_json::json!({"id": id}).to_string();
            Some(text_resource(uri, "application/json", &text))
        }
    }
}

/// The prompts listed.
pub fn prompts() -> Vec<Prompt> {
    let prompt = |name: &str, description: &str, arguments: &[&str]| Prompt {
        name: name.to_owned(),
        title: None,
        description: Some(description.to_owned()),
        arguments: arguments
            .iter()
            .map(|name| PromptArgument {
                name: (*name).to_owned(),
                description: Some(format!("The argument {name}")),
                required: true,
                ..PromptArgument::default()
            })
            .collect(),
    };
    vec![
        prompt("test_simple_prompt", "A text", &[]),
        prompt("test_prompt_with_arguments", "A text that says its arguments", &["arg1", "arg2"]),
        prompt("test_prompt_with_embedded_resource", "A text and a resource", &["resourceUri"]),
        prompt("test_prompt_with_image", "A text and a picture", &[]),
        prompt("test_input_required_result_prompt", "Asks back", &[]),
    ]
}

/// Fills in a prompt that does not ask back.
pub fn prompt(name: &str, arguments: &Map) -> Option<PromptContent> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let contents = match name {
        "test_simple_prompt" => vec![Content::text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (one, two) = (argument("arg1"), argument("arg2"));
            vec![Content::text(format!("Prompt with arguments: arg1='{one}', arg2='{two}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = text_resource(argument("resourceUri"), "text/plain", "Embedded resource content.");
            vec![Content::Resource { resource }, Content::text("Please process the resource above.")]
        }
        "test_prompt_with_image" => vec![image(), Content::text("Please look at the picture above.")],
        _ => return None,
    };
    let messages = contents.into_iter().map(|content| PromptMessage { role: Role::User, content }).collect();
    Some(PromptContent { description: None, messages })
}

/// Proposes values for any argument.
pub fn completions(typed: &str) -> Vec<String> {
    ["paris", "park", "party"].into_iter().filter(|value| value.starts_with(typed)).map(str::to_owned).collect()
}
