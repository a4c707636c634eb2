//! Units of measurement: a table of their definitions (SI brochure, NIST Handbook 44, IEC 80000-13). No currencies.

use crate::{
    expression,
    number::{Error, Number},
};

/// Every name in the table is shorter.
const NAME_CHARS_MAX: usize = 40;

/// A unit: its kind, how many of the kind's first unit it is, and its names. Names are compared exactly first, then without case.
type Unit = (Kind, &'static str, &'static [&'static str]);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Length,
    Area,
    Volume,
    Mass,
    Temperature,
    Speed,
    Time,
    Energy,
    Power,
    Pressure,
    Force,
    Angle,
    Frequency,
    Data,
    DataRate,
    FuelUse,
}

use Kind::{
    Angle, Area, Data, DataRate, Energy, Force, Frequency, FuelUse, Length, Mass, Power, Pressure, Speed, Temperature,
    Time, Volume,
};

#[rustfmt::skip]
static UNITS: &[Unit] = &[
    (Length, "1", &["m", "metre", "meter"]),
    (Length, "1e-9", &["nm", "nanometre", "nanometer"]),
    (Length, "1e-6", &["µm", "um", "micrometre", "micrometer", "micron"]),
    (Length, "1e-3", &["mm", "millimetre", "millimeter"]),
    (Length, "1e-2", &["cm", "centimetre", "centimeter"]),
    (Length, "1e-1", &["dm", "decimetre", "decimeter"]),
    (Length, "1e3", &["km", "kilometre", "kilometer"]),
    (Length, "0.0254", &["in", "inch", "inches", "\"", "″"]),
    (Length, "0.3048", &["ft", "foot", "feet", "'", "′"]),
    (Length, "0.9144", &["yd", "yard"]),
    (Length, "1609.344", &["mi", "mile"]),
    (Length, "1852", &["nmi", "nautical mile"]),
    (Length, "1.8288", &["fathom"]),
    (Length, "201.168", &["furlong"]),
    (Length, "149597870700", &["au", "astronomical unit"]),
    (Length, "9460730472580800", &["ly", "light year", "lightyear"]),
    (Length, "149597870700 * 648000 / pi", &["pc", "parsec"]),
    (Area, "1", &["m2", "square metre", "square meter"]),
    (Area, "1e-6", &["mm2", "square millimetre", "square millimeter"]),
    (Area, "1e-4", &["cm2", "square centimetre", "square centimeter"]),
    (Area, "1e6", &["km2", "square kilometre", "square kilometer"]),
    (Area, "1e4", &["ha", "hectare"]),
    (Area, "100", &["are"]),
    (Area, "0.0254^2", &["in2", "sq in", "square inch", "square inches"]),
    (Area, "0.3048^2", &["ft2", "sq ft", "sqft", "square foot", "square feet"]),
    (Area, "0.9144^2", &["yd2", "sq yd", "square yard"]),
    (Area, "1609.344^2", &["mi2", "sq mi", "square mile"]),
    (Area, "4046.8564224", &["ac", "acre"]),
    (Volume, "1", &["l", "L", "litre", "liter"]),
    (Volume, "1e-3", &["ml", "mL", "millilitre", "milliliter", "cc", "cm3", "cubic centimetre", "cubic centimeter"]),
    (Volume, "1e-2", &["cl", "cL", "centilitre", "centiliter"]),
    (Volume, "1e-1", &["dl", "dL", "decilitre", "deciliter"]),
    (Volume, "100", &["hl", "hL", "hectolitre", "hectoliter"]),
    (Volume, "1e3", &["m3", "cubic metre", "cubic meter"]),
    (Volume, "1e-6", &["mm3", "cubic millimetre", "cubic millimeter"]),
    (Volume, "0.254^3", &["in3", "cubic inch", "cubic inches"]),
    (Volume, "3.048^3", &["ft3", "cubic foot", "cubic feet"]),
    (Volume, "9.144^3", &["yd3", "cubic yard"]),
    (Volume, "3.785411784", &["gal", "gallon", "us gallon"]),
    (Volume, "3.785411784/4", &["qt", "quart", "us quart"]),
    (Volume, "3.785411784/8", &["pt", "pint", "us pint"]),
    (Volume, "3.785411784/16", &["cup", "us cup"]),
    (Volume, "3.785411784/128", &["fl oz", "floz", "fluid ounce", "us fluid ounce", "us fl oz"]),
    (Volume, "3.785411784/256", &["tbsp", "tablespoon"]),
    (Volume, "3.785411784/768", &["tsp", "teaspoon"]),
    (Volume, "4.54609", &["imp gal", "imperial gallon", "uk gallon"]),
    (Volume, "4.54609/4", &["imperial quart", "uk quart"]),
    (Volume, "4.54609/8", &["imperial pint", "uk pint"]),
    (Volume, "4.54609/160", &["imperial fluid ounce", "uk fluid ounce", "imperial fl oz", "uk fl oz"]),
    (Volume, "158.987294928", &["bbl", "barrel", "oil barrel"]),
    (Mass, "1", &["kg", "kilogram", "kilogramme", "kilo"]),
    (Mass, "1e-9", &["µg", "ug", "mcg", "microgram"]),
    (Mass, "1e-6", &["mg", "milligram"]),
    (Mass, "1e-3", &["g", "gram", "gramme"]),
    (Mass, "1e3", &["t", "tonne", "metric ton"]),
    (Mass, "0.45359237", &["lb", "lbs", "pound"]),
    (Mass, "0.45359237/16", &["oz", "ounce"]),
    (Mass, "0.45359237*14", &["st", "stone"]),
    (Mass, "0.45359237*2000", &["short ton", "us ton"]),
    (Mass, "0.45359237*2240", &["long ton", "imperial ton"]),
    (Mass, "0.45359237/7000", &["gr", "grain"]),
    (Mass, "0.0311034768", &["ozt", "troy ounce"]),
    (Mass, "0.0002", &["ct", "carat"]),
    (Temperature, "1", &["K", "kelvin"]),
    (Temperature, "1", &["C", "°C", "℃", "celsius", "degree celsius", "degrees celsius", "degC"]),
    (Temperature, "5/9", &["F", "°F", "℉", "fahrenheit", "degree fahrenheit", "degrees fahrenheit", "degF"]),
    (Temperature, "5/9", &["R", "°R", "rankine"]),
    (Speed, "1", &["m/s", "mps", "metre per second", "meter per second", "metres per second", "meters per second"]),
    (Speed, "1/3.6", &["km/h", "kmh", "kph", "kilometre per hour", "kilometer per hour", "kilometres per hour", "kilometers per hour"]),
    (Speed, "0.44704", &["mph", "mi/h", "mile per hour", "miles per hour"]),
    (Speed, "1852/3600", &["kn", "kt", "knot"]),
    (Speed, "0.3048", &["ft/s", "fps", "foot per second", "feet per second"]),
    (Speed, "299792458", &["c", "speed of light"]),
    (Time, "1", &["s", "sec", "second"]),
    (Time, "1e-9", &["ns", "nanosecond"]),
    (Time, "1e-6", &["µs", "us", "microsecond"]),
    (Time, "1e-3", &["ms", "millisecond"]),
    (Time, "60", &["min", "minute"]),
    (Time, "3600", &["h", "hr", "hour"]),
    (Time, "86400", &["d", "day"]),
    (Time, "604800", &["wk", "week"]),
    (Time, "86400*365.25/12", &["month"]),
    (Time, "86400*365.25", &["yr", "year", "julian year"]),
    (Energy, "1", &["J", "joule"]),
    (Energy, "1e3", &["kJ", "kilojoule"]),
    (Energy, "1e6", &["MJ", "megajoule"]),
    (Energy, "1e9", &["GJ", "gigajoule"]),
    (Energy, "3600", &["Wh", "watt hour", "watt-hour"]),
    (Energy, "3.6e6", &["kWh", "kilowatt hour", "kilowatt-hour"]),
    (Energy, "3.6e9", &["MWh", "megawatt hour", "megawatt-hour"]),
    (Energy, "4.184", &["cal", "calorie"]),
    (Energy, "4184", &["kcal", "kilocalorie", "Cal", "food calorie"]),
    (Energy, "1055.05585262", &["BTU", "british thermal unit"]),
    (Energy, "105505585.262", &["therm"]),
    (Energy, "1.602176634e-19", &["eV", "electronvolt"]),
    (Energy, "1.3558179483314004", &["ft lb", "ft-lb", "ft lbf", "foot-pound", "foot pound"]),
    (Power, "1", &["W", "watt"]),
    (Power, "1e-3", &["mW", "milliwatt"]),
    (Power, "1e3", &["kW", "kilowatt"]),
    (Power, "1e6", &["MW", "megawatt"]),
    (Power, "1e9", &["GW", "gigawatt"]),
    (Power, "550 * 1.3558179483314004", &["hp", "horsepower", "mechanical horsepower"]),
    (Power, "735.49875", &["PS", "metric horsepower"]),
    (Power, "1055.05585262/3600", &["BTU/h"]),
    (Pressure, "1", &["Pa", "pascal"]),
    (Pressure, "100", &["hPa", "hectopascal", "mbar", "millibar"]),
    (Pressure, "1e3", &["kPa", "kilopascal"]),
    (Pressure, "1e6", &["MPa", "megapascal"]),
    (Pressure, "1e5", &["bar"]),
    (Pressure, "101325", &["atm", "atmosphere"]),
    (Pressure, "101325/760", &["torr", "Torr"]),
    (Pressure, "133.322387415", &["mmHg"]),
    (Pressure, "3386.388640341", &["inHg"]),
    (Pressure, "4.4482216152605/0.0254^2", &["psi", "pound per square inch", "pounds per square inch"]),
    (Force, "1", &["N", "newton"]),
    (Force, "1e3", &["kN", "kilonewton"]),
    (Force, "4.4482216152605", &["lbf", "pound-force", "pound force"]),
    (Force, "9.80665", &["kgf", "kilogram-force", "kilogram force", "kp", "kilopond"]),
    (Force, "1e-5", &["dyn", "dyne"]),
    (Angle, "1", &["rad", "radian"]),
    (Angle, "pi/180", &["deg", "°", "degree"]),
    (Angle, "pi/200", &["gon", "grad", "gradian"]),
    (Angle, "2*pi", &["turn", "revolution"]),
    (Angle, "pi/10800", &["arcmin", "arcminute"]),
    (Angle, "pi/648000", &["arcsec", "arcsecond"]),
    (Frequency, "1", &["Hz", "hertz"]),
    (Frequency, "1e3", &["kHz", "kilohertz"]),
    (Frequency, "1e6", &["MHz", "megahertz"]),
    (Frequency, "1e9", &["GHz", "gigahertz"]),
    (Frequency, "1/60", &["rpm"]),
    (Data, "1", &["B", "byte"]),
    (Data, "1/8", &["bit", "b"]),
    (Data, "1e3/8", &["kbit", "kb", "kilobit"]),
    (Data, "1e6/8", &["Mbit", "Mb", "megabit"]),
    (Data, "1e9/8", &["Gbit", "Gb", "gigabit"]),
    (Data, "1e12/8", &["Tbit", "Tb", "terabit"]),
    (Data, "1e3", &["kB", "KB", "kilobyte"]),
    (Data, "1e6", &["MB", "megabyte"]),
    (Data, "1e9", &["GB", "gigabyte"]),
    (Data, "1e12", &["TB", "terabyte"]),
    (Data, "1e15", &["PB", "petabyte"]),
    (Data, "2^10", &["KiB", "kibibyte"]),
    (Data, "2^20", &["MiB", "mebibyte"]),
    (Data, "2^30", &["GiB", "gibibyte"]),
    (Data, "2^40", &["TiB", "tebibyte"]),
    (Data, "2^50", &["PiB", "pebibyte"]),
    (DataRate, "1", &["bit/s", "bps", "bit per second", "bits per second"]),
    (DataRate, "1e3", &["kbit/s", "kbps", "kilobits per second"]),
    (DataRate, "1e6", &["Mbit/s", "Mbps", "megabits per second"]),
    (DataRate, "1e9", &["Gbit/s", "Gbps", "gigabits per second"]),
    (DataRate, "8", &["B/s", "bytes per second"]),
    (DataRate, "8e3", &["kB/s", "kilobytes per second"]),
    (DataRate, "8e6", &["MB/s", "megabytes per second"]),
    (DataRate, "8e9", &["GB/s", "gigabytes per second"]),
    (DataRate, "8*2^20", &["MiB/s"]),
    (FuelUse, "1", &["km/l", "km/L", "kilometres per litre", "kilometers per liter"]),
    (FuelUse, "100", &["l/100km", "l/100 km", "L/100km", "L/100 km", "litres per 100 km", "liters per 100 km"]),
    (FuelUse, "1.609344/3.785411784", &["mpg", "us mpg", "miles per gallon"]),
    (FuelUse, "1.609344/4.54609", &["imperial mpg", "uk mpg"]),
];

/// A unit of fuel per distance; the other units of its kind are distance per fuel.
const RECIPROCAL: &str = "l/100km";

/// The distance from absolute zero to the zero of the scale, in its own degrees.
const ZEROS: &[(&str, &str)] = &[("C", "273.15"), ("F", "459.67")];

const CURRENCIES: &[&str] = &[
    "usd",
    "eur",
    "gbp",
    "jpy",
    "chf",
    "cny",
    "inr",
    "dollar",
    "euro",
    "yen",
    "pound sterling",
    "$",
    "€",
    "£",
    "¥",
    "btc",
];

/// Symbols that take the prefixes of the SI, and how often a prefix counts in them: twice in an area.
const PREFIXED: &[(&str, i64)] = &[
    ("m", 1),
    ("m2", 2),
    ("m3", 3),
    ("l", 1),
    ("L", 1),
    ("g", 1),
    ("t", 1),
    ("K", 1),
    ("m/s", 1),
    ("s", 1),
    ("J", 1),
    ("Wh", 1),
    ("cal", 1),
    ("eV", 1),
    ("W", 1),
    ("Pa", 1),
    ("bar", 1),
    ("N", 1),
    ("rad", 1),
    ("Hz", 1),
    ("B", 1),
    ("bit", 1),
    ("b", 1),
    ("bit/s", 1),
    ("bps", 1),
    ("B/s", 1),
];

/// Names that take the prefixes of the SI.
const PREFIXED_NAMES: &[&str] = &[
    "metre",
    "meter",
    "litre",
    "liter",
    "gram",
    "gramme",
    "tonne",
    "second",
    "joule",
    "watt",
    "pascal",
    "newton",
    "hertz",
    "byte",
    "bit",
    "kelvin",
    "electronvolt",
    "calorie",
    "radian",
];

/// Symbol, name and power of ten (SI brochure, table 7).
const PREFIXES: &[(&str, &str, i64)] = &[
    ("Q", "quetta", 30),
    ("R", "ronna", 27),
    ("Y", "yotta", 24),
    ("Z", "zetta", 21),
    ("E", "exa", 18),
    ("P", "peta", 15),
    ("T", "tera", 12),
    ("G", "giga", 9),
    ("M", "mega", 6),
    ("k", "kilo", 3),
    ("h", "hecto", 2),
    ("da", "deca", 1),
    ("d", "deci", -1),
    ("c", "centi", -2),
    ("m", "milli", -3),
    ("µ", "micro", -6),
    ("u", "micro", -6),
    ("n", "nano", -9),
    ("p", "pico", -12),
    ("f", "femto", -15),
    ("a", "atto", -18),
    ("z", "zepto", -21),
    ("y", "yocto", -24),
    ("r", "ronto", -27),
    ("q", "quecto", -30),
];

/// A unit, perhaps with a prefix.
#[derive(Clone, Copy, Debug)]
struct Found {
    unit: &'static Unit,
    /// The power of ten.
    power: i64,
}

/// An amount in another unit.
pub(crate) fn convert(amount: &Number, from: &str, to: &str) -> Result<Number, Error> {
    let (source, target) = (find(from)?, find(to)?);
    if source.unit.0 != target.unit.0 {
        return Err(otherwise(from, source, target).or_else(|| otherwise(to, target, source)).unwrap_or_else(|| {
            format!(
                "Units of {} cannot be converted to units of {}: give two units of the same kind.",
                words(source.unit.0),
                words(target.unit.0)
            )
        }));
    }
    let base = if is_reciprocal(source.unit) {
        source.factor()?.div(amount)?
    } else {
        amount.add(&zero(source.unit)?)?.mul(&source.factor()?)?
    };
    if source.unit.0 == Temperature && base.is_negative() {
        return Err("That is below absolute zero, which is 0 K, -273.15 °C or -459.67 °F.".into());
    }
    let factor = target.factor()?;
    if is_reciprocal(target.unit) { factor.div(&base) } else { base.div(&factor)?.sub(&zero(target.unit)?) }
}

/// An error if the symbol also names a unit of the other's kind: `c` is the speed of light, but is also written for degrees.
fn otherwise(name: &str, found: Found, other: Found) -> Option<Error> {
    let lower = name.trim().to_lowercase();
    let is_meant = |unit: &&Unit| unit.0 == other.unit.0 && unit.2.iter().any(|known| known.to_lowercase() == lower);
    let meant = UNITS.iter().find(is_meant)?;
    Some(format!(
        "{:?} is {}, which cannot be converted to {}. If you mean another unit, write {:?}.",
        name.trim(),
        found.unit.2.last()?,
        words(other.unit.0),
        meant.2.get(1).or(meant.2.first())?
    ))
}

fn is_reciprocal(unit: &Unit) -> bool {
    unit.2.contains(&RECIPROCAL)
}

fn zero(unit: &Unit) -> Result<Number, Error> {
    let found = ZEROS.iter().find(|(symbol, _)| unit.0 == Temperature && unit.2.first() == Some(symbol));
    found.map_or(Ok(Number::from(0)), |(_, zero)| expression::evaluate(zero))
}

impl Found {
    fn factor(self) -> Result<Number, Error> {
        expression::evaluate(self.unit.1)?.mul(&Number::from(10).pow(&Number::from(self.power))?)
    }
}

/// Finds a unit. Symbols mean different things in capitals (`Mm`, `mW`, `Mb`). A text that is not a symbol as written may be in any case, if its
/// meaning is clear and no prefix changes.
fn find(name: &str) -> Result<Found, Error> {
    let name = name.trim();
    if name.chars().nth(NAME_CHARS_MAX).is_some() {
        return Err("The unit is not known: its name is too long.".into());
    }
    let name = name.replace('²', "2").replace('³', "3").replace("^2", "2").replace("^3", "3").replace('μ', "µ");
    if let Some(unit) = symbol(&name) {
        return Ok(Found { unit, power: 0 });
    }
    if let Some(found) = with_prefix(&name) {
        return Ok(found);
    }
    let lower = name.to_lowercase();
    let singular = lower.strip_suffix('s').filter(|singular| singular.chars().nth(2).is_some());
    for wanted in [Some(lower.as_str()), singular].into_iter().flatten() {
        let known = UNITS.iter().flat_map(|unit| unit.2.iter().map(move |known| (unit, *known)));
        let mut found: Vec<_> = known.filter(|(_, known)| known.to_lowercase() == wanted).collect();
        if let Some((_, known)) = found.iter().find(|(_, known)| is_another_prefix(&name, known)) {
            return Err(format!(
                "{name:?} is not clear: write {known:?} if you mean that. Mind the capitals: m is a thousandth, M a million; n a billionth, N newton; p a trillionth, P a quadrillion."
            ));
        }
        found.dedup_by_key(|(unit, _)| std::ptr::from_ref::<Unit>(*unit));
        match found.as_slice() {
            [] => {}
            [(unit, _)] => return Ok(Found { unit, power: 0 }),
            [(one, _), (another, _), ..] => {
                return Err(format!("{name:?} may be {:?} or {:?}: mind the capitals.", one.2, another.2));
            }
        }
        if let Some(found) = with_prefix_name(wanted) {
            return Ok(found);
        }
    }
    if CURRENCIES.contains(&singular.unwrap_or(&lower)) || CURRENCIES.contains(&lower.as_str()) {
        return Err("There are no currencies here: look up the rate, then use `calculate`.".into());
    }
    Err(format!(
        "The unit {name:?} is not known: use a symbol or an English name, such as km, lb, °C, US gallon, km/h, kWh, psi or GiB."
    ))
}

fn symbol(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.2.contains(&name))
}

