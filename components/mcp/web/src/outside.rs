//! The requests of `fetch` and `search`.

use std::net::IpAddr;

use http::{Request, Response, header};
use tool_provider::{
    Failure,
    wasip3::sockets::{
        ip_name_lookup::{ErrorCode, resolve_addresses},
        types::IpAddress,
    },
};
use upstream::{Http, Limits, Outside};
use url::Url;

/// Some sites refuse clients that do not say what they are.
const USER_AGENT: &str =
    concat!("Mozilla/5.0 (compatible; EdgeAssistant/", env!("CARGO_PKG_VERSION"), "; reads pages for a person)");

/// The world outside: servers, and name resolution.
pub(crate) trait World: Http {
    /// The addresses of a name; `None` if the host does not look names up.
    async fn addresses(&self, name: &str) -> Result<Option<Vec<IpAddr>>, Failure>;
}

/// Sends a GET request and reads the whole response. Redirects are responses.
pub(crate) async fn get(
    world: &impl Http,
    url: &Url,
    accept: &'static str,
    limits: Limits,
) -> Result<Response<Vec<u8>>, Failure> {
    let request = Request::get(url.as_str())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, accept)
        .body(Vec::new())
        .map_err(|_| Failure::InvalidArguments("This address cannot be requested.".to_owned()))?;
    Ok(world.read(request, limits).await?)
}

impl World for Outside {
    async fn addresses(&self, name: &str) -> Result<Option<Vec<IpAddr>>, Failure> {
        match resolve_addresses(name.to_owned()).await {
            Ok(addresses) => Ok(Some(addresses.into_iter().map(address).collect())),
            // The errors of hosts that let no component look names up.
            Err(ErrorCode::AccessDenied | ErrorCode::PermanentResolverFailure) => Ok(None),
            Err(_) => Err(Failure::UpstreamFailed(format!("there is no host called {name}"))),
        }
    }
}

fn address(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::from([a, b, c, d, e, f, g, h]),
    }
}
