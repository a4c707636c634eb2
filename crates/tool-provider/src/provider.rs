//! `provider!`: makes a component of the tools.

use std::time::Duration;

pub use crate::bindings::exports::edge_assistant::tools::provider as contract;
use crate::{Answer, Context, Definition, Failure, Progress, progress};

/// Makes the crate a provider component.
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
            use $crate::provider::{self, Offer, contract};

            struct Listed;

            impl provider::Tools for Listed {
                async fn offer() -> Offer {
                    let mut instructions = None;
                    $(instructions = Some($instructions.to_owned());)?
                    let mut secrets: Vec<contract::Secret> = Vec::new();
                    $(secrets = vec![$($secret.into()),*];)?
                    let tools = vec![$(<super::$($tool)::+ as $crate::Tool>::definition().into()),+];
                    Offer { instructions, secrets, tools }
                }

                async fn call(
                    name: &str,
                    arguments: &str,
                    context: &$crate::Context,
                    progress: &$crate::Progress,
                ) -> Option<Result<$crate::Answer, $crate::Failure>> {
                    match name {
                        $(<super::$($tool)::+ as $crate::Tool>::NAME => {
                            Some(<super::$($tool)::+ as $crate::Tool>::call(arguments, context, progress).await)
                        })+
                        _ => None,
                    }
                }
            }

            $crate::provider!(@component $name, $title, Listed);
        }
    };

    // Tools that are known only at run time: a type that implements `provider::Tools`.
    (name: $name:literal, title: $title:literal, tools_of: $($tools:ident)::+ $(,)?) => {
        mod provider_component {
            #![allow(missing_docs, unsafe_code)]
            use $crate::provider::{self, contract};

            $crate::provider!(@component $name, $title, super::$($tools)::+);
        }
    };

    (@component $name:literal, $title:literal, $tools:ty) => {
        struct Component;

        impl contract::Guest for Component {
            async fn describe() -> contract::Description {
                let offer = <$tools as provider::Tools>::offer().await;
                provider::description($name, $title, env!("CARGO_PKG_VERSION"), offer)
            }

            async fn call_tool(call: contract::ToolCall) -> Result<contract::Reply, contract::Failure> {
                provider::call::<$tools>(call).await
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
                _: contract::Context,
            ) -> Result<contract::Completion, contract::Failure> {
                Err(contract::Failure::Unknown(request.of))
            }
        }

        $crate::bindings::export_provider!(Component with_types_in $crate::bindings);
    };
}

/// The contents of a provider that offers only tools.
#[derive(Debug)]
pub struct Offer {
    /// How to use the tools together, for the model.
    pub instructions: Option<String>,
    /// The secrets that a person must enter once.
    pub secrets: Vec<contract::Secret>,
    /// The tools.
    pub tools: Vec<contract::Tool>,
}

/// The tools of a provider. `provider!` implements this trait for functions. For tools that are known only at run time, implement it and use
/// `provider! { ..., tools_of: Type }`.
pub trait Tools {
    /// The tools and secrets. This is called seldom and the result is remembered, so it must not depend on the caller.
    fn offer() -> impl Future<Output = Offer>;

    /// Makes a call; `None` if there is no tool of this name.
    fn call(
        name: &str,
        arguments: &str,
        context: &Context,
        progress: &Progress,
    ) -> impl Future<Output = Option<Result<Answer, Failure>>>;
}

/// A secret that a person must enter once.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The name that tools declare.
    pub name: &'static str,
    /// The title for people.
    pub title: &'static str,
    /// Where a person can get it.
    pub description: &'static str,
    /// Whether the person may see the value again, for example an address but not a password.
    pub visible: bool,
    /// Whether tools work without it. A tool is offered to models once its other secrets are entered.
    pub optional: bool,
}

impl From<Secret> for contract::Secret {
    fn from(secret: Secret) -> Self {
        Self {
            name: secret.name.to_owned(),
            title: secret.title.to_owned(),
            description: secret.description.to_owned(),
            visible: secret.visible,
            optional: secret.optional,
        }
    }
}

/// The description of a provider that offers only tools.
#[must_use]
pub fn description(name: &str, title: &str, version: &str, offer: Offer) -> contract::Description {
    contract::Description {
        name: name.to_owned(),
        title: Some(title.to_owned()),
        version: version.to_owned(),
        instructions: offer.instructions,
        tools: offer.tools,
        secrets: offer.secrets,
        resources: Vec::new(),
        templates: Vec::new(),
        prompts: Vec::new(),
        has_completions: false,
    }
}

impl From<Definition> for contract::Tool {
    fn from(definition: Definition) -> Self {
        Self {
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
}

/// Makes a call.
///
/// # Errors
/// The tool's own, or an error that there is no such tool.
pub async fn call<T: Tools + 'static>(call: contract::ToolCall) -> Result<contract::Reply, contract::Failure> {
    let contract::ToolCall { name, arguments, context } = call;
    let wants_progress = context.wants_progress;
    let work = async move |progress: Progress| {
        let context = self::context(context);
        match T::call(&name, &arguments, &context, &progress).await {
            Some(answer) => outcome(answer),
            None => Err(contract::Failure::Unknown(name)),
        }
    };
    progress::reply(wants_progress, work).await
}

/// The part of the context that tools get.
fn context(context: contract::Context) -> Context {
    Context {
        id: context.id,
        preferences: context.preferences,
        deadline: Duration::from_millis(context.deadline_ms.into()),
        secrets: context.secrets,
    }
}

/// Converts the tool's result to the contract's types.
fn outcome(answer: Result<Answer, Failure>) -> Result<contract::Outcome, contract::Failure> {
    match answer {
        Ok(answer) => {
            Ok(contract::Outcome { content: vec![contract::Content::Text(answer.text)], structured: answer.structured })
        }
        Err(failure) => Err(match failure {
            Failure::InvalidArguments(words) => contract::Failure::InvalidArguments(words),
            Failure::NotConfigured(words) => contract::Failure::NotConfigured(words),
            Failure::UpstreamFailed(words) => contract::Failure::UpstreamFailed(words),
            Failure::TimedOut => contract::Failure::TimedOut,
        }),
    }
}
