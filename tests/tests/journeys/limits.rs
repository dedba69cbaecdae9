//! Are limits kept, and does the product go on when what they are counted in is away?
use serde_json::json;
use testbed::Redis;
use tests::{World, until};

#[tokio::test]
async fn a_redis_that_comes_and_goes_costs_nobody_a_call() {
    let mut redis = Redis::start();
    let limits = format!("[limits]\nredis = \"{}\"\nredis_ms_max = 10_000\n\n[store]", redis.url());
    let world = World::serve(|config| config.replace("[store]", &limits)).await;
    world.top_up("10.00").await;
    world.say("sim-fast", "counted together").await.expect(200);
    assert!(world.metric("tollgate_limits_redis_up", &[]).await > 0.5);

    redis.kill9();
    let alone = world.say("sim-fast", "counted alone").await.expect(200);
    assert_eq!(
        alone.header("x-ratelimit-remaining-requests"),
        "598",
        "what was counted together still counts"
    );
    assert!(world.metric("tollgate_limits_redis_up", &[]).await < 0.5);
    assert!(world.metric("tollgate_limits_alone_total", &[]).await > 0.5);

    redis.start_again();
    until("Redis is found again", || async {
        (world.metric("tollgate_limits_redis_up", &[]).await > 0.5).then_some(())
    })
    .await;
    world.say("sim-fast", "counted together again").await.expect(200);
    world.books_balance().await;
}

#[tokio::test]
async fn without_a_redis_that_the_file_names_the_server_starts_all_the_same() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port");
    let limits =
        format!("[limits]\nredis = \"redis://{nobody}/\"\nnodes = 2\nrequests_per_minute = 4\n\n[store]");
    let world = World::serve(|config| config.replace("[store]", &limits)).await;
    world.top_up("10.00").await;
    for _ in 0..2 {
        world.say("sim-fast", "half of four").await.expect(200);
    }
    let refused = world.say("sim-fast", "the other half is somebody else's").await;
    let refused = refused.error(429, "requests", "rate_limit_exceeded");
    assert_eq!((&refused["scope"], &refused["limit"]), (&json!("key"), &json!(4)), "{refused:#}");
    world.books_balance().await;
}

#[tokio::test]
async fn a_key_is_made_with_limits_of_its_own_and_shows_them() {
    let world = World::demo().await;
    let wanted = json!({"account": world.account, "name": "one at a time", "concurrency_max": 1});
    let key = world.admin_post("/admin/v1/keys", &wanted).await.expect(201).json();
    let request =
        world.http.get(format!("{}/v1/key", world.public_url)).bearer_auth(tests::till::text(&key, "key"));
    let shown = tests::world::sent(request).await.expect(200).json();
    assert_eq!(shown["limits"]["concurrency_max"], 1, "{shown:#}");
}
