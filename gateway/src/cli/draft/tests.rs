//! Which rows come of costs, and what is said of the rest?

use payments::prices::Sheet;
use router_config::RawTables;

use super::*;

fn table(models: &[(&str, &[&str])]) -> RouteTable {
    let mut text = String::new();
    for kind in ["deepseek", "openai", "anthropic", "dashscope-cn", "gemini", "dashscope", "bigmodel"] {
        text += &format!("[[providers]]\nid = \"{kind}\"\nkind = \"{kind}\"\n");
    }
    text += "[[providers]]\nid = \"deepseek-yuan\"\nkind = \"deepseek\"\nregion = \"cn\"\n";
    text += "[[providers]]\nid = \"house\"\nkind = \"vllm\"\n";
    for (model, targets) in models {
        text += &format!("[[models]]\nid = \"{model}\"\ncontext = 9_000_000\noutput_max = 1_000\n");
        text += &format!("[[routes]]\nmodel = \"{model}\"\ntargets = {targets:?}\n");
    }
    toml::from_str::<RawTables>(&text).unwrap().validate().unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn base() -> Document {
    Document { scale: 2, ..Document::default() }
}

#[test]
fn costs_are_carried_over_exactly_with_tiers_and_hours_and_caches() {
    let table = table(&[
        ("yuan", &["deepseek-yuan/deepseek-v4-pro"]),
        ("dollars", &["deepseek/deepseek-v4-pro"]),
        ("cheap", &["dashscope-cn/qwen-flash"]),
        ("writes", &["anthropic/claude-haiku-4-5"]),
    ]);
    let drafted = from_catalog(&table, base(), None, &[]);
    assert_eq!(drafted.left_out, BTreeMap::new());
    let rows = &drafted.document.models;
    let yuan = &rows["yuan"];
    assert_eq!((yuan.currency.as_str(), yuan.input.as_str(), yuan.output.as_str()), ("CNY", "9.00", "27.00"));
    let windows = &yuan.off_peak.as_ref().unwrap().windows;
    let spans: Vec<_> = windows.iter().map(|w| format!("{} {}", w.name, w.to)).collect();
    assert_eq!(
        spans,
        [
            "off-peak mon-fri 00:00 01:00",
            "off-peak mon-fri 04:00 06:00",
            "off-peak mon-fri 10:00 24:00",
            "off-peak sat-sun 00:00 24:00",
        ]
    );
    assert_eq!((windows[3].input.as_str(), windows[3].cached_input.as_deref()), ("4.50", Some("0.15")));
    assert_eq!(
        (rows["dollars"].currency.as_str(), rows["dollars"].cached_input.as_deref()),
        ("USD", Some("0.044"))
    );
    let tiers: Vec<_> = rows["cheap"].tiers.iter().map(|tier| (tier.above, tier.output.as_str())).collect();
    assert_eq!(tiers, [(128_000, "6.00"), (256_000, "12.00")]);
    assert!(rows["writes"].cache_write.is_some());
    assert!(drafted.not_said["writes"].iter().any(|what| what.contains("last an hour")));
    assert_eq!(drafted.document.scale, 3, "0.044 has three decimals");
    Sheet::check(&drafted.document).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn what_a_list_cannot_say_is_left_out_and_said() {
    let table = table(&[
        ("thinks", &["dashscope-cn/qwen-plus"]),
        ("own", &["house/llama"]),
        ("unpriced", &["dashscope/text-embedding-v3"]),
        ("good", &["openai/gpt-4o", "openai/gpt-4.1"]),
    ]);
    let drafted = from_catalog(&table, base(), None, &[]);
    assert_eq!(drafted.taken, ["good"]);
    let why = |model: &str| drafted.left_out[model].as_str();
    assert!(why("thinks").starts_with("the output of calls that think costs 8.00 instead of 2.00"));
    assert_eq!(why("own"), "the catalog does not know `house/llama`");
    assert!(why("unpriced").contains("unknown is not free"), "{}", why("unpriced"));
    assert_eq!(drafted.view()["left_out"].as_array().unwrap().len(), 3);
}

#[test]
fn a_target_that_is_tried_later_and_costs_more_is_named() {
    let table = table(&[("m", &["openai/gpt-4o-mini", "openai/gpt-4o"])]);
    let drafted = from_catalog(&table, base(), None, &[]);
    assert!(
        drafted.not_said["m"].contains(&"`openai/gpt-4o` costs more: 2.50 / 10.00 USD".to_owned()),
        "{:?}",
        drafted.not_said
    );
}

#[test]
fn what_was_sold_before_stays_unless_it_was_asked_for() {
    let table = table(&[("gpt-4o", &["openai/gpt-4o"]), ("gpt-4.1", &["openai/gpt-4.1"])]);
    let old: Document = serde_json::from_str(
        r#"{"models": {"gpt-4o": {"input": "1", "output": "1"}, "old": {"input": "1", "output": "1"},
            "gpt-4.1": {"input": "7", "output": "7"}}}"#,
    )
    .unwrap();
    let drafted = from_catalog(&table, old, Some("25"), &["*4o".to_owned()]);
    let row = |name: &str| {
        (
            drafted.document.models[name].input.as_str(),
            drafted.document.models[name].markup_percent.as_deref(),
        )
    };
    assert_eq!([row("old"), row("gpt-4.1"), row("gpt-4o")], [("1", None), ("7", None), ("2.50", Some("25"))]);
    assert_eq!(drafted.taken, ["gpt-4o"]);
}

#[test]
fn a_markup_is_a_factor() {
    assert_eq!(markup("1.25"), Ok(Some("25".to_owned())));
    assert_eq!(markup("1.0001"), Ok(Some("0.01".to_owned())));
    assert_eq!((markup("1"), markup("11")), (Ok(None), Ok(Some("1000".to_owned()))));
    for bad in ["0.9", "25", "-1", "1.00001", "x", ""] {
        assert!(markup(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_list_has_three_decimals_where_two_would_move_a_price() {
    let scale = |model: &str, markup: Option<&str>| {
        let table = table(&[("m", &[model])]);
        from_catalog(&table, base(), markup, &[]).document.scale
    };
    assert_eq!(scale("deepseek-yuan/deepseek-v4-pro", None), 2, "9.00, 0.30, 27.00, and half of it");
    assert_eq!(scale("deepseek-yuan/deepseek-flash", Some("25")), 3, "a quarter more than 0.02");
    assert_eq!(scale("deepseek/deepseek-flash", None), 3, "0.006 dollars are four fen");
    assert_eq!(scale("openai/gpt-4o", Some("10")), 2, "nothing is below a dollar");
}
