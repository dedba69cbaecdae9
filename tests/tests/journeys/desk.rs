//! How does an operator work beside the running process?
use serde_json::Value;
use tests::process::Ran;
use tests::{Answer, World};

/// `tollgate ...` with this world's configuration, as anna.
pub(crate) fn operate(world: &World, args: &[&str]) -> Ran {
    look(world, &[args, &["--operator", "anna"]].concat())
}

/// The same for what only looks: nobody has to say who they are.
pub(crate) fn look(world: &World, args: &[&str]) -> Ran {
    world.run(&[args, &["-c", &world.config, "-o", "json"]].concat())
}

/// What it answered.
#[track_caller]
pub(crate) fn answered(ran: Ran) -> Value {
    serde_json::from_str(&ran.ok()).expect("JSON")
}

/// Another account of the demo, with a key.
pub(crate) async fn neighbour(world: &World) -> (String, String) {
    let wanted = serde_json::json!({"name": "neighbour", "livemode": "demo"});
    let account = world.admin_post("/admin/v1/accounts", &wanted).await.expect(201).json();
    let id = tests::till::text(&account, "id").to_owned();
    let wanted = serde_json::json!({"account": id, "name": "neighbour"});
    let key = world.admin_post("/admin/v1/keys", &wanted).await.expect(201).json();
    (id, tests::till::text(&key, "key").to_owned())
}

/// Asks with another key than the world's.
pub(crate) async fn ask_as(world: &World, key: &str, path: &str, body: &Value) -> Answer {
    let request = world.http.post(format!("{}{path}", world.public_url)).bearer_auth(key);
    tests::world::sent(request.json(body)).await
}
