//! An operation of a document: its tool, and everything that a call needs. It must not keep the document.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Map, Value, json};
use tool_provider::provider::contract;
use url::Url;

use crate::{
    body::{self, Format},
    name,
    parameter::{self, PARAMETERS_MAX, Parameter, Place, Read, Style},
    schema,
    security::{Requirement, Schemes},
    server,
    value::{self, cut, is_true, text},
};

/// The longest summary and description together: half of what the app passes on to a model.
const DESCRIPTION_CHARS_MAX: usize = 1_000;
/// The longest title, which people read in a question.
const TITLE_CHARS_MAX: usize = 100;
/// The longest path, before parameters are filled in.
const PATH_BYTES_MAX: usize = 1_000;
/// How many references to other files are listed, and how much of each.
const ELSEWHERE_SHOWN_MAX: usize = 3;
const REFERENCE_CHARS_MAX: usize = 100;
/// The smallest room for the schema of an argument: its type always fits.
const ARGUMENT_BYTES_MIN: usize = 256;

/// An operation that can be called.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) tool: contract::Tool,
    pub(crate) method: Method,
    pub(crate) server: Url,
    pub(crate) path: Vec<Piece>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) body: Option<BodyArgument>,
    pub(crate) requirement: Requirement,
    /// The parts that cannot be used, as text for the log.
    pub(crate) left_out: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    Text(String),
    /// The value of the parameter with this name.
    Parameter(String),
}

/// A parameter, and the name of its argument.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) property: String,
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) style: Style,
}

/// The body, and the name of its argument.
#[derive(Debug)]
pub(crate) struct BodyArgument {
    pub(crate) property: String,
    pub(crate) format: Format,
}

/// An operation in its document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'d> {
    pub(crate) root: &'d Value,
    pub(crate) path: &'d str,
    pub(crate) item: &'d Map<String, Value>,
    pub(crate) method: &'d str,
    pub(crate) operation: &'d Map<String, Value>,
}

/// The data that all operations of a document share.
#[derive(Debug)]
pub(crate) struct Shared<'d> {
    pub(crate) api: &'d str,
    pub(crate) title: &'d str,
    pub(crate) schemes: &'d Schemes,
    pub(crate) schema_bytes_max: usize,
}

/// The paths of a document whose operations are in another file, and that file.
pub(crate) fn elsewhere(root: &Value) -> impl Iterator<Item = (&str, &str)> {
    let paths = root.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths.filter_map(move |(path, item)| Some((path.as_str(), value::outside(root, item)?)))
}

/// All operations of a document that are not deprecated.
pub(crate) fn all(root: &Value) -> impl Iterator<Item = Found<'_>> {
    let paths = root.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths.flat_map(move |(path, item)| {
        let item = value::object(root, item);
        let methods = ["get", "head", "put", "post", "patch", "delete"];
        methods.into_iter().filter_map(move |method| {
            let item = item?;
            let operation = item.get(method)?.as_object()?;
            (!is_true(operation, "deprecated")).then_some(Found { root, path, item, method, operation })
        })
    })
}

impl Operation {
    /// # Errors
    /// The reason why the operation cannot be called.
    pub(crate) fn read(found: Found<'_>, shared: &Shared<'_>, taken: &mut BTreeSet<String>) -> Result<Self, String> {
        let Found { root, operation, .. } = found;
        let document = root.as_object().ok_or("it is not an object")?;
        let server = server::address([operation, found.item, document])?;
        let requirement = shared.schemes.requirement(root, operation)?;
        let path = pieces(found.path)?;
        let (mut parameters, elsewhere) = parameters(found, &path)?;
        parameters.retain(|parameter| !requirement.takes(parameter));
        let body = body::read(root, operation)?.filter(|_| !matches!(found.method, "get" | "head"));

        let mut properties = Map::new();
        let mut required: Vec<String> = Vec::new();
        let mut names = BTreeSet::new();
        let count = parameters.len().saturating_add(usize::from(body.is_some())).max(1);
        let mut room = shared.schema_bytes_max;
        let mut left = count;
        // Room that one argument does not need goes to the next ones. The body needs the most and comes last.
        let mut add = |wanted: &str, place: &str, schema: Option<&Value>, words: Option<&str>, is_required: bool| {
            let bytes_max = room.checked_div(left).unwrap_or(room).max(ARGUMENT_BYTES_MIN);
            let mut schema = schema.map_or_else(|| json!({}), |schema| schema::fitting(root, schema, bytes_max));
            if let (Some(words), Some(object)) = (words, schema.as_object_mut()) {
                object.insert("description".to_owned(), cut(words, schema::DESCRIPTION_CHARS_MAX).into());
            }
            room = room.saturating_sub(schema.to_string().len());
            left = left.saturating_sub(1);
            let property = name::argument(wanted, place, &mut names)?;
            properties.insert(property.clone(), schema);
            if is_required {
                required.push(property.clone());
            }
            Some(property)
        };
        let mut arguments = Vec::new();
        for parameter in parameters {
            let Parameter { name, place, style, is_required, description, schema } = parameter;
            let property =
                add(&name, place.name(), schema, description, is_required).ok_or("two parameters are one")?;
            arguments.push(Argument { property, name, place, style });
        }
        let body = match body {
            None => None,
            Some(body) => {
                let property = add("body", "body", body.schema, body.description.as_deref(), body.is_required);
                Some(BodyArgument { property: property.ok_or("its body is a parameter too")?, format: body.format })
            }
        };
        let input_schema = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        let input_schema = input_schema.to_string();
        if input_schema.len() > shared.schema_bytes_max.saturating_add(ARGUMENT_BYTES_MIN.saturating_mul(count)) {
            return Err("its arguments are too many".to_owned());
        }
        let secrets = requirement.names();
        let tool = tool(found, shared, input_schema, secrets, &elsewhere, taken).ok_or("it is there twice")?;
        let method = Method::from_bytes(found.method.to_ascii_uppercase().as_bytes()).map_err(|_| "no method")?;
        let left_out = elsewhere.iter().map(|place| format!("its parameter in another file, {place}")).collect();
        Ok(Self { tool, method, server, path, arguments, body, requirement, left_out })
    }

