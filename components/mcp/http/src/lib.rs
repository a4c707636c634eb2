//! JSON APIs as tools: each operation of each OpenAPI document in the folder `/apis` becomes one.
//!
//! `folder` reads the files, `document` their text, `operation` what can be called and how, with `parameter`, `body`, `server`, `security`
//! and `schema` for its parts, and `catalog` puts all of it together. A call goes from `request`, which makes of arguments what the document
//! says (`query` writes their pairs), through `call` to `answer`, without what `redaction` knows. `value` walks documents, which are other people's: what cannot be understood is left out, and the rest
//! stays.
//!
//! Must not fetch a document, nor follow anything out of one but the addresses of its servers.

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

/// Where `spin.toml` mounts the documents.
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
