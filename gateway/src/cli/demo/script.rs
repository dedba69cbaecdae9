//! The two-minute story without a person: each step is done through the public addresses and checked.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use units::NanoCny;

use super::Demo;

/// No step waits longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

struct Story<'a> {
    demo: &'a Demo,
    client: reqwest::Client,
    begun: Instant,
    step: u32,
}

/// An answer: status, headers, JSON.
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.headers.get(name).with_context(|| format!("no header {name}"))?;
        Ok(value.to_str()?)
    }
}

/// Plays the story.
///
/// # Errors
/// The first step that does not come out as it must.
pub(super) async fn play(demo: &Demo, begun: Instant) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build()?;
    let mut story = Story { demo, client, begun, step: 0 };
    story.say("everything is up", &format!("store, models, WeChat Pay: {} ms", begun.elapsed().as_millis()));
    story.first_call().await?;
    story.refused_for_money().await?;
    let order = story.top_up("10.00").await?;
    story.pay_on_the_phone(&order).await?;
    story.credited(&order, "notify").await?;
    let request = story.luxury_by_stream().await?;
    story.receipt(&request).await?;
    story.refund("5.00").await?;
    story.books().await?;
    story.lost_notification().await?;
    story.books().await?;
    println!("\nall {} steps as they must be, in {:.1} s", story.step, begun.elapsed().as_secs_f64());
    Ok(())
}

