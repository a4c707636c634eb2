//! The arguments of a call in an event, for people to decide about.

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::value::RawValue;

/// Arguments in the model's own characters, because a person decides about them: parsing would round numbers and drop duplicate names. Arguments that
/// are not an object are written as a string.
pub(super) struct Arguments<'a>(pub(super) &'a str);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.trim();
        if text.is_empty() {
            return serializer.serialize_map(Some(0))?.end();
        }
        if !text.starts_with('{') || serde_json::from_str::<&RawValue>(text).is_err() {
            return serializer.serialize_str(self.0);
        }
        // In JSON, line ends occur only between tokens, where a space means the same. In a frame, a line end would end the event's data.
        match RawValue::from_string(text.replace(['\n', '\r'], " ")) {
            Ok(object) => object.serialize(serializer),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}
