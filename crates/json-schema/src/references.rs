//! Resolves a `$ref`, only inside the schema itself. Nothing is ever fetched.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::Unusable;

/// The named parts of a schema.
#[derive(Default)]
pub(super) struct References<'s> {
    /// By `$id`. `None`: the name is given twice, so it leads nowhere.
    resources: HashMap<&'s str, Option<&'s Value>>,
    /// By `$anchor`, `$dynamicAnchor`, or in older drafts an `$id` that is a fragment.
    anchors: HashMap<&'s str, Option<&'s Value>>,
}

impl<'s> References<'s> {
    /// Reads all names of a schema.
    pub(super) fn of(root: &'s Value) -> Self {
        let mut names = Self::default();
        let mut rest = vec![root];
        while let Some(value) = rest.pop() {
            match value {
                Value::Array(items) => rest.extend(items),
                Value::Object(keywords) => {
                    names.read(value, keywords);
                    rest.extend(schemas(keywords));
                }
                _ => {}
            }
        }
        names
    }

    fn read(&mut self, schema: &'s Value, keywords: &'s serde_json::Map<String, Value>) {
        let text = |key| keywords.get(key).and_then(Value::as_str);
        if let Some(id) = text("$id") {
            match id.strip_prefix('#') {
                Some(anchor) if !anchor.is_empty() => name(&mut self.anchors, anchor, schema),
                _ => name(&mut self.resources, id.trim_end_matches('#'), schema),
            }
        }
        let (anchor, dynamic) = (text("$anchor"), text("$dynamicAnchor"));
        if let Some(anchor) = anchor {
            name(&mut self.anchors, anchor, schema);
        }
        if let Some(anchor) = dynamic.filter(|dynamic| anchor != Some(dynamic)) {
            name(&mut self.anchors, anchor, schema);
        }
    }

    /// Follows a reference in the resource `base`. Returns the target, and the resource that contains it.
    pub(super) fn follow(&self, reference: &str, base: &'s Value) -> Result<(&'s Value, &'s Value), Unusable> {
        let (resource, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = match resource {
            "" => base,
            _ => match self.resources.get(resource) {
                Some(Some(base)) => base,
                _ => return Err(Unusable::Reference(super::shortened(reference))),
            },
        };
        let found = match fragment {
            "" => Some(base),
            _ if fragment.starts_with('/') => {
                percent_decode_str(fragment).decode_utf8().ok().and_then(|pointer| base.pointer(&pointer))
            }
            _ => self.anchors.get(fragment).copied().flatten(),
        };
        found.map(|found| (found, base)).ok_or_else(|| Unusable::Reference(super::shortened(reference)))
    }
}

fn name<'s>(names: &mut HashMap<&'s str, Option<&'s Value>>, key: &'s str, schema: &'s Value) {
    names.entry(key).and_modify(|found| *found = None).or_insert(Some(schema));
}

/// The values in a schema that may be schemas or contain schemas.
pub(super) fn schemas(keywords: &serde_json::Map<String, Value>) -> impl Iterator<Item = &Value> {
    keywords.iter().filter(|(keyword, _)| !is_data(keyword)).map(|(_, value)| value)
}

/// Whether a keyword's value is data. Data contains no schemas.
fn is_data(keyword: &str) -> bool {
    matches!(keyword, "enum" | "const" | "default" | "examples")
}
