//! The two cookies of a browser's session, and the marks by which a browser is known (`identity::known_browser`).

use cookie::{Cookie, SameSite, time::Duration};
use http::{HeaderMap, HeaderValue, header};
use identity::{refresh_token, session_token};
use web::session::ACCESS_COOKIE;

/// The cookie that carries the refresh token. Only `/auth` ever sees it.
pub(crate) const REFRESH_COOKIE: &str = "ea_refresh";

/// A week longer than the session: a person who returns too late then learns that the session has expired.
const REFRESH_COOKIE_S: i64 = refresh_token::LIFETIME_MS / 1000 + 7 * 24 * 60 * 60;

/// The rest of the name is that of the mark.
const MARK_PREFIX: &str = "ea_known_";

/// A year: whoever comes less often is a stranger again, which only means smaller allowances.
const MARK_S: i64 = 365 * 24 * 60 * 60;

/// Sets both cookies.
pub(crate) fn set(headers: &mut HeaderMap, access: String, refresh: String, secure: bool) {
    append(headers, ACCESS_COOKIE, access, "/", i64::try_from(session_token::LIFETIME_S).unwrap_or(0), secure);
    append(headers, REFRESH_COOKIE, refresh, "/auth", REFRESH_COOKIE_S, secure);
}

/// Clears both cookies.
pub(crate) fn clear(headers: &mut HeaderMap, secure: bool) {
    append(headers, ACCESS_COOKIE, String::new(), "/", 0, secure);
    append(headers, REFRESH_COOKIE, String::new(), "/auth", 0, secure);
}

/// Marks of other accounts that a browser keeps. Some servers refuse requests with more than 8 KiB of headers.
const MAX_OTHER_MARKS: usize = 9;

/// Marks the browser of a request as one in which somebody has logged in to an account, and clears marks of others if it has too many.
pub(crate) fn set_mark(headers: &mut HeaderMap, request: &HeaderMap, name: &str, mark: String, secure: bool) {
    let name = format!("{MARK_PREFIX}{name}");
    for other in names(request, MARK_PREFIX).filter(|other| *other != name).skip(MAX_OTHER_MARKS) {
        append(headers, &other, String::new(), "/auth", 0, secure);
    }
    append(headers, &name, mark, "/auth", MARK_S, secure);
}

/// Whether the browser is known for any account.
pub(crate) fn has_mark(headers: &HeaderMap) -> bool {
    names(headers, MARK_PREFIX).next().is_some()
}

/// The names of the browser's cookies that begin so.
pub(crate) fn names(headers: &HeaderMap, prefix: &'static str) -> impl Iterator<Item = String> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = texts.flat_map(Cookie::split_parse).flatten();
    cookies.map(|cookie| cookie.name().to_owned()).filter(move |name| name.starts_with(prefix))
}

/// The browser's mark of this name. It proves nothing until it is checked.
pub(crate) fn mark(headers: &HeaderMap, name: &str) -> Option<String> {
    web::session::cookie(headers, &format!("{MARK_PREFIX}{name}"))
}

/// Sets a cookie that scripts cannot read. An age of 0 clears it.
pub(crate) fn append(headers: &mut HeaderMap, name: &str, value: String, path: &'static str, age_s: i64, secure: bool) {
    let cookie = Cookie::build((name.to_owned(), value))
        .path(path)
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(Duration::seconds(age_s));
    // Tokens are ASCII, so this always succeeds.
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        headers.append(header::SET_COOKIE, value);
    }
}
