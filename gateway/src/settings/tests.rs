//! What an operator sees: a file goes in, settings or a list of places and words comes out.

use std::collections::BTreeMap;

use router_config::SecretRef;
use serde_json::Value;

use super::*;

mod money; // merchants, top-ups, exchange rates

const EXAMPLE: &str = include_str!("../../../examples/tollgate.toml");

/// The smallest file that serves something.
const SMALL: &str = r#"
[[providers]]
id = "house"
kind = "openai-compatible"
base_url = "http://127.0.0.1:8000/v1"

[[models]]
id = "small"
context = 8192
output_max = 2048
price = { currency = "CNY", input = "0.50", output = "1.00" }

[[routes]]
model = "small"
targets = ["house/small"]
"#;

const MERCHANT: &str = r#"
[payments.wechat.main]
mode = "live"
mchid = "1900000001"
appid = "wx0123456789abcdef"
merchant_serial = "0123456789abcdef0123456789abcdef01234567"
private_key = "file:key.pem"
api_v3_key = "env:V3_KEY"
platform_public_key_id = "PUB_KEY_ID_0119"
platform_public_key = "file:wechat.pem"
platform_certificates = ["file:cert.pem"]
"#;

/// Secrets by the words that name them.
struct Faked(BTreeMap<&'static str, &'static str>);

impl Secrets for Faked {
    fn read(&self, from: &SecretRef) -> Result<Secret, SecretError> {
        match self.0.get(from.to_string().as_str()) {
            Some(text) => Ok(Secret::new((*text).to_owned())),
            None => Err(SecretError::Unset(from.to_string())),
        }
    }
}

fn secrets() -> Faked {
    Faked(BTreeMap::from([
        ("env:DEEPSEEK_API_KEY", "sk-deepseek"),
        ("env:DASHSCOPE_API_KEY", "sk-dashscope"),
        ("env:MISTRAL_API_KEY", "mistral"),
        ("env:OPENAI_API_KEY", "sk-openai"),
        ("env:V3_KEY", "0123456789abcdef0123456789abcdef"),
        ("env:WECHAT_API_V3_KEY", "0123456789abcdef0123456789abcdef"),
        ("env:SHORT", "short"),
        ("env:TWO_WORDS", "two words"),
        ("file:key.pem", "-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----"),
        ("file:old-key.pem", "-----BEGIN RSA PRIVATE KEY-----\nMII=\n-----END RSA PRIVATE KEY-----"),
        ("file:wechat.pem", "-----BEGIN PUBLIC KEY-----\nMII=\n-----END PUBLIC KEY-----"),
        ("file:cert.pem", "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----"),
        ("file:/run/secrets/apiclient_key.pem", "-----BEGIN PRIVATE KEY-----\nMII="),
        ("file:/run/secrets/wechat_pub_key.pem", "-----BEGIN PUBLIC KEY-----\nMII="),
        ("file:/run/secrets/wechatpay_cert.pem", "-----BEGIN CERTIFICATE-----\nMII="),
    ]))
}

fn read(text: &str) -> Result<Settings, ConfigErrors> {
    Settings::parse(text, "t.toml", &secrets())
}

/// Everything that is said about `text`.
fn said_of(text: &str) -> String {
    match read(text) {
        Ok(settings) => settings.amiss.to_string(),
        Err(errors) => errors.to_string(),
    }
}

/// What is said about the smallest file behind `text`, and nothing else.
#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(said_of(&format!("{text}{SMALL}")), expected);
}

