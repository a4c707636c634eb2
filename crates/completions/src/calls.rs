//! Tool calls, assembled from their fragments.
//!
//! OpenAI numbers calls by `index`, sends a call's name and id once, and its arguments in pieces. Other servers leave out the index, give every
//! call the same one, repeat name or id in every fragment, or make a new id for each fragment. A fragment belongs to the call with its id or
//! index, unless it must be the beginning of a new call because that call is complete.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{nesting::Nesting, round::CompletionError, wire::CallDelta};

/// More calls at once than any model makes on purpose.
pub(crate) const MAX_TOOL_CALLS: usize = 32;
/// The limit for the arguments of all calls together.
pub(crate) const MAX_ARGUMENTS_BYTES: usize = 512 * 1024;

/// Placeholders that some servers send before the arguments.
const NO_ARGUMENTS: [&str; 3] = ["{}", "null", "\"\""];

/// A tool call by the model. The arguments are the model's text and may not be valid JSON.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ToolCallRequest {
    /// The model's id for it. If the server sends none, it is made from the call's position.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
    /// The server's extra fields, which it wants back unchanged, by name.
    pub kept: Map<String, Value>,
}

/// The state of each call while it is assembled.
#[derive(Clone, Default, Debug)]
struct Place {
    index: Option<i64>,
    has_id: bool,
    /// Its name came a second time.
    is_named_again: bool,
    nesting: Nesting,
}

/// Assembles calls.
#[derive(Clone, Default, Debug)]
pub(crate) struct Assembly {
    places: Vec<Place>,
    bytes: usize,
}

impl Assembly {
    fn read(&mut self, calls: &mut Vec<ToolCallRequest>, delta: CallDelta<'_>) -> Result<(), CompletionError> {
        let function = delta.function.unwrap_or_default();
        let id = delta.id.filter(|id| !id.is_empty());
        let name = function.name.filter(|name| !name.is_empty());
        let arguments = function.arguments.unwrap_or_default();
        self.bytes += name.as_deref().map_or(0, str::len) + arguments.len();
        if self.bytes > MAX_ARGUMENTS_BYTES {
            return Err(CompletionError::CallsTooLong);
        }
        let fragment = Fragment {
            index: delta.index,
            is_numbered: delta.index.is_some() && !delta.is_numbered_by_place,
            id,
            name,
            arguments,
        };
        self.make_room(calls, &fragment);
        let at = match self.belongs_to(calls, &fragment) {
            Some(at) => at,
            None if calls.len() >= MAX_TOOL_CALLS => return Err(CompletionError::CallsTooLong),
            None => {
                // Arguments alone belong to the tool whose name came twice.
                let is_bare = fragment.name.is_none() && fragment.id.is_none();
                let name = calls.last().filter(|_| is_bare).map(|call| call.name.clone()).unwrap_or_default();
                calls.push(ToolCallRequest { id: format!("call_{}", calls.len()), name, ..ToolCallRequest::default() });
                self.places.push(Place::default());
                calls.len() - 1
            }
        };
        let (Some(call), Some(place)) = (calls.get_mut(at), self.places.get_mut(at)) else { return Ok(()) };
        place.index = fragment.index.or(place.index);
        if let Some(id) = fragment.id
            && !place.has_id
        {
            place.has_id = true;
            call.id = id.into_owned();
        }
        if let Some(name) = fragment.name {
            place.is_named_again |= call.name == name;
            add_name(call, &name);
        }
        add_arguments(call, &mut place.nesting, &fragment.arguments);
        call.kept.extend(delta.kept.into_iter().map(|(field, value)| (field.to_owned(), value)));
        Ok(())
    }

    /// Reads the fragments of a chunk. If none has an index or id, and either all have names or none has, each gets its position as index.
    pub(crate) fn read_all(
        &mut self,
        calls: &mut Vec<ToolCallRequest>,
        mut deltas: Vec<CallDelta<'_>>,
    ) -> Result<(), CompletionError> {
        let names = deltas.iter().filter(|delta| delta.is_named()).count();
        let is_bare =
            |delta: &CallDelta<'_>| delta.index.is_none() && delta.id.as_deref().unwrap_or_default().is_empty();
        if deltas.len() > 1 && deltas.iter().all(is_bare) && (names == 0 || names == deltas.len()) {
            for (index, delta) in (0..).zip(&mut deltas) {
                (delta.index, delta.is_numbered_by_place) = (Some(index), true);
            }
        }
        deltas.into_iter().try_for_each(|delta| self.read(calls, delta))
    }

    /// Fragments with only arguments come in the order of the calls. If the last call's arguments are already complete, they belong to an
    /// earlier call without arguments, so the arguments shift.
    fn make_room(&mut self, calls: &mut [ToolCallRequest], fragment: &Fragment<'_>) {
        let says_nothing = fragment.index.is_none() && fragment.id.is_none() && fragment.name.is_none();
        let is_full = self.places.last().is_some_and(|place| place.nesting.is_whole());
        if !(says_nothing && is_full && calls.last().is_some_and(|last| fragment.is_of_another(last))) {
            return;
        }
        let Some(free) = calls.iter().rposition(|call| call.arguments.is_empty()) else { return };
        let (Some(calls), Some(places)) = (calls.get_mut(free..), self.places.get_mut(free..)) else { return };
        let taken = |(call, place): (&mut ToolCallRequest, &mut Place)| {
            (std::mem::take(&mut call.arguments), std::mem::take(&mut place.nesting))
        };
        let mut held: Vec<_> = calls.iter_mut().zip(&mut *places).map(taken).collect();
        held.rotate_left(1);
        for ((call, place), (arguments, nesting)) in calls.iter_mut().zip(places).zip(held) {
            (call.arguments, place.nesting) = (arguments, nesting);
        }
    }

