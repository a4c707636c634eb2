//! Finds what a conversation refers to at a provider: things that are kept there and that somebody else may have left. Must not look at tools, whose
//! schemas may use the same names.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::words::{Word, words};

/// The field that names a file.
const FILE: &str = "file_id";
/// The type of an item that stands for one of an earlier answer.
const ITEM: &str = "item_reference";

/// Whether a conversation has such a reference.
pub(crate) fn is_in(conversation: &RawValue) -> bool {
    let mut name = Cow::Borrowed("");
    words(conversation).any(|word| match word {
        Word::Text(text) => match &*name {
            FILE => true,
            "type" => text.read() == ITEM,
            _ => false,
        },
        Word::Name(text) => {
            name = text.read();
            false
        }
        Word::Open | Word::Close | Word::Value | Word::Null => {
            name = Cow::Borrowed("");
            false
        }
    })
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
            // Written otherwise, and beside what not everybody reads.
            r#"[{"\u0066ile_id" : "\u0066ile-1"}]"#,
            r#"[{"content":"\ud83d"},{"type":"item_reference","id":"msg_1"}]"#,
            r#"[{"x":1e999},{"type":"message","type":"item_reference","id":"msg_1"}]"#,
        ] {
            assert!(refers(conversation), "{conversation}");
        }
        for conversation in [
            r#""item_reference""#,
            r#"[{"role":"user","content":"item_reference file_id"}]"#,
            r#"[{"content":[{"type":"input_file","file_id":null,"file_data":"data:"}]}]"#,
            r#"[{"file_id":{}},"hi"]"#,
            "[1, true, null, 1.5]",
        ] {
            assert!(!refers(conversation), "{conversation}");
        }
    }
}
