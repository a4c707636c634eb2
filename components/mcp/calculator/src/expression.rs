//! Reads an expression and evaluates it at the same time (recursive descent). Its depth, its length and its time are bounded.
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = sign { ("*" | "/" | "%" | "mod" | "of") sign }
//! sign    = ("+" | "-") sign | power
//! power   = postfix [ "^" sign ]
//! postfix = primary { "!" | "%" }
//! primary = number | constant | function "(" sum { "," sum } ")" | "(" sum ")"
//! ```

use std::time::{Duration, Instant};

use crate::{
    functions,
    number::{Error, Number},
};

/// Enough for a list of some hundred prices. Reading takes almost no time compared with computing.
const CHARS_MAX: usize = 4_000;
/// How deep brackets, signs and powers may be nested. Each takes about 1 KiB of the stack's 1 MiB.
const DEPTH_MAX: usize = 50;
/// Checked between operations, each of which takes some milliseconds at most. Other requests wait during a computation.
const TIME_MAX: Duration = Duration::from_millis(200);
/// The most digits of the exponent in a number such as 1e400.
const EXPONENT_DIGITS_MAX: usize = 6;

/// A negative number in a division has two possible remainders, and people mean either.
const REMAINDER_NOTE: &str = "The remainder has the sign of the divisor, as in mathematics and Python. Where it has the sign of the dividend, as in C and JavaScript, it is another.";

/// The value of an expression.
pub(crate) fn evaluate(text: &str) -> Result<Number, Error> {
    evaluate_with_note(text).map(|(value, _)| value)
}

