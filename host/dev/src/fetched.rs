//! Components that lie elsewhere, fetched once and kept by their hash under `target/dev/tools`. Whoever sends them need not be trusted: what
//! does not have the hash is not kept. `curl` fetches, so that this program needs no TLS of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::repo::Repo;

/// Three times the largest that a language is known to make.
const COMPONENT_MAX_BYTES: &str = "67108864";
const TIME_MAX_SECONDS: &str = "300";
/// Names of this machine, which need no TLS.
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
                "digest = {text:?} is none: write \"sha256:\" and 64 hexadecimal digits, as `sha256sum FILE` says them"
            )
        })?;
        Ok(Self(digits.to_owned()))
    }

    pub(crate) fn check(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(
            found == self.0,
            "its digest is sha256:{found}, and sha256:{} was demanded: it is another version, or not what you were promised. Find out \
             which before you change the digest",
            self.0
        );
        Ok(())
    }
}

/// A component at an address.
pub(crate) fn from_url(repo: &Repo, url: &str, digest: &Digest) -> anyhow::Result<PathBuf> {
    kept(repo, digest, |file| {
        let answer = get(url, file, None)?;
        ensure!(answer.status == 200, "{url} answers {}", answer.status);
        Ok(())
    })
}

/// A component in an OCI registry, where what has this hash is found by it (OCI Distribution Specification, "Pulling blobs"), with the token
/// that such registries give to anybody.
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

/// The file of this hash; `fetch` brings it if it is not there.
fn kept(repo: &Repo, digest: &Digest, fetch: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let folder = repo.own("tools");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(format!("{}.wasm", digest.0));
    if file.exists() {
        return Ok(file);
    }
    let fetching = tempfile::NamedTempFile::new_in(&folder).context("cannot make a file")?;
    fetch(fetching.path())?;
    let bytes = std::fs::read(fetching.path()).context("cannot read what was fetched")?;
    digest.check(&bytes)?;
    fetching.persist(&file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

struct Answer {
    status: u16,
    /// What it wants to know.
    challenge: String,
}

fn get(url: &str, file: &Path, token: Option<&str>) -> anyhow::Result<Answer> {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
    let is_here = url.starts_with("http://") && is_loopback(authority);
    ensure!(is_here || url.starts_with("https://"), "{url} is neither https:// nor on this machine");
    let mut curl = Command::new("curl");
    // No further than where TLS says who answers. Credentials are not passed on to another host.
    curl.args(["--silent", "--show-error", "--location", "--proto-redir", "=https"]);
    curl.args(["--max-filesize", COMPONENT_MAX_BYTES, "--max-time", TIME_MAX_SECONDS]);
    curl.args(["--write-out", "%{http_code}\n%header{www-authenticate}", "--output"]).arg(file);
    if let Some(token) = token {
        curl.args(["--header", &format!("authorization: Bearer {token}")]);
    }
    let output = curl.args(["--", url]).output().context("cannot start curl, which fetches tools: install it")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "cannot fetch {url}: {}", String::from_utf8_lossy(&output.stderr).trim());
    let (status, challenge) = said.split_once('\n').unwrap_or((&said, ""));
    Ok(Answer { status: status.trim().parse().context("curl says no status")?, challenge: challenge.trim().to_owned() })
}

/// `Bearer realm="https://...",service="...",scope="..."` says where there is one.
fn token(answer: &Answer, file: &Path) -> anyhow::Result<String> {
    let parameters = answer.challenge.strip_prefix("Bearer ").context("it asks for something else")?;
    let parameter = |name: &str| {
        let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
        rest.split('"').next()
    };
    let realm = parameter("realm").context("it does not say where")?;
    let asked: Vec<String> = ["service", "scope"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", parameter(name)?.replace('&', "%26").replace(' ', "%20"))))
        .collect();
    let answer = get(&format!("{realm}?{}", asked.join("&")), file, None)?;
    ensure!(answer.status == 200, "{realm} answers {}", answer.status);
    let said: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?).context("its token is no JSON")?;
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

    /// A registry that wants a token, which it gives to anybody; it answers so many requests.
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
        Digest(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
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
