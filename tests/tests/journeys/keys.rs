//! Do keys come, change and go missing without anybody losing a payment?
use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use tests::serve::Site;
use tests::till::text;
use tests::world::sent;
use tests::{World, nano, until};

/// The key of the platform, as the file names it.
const PUBLIC_KEY: [&str; 2] = ["platform_public_key_id", "platform_public_key "];

/// The file without the lines of these keys.
fn without(config: &str, keys: &[&str]) -> String {
    let stays = |line: &&str| !keys.iter().any(|key| line.starts_with(key));
    config.lines().filter(stays).map(|line| format!("{line}\n")).collect()
}

/// What is written as `key = ...`.
fn line<'a>(config: &'a str, key: &str) -> &'a str {
    config.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("no {key} in {config}"))
}

fn written(world: &World) -> String {
    fs::read_to_string(&world.config).expect("the configuration")
}

/// WeChat Pay's keys turn while everything runs.
async fn turned(world: &World, keys: Value) {
    world.sim_post("/wechat/keys", &keys).await.expect(200);
}

/// Only a notice may find the payment.
async fn without_queries(world: &World) {
    let fault = json!({"scope": "wechat", "fault": "status", "op": "query", "status": 500, "times": 0});
    world.fault(fault).await;
}

/// An order is made, paid, and credited by the notice.
async fn paid_by_notice(world: &World, order: &Value) {
    world.pay(order).await.expect(200);
    let paid = world.order_until(order, "paid").await;
    let timeline = paid["timeline"].as_array().expect("a timeline");
    assert!(timeline.iter().any(|step| step["source"] == "notify"), "{paid:#}");
}

async fn order_of(world: &World, yuan: &str) -> Value {
    world.topup(&json!({"amount": yuan})).await
}

async fn channel(world: &World) -> Value {
    world.admin_get("/admin/v1/channels").await.expect(200).json()["data"][0].clone()
}

/// The file is read again on demand.
async fn read_again(world: &World) -> Value {
    world.admin_post("/admin/v1/config:reload", &json!({})).await.expect(200).json()
}

#[tokio::test]
async fn wechat_pay_goes_from_certificate_to_certificate_to_public_key_and_no_notice_is_lost() {
    // Whoever has no key of the platform at all downloads its certificates.
    let certificates = json!({"certificates": "rotate", "public_key_percent": 0});
    let site = Site::new(|config| without(&config, &PUBLIC_KEY)).await;
    let ready = fs::read_to_string(site.dir().join("far-ready.json")).expect("where the far side is");
    let far: Value = serde_json::from_str(&ready).expect("JSON");
    let keys = format!("{}/_sim/v1/wechat/keys", text(&far, "sim_url"));
    sent(reqwest::Client::new().post(keys).json(&certificates)).await.expect(200);
    let mut world = site.open().await;
    world.customer("alice");
    without_queries(&world).await;
    let first = order_of(&world, "1.00").await;
    paid_by_notice(&world, &first).await;

    // The next certificate signs before anybody was told of it.
    let under_way = order_of(&world, "2.00").await;
    turned(&world, certificates).await;
    paid_by_notice(&world, &under_way).await;
    let second = order_of(&world, "3.00").await;
    paid_by_notice(&world, &second).await;
    let downloaded = channel(&world).await["downloaded_certificates"].clone();
    assert_eq!(downloaded.as_array().map(Vec::len), Some(2), "{downloaded}");
    let looks = world.process.logged().matches("an unknown serial").count();
    assert_eq!(looks, 1, "asked for once");

    // The public key is written down while an order waits for its payment, and then signs everything.
    let under_way = order_of(&world, "4.00").await;
    let id = world.sim_get("/wechat/keys").await;
    let told = format!(
        "platform_public_keys = [{{ id = \"{}\", key = \"file:far/platform_public_key.pem\" }}]\n",
        text(&id, "public_key_id")
    );
    fs::write(&world.config, written(&world) + &told).expect("written");
    let config = read_again(&world).await;
    assert_eq!(config["restart_required"], json!([]), "{config:#}");
    turned(&world, json!({"certificates": "none", "public_key_percent": 100})).await;
    paid_by_notice(&world, &under_way).await;
    let last = order_of(&world, "5.00").await;
    paid_by_notice(&world, &last).await;
    assert_eq!(world.balance().await, nano("15.00"));
    world.books_balance().await;
}

