//! Which value fits a JSON schema?
use serde_json::{Map, Value};

/// Schemas nested deeper than this are answered with null.
const DEPTH_MAX: usize = 16;

/// Makes values that fit a JSON schema.
struct Filler<'a> {
    /// Where `$ref` points into.
    root: &'a Value,
    echo: &'a str,
    /// How many more values may be made; a schema can ask for more than anybody wants.
    left: usize,
}

/// A value that fits `schema`; strings say `echo`.
pub(super) fn fill(schema: &Value, echo: &str) -> Value {
    Filler { root: schema, echo, left: 2_000 }.value(schema, "", 0)
}

impl Filler<'_> {
    /// A value for the property `name`.
    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > DEPTH_MAX || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if let Some(target) = schema["$ref"].as_str() {
            let target = target.strip_prefix('#').and_then(|path| self.root.pointer(path));
            return target.map_or(Value::Null, |target| self.value(target, name, depth + 1));
        }
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema[several].get(0) {
                return self.value(first, name, depth + 1);
            }
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
            }
            _ if schema["properties"].is_object() => "object",
            _ => "string",
        };
        match kind {
            "object" => {
                let properties = schema["properties"].as_object();
                let filled = properties
                    .into_iter()
                    .flatten()
                    .map(|(name, property)| (name.clone(), self.value(property, name, depth + 1)));
                Value::Object(filled.collect::<Map<_, _>>())
            }
            "array" => {
                // Lists of lists end somewhere.
                let usual = u64::from(depth <= DEPTH_MAX / 2);
                let len = schema["minItems"].as_u64().unwrap_or(usual).min(16);
                (0..len).map(|_| self.value(&schema["items"], name, depth + 1)).collect()
            }
            "integer" => schema["minimum"].as_i64().or(schema["maximum"].as_i64()).unwrap_or(7).into(),
            "number" => schema["minimum"].as_f64().or(schema["maximum"].as_f64()).unwrap_or(7.5).into(),
            "boolean" => true.into(),
            "null" => Value::Null,
            _ => match (schema["format"].as_str(), name) {
                (Some("date"), _) => "2026-01-31".into(),
                (Some("date-time"), _) => "2026-01-31T08:00:00+08:00".into(),
                (Some("email"), _) => "sim@example.test".into(),
                (Some("uri"), _) => "https://example.test/".into(),
                (_, "city" | "location" | "place") => "北京".into(),
                (_, "unit") => "celsius".into(),
                _ => format!("模拟 {} 😀", self.echo).into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_filled_in_every_kind_of_property() {
        let schema = json!({"type": "object", "$defs": {"mood": {"enum": ["good", "bad"]}}, "properties": {
            "city": {"type": "string"}, "count": {"type": "integer", "minimum": 3}, "share": {"type": "number"},
            "sure": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "mood": {"$ref": "#/$defs/mood"}, "maybe": {"type": ["null", "integer"]},
            "self": {"$ref": "#"}
        }});
        let filled = fill(&schema, "hi");
        assert_eq!(filled["city"], "北京");
        assert_eq!(filled["count"], 3);
        assert_eq!(filled["share"], 7.5);
        assert_eq!(filled["sure"], true);
        assert_eq!(filled["tags"].as_array().map(Vec::len), Some(2));
        assert_eq!(filled["mood"], "good");
        assert_eq!(filled["maybe"], 7);
    }
}