#[test]
fn the_example_is_valid_and_means_what_it_says() {
    let settings = read(EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(settings.table.providers.len(), 4);
    assert_eq!(settings.table.routes["deepseek-v4-pro"].0[0].targets.len(), 2, "it fails over");
    assert_eq!(settings.provider_keys["qwen"][0].expose(), "sk-dashscope");
    assert_eq!(settings.fx.sources[0].url, "https://api.frankfurter.dev/v1/latest?base=USD&symbols=CNY");
    assert_eq!(settings.payments.topup.max, Fen::new(5_000_000).unwrap());
    assert!(settings.payments.merchants.is_empty(), "nobody is paid until someone says so");
}

#[test]
fn what_the_example_shows_in_comments_is_valid_too() {
    let key = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let uncommented: Vec<_> = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || key(rest) => rest,
            _ => line,
        })
        .collect();
    let mut faked = secrets();
    faked.0.insert("env:TOLLGATE_KEY_SECRET", "0123456789abcdef0123456789abcdef");
    faked.0.insert("env:WECHAT_API_V2_KEY", "0123456789abcdef0123456789abcdef");
    faked.0.insert("file:/run/secrets/apiclient_cert.pem", "-----BEGIN CERTIFICATE-----\nMII=");
    let settings = Settings::parse(&uncommented.join("\n"), "example", &faked)
        .unwrap_or_else(|errors| panic!("{errors}"));
    let merchant = &settings.payments.merchants["main"];
    assert_eq!((merchant.mode.livemode(), merchant.api), (Livemode::Live, WechatApi::V3));
    assert_eq!(merchant.base_url, "https://api.mch.weixin.qq.com");
    assert!(merchant.v2.as_ref().is_some_and(|v2| v2.certificate.is_some()), "both APIs are spoken");
    assert!(settings.server.key_secret.is_some());
    assert_eq!(settings.server.trusted_proxies.len(), 1);
    assert!(settings.table.providers["house"].api_keys.is_empty());
    assert_eq!(settings.fx.pinned.values().map(|rate| rate.get()).collect::<Vec<_>>(), [7_120_000]);
}

#[test]
fn what_the_example_calls_a_default_is_one() {
    let settings = read(SMALL).unwrap();
    let example = read(EXAMPLE).unwrap();
    assert_eq!(settings.server.listen, example.server.listen);
    assert_eq!(settings.admin.listen, example.admin.listen);
    assert_eq!(settings.store.path, example.store.path);
    assert_eq!(settings.telemetry, example.telemetry);
    assert_eq!(settings.payments.topup, example.payments.topup);
    assert_eq!((settings.fx.cache, settings.fx.max_stale), (example.fx.cache, example.fx.max_stale));
    assert_eq!(format!("{:?}", settings.table.limits), format!("{:?}", example.table.limits));
    assert_eq!(settings.server.drain_max, Duration::from_secs(30));
}

#[test]
fn the_schema_accepts_the_example_and_refuses_what_we_refuse() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let json = |text: &str| serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
    assert!(validator.is_valid(&json(EXAMPLE)));
    assert!(validator.is_valid(&json(&format!("{SMALL}{MERCHANT}"))));
    assert!(!validator.is_valid(&json("[server]\nlisten = 8080\n")));
    assert!(!validator.is_valid(&json("[sever]\n")));
    assert!(!validator.is_valid(&json(&SMALL.replace("openai-compatible", "opnai"))));
    assert!(!validator.is_valid(&json(&SMALL.replace("id = \"house\"", ""))));
}

