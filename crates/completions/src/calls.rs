//! Calls of tools, put together from their fragments.
//!
//! OpenAI numbers calls by `index`, names one and identifies it once, and sends its arguments in pieces. Others leave out the index, give every
//! call the same one, repeat name or id in every fragment, or make up a new id for each. A fragment belongs to the call that its id or index
//! says, unless it cannot: because it begins a call itself and that one is whole.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{nesting::Nesting, round::CompletionError, wire::CallDelta};

/// More calls at once than any model makes on purpose.
pub(crate) const MAX_TOOL_CALLS: usize = 32;
/// The arguments of all calls together.
pub(crate) const MAX_ARGUMENTS_BYTES: usize = 512 * 1024;

/// What some servers write before the arguments.
const NO_ARGUMENTS: [&str; 3] = ["{}", "null", "\"\""];

/// A call that the model asks for. The arguments are its words and may be no JSON.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ToolCallRequest {
    /// The model's id for it; made up from its place when the server gives none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text.
    pub arguments: String,
    /// What the server sent along with it and wants back unchanged, by the fields' names.
    pub kept: Map<String, Value>,
}

/// What is known of each call besides.
#[derive(Clone, Default, Debug)]
struct Place {
    index: Option<i64>,
    has_id: bool,
    /// Its name came once more.
    is_named_again: bool,
    nesting: Nesting,
}

/// Puts calls together.
#[derive(Clone, Default, Debug)]
pub(crate) struct Assembly {
    places: Vec<Place>,
    bytes: usize,
}

impl Assembly {
    /// Reads a fragment.
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
                // Arguments alone are of the tool that was named twice.
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

    /// Reads the fragments of a chunk. What has no numbers and no ids is numbered by its place, where all of it begins calls or all goes on.
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

    /// Arguments that say nothing of whose they are come in the order of the calls. If there are more of them than the last call can have, what
    /// it has is of a call before it that has none.
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

    /// The call that a fragment goes on with; `None`: it begins one.
    fn belongs_to(&self, calls: &[ToolCallRequest], fragment: &Fragment<'_>) -> Option<usize> {
        let last = calls.len().checked_sub(1)?;
        let by_id = fragment
            .id
            .as_deref()
            .and_then(|id| self.position(|at, place| place.has_id && calls.get(at).is_some_and(|call| call.id == id)));
        let by_index = fragment.index.and_then(|index| self.position(|_, place| place.index == Some(index)));
        let at = match (by_id, by_index) {
            (Some(at), _) | (None, Some(at)) => at,
            // A number that was not there before, and nothing that says whose.
            (None, None) if fragment.index.is_some() && (fragment.id.is_some() || fragment.name.is_some()) => {
                return None;
            }
            (None, None) => last,
        };
        let (call, place) = (calls.get(at)?, self.places.get(at)?);
        let is_other = by_id.is_none() && fragment.id.is_some() && place.has_id;
        let begins = match &fragment.name {
            // Another id, and a tool: another call, unless the last one's arguments are to go on.
            Some(_) if is_other => {
                let goes_on = !fragment.arguments.is_empty() && !fragment.arguments.trim_start().starts_with('{');
                call.arguments.is_empty() || place.nesting.is_whole() || !goes_on
            }
            // Another tool, where nothing else tells calls apart. A name may come in pieces, but none of them begins like a name.
            Some(name) if fragment.id.is_none() && !fragment.is_numbered && is_another(call, name) => true,
            // The same tool once more with arguments of its own, after some that were whole; not the same call once more.
            Some(_) => {
                let is_repeated = by_id.is_some() && place.index == fragment.index && fragment.repeats(call);
                place.nesting.is_whole() && fragment.arguments.trim_start().starts_with('{') && !is_repeated
            }
            None if place.is_named_again && fragment.id.is_none() => {
                place.nesting.is_whole() && fragment.is_of_another(call)
            }
            // An id for each fragment, as some servers make up.
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
    /// The index is the server's.
    is_numbered: bool,
    id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    arguments: Cow<'a, str>,
}

impl Fragment<'_> {
    fn repeats(&self, call: &ToolCallRequest) -> bool {
        self.arguments.trim() == call.arguments.trim()
    }

    /// Whether its arguments begin, and are others than a call's.
    fn is_of_another(&self, call: &ToolCallRequest) -> bool {
        self.arguments.trim_start().starts_with('{') && !self.repeats(call)
    }
}

/// What became of a call that is whole, without what its server should have taken off.
pub(crate) fn tidy(call: &mut ToolCallRequest) {
    // The model's own marks, and the place where its tools are.
    let name = call.name.split("<|").next().unwrap_or_default();
    call.name = name.strip_prefix("functions.").unwrap_or(name).trim().to_owned();
    // Some write the arguments as JSON twice.
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

/// Arguments come in pieces. Some servers begin with what means nothing, some end with all of them once more.
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

/// A name comes once, in pieces before the arguments, or whole again with every fragment.
fn add_name(call: &mut ToolCallRequest, name: &str) {
    if name.starts_with(&call.name) {
        name.clone_into(&mut call.name);
    } else if call.arguments.is_empty() {
        call.name.push_str(name);
    }
}
