//! How is a server set up from nothing? As an operator does it: a configuration, `serve`, an account, a key.
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::World;
use crate::process::Process;
use crate::till::text;
use crate::world::inside;

/// A far side that is running, and a configuration that points to it; no gateway yet.
#[derive(Debug)]
pub struct Site {
    /// `tollgate sim`.
    pub far: Process,
    /// What it said when it was ready.
    pub says: Value,
    dir: TempDir,
}

impl Site {
    /// Starts the far side and writes `tollgate.toml`; `edit` may change it before.
    pub async fn new(edit: impl FnOnce(String) -> String) -> Self {
        Self::started(&[], edit).await
    }

    /// The same, with a WeChat Pay that is reached over TLS.
    pub async fn over_tls(edit: impl FnOnce(String) -> String) -> Self {
        Self::started(&["--tls-listen", "127.0.0.1:0"], edit).await
    }

    async fn started(more: &[&str], edit: impl FnOnce(String) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (far_dir, ready) = (inside(&dir, "far"), inside(&dir, "far-ready.json"));
        let args = ["sim", "--listen", "127.0.0.1:0", "--dir", &far_dir, "--ready-file", &ready];
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        let mut far = Process::start("far", &args, dir.path());
        let says = far.ready(Path::new(&ready)).await;
        write(&dir, "provider_key.txt", text(&says, "provider_key"));
        write(&dir, "tollgate.toml", &edit(config(&says)));
        Self { far, says, dir }
    }

    /// Where the files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Everything that WeChat Pay and its merchant know, both sides' keys included.
    pub fn credentials(&self) -> Value {
        read_json(&self.dir.path().join("far/wechat.json"))
    }

    /// Starts the gateway; its customer is yet to come.
    pub async fn open(self) -> World {
        let Self { far, says, dir } = self;
        let mut world = World::beginning(dir, ["serve", "-c", "tollgate.toml"].map(str::to_owned).into());
        world.far = Some(far);
        text(&says, "sim_url").clone_into(&mut world.sim_url);
        world.config = inside(&world.dir, "tollgate.toml");
        world.get_ready().await;
        let token = fs::read_to_string(world.dir().join("admin_token")).expect("the administrator's token");
        token.trim().clone_into(&mut world.admin_token);
        world
    }
}

impl World {
    /// `tollgate serve` beside `tollgate sim`, in two processes: the far side survives what happens to the gateway.
    /// There is an account with a key, and no money. `edit` may change the configuration before it is read.
    pub async fn serve(edit: impl FnOnce(String) -> String) -> Self {
        let mut world = Site::new(edit).await.open().await;
        world.customer("alice");
        world
    }

    /// Opens an account and gives it a key, on the command line; the world's customer from now on.
    pub fn customer(&mut self, name: &str) {
        let account = ["accounts", "create", "-c", "tollgate.toml", "--name", name, "-o", "json"];
        let account: Value = serde_json::from_str(&self.run(&account).ok()).expect("JSON");
        text(&account, "id").clone_into(&mut self.account);
        let key = ["keys", "create", "-c", "tollgate.toml", "--account", &self.account, "-o", "json"];
        let key: Value = serde_json::from_str(&self.run(&key).ok()).expect("JSON");
        text(&key, "key").clone_into(&mut self.key);
    }
}

fn write(dir: &TempDir, name: &str, content: &str) {
    fs::write(dir.path().join(name), content).expect("a file in a folder of ours");
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A configuration with all four providers and one merchant, relative to the folder in which it lies.
fn config(says: &Value) -> String {
    let sim = text(says, "sim_url");
    let mut config = String::from(
        r#"[server]
listen = "127.0.0.1:0"
ready_file = "ready.json"
drain_ms_max = 2_000

[admin]
listen = "127.0.0.1:0"
token_file = "admin_token"

[store]
path = "store"
"#,
    );
    for (id, base) in [
        ("openai", "openai/v1"),
        ("deepseek", "deepseek/v1"),
        ("qwen", "qwen/compatible-mode/v1"),
        ("mistral", "mistral/v1"),
    ] {
        config += &format!(
            r#"
[[providers]]
id = "{id}"
kind = "{id}"
base_url = "{sim}/{base}"
api_key = "file:provider_key.txt"
livemode = "demo"
first_byte_ms_max = 2_000
idle_ms_max = 2_000
"#
        );
    }
    for (model, output) in [("sim-fast", "4.00"), ("sim-smart", "16.00"), ("sim-slow", "4.00")] {
        config += &format!(
            r#"
[[models]]
id = "{model}"
context = 128_000
output_max = 4_096
price = {{ currency = "CNY", input = "2.00", cached_input = "0.50", output = "{output}" }}

[[routes]]
model = "{model}"
targets = ["openai/{model}", "deepseek/{model}", "qwen/{model}", "mistral/{model}"]
"#
        );
    }
    let of = |member: &str| text(says, member);
    let wechat = says["tls_url"].as_str().unwrap_or(sim);
    let ca = says["ca"].as_str().map_or_else(String::new, |ca| format!("ca = \"file:{ca}\"\n"));
    config
        + &format!(
            r#"
[payments.wechat.main]
mode = "sandbox"
base_url = "{wechat}/wechat"
{ca}mchid = "{}"
appid = "{}"
mini_program_appid = "{}"
mini_program_page = "pages/pay/index"
merchant_serial = "{}"
private_key = "file:far/merchant_key.pem"
api_v3_key = "file:far/api_v3_key.txt"
api_v2_key = "file:far/api_v2_key.txt"
certificate = "file:far/merchant_certificate.pem"
platform_public_key_id = "{}"
platform_public_key = "file:far/platform_public_key.pem"
"#,
            of("mchid"),
            of("appid"),
            of("mini_program_appid"),
            of("merchant_serial"),
            of("platform_key_id")
        )
}
