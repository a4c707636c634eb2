//! A person's account at a server: the `url`, `username` and `password` from a tool's settings, read and checked in one place. The password goes only
//! to the server at this address, whatever a response or a model says.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Method, Request, header, request};
use tool_provider::{Context, Failure};
use url::Url;

use crate::address;

/// The longest address, name or password. Longer values are mistakes.
const SECRET_BYTES_MAX: usize = 1_000;

/// The address of an account, and its credentials.
#[derive(Debug)]
pub struct Account {
    /// The kind of server in people's words, as in "mail server".
    server: &'static str,
    url: Url,
    authorization: HeaderValue,
}

impl Account {
    /// An account with user name and password. `example` is an example of an address.
    ///
    /// # Errors
    /// [`Failure::NotConfigured`], with what to enter.
    pub fn with_password(context: &Context, server: &'static str, example: &str) -> Result<Self, Failure> {
        let user = context.secret("username")?;
        Self::read(context, server, example, user, false)
    }

    /// An account like [`Self::with_password`]. Without a user name, the password is used as a token.
    ///
    /// # Errors
    /// As [`Self::with_password`].
    pub fn with_password_or_token(context: &Context, server: &'static str, example: &str) -> Result<Self, Failure> {
        Self::read(context, server, example, context.secret("username").unwrap_or_default(), true)
    }

    fn read(
        context: &Context,
        server: &'static str,
        example: &str,
        user: &str,
        may_be_token: bool,
    ) -> Result<Self, Failure> {
        let (address, user, password) = (context.secret("url")?.trim(), user.trim(), context.secret("password")?);
        let is_long = [address, user, password].iter().any(|secret| secret.len() > SECRET_BYTES_MAX);
        // In Basic authentication, a colon ends the name (RFC 7617).
        if is_long || user.contains(':') {
            return Err(Failure::NotConfigured(
                "A setting of this tool is too long, or the user name contains a colon: enter it again.".into(),
            ));
        }
        let url = address::entered(address, example)?;
        let credentials = if user.is_empty() && may_be_token {
            format!("Bearer {}", password.trim())
        } else {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
        };
        let mut authorization = HeaderValue::try_from(credentials)
            .map_err(|_| Failure::NotConfigured("The API token has characters that no token has.".into()))?;
        authorization.set_sensitive(true);
        Ok(Self { server, url, authorization })
    }

    /// The address that was entered.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Starts a request to the server, with the account's credentials.
    ///
    /// # Errors
    /// [`Self::elsewhere`] for an address on another server.
    pub fn request(&self, method: &Method, url: &Url) -> Result<request::Builder, Failure> {
        if url.origin() != self.url.origin() {
            return Err(self.elsewhere(url));
        }
        let request = Request::builder().method(method).uri(url.as_str());
        Ok(request.header(header::AUTHORIZATION, self.authorization.clone()))
    }

    /// Accepts an address from the server, if it is on the same server.
    ///
    /// # Errors
    /// [`Self::elsewhere`].
    pub fn own(&self, url: Url) -> Result<Url, Failure> {
        if url.origin() == self.url.origin() { Ok(url) } else { Err(self.elsewhere(&url)) }
    }

    /// The failure for a server that redirects to another server, which must not get the password.
    #[must_use]
    pub fn elsewhere(&self, url: &Url) -> Failure {
        Failure::NotConfigured(format!(
            "The {} redirects to {}. If you trust that server with the password, enter its address in this tool's settings.",
            self.server,
            url.origin().ascii_serialization()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EXAMPLE: &str = "https://mail.example.com/";

    fn context(secrets: &[(&str, &str)]) -> Context {
        Context {
            id: "call".into(),
            preferences: Vec::new(),
            deadline: Duration::from_secs(1),
            secrets: secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn entered(user: &str, password: &str) -> Context {
        context(&[("url", "mail.example.com"), ("username", user), ("password", password)])
    }

    fn sent(account: &Account) -> String {
        let request = account.request(&Method::GET, account.url()).unwrap().body(()).unwrap();
        let value = &request.headers()[header::AUTHORIZATION];
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
    }

    fn words(account: Result<Account, Failure>) -> String {
        match account {
            Err(Failure::NotConfigured(words)) => words,
            Err(other) => panic!("{other:?}"),
            Ok(account) => panic!("{}", account.url()),
        }
    }

    #[test]
    fn a_name_and_a_password_are_sent_as_such_and_a_token_where_one_is_known() {
        let account = Account::with_password(&entered(" ada ", "a token"), "mail server", EXAMPLE).unwrap();
        assert_eq!((account.url().as_str(), sent(&account).as_str()), (EXAMPLE, "Basic YWRhOmEgdG9rZW4="));
        for user in ["", " "] {
            let token = Account::with_password_or_token(&entered(user, " a token "), "mail server", EXAMPLE).unwrap();
            assert_eq!(sent(&token), "Bearer a token");
        }
        let nameless = context(&[("url", "mail.example.com"), ("password", "t")]);
        assert_eq!(sent(&Account::with_password_or_token(&nameless, "mail server", EXAMPLE).unwrap()), "Bearer t");
        assert!(words(Account::with_password(&nameless, "mail server", EXAMPLE)).contains("username"));
    }

    #[test]
    fn what_cannot_be_right_is_said() {
        for context in [entered("a:b", "x"), entered("ada", &"x".repeat(SECRET_BYTES_MAX + 1))] {
            assert!(
                words(Account::with_password(&context, "mail server", EXAMPLE))
                    .contains("too long, or the user name contains a colon")
            );
        }
        let token = Account::with_password_or_token(&entered("", "a\nb"), "mail server", EXAMPLE);
        assert!(words(token).contains("no token has"));
        let inside = context(&[("url", "ops.spin.internal"), ("username", "ada"), ("password", "x")]);
        assert!(words(Account::with_password(&inside, "mail server", EXAMPLE)).contains("part of this installation"));
    }

    #[test]
    fn only_the_servers_own_addresses_are_followed_and_get_the_password() {
        let account = Account::with_password(&entered("ada", "x"), "mail server", EXAMPLE).unwrap();
        let url = |text: &str| Url::parse(text).unwrap();
        let own = account.own(url("https://mail.example.com:443/jmap")).unwrap();
        let request = account.request(&Method::POST, &own).unwrap().body(()).unwrap();
        assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/jmap"));
        for other in ["http://mail.example.com/", "https://mail.example.com:8443/", "https://example.com/"] {
            let Err(Failure::NotConfigured(words)) = account.own(url(other)) else { panic!("{other}") };
            assert!(words.contains("The mail server redirects to "), "{words}");
            assert!(matches!(account.request(&Method::GET, &url(other)), Err(Failure::NotConfigured(_))), "{other}");
        }
    }
}