/// The value of an expression, and a note about its meaning if there is one.
pub(crate) fn evaluate_with_note(text: &str) -> Result<(Number, Option<&'static str>), Error> {
    if text.chars().nth(CHARS_MAX).is_some() {
        return Err(format!("The expression is too long: at most {CHARS_MAX} characters. Compute it in parts."));
    }
    let mut reader = Reader { rest: text, depth: 0, until: Instant::now() + TIME_MAX, note: None };
    let value = reader.sum()?;
    match reader.peek() {
        None => Ok((value, reader.note)),
        Some(',') => Err("Write numbers without thousands separators and with a point: 1000.5, not 1,000.5.".into()),
        Some('=') => Err("Write one expression without `=`.".into()),
        Some(')') => Err("There is a `)` without a `(`.".into()),
        Some(found) => Err(format!("There is no operator before {found:?}: write 2 * (3 + 4), not 2(3 + 4).")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    until: Instant,
    note: Option<&'static str>,
}

/// A value, and whether it was written as a percentage: `200 + 10%` is 220.
type Term = (Number, bool);

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Skips one of `wanted` (with other ways to write it), and says which.
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let found = self.peek()?;
        let (meant, bytes) = match found {
            '*' if self.rest.starts_with("**") => ('^', 2),
            '×' | '·' | '⋅' => ('*', found.len_utf8()),
            '÷' => ('/', found.len_utf8()),
            '−' | '–' => ('-', found.len_utf8()),
            _ => (found, found.len_utf8()),
        };
        self.rest = self.rest.get(bytes..).filter(|_| wanted.contains(&meant))?;
        Some(meant)
    }

    fn word(&mut self) -> Option<&'a str> {
        self.peek().filter(|first| first.is_alphabetic())?;
        let rest = self.rest;
        let end = rest.find(|found: char| !found.is_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        self.rest = after;
        Some(word)
    }

    /// Skips the word if it comes next.
    fn take_word(&mut self, wanted: &str) -> bool {
        let before = self.rest;
        let found = self.word().is_some_and(|word| word.eq_ignore_ascii_case(wanted));
        if !found {
            self.rest = before;
        }
        found
    }

    /// Whether a number, a name or a bracket comes next.
    fn operand_follows(&self, after: usize) -> bool {
        let rest = self.rest.get(after..).unwrap_or_default().trim_start();
        let mut next = Reader { rest, depth: 0, until: self.until, note: None };
        let is_word = next.take_word("of") || next.take_word("mod");
        !is_word && rest.starts_with(|next: char| next.is_alphanumeric() || next == '(' || next == '.')
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth >= DEPTH_MAX {
            return Err(format!(
                "The expression is nested too deeply: at most {DEPTH_MAX} levels. Compute it in parts."
            ));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn in_time(&self) -> Result<(), Error> {
        if Instant::now() < self.until {
            return Ok(());
        }
        Err("The calculation takes too long: use smaller numbers or compute it in parts.".into())
    }

    fn sum(&mut self) -> Result<Number, Error> {
        let (mut value, mut only_shares) = self.product()?;
        while let Some(operator) = self.take(&['+', '-']) {
            self.in_time()?;
            let (operand, share) = self.product()?;
            // A percentage is taken of the left side, unless the left side is a percentage itself: 5% + 3% is 8%.
            let operand = if share && !only_shares { value.mul(&operand)? } else { operand };
            value = if operator == '+' { value.add(&operand)? } else { value.sub(&operand)? };
            only_shares &= share;
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<Term, Error> {
        let (mut value, mut share) = self.sign()?;
        loop {
            let operator = match self.take(&['*', '/', '%']) {
                Some(operator) => operator,
                None if self.take_word("mod") => '%',
                None if self.take_word("of") => '*',
                None => return Ok((value, share)),
            };
            self.in_time()?;
            let (operand, _) = self.sign()?;
            value = match operator {
                '*' => value.mul(&operand)?,
                '/' => value.div(&operand)?,
                _ => self.remainder(&value, &operand)?,
            };
            share = false;
        }
    }

    fn remainder(&mut self, value: &Number, divisor: &Number) -> Result<Number, Error> {
        let remainder = value.modulo(divisor)?;
        if !remainder.is_zero() && value.is_negative() != divisor.is_negative() {
            self.note = Some(REMAINDER_NOTE);
        }
        Ok(remainder)
    }

    /// Whether an expression such as `5 % -3` may mean a remainder, or a percentage and then a subtraction. It is clear only if the `%` directly
    /// follows its number and white space follows the `%` (`10% - 3`).
    fn is_unclear(&self, before: &str) -> bool {
        let after = self.rest.get(1..).unwrap_or_default();
        let is_sign = after.trim_start().starts_with(['-', '+', '−', '–']);
        let is_apart = before.starts_with(|next: char| next.is_whitespace());
        is_sign && (is_apart || !after.starts_with(|next: char| next.is_whitespace()))
    }

    fn sign(&mut self) -> Result<Term, Error> {
        match self.take(&['+', '-']) {
            Some('-') => self.deeper(Self::sign).map(|(value, share)| (value.neg(), share)),
            Some(_) => self.deeper(Self::sign),
            None => self.power(),
        }
    }

    fn power(&mut self) -> Result<Term, Error> {
        let (base, share) = self.postfix()?;
        if self.take(&['^']).is_none() {
            return Ok((base, share));
        }
        let (exponent, _) = self.deeper(Self::sign)?;
        self.in_time()?;
        Ok((base.pow(&exponent)?, false))
    }

    fn postfix(&mut self) -> Result<Term, Error> {
        let mut value = self.primary()?;
        let mut share = false;
        loop {
            let before = self.rest;
            match self.peek() {
                Some('%') if self.is_unclear(before) => {
                    return Err(
                        "It is not clear what % means before a sign: write mod(5, -3) for the remainder, or (5%) - 3 for a percentage.".into(),
                    );
                }
                Some('!') => {
                    self.in_time()?;
                    value = functions::factorial(&value)?;
                    share = false;
                }
                Some('%') if !self.operand_follows(1) => {
                    value = value.div(&Number::from(100))?;
                    share = true;
                }
                Some('²') => value = value.pow(&Number::from(2))?,
                Some('³') => value = value.pow(&Number::from(3))?,
                _ => return Ok((value, share)),
            }
            let mut rest = self.rest.chars();
            rest.next();
            self.rest = rest.as_str();
        }
    }

    fn primary(&mut self) -> Result<Number, Error> {
        match self.peek() {
            None => Err("The expression ends where a number should follow.".into()),
            Some('(') => {
                self.take(&['(']);
                let value = self.deeper(Self::sum)?;
                self.close().map(|()| value)
            }
            Some(digit) if digit.is_ascii_digit() || digit == '.' => self.number(),
            Some('√') => {
                self.rest = self.rest.trim_start_matches('√');
                self.deeper(Self::postfix)?.0.root(2)
            }
            Some('π') => {
                self.rest = self.rest.trim_start_matches('π');
                functions::constant("pi").ok_or_else(|| "There is no pi.".into())
            }
            Some(found) => {
                let Some(name) = self.word() else {
                    return Err(format!("{found:?} is not understood where a number should be."));
                };
                let name = name.to_lowercase();
                if self.take(&['(']).is_some() {
                    let arguments = self.deeper(Self::arguments)?;
                    self.in_time()?;
                    if let ("mod", [value, divisor]) = (name.as_str(), arguments.as_slice()) {
                        return self.remainder(value, divisor);
                    }
                    return functions::call(&name, &arguments);
                }
                functions::constant(&name).ok_or_else(|| {
                    format!(
                        "{name:?} is not known: there are numbers, pi, e, and functions with brackets such as sqrt(2)."
                    )
                })
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Number>, Error> {
        let mut arguments = vec![self.sum()?];
        while self.take(&[',', ';']).is_some() {
            arguments.push(self.sum()?);
        }
        self.close().map(|()| arguments)
    }

    fn close(&mut self) -> Result<(), Error> {
        // The text after the bracket stays as it is: a space there may matter.
        if self.take(&[')']).is_some() {
            return Ok(());
        }
        match self.peek() {
            Some(',') => Err("Write numbers without thousands separators: 1000.5, not 1,000.5.".into()),
            None => Err("A `)` is missing at the end.".into()),
            Some(found) => Err(format!("There is no operator before {found:?}, or a `)` is missing.")),
        }
    }

    fn digits(&mut self) -> String {
        let rest = self.rest;
        let end = rest.find(|found: char| !found.is_ascii_digit() && found != '_').unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(end).unwrap_or_default();
        self.rest = after;
        digits.replace('_', "")
    }

    fn number(&mut self) -> Result<Number, Error> {
        let mut digits = self.digits();
        let mut exponent = 0;
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            let fraction = self.digits();
            exponent -= i64::try_from(fraction.len()).unwrap_or(0);
            digits.push_str(&fraction);
        }
        if self.rest.starts_with('.') {
            return Err("A number has two points: write 1000.5, not 1.000.5.".into());
        }
        if let Some(rest) = self.rest.strip_prefix(['e', 'E']) {
            let negative = rest.starts_with('-');
            let rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
            if rest.starts_with(|next: char| next.is_ascii_digit()) {
                self.rest = rest;
                let power = self.digits();
                if power.len() > EXPONENT_DIGITS_MAX {
                    return Err(format!("The power of ten in a number is too large: e{power}."));
                }
                let power: i64 = power.parse().unwrap_or(0);
                exponent += if negative { -power } else { power };
            }
        }
        Number::decimal(&digits, exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<(String, bool), Error> {
        evaluate(text).map(|value| value.write())
    }

    fn exact(text: &str) -> String {
        let (result, exact) = written(text).unwrap();
        assert!(exact, "{text} = {result}");
        result
    }

    fn rounded(text: &str) -> String {
        let (result, exact) = written(text).unwrap();
        assert!(!exact, "{text} = {result}");
        result
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(exact("0.1 + 0.2"), "0.3");
        assert_eq!(exact("1/3 + 2/3"), "1");
        assert_eq!(exact("1/8"), "0.125");
        assert_eq!(exact("123456789.123456789 * 1_000_000_000.000000001"), "123456789123456789.123456789123456789");
        assert_eq!(exact("2^-3 - .5e-2"), "0.12");
        assert_eq!(exact("1e400 / 1e399"), "10");
        assert_eq!(exact("2^200"), "1606938044258990275541962092341162602522202993782792835301376");
        assert_eq!(exact("-2.50"), "-2.5");
    }

    #[test]
    fn what_does_not_end_is_said_to_be_rounded() {
        assert_eq!(rounded("1/3"), "0.333333333333333333333333333333");
        assert_eq!(rounded("-2/3"), "-0.666666666666666666666666666667");
        assert_eq!(rounded("1999/3"), "666.333333333333333333333333333");
        assert_eq!(rounded("2e50/3"), "6.66666666666666666666666666667e49");
        assert_eq!(rounded("1/3e10"), "3.33333333333333333333333333333e-11");
        assert_eq!(rounded("sqrt(2)"), "1.41421356237309504880168872421");
        assert_eq!(rounded("sqrt(2e-31)"), "4.47213595499957939281834733746e-16");
        assert_eq!(rounded("2 * pi"), "6.28318530717958647692528676656");
        assert_eq!(rounded("sqrt(2)^2"), "2");
        assert_eq!(rounded("ln(2)"), "0.693147180559945");
        assert_eq!(rounded("999999999999999999999999999999.9999/7*7 + sqrt(2)*0"), "1e30");
    }

    #[test]
    fn operators_bind_as_everybody_expects() {
        assert_eq!(exact("2 + 3 * 4 ^ 2 / 6 - 1"), "9");
        assert_eq!(exact("-2^2"), "-4");
        assert_eq!(exact("2^3^2"), "512");
        assert_eq!(exact("2**3 × 2 ÷ 4 − 1"), "3");
        assert_eq!(exact("(1 + 2) * (3 + 4)"), "21");
        assert_eq!(exact("5! / 3!"), "20");
        assert_eq!(exact("3² + √16"), "13");
    }

    #[test]
    fn percentages_and_remainders_are_told_apart() {
        assert_eq!(exact("200 + 10%"), "220");
        assert_eq!(exact("200 - 15%"), "170");
        assert_eq!(exact("15% of 80"), "12");
        assert_eq!(exact("17.5% * 240"), "42");
        assert_eq!(exact("5% + 3%"), "0.08");
        assert_eq!(exact("10%"), "0.1");
        assert_eq!(exact("7 % 3"), "1");
        assert_eq!(exact("-7 mod 3"), "2");
        assert_eq!(exact("round(19.99 * (1 + 19%), 2)"), "23.79");
    }

    #[test]
    fn what_a_remainder_of_negative_numbers_means_is_said() {
        for (text, result) in
            [("-7 % 3", "2"), ("7 mod -3", "-2"), ("mod(7, -3)", "-2"), ("1 + (-7.5 mod 2)", "1.5"), ("7 % (-3)", "-2")]
        {
            let (value, note) = evaluate_with_note(text).unwrap();
            assert_eq!(value.write(), (result.into(), true), "{text}");
            assert!(note.unwrap().contains("sign of the divisor"), "{text}");
        }
        for text in ["7 mod 3", "-7 mod -3", "-6 mod 3", "mod(-6, 3)", "7 % 3", "10% - 3"] {
            assert_eq!(evaluate_with_note(text).unwrap().1, None, "{text}");
        }
        for text in ["5 % -3", "5%-3", "5 % - 3", "5 % +3", "5 % −3", "200 + 5 % -3", "(5) % -3"] {
            assert!(evaluate(text).unwrap_err().contains("mod(5, -3)"), "{text}");
        }
        assert_eq!(exact("10% - 3"), "-2.9");
        assert_eq!(exact("200 + 10% - 5"), "215");
        assert_eq!(exact("200 + 10% -5"), "215");
        assert_eq!(exact("(10%)-3"), "-2.9");
    }

    #[test]
    fn what_would_never_end_is_refused_at_once() {
        let (sevens, thirds) = (vec!["1/7^2000"; 300].join("+"), vec!["(1/3+1e-4000)"; 250].join("*"));
        let started = Instant::now();
        for text in [
            "9^9^9^9",
            "10^(10^10)",
            "10^10^10",
            "1000000!",
            "3000!!",
            "1e999999999999",
            "1e999999",
            "0.5^1e100",
            "(1/3)^100000",
            "exp(1e9)",
            "ncr(1e9, 5e8)",
            "root(2, 1e9)",
            "2^(1e4000)",
            "lcm(2^16000, 3^10000, 7)",
            "1.0000001^1e9",
            &thirds,
        ] {
            assert!(evaluate(text).is_err(), "{text}");
        }
        let _ = evaluate(&sevens);
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        assert_eq!(exact("1^1e4000 + 0^5 + (-1)^(10^100+1)"), "0");
        assert_eq!(exact("1000!").len(), 2_568);
    }

    #[test]
    fn depth_and_length_have_limits() {
        for text in ["(".repeat(3_000), "-".repeat(3_000), ["2"; 1_500].join("^"), "√(".repeat(900), "abs(".repeat(900)]
        {
            assert!(evaluate(&text).unwrap_err().contains("nested"), "{text}");
        }
        assert!(evaluate(&"1+".repeat(2_001)).unwrap_err().contains("too long"));
        assert_eq!(exact(&["1.25"; 500].join("+")), "625");
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, words) in [
            ("", "ends"),
            ("1 +", "ends"),
            ("1/0", "zero"),
            ("5 mod 0", "zero"),
            ("0^-1", "Zero"),
            ("1,000.5 * 2", "thousands"),
            ("(1,000)", "thousands"),
            ("2(3)", "2 * (3 + 4)"),
            ("2 x", "operator"),
            ("(1 + 2", "missing"),
            ("1)", "without"),
            ("x = 3", "not known"),
            ("1 = 1", "="),
            ("sqrt(-1)", "negative"),
            ("(-8)^0.5", "negative"),
            ("foo(1)", "not known"),
            ("sqrt 2", "brackets"),
            ("round(1, 2, 3)", "round"),
            ("1.000.5", "points"),
            ("ln(0)", "positive"),
            ("#", "understood"),
            (".", "no number"),
            ("asin(2)", "not a number"),
            ("factorial(1.5)", "whole"),
            ("'🦀'", "understood"),
        ] {
            let said = evaluate(text).unwrap_err();
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
