//! Components from elsewhere, fetched once and stored by their hash under `target/dev/tools`. Their servers need not be trusted: a file with another
//! hash is refused. `curl` fetches them, so this program needs no TLS.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::repo::Repo;
use crate::step::aside;

/// Three times the largest component of any language.
const COMPONENT_MAX_BYTES: u64 = 64 * 1024 * 1024;
const TIME_MAX_SECONDS: &str = "300";
/// The advice after a download that failed.
const ADVICE: &str =
    "correct the address, or download the file yourself, put it beside tools.toml and name it as `source`";
/// Every user may read a component, like other files. The person's umask applies.
const COMPONENT_MODE: u32 = 0o666;
/// Names of this machine, which need no TLS and no proxy.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A SHA-256 hash in hexadecimal digits.
#[derive(Debug)]
pub(crate) struct Digest(String);

impl Digest {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let digits = text.strip_prefix("sha256:").filter(|digits| {
            digits.len() == 64 && digits.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        });
        let digits = digits.with_context(|| {
            format!(
                "digest = {text:?} is not a digest: write \"sha256:\" and 64 hexadecimal digits, as `sha256sum FILE` prints them"
            )
        })?;
        Ok(Self(digits.to_owned()))
    }

    pub(crate) fn check(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let found = sha256(bytes);
        ensure!(
            found == self.0,
            "its digest is sha256:{found}, not sha256:{}: it is another version, or somebody has changed it. Find out which before you change \
             the digest",
            self.0
        );
        Ok(())
    }
}

/// The hexadecimal digits of a hash.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fetches a component from an address.
pub(crate) fn from_url(repo: &Repo, url: &str, digest: &Digest) -> anyhow::Result<PathBuf> {
    kept(repo, digest, |file| {
        let answer = get(url, file, None)?;
        ensure!(answer.status == 200, "{url} answers {}: {ADVICE}", answer.status);
        Ok(())
    })
}

/// Fetches a component from an OCI registry by its hash (OCI Distribution Specification, "Pulling blobs"), with the token that such registries give
/// to everybody.
pub(crate) fn from_registry(repo: &Repo, registry: &str, repository: &str, digest: &Digest) -> anyhow::Result<PathBuf> {
    let scheme = if is_loopback(registry) { "http" } else { "https" };
    let url = format!("{scheme}://{registry}/v2/{repository}/blobs/sha256:{}", digest.0);
    kept(repo, digest, |file| {
        let mut answer = get(&url, file, None)?;
        if answer.status == 401 {
            let token = token(&answer, file).with_context(|| format!("{registry} gives no token to anybody"))?;
            answer = get(&url, file, Some(&token))?;
        }
        match answer.status {
            200 => Ok(()),
            404 => bail!(
                "{registry} has nothing in {repository} with that digest, which is the hash of the component itself, not of its manifest"
            ),
            status => bail!("{url} answers {status}"),
        }
    })
}

/// The file with this hash. `fetch` writes it if it is missing or damaged.
fn kept(repo: &Repo, digest: &Digest, fetch: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let folder = repo.own("tools");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(format!("{}.wasm", digest.0));
    if read(&file).is_ok_and(|bytes| digest.check(&bytes).is_ok()) {
        return Ok(file);
    }
    let fetching = tempfile::Builder::new().permissions(Permissions::from_mode(COMPONENT_MODE)).tempfile_in(&folder);
    let fetching = fetching.context("cannot make a file")?;
    fetch(fetching.path())?;
    digest.check(&read(fetching.path())?)?;
    fetching.persist(&file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Reads a file, if it is not too large. Before version 8.4, curl's limit works only if the server states the length.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let length = file.metadata().with_context(|| format!("cannot read {}", file.display()))?.len();
    ensure!(length <= COMPONENT_MAX_BYTES, "it is longer than {COMPONENT_MAX_BYTES} bytes, so it is not used");
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

struct Answer {
    status: u16,
    /// The header `www-authenticate`.
    challenge: String,
}

fn get(url: &str, file: &Path, token: Option<&str>) -> anyhow::Result<Answer> {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    let is_here = url.starts_with("http://") && is_loopback(authority);
    ensure!(is_here || url.starts_with("https://"), "{url} is neither https:// nor on this machine");
    aside(|| eprintln!("fetching {url} ..."));
    let headers = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    let mut curl = Command::new("curl");
    // Ignores the person's configuration of curl, and takes the address literally.
    curl.args(["--disable", "--globoff", "--silent", "--show-error"]);
    // Follows redirects only to https. The token is not sent to another host.
    curl.args(["--location", "--proto-redir", "=https"]);
    curl.args(["--max-filesize", &COMPONENT_MAX_BYTES.to_string(), "--max-time", TIME_MAX_SECONDS]);
    curl.args(["--write-out", "%{http_code}", "--output"]).arg(file).arg("--dump-header").arg(headers.path());
    if is_loopback(authority) {
        curl.args(["--noproxy", "*"]);
    }
    if let Some(token) = token {
        curl.args(["--header", &format!("authorization: Bearer {token}")]);
    }
    let output = curl.args(["--", url]).output().context("cannot start curl, which fetches tools: install it")?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot fetch {url}: {}: {ADVICE}", why.trim());
    let status = String::from_utf8_lossy(&output.stdout).trim().parse().context("curl gives no status")?;
    let headers = std::fs::read(headers.path()).context("cannot read the headers")?;
    Ok(Answer { status, challenge: challenge(&String::from_utf8_lossy(&headers)) })
}

/// The header `www-authenticate` of the last response; earlier ones are redirects.
fn challenge(headers: &str) -> String {
    let last = headers.lines().rev().skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    let mut found = last.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("www-authenticate").then(|| value.trim().to_owned())
    });
    found.next().unwrap_or_default()
}

