//! Finds what a conversation refers to at a provider: things that are kept there and that somebody else may have left. Must not look at tools, whose
//! schemas may use the same names.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The field that names a file.
const FILE: &str = "file_id";
/// The type of an item that stands for one of an earlier answer.
const ITEM: &str = "item_reference";

/// Whether a conversation has such a reference. What cannot be read has none: whoever else reads it refuses it.
pub(crate) fn is_in(conversation: &RawValue) -> bool {
    let mut json = serde_json::Deserializer::from_str(conversation.get());
    Under::Nothing.deserialize(&mut json).unwrap_or_default()
}

/// The field under which a value is.
#[derive(Clone, Copy)]
enum Under {
    File,
    Type,
    Nothing,
}

/// A name that borrows if it can.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Under {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Under {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(match self {
            Self::File => true,
            Self::Type => text == ITEM,
            Self::Nothing => false,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let mut is_found = false;
        while let Some(found) = items.next_element_seed(self)? {
            is_found |= found;
        }
        Ok(is_found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<bool, A::Error> {
        let mut is_found = false;
        while let Some(Name(name)) = fields.next_key()? {
            is_found |= fields.next_value_seed(match &*name {
                FILE => Self::File,
                "type" => Self::Type,
                _ => Self::Nothing,
            })?;
        }
        Ok(is_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_items_of_others_are_found_wherever_they_are() {
        let refers = |json: &str| is_in(&RawValue::from_string(json.to_owned()).unwrap());
        for conversation in [
            r#"[{"type":"item_reference","id":"msg_1"}]"#,
            r#"[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]"#,
            r#"[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]"#,
        ] {
            assert!(refers(conversation), "{conversation}");
        }
        for conversation in [
            r#""item_reference""#,
            r#"[{"role":"user","content":"item_reference file_id"}]"#,
            r#"[{"content":[{"type":"input_file","file_id":null,"file_data":"data:"}]}]"#,
            "[1, true, null, 1.5]",
        ] {
            assert!(!refers(conversation), "{conversation}");
        }
    }
}
