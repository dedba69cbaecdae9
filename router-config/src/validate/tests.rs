//! Each rule, as a sentence: a good file, one line of it changed, and what is said about it.

use super::*;
use std::time::Duration;

use units::{Livemode, Tokens};

use crate::{
    ANY_KIND, Auth, BadSecretRef, Circumstances, Currency, FailureClass, MicroPerMillion, Provider, Region,
    SecretRef, Strategy, Unfit, Wire,
};

const GOOD: &str = r#"
[[providers]]
id = "deepseek"
kind = "deepseek"
base_url = "https://api.deepseek.com/"
api_key = "env:DEEPSEEK_API_KEY"

[[providers]]
id = "house"
kind = "openai-compatible"
base_url = "http://10.0.0.7:8000/v1"

[[models]]
id = "deepseek-v4-pro"
context = 1_000_000
output_max = 384_000
price = { currency = "CNY", input = "9.00", cached_input = "0.30", output = "27.00" }

[[routes]]
model = "deepseek-v4-pro"
targets = ["deepseek/deepseek-v4-pro", "house/deepseek-ai/DeepSeek-V4-Pro"]
"#;

fn read(text: &str) -> Result<RouteTable, Problems> {
    toml::from_str::<RawTables>(text).unwrap().validate()
}

/// What is said about the good file with `from` replaced by `to` is `expected`, and nothing else.
#[track_caller]
fn refused(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from}");
    let problems = read(&GOOD.replacen(from, to, 1)).err().unwrap_or_default();
    assert_eq!(problems.to_string(), expected);
}

/// What is said about the good file with `more` at its end is `expected`, and nothing else.
#[track_caller]
fn refused_with(more: &str, expected: &str) {
    let problems = read(&format!("{GOOD}{more}")).err().unwrap_or_default();
    assert_eq!(problems.to_string(), expected);
}

#[test]
fn a_good_file_becomes_a_table() {
    let table = read(GOOD).unwrap();
    let route = &table.routes["deepseek-v4-pro"].0[0];
    assert_eq!(route.model.owned_by, "deepseek", "its first provider's");
    assert_eq!(route.model.livemode, Livemode::Live);
    let price = route.model.price.as_ref().unwrap();
    assert_eq!(price.currency, Currency::Cny);
    assert_eq!(price.cached_input, Some(MicroPerMillion(300_000)));
    assert_eq!((route.hold_output_tokens, route.attempts_max), (Tokens(4_096), 3));
    assert_eq!(route.targets[1].upstream_model, "deepseek-ai/DeepSeek-V4-Pro", "may hold a slash itself");
    let [deepseek, house] = [&table.providers["deepseek"], &table.providers["house"]];
    assert_eq!(deepseek.base_url, "https://api.deepseek.com");
    assert_eq!(deepseek.api_keys, [SecretRef::Env("DEEPSEEK_API_KEY".to_owned())]);
    assert_eq!(deepseek.total_max, Duration::from_secs(600));
    assert_eq!((house.kind.as_str(), house.api_keys.len()), (ANY_KIND, 0));
    assert!(Arc::ptr_eq(&table.models["deepseek-v4-pro"], &route.model));
    assert_eq!(table.limits.requests_per_minute, 600);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let broken = GOOD
        .replace("https://api.deepseek.com/", "api.deepseek.com")
        .replace("27.00", "-27")
        .replace("house/", "huose/")
        .replace("384_000", "0")
        + "attempts_max = 11\n[limits]\nrequests_per_minute = 0\n";
    let problems = read(&broken).unwrap_err();
    let places: Vec<_> = problems.iter().map(|problem| problem.path.to_string()).collect();
    assert_eq!(
        places,
        [
            "limits.requests_per_minute",
            "providers[0].base_url",
            "routes[0].attempts_max",
            "routes[0].targets[1]",
            "models[0].output_max",
            "models[0].price.output",
        ]
    );
}

#[test]
fn a_file_without_models_has_nothing_to_serve() {
    let problems = read("").unwrap_err();
    assert!(problems.to_string().starts_with("nothing to serve"), "{problems}");
}

#[test]
fn every_id_is_taken_once() {
    refused_with(
        r#"
        [[providers]]
        id = "house"
        kind = "openai"
        base_url = "https://api.openai.com/v1"
        "#,
        "providers[2].id: `house` is already the `id` of providers[1]",
    );
    refused_with(
        r#"
        [[models]]
        id = "deepseek-v4-pro"
        context = 1
        output_max = 1
        price = { currency = "USD", input = "0", output = "0" }
        "#,
        "models[1].id: `deepseek-v4-pro` is already the `id` of models[0]",
    );
    refused_with(
        r#"
        [[routes]]
        model = "deepseek-v4-pro"
        targets = ["house/v4"]
        "#,
        "routes[1].model: routes[0] serves every call for `deepseek-v4-pro`: this route is never reached — give the \
         earlier one a `when`, or put it last",
    );
}

