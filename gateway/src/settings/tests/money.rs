//! Merchants, top-ups and exchange rates: what is doubtful here costs money.

use super::*;

/// What is said about a good merchant with `from` replaced; always in the merchant's table.
#[track_caller]
fn merchant_refused(from: &str, to: &str, expected: &str) {
    assert!(MERCHANT.contains(from), "{from}");
    let said = said_of(&format!("{SMALL}{}", MERCHANT.replacen(from, to, 1)));
    let words = said.split_once(": ").map_or("", |(_place, words)| words);
    assert_eq!(words, format!("payments.wechat.{expected}"));
}

#[test]
fn dollars_need_a_rate() {
    let dollars = SMALL.replace("CNY", "USD");
    assert_eq!(
        said_of(&dollars),
        "t.toml:11:22: models[0].price.currency: priced in USD, but there is no rate for USD/CNY — \
         add a [[fx.sources]] table, or a rate under [fx.pinned]"
    );
    let pinned = read(&format!("{dollars}[fx.pinned]\n\"USD/CNY\" = \"7.1234\"\n")).unwrap();
    let pair = "USD/CNY".parse().unwrap();
    assert_eq!(pinned.fx.pinned[&pair].get(), 7_123_400);
}

#[test]
fn rates_and_their_sources_are_checked() {
    refused(
        "[fx.pinned]\n\"usd/cny\" = \"7\"\n\"EUR/CNY\" = \"0\"\n",
        "t.toml:2:13: fx.pinned.\"usd/cny\": not a pair of two different currencies like `USD/CNY`\n\
         t.toml:3:13: fx.pinned.\"EUR/CNY\": a rate is above zero",
    );
    refused(
        "[fx]\ncache_secs = 0\nmax_stale_secs = 604_801\n[[fx.sources]]\nname = \"a\"\n\
         url = \"http://fx.example.com/{quote}\"\npointer = \"rates.CNY\"\npair = \"USD/CNY\"\n",
        "t.toml:2:14: fx.cache_secs: must be from 1 to 604800\n\
         t.toml:3:18: fx.max_stale_secs: must be from 1 to 604800\n\
         t.toml:6:7: fx.sources[0].url: only `{base}` is filled in\n\
         t.toml:7:11: fx.sources[0].pointer: a JSON pointer begins with `/` — write `/rates/CNY` for \
         {\"rates\": {\"CNY\": 7.12}}",
    );
    refused(
        "[[fx.sources]]\nname = \"a\"\nurl = \"http://fx.example.com\"\npointer = \"/r\"\npair = \"USD/CNY\"\n",
        "t.toml:3:7: fx.sources[0].url: prices depend on the answer: use https",
    );
    refused(
        "[fx]\ncache_secs = 600\nmax_stale_secs = 300\n",
        "t.toml:3:18: fx.max_stale_secs: shorter than `cache_secs`: rates would always be stale",
    );
}

