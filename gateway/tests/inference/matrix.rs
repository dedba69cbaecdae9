//! Every endpoint, in every way its answer can be spoken upstream, and every way a call can end: what is charged, how often,
//! and what the client is told. One row of the table is one way to end, one column one way to be served.

use std::time::Duration;

use gateway::chat::{Ending, Outcome};
use http_body_util::{BodyExt, Full};

use crate::{
    upstream::{FINISH, Piece, Script, answer, chunk, stream, usage_chunk, whole},
    world::{KEY, Rest, Setup, World, read},
};

/// One way to be served: an endpoint, a kind of provider, and in whose words that provider answers.
#[derive(Debug, Clone, Copy)]
struct Column {
    path: &'static str,
    kind: &'static str,
    wire: Wire,
    body: &'static str,
    streams: bool,
    /// What only a whole answer ends with, in a stream.
    ends_with: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
}

const CHAT: &str = r#"{"model":"chatty","messages":[{"role":"user","content":"hello there"}]}"#;
const RESPONSE: &str = r#"{"model":"chatty","input":"hello there"}"#;
const MESSAGE: &str =
    r#"{"model":"chatty","max_tokens":64,"messages":[{"role":"user","content":"hello there"}]}"#;
const PROMPT: &str = r#"{"model":"chatty","prompt":"hello there","max_tokens":64}"#;

const fn column(
    path: &'static str,
    kind: &'static str,
    wire: Wire,
    body: &'static str,
    ends_with: &'static str,
) -> Column {
    Column { path, kind, wire, body, streams: true, ends_with }
}

const COLUMNS: [Column; 11] = [
    column("/v1/chat/completions", "openai", Wire::Chat, CHAT, "[DONE]"),
    column("/v1/chat/completions", "dashscope", Wire::Chat, CHAT, "[DONE]"),
    column("/v1/chat/completions", "anthropic", Wire::Messages, CHAT, "[DONE]"),
    column("/v1/responses", "openai", Wire::Responses, RESPONSE, "response.completed"),
    column("/v1/responses", "openai-compatible", Wire::Chat, RESPONSE, "response.completed"),
    column("/v1/responses", "anthropic", Wire::Messages, RESPONSE, "response.completed"),
    column("/v1/messages", "anthropic", Wire::Messages, MESSAGE, "message_stop"),
    column("/v1/messages", "openai", Wire::Chat, MESSAGE, "message_stop"),
    column("/v1/completions", "openai", Wire::Chat, PROMPT, "[DONE]"),
    Column {
        body: r#"{"model":"completer","prompt":"hello there","max_tokens":64}"#,
        ..column("/v1/completions", "openai", Wire::Completions, PROMPT, "[DONE]")
    },
    Column {
        streams: false,
        ..column(
            "/v1/embeddings",
            "openai",
            Wire::Embeddings,
            r#"{"model":"embedder","input":"hello there"}"#,
            "",
        )
    },
];

/// What an upstream says of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// 10 in, 5 out.
    Told,
    Untold,
    Hostile,
}