/// Every key of the schema as a row of the reference begins: path, type, default.
fn rows(root: &Value, path: &str, schema: &Value, rows: &mut Vec<String>) {
    let resolved = |schema: &Value| -> Value {
        // What may be absent is either what it refers to, or nothing.
        let schema = schema["anyOf"].get(0).unwrap_or(schema);
        let pointer =
            schema.get("$ref").and_then(Value::as_str).map(|r| r.trim_start_matches('#').to_owned());
        pointer.map_or_else(|| schema.clone(), |pointer| root.pointer(&pointer).unwrap().clone())
    };
    let table = resolved(schema);
    for (key, property) in table["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{path}{key} is not described");
        let kind = resolved(property);
        let (item, entry) = (resolved(&kind["items"]), resolved(&kind["additionalProperties"]));
        let words: Vec<_> = (kind["oneOf"].as_array().into_iter().flatten().map(|choice| &choice["const"]))
            .chain(kind["enum"].as_array().into_iter().flatten())
            .map(|word| format!("`{word}`"))
            .collect();
        if kind["properties"].is_object() {
            self::rows(root, &format!("{path}{key}."), property, rows);
        } else if item["properties"].is_object() {
            self::rows(root, &format!("{path}{key}[]."), &kind["items"], rows);
        } else if entry["properties"].is_object() {
            self::rows(root, &format!("{path}{key}.NAME."), &kind["additionalProperties"], rows);
        } else {
            let kind = match kind["type"].as_str().or_else(|| kind["type"][0].as_str()) {
                _ if !words.is_empty() => words.join(", "),
                Some("array") => "list of strings".to_owned(),
                Some("object") if entry["type"] == "object" => "table of tables".to_owned(),
                Some("object") if entry == Value::Bool(true) => "table".to_owned(),
                Some("object") => "table of strings".to_owned(),
                Some(plain) => plain.to_owned(),
                None => unreachable!("{path}{key} has no type"),
            };
            let required =
                table["required"].as_array().is_some_and(|keys| keys.contains(&Value::from(key.as_str())));
            let default = match &property["default"] {
                Value::Null if required => "required".to_owned(),
                Value::Null => "none".to_owned(),
                value => format!("`{value}`"),
            };
            rows.push(format!("| `{path}{key}` | {kind} | {default} |"));
        }
    }
}

