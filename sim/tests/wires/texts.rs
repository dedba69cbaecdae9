//! Old completions, and vectors.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::far::{Far, Streamed};

#[tokio::test]
async fn an_old_completion_says_the_same_streamed_and_in_one_piece() {
    let far = Far::open().await;
    let at = "/openai/v1/completions";
    let mut question = json!({"model": "sim-instruct", "prompt": "Say 你好", "max_tokens": 100});
    let (status, whole) = far.json_at(at, &question).await;
    assert_eq!((status, &whole["object"]), (200, &json!("text_completion")), "{whole}");
    let text = whole["choices"][0]["text"].as_str().unwrap();
    question["stream"] = true.into();
    question["stream_options"] = json!({"include_usage": true});
    let stream = Streamed::read(&far.at(at, &question).await.text().await.unwrap());
    let said: String = stream.chunks.iter().filter_map(|it| it["choices"][0]["text"].as_str()).collect();
    assert_eq!((said.as_str(), stream.done), (text, true));
    assert_eq!(stream.usages(), [&whole["usage"]]);
    let short = json!({"model": "sim-instruct", "prompt": ["a", "b"], "echo": true});
    let (_, whole) = far.json_at(at, &short).await;
    assert_eq!(whole["choices"].as_array().unwrap().len(), 2);
    assert_eq!(whole["usage"]["completion_tokens"], 32, "sixteen tokens each unless told otherwise");
    let (status, error) = far.json_at(at, &json!({"model": "sim-fast", "prompt": "hi"})).await;
    assert_eq!(status, 404);
    assert!(error["error"]["message"].as_str().unwrap().contains("v1/chat/completions"), "{error}");
    let chat = json!({"model": "sim-instruct", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(far.json_at("/openai/v1/chat/completions", &chat).await.0, 404);
}

fn floats(vector: &Value) -> Vec<f32> {
    match vector {
        Value::String(text) => {
            let bytes = STANDARD.decode(text).unwrap();
            bytes.chunks(4).map(|part| f32::from_le_bytes(part.try_into().unwrap())).collect()
        }
        list => list.as_array().unwrap().iter().map(|part| part.as_f64().unwrap() as f32).collect(),
    }
}

#[tokio::test]
async fn vectors_are_the_same_as_floats_and_in_base64() {
    let far = Far::open().await;
    let at = "/openai/v1/embeddings";
    let ask =
        |input: Value, format: &str| json!({"model": "sim-embed", "input": input, "encoding_format": format});
    let (_, plain) = far.json_at(at, &ask(json!(["one", "two"]), "float")).await;
    let (_, packed) = far.json_at(at, &ask(json!(["one", "two"]), "base64")).await;
    for index in [0, 1] {
        let vector = floats(&plain["data"][index]["embedding"]);
        assert_eq!(vector, floats(&packed["data"][index]["embedding"]));
        assert_eq!(vector.len(), 1_536);
        let length: f32 = vector.iter().map(|part| part * part).sum();
        assert!((length - 1.0).abs() < 1e-3);
    }
    assert_ne!(plain["data"][0]["embedding"], plain["data"][1]["embedding"]);
    assert_eq!(plain["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
    let mut short = ask(json!([[1, 2, 3], [4]]), "float");
    short["dimensions"] = 8.into();
    let (_, tokens) = far.json_at(at, &short).await;
    assert_eq!(
        (floats(&tokens["data"][1]["embedding"]).len(), &tokens["usage"]["total_tokens"]),
        (8, &json!(4))
    );
}

#[tokio::test]
async fn what_cannot_become_vectors_is_refused() {
    let far = Far::open().await;
    let many = |count: usize| Value::from(vec!["x"; count]);
    for (base, model, input, dimensions, expected) in [
        ("/openai/v1", "sim-embed", many(2_048), None, 200),
        ("/openai/v1", "sim-embed", many(2_049), None, 400),
        ("/openai/v1", "sim-embed", json!(""), None, 400),
        ("/openai/v1", "sim-embed", json!([]), None, 400),
        ("/openai/v1", "sim-embed", json!("x".repeat(40_000)), None, 400),
        ("/openai/v1", "sim-embed-fixed", json!("x"), Some(8), 400),
        ("/openai/v1", "sim-fast", json!("x"), None, 404),
        ("/qwen/compatible-mode/v1", "sim-embed", many(10), None, 200),
        ("/qwen/compatible-mode/v1", "sim-embed", many(11), None, 400),
        ("/qwen/compatible-mode/v1", "sim-embed", json!([1, 2]), None, 400),
        ("/zhipu/api/paas/v4", "sim-embed", many(65), None, 400),
    ] {
        let mut body = json!({"model": model, "input": input});
        if let Some(dimensions) = dimensions {
            body["dimensions"] = json!(dimensions);
        }
        let (status, answer) = far.json_at(&format!("{base}/embeddings"), &body).await;
        assert_eq!(status, expected, "{base} {model}: {answer}");
    }
    let asked = json!({"model": "sim-embed", "input": "x", "encoding_format": "base64"});
    let (_, answer) = far.json_at("/qwen/compatible-mode/v1/embeddings", &asked).await;
    assert!(answer["data"][0]["embedding"].is_array(), "floats, whatever was asked");
    let refused = json!({"model": "sim-embed", "input": "x", "dimensions": 8});
    assert_eq!(far.json_at("/mistral/v1/embeddings", &refused).await.0, 422);
}
