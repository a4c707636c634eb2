//! Serves the web app: files built from `static/`, embedded in this component and compressed when it was built.
//!
//! It holds no state and asks nobody. It knows no route of the API: what belongs to one of its prefixes and still comes
//! here does not exist.

mod assets;
mod serving;

pub use serving::{Asked, answer};

/// The entry point on Spin; everything it does can be tested without it.
#[cfg(target_arch = "wasm32")]
mod entry {
    use std::sync::OnceLock;

    use spin_sdk::http::{FullBody, IntoResponse, Request};
    use web::Site;

    /// The instance's; it is the same for everybody.
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
