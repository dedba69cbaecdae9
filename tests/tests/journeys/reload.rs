//! Can it be told something new while it runs, and does a mistake leave it as it was?
use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use tests::serve::Site;
use tests::wait::until;
use tests::world::said;
use tests::{Streamed, World, nano};

/// A fourth model, at the price of the others.
const SIM_LUXURY: &str = r#"
[[models]]
id = "sim-luxury"
context = 128_000
output_max = 4_096
price = { currency = "CNY", input = "2.00", output = "4.00" }

[[routes]]
model = "sim-luxury"
targets = ["openai/sim-luxury"]
"#;

/// What the file says now.
fn written(world: &World) -> String {
    fs::read_to_string(&world.config).expect("the configuration")
}

/// Writes it as editors do: beside it, and over it.
fn replaced(world: &World, text: &str) {
    let beside = world.dir().join("tollgate.toml.new");
    fs::write(&beside, text).expect("a file beside it");
    fs::rename(&beside, &world.config).expect("a file in its place");
}

async fn config(world: &World) -> Value {
    world.admin_get("/admin/v1/config").await.expect(200).json()
}

/// Waits until that many readings counted.
async fn generation(world: &World, generation: u64) -> Value {
    let seen = async || {
        let config = config(world).await;
        (config["generation"] == generation).then_some(config)
    };
    until(&format!("generation {generation}"), seen).await
}

/// Waits until a reading was refused, and says why.
async fn refused(world: &World) -> Value {
    let seen = async || {
        let last = config(world).await["last_reload"].clone();
        (last["outcome"] == "refused").then_some(last)
    };
    until("a refusal", seen).await
}

/// A server with money that is told of changes only when a test says so.
async fn unwatched() -> World {
    let world = World::serve(|config| config.replacen("[server]", "[server]\nwatch = false", 1)).await;
    world.top_up("5.00").await;
    world
}

#[tokio::test]
async fn an_edited_file_serves_at_once_and_a_stream_under_way_ends_by_the_old_one() {
    let world = World::serve(|config| config).await;
    world.top_up("5.00").await;
    let first = config(&world).await;
    assert_eq!((&first["generation"], &first["watched"]), (&json!(1), &json!(true)), "{first:#}");
    world.say("sim-luxury", "not yet").await.error(404, "invalid_request_error", "model_not_found");

    let mut response = world.stream_begun(&said("sim-slow", "let me finish")).await.expect("an answer");
    let mut streamed = Streamed::begin(&response);
    streamed.take_some(&mut response, 2).await;
    // The model of the stream is gone, the others cost ten times as much, and there is a new one.
    let old = written(&world);
    let (before, rest) = old.split_once("\n[[models]]\nid = \"sim-slow\"").expect("the model");
    let (_, after) = rest.split_once("\n[payments").expect("what follows it");
    let new =
        format!("{before}{SIM_LUXURY}\n[payments{after}").replace("input = \"2.00\"", "input = \"20.00\"");
    replaced(&world, &new);
    let config = generation(&world, 2).await;
    let last = &config["last_reload"];
    assert_eq!((&last["trigger"], &last["outcome"]), (&json!("file"), &json!("applied")), "{config:#}");
    assert_eq!(last["added"], json!(["models.sim-luxury", "routes.sim-luxury"]), "{config:#}");
    assert_eq!(last["removed"], json!(["models.sim-slow", "routes.sim-slow"]), "{config:#}");
    assert_eq!(last["changed"], json!(["models.sim-fast.price.input", "models.sim-smart.price.input"]));

    streamed.take_some(&mut response, usize::MAX).await;
    assert!(streamed.done(), "{}", streamed.text());
    let receipt = world.receipt(streamed.header("x-request-id")).await;
    assert_eq!(receipt["price_version"], "standard:1", "{receipt:#}");
    world.say("sim-slow", "gone").await.error(404, "invalid_request_error", "model_not_found");
    world.say("sim-luxury", "here").await.expect(200);
    let dear = world.say("sim-fast", "dear").await.expect(200);
    assert_eq!(dear.header("x-tollgate-price-version"), "standard:2");
    assert_eq!(world.metric("tollgate_config_reloads_total", &["outcome=\"applied\""]).await, 1.0);
    let log = world.process.logged();
    for named in ["routes.sim-luxury", "models.sim-slow", "models.sim-fast.price.input"] {
        assert!(log.contains(named), "{named} is missing in:\n{log}");
    }
    world.books_balance().await;
}

