//! The addresses that take requests, as OpenAI names them.

use models::Api;

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// `/chat/completions`: an answer to a conversation.
    ChatCompletions,
    /// `/responses`: likewise, in the newer form.
    Responses,
    /// `/embeddings`: texts as vectors.
    Embeddings,
}

impl Endpoint {
    /// The path behind the base address, here as at a provider.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Responses => "/responses",
            Self::Embeddings => "/embeddings",
        }
    }

    /// The name as it is stored with what was used.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
        }
    }

    /// The API in which runs would ask a provider for the same. `None`: they never do.
    #[must_use]
    pub const fn api(self) -> Option<Api> {
        match self {
            Self::ChatCompletions => Some(Api::ChatCompletions),
            Self::Responses => Some(Api::Responses),
            Self::Embeddings => None,
        }
    }
}