    /// The call that a fragment continues; `None`: it begins a call.
    fn belongs_to(&self, calls: &[ToolCallRequest], fragment: &Fragment<'_>) -> Option<usize> {
        let last = calls.len().checked_sub(1)?;
        let by_id = fragment
            .id
            .as_deref()
            .and_then(|id| self.position(|at, place| place.has_id && calls.get(at).is_some_and(|call| call.id == id)));
        let by_index = fragment.index.and_then(|index| self.position(|_, place| place.index == Some(index)));
        let at = match (by_id, by_index) {
            (Some(at), _) | (None, Some(at)) => at,
            // A new index together with an id or a name begins a call.
            (None, None) if fragment.index.is_some() && (fragment.id.is_some() || fragment.name.is_some()) => {
                return None;
            }
            (None, None) => last,
        };
        let (call, place) = (calls.get(at)?, self.places.get(at)?);
        let is_other = by_id.is_none() && fragment.id.is_some() && place.has_id;
        let begins = match &fragment.name {
            // A different id with a name begins a call, unless the fragment continues the last call's arguments.
            Some(_) if is_other => {
                let goes_on = !fragment.arguments.is_empty() && !fragment.arguments.trim_start().starts_with('{');
                call.arguments.is_empty() || place.nesting.is_whole() || !goes_on
            }
            // A different tool name, where nothing else tells calls apart. A name may come in pieces, but a later piece does not begin like a
            // name.
            Some(name) if fragment.id.is_none() && !fragment.is_numbered && is_another(call, name) => true,
            // The same tool again with new arguments after complete ones, but not a repetition of the same call.
            Some(_) => {
                let is_repeated = by_id.is_some() && place.index == fragment.index && fragment.repeats(call);
                place.nesting.is_whole() && fragment.arguments.trim_start().starts_with('{') && !is_repeated
            }
            None if place.is_named_again && fragment.id.is_none() => {
                place.nesting.is_whole() && fragment.is_of_another(call)
            }
            // Some servers make a new id for each fragment.
            None => is_other && (place.nesting.is_whole() || call.name.is_empty()) && !fragment.arguments.is_empty(),
        };
        (!begins).then_some(at)
    }

    fn position(&self, is_it: impl Fn(usize, &Place) -> bool) -> Option<usize> {
        self.places.iter().enumerate().rev().find(|(at, place)| is_it(*at, place)).map(|(at, _)| at)
    }
}

struct Fragment<'a> {
    index: Option<i64>,
    /// The index comes from the server.
    is_numbered: bool,
    id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    arguments: Cow<'a, str>,
}

impl Fragment<'_> {
    fn repeats(&self, call: &ToolCallRequest) -> bool {
        self.arguments.trim() == call.arguments.trim()
    }

    /// Whether its arguments begin a new object, different from the call's.
    fn is_of_another(&self, call: &ToolCallRequest) -> bool {
        self.arguments.trim_start().starts_with('{') && !self.repeats(call)
    }
}

/// Cleans up a complete call: removes parts that its server should have removed.
pub(crate) fn tidy(call: &mut ToolCallRequest) {
    // The model's control tokens, and the namespace of its tools.
    let name = call.name.split("<|").next().unwrap_or_default();
    call.name = name.strip_prefix("functions.").unwrap_or(name).trim().to_owned();
    // Some servers serialize the arguments twice.
    if call.arguments.trim_start().starts_with('"')
        && let Ok(text) = serde_json::from_str::<String>(&call.arguments)
        && text.trim_start().starts_with('{')
    {
        call.arguments = text;
    }
}

fn is_another(call: &ToolCallRequest, next: &str) -> bool {
    // No name ends in the middle of its words.
    let goes_on = call.name.is_empty() || (call.arguments.is_empty() && call.name.ends_with(['_', '-', '.']));
    !goes_on && !next.starts_with(&call.name) && next.starts_with(|first: char| first.is_alphabetic())
}

/// Adds a piece of the arguments. Some servers begin with a placeholder, and some repeat all arguments at the end.
fn add_arguments(call: &mut ToolCallRequest, nesting: &mut Nesting, arguments: &str) {
    if arguments.trim_start().starts_with('{') {
        if nesting.is_whole() && arguments.trim() == call.arguments.trim() {
            return;
        }
        if NO_ARGUMENTS.contains(&call.arguments.trim()) {
            call.arguments.clear();
            *nesting = Nesting::default();
        }
    }
    nesting.read(arguments.as_bytes());
    call.arguments.push_str(arguments);
}

/// Adds a name: it comes once, in pieces before the arguments, or whole with every fragment.
fn add_name(call: &mut ToolCallRequest, name: &str) {
    if name.starts_with(&call.name) {
        name.clone_into(&mut call.name);
    } else if call.arguments.is_empty() {
        call.name.push_str(name);
    }
}
