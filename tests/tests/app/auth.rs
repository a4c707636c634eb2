//! `/auth/...` and `/.well-known/jwks.json`.

mod accounts;
mod sessions;
mod tokens;
