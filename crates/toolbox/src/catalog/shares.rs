//! Fair shares of a limit: small requests are met in full, and the others get equal shares of the rest.

/// The share of each request, together at most `room`.
pub(super) fn of(wanted: &[usize], room: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..wanted.len()).collect();
    by_size.sort_by_key(|index| wanted.get(*index));
    let mut shares = vec![0; wanted.len()];
    let (mut left, mut others) = (room, wanted.len());
    for index in by_size {
        let fair = left.checked_div(others).unwrap_or(0);
        let share = wanted.get(index).copied().unwrap_or(0).min(fair);
        if let Some(place) = shares.get_mut(index) {
            *place = share;
        }
        left = left.saturating_sub(share);
        others = others.saturating_sub(1);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn who_wants_little_gets_it_whoever_wants_much() {
        assert_eq!(of(&[1_500, 10, 40], 1_000), [950, 10, 40]);
        assert_eq!(of(&[600, 10, 600], 1_000), [495, 10, 495]);
        assert_eq!(of(&[3, 4], 1_000), [3, 4]);
        assert_eq!(of(&[5, 5, 5], 4), [1, 1, 2]);
        assert!(of(&[], 4).is_empty());
    }
}
