//! Numbers, lengths and edges of CSS, roughly: enough to say whether something is visible. Must not know properties.

/// A length in pixels, roughly. One percent is `percent_px`.
pub(crate) fn pixels(value: &str, percent_px: f32) -> Option<f32> {
    let (number, unit) = measure(value)?;
    let unit_px = match unit {
        "em" | "rem" => 16.0,
        "ex" | "ch" => 8.0,
        "%" => percent_px,
        "vw" | "vh" | "vmin" | "vmax" => 10.0,
        "pt" => 1.33,
        "pc" => 16.0,
        "in" => 96.0,
        "cm" => 37.8,
        "mm" => 3.78,
        _ => 1.0,
    };
    Some(number * unit_px)
}

/// The number at the start of a value.
pub(crate) fn number(value: &str) -> Option<f32> {
    measure(value).map(|(number, unit)| if unit == "%" { number / 100.0 } else { number })
}

/// The number at the start of a value, and its unit. A `calc()` counts if it contains a single number.
pub(crate) fn measure(value: &str) -> Option<(f32, &str)> {
    let value = value.trim_start();
    match value.strip_prefix("calc(") {
        Some(inner) => {
            let (number, unit, rest) = measured(inner.trim_start())?;
            rest.trim_start().starts_with(')').then_some((number, unit))
        }
        None => measured(value).map(|(number, unit, _)| (number, unit)),
    }
}

fn measured(value: &str) -> Option<(f32, &str, &str)> {
    let mut end = 0;
    for (at, c) in value.char_indices() {
        let belongs = match c {
            '0'..='9' | '.' => true,
            '+' | '-' => at == 0,
            _ => false,
        };
        if !belongs {
            break;
        }
        end = at.saturating_add(1);
    }
    let (number, rest) = value.split_at_checked(end)?;
    let end = rest.find(|c: char| !(c.is_ascii_alphabetic() || c == '%')).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(end)?;
    Some((number.parse().ok()?, unit, rest))
}

/// The words of a value. Spaces in brackets do not separate words.
pub(crate) fn words(value: &str) -> impl Iterator<Item = &str> {
    parts(value, ' ')
}

/// The parts between signs of this kind, except signs in brackets.
fn parts(value: &str, sign: char) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    value.split(move |c: char| {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == sign && depth == 0
    })
}

/// The arguments of a function. `text` begins after the opening bracket.
fn given(text: &str) -> &str {
    let mut depth = 0_usize;
    let end = text.find(|c: char| {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' if depth == 0 => return true,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        false
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Whether an `inset` leaves nothing. `edges` begins with the first edge. The order is top, right, bottom, left; a missing edge is as on the other
/// side.
pub(crate) fn is_all_inset(edges: &str) -> bool {
    // After `round` come the radii of the corners.
    let edges = given(edges).split(" round").next().unwrap_or_default();
    let edges: Vec<f32> = words(edges).filter(|edge| !edge.is_empty()).take(4).map(inset_percent).collect();
    let at = |place: usize| edges.get(place).copied();
    let top = at(0).unwrap_or(0.0);
    let right = at(1).unwrap_or(top);
    let (bottom, left) = (at(2).unwrap_or(top), at(3).unwrap_or(right));
    top + bottom >= 100.0 || left + right >= 100.0
}

fn inset_percent(edge: &str) -> f32 {
    measure(edge).filter(|(_, unit)| *unit == "%").map_or(0.0, |(number, _)| number)
}

/// Whether all corners of a polygon are in one place. `false` if the place of a corner must be calculated.
pub(crate) fn is_one_point(corners: &str) -> bool {
    let corners = parts(given(corners), ',').map(str::trim).filter(|corner| !matches!(*corner, "nonzero" | "evenodd"));
    let corners: Option<Vec<_>> = corners.map(corner).collect();
    corners.is_some_and(|corners| match corners.split_first() {
        Some((first, others)) => !others.is_empty() && others.iter().all(|corner| corner == first),
        None => false,
    })
}

/// The place of a corner, if it is given in plain numbers.
fn corner(corner: &str) -> Option<Vec<(f32, &str)>> {
    let edges = words(corner).filter(|edge| !edge.is_empty());
    edges
        .map(|edge| match measured(edge)? {
            // Zero is zero in every unit.
            (0.0, _, "") => Some((0.0, "")),
            (number, unit, "") => Some((number, unit)),
            _ => None,
        })
        .collect()
}
