//! Serves the web app: files built from `static/`, embedded in this component and compressed when it was built.
//!
//! It holds no state and calls no other component. It knows no route of the API: a request for one of the API's prefixes that arrives here is
//! for an address that does not exist.

mod assets;
mod serving;

pub use serving::{Asked, answer};

/// The entry point on Spin; all other code can be tested without it.
#[cfg(target_arch = "wasm32")]
mod entry {
    use std::sync::OnceLock;

    use spin_sdk::http::{FullBody, IntoResponse, Request};
    use web::Site;

    /// The instance's site; it is the same for everybody.
    static SITE: OnceLock<Site> = OnceLock::new();

    #[spin_sdk::http_service]
    async fn handle(request: Request) -> impl IntoResponse {
        let site = match SITE.get() {
            Some(site) => site,
            None => {
                let public_url = spin_sdk::variables::get("public_url").await.unwrap_or_default();
                SITE.get_or_init(|| Site::new(public_url.trim()))
            }
        };
        let (parts, _) = request.into_parts();
        let asked = crate::Asked { method: &parts.method, path: parts.uri.path(), site, headers: &parts.headers };
        crate::answer(&asked).map(FullBody::new)
    }
}