impl Wire {
    /// An answer in one piece.
    fn whole(self, counts: Counts) -> String {
        let usage = |told: &str, hostile: &str| match counts {
            Counts::Told => format!(r#","usage":{told}"#),
            Counts::Untold => String::new(),
            Counts::Hostile => format!(r#","usage":{hostile}"#),
        };
        let chat = || {
            usage(
                r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#,
                r#"{"prompt_tokens":-10,"completion_tokens":5}"#,
            )
        };
        let tokens = || {
            usage(r#"{"input_tokens":10,"output_tokens":5}"#, r#"{"input_tokens":10,"output_tokens":1.5}"#)
        };
        match self {
            Self::Chat => whole("word word word word!", &chat()),
            Self::Completions => format!(
                r#"{{"id":"c","object":"text_completion","created":1,"model":"up","choices":[{{"text":"word word word word!","index":0,"logprobs":null,"finish_reason":"stop"}}]{}}}"#,
                chat()
            ),
            Self::Embeddings => format!(
                r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[0.5]}}],"model":"up"{}}}"#,
                usage(r#"{"prompt_tokens":10,"total_tokens":10}"#, r#"{"prompt_tokens":-10}"#)
            ),
            Self::Responses => format!(
                r#"{{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"up","output":[{{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{{"type":"output_text","text":"word word word word!","annotations":[]}}]}}]{}}}"#,
                tokens()
            ),
            Self::Messages => format!(
                r#"{{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{{"type":"text","text":"word word word word!"}}],"stop_reason":"end_turn","stop_sequence":null{}}}"#,
                tokens()
            ),
        }
    }

    /// The beginning of a stream, some text in it.
    fn begins(self) -> Vec<String> {
        let named = |events: &[&str]| events.iter().map(|event| named_event(event)).collect();
        match self {
            Self::Chat => vec![data(&chunk("word word word word!"))],
            Self::Completions => vec![data(
                r#"{"id":"c","object":"text_completion","created":1,"model":"up","choices":[{"text":"word word word word!","index":0,"logprobs":null,"finish_reason":null}]}"#,
            )],
            Self::Responses => named(&[
                r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"up","output":[]}}"#,
                r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1","status":"in_progress","role":"assistant","content":[]}}"#,
                r#"{"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"word word word word!"}"#,
            ]),
            Self::Messages => named(&[
                r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}}"#,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"word word word word!"}}"#,
            ]),
            Self::Embeddings => unreachable!("embeddings do not stream"),
        }
    }

    /// The end of a stream.
    fn ends(self, counts: Counts) -> Vec<String> {
        let named = |events: &[String]| events.iter().map(|event| named_event(event)).collect();
        match self {
            Self::Chat => match counts {
                Counts::Told => vec![data(FINISH), data(&usage_chunk(10, 5)), data("[DONE]")],
                Counts::Untold => vec![data(FINISH), data("[DONE]")],
                Counts::Hostile => vec![
                    data(FINISH),
                    data(&usage_chunk(10, 5).replace(r#""prompt_tokens":10"#, r#""prompt_tokens":-10"#)),
                    data("[DONE]"),
                ],
            },
            Self::Completions => {
                let finish = r#"{"id":"c","object":"text_completion","created":1,"model":"up","choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]}"#;
                let usage = usage_chunk(10, 5).replace("chat.completion.chunk", "text_completion");
                match counts {
                    Counts::Told => vec![data(finish), data(&usage), data("[DONE]")],
                    Counts::Untold => vec![data(finish), data("[DONE]")],
                    Counts::Hostile => vec![
                        data(finish),
                        data(&usage.replace("\"completion_tokens\":5", "\"completion_tokens\":5.5")),
                        data("[DONE]"),
                    ],
                }
            }
            Self::Responses => {
                let whole = self.whole(counts);
                named(&[
                    r#"{"type":"response.output_text.done","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"text":"word word word word!"}"#.to_owned(),
                    format!(r#"{{"type":"response.completed","sequence_number":4,"response":{whole}}}"#),
                ])
            }
            Self::Messages => {
                let usage = match counts {
                    Counts::Told => r#","usage":{"input_tokens":10,"output_tokens":5}"#,
                    Counts::Untold => "",
                    Counts::Hostile => r#","usage":{"output_tokens":-5}"#,
                };
                named(&[
                    r#"{"type":"content_block_stop","index":0}"#.to_owned(),
                    format!(
                        r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn","stop_sequence":null}}{usage}}}"#
                    ),
                    r#"{"type":"message_stop"}"#.to_owned(),
                ])
            }
            Self::Embeddings => unreachable!("embeddings do not stream"),
        }
    }

    /// An error among the events.
    fn error(self) -> String {
        match self {
            Self::Messages => {
                named_event(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#)
            }
            Self::Responses => named_event(
                r#"{"type":"error","code":"server_error","message":"Overloaded","param":null,"sequence_number":9}"#,
            ),
            _ => data(r#"{"error":{"message":"Overloaded","type":"server_error","code":null}}"#),
        }
    }
}

fn data(json: &str) -> String {
    format!("data: {json}\n\n")
}

fn named_event(json: &str) -> String {
    let kind = json.split('"').nth(3).unwrap();
    format!("event: {kind}\ndata: {json}\n\n")
}

fn pieces(events: Vec<String>) -> Vec<Piece> {
    events.into_iter().map(|event| Piece::Bytes(event.into())).collect()
}

/// What is expected to be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charged {
    Nothing,
    /// 10 in, 5 out (embeddings: 10 in).
    AsTold,
    /// What we reckon: some input, and the text that came.
    Estimated,
}

impl Column {
    async fn world(&self) -> World {
        let idle_max = Duration::from_millis(300);
        World::with(Setup { kinds: vec![self.kind], idle_max, ..Setup::default() }).await
    }

    fn request(&self, world: &World, streaming: bool) -> http::Request<Full<bytes::Bytes>> {
        let body =
            if streaming { self.body.replacen('{', r#"{"stream":true,"#, 1) } else { self.body.to_owned() };
        let request = world.request("POST", self.path).header("authorization", format!("Bearer {KEY}"));
        request.body(Full::new(body.into())).unwrap()
    }

    async fn ends(&self, row: &str, script: Script, streaming: bool, expected: (u16, Ending, Charged)) {
        let world = self.world().await;
        world.upstream().will(script);
        let context = format!("{row} at {} by {} ({:?})", self.path, self.kind, self.wire);
        let begun = world.send(self.request(&world, streaming)).await;
        let read = read(begun).await;
        assert_eq!(read.status, expected.0, "{context}: {}", read.text);
        let outcome = world.till.all_settled().await;
        world.till.assert_each_hold_ended_once(&context);
        self.charges(&context, &outcome, expected.1, expected.2);
        if streaming && read.status == 200 {
            let looks_whole = read.text.contains(self.ends_with);
            assert_eq!(looks_whole, expected.1 == Ending::Finished, "{context}: {}", read.text);
            assert_eq!(
                read.text.contains("\"error\":{"),
                expected.1 != Ending::Finished,
                "{context}: {}",
                read.text
            );
        }
        if expected.2 == Charged::Nothing {
            assert!(read.header("x-tollgate-cost-cny").is_empty(), "{context}");
        }
    }

    fn charges(&self, context: &str, outcome: &Outcome, ending: Ending, charged: Charged) {
        assert_eq!(outcome.ending, ending, "{context}");
        let usage = outcome.usage;
        match charged {
            Charged::Nothing => assert_eq!(usage, None, "{context}"),
            Charged::AsTold => {
                let usage = usage.unwrap_or_else(|| panic!("{context}: nothing was charged"));
                let output = if self.wire == Wire::Embeddings { 0 } else { 5 };
                assert_eq!(
                    (usage.prompt().0, usage.output.0, outcome.estimated),
                    (10, output, false),
                    "{context}"
                );
            }
            Charged::Estimated => {
                let usage = usage.unwrap_or_else(|| panic!("{context}: nothing was charged"));
                let output = if self.wire == Wire::Embeddings { 0..=0 } else { 3..=8 };
                assert!(outcome.estimated && usage.prompt().0 > 0, "{context}: {usage:?}");
                assert!(output.contains(&usage.output.0), "{context}: {usage:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_ends_as_the_table_says() {
    use Charged::{AsTold, Estimated, Nothing};
    for column in COLUMNS {
        let wire = column.wire;
        let finished = |charged| (200, Ending::Finished, charged);
        let failed = |status| (status, Ending::Failed, Nothing);
        let html = Script::Answer {
            status: 200,
            headers: vec![("content-type", "text/html".to_owned())],
            body: "<html>busy</html>".to_owned(),
        };
        let refused = r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#;
        for (row, script, expected) in [
            ("its usage is told", answer(200, wire.whole(Counts::Told)), finished(AsTold)),
            ("its usage is missing", answer(200, wire.whole(Counts::Untold)), finished(Estimated)),
            ("its usage cannot be", answer(200, wire.whole(Counts::Hostile)), finished(Estimated)),
            ("the upstream fails", answer(500, "{}"), failed(502)),
            ("the upstream is too busy", answer(429, "{}"), failed(503)),
            ("our key is refused", answer(401, "{}"), failed(503)),
            ("our account is empty", answer(402, "{}"), failed(503)),
            ("the request is refused", answer(400, refused), failed(400)),
            (
                "an error with status 200",
                answer(200, r#"{"error":{"message":"no","type":"server_error"}}"#),
                failed(502),
            ),
            ("a page with status 200", html, failed(502)),
            ("nothing at all", answer(200, ""), failed(502)),
            ("half of an answer", answer(200, &wire.whole(Counts::Told)[..30]), failed(502)),
            ("the connection closes", Script::Close, failed(502)),
        ] {
            column.ends(row, script, false, expected).await;
        }
    }
}

#[tokio::test]
async fn a_stream_ends_as_the_table_says() {
    use Charged::{AsTold, Estimated, Nothing};
    for column in COLUMNS.into_iter().filter(|column| column.streams) {
        let wire = column.wire;
        let told = |counts| stream(pieces([wire.begins(), wire.ends(counts)].concat()));
        let begun = |after: Vec<Piece>| stream([pieces(wire.begins()), after].concat());
        let finished = |charged| (200, Ending::Finished, charged);
        let broke = (200, Ending::BrokeOff, Estimated);
        // Messages say what the prompt was at the start: that is a count, not a guess, but the output is reckoned.
        let failed = |status| (status, Ending::Failed, Nothing);
        let unreadable = || pieces(vec![data("{\"choices\":[{")]);
        for (row, script, expected) in [
            ("its usage is told", told(Counts::Told), finished(AsTold)),
            ("its usage is missing", told(Counts::Untold), finished(Estimated)),
            ("its usage cannot be", told(Counts::Hostile), finished(Estimated)),
            ("an error comes first", stream(pieces(vec![wire.error()])), failed(502)),
            ("it is empty", stream(vec![]), failed(502)),
            ("it is cut before its beginning", stream(vec![Piece::Cut]), failed(502)),
            ("it is one answer", answer(200, wire.whole(Counts::Told)), failed(502)),
            ("it is cut in the middle", begun(vec![Piece::Cut]), broke),
            ("it ends in the middle", begun(vec![]), broke),
            ("an error comes in the middle", begun(pieces(vec![wire.error()])), broke),
            ("something unreadable comes in the middle", begun(unreadable()), broke),
            ("nothing more comes", begun(vec![Piece::Stall]), broke),
        ] {
            column.ends(row, script, true, expected).await;
        }
    }
}

/// Reads the answer until text was seen.
async fn until_text(begun: &mut Rest) {
    let mut seen = String::new();
    while !seen.contains("word") {
        let frame = begun.body_mut().frame().await.expect("more of it").unwrap();
        seen.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn a_client_who_hangs_up_pays_for_what_came_and_no_more() {
    for column in COLUMNS {
        let context = format!("{} by {}", column.path, column.kind);
        let stops = router_config::catalog().provider(column.kind).unwrap().quirks.closing_stops_cost;
        if column.streams {
            let world = column.world().await;
            let after = if stops {
                vec![Piece::Stall]
            } else {
                [vec![Piece::Gate], pieces(column.wire.ends(Counts::Told))].concat()
            };
            world.upstream().will(stream([pieces(column.wire.begins()), after].concat()));
            let mut begun = world.send(column.request(&world, true)).await;
            until_text(&mut begun).await;
            drop(begun);
            world.upstream().gate.add_permits(1);
            let outcome = world.till.all_settled().await;
            let charged = if stops { Charged::Estimated } else { Charged::AsTold };
            column.charges(&context, &outcome, Ending::HungUp, charged);
            world.till.assert_each_hold_ended_once(&context);
        }
        let world = column.world().await;
        world.upstream().will(Script::Silent);
        let arrived = world.upstream().arrived.notified();
        let request = world.send(column.request(&world, false));
        tokio::select! {
            _ = request => panic!("{context}: nobody has answered"),
            () = arrived => {}
        }
        if stops {
            let outcome = world.till.all_settled().await;
            assert_eq!((outcome.ending, outcome.estimated), (Ending::HungUp, true), "{context}");
            assert_eq!(outcome.usage.unwrap().output.0, 0, "{context}");
            world.till.assert_each_hold_ended_once(&context);
        }
    }
}

#[tokio::test]
async fn without_money_nobody_is_asked_wherever_the_call_came_to() {
    for column in COLUMNS {
        let world = column.world().await;
        let zero = units::NanoCny::ZERO;
        world.till.books.lock().unwrap().refuse = Some(gateway::meter::Refusal::InsufficientFunds {
            available: zero,
            required: units::NanoCny::new(7),
        });
        let read = read(world.send(column.request(&world, false)).await).await;
        assert_eq!((read.status, read.header("x-should-retry")), (402, "false"), "{}", column.path);
        assert_eq!(read.error("code"), "insufficient_quota", "{}", column.path);
        assert_eq!(world.upstream().calls(), 0, "{}", column.path);
    }
}
