//! Does WeChat Pay know us by our certificate, and is nothing lost where it does not?
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tests::serve::Site;
use tests::till::text;
use tests::{World, nano, until};

/// Orders are made by API v2; `edit` changes more.
fn by_v2(config: &str) -> String {
    config.replacen("[payments.wechat.main]\n", "[payments.wechat.main]\napi = \"v2\"\n", 1)
}

/// Gives back what the account has, and waits until it has arrived.
async fn all_goes_back(world: &World) {
    let refund = world.post("/v1/refunds", &json!({})).await.expect(201).json();
    until("the refund has arrived", || async {
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        (refund["status"] == "success").then_some(())
    })
    .await;
}

#[tokio::test]
async fn over_tls_a_payment_by_either_api_comes_and_goes_back_with_our_certificate() {
    for api in ["v2", "v3"] {
        let site = Site::over_tls(|config| if api == "v2" { by_v2(&config) } else { config }).await;
        let mut world = site.open().await;
        world.customer("alice");
        let config = fs::read_to_string(&world.config).expect("the configuration");
        assert!(config.contains("base_url = \"https://127.0.0.1:"), "{config}");
        let order = world.top_up("10.00").await;
        assert_eq!(world.far_order(&order).await["api"], api);
        all_goes_back(&world).await;
        assert_eq!(world.balance().await, 0, "{api}");
        assert_eq!(world.far_order(&order).await["refunds"][0]["status"], "SUCCESS", "{api}");
        world.books_balance().await;
    }
}

#[tokio::test]
async fn a_refund_without_our_certificate_or_with_anothers_is_refused_and_nothing_is_lost() {
    for (shown, code, why) in [
        ("none", "NO_CERTIFICATE", "the merchant's certificate is not configured"),
        ("another's", "CERTIFICATE_REFUSED", "it is another's, or no longer good"),
    ] {
        let site = Site::over_tls(|config| by_v2(&config)).await;
        let right = fs::read_to_string(site.dir().join("tollgate.toml")).expect("the configuration");
        let mut world = site.open().await;
        let wrong = if shown == "none" {
            right.replacen("certificate = \"file:far/merchant_certificate.pem\"\n", "", 1)
        } else {
            let other = world.sim_post("/wechat/merchants", &json!({})).await.expect(200).json();
            for (file, member) in
                [("other.pem", "merchant_certificate_pem"), ("other_key.pem", "merchant_private_key_pem")]
            {
                fs::write(world.dir().join(file), text(&other, member)).expect("a file");
            }
            right.replacen("far/merchant_certificate.pem", "other.pem", 1).replacen(
                "far/merchant_key.pem",
                "other_key.pem",
                1,
            )
        };
        assert_ne!(wrong, right);
        fs::write(&world.config, &wrong).expect("written");
        world.restart().await;
        world.customer("alice");

        let order = world.top_up("10.00").await;
        let refund = world.post("/v1/refunds", &json!({"amount": "4.00"})).await.expect(201).json();
        until("the log says why", || async {
            let log = world.process.logged();
            (log.contains(code) && log.contains(why)).then_some(())
        })
        .await;
        let path = format!("/v1/refunds/{}", text(&refund, "id"));
        let still_open = async |world: &World| {
            let refund = world.get(&path).await.expect(200).json();
            let status = text(&refund, "status");
            assert!(!["success", "partial", "cancelled"].contains(&status), "{shown}: {refund:#}");
            assert_eq!(world.far_order(&order).await["refunds"], json!([]), "{shown}");
            assert_eq!(world.balance().await, nano("6.00"), "{shown}: what is to go back stays set aside");
            let books = world.books().await;
            assert_eq!((&books["balanced"], &books["findings"]), (&json!(true), &json!([])), "{books:#}");
        };
        still_open(&world).await;

        // Mended, another's refund arrives; the first one waits for its minute, and is as it was.
        fs::write(&world.config, &right).expect("written");
        world.restart().await;
        still_open(&world).await;
        let (account, key) = (world.account.clone(), world.key.clone());
        world.customer("bob");
        world.top_up("3.00").await;
        all_goes_back(&world).await;
        (world.account, world.key) = (account, key);
        still_open(&world).await;
    }
}

#[tokio::test]
async fn a_refund_that_was_refused_for_its_certificate_is_made_once_the_certificate_counts_again() {
    let world = World::demo_with(&["--wechat-api", "v2"]).await;
    let order = world.top_up("10.00").await;
    world.fault(json!({"scope": "wechat", "fault": "certificate_refused", "times": 0})).await;
    let refund = world.post("/v1/refunds", &json!({"amount": "4.00"})).await.expect(201).json();
    until("the log says why", || async {
        world.process.logged().contains("CERTIFICATE_REFUSED").then_some(())
    })
    .await;
    // It is asked about and sent again, under its one number, and refused again.
    for _ in 0..4 {
        world.advance(Duration::from_secs(61)).await;
    }
    assert_eq!(world.far_order(&order).await["refunds"], json!([]));
    assert_eq!(world.balance().await, nano("6.50"));
    world.no_faults().await;
    until("the refund is made", || async {
        world.advance(Duration::from_secs(30)).await;
        let refund = world.get(&format!("/v1/refunds/{}", text(&refund, "id"))).await.expect(200).json();
        (refund["status"] == "success").then_some(())
    })
    .await;
    let far: Value = world.far_order(&order).await;
    assert_eq!(far["refunds"].as_array().map(Vec::len), Some(1), "one number, one refund: {far:#}");
    world.books_balance().await;
}