#[test]
fn the_reference_has_every_key_with_its_type_and_default_and_no_other() {
    let reference = include_str!("../../../docs/config.md");
    let (root, mut expected) = (schema(), Vec::new());
    rows(&root, "", &root, &mut expected);
    let missing: Vec<_> = expected.iter().filter(|row| !reference.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/config.md lacks {missing:#?}");
    assert_eq!(reference.lines().filter(|line| line.starts_with("| `")).count(), expected.len());
}

#[test]
fn every_unknown_key_is_named_at_once_with_the_one_that_was_meant() {
    let text = r#"[sever]
listen = "127.0.0.1:1"

[[providers]]
id = "house"
kind = "openai-compatible"
base_url = "http://127.0.0.1:8000/v1"
time_out = 5

[[models]]
id = "small"
context = 8192
output_max = 2048
price = { currency = "CNY", input = "0.50", output = "1.00", cached = "0.1" }

[[routes]]
model = "small"
targets = ["house/small"]
attempt_max = 2

[payments.topup]
"größe" = 1
"#;
    assert_eq!(
        said_of(text),
        "t.toml:1:2: unknown key `sever` — did you mean `server`?\n\
         t.toml:8:1: unknown key `time_out` — known here: `api_key`, `api_keys`, `auth`, `balance_alert`, \
         `base_url`, `concurrency_max`, `connect_ms_max`, `first_byte_ms_max`, `id`, `idle_ms_max`, `kind`, `livemode`, \
         `probe_seconds`, `quirks`, `region`, `requests_per_minute`, `stream_bytes_per_second_min`, `tokens_per_minute`, \
         `total_ms_max`\n\
         t.toml:14:62: unknown key `cached` — did you mean `cached_input`?\n\
         t.toml:19:1: unknown key `attempt_max` — did you mean `attempts_max`?\n\
         t.toml:22:1: unknown key `größe` — known here: `description`, `device_id`, `expires_secs`, `max`, `min`, `open_orders_max`"
    );
}

#[test]
fn unknown_keys_do_not_hide_what_else_is_wrong() {
    refused(
        "[server]\nlisten = \"8080\"\ncolour = 1\n",
        "t.toml:2:10: server.listen: not an address and a port like `127.0.0.1:8080` or `[::]:8080`\n\
         t.toml:3:1: unknown key `colour` — known here: `drain_ms_max`, `keep_alive_ms`, `key_secret`, `listen`, `public_url`, \
         `ready_file`, `region`, `trusted_proxies`, `watch`",
    );
}

#[test]
fn a_misspelt_needed_key_is_said_once() {
    assert_eq!(
        said_of(&SMALL.replace("model = \"small\"", "modle = \"small\"")),
        "t.toml:14:1: unknown key `modle` — did you mean `model`?"
    );
}

#[test]
fn every_wrong_type_and_missing_key_is_named_at_once() {
    let text = r#"
admin = 8081
[server]
trusted_proxies = "10.0.0.0/8"
drain_ms_max = -1
[store]
path = ["a"]
[[providers]]
id = "house"
kind = "opnai"
total_ms_max = "5"
[[models]]
id = "small"
context = 1.5
output_max = 2048
price = { currency = "XAU", input = 0.50, output = "1.00" }
"#;
    assert_eq!(
        said_of(text),
        "t.toml:2:9: admin: expected a table, found a whole number\n\
         t.toml:4:19: server.trusted_proxies: expected a list, found a string — write it in brackets: [\"…\"]\n\
         t.toml:5:16: server.drain_ms_max: must be at least 0\n\
         t.toml:7:8: store.path: expected a string, found a list\n\
         t.toml:10:8: providers[0].kind: not a word that is known here — did you mean `openai`?\n\
         t.toml:11:16: providers[0].total_ms_max: expected a whole number, found a string — write it without quotes\n\
         t.toml:14:11: models[0].context: expected a whole number, found a number with a point\n\
         t.toml:16:22: models[0].price.currency: not a word that is known here — one of `CNY`, `USD`, `EUR`, \
         `GBP`, `JPY`, `HKD`, `SGD` is\n\
         t.toml:16:37: models[0].price.input: expected a string, found a number with a point — write it in quotes"
    );
}

#[test]
fn a_target_is_a_name_or_a_table_and_nothing_else() {
    let with = |targets: &str| SMALL.replace("[\"house/small\"]", targets);
    let table = "[{ to = \"house/small\", weight = 2, when = { tags = [\"a\"] } }, \"house/other\"]";
    let settings = read(&with(table)).unwrap();
    let weights = settings.table.routes["small"].targets().map(|target| target.weight);
    assert_eq!(weights.collect::<Vec<_>>(), [2, 1]);
    let misspelt = said_of(&with("[{ to = \"house/small\", wieght = 2 }]"));
    assert!(misspelt.contains("unknown key `wieght` — did you mean `weight`?"), "{misspelt}");
    let number = said_of(&with("[7]"));
    assert!(number.contains("expected a string, found a whole number"), "{number}");
}

#[test]
fn single_and_double_brackets_are_told_apart() {
    assert_eq!(
        said_of("[[server]]\nlisten = \"127.0.0.1:1\"\n[limits]\n[models]\nid = \"a\"\n"),
        "t.toml:1:1: server: expected a table, found a list — write its head in single brackets: […]\n\
         t.toml:4:1: models: expected a list, found a table — write its head in double brackets: [[…]]"
    );
}

#[test]
fn a_slip_in_the_syntax_has_a_place() {
    assert_eq!(
        said_of("[server]\nlisten = \n"),
        "t.toml:2:10: string values must be quoted, expected literal string"
    );
    let said = said_of("[server]\nlisten = \"a\"\nlisten = \"b\"\n");
    assert!(said.starts_with("t.toml:3:1: duplicate key"), "{said}");
    let huge = said_of("[[routes]]\nmodel = \"m\"\ntargets = []\nattempts_max = 5_000_000_000\n");
    assert!(huge.starts_with("t.toml:4:16: "), "{huge}");
}

#[test]
fn what_the_tables_mean_is_checked_with_line_and_column() {
    let text = SMALL.replace("\"0.50\"", "\"0,50\"").replace("house/small", "hose/small");
    assert_eq!(
        said_of(&text),
        "t.toml:11:37: models[0].price.input: not a decimal number like 12.34\n\
         t.toml:15:12: routes[0].targets[0]: unknown provider `hose` — did you mean `house`?"
    );
    assert!(said_of("").starts_with("t.toml: nothing to serve"), "about the file as a whole");
}

#[test]
fn listeners_addresses_and_paths_are_checked() {
    refused(
        "[admin]\nlisten = \"127.0.0.1:8080\"\ntoken_file = \"\"\n",
        "t.toml:2:10: admin.listen: clients already connect here (`server.listen`)\n\
         t.toml:3:14: admin.token_file: a path is needed here",
    );
    refused(
        "[server]\npublic_url = \"llm.example.com\"\ntrusted_proxies = [\"10.0.0.0/8\", \"10.1.2.3/8\"]\n\
         drain_ms_max = 3_600_001\n[store]\npath = \"\"\n[telemetry]\nlog = \" \"\n",
        "t.toml:2:14: server.public_url: not an absolute URL like https://api.example.com/v1: relative URL without a \
         base\n\
         t.toml:3:34: server.trusted_proxies[1]: `10.1.2.3/8` is one address, `10.0.0.0/8` the block it lies in: write \
         what is meant\n\
         t.toml:4:16: server.drain_ms_max: must be from 0 to 3600000\n\
         t.toml:6:8: store.path: a folder is needed here\n\
         t.toml:8:7: telemetry.log: nothing is asked for — write a level: `error`, `warn`, `info`, `debug` or `trace`",
    );
    let free = read(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://a.example/\"\n[admin]\nlisten = \"127.0.0.1:0\"\n{SMALL}"
    ))
    .unwrap();
    assert_eq!(free.server.public_url.as_deref(), Some("https://a.example"));
}

#[test]
fn a_missing_or_weak_secret_is_named_and_never_shown() {
    refused(
        "[server]\nkey_secret = \"env:SHORT\"\n",
        "t.toml:2:14: server.key_secret: shorter than 32 characters, so it could be guessed — make one with \
         `openssl rand -hex 32`",
    );
    let key =
        |reference: &str| said_of(&SMALL.replacen("\n\n", &format!("\napi_key = \"{reference}\"\n\n"), 1));
    assert_eq!(
        key("env:NOT_THERE"),
        "t.toml:6:11: providers[0].api_key: the environment variable `env:NOT_THERE` is not set"
    );
    assert_eq!(
        key("sk-pasted-by-mistake"),
        "t.toml:6:11: providers[0].api_key: a secret itself may not stand here: name where it is kept, as \
         `env:NAME` or `file:/run/secrets/name`"
    );
    let said = key("env:TWO_WORDS");
    assert!(said.contains("is no API key") && !said.contains("two words"), "{said}");
    let settings = read(EXAMPLE).unwrap();
    assert!(!format!("{settings:?}").contains("sk-"), "secrets do not show themselves");
}

#[test]
fn a_file_and_its_secrets_are_read_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("t.toml"), folder.path().join("key"));
    let reference = format!("\napi_key = {:?}\n\n", format!("file:{}", key.display()));
    let text = SMALL.replacen("\n\n", &reference, 1);
    std::fs::write(&file, text).unwrap();
    let missing = Settings::load(&file).unwrap_err().to_string();
    assert!(missing.contains("t.toml:6:11: providers[0].api_key: the file `"), "{missing}");
    std::fs::write(&key, "\n").unwrap();
    assert!(Settings::load(&file).unwrap_err().to_string().ends_with("` is empty"));
    std::fs::write(&key, "sk-from-disk\r\n").unwrap();
    assert_eq!(Settings::load(&file).unwrap().provider_keys["house"][0].expose(), "sk-from-disk");
    let absent = Settings::load(&folder.path().join("absent.toml")).unwrap_err().to_string();
    assert!(absent.contains("absent.toml: the file cannot be read: "), "{absent}");
}