/// The token from the address in `Bearer realm="https://...",service="...",scope="..."`.
fn token(answer: &Answer, file: &Path) -> anyhow::Result<String> {
    let parameters = answer.challenge.strip_prefix("Bearer ").context("it asks for another kind of credentials")?;
    let parameter = |name: &str| {
        let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
        rest.split('"').next()
    };
    let realm = parameter("realm").context("it does not say where to get one")?;
    let asked: Vec<String> = ["service", "scope"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", parameter(name)?.replace('&', "%26").replace(' ', "%20"))))
        .collect();
    let answer = get(&format!("{realm}?{}", asked.join("&")), file, None)?;
    ensure!(answer.status == 200, "{realm} answers {}", answer.status);
    let said: serde_json::Value = serde_json::from_slice(&read(file)?).context("its answer is not valid JSON")?;
    let token = said.get("token").or_else(|| said.get("access_token")).and_then(serde_json::Value::as_str);
    token.map(str::to_owned).context("its answer has no token")
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => authority,
    };
    LOOPBACK.contains(&host)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    const COMPONENT: &[u8] = b"\0asm a component";

    /// A registry that requires a token, which it gives to everybody. It handles this many requests.
    fn registry(requests: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let own = address.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(requests) {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let has_token = head.iter().any(|line| line == "authorization: Bearer for-anybody");
                let challenge =
                    format!("Bearer realm=\"http://{own}/token\",service=\"s\",scope=\"repository:acme/weather:pull\"");
                let (status, more, body): (_, _, &[u8]) = match head[0].split(' ').nth(1).unwrap() {
                    "/token?service=s&scope=repository:acme/weather:pull" => {
                        ("200 OK", "", br#"{"token":"for-anybody"}"#)
                    }
                    path if path.starts_with("/v2/acme/weather/blobs/sha256:") && has_token => {
                        ("200 OK", "", COMPONENT)
                    }
                    path if path.starts_with("/v2/") => ("401 Unauthorized", challenge.as_str(), b""),
                    "/weather.wasm" => ("200 OK", "", COMPONENT),
                    _ => ("404 Not Found", "", b""),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nwww-authenticate: {more}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
            }
        });
        address
    }

    fn digest(bytes: &[u8]) -> Digest {
        Digest(sha256(bytes))
    }

    fn has_curl() -> bool {
        Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success())
    }

    #[test]
    fn a_registry_is_asked_once_with_the_token_that_it_gives() {
        if !has_curl() {
            return eprintln!("SKIPPED: there is no curl");
        }
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path());
        let registry = registry(3);
        for _ in 0..2 {
            let file = from_registry(&repo, &registry, "acme/weather", &digest(COMPONENT)).unwrap();
            assert_eq!(std::fs::read(file).unwrap(), COMPONENT);
        }
    }

    #[test]
    fn a_kept_file_that_is_damaged_is_fetched_again_and_others_may_read_it_like_other_files() {
        if !has_curl() {
            return eprintln!("SKIPPED: there is no curl");
        }
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path());
        let url = format!("http://{}/weather.wasm", registry(2));
        let file = from_url(&repo, &url, &digest(COMPONENT)).unwrap();
        std::fs::write(repo.own("other"), "").unwrap();
        let mode = |file: &Path| file.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&repo.own("other")));
        std::fs::write(&file, "damaged").unwrap();
        let file = from_url(&repo, &url, &digest(COMPONENT)).unwrap();
        assert_eq!(std::fs::read(file).unwrap(), COMPONENT);
    }

    #[test]
    fn what_is_longer_than_a_component_may_be_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(COMPONENT_MAX_BYTES + 1).unwrap();
        assert!(read(file.path()).unwrap_err().to_string().contains("is longer than"));
    }

    #[test]
    fn a_challenge_is_that_of_the_last_answer() {
        let redirect = "HTTP/1.1 302 Found\r\nwww-authenticate: first\r\n\r\n";
        let last = "HTTP/2 401\r\nWWW-Authenticate: Bearer realm=\"https://a.example/t\"\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(challenge(&format!("{redirect}{last}")), "Bearer realm=\"https://a.example/t\"");
        assert_eq!(challenge(&format!("{redirect}HTTP/1.1 200 OK\r\n\r\n")), "");
        assert_eq!(challenge(""), "");
    }

    #[test]
    fn what_does_not_have_the_hash_is_not_kept() {
        if !has_curl() {
            return eprintln!("SKIPPED: there is no curl");
        }
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::at(folder.path());
        let host = registry(3);
        let fetch = |path: &str, of: &[u8]| from_url(&repo, &format!("http://{host}/{path}"), &digest(of));
        let other = fetch("weather.wasm", b"other").unwrap_err();
        assert!(format!("{other:#}").contains("another version"), "{other:#}");
        assert!(fetch("nothing.wasm", COMPONENT).unwrap_err().to_string().contains("answers 404"));
        assert_eq!(std::fs::read_dir(repo.own("tools")).unwrap().count(), 0);
        assert!(fetch("weather.wasm", COMPONENT).is_ok());
    }

    #[test]
    fn only_tls_and_this_machine_are_asked() {
        let folder = tempfile::tempdir().unwrap();
        for url in ["http://a.example/w.wasm", "file:///etc/passwd", "http://127.0.0.1.example/w", "w.wasm"] {
            let said = from_url(&Repo::at(folder.path()), url, &digest(COMPONENT)).unwrap_err().to_string();
            assert!(said.contains("neither https://"), "{url}: {said}");
        }
        assert!(is_loopback("localhost:5000") && is_loopback("[::1]:5000") && !is_loopback("localhost.example:5000"));
    }
}
