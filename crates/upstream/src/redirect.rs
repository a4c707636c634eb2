//! The targets of redirects. Each tool decides whether to follow one; secrets go to no other origin ([`crate::Account::own`]).

use http::{Response, header};
use url::Url;

/// The target of a redirect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Redirect {
    /// This address.
    To(Url),
    /// The response names no address.
    Nowhere,
}

/// The target of the response to a request for `url`, if it is a redirect (RFC 9110, section 15.4).
#[must_use]
pub fn redirect<B>(url: &Url, answer: &Response<B>) -> Option<Redirect> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    // Some servers write UTF-8 here. That is not allowed, but browsers accept it.
    let location = answer.headers().get(header::LOCATION).and_then(|to| std::str::from_utf8(to.as_bytes()).ok());
    Some(location.and_then(|to| url.join(to).ok()).map_or(Redirect::Nowhere, Redirect::To))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_read_from_where_it_was_met() {
        let url = Url::parse("https://a.example/b/c").unwrap();
        let said = |status: u16, location: Option<&[u8]>| {
            let mut answer = Response::builder().status(status);
            if let Some(location) = location {
                answer = answer.header(header::LOCATION, location);
            }
            redirect(&url, &answer.body(()).unwrap())
        };
        let to = |url: &str| Some(Redirect::To(Url::parse(url).unwrap()));
        assert_eq!(said(302, Some(b"d")), to("https://a.example/b/d"));
        assert_eq!(said(308, Some(b"//e.example/")), to("https://e.example/"));
        assert_eq!(said(301, Some("/ü".as_bytes())), to("https://a.example/%C3%BC"));
        for nowhere in [None, Some(&b"https://"[..]), Some(b"\xff")] {
            assert_eq!(said(307, nowhere), Some(Redirect::Nowhere));
        }
        for status in [200, 300, 304, 404] {
            assert_eq!(said(status, Some(b"d")), None);
        }
    }
}