#[test]
fn an_own_catalog_is_taken_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[catalog]\npath = {:?}\n{SMALL}", folder.path());
    let line = r#"{"id":"m","kind":"chat","in":["text"],"out":["text"],"cost":{"currency":"USD","source":"me","input":"1"},"source":"me"}"#;
    std::fs::write(folder.path().join("groq.jsonl"), line).unwrap();
    assert_eq!(
        said_of(&text),
        "t.toml:2:8: catalog.path: groq.jsonl: `m` names the source `me`, which is not in sources.toml"
    );
    std::fs::write(folder.path().join("sources.toml"), "[me]\nwhat = \"a letter\"\nas_of = \"2026-12\"")
        .unwrap();
    std::fs::write(folder.path().join(".groq.jsonl.swp"), [0xff]).unwrap();
    let settings = read(&text).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(settings.catalog.model("groq", "m").is_some());
    let absent = said_of(&text.replacen("path = \"", "path = \"/not-here", 1));
    assert!(absent.starts_with("t.toml:2:8: catalog.path: the folder cannot be read: "), "{absent}");
}

#[test]
fn a_model_that_the_catalog_knows_needs_few_words() {
    let text = "[[providers]]\nid = \"ds\"\nkind = \"deepseek\"\n[[models]]\nid = \"deepseek-flash\"\n\
                [[routes]]\nmodel = \"deepseek-flash\"\ntargets = [\"ds/deepseek-flash\"]\n";
    let settings = read(text).unwrap_or_else(|errors| panic!("{errors}"));
    let model = &settings.table.models["deepseek-flash"];
    assert_eq!((model.context.0, model.price.as_ref()), (1_000_000, None));
    assert_eq!(
        said_of(&text.replace("/deepseek-flash\"", "/unheard-of\"")),
        "t.toml:4:1: models[0]: missing key `context`: the catalog does not say it of `ds/unheard-of`\n\
         t.toml:4:1: models[0]: missing key `output_max`: the catalog does not say it of `ds/unheard-of`"
    );
}

