//! Which vector belongs to a text? The same for the same text, of length 1, and as base64 to those who may ask for it.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::ask::{Unreadable, bad};
use super::call::Call;
use super::model::Manner;
use crate::faults::Fault;
use crate::random::Dice;

/// How long vectors are unless something else was asked.
const DIMENSIONS: usize = 1_536;
/// How long they may be.
const DIMENSIONS_MAX: u64 = 4_096;
/// The most tokens of one text.
const INPUT_TOKENS_MAX: u64 = 8_192;

/// One text, as a repeatable name, and its tokens.
struct Input {
    text: String,
    tokens: u64,
}

/// The vectors that were asked for.
///
/// # Errors
/// Names the first parameter that this provider would not take.
pub(super) fn answer(
    call: &Call<'_>,
    body: &Map<String, Value>,
    fault: Option<&Fault>,
) -> Result<Value, Unreadable> {
    let dialect = call.provider.dialect;
    let model = body.get("model").and_then(Value::as_str);
    let model = model.ok_or_else(|| bad("model", "you must provide a model parameter"))?;
    let inputs = inputs(body.get("input"), dialect.embeds_like_openai())?;
    let most = dialect.embeddings_max();
    if inputs.len() > most {
        return Err(bad("input", format!("batch size is invalid, it should not be larger than {most}")));
    }
    if let Some(long) = inputs.iter().find(|input| input.tokens > INPUT_TOKENS_MAX) {
        let message = format!(
            "This model's maximum context length is {INPUT_TOKENS_MAX} tokens, however you requested {} tokens. \
             Please reduce your prompt.",
            long.tokens
        );
        return Err(bad("input", message));
    }
    let dimensions = match body.get("dimensions") {
        None | Some(Value::Null) => DIMENSIONS,
        Some(_) if Manner::of(model).one_length => {
            return Err(bad("dimensions", "This model does not support specifying dimensions."));
        }
        Some(asked) => match asked.as_u64() {
            Some(asked @ 1..=DIMENSIONS_MAX) => usize::try_from(asked).unwrap_or(DIMENSIONS),
            _ => return Err(bad("dimensions", "a whole number from 1 to 4096")),
        },
    };
    let base64 = match body.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => false,
        // Those who know floats only give floats, whatever was asked.
        Some("base64") => dialect.embeds_like_openai(),
        Some(_) => return Err(bad("encoding_format", "float or base64")),
    };
    if let Some(Fault::ErrorIn200 { .. }) = fault {
        return Ok(dialect.error_in_200(&call.request_id));
    }
    let data = (0..).zip(&inputs).map(|(index, input): (usize, _)| {
        let vector = vector(call.world.seed, &input.text, dimensions);
        let shown: Value = if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|part| part.to_le_bytes()).collect();
            STANDARD.encode(bytes).into()
        } else {
            vector.into_iter().collect()
        };
        json!({"object": "embedding", "index": index, "embedding": shown})
    });
    let tokens: u64 = inputs.iter().map(|input| input.tokens).sum();
    let mut answer = json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    match fault {
        Some(Fault::NoUsage {}) => answer["usage"] = Value::Null,
        Some(Fault::Usage { usage }) => answer["usage"] = usage.clone(),
        _ => {}
    }
    Ok(answer)
}

/// A text, texts, tokens, or lists of tokens; the latter two only where they are understood.
fn inputs(input: Option<&Value>, tokens_too: bool) -> Result<Vec<Input>, Unreadable> {
    let invalid = || bad("input", "'$.input' is invalid. Please check the API reference");
    let of_text = |text: &str| {
        if text.is_empty() {
            return Err(invalid());
        }
        Ok(Input { text: text.into(), tokens: (text.len() as u64).div_ceil(4) })
    };
    let of_tokens = |tokens: &[Value]| {
        if !tokens_too || tokens.is_empty() || !tokens.iter().all(Value::is_u64) {
            return Err(invalid());
        }
        let text = Value::Array(tokens.to_vec()).to_string();
        Ok(Input { text, tokens: tokens.len() as u64 })
    };
    match input {
        Some(Value::String(text)) => Ok(vec![of_text(text)?]),
        Some(Value::Array(items)) if items.first().is_some_and(Value::is_number) => {
            Ok(vec![of_tokens(items)?])
        }
        Some(Value::Array(items)) if !items.is_empty() => items
            .iter()
            .map(|item| match item {
                Value::String(text) => of_text(text),
                Value::Array(tokens) => of_tokens(tokens),
                _ => Err(invalid()),
            })
            .collect(),
        _ => Err(invalid()),
    }
}

/// A vector of length 1.
fn vector(seed: u64, text: &str, dimensions: usize) -> Vec<f32> {
    let mut dice = Dice::of(seed, text);
    let parts: Vec<f64> =
        (0..dimensions).map(|_| f64::from(dice.next() as u32) / f64::from(u32::MAX) - 0.5).collect();
    let length = parts.iter().map(|part| part * part).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    parts.into_iter().map(|part| (part / length) as f32).collect()
}
