//! The settings of this component: how much is taken, and where pieces are kept.

use std::sync::Arc;

use platform::variables::variable;
use rusty_s3::{Bucket, Credentials, UrlStyle};
use web::settings::{AllowedHost, Check, environment, number, web_address};

/// The variables.
const MAX_BYTES: &str = "file_max_bytes";
const QUOTA_BYTES: &str = "file_quota_bytes";
const STORE_URL: &str = "file_store_url";
const STORE_HOST: &str = "file_store_host";
const BUCKET: &str = "file_store_bucket";
const REGION: &str = "file_store_region";
const STYLE: &str = "file_store_style";
const ACCESS_KEY: &str = "file_store_access_key";
const SECRET_KEY: &str = "file_store_secret_key";

/// Used where these are no numbers, and the defaults of `spin.toml`: a long document or a photo; and some thousand of them for each person.
const DEFAULT_MAX_BYTES: u64 = 16 * 1024 * 1024;
const DEFAULT_QUOTA_BYTES: u64 = 1024 * 1024 * 1024;

/// What is configured.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The longest file.
    pub(crate) max_bytes: u64,
    /// What all files of a person may have.
    pub(crate) quota_bytes: u64,
    /// Where new pieces go.
    pub(crate) keeping: Keeping,
}

/// Where pieces are kept.
#[derive(Clone, Debug)]
pub(crate) enum Keeping {
    /// In the database.
    Database,
    /// In a bucket.
    Bucket(Arc<Bucket>, Arc<Credentials>),
    /// Nowhere, until somebody mends the settings: a store that is configured is never replaced by the database in silence.
    Misconfigured,
}

/// The values of the settings of a store.
#[derive(Default)]
struct StoreSettings {
    url: String,
    host: String,
    bucket: String,
    region: String,
    style: String,
    access_key: String,
    secret_key: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_MAX_BYTES, quota_bytes: DEFAULT_QUOTA_BYTES, keeping: Keeping::Database }
    }
}

impl Config {
    /// Reads the variables that `spin.toml` grants.
    pub(crate) async fn read() -> Self {
        Self {
            max_bytes: variable(MAX_BYTES).await.parse().unwrap_or(DEFAULT_MAX_BYTES),
            quota_bytes: variable(QUOTA_BYTES).await.parse().unwrap_or(DEFAULT_QUOTA_BYTES),
            keeping: StoreSettings::read().await.keeping().unwrap_or(Keeping::Misconfigured),
        }
    }
}

impl StoreSettings {
    async fn read() -> Self {
        Self {
            url: variable(STORE_URL).await,
            host: variable(STORE_HOST).await,
            bucket: variable(BUCKET).await,
            region: variable(REGION).await,
            style: variable(STYLE).await,
            access_key: variable(ACCESS_KEY).await,
            secret_key: variable(SECRET_KEY).await,
        }
    }

    /// Where pieces are kept. The error says what is wrong, and quotes no secret.
    fn keeping(&self) -> Result<Keeping, String> {
        if self.url.is_empty() {
            return Ok(Keeping::Database);
        }
        let style = match self.style.as_str() {
            "path" => UrlStyle::Path,
            "virtual" => UrlStyle::VirtualHost,
            _ => return Err(format!("{STYLE} must be path or virtual.")),
        };
        for (name, value) in [(BUCKET, &self.bucket), (REGION, &self.region), (ACCESS_KEY, &self.access_key)] {
            if value.is_empty() {
                return Err(format!("{name} is not set: set {}.", environment(name)));
            }
        }
        if self.secret_key.is_empty() {
            return Err(format!("{SECRET_KEY} is not set: set {}.", environment(SECRET_KEY)));
        }
        let wrong = || format!("{STORE_URL} must be the http or https address of an S3-compatible server.");
        let endpoint = web_address(&self.url).and_then(|address| address.to_string().parse().ok()).ok_or_else(wrong)?;
        let bucket = Bucket::new(endpoint, style, self.bucket.clone(), self.region.clone());
        let bucket = bucket.map_err(|error| format!("{STORE_URL} and {BUCKET} make no address: {error}."))?;
        let address = bucket.base_url().as_str().parse().ok();
        let is_allowed = AllowedHost::parse(&self.host).zip(address).is_some_and(|(host, uri)| host.allows(&uri));
        if !is_allowed {
            return Err(format!(
                "{STORE_HOST} does not allow the address of the bucket: set {} to its scheme://host:port.",
                environment(STORE_HOST)
            ));
        }
        let credentials = Credentials::new(self.access_key.clone(), self.secret_key.clone());
        Ok(Keeping::Bucket(Arc::new(bucket), Arc::new(credentials)))
    }
}

/// Checks the settings, for `/ready`.
pub(crate) async fn checks() -> Vec<Check> {
    let (max_bytes, quota_bytes) = (variable(MAX_BYTES).await, variable(QUOTA_BYTES).await);
    vec![
        number(MAX_BYTES, &max_bytes, 1, "16777216 is used"),
        number(QUOTA_BYTES, &quota_bytes, 1, "1073741824 is used"),
        Check::new(STORE_URL, StoreSettings::read().await.keeping().map(drop)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right() -> StoreSettings {
        StoreSettings {
            url: "https://s3.example.org".into(),
            host: "https://s3.example.org:443".into(),
            bucket: "files".into(),
            region: "us-east-1".into(),
            style: "path".into(),
            access_key: "key".into(),
            secret_key: "planted-secret".into(),
        }
    }

    fn address(settings: &StoreSettings) -> String {
        match settings.keeping() {
            Ok(Keeping::Bucket(bucket, _)) => bucket.base_url().to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_an_address_the_database_keeps_pieces() {
        assert!(matches!(StoreSettings::default().keeping(), Ok(Keeping::Database)));
    }

    #[test]
    fn a_bucket_is_in_the_path_or_in_the_name_of_the_host() {
        assert_eq!(address(&right()), "https://s3.example.org/files/");
        let by_name = StoreSettings { style: "virtual".into(), host: "https://*.s3.example.org".into(), ..right() };
        assert_eq!(address(&by_name), "https://files.s3.example.org/");
    }

    #[test]
    fn what_is_wrong_is_said_and_no_secret_is() {
        for (settings, named) in [
            (StoreSettings { url: "s3.example.org".into(), ..right() }, STORE_URL),
            (StoreSettings { url: "https://u:p@s3.example.org".into(), ..right() }, STORE_URL),
            (StoreSettings { bucket: String::new(), ..right() }, BUCKET),
            (StoreSettings { region: String::new(), ..right() }, REGION),
            (StoreSettings { style: "host".into(), ..right() }, STYLE),
            (StoreSettings { access_key: String::new(), ..right() }, ACCESS_KEY),
            (StoreSettings { secret_key: String::new(), ..right() }, SECRET_KEY),
            (StoreSettings { host: "https://none.invalid".into(), ..right() }, STORE_HOST),
            (StoreSettings { style: "virtual".into(), ..right() }, STORE_HOST),
        ] {
            let error = settings.keeping().unwrap_err();
            assert!(error.starts_with(named) && !error.contains("planted"), "{error}");
        }
        let Keeping::Bucket(_, credentials) = right().keeping().unwrap() else { panic!() };
        assert!(!format!("{credentials:?}").contains("planted"));
    }
}
