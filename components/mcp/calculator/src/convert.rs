//! The tool that converts a quantity to another unit.

use schemars::JsonSchema;
use serde::Deserialize;
use tool_provider::{Failure, Structured, tool};

use crate::{calculate::Calculated, expression, number::Error, units};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Convert {
    /// How much: a number such as `5.5`, or an expression such as `5 + 11/12`.
    amount: String,
    /// The unit it is in, such as `km/h`, `°F`, `lb`, `GiB`, `US gallon` or `kWh`: a symbol or an English name.
    from: String,
    /// The unit to convert to, of the same kind.
    to: String,
}

/// Converts between units: length, area, volume, mass, temperature, speed, time, energy, power, pressure, force, angle, data, data rate
/// and fuel use. Use it instead of factors from memory. No currencies.
#[tool(title = "Convert units", read_only, closed_world)]
pub(crate) async fn convert(arguments: Convert) -> Result<Structured<Calculated>, Failure> {
    let ((result, exact), note) = converted(&arguments).map_err(Failure::InvalidArguments)?;
    Ok(Structured(Calculated { result, exact, note }))
}

fn converted(arguments: &Convert) -> Result<((String, bool), Option<&'static str>), Error> {
    let (amount, note) = expression::evaluate_with_note(&arguments.amount)?;
    Ok((units::convert(&amount, &arguments.from, &arguments.to)?.write(), note))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converts(amount: &str, from: &str, to: &str) -> Result<(String, bool), Error> {
        converted(&Convert { amount: amount.into(), from: from.into(), to: to.into() }).map(|(result, _)| result)
    }

    #[test]
    fn quantities_are_converted_exactly_by_definition() {
        for (amount, from, to, result) in [
            ("1", "inch", "cm", "2.54"),
            ("26.2", "miles", "km", "42.1648128"),
            ("5 + 3/12", "ft", "cm", "160.02"),
            ("68", "°F", "celsius", "20"),
            ("-40", "C", "F", "-40"),
            ("0", "K", "°C", "-273.15"),
            ("1", "GiB", "MB", "1073.741824"),
            ("1", "Mbit", "kB", "125"),
            ("1", "kWh", "MJ", "3.6"),
            ("3", "US gallons", "litres", "11.356235352"),
            ("36", "km/h", "m/s", "10"),
            ("2", "ha", "m²", "20000"),
            ("1", "week", "hours", "168"),
            ("1", "atm", "hPa", "1013.25"),
            ("150", "lb", "kg", "68.0388555"),
            ("5", "l/100km", "km/l", "20"),
            ("100", "Mbit/s", "MB/s", "12.5"),
            ("1", "Mm", "m", "1000000"),
            ("1", "Mg", "g", "1000000"),
            ("1", "Mg", "t", "1"),
            ("1", "mPa", "Pa", "0.001"),
            ("1", "mJ", "J", "0.001"),
            ("1", "mHz", "Hz", "0.001"),
            ("1", "Ms", "s", "1000000"),
            ("1", "ML", "l", "1000000"),
            ("1", "Mbar", "bar", "1000000"),
            ("1", "Mm²", "m²", "1000000000000"),
            ("1", "ps", "s", "0.000000000001"),
            ("2", "TW", "GW", "2000"),
            ("1", "Tbps", "Gbit/s", "1000"),
            ("3", "Megametres", "km", "3000"),
            ("5", "picoseconds", "fs", "5000"),
            ("1", "KM", "m", "1000"),
            ("1", "KWH", "MJ", "3.6"),
            ("1", "MHZ", "Hz", "1000000"),
            ("60", "MPH", "km/h", "96.56064"),
            ("-459.67", "f", "K", "0"),
        ] {
            assert_eq!(converts(amount, from, to), Ok((result.into(), true)), "{amount} {from} to {to}");
        }
        assert_eq!(converts("100", "km/h", "mph"), Ok(("62.1371192237333969617434184363".into(), false)));
        assert_eq!(converts("180", "degrees", "rad"), Ok(("3.14159265358979323846264338328".into(), false)));
    }

    #[test]
    fn what_does_not_fit_is_answered_with_words() {
        for (from, to, words) in [
            ("kg", "m", "mass"),
            ("parsnip", "m", "not known"),
            ("USD", "EUR", "currencies"),
            ("gb", "MB", "capitals"),
            ("MM", "m", "capitals"),
            ("MG", "g", "capitals"),
            ("mhz", "Hz", "capitals"),
            ("mbps", "MB/s", "capitals"),
            ("mpa", "bar", "capitals"),
            ("NM", "m", "capitals"),
            ("Nm", "m", "capitals"),
            ("M", "km", "capitals"),
            ("mbit", "B", "capitals"),
            ("c", "f", "\"°C\""),
            ("F", "c", "\"°C\""),
            ("c", "K", "speed of light"),
            ("m", &"x".repeat(1_000), "not known"),
        ] {
            let Err(said) = converts("1", from, to) else { panic!("{from} became {to}") };
            assert!(said.contains(words), "{said}");
        }
        assert!(converts("0", "mpg", "l/100km").is_err());
    }

    #[test]
    fn nothing_is_colder_than_absolute_zero() {
        for (amount, from) in
            [("-300", "°C"), ("-273.16", "C"), ("-459.68", "°F"), ("-1e-9", "K"), ("-1", "mK"), ("-1", "R")]
        {
            let said = converts(amount, from, "K").unwrap_err();
            assert!(said.contains("absolute zero"), "{amount} {from}: {said}");
        }
        assert_eq!(converts("-273.15", "°C", "°F"), Ok(("-459.67".into(), true)));
    }
}
