//! Functions and constants of expressions. A result that cannot be exact is computed in binary64.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::number::{Error, Number, ten};

/// 1000! has 2568 digits.
const FACTORIAL_MAX: u32 = 1_000;
/// The most choices in `ncr` and `npr`; each costs a multiplication.
const CHOICES_MAX: u32 = 1_000;
/// Decimal places that `round` keeps.
const PLACES_MAX: u32 = 1_000;
const PI: &str = "3141592653589793238462643383279502884197169399375";
const E: &str = "2718281828459045235360287471352662497757247093699";
/// The decimal places of `PI` and `E`.
const CONSTANT_PLACES: u32 = 48;

/// A constant by its name.
pub(crate) fn constant(name: &str) -> Option<Number> {
    let digits = match name {
        "pi" => PI,
        "e" => E,
        _ => return None,
    };
    Some(Number::rounded(BigRational::new(digits.parse().ok()?, ten(CONSTANT_PLACES))))
}

/// The value of a function for these arguments.
pub(crate) fn call(name: &str, arguments: &[Number]) -> Result<Number, Error> {
    match (name, arguments) {
        ("min", [first, rest @ ..]) => {
            Ok(rest.iter().fold(first, |a, b| if b.value < a.value { b } else { a }).clone())
        }
        ("max", [first, rest @ ..]) => {
            Ok(rest.iter().fold(first, |a, b| if b.value > a.value { b } else { a }).clone())
        }
        ("sum", [first, rest @ ..]) => rest.iter().try_fold(first.clone(), |sum, number| sum.add(number)),
        ("mean" | "avg" | "average", [first, rest @ ..]) => {
            let sum = rest.iter().try_fold(first.clone(), |sum, number| sum.add(number))?;
            sum.div(&Number::from(i64::try_from(arguments.len()).unwrap_or(i64::MAX)))
        }
        ("median", _) => median(arguments),
        ("gcd", [first, rest @ ..]) => fold_integers(first, rest, |a, b| a.gcd(b)),
        ("lcm", [first, rest @ ..]) => fold_integers(first, rest, |a, b| a.lcm(b)),
        (_, [x]) => of_one(name, x),
        (_, [x, y]) => of_two(name, x, y),
        _ => unknown(name),
    }
}

fn unknown<T>(name: &str) -> Result<T, Error> {
    Err(format!(
        "The function {name:?} is not known with so many arguments. There are: sqrt, cbrt, root(x, n), abs, sign, floor, ceil, trunc, \
         round(x), round(x, places), min, max, sum, mean, median, gcd, lcm, mod(a, b), factorial, ncr(n, k), npr(n, k), ln, log10, \
         log2, log(x, base), exp, sin, cos, tan, asin, acos, atan, deg, rad."
    ))
}

fn of_one(name: &str, x: &Number) -> Result<Number, Error> {
    let float = |function: fn(f64) -> f64| Number::float(function(x.as_float()?));
    match name {
        "sqrt" => x.root(2),
        "cbrt" => x.root(3),
        "abs" => Ok(x.with(x.value.abs())),
        "sign" => Ok(x.with(x.value.signum())),
        "floor" => Ok(x.with(x.value.floor())),
        "ceil" => Ok(x.with(x.value.ceil())),
        "trunc" => Ok(x.with(x.value.trunc())),
        "round" => Ok(x.with(x.value.round())),
        "factorial" => factorial(x),
        "exp" => float(f64::exp),
        "ln" => positive(x).and_then(|()| float(f64::ln)),
        "log10" | "log" | "lg" => logarithm(x, &Number::from(10)),
        "log2" => logarithm(x, &Number::from(2)),
        "sin" => float(f64::sin),
        "cos" => float(f64::cos),
        "tan" => float(f64::tan),
        "asin" => float(f64::asin),
        "acos" => float(f64::acos),
        "atan" => float(f64::atan),
        "deg" => x.mul(&Number::from(180))?.div(&pi()?),
        "rad" => x.mul(&pi()?)?.div(&Number::from(180)),
        _ => unknown(name),
    }
}

fn of_two(name: &str, x: &Number, y: &Number) -> Result<Number, Error> {
    match name {
        "root" => x.root(whole(y, "The index of a root", u32::MAX)?),
        "pow" => x.pow(y),
        "log" => logarithm(x, y),
        "round" => {
            let places = whole(y, "The number of decimal places", PLACES_MAX)?;
            let scale = BigRational::from_integer(ten(places));
            Ok(x.with((&x.value * &scale).round() / scale))
        }
        "npr" => choices(x, y, false),
        "ncr" => choices(x, y, true),
        _ => unknown(name),
    }
}

fn pi() -> Result<Number, Error> {
    constant("pi").ok_or_else(|| "There is no pi.".into())
}

fn positive(x: &Number) -> Result<(), Error> {
    if x.value.is_positive() { Ok(()) } else { Err("Only positive numbers have a logarithm.".into()) }
}