    /// Whether a call changes nothing, according to its method.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// The host and the path for people, without values.
    pub(crate) fn shown(&self) -> String {
        let path = self.path.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Parameter(name) => format!("{{{name}}}"),
        });
        let host = self.server.host_str().unwrap_or_default();
        format!("{host}{}{}", self.server.path().trim_end_matches('/'), path.collect::<String>())
    }
}

fn tool(
    found: Found<'_>,
    shared: &Shared<'_>,
    input_schema: String,
    secrets: Vec<String>,
    elsewhere: &[String],
    taken: &mut BTreeSet<String>,
) -> Option<contract::Tool> {
    let Found { operation, path, method, .. } = found;
    let called = text(operation, "operationId").map_or_else(|| format!("{method}_{path}"), str::to_owned);
    let name = name::tool(shared.api, &called, &format!("{method} {path}"), taken)?;
    let summary = text(operation, "summary").unwrap_or(&called);
    let mut words = summary.to_owned();
    if let Some(description) = text(operation, "description").filter(|description| *description != summary) {
        words = format!("{words}\n\n{description}");
    }
    let read_only = matches!(method, "get" | "head");
    let mut words = cut(&words, DESCRIPTION_CHARS_MAX);
    if !elsewhere.is_empty() {
        // The model should know that the tool cannot use all parameters.
        let places: Vec<_> = elsewhere.iter().take(ELSEWHERE_SHOWN_MAX).map(String::as_str).collect();
        words = format!("{words}\n\n(Parameters that other files describe cannot be given: {}.)", places.join(", "));
    }
    Some(contract::Tool {
        name,
        title: Some(cut(summary, TITLE_CHARS_MAX)),
        description: format!("{words}\n\n({})", shared.title),
        input_schema,
        output_schema: None,
        annotations: contract::Annotations {
            read_only,
            // Documents do not say this, so the worst is assumed.
            destructive: !read_only,
            idempotent: read_only || matches!(method, "put" | "delete"),
            open_world: true,
            always_asks: false,
        },
        secrets,
        cache_ms: None,
    })
}

/// Splits a path such as `/todos/{id}`.
fn pieces(path: &str) -> Result<Vec<Piece>, String> {
    if !path.starts_with('/') || path.len() > PATH_BYTES_MAX || path.contains(['?', '#']) {
        return Err("its path is not valid".to_owned());
    }
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("its path has a { without a }")?;
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Parameter(name.to_owned()));
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}

/// The parameters of the operation, those of its path that it does not override, and those in the path without a description; and the files that
/// describe further parameters.
fn parameters<'d>(found: Found<'d>, path: &[Piece]) -> Result<(Vec<Parameter<'d>>, Vec<String>), String> {
    let mut read: Vec<Parameter<'d>> = Vec::new();
    let mut elsewhere: Vec<String> = Vec::new();
    let own = value::list(found.operation, "parameters").iter().chain(value::list(found.item, "parameters"));
    for parameter in own {
        if let Some(place) = value::outside(found.root, parameter) {
            if elsewhere.len() < PARAMETERS_MAX {
                elsewhere.push(cut(place, REFERENCE_CHARS_MAX));
            }
            continue;
        }
        let Read::Parameter(parameter) = parameter::read(found.root, parameter)? else { continue };
        if parameter.place == Place::Path && !path.contains(&Piece::Parameter(parameter.name.clone())) {
            continue;
        }
        if !read.iter().any(|known| (&known.name, known.place) == (&parameter.name, parameter.place)) {
            read.push(parameter);
        }
        if read.len() > PARAMETERS_MAX {
            return Err(format!("it has more than {PARAMETERS_MAX} parameters"));
        }
    }
    for piece in path {
        let Piece::Parameter(name) = piece else { continue };
        if !read.iter().any(|known| known.place == Place::Path && known.name == *name) {
            read.push(Parameter {
                name: name.clone(),
                place: Place::Path,
                style: Style::Simple { explode: false },
                is_required: true,
                description: None,
                schema: None,
            });
        }
    }
    // If two have the same name, the path's parameter keeps it.
    read.sort_by_key(|parameter| parameter.place != Place::Path);
    Ok((read, elsewhere))
}
