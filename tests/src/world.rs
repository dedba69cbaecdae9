//! What is there beside the product? The far side, an account with a key, and somebody who asks.
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, Ran, run};
use crate::{Answer, Streamed};

/// The longest that any single answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Ports are free ones.
const FREE: &str = "127.0.0.1:0";

/// A gateway with its far side, on ports of its own and in a folder of its own; gone when dropped.
#[derive(Debug)]
pub struct World {
    /// The gateway, which in the demo is its own far side.
    pub process: Process,
    /// The far side, where it is a process of its own: it survives the gateway.
    pub far: Option<Process>,
    /// Where clients connect.
    pub public_url: String,
    /// Where operators connect.
    pub admin_url: String,
    /// Where the simulator's controls are.
    pub sim_url: String,
    /// A key of [`account`](Self::account).
    pub key: String,
    /// Who pays.
    pub account: String,
    /// What operators show.
    pub admin_token: String,
    /// The configuration file.
    pub config: String,
    /// Who asks.
    pub http: Client,
    pub(crate) args: Vec<String>,
    // Last, so that the folder outlives whoever writes there.
    pub(crate) dir: TempDir,
}

impl World {
    /// `tollgate demo`, with the 0.50 yuan that a demo account starts with.
    pub async fn demo() -> Self {
        Self::demo_with(&[]).await
    }

    /// The same, told something more.
    pub async fn demo_with(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = inside(&dir, "demo");
        let ready = inside(&dir, "ready.json");
        let args = ["demo", "--no-open", "--dir", &store, "--ready-file", &ready];
        let ports = ["--listen", FREE, "--admin-listen", FREE, "--sim-listen", FREE];
        let args = args.iter().chain(&ports).chain(more).map(|arg| (*arg).to_owned()).collect();
        let mut world = Self::beginning(dir, args);
        world.get_ready().await;
        world
    }

    /// Starts a gateway of which nothing is known yet but how.
    pub(crate) fn beginning(dir: TempDir, args: Vec<String>) -> Self {
        // Nothing of this machine's between us and the gateway.
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let nothing = String::new;
        Self {
            process: start(&args, &dir),
            far: None,
            public_url: nothing(),
            admin_url: nothing(),
            sim_url: nothing(),
            key: nothing(),
            account: nothing(),
            admin_token: nothing(),
            config: nothing(),
            http: http.timeout(ANSWER_MAX).build().expect("a client"),
            args,
            dir,
        }
    }

    /// Waits until everything listens, and learns what the ready file says.
    pub(crate) async fn get_ready(&mut self) {
        let ready = self.process.ready(&self.dir.path().join("ready.json")).await;
        for (member, known) in [
            ("public_url", &mut self.public_url),
            ("admin_url", &mut self.admin_url),
            ("sim_url", &mut self.sim_url),
            ("api_key", &mut self.key),
            ("account", &mut self.account),
            ("admin_token", &mut self.admin_token),
            ("config", &mut self.config),
        ] {
            if let Some(said) = ready[member].as_str() {
                said.clone_into(known);
            }
        }
    }

