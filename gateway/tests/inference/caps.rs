//! How much may one call be? What is beyond a bound is refused in the client's own shape, before anything is held.

use http_body_util::Full;
use serde_json::json;

use crate::{
    upstream::{answer, whole},
    world::{KEY, Read, World, body},
};

const INVALID: &str = "invalid_request_error";

/// Posts with further headers.
async fn with_headers(world: &World, path: &str, headers: &[(&str, String)], body: String) -> Read {
    let mut request = world.request("POST", path).header("authorization", format!("Bearer {KEY}"));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    world.read(request.body(Full::new(body.into())).unwrap()).await
}

/// Every endpoint, the list its calls consist of, and a call in which something may be put in the place of that list and
/// at the end.
fn call(path: &str, list: Option<String>, rest: &str) -> String {
    let messages = || r#"[{"role":"user","content":"hi"}]"#.to_owned();
    match path {
        "/v1/chat/completions" => {
            format!(r#"{{"model":"chatty","messages":{}{rest}}}"#, list.unwrap_or_else(messages))
        }
        "/v1/responses" => format!(r#"{{"model":"chatty","input":{}{rest}}}"#, list.unwrap_or_else(messages)),
        "/v1/messages" => {
            format!(
                r#"{{"model":"chatty","max_tokens":9,"messages":{}{rest}}}"#,
                list.unwrap_or_else(messages)
            )
        }
        "/v1/completions" => {
            format!(r#"{{"model":"chatty","prompt":{}{rest}}}"#, list.unwrap_or_else(|| r#""hi""#.to_owned()))
        }
        _ => format!(
            r#"{{"model":"embedder","input":{}{rest}}}"#,
            list.unwrap_or_else(|| r#""hi""#.to_owned())
        ),
    }
}

const PATHS: [&str; 5] =
    ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions", "/v1/embeddings"];

/// How it was refused, whichever shape errors have at this endpoint.
fn refused(read: &Read, context: &str) -> (u16, String, serde_json::Value) {
    assert!(read.status >= 400, "{context}: {}", read.text);
    assert!(read.header("x-request-id").starts_with("req_"), "{context}");
    let kind = read.error("type");
    if context.starts_with("/v1/messages") {
        assert_eq!(read.json()["type"], "error", "{context}");
        let expected = match read.status {
            413 => "request_too_large",
            500.. => "api_error",
            _ => INVALID,
        };
        assert_eq!(kind, expected, "{context}");
    } else {
        assert_eq!(kind, INVALID, "{context}");
    }
    (read.status, read.error("code").as_str().unwrap_or_default().to_owned(), read.error("param"))
}

fn many(n: usize, one: &str) -> String {
    format!("[{}]", vec![one; n].join(","))
}

#[tokio::test]
async fn a_call_beyond_a_bound_is_refused_by_name_wherever_it_came_to() {
    // Bodies here may have 100,000 bytes.
    let world = World::open().await;
    for path in PATHS {
        let large = call(path, None, &format!(r#","x":"{}""#, "a".repeat(100_000)));
        let deep = call(path, None, &format!(r#","x":{}{}"#, "[".repeat(127), "]".repeat(127)));
        for (what, text, expected) in [
            ("too large", large, (413, "request_too_large", json!(null))),
            ("too deep", deep, (400, "invalid_json", json!(null))),
        ] {
            let read = world.post(path, text).await;
            let context = format!("{path} {what}");
            let (status, code, param) = refused(&read, &context);
            assert_eq!((status, code.as_str(), param), expected, "{context}");
        }
        let padding = |bytes: usize| vec![("x-padding", "a".repeat(bytes))];
        let read = with_headers(&world, path, &padding(66_000), call(path, None, "")).await;
        let (status, code, param) = refused(&read, path);
        assert_eq!((status, code.as_str(), param), (431, "request_headers_too_large", json!(null)), "{path}");
        // Far beyond it nothing is read, and nothing said.
        let read = with_headers(&world, path, &padding(200_000), call(path, None, "")).await;
        assert_eq!((read.status, read.text.as_str()), (431, ""), "{path}");
        let read =
            with_headers(&world, path, &[("x-tollgate-hops", "4".to_owned())], call(path, None, "")).await;
        let (status, code, param) = refused(&read, path);
        assert_eq!((status, code.as_str(), param), (508, "loop_detected", json!(null)), "{path}");
        assert_eq!(read.header("x-should-retry"), "false");
    }
    assert!(world.till.books.lock().unwrap().asks.is_empty(), "nothing was held");
    assert_eq!(world.upstream().calls(), 0, "nobody was asked");
}

#[tokio::test]
async fn more_messages_items_or_tools_than_anybody_has_are_refused_by_name() {
    let world = World::open().await;
    for (path, list, rest, param) in [
        ("/v1/chat/completions", Some(many(10_001, "{}")), String::new(), "messages"),
        ("/v1/messages", Some(many(10_001, "{}")), String::new(), "messages"),
        ("/v1/responses", Some(many(10_001, "{}")), String::new(), "input"),
        ("/v1/completions", Some(many(129, r#""a""#)), String::new(), "prompt"),
        ("/v1/embeddings", Some(many(2_049, r#""a""#)), String::new(), "input"),
        ("/v1/chat/completions", None, format!(r#","tools":{}"#, many(10_001, "{}")), "tools"),
        ("/v1/messages", None, format!(r#","tools":{}"#, many(10_001, "{}")), "tools"),
        ("/v1/responses", None, format!(r#","tools":{}"#, many(10_001, "{}")), "tools"),
        ("/v1/chat/completions", None, r#","n":129"#.to_owned(), "n"),
        ("/v1/completions", None, r#","n":129"#.to_owned(), "n"),
    ] {
        let read = world.post(path, call(path, list, &rest)).await;
        let context = format!("{path} {param}");
        let (status, code, at) = refused(&read, &context);
        assert_eq!((status, code.as_str(), at), (400, "invalid_value", json!(param)), "{context}");
    }
    assert!(world.till.books.lock().unwrap().asks.is_empty(), "nothing was held");
    assert_eq!(world.upstream().calls(), 0, "nobody was asked");
}

#[tokio::test]
async fn what_is_just_within_the_bounds_is_a_call_like_any_other() {
    let world = World::open().await;
    let deep = format!(r#","x":{}{}"#, "[".repeat(126), "]".repeat(126));
    let tools = format!(r#","tools":{}"#, many(5_000, r#"{"type":"f"}"#));
    for (headers, text) in [
        (vec![("x-padding", "a".repeat(64_000))], body("")),
        (vec![("x-tollgate-hops", "3".to_owned())], body("")),
        (vec![("x-tollgate-hops", "many".to_owned())], body("")),
        (vec![], body(&deep)),
        (vec![], body(&tools)),
        (vec![], body("").replace("hello there", &"a".repeat(99_900))),
        (vec![], format!(r#"{{"model":"chatty","messages":{}}}"#, many(10_000, r#"{"a":1}"#))),
    ] {
        let context: String = text.chars().take(100).collect();
        world.upstream().will(answer(200, whole("hi", "")));
        let read = with_headers(&world, "/v1/chat/completions", &headers, text).await;
        assert_eq!(read.status, 200, "{context}: {}", read.text);
    }
}