fn with_prefix(name: &str) -> Option<Found> {
    PREFIXES.iter().find_map(|(prefix, _, power)| {
        let rest = name.strip_prefix(prefix)?;
        let (_, times) = PREFIXED.iter().find(|(symbol, _)| *symbol == rest)?;
        let unit = symbol(rest)?;
        // A bit has no parts.
        let is_possible = *power > 0 || !matches!(unit.0, Data | DataRate);
        is_possible.then_some(Found { unit, power: power * times })
    })
}

fn with_prefix_name(name: &str) -> Option<Found> {
    PREFIXES.iter().find_map(|(_, prefix, power)| {
        let rest = name.strip_prefix(prefix)?;
        let unit = symbol(PREFIXED_NAMES.iter().find(|name| **name == rest)?)?;
        Some(Found { unit, power: *power })
    })
}

/// Whether a symbol differs from a known one in the case of its prefix, which then is another prefix, or of a letter that may be one.
fn is_another_prefix(name: &str, known: &str) -> bool {
    let (Some(first), Some(own)) = (name.chars().next(), known.chars().next()) else { return false };
    let rest = known.strip_prefix(own).unwrap_or_default();
    let is_prefixed = rest.is_empty() || PREFIXED.iter().any(|(symbol, _)| *symbol == rest);
    first != own && is_prefixed && "mpnyzrq".contains(own.to_ascii_lowercase())
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Length => "length",
        Area => "area",
        Volume => "volume",
        Mass => "mass",
        Temperature => "temperature",
        Speed => "speed",
        Time => "time",
        Energy => "energy",
        Power => "power",
        Pressure => "pressure",
        Force => "force",
        Angle => "angle",
        Frequency => "frequency",
        Data => "data",
        DataRate => "data rate",
        FuelUse => "fuel use",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_means_one_unit_and_every_factor_is_a_number() {
        let mut names: Vec<_> = UNITS.iter().flat_map(|unit| unit.2).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for unit in UNITS {
            assert!(expression::evaluate(unit.1).is_ok(), "{unit:?}");
            for name in unit.2 {
                let found = find(name).unwrap();
                assert!(std::ptr::eq(found.unit, unit) && found.power == 0, "{name}");
            }
        }
    }

    #[test]
    fn what_takes_prefixes_is_in_the_table() {
        for name in PREFIXED.iter().map(|(symbol, _)| symbol).chain(PREFIXED_NAMES) {
            assert!(symbol(name).is_some(), "{name}");
        }
    }
}
