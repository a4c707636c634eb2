//! What an operator can set about accounts.

use platform::variables::variable;

/// Who may make an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signup {
    /// Anybody.
    Open,
    /// Nobody, once there is a first one.
    Closed,
}

/// The configuration of `auth`.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Who may make an account.
    pub(crate) signup: Signup,
    /// A private key as PEM, or empty.
    pub(crate) signing_key: String,
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        Self {
            // What is not plainly open is closed: a typing error must not let strangers in. `/ready` names it.
            signup: if variable("signup").await == "open" { Signup::Open } else { Signup::Closed },
            signing_key: variable("signing_key").await,
        }
    }
}
