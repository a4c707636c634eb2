//! The nearest vectors to one, among all of them: exact, because comparing a hundred thousand takes a fraction of what opening them does.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{Vector, vector::product};

/// A vector that is near.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Neighbour<I> {
    /// How near it is: larger is nearer. Only for comparing with others of the same search.
    pub nearness: i32,
    /// What it belongs to.
    pub id: I,
}

/// Keeps the nearest of the vectors that are added.
#[derive(Debug)]
pub struct Nearest<I> {
    to: Vector,
    most: usize,
    found: BinaryHeap<Reverse<Neighbour<I>>>,
}

impl<I: Ord + Copy> Nearest<I> {
    /// Looks for at most so many of the nearest vectors to one.
    #[must_use]
    pub fn new(to: Vector, most: usize) -> Self {
        Self { to, most, found: BinaryHeap::new() }
    }

    /// Considers vectors that lie one behind the other, as they were sealed together, with what each belongs to. Of vectors and ids, the fewer count.
    pub fn add(&mut self, vectors: &[u8], ids: impl IntoIterator<Item = I>) {
        for (bytes, id) in vectors.chunks_exact(self.to.dimensions()).zip(ids) {
            let neighbour = Neighbour { nearness: product(self.to.components(), bytes), id };
            if self.found.len() < self.most {
                self.found.push(Reverse(neighbour));
            } else if self.found.peek().is_some_and(|Reverse(farthest)| neighbour > *farthest) {
                self.found.pop();
                self.found.push(Reverse(neighbour));
            }
        }
    }

    /// The nearest ones, the nearest first.
    #[must_use]
    pub fn found(self) -> Vec<Neighbour<I>> {
        self.found.into_sorted_vec().into_iter().map(|Reverse(neighbour)| neighbour).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_are_found_in_their_order_whatever_the_order_they_came_in() {
        let angle = |degrees: u16| {
            let angle = f32::from(degrees).to_radians();
            Vector::of(&[angle.cos(), angle.sin()]).unwrap().to_bytes()
        };
        let degrees = [80, 10, 179, 0, 45, 3, 90];
        let vectors: Vec<u8> = degrees.into_iter().flat_map(angle).collect();
        let mut nearest = Nearest::new(Vector::of(&[1.0, 0.0]).unwrap(), 3);
        nearest.add(&vectors[..8], degrees[..4].iter().copied());
        nearest.add(&vectors[8..], degrees[4..].iter().copied());
        assert_eq!(nearest.found().into_iter().map(|neighbour| neighbour.id).collect::<Vec<_>>(), [3, 0, 10]);
        let mut none = Nearest::new(Vector::of(&[1.0, 0.0]).unwrap(), 0);
        none.add(&vectors, degrees);
        assert!(none.found().is_empty());
    }
}