#[tokio::test]
async fn a_channel_without_its_key_is_off_and_says_so_while_everybody_else_is_served() {
    let site = Site::new(|config| config.replacen("[server]", "[server]\nwatch = false", 1)).await;
    let (key, away) = (site.dir().join("far/api_v3_key.txt"), site.dir().join("api_v3_key.away"));
    fs::rename(&key, &away).expect("the key is taken away");
    let mut world = site.open().await;
    world.customer("alice");
    let refused = world.request(Method::POST, "/v1/topups").json(&json!({"amount": "1.00"}));
    let refused = sent(refused).await;
    refused.error(503, "server_error", "payment_channel_off");
    assert!(!refused.text().contains("api_v3_key"), "{}", refused.text());
    let off = channel(&world).await;
    assert_eq!(off["on"], false, "{off:#}");
    assert!(text(&off, "why_off").contains("payments.wechat.main.api_v3_key"), "{off:#}");
    let is_on = async || world.metric("tollgate_payment_merchant_on", &["merchant=\"main\""]).await;
    assert_eq!(is_on().await, 0.0);
    world.get("/v1/models").await.expect(200);
    world.get("/readyz").await.expect(200);
    let doctor = world.run(&["doctor", "-c", "tollgate.toml", "-o", "json"]);
    assert!(doctor.code() == 6 && doctor.stdout().contains("api_v3_key"), "{}", doctor.stdout());
    let checked = world.run(&["check-config", "tollgate.toml"]);
    assert!(checked.code() == 6 && checked.stderr().contains("api_v3_key"), "{}", checked.stderr());

    fs::rename(&away, &key).expect("the key is put back");
    read_again(&world).await;
    assert_eq!(channel(&world).await["on"], true);
    assert_eq!(is_on().await, 1.0);
    let order = order_of(&world, "1.00").await;
    paid_by_notice(&world, &order).await;

    // What does not do now is refused, and the keys that do stay in force.
    let secret = fs::read_to_string(&key).expect("the key");
    fs::write(&key, "short").expect("written");
    let refused = world.admin_post("/admin/v1/config:reload", &json!({})).await;
    refused.error(422, "invalid_request_error", "config_refused");
    assert!(refused.text().contains("an APIv3 key has 32 characters"), "{}", refused.text());
    let order = order_of(&world, "2.00").await;
    paid_by_notice(&world, &order).await;

    // A merchant who is to be somebody else waits for a restart, and its keys with it.
    fs::write(&key, &secret).expect("written");
    let right = written(&world);
    let mchid = line(&right, "mchid");
    fs::write(&world.config, right.replace(mchid, "mchid = \"1900000000\"")).expect("written");
    let config = read_again(&world).await;
    let waits = json!(["payments.wechat.main.api_v3_key", "payments.wechat.main.mchid"]);
    assert_eq!(config["restart_required"], waits, "{config:#}");
    let order = order_of(&world, "3.00").await;
    paid_by_notice(&world, &order).await;
    assert!(!world.process.logged().contains(secret.trim()), "no key is ever logged");
    world.books_balance().await;
}

#[tokio::test]
async fn where_there_is_no_way_to_the_usual_host_the_other_one_takes_the_same_order() {
    for api in ["v3", "v2"] {
        let world = World::serve(|config| {
            let usual =
                config.lines().find(|line| line.ends_with("/wechat\"")).expect("an address").to_owned();
            let backup = usual.replace("base_url", "backup_url");
            // Nobody listens on the first port there is.
            let nowhere = format!("api = \"{api}\"\nbase_url = \"http://127.0.0.1:1/wechat\"\n{backup}");
            config.replacen(&usual, &nowhere, 1)
        })
        .await;
        let order = order_of(&world, "10.00").await;
        assert_eq!(world.far_order(&order).await["out_trade_no"], order["out_trade_no"], "{api}");
        world.pay(&order).await.expect(200);
        world.order_until(&order, "paid").await;
        let refund = world.request(Method::POST, "/v1/refunds").json(&json!({"amount": "4.00"}));
        let refund = sent(refund).await.expect(201).json();
        until("the refund has arrived", || async {
            let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
            (refund["status"] == "success").then_some(())
        })
        .await;
        assert_eq!(world.balance().await, nano("6.00"), "{api}");
        assert!(world.process.logged().contains("backup host"), "{api}: it is said");
        world.books_balance().await;
    }
}