#[test]
fn a_merchant_is_read_with_its_keys() {
    let settings = read(&format!("{SMALL}{MERCHANT}")).unwrap();
    let merchant = &settings.payments.merchants["main"];
    let merchant = merchant.v3.as_ref().unwrap();
    assert_eq!(merchant.merchant_serial, "0123456789ABCDEF0123456789ABCDEF01234567");
    assert!(merchant.private_key.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(merchant.platform_public_keys[0].id, "PUB_KEY_ID_0119");
    assert_eq!(merchant.platform_certificates.len(), 1);

    let over_tls = "mode = \"sandbox\"\nbase_url = \"https://127.0.0.1:8083/wechat\"\nca = \"file:cert.pem\"";
    let settings = read(&format!("{SMALL}{}", MERCHANT.replacen("mode = \"live\"", over_tls, 1))).unwrap();
    let ca = settings.payments.merchants["main"].ca.as_deref();
    assert!(ca.is_some_and(|ca| ca.starts_with("-----BEGIN CERTIFICATE-----")), "{ca:?}");
}

#[test]
fn a_merchant_that_could_not_be_paid_or_trusted_is_refused() {
    for (from, to, expected) in [
        ("1900000001", "19000-1", "main.mchid: a merchant number is about ten digits"),
        ("wx0123456789abcdef", "gh_1", "main.appid: an app id is `wx` and 16 hex digits"),
        (
            "0123456789abcdef01234567\"",
            "xyz\"",
            "main.merchant_serial: a certificate's serial is 40 hex digits",
        ),
        (
            "wechat.main",
            "wechat.Main",
            "Main: a merchant's name stands in a URL: up to 32 of a-z, 0-9, `-` and `_`",
        ),
        (
            "env:V3_KEY",
            "env:SHORT",
            "main.api_v3_key: an APIv3 key has 32 characters; there are 5 here — set and copy it in the merchant \
             console, under API security",
        ),
        (
            "file:key.pem",
            "file:old-key.pem",
            "main.private_key: expected a PEM block `PRIVATE KEY`, found `RSA PRIVATE KEY` — convert it: openssl pkcs8 \
             -topk8 -nocrypt -in old.pem -out apiclient_key.pem",
        ),
        (
            "file:wechat.pem",
            "file:cert.pem",
            "main.platform_public_key: expected a PEM block `PUBLIC KEY`, found `CERTIFICATE`",
        ),
        (
            "file:cert.pem",
            "env:SHORT",
            "main.platform_certificates[0]: expected a PEM block `-----BEGIN CERTIFICATE-----`, found none",
        ),
        (
            "platform_public_key = \"file:wechat.pem\"\n",
            "",
            "main.platform_public_key_id: the id is there, the key is not: set `platform_public_key` too",
        ),
        (
            "platform_public_key_id = \"PUB_KEY_ID_0119\"\n",
            "",
            "main.platform_public_key: the key is there, its id is not: set `platform_public_key_id` too",
        ),
        (
            "PUB_KEY_ID_0119",
            "0119",
            "main.platform_public_key_id: a public key's id is `PUB_KEY_ID_` and digits",
        ),
        (
            "mode = \"live\"",
            "mode = \"live\"\nbase_url = \"http://127.0.0.1:8082\"",
            "main.base_url: a live merchant is reached over https only",
        ),
        ("wx0123456789abcdef", "wx12", "main.appid: an app id is `wx` and 16 hex digits"),
        (
            "0123456789abcdef0123456789abcdef01234567",
            "12",
            "main.merchant_serial: a certificate's serial is 40 hex digits",
        ),
        (
            "mode = \"live\"",
            "mode = \"sandbox\"",
            "main.base_url: this is the real WeChat Pay, and would take real money — name the simulator: \
             base_url = \"http://127.0.0.1:8082/wechat\"",
        ),
        (
            "mode = \"live\"",
            "mode = \"live\"\nca = \"file:cert.pem\"",
            "main.ca: a live merchant trusts the system's authorities only: for `sandbox`",
        ),
        (
            "mode = \"live\"",
            "mode = \"sandbox\"\nbase_url = \"http://127.0.0.1:8082/wechat\"\nca = \"file:cert.pem\"",
            "main.ca: `base_url` is not https, so there is nobody to be trusted",
        ),
        (
            "mode = \"live\"",
            "mode = \"sandbox\"\nbase_url = \"https://127.0.0.1:8083\"\nca = \"file:key.pem\"",
            "main.ca: expected a PEM block `CERTIFICATE`, found `PRIVATE KEY`",
        ),
    ] {
        merchant_refused(from, to, expected);
    }
    let unverified: String =
        MERCHANT.lines().filter(|line| !line.starts_with("platform")).map(|l| format!("{l}\n")).collect();
    let unverified = unverified + "download_certificates = false\n";
    let said = said_of(&format!("{SMALL}{unverified}"));
    assert!(said.contains("without the platform's key no notice can be verified"), "{said}");
}

#[test]
fn keys_that_do_not_do_keep_nobody_else_from_being_served() {
    let settings = read(&format!("{SMALL}{}", MERCHANT.replace("env:V3_KEY", "env:SHORT"))).unwrap();
    let merchant = &settings.payments.merchants["main"];
    assert!(merchant.v3.is_none() && merchant.v2.is_none());
    assert_eq!(
        merchant.amiss,
        ["payments.wechat.main.api_v3_key: an APIv3 key has 32 characters; there are 5 here"]
    );
    // A secret in the place of its address is no missing key: it must not stand there.
    let errors = read(&format!("{SMALL}{}", MERCHANT.replace("env:V3_KEY", "0123456789abcdef"))).unwrap_err();
    assert!(errors.to_string().contains("payments.wechat.main.api_v3_key"), "{errors}");
    // A beginner needs no key of the platform.
    let beginner: String =
        MERCHANT.lines().filter(|line| !line.starts_with("platform")).map(|l| format!("{l}\n")).collect();
    let settings = read(&format!("{SMALL}{beginner}")).unwrap();
    let keys = settings.payments.merchants["main"].v3.clone().unwrap();
    assert!(keys.download_certificates && keys.platform_public_keys.is_empty());
}

#[test]
fn only_a_live_merchant_at_the_usual_address_has_another_host_unasked() {
    let backup_of = |merchant: &str| {
        let settings = read(&format!("{SMALL}{merchant}")).unwrap_or_else(|errors| panic!("{errors}"));
        settings.payments.merchants["main"].backup_url.clone()
    };
    assert_eq!(backup_of(MERCHANT).as_deref(), Some("https://api2.mch.weixin.qq.com"));
    let proxied =
        MERCHANT.replace("mode = \"live\"", "mode = \"live\"\nbase_url = \"https://wx.example.com/a\"");
    assert_eq!(backup_of(&proxied), None);
    let both = |backup: &str| proxied.replace("/a\"", &format!("/a\"\nbackup_url = \"{backup}\""));
    assert_eq!(backup_of(&both("https://wy.example.com/a/")).as_deref(), Some("https://wy.example.com/a"));
    let said = said_of(&format!("{SMALL}{}", both("https://wy.example.com/b")));
    assert!(said.contains("main.backup_url: the very same request is sent there"), "{said}");
    let said = said_of(&format!("{SMALL}{}", both("http://wy.example.com/a")));
    assert!(said.contains("main.backup_url: a live merchant is reached over https only"), "{said}");
}

#[test]
fn no_secret_of_a_merchant_is_ever_shown() {
    let text = MERCHANT
        .replace("platform_public_key_id", "previous_api_v3_key = \"env:V3_KEY\"\nplatform_public_key_id");
    let settings = read(&format!("{SMALL}{text}")).unwrap();
    let shown = format!("{settings:?}");
    assert!(shown.contains("PUB_KEY_ID_0119"), "{shown}");
    assert!(!shown.contains("0123456789abcdef0123456789abcdef") && !shown.contains("PRIVATE KEY"), "{shown}");
}

#[test]
fn top_ups_are_bounded_in_yuan() {
    refused(
        "[payments.topup]\nmin = \"0.001\"\nmax = \"-1\"\nexpires_secs = 7_201\ndescription = \"\"\n",
        "t.toml:2:7: payments.topup.min: more than 2 decimals\n\
         t.toml:3:7: payments.topup.max: out of range\n\
         t.toml:4:16: payments.topup.expires_secs: must be from 60 to 7200\n\
         t.toml:5:15: payments.topup.description: must be 1 to 127 characters on one line",
    );
    refused(
        "[payments.topup]\nmin = \"0\"\n",
        "t.toml:2:7: payments.topup.min: the amount must be at least 0.01 yuan",
    );
    refused(
        "[payments.topup]\nmin = \"10\"\nmax = \"9.99\"\n",
        "t.toml:3:7: payments.topup.max: less than the smallest top-up, `min` = 10.00",
    );
}

#[test]
fn a_bonus_is_a_share_or_an_amount_and_bounded_by_its_payment() {
    for (rungs, said) in [
        (
            "from = \"0.001\"\npercent = \"1.001\"\n[[payments.bonus]]\nfrom = \"50000.01\"\namount = \"-1\"\n",
            "t.toml:2:8: payments.bonus[0].from: more than 2 decimals\n\
             t.toml:3:11: payments.bonus[0].percent: more than 2 decimals\n\
             t.toml:5:8: payments.bonus[1].from: more than the largest top-up, `payments.topup.max` = 50000.00\n\
             t.toml:6:10: payments.bonus[1].amount: out of range",
        ),
        (
            "from = \"100\"\npercent = \"1\"\namount = \"1\"\n",
            "t.toml:4:10: payments.bonus[0].amount: says how much is given in one way: `percent` or `amount`",
        ),
        (
            "from = \"100\"\n",
            "t.toml:1:1: payments.bonus[0]: says how much is given in one way: `percent` or `amount`",
        ),
        (
            "from = \"100\"\npercent = \"100.01\"\n",
            "t.toml:3:11: payments.bonus[0].percent: more would be given than is paid",
        ),
        ("from = \"100\"\namount = \"0\"\n", "t.toml:3:10: payments.bonus[0].amount: nothing would be given"),
        (
            "from = \"100\"\namount = \"1\"\n[[payments.bonus]]\nfrom = \"100.00\"\namount = \"2\"\n",
            "t.toml:5:8: payments.bonus[1].from: another one begins at 100.00 yuan",
        ),
        (
            "from = \"100\"\npercent = \"10\"\n[[payments.bonus]]\nfrom = \"300\"\namount = \"20\"\n",
            "t.toml:6:10: payments.bonus[1].amount: gives 20.00 yuan at 300.00, less than the one before it does: 30.00",
        ),
    ] {
        refused(&format!("[[payments.bonus]]\n{rungs}"), said);
    }
    let text = "[[payments.bonus]]\nfrom = \"500\"\npercent = \"12.5\"\n[[payments.bonus]]\nfrom = \"100\"\namount = \"10\"\n";
    let rungs = read(&format!("{SMALL}{text}")).unwrap().payments.bonus;
    for (paid, given) in [("99.99", "0.00"), ("100", "10.00"), ("500", "62.50")] {
        assert_eq!(rungs.given_with(paid.parse().unwrap()).to_string(), given, "{paid}");
    }
}

#[test]
fn what_the_channel_is_expected_to_keep_is_bounded() {
    refused(
        "[payments.fees]\nbasis_points = 1001\nabove = \"-1\"\nbasis_points_above = 1001\n",
        "t.toml:2:16: payments.fees.basis_points: must be from 0 to 1000\n\
         t.toml:3:9: payments.fees.above: out of range\n\
         t.toml:4:22: payments.fees.basis_points_above: must be from 0 to 1000",
    );
    assert_eq!(read(SMALL).unwrap().payments.fees, ::payments::reconcile::FeeTiers::default());
}

#[test]
fn what_is_lent_is_bounded() {
    refused(
        "[payments.grants]\nnewcomer = \"-0.01\"\nreturning = \"100.01\"\nper_day = 101\nlasts_secs = 9\n",
        "t.toml:2:12: payments.grants.newcomer: must be from 0.00 to 100.00\n\
         t.toml:3:13: payments.grants.returning: must be from 0.00 to 100.00\n\
         t.toml:4:11: payments.grants.per_day: must be from 0 to 100\n\
         t.toml:5:14: payments.grants.lasts_secs: must be from 10 to 3600",
    );
    let usual = read(SMALL).unwrap().payments.grants;
    assert_eq!(usual, ::payments::grant::GrantCaps::default());
    let own = "[payments.grants]\nnewcomer = \"0\"\nper_day = 1\nlasts_secs = 60\nunclaimed = true\n";
    let own = read(&format!("{SMALL}{own}")).unwrap().payments.grants;
    assert_eq!((own.newcomer.get(), own.per_day, own.lasts_secs, own.unclaimed), (0, 1, 60, true));
}
