//! Repairs text from servers that is almost JSON: halves of surrogate pairs, values such as `NaN`, control characters.

/// The text with these parts replaced. Valid JSON stays unchanged.
#[must_use]
pub fn repaired(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if character == '"' {
            rest = string(rest, &mut repaired);
        } else if let Some(after) = no_number(rest) {
            repaired.push_str("null");
            rest = after;
        } else {
            repaired.push(character);
            rest = after_first(rest);
        }
    }
    repaired
}

/// Values for which JSON has no number, as Python's `json` writes them.
fn no_number(text: &str) -> Option<&str> {
    ["NaN", "-Infinity", "Infinity"].into_iter().find_map(|name| text.strip_prefix(name))
}

/// Copies the string at the beginning of `text`, and returns the text after it.
fn string<'a>(text: &'a str, repaired: &mut String) -> &'a str {
    repaired.push('"');
    let mut rest = after_first(text);
    while let Some(character) = rest.chars().next() {
        let after = after_first(rest);
        match character {
            '"' => {
                repaired.push('"');
                return after;
            }
            '\\' => rest = escape(after, repaired),
            control if control < ' ' => {
                repaired.push(' ');
                rest = after;
            }
            other => {
                repaired.push(other);
                rest = after;
            }
        }
    }
    rest
}

/// Copies an escape after its backslash.
fn escape<'a>(text: &'a str, repaired: &mut String) -> &'a str {
    if let Some((unit, after)) = unit(text) {
        let pair = after.strip_prefix('\\').and_then(self::unit);
        let whole = match (unit, pair) {
            (0xD800..=0xDBFF, Some((low @ 0xDC00..=0xDFFF, after_pair))) => Some((unit, Some(low), after_pair)),
            (0xD800..=0xDFFF, _) => None,
            _ => Some((unit, None, after)),
        };
        let Some((high, low, after_whole)) = whole else {
            repaired.push(char::REPLACEMENT_CHARACTER);
            return after;
        };
        for unit in std::iter::once(high).chain(low) {
            repaired.push_str(&format!("\\u{unit:04x}"));
        }
        return after_whole;
    }
    match text.chars().next() {
        Some(known @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
            repaired.push('\\');
            repaired.push(known);
        }
        // Not an escape in JSON: keep the character itself.
        Some(other) if other >= ' ' => repaired.push(other),
        Some(_) | None => {}
    }
    after_first(text)
}

/// A UTF-16 unit as `uXXXX`, and the text after it.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, after) = text.strip_prefix('u')?.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)?, after))
}

fn after_first(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_no_parser_takes_is_replaced() {
        for (text, meant) in [
            (r#"{"a":"\ud83d","b":1}"#, "{\"a\":\"\u{fffd}\",\"b\":1}"),
            (r#"["\ude00\ud83d\ude00"]"#, "[\"\u{fffd}\u{1f600}\"]"),
            (r#"{"a":NaN,"b":-Infinity,"c":[Infinity],"d":"NaN"}"#, r#"{"a":null,"b":null,"c":[null],"d":"NaN"}"#),
            ("{\"a\":\"x\ty\"}", r#"{"a":"x y"}"#),
            (r#"{"a":"it\'s"}"#, r#"{"a":"it's"}"#),
        ] {
            let repaired: Value = serde_json::from_str(&repaired(text)).unwrap();
            assert_eq!(repaired, serde_json::from_str::<Value>(meant).unwrap(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_stays(text in ".{0,40}", number in any::<f64>()) {
            let json = serde_json::json!({ "text": text, "numbers": [number], "deep": { "\\u": text } }).to_string();
            let read: Value = serde_json::from_str(&repaired(&json)).unwrap();
            prop_assert_eq!(read, serde_json::from_str::<Value>(&json).unwrap());
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = repaired(&text);
        }
    }
}