const ANOTHER_ROUTE: &str = r#"
[[routes]]
model = "deepseek-v4-pro"
name = "careful"
strategy = "weighted"
targets = [{ to = "house/v4", weight = 3, priority = 1, when = { regions = ["apac"] } }, "deepseek/deepseek-v4-pro"]
"#;

#[test]
fn a_model_has_routes_for_different_calls_and_targets_with_shares() {
    let when = GOOD.replace("[[routes]]", "[[routes]]\nwhen = { tasks = [\"dispute\"] }");
    let table = read(&format!("{when}{ANOTHER_ROUTE}")).unwrap_or_else(|problems| panic!("{problems}"));
    let routes = &table.routes["deepseek-v4-pro"];
    let none = BTreeSet::new();
    let call = |task| Circumstances {
        key: "key_1",
        tier: "standard",
        tags: &[],
        task,
        modalities: &none,
        region: None,
        input_tokens: 1,
        now: units::Timestamp(0),
    };
    let pick = |task, name| routes.pick(&call(task), name).ok().map(|(route, _)| route.name.as_deref());
    assert_eq!(pick(Some("dispute"), None), Some(None));
    assert_eq!(pick(None, None), Some(Some("careful")));
    assert_eq!(pick(Some("dispute"), Some("careful")), Some(Some("careful")), "by its name");
    assert_eq!(pick(None, Some("other")), None);
    let careful = &routes.0[1];
    assert_eq!((careful.targets[0].weight, careful.targets[0].priority), (3, 1));
    assert_eq!((careful.targets[1].weight, careful.strategy), (1, Strategy::Weighted));
    assert_eq!(careful.targets[0].when.fits(&call(None)), Err(Unfit::Region));
    let why: Vec<_> =
        routes.pick(&call(None), Some("other")).unwrap_err().iter().map(|none| none.why).collect();
    assert_eq!(why, [None, None], "another was asked for");
}

#[test]
fn a_route_that_can_never_serve_is_refused() {
    let with = |from: &str, to: &str| ANOTHER_ROUTE.replacen(from, to, 1);
    refused_with(
        &with("weight = 3, priority = 1", "weight = 0").replace("\"deepseek/deepseek-v4-pro\"]", "]"),
        "routes[1].targets: every target has a weight of 0: nobody would be asked first — give one of them a weight of 1",
    );
    refused_with(
        &with("\"weighted\"", "\"cheapest\""),
        "routes[1].targets[0]: what `house/v4` costs us is not known, and the route takes the cheapest — choose another \
         strategy, or say its cost in a catalog file",
    );
    refused_with(
        &with("\"careful\"", "\"a b\""),
        "routes[1].name: a word of 1 to 64 letters, digits, `-`, `_`, `.` or `:` stands here",
    );
    refused_with(
        &with("house/v4", "house"),
        "routes[1].targets[0]: `house` names no model: a target is written `provider/upstream-model-name`",
    );
    refused_with(
        &format!("{ANOTHER_ROUTE}{ANOTHER_ROUTE}"),
        "routes[2].name: routes[1] has this name already",
    );
    let unknown =
        toml::from_str::<RawTables>(&format!("{GOOD}{}", with("weight =", "wieght ="))).err().unwrap();
    assert!(unknown.to_string().contains("unknown field `wieght`"), "{unknown}");
    let negative =
        toml::from_str::<RawTables>(&format!("{GOOD}{}", with("weight = 3", "weight = -3"))).err().unwrap();
    assert!(negative.to_string().contains("-3"), "{negative}");
}