#[tokio::test]
async fn every_mistake_is_refused_with_place_and_reason_while_the_old_file_goes_on() {
    let world = unwatched().await;
    let right = written(&world);
    let sum = config(&world).await["sha256"].clone();
    let target =
        "targets = [\"openai/sim-fast\", \"deepseek/sim-fast\", \"qwen/sim-fast\", \"mistral/sim-fast\"]";
    assert!(right.contains(target), "{right}");
    let circle = "\n[[aliases]]\nname = \"a\"\nmodel = \"b\"\n\n[[aliases]]\nname = \"b\"\nmodel = \"a\"\n";
    let weightless =
        "targets = [{ to = \"openai/sim-fast\", weight = 0 }, { to = \"qwen/sim-fast\", weight = 0 }]";
    for (what, wrong, path, reason) in [
        (
            "an unknown target",
            right.replace("\"qwen/sim-fast\"", "\"qwne/sim-fast\""),
            "routes[0].targets[2]",
            "qwne",
        ),
        ("a circle of aliases", format!("{right}{circle}"), "aliases[0].model", "a circle"),
        ("no weight anywhere", right.replace(target, weightless), "routes[0].targets", "weight of 0"),
        (
            "a target without a cost",
            right.replace(target, &format!("{target}\nstrategy = \"cheapest\"")),
            "routes[0].targets[0]",
            "costs us is not known",
        ),
        (
            "a negative limit",
            format!("{right}\n[limits]\nrequests_per_minute = -1\n"),
            "",
            "must be at least 0",
        ),
        ("half a file", right[..right.len() / 2].to_owned(), "", ""),
        ("no file of ours", "{}".to_owned(), "", ""),
    ] {
        replaced(&world, &wrong);
        let checked = world.run(&["check-config", "tollgate.toml"]);
        assert_eq!(checked.code(), 6, "{what}: {checked:?}");
        let said = checked.stderr();
        assert!(
            said.contains(path) && said.contains(reason) && said.contains("tollgate.toml:"),
            "{what}: {said}"
        );

        let error = world.admin_post("/admin/v1/config:reload", &json!({})).await;
        let error = error.error(422, "invalid_request_error", "config_refused");
        let first = &error["errors"][0];
        assert!(first["line"].as_u64() > Some(0) && first["column"].as_u64() > Some(0), "{what}: {error:#}");
        assert!(error["errors"].to_string().contains(reason), "{what}: {error:#}");
        assert_eq!(world.metric("tollgate_config_last_reload_successful", &[]).await, 0.0, "{what}");
        let config = config(&world).await;
        assert_eq!((&config["sha256"], &config["generation"]), (&sum, &json!(1)), "{what}: {config:#}");
        assert_eq!(config["last_reload"]["outcome"], "refused", "{what}: {config:#}");
        world.say("sim-fast", "as before").await.expect(200);
    }
    let log = world.process.logged();
    assert!(log.contains("the old one stays in force"), "{log}");

    replaced(&world, &right);
    let mended = world.admin_post("/admin/v1/config:reload", &json!({})).await.expect(200).json();
    assert_eq!(mended["last_reload"]["outcome"], "unchanged", "{mended:#}");
    assert_eq!(world.metric("tollgate_config_last_reload_successful", &[]).await, 1.0);
    world.books_balance().await;
}

#[tokio::test]
async fn a_slip_in_a_watched_file_is_seen_and_so_is_its_mending() {
    let world = World::serve(|config| config).await;
    world.top_up("5.00").await;
    let right = written(&world);
    fs::write(&world.config, right.replace("[[routes]]", "[[rotues]]")).expect("a file");
    let last = refused(&world).await;
    assert_eq!(last["trigger"], "file", "{last:#}");
    assert!(last["errors"].to_string().contains("rotues"), "{last:#}");
    world.say("sim-fast", "as before").await.expect(200);
    fs::write(&world.config, format!("{right}{SIM_LUXURY}")).expect("a file");
    generation(&world, 2).await;
    world.say("sim-luxury", "here").await.expect(200);
    assert_eq!(world.metric("tollgate_config_last_reload_successful", &[]).await, 1.0);
}

#[tokio::test]
async fn what_is_mounted_from_a_config_map_is_read_when_the_link_leads_elsewhere() {
    let site = Site::new(|config| config).await;
    // As Kubernetes mounts it: the file is a link through a link to the folder of the day.
    let dir = site.dir().to_owned();
    let day = |day: &str, text: &str| {
        fs::create_dir(dir.join(day)).expect("a folder");
        fs::write(dir.join(day).join("tollgate.toml"), text).expect("a file");
    };
    let text = fs::read_to_string(dir.join("tollgate.toml")).expect("the configuration");
    day("..2026_11_28", &text);
    fs::remove_file(dir.join("tollgate.toml")).expect("gone");
    let link = |to: &str, name: &str| symlink(to, dir.join(name)).expect("a link");
    link("..2026_11_28", "..data");
    link("..data/tollgate.toml", "tollgate.toml");
    let mut world = site.open().await;
    world.customer("alice");
    world.top_up("5.00").await;

    let swap = |to: &str| {
        link(to, "..data_tmp");
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("another link in its place");
    };
    day("..2026_11_29", &format!("{text}{SIM_LUXURY}"));
    swap("..2026_11_29");
    fs::remove_dir_all(dir.join("..2026_11_28")).expect("the old day is cleared away");
    generation(&world, 2).await;
    world.say("sim-luxury", "here").await.expect(200);
    // And again, where the first day's folder is no more.
    day("..2026_11_30", &text);
    swap("..2026_11_30");
    generation(&world, 3).await;
    world.say("sim-luxury", "gone").await.error(404, "invalid_request_error", "model_not_found");
}