    /// Starts the gateway again in the same folder. Ports may change; what it has promised may not.
    pub async fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.dir.path().join("ready.json"));
        self.process = start(&self.args, &self.dir);
        self.get_ready().await;
    }

    /// Asks the gateway to end, and starts it again.
    ///
    /// # Panics
    /// If it does not end well.
    pub async fn restart(&mut self) {
        let ended = self.process.stop();
        assert!(ended.success(), "{ended}\n{}", self.process.logged());
        self.start_again().await;
    }

    /// Where this world keeps its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs another `tollgate` in the same folder.
    pub fn run(&self, args: &[&str]) -> Ran {
        run(args, self.dir.path())
    }

    // Asking.

    /// A request to the public listener, with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.public_url)).bearer_auth(&self.key)
    }
    /// Reads from the public listener.
    pub async fn get(&self, path: &str) -> Answer {
        sent(self.request(Method::GET, path)).await
    }
    /// Writes to the public listener.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        sent(self.request(Method::POST, path).json(body)).await
    }
    /// A chat call, read to its end.
    pub async fn chat(&self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", body).await
    }
    /// A chat call of one sentence.
    pub async fn say(&self, model: &str, text: &str) -> Answer {
        self.chat(&said(model, text)).await
    }
    /// A streamed chat call, read to its end. `stream` is set here.
    pub async fn stream(&self, body: &Value) -> Streamed {
        let response = self.stream_begun(body).await.unwrap_or_else(|error| panic!("{error}"));
        Streamed::read(response).await
    }
    /// A streamed chat call of which only the head is read.
    ///
    /// # Errors
    /// If there is nobody to answer.
    pub async fn stream_begun(&self, body: &Value) -> reqwest::Result<reqwest::Response> {
        let mut body = body.clone();
        body["stream"] = true.into();
        self.request(Method::POST, "/v1/chat/completions").json(&body).send().await
    }

    // Operating.

    /// Reads from the operators' listener, with the token.
    pub async fn admin_get(&self, path: &str) -> Answer {
        sent(self.http.get(format!("{}{path}", self.admin_url)).bearer_auth(&self.admin_token)).await
    }
    /// Writes to the operators' listener, with the token.
    pub async fn admin_post(&self, path: &str, body: &Value) -> Answer {
        let url = format!("{}{path}", self.admin_url);
        sent(self.http.post(url).bearer_auth(&self.admin_token).json(body)).await
    }
    /// The exposition for Prometheus.
    pub async fn metrics(&self) -> String {
        sent(self.http.get(format!("{}/metrics", self.admin_url))).await.expect(200).text()
    }
    /// The sum of all series of a family whose labels include these, such as `result="stale"`; 0 if there is none.
    pub async fn metric(&self, family: &str, labels: &[&str]) -> f64 {
        let exposition = self.metrics().await;
        let series = exposition.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let (name, with) = name.split_once('{').unwrap_or((name, ""));
            (name == family && labels.iter().all(|label| with.contains(label))).then_some(value)
        });
        series.filter_map(|value| value.parse::<f64>().ok()).sum()
    }

    // The far side.

    /// Reads one of the simulator's controls.
    pub async fn sim_get(&self, path: &str) -> Value {
        sent(self.http.get(format!("{}/_sim/v1{path}", self.sim_url))).await.expect(200).json()
    }
    /// Works one of the simulator's controls.
    pub async fn sim_post(&self, path: &str, body: &Value) -> Answer {
        sent(self.http.post(format!("{}/_sim/v1{path}", self.sim_url)).json(body)).await
    }
    /// Something goes wrong next.
    pub async fn fault(&self, fault: Value) {
        self.sim_post("/faults", &fault).await.expect(200);
    }
    /// Nothing goes wrong any more.
    pub async fn no_faults(&self) {
        sent(self.http.delete(format!("{}/_sim/v1/faults", self.sim_url))).await.expect(200);
    }
    /// Time passes, on both sides in the demo.
    pub async fn advance(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).expect("a span of time that fits");
        self.sim_post("/clock", &json!({ "advance_ms": ms })).await.expect(200);
    }
    /// How many chat requests the providers have received.
    pub async fn upstream_requests(&self) -> u64 {
        let stats = self.sim_get("/stats").await;
        let providers = stats.as_object().into_iter().flatten();
        providers.filter_map(|(_, counted)| counted["requests"].as_u64()).sum()
    }
}

/// A chat body of one sentence.
pub fn said(model: &str, text: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

/// Sends a request and reads the answer.
///
/// # Panics
/// If there is no answer.
pub async fn sent(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap_or_else(|error| panic!("{error:?}"));
    Answer::read(response).await.unwrap_or_else(|error| panic!("{error:?}"))
}

/// A path in a folder, as an argument.
pub(crate) fn inside(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().expect("a path in UTF-8").to_owned()
}

fn start(args: &[String], dir: &TempDir) -> Process {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Process::start("gateway", &args, dir.path())
}