#[test]
fn aliases_lead_to_a_model_and_never_in_a_circle() {
    let alias = |name: &str, model: &str| format!("[[aliases]]\nname = {name:?}\nmodel = {model:?}\n");
    let table = read(&format!(
        "{GOOD}{}when = {{ tasks = [\"dispute\"] }}\n{}{}",
        alias("auto", "deepseek-v4-pro"),
        alias("auto", "gpt-4o"),
        alias("gpt-*", "deepseek-v4-pro"),
    ))
    .unwrap_or_else(|problems| panic!("{problems}"));
    let none = BTreeSet::new();
    let call = Circumstances {
        key: "key_1",
        tier: "standard",
        tags: &[],
        task: None,
        modalities: &none,
        region: None,
        input_tokens: 1,
        now: units::Timestamp(0),
    };
    for (name, meant) in [
        ("auto", "deepseek-v4-pro"),
        ("gpt-5", "deepseek-v4-pro"),
        ("deepseek-v4-pro", "deepseek-v4-pro"),
        ("claude", "claude"),
    ] {
        assert_eq!(table.meant(name, &call), meant, "{name}");
    }
    refused_with(&alias("a", "b"), "aliases[0].model: unknown model `b` — there is `deepseek-v4-pro`, `a`");
    refused_with(
        &format!("{}{}", alias("a", "b1"), alias("b*", "a")),
        "aliases[0].model: a circle: b1 -> a -> b1\naliases[1].model: a circle: a -> b1 -> a",
    );
    refused_with(
        &alias("deepseek-v4-pro", "a"),
        "aliases[0].name: `deepseek-v4-pro` is a model: no alias of that name is ever asked\n\
         aliases[0].model: unknown model `a` — there is `deepseek-v4-pro`",
    );
    refused_with(
        &format!("{}{}", alias("a", "deepseek-v4-pro"), alias("a", "deepseek-v4-pro")),
        "aliases[1].name: aliases[0] has this name and no `when`: this one is never reached",
    );
    refused_with(
        &alias("a b", "deepseek-v4-pro"),
        "aliases[0].name: ' ' may not stand in a name: printable ASCII without spaces may",
    );
}

#[test]
fn names_are_printable_and_without_spaces() {
    refused(
        "house/deepseek-ai/DeepSeek-V4-Pro",
        "house/two words",
        "routes[0].targets[1]: ' ' may not stand in a name: printable ASCII without spaces may",
    );
    refused("house/deepseek-ai/DeepSeek-V4-Pro", "house/", "routes[0].targets[1]: a name is needed here");
    refused_with(
        "[[providers]]\nid = \"a/b\"\nkind = \"openai\"\nbase_url = \"https://a\"\n",
        "providers[2].id: `/` may not stand in a provider's id: targets are written \
         `provider/upstream-model-name`",
    );
}

#[test]
fn a_base_url_stops_before_the_endpoint() {
    refused(
        "https://api.deepseek.com/",
        "https://api.deepseek.com/chat/completions",
        "providers[0].base_url: `/chat/completions` is appended to the base URL — leave it off here",
    );
    refused(
        "https://api.deepseek.com/",
        "https://api.deepseek.com/?key=1",
        "providers[0].base_url: a query (`?…`) or fragment (`#…`) may not stand here",
    );
}

#[test]
fn a_key_pasted_into_the_file_is_refused_and_not_repeated() {
    refused(
        "env:DEEPSEEK_API_KEY",
        "sk-0123456789abcdef",
        "providers[0].api_key: a secret itself may not stand here: name where it is kept, as `env:NAME` or \
         `file:/run/secrets/name`",
    );
    for (bad, why) in [
        ("env:", BadSecretRef::EnvName),
        ("env:9 A", BadSecretRef::EnvName),
        ("file:", BadSecretRef::FilePath),
    ] {
        assert_eq!(bad.parse::<SecretRef>(), Err(why), "{bad}");
    }
    for good in ["env:_A1", "file:/run/secrets/a b", "file:./key"] {
        assert_eq!(good.parse::<SecretRef>().map(|secret| secret.to_string()), Ok(good.to_owned()));
    }
}

#[test]
fn waits_are_bounded_and_fit_into_the_whole_call() {
    let key = r#"api_key = "env:DEEPSEEK_API_KEY""#;
    refused(
        key,
        "idle_ms_max = 0",
        "providers[0].idle_ms_max: must be from 1 to 86400000 milliseconds (a day)",
    );
    refused(
        key,
        "total_ms_max = 30_000\nconnect_ms_max = 30_000\nfirst_byte_ms_max = 30_001\nidle_ms_max = 1",
        "providers[0].first_byte_ms_max: 30001 ms is longer than the whole call, `total_ms_max` = 30000",
    );
}

