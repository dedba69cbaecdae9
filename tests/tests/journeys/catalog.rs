//! What does an operator know of providers and models before anything is configured, and how does a cost become a price?
use std::path::Path;

use serde_json::{Value, json};
use tests::{World, process::run, till::text};

/// A file that says no more than it must: who, and which models.
const FEW_WORDS: &str = r#"
[store]
path = "store"

[fx.pinned]
"USD/CNY" = "7.00"

[[providers]]
id = "ds"
kind = "deepseek"
region = "cn"

[[providers]]
id = "claude"
kind = "anthropic"

[[providers]]
id = "qwen"
kind = "dashscope"
region = "cn"

[[models]]
id = "deepseek-flash"

[[models]]
id = "claude-haiku-4-5"

[[models]]
id = "qwen-plus"

[[routes]]
model = "deepseek-flash"
targets = ["ds/deepseek-flash"]

[[routes]]
model = "claude-haiku-4-5"
targets = ["claude/claude-haiku-4-5"]

[[routes]]
model = "qwen-plus"
targets = ["qwen/qwen-plus"]
"#;

fn json_of(args: &[&str], dir: &Path) -> Value {
    serde_json::from_str(&run(args, dir).ok()).expect("JSON")
}

fn find<'v>(list: &'v Value, member: &str, name: &str) -> &'v Value {
    let rows = list.as_array().expect("a list");
    rows.iter().find(|row| row[member] == name).unwrap_or_else(|| panic!("{name} in {list}"))
}

#[test]
fn a_cost_becomes_a_price_when_an_operator_publishes_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    std::fs::write(dir.join("tollgate.toml"), FEW_WORDS).expect("a file");
    let checked = run(&["check-config", "tollgate.toml"], dir).ok();
    assert!(
        checked.contains("sold only once a price list has them: claude-haiku-4-5, deepseek-flash, qwen-plus"),
        "{checked}"
    );

    let listed = json_of(&["models", "--json"], dir);
    assert!(text(&listed, "prices_unknown").starts_with("there are no books"), "{listed}");
    assert!(!dir.join("store").exists(), "whoever only looks opens no books");
    let flash = find(&listed["data"], "id", "deepseek-flash");
    assert_eq!(flash["context_length"], 1_000_000);
    let cost = &flash["targets"][0]["cost"];
    assert_eq!((text(cost, "currency"), text(cost, "input"), text(cost, "as_of")), ("CNY", "2", "2026-10"));

    let saved = json_of(&["prices", "draft", "--from-catalog", "--markup", "1.25", "-o", "json"], dir);
    assert_eq!(saved["from_catalog"], json!(["claude-haiku-4-5", "deepseek-flash"]));
    assert!(text(&saved["left_out"][0], "why").contains("calls that think"), "{saved}");
    let shown = json_of(&["prices", "show", "--number", "draft", "-o", "json"], dir);
    let row = |model: &str, place: &str| -> Value {
        let rows = shown["data"].as_array().expect("rows");
        let found = rows
            .iter()
            .find(|row| row["model"] == model && row["place"].as_str().is_some_and(|p| p.contains(place)));
        found.unwrap_or_else(|| panic!("{model} {place} in {shown}")).clone()
    };
    let peak = find(&shown["data"], "model", "deepseek-flash");
    assert_eq!(
        (text(peak, "input"), text(peak, "output"), text(peak, "markup_percent")),
        ("2.50", "10.00", "25")
    );
    let night = row("deepseek-flash", "mon-fri 10:00");
    assert_eq!((text(&night, "input"), text(&night, "cached_input")), ("1.25", "0.025"));
    run(&["prices", "publish", "--reason", "a journey", "--yes", "-o", "json"], dir).ok();

    let listed = json_of(&["models", "--json", "--provider", "ds"], dir);
    assert_eq!(text(&listed, "price_version"), "standard:1");
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(text(&listed["data"][0]["prices"][0], "input"), "2.50");

    let again = run(&["prices", "draft", "--from-catalog", "--models", "claude*", "-o", "json"], dir).ok();
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!(again["from_catalog"], json!(["claude-haiku-4-5"]));
    let diff = run(&["prices", "diff", "-o", "json"], dir);
    let diff: Value = serde_json::from_str(&diff.stdout()).expect("JSON");
    assert_eq!(
        (&diff["added"], &diff["removed"]),
        (&json!([]), &json!([])),
        "what was not asked for stays: {diff}"
    );
}

#[test]
fn anothers_catalog_is_proposed_and_taken_over_by_hand() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let listed = json_of(&["models", "--all", "--json"], dir);
    let models = listed["data"].as_array().expect("models");
    let priced = models.iter().filter(|model| model["cost"].is_object()).count();
    assert_eq!((models.len(), priced), (1_219, 1_202), "without any file");

    let theirs = json!({
        "gpt-4o": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 3e-6, "output_cost_per_token": 1e-5},
        "gpt-99": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.5e-7, "output_cost_per_token": 6e-7,
                   "max_input_tokens": 1000, "max_output_tokens": 100},
    });
    std::fs::write(dir.join("map.json"), theirs.to_string()).expect("a file");
    let import = ["models", "import", "--from", "litellm", "map.json", "--json", "--write", "proposed"];
    let ran = run(&import, dir);
    assert_eq!(ran.code(), 8, "differences were found: {ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let changed = find(&found["changed"], "model", "gpt-4o");
    let input = find(&changed["changes"], "what", "input");
    assert_eq!((text(input, "old"), text(input, "new"), text(input, "percent")), ("2.5", "3", "+20.00"));
    assert_eq!(text(&found["new"][0], "model"), "gpt-99");
    assert_eq!(run(&import, dir).code(), 5, "what is there is not replaced");

    let config = "[catalog]\npath = \"proposed\"\n[[providers]]\nid = \"o\"\nkind = \"openai\"\n[[models]]\nid = \"new\"\n\
                  [[routes]]\nmodel = \"new\"\ntargets = [\"o/gpt-99\"]\n";
    std::fs::write(dir.join("tollgate.toml"), config).expect("a file");
    run(&["check-config", "tollgate.toml"], dir).ok();
    let listed = json_of(&["models", "--all", "--provider", "openai", "--json"], dir);
    assert_eq!(text(&find(&listed["data"], "id", "gpt-99")["cost"], "input"), "0.15");
    std::fs::write(dir.join("broken.json"), "{\n oops").expect("a file");
    let broken = run(&["models", "import", "--from", "models.dev", "broken.json"], dir);
    assert_eq!(broken.code(), 6);
    assert!(broken.stderr().contains("broken.json:2:2: "), "{}", broken.stderr());
}

#[tokio::test]
async fn a_model_without_a_price_is_not_sold_and_says_what_it_is() {
    let world = World::serve(|config| {
        config.replacen(
            "price = { currency = \"CNY\", input = \"2.00\", cached_input = \"0.50\", output = \"16.00\" }",
            "",
            1,
        )
    })
    .await;
    let model = world.get("/v1/models/sim-smart").await.expect(200).json();
    assert_eq!((text(&model, "kind"), &model["pricing"]), ("chat", &Value::Null));
    assert!(model["created"].is_u64());
    world.say("sim-smart", "hello").await.error(503, "server_error", "price_unavailable");
    world.books_balance().await;
}
