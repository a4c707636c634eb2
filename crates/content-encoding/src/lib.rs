//! Chooses the encoding for a client: `Accept-Encoding`, RFC 9110 section 12.5.3. Encodes nothing itself.

/// An encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
    /// Not encoded.
    Identity,
}

impl Encoding {
    /// Best first: of equally acceptable encodings the first is chosen.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Identity];

    /// Its name in `Content-Encoding`.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }
}

/// Longer than any client's list; the rest is not read.
const MAX_CODINGS: usize = 32;

/// The weight when none is given, in thousandths; weights have three decimals.
const FULL_WEIGHT: u16 = 1000;

/// The best of the available encodings by the client's weights. Identity when no other is acceptable, even if the client refused it: a readable
/// page is better than a 406.
pub fn choose(accept_encoding: &str, is_there: impl Fn(Encoding) -> bool) -> Encoding {
    let mut best = (Encoding::Identity, 0);
    for encoding in Encoding::ALL {
        let weight = weight(accept_encoding, encoding);
        if weight > best.1 && is_there(encoding) {
            best = (encoding, weight);
        }
    }
    best.0
}

/// An encoding's weight in thousandths; 0 means refused.
fn weight(accept_encoding: &str, encoding: Encoding) -> u16 {
    let mut any = None;
    for coding in accept_encoding.split(',').take(MAX_CODINGS) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight_of).unwrap_or(FULL_WEIGHT);
        if name.eq_ignore_ascii_case(encoding.token())
            || (name.eq_ignore_ascii_case("x-gzip") && encoding == Encoding::Gzip)
        {
            return weight;
        }
        if name == "*" {
            any = Some(weight);
        }
    }
    // Identity is acceptable if not mentioned, but a client that names another encoding prefers that one.
    any.unwrap_or(u16::from(encoding == Encoding::Identity))
}

/// Reads `q=0.8` in thousandths. An invalid weight means refused.
fn weight_of(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, decimals) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let thousandths = format!("{decimals:0<3}").parse::<u16>().ok().filter(|_| decimals.len() <= 3);
    Some(match (whole, thousandths) {
        ("0", Some(thousandths)) => thousandths,
        ("1", Some(0)) => FULL_WEIGHT,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept_encoding: &str) -> &'static str {
        choose(accept_encoding, |_| true).token()
    }

    #[test]
    fn takes_the_smallest_of_what_is_equally_welcome() {
        assert_eq!(chosen("gzip, deflate, br, zstd"), "br");
        assert_eq!(chosen("gzip, deflate"), "gzip");
        assert_eq!(chosen("*"), "br");
        assert_eq!(chosen("GZip"), "gzip");
        assert_eq!(chosen("x-gzip"), "gzip");
    }

    #[test]
    fn honours_weights() {
        assert_eq!(chosen("br;q=0.5, gzip;q=0.8"), "gzip");
        assert_eq!(chosen("br;q=0, gzip;q=0"), "identity");
        assert_eq!(chosen("br;q=0, *"), "gzip");
        assert_eq!(chosen("identity, gzip;q=0.5"), "identity");
        assert_eq!(chosen("gzip ; q=0.001"), "gzip");
        assert_eq!(chosen("br;q=0.1234, gzip;q=0.1"), "gzip", "a weight has three decimals at most");
        assert_eq!(chosen("br;q=2, gzip"), "gzip", "a weight is at most 1");
    }

    #[test]
    fn falls_back_to_the_file_as_it_is() {
        assert_eq!(chosen(""), "identity");
        assert_eq!(chosen("zstd"), "identity");
        assert_eq!(chosen("identity;q=0, *;q=0"), "identity");
        assert_eq!(choose("br, gzip", |encoding| encoding == Encoding::Identity), Encoding::Identity);
    }

    #[test]
    fn reads_no_more_than_a_client_has_reason_to_send() {
        let long = "x,".repeat(100_000) + "br";
        assert_eq!(chosen(&long), "identity");
    }
}
