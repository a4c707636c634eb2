//! The forms of ids, names and arguments of calls that the strictest server accepts.

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::{Map, Value};

use crate::{dialect, request::Call};

/// The longest name that servers accept.
const MAX_NAME_CHARS: usize = 64;
/// Some servers accept only ids of this length; others accept up to 40 characters.
const ID_CHARS: usize = 9;
const MAX_ID_CHARS: usize = 40;
const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether a tool may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_CHARS && name.chars().all(may_be_in_name)
}

fn may_be_in_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

/// Turns a name that the model wrote into a valid one.
pub(crate) fn as_name(name: &str) -> Cow<'_, str> {
    if is_name(name) {
        return Cow::Borrowed(name);
    }
    let name: String = name
        .chars()
        .take(MAX_NAME_CHARS)
        .map(|character| if may_be_in_name(character) { character } else { '_' })
        .collect();
    if name.is_empty() { Cow::Borrowed("unnamed") } else { Cow::Owned(name) }
}

/// Arguments that the model wrote, if they are a JSON object, otherwise an empty object. The result of the call has told the model about the
/// mistake.
pub(crate) fn as_arguments(arguments: &str) -> Cow<'_, str> {
    match serde_json::from_str::<Map<String, Value>>(arguments) {
        Ok(_) => Cow::Borrowed(arguments),
        Err(_) => Cow::Borrowed("{}"),
    }
}

#[derive(Default)]
pub(crate) struct CallIds {
    taken: HashSet<String>,
}

impl CallIds {
    /// An id that no other call of the request has. It depends only on the call, so that requests with the same beginning are identical there.
    pub(crate) fn of(&mut self, call: &Call<'_>, form: dialect::CallIds) -> String {
        let given = call.id.chars().count();
        if form == dialect::CallIds::AsGiven
            && (1..=MAX_ID_CHARS).contains(&given)
            && self.taken.insert(call.id.to_owned())
        {
            return call.id.to_owned();
        }
        let mut salt = 0_u64;
        loop {
            let id = short(&call.key, salt);
            if self.taken.insert(id.clone()) {
                return id;
            }
            salt += 1;
        }
    }
}

/// Nine characters of a hash. Two calls of a conversation collide once in a billion conversations.
fn short(key: &str, salt: u64) -> String {
    let mut hasher = DefaultHasher::new();
    (key, salt).hash(&mut hasher);
    let mut rest = hasher.finish();
    let mut id = String::with_capacity(ID_CHARS);
    for _ in 0..ID_CHARS {
        let base = ALPHABET.len() as u64;
        let digit = usize::try_from(rest % base).unwrap_or_default();
        id.push(ALPHABET.get(digit).copied().map_or('0', char::from));
        rest /= base;
    }
    id
}