/// A logarithm; exact if it is a whole number.
fn logarithm(x: &Number, base: &Number) -> Result<Number, Error> {
    positive(x)?;
    positive(base)?;
    if base.value.is_one() {
        return Err("There is no logarithm of base 1.".into());
    }
    let value = x.as_float()?.ln() / base.as_float()?.ln();
    #[allow(clippy::cast_possible_truncation)] // A cast from a float saturates.
    let nearest = Number::from(value.round() as i64);
    match base.pow(&nearest) {
        Ok(power) if power == *x => Ok(nearest),
        _ => Number::float(value),
    }
}

fn median(arguments: &[Number]) -> Result<Number, Error> {
    let mut sorted: Vec<_> = arguments.iter().collect();
    sorted.sort_unstable_by(|a, b| a.value.cmp(&b.value));
    let (low, high) = (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2));
    let (Some(low), Some(high)) = (low, high) else { return unknown("median") };
    low.add(high)?.div(&Number::from(2))
}

fn fold_integers(first: &Number, rest: &[Number], with: fn(&BigInt, &BigInt) -> BigInt) -> Result<Number, Error> {
    rest.iter().try_fold(first.clone(), |found, next| {
        let (Some(one), Some(another)) = (found.integer(), next.integer()) else {
            return Err("gcd and lcm take whole numbers.".into());
        };
        // Adding zero checks the size.
        Number::exact(BigRational::from_integer(with(one, another))).add(&Number::from(0))
    })
}

/// A number that must be whole, not negative and not large.
fn whole(x: &Number, what: &str, max: u32) -> Result<u32, Error> {
    let found = x.integer().and_then(ToPrimitive::to_u32).filter(|found| *found <= max);
    found.ok_or_else(|| format!("{what} must be a whole number from 0 to {max}."))
}

/// The product of all whole numbers up to `x`.
pub(crate) fn factorial(x: &Number) -> Result<Number, Error> {
    let last = whole(x, "What a factorial is taken of", FACTORIAL_MAX)?;
    Ok(Number::exact(BigRational::from_integer((2..=last).map(BigInt::from).product())))
}

/// The number of choices of `k` out of `n`, ordered or unordered.
fn choices(n: &Number, k: &Number, unordered: bool) -> Result<Number, Error> {
    let Some(n) = n.integer().filter(|n| !n.is_negative()) else {
        return Err("ncr and npr take whole numbers that are not negative.".into());
    };
    let k = match k.integer() {
        Some(k) if unordered && !k.is_negative() && k <= n => BigRational::from_integer(k.min(&(n - k)).clone()),
        _ => k.value.clone(),
    };
    let k = whole(&Number::exact(k), "The number of choices", CHOICES_MAX)?;
    let mut product = Number::from(1);
    for index in 0..k {
        let factor = n - index;
        if factor.is_zero() {
            return Ok(Number::from(0));
        }
        product = product.mul(&Number::exact(BigRational::from_integer(factor)))?;
        if unordered {
            product = product.div(&Number::from(i64::from(index) + 1))?;
        }
    }
    Ok(product)
}

#[cfg(test)]
mod tests {
    use crate::expression::evaluate;

    #[test]
    fn functions_are_exact_where_they_can_be() {
        for (text, result) in [
            ("sqrt(16/9) * 3", "4"),
            ("cbrt(-27)", "-3"),
            ("root(1024, 10)", "2"),
            ("8^(2/3)", "4"),
            ("sqrt(0.25)", "0.5"),
            ("round(2.5) + round(-2.5)", "0"),
            ("round(2.345, 2)", "2.35"),
            ("floor(-2.5)", "-3"),
            ("ceil(-2.5)", "-2"),
            ("trunc(-2.5)", "-2"),
            ("min(3, 1/2, 2)", "0.5"),
            ("MAX(3, 7, 5)", "7"),
            ("sum(0.1, 0.2, 0.3)", "0.6"),
            ("mean(1, 2, 4.5)", "2.5"),
            ("median(5, 1, 4, 2)", "3"),
            ("median(7)", "7"),
            ("gcd(12, 18, 27)", "3"),
            ("lcm(4, 6)", "12"),
            ("log10(1000)", "3"),
            ("log2(1/8)", "-3"),
            ("log(81, 3)", "4"),
            ("ncr(49, 6)", "13983816"),
            ("ncr(1000, 998)", "499500"),
            ("ncr(3, 5)", "0"),
            ("npr(5, 2)", "20"),
            ("abs(-3) * sign(-2)", "-3"),
            ("mod(7, -3)", "-2"),
            ("factorial(0)", "1"),
        ] {
            let written = evaluate(text).map(|value| value.write());
            assert_eq!(written, Ok((result.to_owned(), true)), "{text}");
        }
    }

    #[test]
    fn the_rest_is_rounded_to_what_is_known() {
        for (text, result) in [
            ("sin(pi / 6)", "0.5"),
            ("exp(1)", "2.71828182845905"),
            ("log10(2)", "0.301029995663981"),
            ("2^pi", "8.82497782707629"),
            ("deg(pi)", "180"),
            ("atan(1) * 4", "3.14159265358979"),
            ("round(sqrt(2), 2)", "1.41"),
        ] {
            let written = evaluate(text).map(|value| value.write());
            assert_eq!(written, Ok((result.to_owned(), false)), "{text}");
        }
    }
}
