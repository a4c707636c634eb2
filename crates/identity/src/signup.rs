//! Rules for a new account, besides its [address](crate::address) and its [password](crate::password).

/// A name fits on a line.
pub const MAX_NAME_CHARS: usize = 100;

/// A field that is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidField {
    /// The field's name.
    pub field: &'static str,
    /// The message for the person.
    pub message: &'static str,
}

/// The person's display name; may be empty.
///
/// # Errors
/// [`InvalidField`].
pub fn name(text: &str) -> Result<&str, InvalidField> {
    let name = text.trim();
    if name.chars().count() > MAX_NAME_CHARS || name.contains(char::is_control) {
        return Err(InvalidField { field: "name", message: "Use at most 100 characters on one line." });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_on_one_line() {
        assert_eq!(name(" Ada ").unwrap(), "Ada");
        assert!(name(&"x".repeat(101)).is_err() && name("a\nb").is_err());
    }
}