#[tokio::test]
async fn the_doctor_finds_each_mistake_and_asks_wechat_pay() {
    let site = Site::new(|config| config).await;
    let dir = site.dir();
    let path = dir.join("tollgate.toml");
    let right = fs::read_to_string(&path).expect("the configuration");
    let doctor = |config: &str, args: &[&str]| {
        fs::write(&path, config).expect("written");
        let mut all = vec!["doctor", "-c", "tollgate.toml", "-o", "json"];
        all.extend(args);
        let ran = tests::process::run(&all, dir);
        (ran.code(), ran.stdout() + &ran.stderr())
    };
    let (code, said) = doctor(&right, &["--live"]);
    assert_eq!(code, 0, "{said}");
    for found in
        ["belongs to the private key", "s ahead of WeChat Pay's", "API v3: WeChat Pay takes our signature"]
    {
        assert!(said.contains(found), "{found} is missing in {said}");
    }
    assert!(said.contains("API v2: WeChat Pay takes our signature"), "{said}");

    let (other, short) = (dir.join("other.pem"), dir.join("short.txt"));
    let credentials = site.credentials();
    fs::write(&other, text(&credentials, "platform_private_key_pem")).expect("written");
    fs::write(&short, "short").expect("written");
    let with = |key: &str, value: &str| right.replace(line(&right, key), &format!("{key} = \"{value}\""));
    for (config, expected) in [
        (with("private_key", "file:other.pem"), "it belongs to another private key"),
        (with("private_key", "file:nowhere.pem"), "private_key: the file `nowhere.pem` cannot be read"),
        (
            with("merchant_serial", "0123456789ABCDEF0123456789ABCDEF01234567"),
            "the certificate has another serial",
        ),
        (with("certificate", "file:far/platform_public_key.pem"), "expected a PEM block `CERTIFICATE`"),
        (with("api_v3_key", "file:short.txt"), "an APIv3 key has 32 characters"),
        (with("api_v2_key", "file:short.txt"), "an APIv2 key is 32 letters and digits"),
        (with("platform_public_key_id", "0116"), "a public key's id is `PUB_KEY_ID_` and digits"),
        (with("mchid", "19-1"), "a merchant number is about ten digits"),
        (with("appid", "gh_1"), "an app id is `wx` and 16 hex digits"),
    ] {
        let (code, said) = doctor(&config, &[]);
        assert!(code == 6 && said.contains(expected), "{expected}: {code} {said}");
        let secrets = ["api_v3_key", "api_v2_key"].map(|key| text(&credentials, key));
        assert!(
            !secrets.iter().any(|secret| said.contains(secret)) && !said.contains("PRIVATE KEY--"),
            "{said}"
        );
    }
    // What fits but is not what WeChat Pay has, only WeChat Pay can say.
    fs::write(dir.join("wrong.txt"), "0123456789abcdef0123456789abcdef").expect("written");
    let (code, said) = doctor(&with("api_v2_key", "file:wrong.txt"), &["--live"]);
    assert!(code == 6 && said.contains("API v2: settings are wrong"), "{code} {said}");
    let base_url = right.lines().find(|line| line.ends_with("/wechat\"")).expect("an address");
    // The simulator's WeChat Pay stands below `/wechat` and at the root, as the real one does.
    let bare = right.replace(base_url, &base_url.replace("/wechat", ""));
    assert_eq!(doctor(&bare, &["--live"]).0, 0);
    let astray = right.replace(base_url, &base_url.replace("/wechat", "/nothing"));
    let (code, said) = doctor(&astray, &["--live"]);
    assert!(code == 6 && said.contains("base_url: nothing stands at"), "{code} {said}");
    let nowhere = right.replace(base_url, "base_url = \"http://127.0.0.1:1/wechat\"");
    let (code, said) = doctor(&nowhere, &["--live"]);
    assert!(code == 7 && said.contains("unreached"), "{code} {said}");

    // A clock that is off makes no good key a wrong one.
    let ready = fs::read_to_string(dir.join("far-ready.json")).expect("where the far side is");
    let far: Value = serde_json::from_str(&ready).expect("JSON");
    assert!(base_url.contains(text(&far, "wechat_url")), "{base_url}: {far:#}");
    tests::process::run(&["sim", "clock", "+1d", "--sim-url", text(&far, "sim_url")], dir).ok();
    let (code, said) = doctor(&right, &["--live"]);
    assert!(code == 6 && said.contains("s behind WeChat Pay's"), "{code} {said}");
    assert!(!said.contains("SIGN_ERROR") && said.contains("API v2: WeChat Pay takes"), "{said}");
}
