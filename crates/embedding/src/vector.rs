//! A vector of unit length with a byte for each dimension: a quarter of the bytes to seal, open and compare, for no loss that retrieval notices.

/// The most dimensions that a vector may have: more than any model in use gives.
pub const MAX_DIMENSIONS: usize = 4096;

/// What 1 is in a component, times the square root of the dimensions. A component of a unit vector is about one by the square root; what is four times as
/// long is cut to 127. With 256 dimensions a component of 0.25 is 127, which was the best of those measured.
const SCALE: f32 = 31.75;

/// Why there is no vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VectorError {
    /// It has no dimensions, or too many.
    #[error("a vector has 1 to {MAX_DIMENSIONS} dimensions")]
    Dimensions,
    /// It has no direction: all components are zero, or one is not finite.
    #[error("a vector has no direction")]
    Direction,
}

/// A vector of about unit length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vector(Vec<i8>);

impl Vector {
    /// The direction of a model's vector, whatever its length.
    ///
    /// # Errors
    /// [`VectorError`].
    pub fn of(components: &[f32]) -> Result<Self, VectorError> {
        if components.is_empty() || components.len() > MAX_DIMENSIONS {
            return Err(VectorError::Dimensions);
        }
        let length = components.iter().map(|component| component * component).sum::<f32>().sqrt();
        if !length.is_normal() {
            return Err(VectorError::Direction);
        }
        let dimensions = u16::try_from(components.len()).map_err(|_| VectorError::Dimensions)?;
        let scale = SCALE * f32::from(dimensions).sqrt() / length;
        // `as` cuts to the range.
        let byte = |component: &f32| ((component * scale).round() as i8).max(-127);
        Ok(Self(components.iter().map(byte).collect()))
    }

    /// The vector that [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`VectorError::Dimensions`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VectorError> {
        if bytes.is_empty() || bytes.len() > MAX_DIMENSIONS {
            return Err(VectorError::Dimensions);
        }
        Ok(Self(bytes.iter().map(|byte| byte.cast_signed()).collect()))
    }

    /// A byte for each dimension.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().map(|byte| byte.cast_unsigned()).collect()
    }

    /// How many dimensions it has.
    #[must_use]
    pub const fn dimensions(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn components(&self) -> &[i8] {
        &self.0
    }

    /// How near two vectors are: the cosine of the angle between them, from -1 to 1, about. Vectors of different models are not near.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.0.len() != other.0.len() {
            return 0.0;
        }
        let other = other.to_bytes();
        let squared = |vector: &Self| product(&vector.0, &vector.to_bytes()) as f32;
        let lengths = (squared(self) * product_of_bytes(&other) as f32).sqrt();
        if lengths > 0.0 { product(&self.0, &other) as f32 / lengths } else { 0.0 }
    }
}

fn product_of_bytes(bytes: &[u8]) -> i32 {
    bytes.iter().map(|byte| i32::from(byte.cast_signed()).pow(2)).sum()
}

/// The inner product of a vector with one in bytes. At most [`MAX_DIMENSIONS`] times 2^14, which fits. Written so that the compiler makes instructions for
/// sixteen components of it where the target has them.
pub(crate) fn product(vector: &[i8], bytes: &[u8]) -> i32 {
    vector.iter().zip(bytes).map(|(one, other)| i32::from(i16::from(*one) * i16::from(other.cast_signed()))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_its_direction() {
        let vector = Vector::of(&[3.0, 4.0, 0.0]).unwrap();
        assert_eq!(vector, Vector::of(&[0.3, 0.4, 0.0]).unwrap());
        assert_eq!(Vector::from_bytes(&vector.to_bytes()), Ok(vector.clone()));
        assert!((vector.cosine(&vector) - 1.0).abs() < 0.001);
        assert!(vector.cosine(&Vector::of(&[-4.0, 3.0, 0.0]).unwrap()).abs() < 0.05);
        assert!((vector.cosine(&Vector::of(&[-3.0, -4.0, 0.0]).unwrap()) + 1.0).abs() < 0.001);
        assert_eq!(vector.cosine(&Vector::of(&[1.0]).unwrap()), 0.0);
    }

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for components in [&[0.0, 0.0][..], &[f32::NAN, 1.0], &[f32::INFINITY], &[f32::MAX, f32::MAX]] {
            assert_eq!(Vector::of(components), Err(VectorError::Direction), "{components:?}");
        }
        assert_eq!(Vector::of(&[]), Err(VectorError::Dimensions));
        assert_eq!(Vector::of(&vec![1.0; MAX_DIMENSIONS + 1]), Err(VectorError::Dimensions));
        assert_eq!(Vector::from_bytes(&[]), Err(VectorError::Dimensions));
    }
}
