//! `spin:variables`: a component's own variables. Values never reach a log.

use manifest::variables::check_name;
use wasmtime::component::Accessor;

use crate::bindings::spin::variables::variables as wit;
use crate::instance::{Spin, SpinView};

impl wit::Host for SpinView<'_> {}

impl<T: Send> wit::HostWithStore<T> for Spin {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, wit::Error>> {
        if let Err(why) = check_name(&name) {
            return Ok(Err(wit::Error::InvalidName(format!("{name:?} {why}"))));
        }
        Ok(accessor.with(|mut access| {
            let grants = &access.get().grants;
            grants
                .variables
                .get(&name)
                .cloned()
                .ok_or_else(|| wit::Error::Undefined(format!("no variable for {:?}.{name:?}", grants.id)))
        }))
    }
}
