//! Colours, as far as needed to see that a text has the colour of its background. A colour that is not understood is unlike every other.

/// How much the parts of two colours may differ if the colours still look the same.
const LIKE_MAX: u8 = 20;
/// A colour with this alpha or less, of 255, is invisible.
const FAINT_MAX: u8 = 25;

/// The names of colours that texts are hidden with: black, white, nearly white, and a few others.
const NAMES: [(&str, u32); 20] = [
    ("white", 0xff_ffff),
    ("snow", 0xff_fafa),
    ("ghostwhite", 0xf8_f8ff),
    ("whitesmoke", 0xf5_f5f5),
    ("floralwhite", 0xff_faf0),
    ("ivory", 0xff_fff0),
    ("mintcream", 0xf5_fffa),
    ("azure", 0xf0_ffff),
    ("aliceblue", 0xf0_f8ff),
    ("seashell", 0xff_f5ee),
    ("honeydew", 0xf0_fff0),
    ("lightyellow", 0xff_ffe0),
    ("black", 0),
    ("red", 0xff_0000),
    ("lime", 0x00_ff00),
    ("blue", 0x00_00ff),
    ("yellow", 0xff_ff00),
    ("green", 0x00_8000),
    ("gray", 0x80_8080),
    ("navy", 0x00_0080),
];

/// Red, green, blue and alpha.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Colour([u8; 4]);

impl Colour {
    pub(crate) const WHITE: Self = Self([0xff, 0xff, 0xff, 0xff]);
    pub(crate) const BLACK: Self = Self([0, 0, 0, 0xff]);

    /// A colour of CSS; `None` if it is not understood.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "transparent" {
            return Some(Self([0; 4]));
        }
        if let Some(digits) = text.strip_prefix('#') {
            return Self::hex(digits);
        }
        if let Some((_, colour)) = NAMES.iter().find(|(name, _)| *name == text) {
            let [_, red, green, blue] = colour.to_be_bytes();
            return Some(Self([red, green, blue, 0xff]));
        }
        if let Some(parts) = text.strip_prefix("hsla(").or_else(|| text.strip_prefix("hsl(")) {
            return Self::hsl(parts.split(')').next()?);
        }
        let parts = text.strip_prefix("rgba(").or_else(|| text.strip_prefix("rgb("))?;
        let parts = parts.split(')').next()?;
        let mut parts = parts.split([',', ' ', '/']).filter(|part| !part.is_empty());
        let mut next = |whole: f32| {
            let part = parts.next()?;
            let (number, whole) = part.strip_suffix('%').map_or((part, whole), |percent| (percent, 100.0));
            // The cast limits the number to 0 to 255.
            Some((number.parse::<f32>().ok()? / whole * 255.0).round() as u8)
        };
        let (red, green, blue) = (next(255.0)?, next(255.0)?, next(255.0)?);
        Some(Self([red, green, blue, next(1.0).unwrap_or(0xff)]))
    }

    /// Hue, saturation and lightness (CSS Color 4, section 7.1).
    fn hsl(parts: &str) -> Option<Self> {
        let mut parts = parts.split([',', ' ', '/']).filter(|part| !part.is_empty());
        let mut next = |whole: f32| {
            let part = parts.next()?;
            let (number, whole) = part.strip_suffix('%').map_or((part, whole), |percent| (percent, 100.0));
            Some(number.trim_end_matches("deg").parse::<f32>().ok()? / whole)
        };
        let (hue, saturation, lightness) = (next(360.0)?, next(100.0)?.clamp(0.0, 1.0), next(100.0)?.clamp(0.0, 1.0));
        let alpha = next(1.0).unwrap_or(1.0);
        let part = |n: f32| {
            let k = (n + hue.rem_euclid(1.0) * 12.0) % 12.0;
            let strength = saturation * lightness.min(1.0 - lightness);
            // The cast limits the number to 0 to 255.
            ((lightness - strength * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)) * 255.0).round() as u8
        };
        Some(Self([part(0.0), part(8.0), part(4.0), (alpha * 255.0).round() as u8]))
    }

    /// A colour of an attribute, which may lack its `#`.
    pub(crate) fn of_attribute(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        Self::read(&text).or_else(|| Self::hex(&text))
    }

    fn hex(digits: &str) -> Option<Self> {
        let digits: Vec<u8> = digits.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
        let twice = |digit: u8| digit.saturating_mul(0x11);
        let pair = |high: u8, low: u8| high.saturating_mul(0x10).saturating_add(low);
        match *digits.as_slice() {
            [r, g, b] => Some(Self([twice(r), twice(g), twice(b), 0xff])),
            [r, g, b, a] => Some(Self([twice(r), twice(g), twice(b), twice(a)])),
            [r, s, g, h, b, c] => Some(Self([pair(r, s), pair(g, h), pair(b, c), 0xff])),
            [r, s, g, h, b, c, a, d] => Some(Self([pair(r, s), pair(g, h), pair(b, c), pair(a, d)])),
            _ => None,
        }
    }

    /// Whether a text of this colour is invisible.
    pub(crate) fn is_faint(self) -> bool {
        let Self([.., alpha]) = self;
        alpha <= FAINT_MAX
    }

    /// Whether nothing behind it shines through.
    pub(crate) fn is_solid(self) -> bool {
        let Self([.., alpha]) = self;
        alpha == 0xff
    }

    /// Whether the two look the same.
    pub(crate) fn is_like(self, other: Self) -> bool {
        let Self([r, g, b, _]) = self;
        let Self([s, h, c, _]) = other;
        r.abs_diff(s) <= LIKE_MAX && g.abs_diff(h) <= LIKE_MAX && b.abs_diff(c) <= LIKE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_in_every_notation() {
        for white in [
            "#fff",
            "#ffff",
            "#ffffff",
            "#ffffffff",
            "white",
            "rgb(255,255,255)",
            "rgb(255 255 255 / 1)",
            "rgba(100%, 100%, 100%, 1)",
            "rgb(999, 255, 255)",
            "hsl(0 0% 100%)",
            "hsla(120deg, 50%, 100%, 1)",
        ] {
            assert_eq!(Colour::read(white), Some(Colour::WHITE), "{white}");
        }
        for faint in ["transparent", "#0000", "#00000010", "rgba(0, 0, 0, 0.05)", "rgb(0 0 0 / 5%)"] {
            assert!(Colour::read(faint).unwrap().is_faint(), "{faint}");
        }
        for unknown in ["", "#", "#ff", "#ggg", "tomato", "hsl(0 0%)", "rgb(a,b,c)", "rgb(", "var(--white)", "#ffü"] {
            assert_eq!(Colour::read(unknown), None, "{unknown}");
        }
        assert_eq!(Colour::of_attribute(" FFFFFF "), Some(Colour::WHITE));
        let read = |text| Colour::read(text).unwrap();
        assert_eq!((read("hsl(120, 100%, 50%)"), read("hsl(240 100% 50%)")), (read("#0f0"), read("#00f")));
        assert_eq!(read("hsl(30, 50%, 40%)"), read("#996633"));
        assert!(read("#fefdfc").is_like(Colour::WHITE) && read("#111").is_like(Colour::BLACK));
        assert!(!read("#ddd").is_like(Colour::WHITE) && !read("#fff").is_like(read("#fe0")));
    }
}
