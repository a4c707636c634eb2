//! `provider!`: the component around the tools.

use std::time::Duration;

pub use crate::bindings::exports::edge_assistant::tools::provider as contract;
use crate::{Answer, Context, Definition, Failure};

/// Makes the crate a provider.
///
/// ```ignore
/// provider! {
///     name: "dice",
///     title: "Dice",
///     instructions: "Roll before you tell.",      // optional
///     secrets: [Secret { ... }],                  // optional
///     tools: [roll, shuffle::shuffle],            // in this file, or in the module `shuffle`
/// }
/// ```
#[macro_export]
macro_rules! provider {
    (
        name: $name:literal,
        title: $title:literal,
        $(instructions: $instructions:literal,)?
        $(secrets: [$($secret:expr),* $(,)?],)?
        tools: [$($($tool:ident)::+),+ $(,)?] $(,)?
    ) => {
        mod provider_component {
            #![allow(missing_docs, unsafe_code, unused_mut, unused_assignments)]
            use $crate::provider::{self, contract};

            struct Component;

            impl contract::Guest for Component {
                async fn describe() -> contract::Description {
                    let mut instructions = None;
                    $(instructions = Some($instructions);)?
                    let mut secrets: Vec<contract::Secret> = Vec::new();
                    $(secrets = vec![$($secret.into()),*];)?
                    let tools = vec![$(<super::$($tool)::+ as $crate::Tool>::definition()),+];
                    provider::description($name, $title, env!("CARGO_PKG_VERSION"), instructions, secrets, tools)
                }

                async fn call_tool(call: contract::ToolCall) -> Result<contract::Reply, contract::Failure> {
                    let contract::ToolCall { name, arguments, context } = call;
                    let context = provider::context(context);
                    let answer = match name.as_str() {
                        $(<super::$($tool)::+ as $crate::Tool>::NAME => {
                            <super::$($tool)::+ as $crate::Tool>::call(&arguments, &context).await
                        })+
                        _ => return Err(contract::Failure::Unknown(name)),
                    };
                    provider::reply(answer)
                }

                async fn read_resource(
                    uri: String,
                    _: contract::Context,
                ) -> Result<contract::ResourceReply, contract::Failure> {
                    Err(contract::Failure::Unknown(uri))
                }

                async fn get_prompt(
                    name: String,
                    _: String,
                    _: contract::Context,
                ) -> Result<contract::PromptReply, contract::Failure> {
                    Err(contract::Failure::Unknown(name))
                }

                async fn complete(
                    request: contract::CompletionRequest,
                ) -> Result<contract::Completion, contract::Failure> {
                    Err(contract::Failure::Unknown(request.of))
                }
            }

            $crate::bindings::export_provider!(Component with_types_in $crate::bindings);
        }
    };
}

/// What a person must enter once.
#[derive(Clone, Debug)]
pub struct Secret {
    /// As tools name it.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Where to get it.
    pub description: &'static str,
    /// Whether it may be shown again to whoever entered it: an address, not a password.
    pub visible: bool,
}

impl From<Secret> for contract::Secret {
    fn from(secret: Secret) -> Self {
        Self {
            name: secret.name.to_owned(),
            title: secret.title.to_owned(),
            description: secret.description.to_owned(),
            visible: secret.visible,
        }
    }
}

/// The description of a provider that has tools and nothing else.
#[must_use]
pub fn description(
    name: &str,
    title: &str,
    version: &str,
    instructions: Option<&str>,
    secrets: Vec<contract::Secret>,
    tools: Vec<Definition>,
) -> contract::Description {
    contract::Description {
        name: name.to_owned(),
        title: Some(title.to_owned()),
        version: version.to_owned(),
        instructions: instructions.map(str::to_owned),
        tools: tools.into_iter().map(tool).collect(),
        secrets,
        resources: Vec::new(),
        templates: Vec::new(),
        prompts: Vec::new(),
        has_completions: false,
        has_logging: false,
    }
}

fn tool(definition: Definition) -> contract::Tool {
    contract::Tool {
        name: definition.name.to_owned(),
        title: definition.title.map(str::to_owned),
        description: definition.description.to_owned(),
        input_schema: definition.input_schema,
        output_schema: definition.output_schema,
        annotations: contract::Annotations {
            read_only: definition.read_only,
            destructive: definition.destructive,
            idempotent: definition.idempotent,
            open_world: definition.open_world,
            always_asks: definition.always_asks,
        },
        cache_ms: definition.cache_ms,
        secrets: definition.secrets.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// What the tools see of a call's context.
#[must_use]
pub fn context(context: contract::Context) -> Context {
    Context {
        id: context.id,
        locale: context.locale,
        deadline: Duration::from_millis(context.deadline_ms.into()),
        secrets: context.secrets,
    }
}

/// The tool's answer, as the contract has it.
///
/// # Errors
/// The tool's own.
pub fn reply(answer: Result<Answer, Failure>) -> Result<contract::Reply, contract::Failure> {
    match answer {
        Ok(answer) => Ok(contract::Reply::Done(contract::Outcome {
            content: vec![contract::Content::Text(answer.text)],
            structured: answer.structured,
        })),
        Err(failure) => Err(match failure {
            Failure::InvalidArguments(words) => contract::Failure::InvalidArguments(words),
            Failure::NotConfigured(words) => contract::Failure::NotConfigured(words),
            Failure::UpstreamFailed(words) => contract::Failure::UpstreamFailed(words),
            Failure::TimedOut => contract::Failure::TimedOut,
        }),
    }
}
