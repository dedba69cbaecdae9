//! Whose business is the address of a picture? The provider's: nothing here ever goes there.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::{
    upstream::{answer, whole},
    world::{Setup, World},
};

const USAGE: &str = r#","usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;
const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5}}"#;
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","error":null,"model":"up","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}],"usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}}"#;

/// A server for pictures that counts who comes.
struct Gallery {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Gallery {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, visits) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&visits);
        TaskTracker::new().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(socket);
            }
        });
        Self { port, visits }
    }

    /// Nobody has come; and who would have come would have been counted.
    async fn saw_nobody(&self) {
        assert_eq!(self.visits.load(Ordering::SeqCst), 0, "somebody went to look at a picture");
        drop(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap());
        let seen = async {
            while self.visits.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), seen).await.expect("a visit is counted");
        assert_eq!(self.visits.load(Ordering::SeqCst), 1);
    }
}

/// A call with a picture at `url`, by the endpoint's own words.
fn asking(path: &str, url: &str) -> Value {
    match path {
        "/v1/chat/completions" => json!({"model": "chatty", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is it?"},
            {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        ]}]}),
        "/v1/responses" => json!({"model": "chatty", "input": [{"role": "user", "content": [
            {"type": "input_text", "text": "what is it?"},
            {"type": "input_image", "image_url": url, "detail": "low"},
        ]}]}),
        _ => json!({"model": "chatty", "max_tokens": 9, "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is it?"},
            {"type": "image", "source": {"type": "url", "url": url}},
        ]}]}),
    }
}

/// Where the provider finds the picture, by what it was asked at.
fn found<'a>(path: &str, body: &'a Value) -> &'a Value {
    let part = |list: &'a str| &body[list][0]["content"][1];
    match path {
        "/v1/chat/completions" => &part("messages")["image_url"]["url"],
        "/v1/responses" => &part("input")["image_url"],
        _ => &part("messages")["source"]["url"],
    }
}

/// Who is asked, and where; what it answers.
const SPOKEN: [(&str, &str, &str, &str); 7] = [
    ("/v1/chat/completions", "openai", "/v1/chat/completions", ""),
    ("/v1/chat/completions", "anthropic", "/v1/messages", MESSAGE),
    ("/v1/responses", "openai", "/v1/responses", RESPONSE),
    ("/v1/responses", "dashscope", "/v1/chat/completions", ""),
    ("/v1/responses", "anthropic", "/v1/messages", MESSAGE),
    ("/v1/messages", "anthropic", "/v1/messages", MESSAGE),
    ("/v1/messages", "dashscope", "/v1/chat/completions", ""),
];

#[tokio::test]
async fn the_address_of_a_picture_is_passed_on_and_never_visited() {
    let gallery = Gallery::open().await;
    let here = format!("127.0.0.1:{}", gallery.port);
    let addresses = [
        format!("http://{here}/cat.png"),
        format!("https://{here}/cat.png?size=1&x=%20"),
        format!("HTTP://user:secret@{here}/cat.png#a"),
        format!("http://0.0.0.0:{}/cat.png", gallery.port),
        format!("ftp://{here}/cat.png"),
        format!("//{here}/cat.png"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "no address at all".to_owned(),
        String::new(),
    ];
    for (path, kind, asked_at, said) in SPOKEN {
        let world = World::with(Setup { kinds: vec![kind], ..Setup::default() }).await;
        let said = if said.is_empty() { whole("a cat", USAGE) } else { said.to_owned() };
        for url in &addresses {
            world.upstream().will(answer(200, said.as_str()));
            let read = world.post(path, asking(path, url).to_string()).await;
            assert_eq!(read.status, 200, "{path} by {kind}: {url}: {}", read.text);
            let seen = world.upstream().last();
            assert_eq!(seen.path, asked_at, "{path} by {kind}");
            assert_eq!(found(asked_at, &seen.body), &json!(url), "{path} by {kind}: {}", seen.raw);
        }
        world.till.all_settled().await;
    }
    gallery.saw_nobody().await;
}

/// A picture inside the call stays inside it: as an address where the provider takes such addresses, as bytes where it has a
/// word for them.
#[tokio::test]
async fn a_picture_inside_the_call_is_passed_on_whole() {
    const PICTURE: &str = "data:image/png;base64,iVBORw0KGgo=";
    for (path, kind, asked_at, said) in SPOKEN {
        let world = World::with(Setup { kinds: vec![kind], ..Setup::default() }).await;
        world
            .upstream()
            .will(answer(200, if said.is_empty() { whole("a cat", USAGE) } else { said.to_owned() }));
        let mut call = asking(path, PICTURE);
        if path == "/v1/messages" {
            call["messages"][0]["content"][1]["source"] =
                json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="});
        }
        let read = world.post(path, call.to_string()).await;
        assert_eq!(read.status, 200, "{path} by {kind}: {}", read.text);
        let seen = world.upstream().last().body;
        if asked_at == "/v1/messages" {
            let source = &seen["messages"][0]["content"][1]["source"];
            assert_eq!(
                source,
                &json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}),
                "{path} by {kind}"
            );
        } else {
            assert_eq!(found(asked_at, &seen), PICTURE, "{path} by {kind}");
        }
        let held = world.till.books.lock().unwrap().asks[0].input_bound.0;
        assert!((2_000..2_500).contains(&held), "it is held as a picture: {held}");
    }
}
