//! The settings that `ops` checks itself: the database's address, and the variables that are used only in `allowed_outbound_hosts`.
//!
//! Pure: values in, checks out. Every other setting is checked by the component that uses it.

use http::Uri;
use web::{
    log,
    settings::{AllowedHost, Check, allowed_host, web_address},
};

/// The modes of Spin's PostgreSQL client. `require` checks the certificate and the server's name.
const SSL_MODES: [&str; 3] = ["disable", "prefer", "require"];

/// The values of these settings.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) database_url: String,
    pub(crate) database_host: String,
    pub(crate) search_url: String,
    pub(crate) search_host: String,
    pub(crate) log_level: String,
    /// Name and value of the variables that are only checked as allowed hosts.
    pub(crate) hosts: Vec<(&'static str, String)>,
}

impl Settings {
    /// All checks.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            Check::new("database_url", self.database_url()),
            Check::new("database_host", self.database_host()),
            Check::new("search_url", self.search_url()),
            allowed_host("search_host", &self.search_host),
            Check::new("log_level", self.log_level()),
        ];
        checks.extend(self.hosts.iter().map(|(name, value)| allowed_host(name, value)));
        checks
    }

    /// Never quotes the address: it contains a password.
    fn database_url(&self) -> Result<(), String> {
        let url = self.database_url.as_str();
        if url.is_empty() {
            return Ok(());
        }
        if server(url).is_none() {
            return Err("database_url must be empty for SQLite, or postgres://user:password@host:port/database?sslmode=require; special characters in the password must be percent-encoded.".to_owned());
        }
        match url.split(['?', '&']).find_map(|part| part.strip_prefix("sslmode=")) {
            Some(mode) if !SSL_MODES.contains(&mode) => Err(format!(
                "database_url: sslmode must be {}; require checks the certificate and the server's name.",
                SSL_MODES.join(", ")
            )),
            _ => Ok(()),
        }
    }

    fn database_host(&self) -> Result<(), String> {
        let pattern = format!("*://{}", self.database_host);
        let Some((host, port)) = self.database_host.rsplit_once(':').filter(|_| AllowedHost::parse(&pattern).is_some())
        else {
            return Err("database_host must be host:port, with * for any: db.example.org:5432.".to_owned());
        };
        let Some(server) = server(&self.database_url) else { return Ok(()) };
        let server_port = server.port_u16().unwrap_or(5432);
        let fits = (host == "*" || server.host().is_some_and(|name| name.eq_ignore_ascii_case(host)))
            && (port == "*" || port.parse() == Ok(server_port));
        if fits { Ok(()) } else { Err("database_host does not allow the server that database_url names.".to_owned()) }
    }

    fn log_level(&self) -> Result<(), String> {
        let wrong = |error| format!("log_level cannot be read, so info is used: {error}.");
        log::least(&self.log_level, "").map(drop).map_err(wrong)
    }

    fn search_url(&self) -> Result<(), String> {
        if self.search_url.is_empty() {
            return Ok(());
        }
        let Some(address) = web_address(&self.search_url) else {
            return Err(
                "search_url is not an http or https address, so there is no search: set it, for example to https://search.example.org.".to_owned()
            );
        };
        let allowed = ["https://*:443", &self.search_host]
            .into_iter()
            .filter_map(AllowedHost::parse)
            .any(|allowed| allowed.allows(&address));
        if allowed {
            Ok(())
        } else {
            Err("search_host does not allow the address in search_url: set it to scheme://host:port.".to_owned())
        }
    }
}

/// The host and port of a PostgreSQL address.
fn server(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let named = uri.host().is_some_and(|host| !host.is_empty());
    (matches!(uri.scheme_str(), Some("postgres" | "postgresql")) && named).then_some(uri)
}

#[cfg(test)]
mod tests {
    use web::settings::Status;

    use super::*;

    fn wrong(settings: Settings) -> Vec<String> {
        let failed = settings.checks().into_iter().filter(|check| check.status == Status::Failed);
        failed.map(|check| check.name.into_owned()).collect()
    }

    fn right() -> Settings {
        Settings {
            database_host: "*:*".into(),
            search_host: "https://none.invalid".into(),
            hosts: vec![("mail_host", "https://*:443".into())],
            ..Settings::default()
        }
    }

    #[test]
    fn what_is_delivered_is_right() {
        assert!(wrong(right()).is_empty());
    }

    #[test]
    fn an_address_of_a_database_is_checked_and_never_quoted() {
        let with = |url: &str| Settings { database_url: url.into(), ..right() };
        for url in [
            "postgres://u:p@db:5432/a?sslmode=require",
            "postgresql://u@db/a",
            "postgres://u:p%40@[::1]:5432/a?sslmode=disable",
        ] {
            assert!(wrong(with(url)).is_empty(), "{url}");
        }
        for url in
            ["postgres", "mysql://u:secret@db/a", "postgres:///a", "postgres://u:secret@db/a?sslmode=verify-full"]
        {
            let settings = with(url);
            assert!(settings.database_url().is_err_and(|detail| !detail.contains("secret")), "{url}");
        }
    }

    #[test]
    fn a_database_must_be_where_requests_may_go() {
        let with = |host: &str| {
            wrong(Settings {
                database_url: "postgres://u@db.example.org/a".into(),
                database_host: host.into(),
                ..right()
            })
        };
        assert!(["*:*", "db.example.org:5432", "DB.example.org:*"].map(with).concat().is_empty());
        for host in ["", "db.example.org", "other:5432", "db.example.org:5433", "postgres://db.example.org:5432"] {
            assert_eq!(with(host), ["database_host"], "{host}");
        }
    }

    #[test]
    fn a_search_must_be_where_requests_may_go() {
        let with =
            |url: &str, host: &str| wrong(Settings { search_url: url.into(), search_host: host.into(), ..right() });
        assert!(with("https://search.example.org", "https://none.invalid").is_empty());
        assert!(with("http://127.0.0.1:8888", "http://127.0.0.1:8888").is_empty());
        assert_eq!(with("http://127.0.0.1:8888", "https://none.invalid"), ["search_url"]);
        assert_eq!(with("search.example.org", "search.example.org"), ["search_url", "search_host"]);
    }

    #[test]
    fn a_level_of_the_log_must_be_one() {
        let with = |level: &str| wrong(Settings { log_level: level.into(), ..right() });
        assert!(with("warn, stream=debug").is_empty());
        assert_eq!(with("info, stream=loud"), ["log_level"]);
    }

    #[test]
    fn where_tools_may_go_must_be_of_spins_form() {
        let settings = Settings { hosts: vec![("mail_host", "mail.example.org".into())], ..right() };
        assert_eq!(wrong(settings), ["mail_host"]);
    }
}
