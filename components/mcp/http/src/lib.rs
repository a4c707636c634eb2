//! JSON APIs as tools: each operation of each OpenAPI document in the folder `/apis` becomes a tool.
//!
//! `folder` reads the files, `document` parses them, and `operation` reads each operation, with `parameter`, `body`, `server`, `security` and
//! `schema` for its parts. `catalog` combines all of it. For a call, `request` builds the request from the arguments (`query` writes name-value
//! pairs), `call` sends it, and `answer` converts the response, without the secrets that `redaction` knows. `value` navigates documents. Documents
//! are written by others: parts that are not understood are left out, and the rest is used.
//!
//! It must not fetch a document, and uses no address in a document except those of its servers.

mod answer;
mod body;
mod call;
mod catalog;
mod document;
mod folder;
mod name;
mod operation;
mod parameter;
mod query;
mod redaction;
mod request;
mod schema;
mod security;
mod server;
#[cfg(test)]
mod tests;
mod value;
mod yaml;

use std::{cell::OnceCell, rc::Rc};

use tool_provider::{
    Answer, Context, Failure, Progress, provider,
    provider::{Offer, Tools},
};
use upstream::Outside;

use crate::catalog::Catalog;

/// The folder where `spin.toml` mounts the documents.
const FOLDER: &str = "/apis";

thread_local! {
    /// The files are part of the deployment, so an instance reads them once.
    static CATALOG: OnceCell<Rc<Catalog>> = const { OnceCell::new() };
}

fn catalog() -> Rc<Catalog> {
    let read = || {
        let catalog = Catalog::new(folder::files(FOLDER.as_ref()));
        catalog.log();
        Rc::new(catalog)
    };
    CATALOG.with(|known| Rc::clone(known.get_or_init(read)))
}

/// The tools of all documents.
struct Apis;

impl Tools for Apis {
    async fn offer() -> Offer {
        catalog().offer()
    }

    async fn call(name: &str, arguments: &str, context: &Context, _: &Progress) -> Option<Result<Answer, Failure>> {
        let catalog = catalog();
        let operation = catalog.find(name)?;
        Some(call::call(operation, arguments, context, &Outside).await)
    }
}

provider! { name: "http", title: "APIs", tools_of: Apis }
