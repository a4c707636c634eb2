//! Wakes the component that indexes what people say, where work is done that nobody waits for (docs/adr/0056). If it fails, the next look wakes it, or whoever
//! searches.

use storage::Database;
use web::App;

use crate::inside;

/// The component, as `spin.toml` lets others call it.
const SEARCH: &str = "search";
/// Where it is woken. `spin.toml` has no trigger for it, so it cannot be reached from outside.
pub const PATH: &str = "/internal/indexing";

/// Has what waits indexed. `component` is the caller, for the log.
pub fn wake<D: Database + 'static>(component: &'static str, app: &App<D>) {
    inside::wake(component, app, SEARCH, PATH);
}