#[tokio::test]
async fn a_providers_key_is_rotated_where_it_is_kept() {
    let world = World::serve(|config| config).await;
    world.top_up("5.00").await;
    let key = world.dir().join("provider_key.txt");
    let right = fs::read_to_string(&key).expect("the key");
    fs::write(&key, "sk-that-nobody-knows").expect("a file");
    let config = generation(&world, 2).await;
    assert!(config["last_reload"]["changed"].to_string().contains("providers.openai.api_key"), "{config:#}");
    let refused = world.say("sim-fast", "with the wrong key").await;
    assert!(refused.status >= 500, "{refused:?}");
    fs::write(&key, &right).expect("a file");
    generation(&world, 3).await;
    world.say("sim-fast", "with the right one").await.expect(200);
    let seen = [world.process.logged(), config.to_string()].concat();
    assert!(!seen.contains("sk-that-nobody-knows") && !seen.contains(right.trim()), "a key was shown");
    world.books_balance().await;
}

#[tokio::test]
async fn a_reading_is_asked_for_by_signal_or_api_and_the_same_text_changes_nothing() {
    let world = unwatched().await;
    let same = world.admin_post("/admin/v1/config:reload", &json!({})).await.expect(200).json();
    assert_eq!((&same["generation"], &same["watched"]), (&json!(1), &json!(false)), "{same:#}");
    assert_eq!(same["last_reload"]["outcome"], "unchanged", "{same:#}");

    replaced(&world, &format!("# why\n{}{SIM_LUXURY}", written(&world)));
    world.process.hang_up();
    let config = generation(&world, 2).await;
    assert_eq!(config["last_reload"]["trigger"], "signal", "{config:#}");
    assert_ne!(config["sha256"], same["sha256"]);
    world.say("sim-luxury", "here").await.expect(200);

    let unknown = world.http.post(format!("{}/admin/v1/config:reload", world.admin_url));
    assert_eq!(tests::world::sent(unknown).await.status, 401, "whoever shows no token");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_waits_for_it() {
    let mut world = unwatched().await;
    let text = written(&world).replacen("drain_ms_max = 2_000", "drain_ms_max = 3_000", 1);
    let text = text.replacen("livemode = \"demo\"", "livemode = \"demo\"\ntotal_ms_max = 60_000", 1);
    // What is written out and was the default needs nothing.
    let restarts = "[limits]\nredis_ms_max = 40\ntokens_per_minute = 900_000\n\n[cache]\nredis_ms_max = 40\n";
    replaced(&world, &format!("{text}\n[telemetry]\nlog = \"info\"\n{restarts}"));
    let config = world.admin_post("/admin/v1/config:reload", &json!({})).await.expect(200).json();
    assert_eq!(config["last_reload"]["outcome"], "applied", "{config:#}");
    assert_eq!(
        config["restart_required"],
        json!(["cache.redis_ms_max", "limits.redis_ms_max", "server.drain_ms_max"]),
        "{config:#}"
    );
    assert!(world.process.logged().contains("counts only after a restart"));
    world.restart().await;
    let config = self::config(&world).await;
    assert_eq!(config["restart_required"], json!([]), "{config:#}");
}

#[tokio::test]
async fn limits_and_rates_of_exchange_follow_the_file() {
    let world = unwatched().await;
    let foreign = SIM_LUXURY.replace("CNY", "USD") + "\n[fx.pinned]\n\"USD/CNY\" = \"7.00\"\n";
    replaced(&world, &format!("{}{foreign}\n[limits]\nbody_max_bytes = 2_000\n", written(&world)));
    world.admin_post("/admin/v1/config:reload", &json!({})).await.expect(200);
    world.say("sim-fast", &"long ".repeat(1_000)).await.error(
        413,
        "invalid_request_error",
        "request_too_large",
    );
    let cost = async |world: &World| {
        nano(world.say("sim-luxury", "dear").await.expect(200).header("x-tollgate-cost-cny"))
    };
    let before = cost(&world).await;
    replaced(&world, &written(&world).replace("\"7.00\"", "\"14.00\""));
    let config = world.admin_post("/admin/v1/config:reload", &json!({})).await.expect(200).json();
    assert_eq!(config["last_reload"]["changed"], json!(["fx.pinned.USD/CNY"]), "{config:#}");
    assert_eq!(cost(&world).await, before * 2, "the same call at twice the rate");
    world.books_balance().await;
}

#[tokio::test]
async fn a_broken_file_starts_nothing_whatever_was_in_force_before() {
    let mut world = World::serve(|config| config).await;
    let right = written(&world);
    assert!(world.process.stop().success());
    replaced(&world, &right.replace("[[routes]]", "[[rotues]]"));
    let served = world.run(&["serve", "-c", "tollgate.toml"]);
    assert_eq!(served.code(), 6, "{served:?}");
    assert!(served.stderr().contains("rotues"), "{served:?}");
    replaced(&world, &right);
    world.start_again().await;
}
