//! A number: exact as long as possible, then with a known number of correct digits. Every operation is bounded by the size of its operands, and no
//! operand may be larger than `BITS_MAX`.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

/// The message for the model.
pub(crate) type Error = String;

/// The largest numerator or denominator: 4900 digits. The most expensive operation on two such numbers, reducing a fraction, takes some milliseconds.
const BITS_MAX: u64 = 16_384;
/// The most digits of an exact result: a longer one helps nobody. 1000! has 2568.
const EXACT_DIGITS_MAX: usize = 3_000;
/// The digits of a rounded result.
const ROUNDED_DIGITS: usize = 30;
/// The decimal places of a root: more than are shown, so that the errors of several operations stay invisible.
const ROOT_PLACES: u64 = 45;
/// The digits for which binary64 is exact enough.
const FLOAT_DIGITS: usize = 15;
/// The largest index of a root that is computed with integers.
const ROOT_MAX: u32 = 64;
/// With this many zeros after the point or more, a number is written with a power of ten.
const LEADING_ZEROS_MAX: i64 = 6;
const BITS_PER_DIGIT: u64 = 3;

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Number {
    pub(crate) value: BigRational,
    /// The number of correct significant digits; `None`: all.
    digits: Option<usize>,
}

fn too_large<T>() -> Result<T, Error> {
    Err("The numbers get too large: at most about 4900 digits. Use smaller exponents, or logarithms.".into())
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::exact(BigRational::from_integer(value.into()))
    }
}

impl Number {
    pub(crate) fn exact(value: BigRational) -> Self {
        Self { value, digits: None }
    }

    pub(crate) fn rounded(value: BigRational) -> Self {
        Self { value, digits: Some(ROUNDED_DIGITS) }
    }

    /// A result of binary64.
    pub(crate) fn float(value: f64) -> Result<Self, Error> {
        let value =
            BigRational::from_float(value).ok_or("The result is not a number, or too large for this function.")?;
        Ok(Self { value, digits: Some(FLOAT_DIGITS) })
    }

    pub(crate) fn as_float(&self) -> Result<f64, Error> {
        let float = self.value.to_f64().filter(|float| float.is_finite());
        float.ok_or_else(|| "The number is too large for this function: it goes up to 10^308.".into())
    }

    /// From digits, and the power of ten that multiplies them.
    pub(crate) fn decimal(digits: &str, exponent: i64) -> Result<Self, Error> {
        let value: BigInt = digits.parse().map_err(|_| format!("{digits:?} is no number."))?;
        let number = Self::exact(BigRational::from_integer(value));
        number.mul(&Self::from(10).pow(&Self::from(exponent))?)
    }

    /// Another value with the same number of correct digits.
    pub(crate) fn with(&self, value: BigRational) -> Self {
        Self { value, digits: self.digits }
    }

    fn and(&self, other: &Self, value: BigRational) -> Result<Self, Error> {
        let digits = match (self.digits, other.digits) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        Self { value, digits }.bounded()
    }

    fn bounded(self) -> Result<Self, Error> {
        if self.bits() > BITS_MAX { too_large() } else { Ok(self) }
    }

    fn bits(&self) -> u64 {
        self.value.numer().bits().max(self.value.denom().bits())
    }

    pub(crate) fn add(&self, other: &Self) -> Result<Self, Error> {
        self.and(other, &self.value + &other.value)
    }

    pub(crate) fn sub(&self, other: &Self) -> Result<Self, Error> {
        self.and(other, &self.value - &other.value)
    }

    pub(crate) fn mul(&self, other: &Self) -> Result<Self, Error> {
        self.and(other, &self.value * &other.value)
    }

    pub(crate) fn div(&self, other: &Self) -> Result<Self, Error> {
        if other.value.is_zero() {
            return Err("Division by zero has no result.".into());
        }
        self.and(other, &self.value / &other.value)
    }

    /// The remainder, with the sign of the divisor.
    pub(crate) fn modulo(&self, other: &Self) -> Result<Self, Error> {
        let quotient = self.div(other)?;
        self.sub(&other.mul(&quotient.with(quotient.value.floor()))?)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.value.is_zero()
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.value.is_negative()
    }

    pub(crate) fn neg(&self) -> Self {
        self.with(-&self.value)
    }

    pub(crate) fn integer(&self) -> Option<&BigInt> {
        self.value.is_integer().then(|| self.value.numer())
    }

    pub(crate) fn pow(&self, exponent: &Self) -> Result<Self, Error> {
        if self.value.is_zero() && exponent.value.is_negative() {
            return Err("Zero has no negative powers.".into());
        }
        let index = exponent.value.denom().to_u32().filter(|index| *index <= ROOT_MAX);
        let (Some(index), None) = (index, exponent.digits) else {
            return Self::float(self.as_float()?.powf(exponent.as_float()?));
        };
        let root = self.root(index)?;
        let power = exponent.value.numer();
        // The powers of 0, 1 and -1 stay small, however large the exponent.
        if root.value.numer().bits() <= 1 && root.value.denom().is_one() {
            let negative = root.value.is_negative() && power.is_even();
            return Ok(if power.is_zero() {
                Self::from(1)
            } else if negative {
                root.neg()
            } else {
                root
            });
        }
        let times =
            power.abs().to_u64().filter(|times| root.bits().saturating_sub(1).saturating_mul(*times) <= BITS_MAX);
        let Some(times) = times.and_then(|times| u32::try_from(times).ok()) else { return too_large() };
        let value = Pow::pow(&root.value, times);
        root.with(if power.is_negative() { value.recip() } else { value }).bounded()
    }

