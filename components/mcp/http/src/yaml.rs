//! Parses YAML to a JSON value. An unquoted number keeps its written form where only a string is allowed: there, `1.10` is a version and not `1.1`.
//! This is all it knows about OpenAPI.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Options, Spanned, from_str_with_options};

/// The keywords whose values follow the schema's type.
const VALUES: [&str; 5] = ["default", "const", "enum", "example", "examples"];
/// The characters of numbers.
const OF_NUMBERS: &str = "+-._0123456789abcdefABCDEFxXoO";

/// Parses a text.
///
/// # Errors
/// [`serde_saphyr::Error`].
pub(crate) fn read(text: &str, options: Options) -> Result<Value, serde_saphyr::Error> {
    let Tree(node) = from_str_with_options(text, options)?;
    Ok(node.value(text, Within::Anything))
}

/// A value. A number has its position in the text.
enum Node {
    Plain(Value),
    Number(Number, Option<(usize, usize)>),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// How much is kept of the inside of a value. Finding positions takes much of the stack, so it is not done at every depth.
#[derive(Clone, Copy)]
enum Kept {
    /// Everything.
    Tree,
    /// In a list, also the positions of its numbers.
    List,
    /// Only the values.
    Values,
}

struct Tree(Node);
struct Listed(Node);
struct Item(Node);

/// The context of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Anything,
    /// Only strings are allowed.
    Words,
    /// The variables of a server, and one variable.
    Variables,
    Variable,
}

impl Node {
    /// The nesting is limited by the parser.
    fn value(self, text: &str, within: Within) -> Value {
        match self {
            Self::Plain(value) => value,
            Self::Number(number, place) => {
                let written = place.and_then(|(from, to)| text.get(from..to)).map(str::trim);
                let written = written.filter(|written| within == Within::Words && *written != number.to_string());
                let is_number = |written: &&str| !written.is_empty() && written.chars().all(|c| OF_NUMBERS.contains(c));
                written.filter(is_number).map_or(Value::Number(number), Value::from)
            }
            Self::List(items) => items.into_iter().map(|item| item.value(text, within)).collect(),
            Self::Map(entries) => {
                let has_words = within == Within::Variable || are_words(&entries);
                let mut map = Map::new();
                for (name, node) in entries {
                    let within = match name.as_str() {
                        _ if within == Within::Variables => Within::Variable,
                        name if has_words && VALUES.contains(&name) => Within::Words,
                        "variables" => Within::Variables,
                        _ => Within::Anything,
                    };
                    map.insert(name, node.value(text, within));
                }
                Value::Object(map)
            }
        }
    }

    fn is_word(&self, words: &[&str]) -> bool {
        matches!(self, Self::Plain(Value::String(word)) if words.contains(&word.as_str()))
    }
}

/// Whether these are the keywords of a schema that allows only strings.
fn are_words(entries: &[(String, Node)]) -> bool {
    let kind = entries.iter().find(|(name, _)| name == "type").map(|(_, kind)| kind);
    match kind {
        Some(Node::List(kinds)) => kinds.iter().all(|kind| kind.is_word(&["string", "null"])),
        Some(kind) => kind.is_word(&["string"]),
        None => false,
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Kept::Tree).map(Self)
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Kept::List).map(Self)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Kept::Values).map(Self)
    }
}

/// A value with its position, if it is a number.
fn placed(node: Node, defined: Location) -> Node {
    let Node::Number(number, _) = node else { return node };
    let span = defined.span();
    let place = span.byte_offset().zip(span.byte_len()).and_then(|(from, length)| {
        let from = usize::try_from(from).ok()?;
        Some((from, from.checked_add(usize::try_from(length).ok()?)?))
    });
    Node::Number(number, place)
}

impl<'de> Visitor<'de> for Kept {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into(), None))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into(), None))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Number::from_f64(value).map_or(Node::Plain(Value::Null), |number| Node::Number(number, None)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        match self {
            Self::Tree => {
                while let Some(Tree(item)) = items.next_element()? {
                    list.push(item);
                }
            }
            Self::List => {
                while let Some(Spanned { value: Item(item), defined, .. }) = items.next_element()? {
                    list.push(placed(item, defined));
                }
            }
            Self::Values => return Value::deserialize(SeqAccessDeserializer::new(items)).map(Node::Plain),
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        if !matches!(self, Self::Tree) {
            return Value::deserialize(MapAccessDeserializer::new(entries)).map(Node::Plain);
        }
        let mut map = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            let node = if VALUES.contains(&name.as_str()) {
                let Spanned { value: Listed(value), defined, .. } = entries.next_value()?;
                placed(value, defined)
            } else {
                let Tree(value) = entries.next_value()?;
                value
            };
            map.push((name, node));
        }
        Ok(Node::Map(map))
    }
}
