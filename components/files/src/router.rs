//! All routes of this component.

use std::sync::Arc;

use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderValue, Method, StatusCode, header};
use problem::Problem;
use storage::{Database, Store, files::StoredFile};
use web::{App, Authenticator, Json, Result};

use crate::{
    config::{Config, Keeping},
    files::{self, FileBody},
    objects::{ObjectError, Objects},
    outside::Outlet,
    reader::Reader,
    receiving::unavailable,
    resumable, sweeping, upload,
};

/// The router's state.
pub(crate) struct Files<D> {
    app: App<D>,
    pub(crate) config: Arc<Config>,
    /// The way to the configured store.
    send: Outlet,
    /// The way to whoever turns files into text.
    pub(crate) reader: Reader,
    /// Has done what nobody waits for.
    pub(crate) soon: Soon<D>,
}

/// Has documents read, and what is left of files removed, after the response.
pub(crate) type Soon<D> = fn(Files<D>);

impl<D> Clone for Files<D> {
    fn clone(&self) -> Self {
        let Self { app, config, send, reader, soon } = self;
        Self { app: app.clone(), config: Arc::clone(config), send: *send, reader: *reader, soon: *soon }
    }
}

impl<D: Database> Files<D> {
    pub(crate) fn new(app: App<D>, config: Config, send: Outlet, reader: Reader, soon: Soon<D>) -> Self {
        Self { app, config: Arc::new(config), send, reader, soon }
    }

    /// The store.
    pub(crate) fn store(&self) -> &Arc<Store<D>> {
        self.app.store()
    }

    /// The configured store of pieces.
    pub(crate) fn objects(&self) -> Result<Objects, ObjectError> {
        match &self.config.keeping {
            Keeping::Bucket(bucket, credentials) => {
                Ok(Objects { bucket: Arc::clone(bucket), credentials: Arc::clone(credentials), send: self.send })
            }
            Keeping::Database | Keeping::Misconfigured => Err(ObjectError::Misconfigured),
        }
    }

    /// Whether new pieces go there.
    pub(crate) fn keeps_in_objects(&self) -> Result<bool> {
        match self.config.keeping {
            Keeping::Database => Ok(false),
            Keeping::Bucket(..) => Ok(true),
            Keeping::Misconfigured => Err(unavailable(ObjectError::Misconfigured).into()),
        }
    }
}

impl<D: Database> Authenticator for Files<D> {
    type Database = D;

    fn takes_keys(_: &Method) -> bool {
        true
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

/// The routes.
pub(crate) fn router<D: Database + 'static>(files: Files<D>) -> Router {
    let file = get(files::read::<D>).head(resumable::progress::<D>);
    let file = file.patch(resumable::go_on::<D>).delete(files::delete::<D>);
    Router::new()
        .route("/api/files", get(files::list::<D>).post(upload::create::<D>))
        .route("/api/files/{id}", file)
        .route("/api/files/{id}/content", get(files::download::<D>))
        .route("/internal/files/{id}", get(files::read_inside::<D>))
        .route("/internal/files/{id}/text", get(files::read_text_inside::<D>))
        .route(platform::files::PATH, post(sweeping::wake::<D>))
        .with_state(files)
}

/// 201 with a file, and its address.
pub(crate) fn created(file: &StoredFile) -> Result<Response> {
    let address = HeaderValue::try_from(format!("/api/files/{}", file.id)).map_err(Problem::internal)?;
    let mut response = (StatusCode::CREATED, Json::<_>(FileBody::from(file))).into_response();
    response.headers_mut().insert(header::LOCATION, address);
    Ok(response)
}

/// The key of a file is lost, or something of it was changed outside.
pub(crate) fn unreadable() -> Problem {
    Problem::conflict("file_damaged", "This file cannot be read any more: its key is lost, or a part of it is damaged.")
}

#[cfg(test)]
mod described;
#[cfg(test)]
mod tests;