#[test]
fn prices_are_decimals_that_never_pay_the_customer() {
    let place = "models[0].price.";
    for (from, to, expected) in [
        ("\"9.00\"", "\"-9\"", "input: a price is never negative"),
        ("\"9.00\"", "\"9,00\"", "input: not a decimal number like 12.34"),
        ("\"9.00\"", "\"9.0001\"", "input: a price in CNY has at most 3 decimals"),
        ("\"27.00\"", "\"1000000\"", "output: more than 100,000 per million tokens cannot be meant"),
        ("\"0.30\"", "\"9.01\"", "cached_input: cached input may not cost more than fresh input"),
    ] {
        refused(from, to, &format!("{place}{expected}"));
    }
    let free = GOOD.replace(r#""9.00", cached_input = "0.30", output = "27.00""#, r#""0", output = "0""#);
    assert!(read(&free).is_ok(), "a local model may be free");
}

#[test]
fn an_answer_fits_its_context() {
    refused(
        "384_000",
        "1_000_001",
        "models[0].output_max: an answer of 1000001 tokens does not fit the context of 1000000",
    );
    refused("1_000_000", "100_000_001", "models[0].context: must be from 1 to 100000000 tokens");
}

#[test]
fn every_model_has_a_route_and_every_route_a_model() {
    refused_with(
        r#"
        [[models]]
        id = "gpt-4o"
        context = 128_000
        output_max = 16_384
        price = { currency = "USD", input = "2.5", output = "10" }
        "#,
        "models[1].id: no route serves `gpt-4o` — add a [[routes]] table with model = \"gpt-4o\"",
    );
    refused_with(
        "[[routes]]\nmodel = \"deepseek-v4-por\"\ntargets = [\"house/x\"]\n",
        "routes[1].model: unknown model `deepseek-v4-por` — did you mean `deepseek-v4-pro`?",
    );
}

#[test]
fn a_target_names_a_known_provider_once() {
    let second = r#", "house/deepseek-ai/DeepSeek-V4-Pro""#;
    refused(
        "deepseek/deepseek-v4-pro\"",
        "depseek/deepseek-v4-pro\"",
        "routes[0].targets[0]: unknown provider `depseek` — did you mean `deepseek`?",
    );
    refused(
        "deepseek/deepseek-v4-pro\"",
        "xyz/deepseek-v4-pro\"",
        "routes[0].targets[0]: unknown provider `xyz` — there is `deepseek`, `house`",
    );
    refused(
        second,
        r#", "deepseek/deepseek-v4-pro""#,
        "routes[0].targets[1]: `deepseek/deepseek-v4-pro` is already a target of this route",
    );
    refused(
        second,
        r#", "house""#,
        "routes[0].targets[1]: `house` names no model: a target is written `provider/upstream-model-name`",
    );
    refused(
        r#"["deepseek/deepseek-v4-pro", "house/deepseek-ai/DeepSeek-V4-Pro"]"#,
        "[]",
        "routes[0].targets: a route needs at least one target — write targets = \
         [\"provider/upstream-model-name\"]",
    );
}

#[test]
fn a_broken_provider_is_not_also_an_unknown_one() {
    let problems = read(&GOOD.replace("http://10.0.0.7:8000/v1", "ftp://10.0.0.7")).unwrap_err();
    assert_eq!(problems.iter().len(), 1, "{problems}");
}

#[test]
fn a_route_never_mixes_real_and_simulated_money() {
    refused(
        r#"kind = "openai-compatible""#,
        "kind = \"openai-compatible\"\nlivemode = \"demo\"",
        "routes[0].targets[1]: `house` is demo, but `deepseek` is live: a route never mixes real and \
         simulated money",
    );
    let demo = GOOD.replace("base_url", "livemode = \"demo\"\nbase_url");
    assert_eq!(read(&demo).unwrap().models["deepseek-v4-pro"].livemode, Livemode::Demo);
}

#[test]
fn what_is_held_and_tried_has_bounds() {
    refused_with("attempts_max = 0\n", "routes[0].attempts_max: must be from 1 to 10");
    refused_with(
        "hold_output_tokens = 384_001\n",
        "routes[0].hold_output_tokens: must be from 1 to the model's `output_max`, 384000",
    );
    refused_with(
        "hold_output_tokens = 0\n",
        "routes[0].hold_output_tokens: must be from 1 to the model's `output_max`, 384000",
    );
    let terse = read(&GOOD.replace("384_000", "512")).unwrap();
    assert_eq!(
        terse.routes["deepseek-v4-pro"].0[0].hold_output_tokens,
        Tokens(512),
        "never more than an answer"
    );
}

#[test]
fn a_limit_is_never_zero() {
    refused_with(
        "[limits]\ncalls_in_flight_max = 0\n",
        "limits.calls_in_flight_max: a limit of 0 would turn everyone away — leave the key out for the usual limit",
    );
}

#[test]
fn limits_are_neither_nothing_nor_absurd_wherever_they_stand() {
    for (more, place) in [
        ("[limits]\nrequests_per_minute = 0\n", "limits.requests_per_minute"),
        ("[limits]\nconcurrency_max = 0\n", "limits.concurrency_max"),
        ("[limits]\nnodes = 0\n", "limits.nodes"),
        ("[limits.account]\ntokens_per_minute = 0\n", "limits.account.tokens_per_minute"),
    ] {
        let what = "a limit of 0 would turn everyone away — leave the key out for the usual limit";
        refused_with(more, &format!("{place}: {what}"));
    }
    let most = "must be from 1 to 1000000 — leave the key out if nothing is to be bounded";
    let house = "base_url = \"http://10.0.0.7:8000/v1\"";
    refused(
        house,
        &format!("{house}\nconcurrency_max = 1_000_001"),
        &format!("providers[1].concurrency_max: {most}"),
    );
    let model = "context = 1_000_000";
    refused(
        model,
        &format!("{model}\nconcurrency_max = 4_000_000"),
        &format!("models[0].concurrency_max: {most}"),
    );
    refused_with(
        "[limits.accounts.nobody]\nrequests_per_minute = 5\n",
        "limits.accounts.nobody: not the id of an account, such as `tollgate accounts create` shows",
    );
}

#[test]
fn an_account_of_its_own_has_what_is_not_said_from_all_accounts() {
    let id = units::AccountId::new(units::Timestamp::from_secs(1));
    let table = read(&format!(
        "{GOOD}[limits.account]\nrequests_per_minute = 10\nconcurrency_max = 2\n[limits.accounts.{id}]\nrequests_per_minute = 99\n"
    ))
    .unwrap();
    let other = units::AccountId::new(units::Timestamp::from_secs(2));
    let of = |id| table.limits.of_account(id);
    assert_eq!((of(&id).requests_per_minute, of(&id).concurrency_max), (Some(99), Some(2)));
    assert_eq!(of(&other).requests_per_minute, Some(10));
}

#[test]
fn an_unknown_key_is_an_error() {
    assert!(toml::from_str::<RawTables>("[limits]\nrequests_per_minuet = 1\n").is_err());
    assert!(toml::from_str::<RawTables>("modles = []\n").is_err());
}

#[test]
fn a_kind_brings_its_address_its_key_and_its_peculiarities() {
    let of = |more: &str| {
        let table = read(&GOOD.replacen(
            "[[providers]]\nid = \"house\"",
            &format!("[[providers]]\nid = \"new\"\n{more}\n[[providers]]\nid = \"house\""),
            1,
        ));
        Provider::clone(&table.unwrap_or_else(|problems| panic!("{problems}")).providers["new"])
    };
    let anthropic = of("kind = \"anthropic\"");
    assert_eq!(anthropic.base_url, "https://api.anthropic.com/v1");
    assert_eq!((anthropic.wire, anthropic.auth), (Wire::Anthropic, Auth::Header("x-api-key".to_owned())));
    let zai = of("kind = \"zai\"\nregion = \"cn\"");
    assert_eq!((zai.kind.as_str(), zai.region), ("bigmodel", Some(Region::Cn)));
    assert_eq!(zai.base_url, "https://open.bigmodel.cn/api/paas/v4");
    let deepseek = of("kind = \"deepseek\"\nregion = \"cn\"");
    assert_eq!((deepseek.kind.as_str(), deepseek.region), ("deepseek", Some(Region::Cn)));
    assert_eq!(deepseek.base_url, "https://api.deepseek.com");
    let groq = of("kind = \"groq\"");
    assert_eq!((groq.region, groq.quirks.stop_max), (None, Some(4)));
}

#[test]
fn an_address_says_the_side_where_the_file_does_not() {
    let of = |base_url: &str| {
        let text = GOOD.replacen("kind = \"deepseek\"", "kind = \"qwen\"", 1);
        let text = text.replacen("https://api.deepseek.com/", base_url, 1);
        let provider = Arc::clone(&read(&text).unwrap().providers["deepseek"]);
        (provider.kind.clone(), provider.region, provider.base_url.clone())
    };
    let mainland = "https://dashscope.aliyuncs.com/compatible-mode/v1";
    let at = |kind: &str, region, url: &str| (kind.to_owned(), Some(region), url.to_owned());
    assert_eq!(of(&format!("{mainland}/")), at("dashscope-cn", Region::Cn, mainland));
    let other = "http://127.0.0.1:9/qwen";
    assert_eq!(of(other), at("dashscope", Region::Intl, other));
}

#[test]
fn the_file_says_otherwise_one_peculiarity_at_a_time() {
    let text = GOOD.replacen(
        "kind = \"openai-compatible\"",
        "kind = \"openai-compatible\"\nauth = \"x-key\"\nquirks = { n_max = 1, headers = { x-title = \"a b\" } }",
        1,
    );
    let house = Arc::clone(&read(&text).unwrap().providers["house"]);
    assert_eq!(house.auth, Auth::Header("x-key".to_owned()));
    assert_eq!((house.quirks.n_max, house.quirks.headers["x-title"].as_str()), (Some(1), "a b"));
    assert_eq!(house.quirks.renames, crate::Quirks::default().renames, "the rest is as it was");
}

#[test]
fn a_provider_that_cannot_be_asked_is_refused() {
    let house = "kind = \"openai-compatible\"\nbase_url = \"http://10.0.0.7:8000/v1\"";
    refused(
        "kind = \"openai-compatible\"",
        "kind = \"opneai\"",
        "providers[1].kind: unknown kind `opneai` — did you mean `openai`?",
    );
    refused(
        house,
        "kind = \"azure\"",
        "providers[1]: a `azure` has no address that is known — write its `base_url`",
    );
    refused(
        house,
        "kind = \"groq\"\nregion = \"cn\"",
        "providers[1].region: `groq` is not known to have a side `cn` — leave it out",
    );
    refused(
        "kind = \"openai-compatible\"",
        "kind = \"openai-compatible\"\nauth = \"X Key\"\n\
         quirks = { chat_path = \"chat\", output_max = \"\", headers = { host = \"a\", \"X\" = \"b\", y = \"\\n\" } }",
        "providers[1].auth: a key is shown as `bearer`, in a header named here such as `x-api-key`, or with `none`\n\
         providers[1].quirks.chat_path: a path begins with `/` and holds no spaces; only `{model}` is filled in\n\
         providers[1].quirks.headers.X: a header's name is small letters, digits and `-`\n\
         providers[1].quirks.headers.host: this header is written by the gateway\n\
         providers[1].quirks.headers.y: a header's value is printable ASCII\n\
         providers[1].quirks.output_max: a name is needed here",
    );
}

#[test]
fn a_model_without_a_price_waits_for_a_list() {
    let price =
        "price = { currency = \"CNY\", input = \"9.00\", cached_input = \"0.30\", output = \"27.00\" }\n";
    assert_eq!(read(&GOOD.replacen(price, "", 1)).unwrap().models["deepseek-v4-pro"].price, None);
}

#[test]
fn the_catalog_says_what_the_file_does_not() {
    let bare = r#"
[[providers]]
id = "ds"
kind = "deepseek"
[[providers]]
id = "oa"
kind = "openai"
[[models]]
id = "flash"
[[models]]
id = "vectors"
[[models]]
id = "small"
output_max = 1_000
price = { currency = "USD", input = "1", output = "2" }
[[routes]]
model = "flash"
targets = ["ds/deepseek-flash", "oa/gpt-4o"]
[[routes]]
model = "vectors"
targets = ["oa/text-embedding-3-small"]
[[routes]]
model = "small"
targets = ["oa/ft:gpt-4o-2024-08-06:acme::x"]
"#;
    let table = read(bare).unwrap_or_else(|problems| panic!("{problems}"));
    let flash = &table.models["flash"];
    assert_eq!((flash.context, flash.output_max), (Tokens(1_000_000), Tokens(393_216)));
    assert_eq!((flash.kind, flash.price.as_ref()), (crate::ModelKind::Chat, None), "a cost is not a price");
    assert!(flash.caps.contains(&crate::Capability::Tools));
    let vectors = &table.models["vectors"];
    assert_eq!((vectors.kind, vectors.output_max), (crate::ModelKind::Embedding, Tokens(0)));
    assert_eq!(table.routes["vectors"].0[0].hold_output_tokens, Tokens(0));
    let small = &table.models["small"];
    assert_eq!((small.context, small.output_max), (Tokens(128_000), Tokens(1_000)), "the file wins");
    let facts = table.routes["flash"].0[0].targets[1].facts.as_ref().unwrap();
    assert_eq!((facts.provider.as_str(), facts.id.as_str()), ("openai", "gpt-4o"));
}

#[test]
fn what_neither_says_has_to_be_written() {
    refused("context = 1_000_000\noutput_max = 384_000\n", "", "");
    let unknown = GOOD.replacen("deepseek/deepseek-v4-pro", "deepseek/unheard-of", 1);
    let said = |text: &str| read(text).err().unwrap_or_default().to_string();
    assert_eq!(
        said(&unknown.replacen("context = 1_000_000\noutput_max = 384_000\n", "", 1)),
        "models[0]: missing key `context`: the catalog does not say it of `deepseek/unheard-of`\n\
         models[0]: missing key `output_max`: the catalog does not say it of `deepseek/unheard-of`"
    );
    assert_eq!(
        said(&GOOD.replacen("context = 1_000_000\noutput_max = 384_000\n", "context = 1_000\n", 1)),
        "models[0].context: an answer of 393216 tokens does not fit the context of 1000 — write both `context` and \
         `output_max`"
    );
}

#[test]
fn a_model_is_served_only_where_its_kind_is_known() {
    refused(
        "context = 1_000_000",
        "kind = \"responses\"\ncontext = 1_000_000",
        "routes[0].targets[0]: `deepseek` has no endpoint for a model of the kind `responses`\n\
         routes[0].targets[1]: `house` has no endpoint for a model of the kind `responses`",
    );
    refused(
        ", output = \"27.00\"",
        "",
        "models[0].price: missing key `output` — only a model of the kind `embedding`, which has to say so here, has no \
         output",
    );
    let vectors = GOOD.replacen("output_max = 384_000", "kind = \"embedding\"", 1).replacen(
        ", output = \"27.00\"",
        "",
        1,
    );
    let vectors = vectors.replacen("\"deepseek/deepseek-v4-pro\", ", "", 1);
    let model = Arc::clone(&read(&vectors).unwrap_or_else(|p| panic!("{p}")).models["deepseek-v4-pro"]);
    assert_eq!(model.price.as_ref().unwrap().output, MicroPerMillion(0));
}

#[test]
fn a_pool_of_keys_has_each_once_and_stands_instead_of_one() {
    let key = r#"api_key = "env:DEEPSEEK_API_KEY""#;
    let table = read(&GOOD.replacen(key, r#"api_keys = ["env:A", "file:/run/b"]"#, 1)).unwrap();
    let keys = &table.providers["deepseek"].api_keys;
    assert_eq!(keys.iter().map(ToString::to_string).collect::<Vec<_>>(), ["env:A", "file:/run/b"]);
    refused(
        key,
        r#"api_key = "env:A"
api_keys = ["env:B"]"#,
        "providers[0].api_keys: there is an `api_key` too — write it as one of the `api_keys`",
    );
    refused(key, r#"api_keys = ["env:A", "env:A"]"#, "providers[0].api_keys[1]: `env:A` stands here twice");
    refused(
        key,
        r#"api_keys = ["sk-secret"]"#,
        "providers[0].api_keys[0]: a secret itself may not stand here: name where it is kept, as `env:NAME` or \
         `file:/run/secrets/name`",
    );
}

#[test]
fn a_route_makes_as_many_attempts_as_it_has_targets_and_three_at_least() {
    let attempts = |targets: &str| {
        let text = format!(
            "[[providers]]\nid = \"h\"\nkind = \"vllm\"\nbase_url = \"http://127.0.0.1:1\"\n[[models]]\nid = \"m\"\n\
             context = 9\noutput_max = 9\n[[routes]]\nmodel = \"m\"\ntargets = [{targets}]\n"
        );
        read(&text).unwrap().routes["m"].0[0].attempts_max
    };
    assert_eq!(attempts("\"h/1\""), 3);
    assert_eq!(attempts("\"h/1\", \"h/2\", \"h/3\", \"h/4\", \"h/5\""), 5);
}

#[test]
fn failures_that_move_on_are_named_and_the_requests_own_are_not_among_them_unless_said() {
    let table = read(GOOD).unwrap();
    let moves_on = &table.routes["deepseek-v4-pro"].0[0].fail_over_on;
    let own = [FailureClass::ContextWindow, FailureClass::ContentFilter];
    assert_eq!(moves_on.len(), FailureClass::ALL.len() - own.len());
    assert!(own.iter().all(|class| !moves_on.contains(class)));
    let table = read(&format!("{GOOD}fail_over_on = [\"content_filter\"]\n")).unwrap();
    assert_eq!(
        table.routes["deepseek-v4-pro"].0[0].fail_over_on.iter().copied().collect::<Vec<_>>(),
        [FailureClass::ContentFilter]
    );
}

#[test]
fn a_hedge_needs_a_second_target_a_cap_and_known_costs() {
    let two = r#"targets = ["deepseek/deepseek-v4-pro", "house/deepseek-ai/DeepSeek-V4-Pro"]"#;
    let known = r#"targets = ["deepseek/deepseek-v4-pro", "deepseek/deepseek-v4-flash"]"#;
    let with = |hedge: &str| format!("{known}\nhedge = {{ {hedge} }}");
    let table = read(&GOOD.replacen(two, &with("cost_percent_max = 5, after_ms = 900"), 1)).unwrap();
    let hedge = table.routes["deepseek-v4-pro"].0[0].hedge.unwrap();
    assert_eq!((hedge.after, hedge.cost_percent_max), (Some(Duration::from_millis(900)), 5));
    refused(
        two,
        &with("cost_percent_max = 0, after_ms = 600_001"),
        "routes[0].hedge.cost_percent_max: must be from 1 to 100\n\
         routes[0].hedge.after_ms: must be from 1 to the route's `total_ms_max`, 600000",
    );
    refused(
        two,
        "targets = [\"deepseek/deepseek-v4-pro\"]\nhedge = { cost_percent_max = 5 }",
        "routes[0].hedge: the route has one target only: there is no second to ask",
    );
    refused_with(
        "hedge = { cost_percent_max = 5 }\n",
        "routes[0].targets[1]: what `house/deepseek-ai/DeepSeek-V4-Pro` costs us is not known, and the route's `hedge` is \
         bounded by cost — leave `hedge` out, or say its cost in a catalog file",
    );
}

#[test]
fn streams_are_continued_where_somebody_can_be_given_the_beginning_of_an_answer() {
    let table = read(&format!("{GOOD}continue_streams = true\n")).unwrap();
    let route = &table.routes["deepseek-v4-pro"].0[0];
    assert!(route.continue_streams);
    let paths = route.targets.iter().map(|target| Some(target.prefill()?.path.clone()));
    assert_eq!(paths.collect::<Vec<_>>(), [Some(Some("/beta/chat/completions".to_owned())), None]);
    refused(
        r#"targets = ["deepseek/deepseek-v4-pro", "house/deepseek-ai/DeepSeek-V4-Pro"]"#,
        "targets = [\"house/deepseek-ai/DeepSeek-V4-Pro\"]\ncontinue_streams = true",
        "routes[0].continue_streams: none of the route's targets can be given the beginning of an answer — leave it out, or \
         write `quirks.prefill` of a provider that can",
    );
    let house = "kind = \"openai-compatible\"\n";
    refused(
        house,
        &format!("{house}quirks.prefill = {{ \"*\" = {{ path = \"beta\" }} }}\n"),
        "providers[1].quirks.prefill.\"*\".path: a path begins with `/` and holds no spaces; only `{model}` is filled in",
    );
}

#[test]
fn a_balance_is_watched_where_it_is_told() {
    let alert =
        |amount: &str| GOOD.replacen("api_key =", &format!("balance_alert = \"{amount}\"\napi_key ="), 1);
    let table = read(&alert("99.5")).unwrap();
    assert_eq!(table.providers["deepseek"].balance_alert_micro, Some(99_500_000));
    let said = read(&alert("-1")).unwrap_err().to_string();
    assert!(said.starts_with("providers[0].balance_alert: "), "{said}");
    refused(
        "kind = \"openai-compatible\"\n",
        "kind = \"openai-compatible\"\nbalance_alert = \"5\"\nprobe_seconds = 100_000\n\
         stream_bytes_per_second_min = 2_000_000\n",
        "providers[1].stream_bytes_per_second_min: more than 1000000 bytes a second: no model writes so fast\n\
         providers[1].probe_seconds: must be from 0 to 86400 (a day)\n\
         providers[1].balance_alert: this provider is not known to tell the balance of our account — leave it out, or \
         write `quirks.balance_path`",
    );
}

#[test]
fn cheaper_models_are_known_and_others_and_help_who_takes_them() {
    let flash = "[[models]]\nid = \"flash\"\ncontext = 9\noutput_max = 9\n[[routes]]\nmodel = \"flash\"\n\
                 targets = [\"deepseek/deepseek-v4-flash\"]\n";
    let with = |lines: &str| read(&format!("{GOOD}{lines}\n{flash}"));
    let table = with("downgrade_to = [\"flash\"]\ncharged_as = \"serving\"").unwrap();
    assert_eq!(table.routes["deepseek-v4-pro"].0[0].downgrade_to, ["flash"]);
    let said = |lines: &str| with(lines).unwrap_err().to_string();
    assert_eq!(
        said("downgrade_to = [\"flahs\", \"deepseek-v4-pro\"]"),
        "routes[0].downgrade_to[0]: unknown model `flahs` — did you mean `flash`?\n\
         routes[0].downgrade_to[1]: this is the route's own model"
    );
    assert_eq!(
        said("downgrade_to = [\"flash\"]\ncharged_as = \"requested\""),
        "routes[0].downgrade_to: a cheaper model does not help who is charged by the price of the one that was asked for — \
         write charged_as = \"serving\", or leave it out"
    );
    assert!(said("cost_percent_max = 0").starts_with("routes[0].cost_percent_max: must be from 1 to 1000"));
    assert!(said("cost_percent_max = 50").contains("and the route has a `cost_percent_max`"));
}