impl Story<'_> {
    fn say(&mut self, what: &str, detail: &str) {
        self.step += 1;
        println!("✓ {:>5.2} s  {what:<34} {detail}", self.begun.elapsed().as_secs_f64());
    }

    async fn ask(&self, method: reqwest::Method, url: String, body: Option<Value>) -> anyhow::Result<Answer> {
        let mut request = self.client.request(method, &url);
        request = if url.starts_with(&self.demo.running.admin_url) {
            request.bearer_auth(self.demo.running.admin_token.expose())
        } else {
            request.bearer_auth(&self.demo.key.key)
        };
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| url.clone())?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.demo.running.public_url);
        let answer = self.ask(reqwest::Method::GET, url, None).await?;
        ensure!(answer.status == 200, "GET {path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.ask(reqwest::Method::POST, format!("{}{path}", self.demo.running.public_url), Some(body)).await
    }

    async fn sim(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.ask(reqwest::Method::POST, format!("{}/_sim/v1{path}", self.demo.sim_url), Some(body)).await
    }

    fn chat(model: &str, stream: bool) -> Value {
        json!({
            "model": model,
            "stream": stream,
            "stream_options": if stream { json!({"include_usage": true}) } else { Value::Null },
            "messages": [{"role": "user", "content": "你好，请用一句话介绍自己"}],
        })
    }

    async fn first_call(&mut self) -> anyhow::Result<()> {
        let answer = self.post("/v1/chat/completions", Self::chat("sim-fast", false)).await?;
        ensure!(answer.status == 200, "the first call: {} {}", answer.status, answer.body);
        let said = answer.body["choices"][0]["message"]["content"].as_str().context("no content")?;
        let cost: NanoCny = answer.header("x-tollgate-cost-cny")?.parse()?;
        ensure!(cost.get() > 0 && !said.is_empty(), "the first call costs {cost}");
        let detail = format!("¥{cost}, {}", said.chars().take(24).collect::<String>());
        self.say("the first call answers", &detail);
        Ok(())
    }

    async fn refused_for_money(&mut self) -> anyhow::Result<()> {
        let answer = self.post("/v1/chat/completions", Self::chat("sim-luxury", false)).await?;
        let error = &answer.body["error"];
        ensure!(answer.status == 402, "sim-luxury: {} {}", answer.status, answer.body);
        ensure!(error["code"] == "insufficient_quota", "code {}", error["code"]);
        ensure!(answer.header("x-should-retry")? == "false", "an SDK would try again");
        let (available, required) = (yuan(&error["available"])?, yuan(&error["required"])?);
        ensure!(
            required.minus(available)? == yuan(&error["shortfall"])?,
            "the shortfall is not the difference"
        );
        ensure!(error["topup_url"].is_string(), "no topup_url");
        self.say("a dear model is refused: 402", &format!("available ¥{available}, required ¥{required}"));
        Ok(())
    }

    async fn top_up(&mut self, amount: &str) -> anyhow::Result<Value> {
        let answer = self.post("/v1/topups", json!({"amount": amount})).await?;
        ensure!(answer.status == 201, "top-up: {} {}", answer.status, answer.body);
        let order = answer.body;
        ensure!(order["status"] == "pending", "status {}", order["status"]);
        let code = order["code_url"].as_str().context("no code_url")?;
        ensure!(code.starts_with("weixin://") && order["qr_svg"].is_string(), "no code to scan");
        self.say("a top-up shows its code", &format!("¥{amount}, {code}"));
        Ok(order)
    }

    async fn pay_on_the_phone(&mut self, order: &Value) -> anyhow::Result<()> {
        let number = order["out_trade_no"].as_str().context("no out_trade_no")?;
        let page = self.client.get(format!("{}/phone", self.demo.sim_url)).send().await?.text().await?;
        ensure!(page.contains(number), "the phone page does not show the order");
        let paid = self.client.post(format!("{}/phone/pay/{number}", self.demo.sim_url)).send().await?;
        ensure!(paid.status().is_success() || paid.status().is_redirection(), "pay: {}", paid.status());
        self.say("paid on the phone page", number);
        Ok(())
    }

    async fn credited(&mut self, order: &Value, source: &str) -> anyhow::Result<()> {
        let id = order["id"].as_str().context("no id")?;
        let path = format!("/v1/topups/{id}");
        let order = self.until(&path, |order| order["status"] == "paid").await?;
        let timeline = order["timeline"].as_array().context("no timeline")?;
        let step = timeline.iter().find(|step| step["event"] == "credited").context("not credited")?;
        ensure!(step["source"] == source, "credited by {}, not {source}", step["source"]);
        let credits = self.get("/v1/credits").await?;
        self.say(
            "verified, decrypted, credited",
            &format!("by {source}; balance ¥{}", credits["balance"].as_str().unwrap_or("?")),
        );
        Ok(())
    }

    /// Asks again until it is so.
    async fn until(&self, path: &str, done: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            let found = self.get(path).await?;
            if done(&found) {
                return Ok(found);
            }
            ensure!(begun.elapsed() < PATIENCE, "{path} stays {}", found["status"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn luxury_by_stream(&mut self) -> anyhow::Result<String> {
        let url = format!("{}/v1/chat/completions", self.demo.running.public_url);
        let body = Self::chat("sim-luxury", true);
        let answer = self.client.post(url).bearer_auth(&self.demo.key.key).json(&body).send().await?;
        ensure!(answer.status() == 200, "sim-luxury by stream: {}", answer.status());
        let id = answer.headers().get("x-request-id").context("no x-request-id")?.to_str()?.to_owned();
        let text = answer.text().await?;
        let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        ensure!(events.last() == Some(&"[DONE]"), "the stream has no end");
        let chunks = events[..events.len() - 1].iter().map(|event| serde_json::from_str::<Value>(event));
        let chunks = chunks.collect::<Result<Vec<_>, _>>()?;
        let said: String =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        let usage = chunks.iter().find(|chunk| chunk["usage"].is_object()).context("no usage")?;
        let cost = usage["usage"]["cost"].as_str().context("no cost in the usage")?;
        ensure!(!said.is_empty(), "the stream says nothing");
        self.say("money unlocks it at once, by stream", &format!("{} chunks, ¥{cost}", chunks.len()));
        Ok(id)
    }

    async fn receipt(&mut self, request: &str) -> anyhow::Result<()> {
        let receipt = self.get(&format!("/v1/generation?id={request}")).await?["data"].take();
        let cost = yuan(&receipt["cost_cny"])?;
        let lines = receipt["lines"].as_array().context("no lines")?;
        let sum = lines
            .iter()
            .try_fold(NanoCny::ZERO, |sum, line| anyhow::Ok(sum.plus(yuan(&line["cost_cny"])?)?))?;
        ensure!(sum == cost, "the lines sum to {sum}, the cost is {cost}");
        ensure!(yuan(&receipt["hold"]["cost_cny"])? == cost, "the ledger says otherwise");
        ensure!(receipt["hold"]["state"] == "settled", "hold {}", receipt["hold"]["state"]);
        let detail = format!(
            "held ¥{}, {} tokens at {}, charged ¥{cost}",
            receipt["held_cny"].as_str().unwrap_or("?"),
            receipt["usage"]["total_tokens"],
            receipt["price_version"].as_str().unwrap_or("?"),
        );
        self.say("the receipt explains the cost", &detail);
        Ok(())
    }

    async fn refund(&mut self, amount: &str) -> anyhow::Result<()> {
        let answer = self.post("/v1/refunds", json!({"amount": amount, "reason": "demo"})).await?;
        ensure!(answer.status == 201, "refund: {} {}", answer.status, answer.body);
        let id = answer.body["id"].as_str().context("no id")?;
        let refund = self.until(&format!("/v1/refunds/{id}"), |refund| refund["status"] == "success").await?;
        let items = refund["items"].as_array().map_or(0, Vec::len);
        self.say(
            "unused money goes back",
            &format!("¥{amount} in {items} refund(s), confirmed by WeChat Pay"),
        );
        let too_much = self.post("/v1/refunds", json!({"amount": "100.00"})).await?;
        ensure!(too_much.status == 409, "more than is unused: {} {}", too_much.status, too_much.body);
        Ok(())
    }

    async fn books(&mut self) -> anyhow::Result<()> {
        let credits = self.get("/v1/credits").await?;
        let get = |name: &str| yuan(&credits[name]).with_context(|| name.to_owned());
        let came_in = yuan(&credits["data"]["total_credits"])?;
        let went = get("spent")?.plus(get("refunded")?)?.plus(get("refunding")?)?.plus(get("balance")?)?;
        ensure!(came_in == went, "came in {came_in}, accounted for {went}");
        let url = format!("{}/admin/v1/ledger/trial-balance", self.demo.running.admin_url);
        let books = self.ask(reqwest::Method::GET, url, None).await?.body;
        ensure!(books["balanced"] == true, "findings: {}", books["findings"]);
        ensure!(books["open_holds"] == 0, "open holds: {}", books["open_holds"]);
        let detail = format!(
            "¥{came_in} in = spent {} + refunded {} + balance {}",
            get("spent")?,
            get("refunded")?,
            get("balance")?
        );
        self.say("the books balance", &detail);
        Ok(())
    }

    /// The notification is lost; the order is credited all the same, by asking.
    async fn lost_notification(&mut self) -> anyhow::Result<()> {
        let fault = json!({"scope": "wechat", "fault": "drop_notification", "times": 1});
        let set = self.sim("/faults", fault).await?;
        ensure!(set.status < 300, "the fault: {} {}", set.status, set.body);
        let order = self.top_up("2.00").await?;
        self.pay_on_the_phone(&order).await?;
        let begun = Instant::now();
        let moved = self.sim("/clock", json!({"advance_ms": 6_000})).await?;
        ensure!(moved.status < 300, "the clock: {} {}", moved.status, moved.body);
        self.credited(&order, "query").await?;
        self.say(
            "a lost notification costs nothing",
            &format!("found by query in {} ms", begun.elapsed().as_millis()),
        );
        Ok(())
    }
}

fn yuan(value: &Value) -> anyhow::Result<NanoCny> {
    let text = value.as_str().with_context(|| format!("{value} is no amount"))?;
    text.parse().with_context(|| text.to_owned())
}
