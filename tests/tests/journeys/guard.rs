//! Are top-ups held back before WeChat Pay's own risk control does it, and who lets them go again?
use serde_json::{Value, json};
use tests::World;
use tests::till::text;

async fn warn(world: &World, scope: &str, id: &str, level: &str, event: &str) -> Value {
    let url = format!("{}/pay/risk/demo", world.public_url);
    let body = json!({"url": url, "scope": scope, "id": id, "level": level, "reason": "odd payers", "event_id": event});
    world.sim_post("/wechat/risk", &body).await.expect(200).json()
}

#[tokio::test]
async fn a_warning_stops_an_accounts_top_ups_until_an_operator_lifts_it_and_forgeries_do_nothing() {
    let world = World::demo().await;
    let account = world.account.clone();
    let wish = json!({"amount": "10.00"});
    let forged = json!({"id": "E0", "event_type": "RISK.ACCOUNT", "resource": {}});
    let forged = world.post("/pay/risk/demo", &forged).await;
    assert!((400..500).contains(&forged.status), "{forged:?}");
    world.post("/v1/topups", &wish).await.expect(201);
    let of_nobody = json!({"amount": "1.00", "channel": "jsapi", "openid": "bad"});
    let refused = world.post("/v1/topups", &of_nobody).await;
    assert_eq!(refused.error(400, "invalid_request_error", "invalid_value")["param"], "openid");

    let told = warn(&world, "account", &account, "stop", "risk-1").await;
    assert_eq!(told["status"], 200, "{told:#}");
    let refused = world.post("/v1/topups", &wish).await.error(403, "permission_error", "topup_stopped");
    assert!(text(&refused, "message").contains("odd payers"), "{refused:#}");
    assert_eq!(warn(&world, "account", &account, "stop", "risk-1").await["status"], 200, "again is once");
    let alarms = world.metric("tollgate_payment_alarms_total", &["reason=\"topups_stopped\""]).await;
    assert_eq!(alarms, 1.0);
    let nobody = warn(&world, "account", "acct_nobody", "stop", "risk-2").await;
    assert_eq!(nobody["status"], 200, "written down, and nobody is stopped: {nobody:#}");

    let gates = world.admin_get("/admin/v1/gates").await.expect(200).json();
    assert_eq!(gates["data"].as_array().map(Vec::len), Some(1), "{gates:#}");
    let by = json!({"operator": "ann", "key": "k1"});
    let open = json!({"by": by, "scope": "account", "id": account, "state": "open"});
    world.admin_post("/admin/v1/gates", &open).await.error(
        400,
        "invalid_request_error",
        "missing_required_parameter",
    );
    let by = json!({"operator": "ann", "key": "k1", "reason": "looked into it"});
    for (scope, id, status, param) in
        [("account", "acct_nope", 404, "account"), ("agent", "somebody", 400, "id")]
    {
        let nobody = json!({"by": by, "scope": scope, "id": id, "state": "stopped"});
        let refused = world.admin_post("/admin/v1/gates", &nobody).await;
        let code = if status == 404 { "not_found" } else { "invalid_value" };
        let refused = refused.error(status, "invalid_request_error", code);
        assert!(refused["param"] == param && text(&refused, "message").contains(id), "{refused:#}");
    }
    let odd = json!({"by": by, "scope": "account", "id": account, "state": "ajar"});
    let odd = world.admin_post("/admin/v1/gates", &odd).await;
    assert_eq!(odd.error(400, "invalid_request_error", "invalid_value")["param"], "state");
    let open = json!({"by": by, "scope": "account", "id": account, "state": "open"});
    let opened = world.admin_post("/admin/v1/gates", &open).await.expect(200).json();
    assert_eq!((&opened["state"], &opened["by"]), (&json!("open"), &json!("ann")), "{opened:#}");
    world.post("/v1/topups", &wish).await.expect(201);
    world.books_balance().await;
}

#[tokio::test]
async fn outside_the_percentage_nothing_is_offered_and_a_stop_by_hand_outlives_a_restart() {
    let mut world = World::serve(|config| config + "\n[payments.rollout]\npercent = 0\n").await;
    let wish = json!({"amount": "10.00"});
    world.post("/v1/topups", &wish).await.error(403, "permission_error", "topup_not_offered");
    let config = std::fs::read_to_string(&world.config).expect("the configuration");
    std::fs::write(&world.config, config.replace("percent = 0\n", "percent = 100\n"))
        .expect("the configuration");
    world.restart().await;
    world.post("/v1/topups", &wish).await.expect(201);
    let stop = ["guard", "stop", "all", "-c", "tollgate.toml", "--operator", "ann", "--reason", "a drill"];
    world.run(&stop).ok();
    world.restart().await;
    let refused = world.post("/v1/topups", &wish).await.error(403, "permission_error", "topup_stopped");
    assert!(text(&refused, "message").contains("a drill"), "{refused:#}");
    let shown: Value =
        serde_json::from_str(&world.run(&["guard", "show", "-c", "tollgate.toml", "-o", "json"]).ok())
            .expect("JSON");
    assert_eq!(
        (&shown["data"][0]["scope"], &shown["data"][0]["why"]),
        (&json!("all"), &json!("a drill")),
        "{shown:#}"
    );
    let table = world.run(&["guard", "show", "-c", "tollgate.toml", "-o", "table"]).ok();
    let [heads, row] = &table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
    assert!(heads.starts_with("scope  id  state") && heads.ends_with("  by   why"), "{table}");
    assert!(row.starts_with("all    -   stopped") && row.ends_with("  ann  a drill"), "{table}");
    let open = ["guard", "open", "all", "-c", "tollgate.toml", "--operator", "ann", "--reason", "it is over"];
    world.run(&open).ok();
    world.post("/v1/topups", &wish).await.expect(201);
    world.books_balance().await;
}
