//! Finds the component for a path, and sets the headers that describe the match.
//!
//! Precedence is `routefinder`'s, the router Spin uses: exact before parameter before wildcard, longer before shorter.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Result, anyhow};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::{HttpTrigger, Route};

/// Paths that the host itself answers; routes below it are never reached.
pub const WELL_KNOWN_PREFIX: &str = "/.well-known/spin/";

/// The client address that a component sees when another component called it, as in Spin.
const CHAINED_CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// All public routes.
#[derive(Debug)]
pub struct Router {
    routes: routefinder::Router<Target>,
}

#[derive(Debug)]
struct Target {
    /// As written in the manifest.
    raw: String,
    /// The same without a trailing slash.
    based: String,
    component: String,
}

/// The component for a path, and the match as the request's headers describe it.
#[derive(Debug, PartialEq, Eq)]
pub struct RouteMatch {
    /// The component's id.
    pub component: String,
    raw_route: String,
    based_route: String,
    path_info: String,
    parameters: Vec<(String, String)>,
    client: SocketAddr,
}

impl Router {
    /// Builds the router. Of two equal routes the later one wins, and `duplicate` gets the other.
    ///
    /// # Errors
    /// A route is not a valid pattern.
    pub fn new(triggers: &[HttpTrigger], mut duplicate: impl FnMut(&str, &str)) -> Result<Self> {
        let mut targets: Vec<Target> = Vec::new();
        for trigger in triggers {
            let Route::Path(raw) = &trigger.route else { continue };
            if let Some(at) = targets.iter().position(|target| target.raw == *raw) {
                let lost = targets.remove(at);
                duplicate(raw, &lost.component);
            }
            let absolute = if raw.starts_with('/') { raw.clone() } else { format!("/{raw}") };
            let based = absolute.strip_suffix('/').unwrap_or(&absolute).to_owned();
            targets.push(Target { raw: raw.clone(), based, component: trigger.component.clone() });
        }
        let mut routes = routefinder::Router::new();
        for target in targets {
            let spec = match target.based.strip_suffix("/...") {
                Some(prefix) => format!("{prefix}/*"),
                None => target.based.clone(),
            };
            let raw = target.raw.clone();
            routes.add(spec, target).map_err(|why| anyhow!("route {raw:?} cannot be parsed: {why}"))?;
        }
        Ok(Self { routes })
    }

    /// Every route as written, with its component.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.routes.iter().map(|(_, target)| (target.raw.as_str(), target.component.as_str()))
    }

    /// The match, if any, for a path requested by `client`.
    #[must_use]
    pub fn find(&self, path: &str, client: SocketAddr) -> Option<RouteMatch> {
        let found = self.routes.best_match(path)?;
        let captures = found.captures();
        // Spin keeps the slashes around the wildcard's part; routefinder does not.
        let path_info = match captures.wildcard() {
            None => String::new(),
            Some("") => if path.ends_with('/') { "/" } else { "" }.to_owned(),
            Some(rest) if path.ends_with('/') => format!("/{rest}/"),
            Some(rest) => format!("/{rest}"),
        };
        let parameters = captures.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let target = found.handler();
        Some(RouteMatch {
            component: target.component.clone(),
            raw_route: target.raw.clone(),
            based_route: target.based.clone(),
            path_info,
            parameters,
            client,
        })
    }
}

impl RouteMatch {
    /// The match for a request from another component: the same as for the route `/...`.
    pub fn chained(component: &str, path: &str) -> Self {
        Self {
            component: component.to_owned(),
            raw_route: "/...".to_owned(),
            based_route: "/...".to_owned(),
            path_info: path.to_owned(),
            parameters: Vec::new(),
            client: CHAINED_CLIENT,
        }
    }