    pub(crate) fn root(&self, index: u32) -> Result<Self, Error> {
        if index <= 1 {
            return if index == 1 { Ok(self.clone()) } else { Err("There is no root of index 0.".into()) };
        }
        if index > ROOT_MAX {
            return Err(format!("Roots go up to index {ROOT_MAX}."));
        }
        if self.value.is_negative() && index.is_even() {
            return Err("A negative number has no real root of an even index.".into());
        }
        let (numer, denom) = (self.value.numer(), self.value.denom());
        let (top, bottom) = (numer.nth_root(index), denom.nth_root(index));
        if Pow::pow(&top, index) == *numer && Pow::pow(&bottom, index) == *denom {
            return Ok(self.with(BigRational::new(top, bottom)));
        }
        // Small numbers need more places for the same number of digits.
        let small = denom.bits().saturating_sub(numer.bits()) / BITS_PER_DIGIT / u64::from(index);
        let places = u32::try_from(ROOT_PLACES + small).unwrap_or(u32::MAX);
        let root = (numer * ten(places.saturating_mul(index)) / denom).nth_root(index);
        let digits = Some(self.digits.map_or(ROUNDED_DIGITS, |digits| digits.min(ROUNDED_DIGITS)));
        Self { value: BigRational::new(root, ten(places)), digits }.bounded()
    }

    /// The number in decimal, and whether that is its exact value.
    pub(crate) fn write(&self) -> (String, bool) {
        if self.digits.is_none()
            && let Some(text) = self.write_exact()
        {
            return (text, true);
        }
        (self.write_rounded(self.digits.unwrap_or(ROUNDED_DIGITS)), false)
    }

    /// The exact decimal form, if it ends soon enough.
    fn write_exact(&self) -> Option<String> {
        let twos = usize::try_from(self.value.denom().trailing_zeros().unwrap_or(0)).ok()?;
        let mut rest = self.value.denom() >> twos;
        let mut fives = 0;
        let five = BigInt::from(5);
        while !rest.is_one() {
            let (quotient, remainder) = rest.div_rem(&five);
            if !remainder.is_zero() || fives > EXACT_DIGITS_MAX {
                return None;
            }
            rest = quotient;
            fives += 1;
        }
        let places = twos.max(fives);
        if places > EXACT_DIGITS_MAX {
            return None;
        }
        let scaled = self.value.numer() * ten(u32::try_from(places).ok()?) / self.value.denom();
        let digits = scaled.magnitude().to_string();
        (digits.len() <= EXACT_DIGITS_MAX).then(|| plain(scaled.is_negative(), &digits, places))
    }

    fn write_rounded(&self, wanted: usize) -> String {
        if self.value.is_zero() {
            return "0".into();
        }
        let wanted_digits = i64::try_from(wanted).unwrap_or(i64::MAX);
        let length = |number: &BigInt| i64::try_from(number.magnitude().to_string().len()).unwrap_or(i64::MAX);
        // The number of digits before the point is this, or one more.
        let mut before = length(self.value.numer()) - length(self.value.denom());
        let (mut digits, mut places) = self.scaled(wanted_digits - before);
        if digits.len() > wanted {
            before += 1;
            (digits, places) = self.scaled(wanted_digits - before);
        }
        let exponent = i64::try_from(digits.len()).unwrap_or(i64::MAX) - 1 - places;
        let negative = self.value.is_negative();
        if (-LEADING_ZEROS_MAX..wanted_digits).contains(&exponent)
            && let Ok(places) = usize::try_from(places)
        {
            return plain(negative, &digits, places);
        }
        let mantissa = plain(negative, &digits, digits.len().saturating_sub(1));
        format!("{mantissa}e{exponent}")
    }

    /// The digits of the value times a power of ten, rounded to an integer.
    fn scaled(&self, places: i64) -> (String, i64) {
        let power = BigRational::from_integer(ten(u32::try_from(places.unsigned_abs()).unwrap_or(0)));
        let scaled = if places < 0 { &self.value / power } else { &self.value * power };
        (scaled.round().numer().magnitude().to_string(), places)
    }
}

/// A power of ten. Callers have bounded the exponent.
pub(crate) fn ten(power: u32) -> BigInt {
    Pow::pow(BigInt::from(10), power)
}

/// Digits with a point before the last `places`, and no zeros at the end.
fn plain(negative: bool, digits: &str, places: usize) -> String {
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at_checked(padded.len() - places).unwrap_or((&padded, ""));
    let fraction = fraction.trim_end_matches('0');
    let sign = if negative { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}
