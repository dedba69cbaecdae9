//! The two processes under test, their folder, and a customer with money.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::{
    load::{self, Http, MODEL},
    money::{self, Money, Price},
};

/// A process has this long to say that it listens, and a payment to be credited.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A question of ours, not of the load's, has this long: the trial balance reads every line of the books.
const QUESTION_MAX: Duration = Duration::from_secs(600);
/// What the customer pays in.
const PAID_IN: &str = "1000.00";
/// What tokens cost: a yuan per million in, two per million out.
pub(crate) const PRICE: Price = Price { input: 1_000, output: 2_000 };

/// A process of ours, which does not outlive this.
#[derive(Debug)]
struct Process {
    child: Child,
    name: &'static str,
    said: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts this very program with `args`.
    fn spawn(name: &'static str, dir: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let (said, log) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.log")));
        let child = Command::new(std::env::current_exe()?)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { child, name, said, log })
    }

    /// What it writes once it listens.
    async fn ready(&mut self, file: &Path) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return serde_json::from_str(&text).with_context(|| file.display().to_string());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}): {}", self.name, self.last_words());
            }
            ensure!(begun.elapsed() < PATIENCE, "{} does not listen: {}", self.name, self.last_words());
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until it has ended, and reads the JSON it wrote.
    async fn answer(mut self) -> anyhow::Result<Value> {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(begun.elapsed() < PATIENCE, "{} does not end: {}", self.name, self.last_words());
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        ensure!(status.success(), "{} ended ({status}): {}", self.name, self.last_words());
        serde_json::from_str(&std::fs::read_to_string(&self.said)?).with_context(|| self.name.to_owned())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything under test. Dropped, it is gone: the processes first, then their folder.
#[derive(Debug)]
pub(crate) struct World {
    gateway: Process,
    sim: Process,
    http: Http,
    /// Where the providers are.
    sim_url: String,
    /// What they take.
    provider_key: String,
    public_url: String,
    admin_url: String,
    admin_token: String,
    /// The customer's key.
    key: String,
    /// Removed last.
    _dir: tempfile::TempDir,
}

impl World {
    /// Starts both processes and gives a new customer money, all by the ways that are open to anybody.
    ///
    /// # Errors
    /// The first step that fails, with what the process said.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("tollgate-bench-").tempdir().context("a temporary folder")?;
        let dir = folder.path();

        let sim_dir = dir.join("sim");
        let (sim_ready, gateway_ready) = (dir.join("sim.json"), dir.join("gateway.json"));
        let sim_args = ["sim", "--listen", "127.0.0.1:0", "--first-token-ms", "0", "--gap-ms", "0"];
        let (sim_dir_text, sim_ready_text) = (text(&sim_dir)?, text(&sim_ready)?);
        let sim_args = [&sim_args[..], &["--dir", sim_dir_text, "--ready-file", sim_ready_text]].concat();
        let mut sim = Process::spawn("sim", dir, &sim_args)?;
        let far_side = sim.ready(&sim_ready).await?;
        let sim_url = member(&far_side, "sim_url")?.to_owned();
        let provider_key = member(&far_side, "provider_key")?.to_owned();
        std::fs::write(dir.join("provider_key.txt"), &provider_key)?;

        let config = dir.join("tollgate.toml");
        std::fs::write(&config, config_text(dir, &gateway_ready, &far_side)?)?;
        let mut gateway = Process::spawn("gateway", dir, &["serve", "-c", text(&config)?])?;
        let serving = gateway.ready(&gateway_ready).await?;

        let config = text(&config)?;
        let account = ["accounts", "create", "-c", config, "--name", "bench", "-o", "json"];
        let account = Process::spawn("accounts", dir, &account)?.answer().await?;
        let key = ["keys", "create", "-c", config, "--account", member(&account, "id")?, "-o", "json"];
        let key = Process::spawn("keys", dir, &key)?.answer().await?;
        let admin_token = dir.join("store/admin_token");
        let admin_token =
            std::fs::read_to_string(&admin_token).with_context(|| admin_token.display().to_string())?;

        let world = Self {
            gateway,
            sim,
            http: load::http(),
            sim_url,
            provider_key,
            public_url: member(&serving, "public_url")?.to_owned(),
            admin_url: member(&serving, "admin_url")?.to_owned(),
            admin_token: admin_token.trim().to_owned(),
            key: member(&key, "key")?.to_owned(),
            _dir: folder,
        };
        world.pay_in().await?;
        Ok(world)
    }

    /// The provider's address and the key it takes.
    pub(crate) fn direct(&self) -> (String, &str) {
        (format!("{}/openai/v1", self.sim_url), &self.provider_key)
    }

    /// The gateway's address and the customer's key.
    pub(crate) fn through(&self) -> (String, &str) {
        (format!("{}/v1", self.public_url), &self.key)
    }

    /// The process ids of the gateway and of the simulator.
    pub(crate) fn pids(&self) -> (u32, u32) {
        (self.gateway.child.id(), self.sim.child.id())
    }

    /// The last lines each process wrote.
    pub(crate) fn last_words(&self) -> String {
        format!("gateway: {}\nsim: {}", self.gateway.last_words(), self.sim.last_words())
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        token: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let asking = async {
            let answer = self.http.request(request).await?;
            let status = answer.status();
            let said = answer.into_body().collect().await?.to_bytes();
            ensure!(status.is_success(), "{status} {}", String::from_utf8_lossy(&said));
            Ok(serde_json::from_slice(&said)?)
        };
        let asked = tokio::time::timeout(QUESTION_MAX, asking).await;
        asked.context("no answer").flatten().with_context(|| url.to_owned())
    }

    async fn pay_in(&self) -> anyhow::Result<()> {
        let topups = format!("{}/v1/topups", self.public_url);
        let order = self.ask(Method::POST, &topups, &self.key, Some(json!({"amount": PAID_IN}))).await?;
        let pay = format!("{}/_sim/v1/orders/{}/pay", self.sim_url, member(&order, "out_trade_no")?);
        self.ask(Method::POST, &pay, "", None).await?;
        let order = format!("{topups}/{}", member(&order, "id")?);
        let begun = Instant::now();
        loop {
            let order = self.ask(Method::GET, &order, &self.key, None).await?;
            if order["status"] == "paid" {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "paid, but not credited: {order}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What the books say, once no call holds money any more or none seems willing to let go.
    ///
    /// # Errors
    /// If the books cannot be asked, or answer in other words than expected.
    pub(crate) async fn books(&self) -> anyhow::Result<Money> {
        let url = format!("{}/admin/v1/ledger/trial-balance", self.admin_url);
        let begun = Instant::now();
        let (books, open_holds, took) = loop {
            let asked = Instant::now();
            let books = self.ask(Method::GET, &url, &self.admin_token, None).await?;
            let open = books["open_holds"].as_i64().context("no open_holds in the trial balance")?;
            if open == 0 || begun.elapsed() > PATIENCE {
                break (books, open, asked.elapsed());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let credits =
            self.ask(Method::GET, &format!("{}/v1/credits", self.public_url), &self.key, None).await?;
        let findings = books["findings"].as_array().context("no findings in the trial balance")?;
        Ok(Money {
            paid_in: i128::from(money::nano(PAID_IN).context("what is paid in")?),
            spent: amount(&credits, "spent")?,
            balance: amount(&credits, "balance")?,
            open_holds,
            trial_balance_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            balanced: books["balanced"] == true,
            findings: findings
                .iter()
                .map(|finding| finding.as_str().map_or(finding.to_string(), str::to_owned))
                .collect(),
            ..Money::default()
        })
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

fn member<'a>(of: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    of[name].as_str().with_context(|| format!("no {name} in {of}"))
}

fn amount(of: &Value, name: &str) -> anyhow::Result<i128> {
    let text = member(of, name)?;
    money::nano(text).map(i128::from).with_context(|| format!("{name} is {text}"))
}

/// The gateway's configuration. `far_side` is what the simulator says of itself.
fn config_text(dir: &Path, ready: &Path, far_side: &Value) -> anyhow::Result<String> {
    // What JSON quotes, TOML reads.
    let quoted = |text: &str| Value::from(text).to_string();
    let path = |at: &Path| text(at).map(quoted);
    let secret = |name: &str| text(&dir.join(name)).map(|at| quoted(&format!("file:{at}")));
    let said = |name: &str| member(far_side, name).map(quoted);
    let under = |rest: &str| member(far_side, "sim_url").map(|url| quoted(&format!("{url}{rest}")));
    Ok(format!(
        r#"[server]
listen = "127.0.0.1:0"
ready_file = {ready}

[admin]
listen = "127.0.0.1:0"

[store]
path = {store}

[telemetry]
log = "warn"

[payments.topup]
max = "50000.00"

[payments.wechat.bench]
mode = "sandbox"
api = "v3"
base_url = {wechat}
mchid = {mchid}
appid = {appid}
merchant_serial = {merchant_serial}
private_key = {private_key}
api_v3_key = {api_v3_key}
platform_public_key_id = {platform_key_id}
platform_public_key = {platform_public_key}

[[providers]]
id = "openai"
kind = "openai"
livemode = "demo"
base_url = {openai}
api_key = {provider_key}

[[models]]
id = "{MODEL}"
context = 131072
output_max = 8192
price = {{ currency = "CNY", input = "{input}", output = "{output}" }}

[[routes]]
model = "{MODEL}"
targets = ["openai/{MODEL}"]

# Nobody is to be turned away here: limits are measured elsewhere.
[limits]
requests_per_minute = 100000000
tokens_per_minute = 1000000000000
calls_in_flight_max = 4096
"#,
        ready = path(ready)?,
        store = path(&dir.join("store"))?,
        wechat = under("/wechat")?,
        mchid = said("mchid")?,
        appid = said("appid")?,
        merchant_serial = said("merchant_serial")?,
        private_key = secret("sim/merchant_key.pem")?,
        api_v3_key = secret("sim/api_v3_key.txt")?,
        platform_key_id = said("platform_key_id")?,
        platform_public_key = secret("sim/platform_public_key.pem")?,
        openai = under("/openai/v1")?,
        provider_key = secret("provider_key.txt")?,
        input = Price::per_million(PRICE.input),
        output = Price::per_million(PRICE.output),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_far_side_and_quotes_its_paths() {
        let far_side = json!({
            "sim_url": "http://127.0.0.1:9", "mchid": "1", "appid": "wx", "merchant_serial": "S", "platform_key_id": "P",
        });
        let text = config_text(Path::new("/tmp/a \"b\""), Path::new("/tmp/ready"), &far_side).unwrap();
        assert!(text.contains(r#"base_url = "http://127.0.0.1:9/openai/v1""#), "{text}");
        assert!(text.contains(r#"private_key = "file:/tmp/a \"b\"/sim/merchant_key.pem""#), "{text}");
        assert!(text.contains(r#"input = "1.00", output = "2.00""#), "{text}");
        assert!(config_text(Path::new("/tmp"), Path::new("/tmp/r"), &json!({})).is_err());
    }

    #[test]
    fn an_amount_is_a_string_or_an_error() {
        assert_eq!(amount(&json!({"spent": "0.000013"}), "spent").unwrap(), 13_000);
        assert!(amount(&json!({"spent": 0.5}), "spent").is_err());
    }
}