    /// Sets the `spin-*` headers, and replaces any that the client sent.
    pub fn set_headers(&self, uri: &Uri, headers: &mut HeaderMap) {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let full_url = format!("{}://{host}{path}", uri.scheme_str().unwrap_or("http"));
        let component_route = self.raw_route.strip_suffix("/...").unwrap_or(&self.raw_route).to_owned();
        let fixed = [
            ("spin-path-info", self.path_info.clone()),
            ("spin-full-url", full_url),
            ("spin-matched-route", self.based_route.clone()),
            ("spin-base-path", "/".to_owned()),
            ("spin-raw-component-route", self.raw_route.clone()),
            ("spin-component-route", component_route),
            ("spin-client-addr", self.client.to_string()),
        ];
        for (name, value) in fixed {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        for (name, value) in &self.parameters {
            let name = format!("spin-path-match-{}", name.replace('_', "-").to_ascii_lowercase());
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[&str]) -> Router {
        let triggers: String =
            routes.iter().map(|route| format!("[[trigger.http]]\nroute = {route:?}\ncomponent = \"c\"\n")).collect();
        let manifest = crate::Manifest::parse(&format!(
            "spin_manifest_version = 2\n[application]\nname = \"t\"\n{triggers}\n[component.c]\nsource = \"c.wasm\"\n"
        ))
        .unwrap();
        Router::new(&manifest.triggers, |_, _| {}).unwrap()
    }

    fn client() -> SocketAddr {
        "127.0.0.1:8777".parse().unwrap()
    }

    #[track_caller]
    fn matched(routes: &[&str], path: &str) -> Option<(String, String)> {
        router(routes).find(path, client()).map(|found| (found.raw_route, found.path_info))
    }

    fn to(route: &str, path_info: &str) -> Option<(String, String)> {
        Some((route.into(), path_info.into()))
    }

    #[test]
    fn exact_wins_over_parameter_and_that_over_wildcard() {
        let routes = ["/...", "/api/...", "/api/runs/:id/events", "/api/runs/latest/events", "/health"];
        assert_eq!(matched(&routes, "/health"), to("/health", ""));
        assert_eq!(matched(&routes, "/api/runs/latest/events"), to("/api/runs/latest/events", ""));
        assert_eq!(matched(&routes, "/api/runs/7/events"), to("/api/runs/:id/events", ""));
        assert_eq!(matched(&routes, "/api/runs/7"), to("/api/...", "/runs/7"));
        assert_eq!(matched(&routes, "/apis"), to("/...", "/apis"));
        assert_eq!(matched(&routes, "/"), to("/...", "/"));
    }

    #[test]
    fn a_wildcard_also_matches_its_own_prefix_and_keeps_slashes() {
        assert_eq!(matched(&["/foo/..."], "/foo"), to("/foo/...", ""));
        assert_eq!(matched(&["/foo/..."], "/foo/"), to("/foo/...", "/"));
        assert_eq!(matched(&["/foo/..."], "/foo/bar/"), to("/foo/...", "/bar/"));
        assert_eq!(matched(&["/foo/..."], "/foobar"), None);
    }

    #[test]
    fn a_trailing_parameter_takes_one_segment() {
        let found = router(&["/u/:user"]).find("/u/42", client()).unwrap();
        assert_eq!(found.parameters, [("user".to_owned(), "42".to_owned())]);
        assert_eq!(matched(&["/u/:user"], "/u/42/x"), None);
    }

    #[test]
    fn of_two_equal_routes_the_later_one_answers() {
        let manifest = crate::Manifest::parse(
            "spin_manifest_version = 2\n[application]\nname = \"t\"\n\
             [[trigger.http]]\nroute = \"/a\"\ncomponent = \"one\"\n\
             [[trigger.http]]\nroute = \"/a\"\ncomponent = \"two\"\n\
             [component.one]\nsource = \"c.wasm\"\n[component.two]\nsource = \"c.wasm\"\n",
        )
        .unwrap();
        let mut lost = Vec::new();
        let router = Router::new(&manifest.triggers, |route, id| lost.push((route.to_owned(), id.to_owned()))).unwrap();
        assert_eq!(router.find("/a", client()).unwrap().component, "two");
        assert_eq!(lost, [("/a".to_owned(), "one".to_owned())]);
    }

    #[test]
    fn the_headers_are_spins_and_a_clients_own_are_replaced() {
        let found = router(&["/foo/:user_id/..."]).find("/foo/42/bar", client()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("example.com"));
        headers.insert("spin-client-addr", HeaderValue::from_static("forged"));
        found.set_headers(&Uri::from_static("http://example.com/foo/42/bar?k=v"), &mut headers);
        let expected = [
            ("spin-full-url", "http://example.com/foo/42/bar?k=v"),
            ("spin-path-info", "/bar"),
            ("spin-matched-route", "/foo/:user_id/..."),
            ("spin-base-path", "/"),
            ("spin-raw-component-route", "/foo/:user_id/..."),
            ("spin-component-route", "/foo/:user_id"),
            ("spin-client-addr", "127.0.0.1:8777"),
            ("spin-path-match-user-id", "42"),
        ];
        for (name, value) in expected {
            assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
    }
}
