//! `/auth/...` and `/.well-known/jwks.json`.

mod accounts;
mod keys;
mod sessions;
mod tokens;