#[test]
fn no_text_makes_it_panic() {
    use proptest::prelude::*;
    proptest!(ProptestConfig::with_cases(64), |(cut in 0..EXAMPLE.len(), noise in ".{0,12}")| {
        let mut text = EXAMPLE.to_owned();
        let at = (0..=cut).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.insert_str(at, &noise);
        let _ = read(&text).map_err(|errors| errors.to_string());
    });
}

#[test]
fn a_redis_is_named_by_its_url_or_by_where_that_is_kept_and_limits_are_never_negative() {
    for (line, place, said) in [
        (
            "redis = \"http://cache/\"",
            9,
            "limits.redis: a secret itself may not stand here: name where it is kept, as `env:NAME` or `file:/run/secrets/name`",
        ),
        (
            "redis = \"redis://cache:port/\"",
            9,
            "limits.redis: not an address like `redis://cache.example.com/0`",
        ),
        (
            "redis = \"redis://:hunter2@cache/\"",
            9,
            "limits.redis: a password stands in the file — keep the whole URL elsewhere: `env:NAME` or `file:PATH`",
        ),
        (
            "redis = \"env:OPENAI_API_KEY\"",
            9,
            "limits.redis: not an address like `redis://cache.example.com/0`",
        ),
        ("redis_ms_max = 0", 16, "limits.redis_ms_max: must be from 1 to 10000"),
        (
            "account = { requests_per_minute = -1 }",
            35,
            "limits.account.requests_per_minute: must be at least 0",
        ),
        ("tokens_per_minute = -5", 21, "limits.tokens_per_minute: must be at least 0"),
    ] {
        refused(&format!("[limits]\n{line}\n"), &format!("t.toml:2:{place}: {said}"));
    }
    for (line, said) in [
        (
            "redis = \"redis://cache:port/\"",
            "9: cache.redis: not an address like `redis://cache.example.com/0`",
        ),
        ("redis_ms_max = 10_001", "16: cache.redis_ms_max: must be from 1 to 10000"),
    ] {
        refused(&format!("[cache]\n{line}\n"), &format!("t.toml:2:{said}"));
    }
    let mut faked = secrets();
    faked.0.insert("env:REDIS_URL", "rediss://:hunter2@cache.example.com/3");
    let both = "[limits]\nredis = \"env:REDIS_URL\"\n[cache]\nredis = \"env:REDIS_URL\"\n";
    let text = format!("{both}{SMALL}");
    let settings = Settings::parse(&text, "t.toml", &faked).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(settings.limits.redis.is_some() && settings.cache.redis.is_some());
    assert!(!format!("{settings:?}").contains("hunter2"));
}
