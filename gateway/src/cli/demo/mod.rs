//! The whole product in one process, with a simulated far side: nothing to install, no account, no real money.
//!
//! The production code runs unchanged; only addresses and secrets differ, and they stand in a configuration file that
//! the demo writes and then reads like any other.

mod script;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use payments::{
    ledger::{Actor, Body, Command},
    store::FolderLock,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use units::{AccountId, Livemode, NanoCny};

use super::{
    Exit, Failed, ready, serve, signals,
    sim::{PROVIDER_KEY, issued, wechat},
};
use crate::{
    admin::{NewAccount, NewKey, create_account, create_key},
    app::{self, Listeners, Running},
    clock::ProcessClock,
    settings::Settings,
};

/// What a new demo account is given: enough for first calls, too little for the dear model.
const TRIAL: NanoCny = NanoCny::new(500_000_000);

/// What `demo` is told.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Play the two-minute story without a person, check every step, and end.
    #[arg(long)]
    script: bool,
    /// Where everything is kept; a folder that is removed at the end where absent.
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Where clients connect.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where operators connect.
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// Where the simulated providers and WeChat Pay listen.
    #[arg(long, value_name = "ADDR")]
    sim_listen: Option<SocketAddr>,
    /// By which of WeChat Pay's APIs orders are made.
    #[arg(long, value_enum, default_value = "v3", value_name = "API")]
    wechat_api: WechatApi,
    /// Written once everything listens.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Open no browser. The demo opens none yet: the console it will show is still to come.
    #[arg(long)]
    no_open: bool,
}

/// One of WeChat Pay's APIs.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum WechatApi {
    V3,
    V2,
}

/// The key the demo hands out, kept so that a restart in the same folder shows the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct DemoKey {
    account: AccountId,
    key: String,
}

/// Everything at work.
struct Demo {
    running: Running,
    sim: sim::Sim,
    sim_url: String,
    key: DemoKey,
    config: PathBuf,
}

/// `demo`
pub(super) async fn run(args: DemoArgs) -> Result<Exit, Failed> {
    let (dir, temporary) = match &args.dir {
        Some(dir) => (dir.clone(), None),
        None => {
            let folder = TemporaryFolder::make()?;
            (folder.0.clone(), Some(folder))
        }
    };
    let begun = std::time::Instant::now();
    let demo = Box::pin(start(&args, &dir)).await?;
    if let Some(path) = &args.ready_file {
        ready::write(path, &demo.says())?;
    }
    let exit = if args.script {
        let ended = Box::pin(script::play(&demo, begun)).await;
        match ended {
            Ok(()) => Exit::Ok,
            Err(error) => {
                eprintln!("✗ {error:#}");
                Exit::Unexpected
            }
        }
    } else {
        demo.banner(&dir, begun.elapsed());
        signals::asked_to_stop().await?;
        eprintln!("\nstopping");
        Exit::Ok
    };
    demo.running.stop().await;
    demo.sim.stop().await;
    drop(temporary);
    Ok(exit)
}

async fn start(args: &DemoArgs, dir: &Path) -> Result<Demo, Failed> {
    std::fs::create_dir_all(dir).with_context(|| format!("the folder {}", dir.display()))?;
    let dir = std::fs::canonicalize(dir)?;
    // The script disturbs nobody: unless told otherwise it takes whatever ports are free.
    let addr = |given: Option<SocketAddr>, port: u16| {
        given.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], if args.script { 0 } else { port })))
    };
    let public = app::bind(addr(args.listen, 8080), "--listen").await?;
    let admin = app::bind(addr(args.admin_listen, 8081), "--admin-listen").await?;
    let far_side = app::bind(addr(args.sim_listen, 8082), "--sim-listen").await?;
    let (listen, admin_listen) = (public.local_addr()?, admin.local_addr()?);

    // Held while files are written: those of a demo that runs here already are not to change under it. The store takes it for
    // itself when it opens.
    let store = dir.join("store");
    std::fs::create_dir_all(&store).with_context(|| format!("the folder {}", store.display()))?;
    let unused = FolderLock::take(&store)?;
    let clock = Arc::new(ProcessClock::default());
    let credentials = issued(&dir.join("far-side"))?;
    std::fs::write(dir.join("far-side/provider_key.txt"), PROVIDER_KEY)?;
    let sim_settings = sim::SimSettings {
        wechat: credentials.clone(),
        clock: clock.clone(),
        seed: 7,
        provider_key: PROVIDER_KEY.to_owned(),
        first_token_ms: 60,
        gap_ms: 8,
    };
    let sim = sim::start(far_side, sim_settings).await?;
    let sim_url = format!("http://{}", sim.addr());

    let api = match args.wechat_api {
        WechatApi::V3 => "v3",
        WechatApi::V2 => "v2",
    };
    let config = dir.join("tollgate.toml");
    let text = include_str!("config.toml")
        .replace("{{LISTEN}}", &listen.to_string())
        .replace("{{ADMIN_LISTEN}}", &admin_listen.to_string())
        .replace("{{PUBLIC_URL}}", &format!("http://{listen}"))
        .replace("{{SIM_URL}}", &sim_url)
        .replace("{{DIR}}", &dir.display().to_string())
        .replace("{{WECHAT_API}}", api)
        .replace("{{MCHID}}", &credentials.mchid)
        .replace("{{APPID}}", &credentials.appid)
        .replace("{{MINI_PROGRAM_APPID}}", &credentials.mini_program_appid)
        .replace("{{MERCHANT_SERIAL}}", &credentials.merchant_serial)
        .replace("{{PLATFORM_KEY_ID}}", &credentials.platform_key_id);
    std::fs::write(&config, text)?;
    let settings = Settings::load(&config).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    serve::log(&settings.telemetry)?;
    drop(unused);
    let running = app::start(settings, Listeners { public, admin }, clock).await?;
    let key = demo_key(&dir, &running).await?;
    Ok(Demo { running, sim, sim_url, key, config })
}

/// The account of the demo, with its key and a little money to begin with.
async fn demo_key(dir: &Path, running: &Running) -> Result<DemoKey, Failed> {
    let path = dir.join("demo_key.json");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return Ok(serde_json::from_str(&text).with_context(|| path.display().to_string())?);
    }
    let new = NewAccount { name: "demo".to_owned(), livemode: Some(Livemode::Demo), house: false };
    let account = create_account(&running.store, &*running.clock, &new, Livemode::Demo).await?;
    let wish = NewKey {
        account: account.id,
        name: Some("demo".to_owned()),
        secret: None,
        requests_per_minute: None,
        tokens_per_minute: None,
        concurrency_max: None,
    };
    let made = create_key(&running.store, &running.key_secret, &*running.clock, wish).await?;
    let grant = Command {
        key: format!("promo:trial:{}", account.id),
        actor: Actor::system("demo"),
        reason: Some("a little money to begin with".to_owned()),
        approver: None,
        at: running.clock.now(),
        body: Body::GrantPromo { account: account.id, amount: TRIAL, expires_at: None },
    };
    running.store.submit(grant).await?;
    let key = DemoKey { account: account.id, key: made.key };
    std::fs::write(&path, serde_json::to_string(&key)?)?;
    Ok(key)
}

impl Demo {
    /// What another process needs to know.
    fn says(&self) -> serde_json::Value {
        json!({
            "public_url": self.running.public_url,
            "admin_url": self.running.admin_url,
            "sim_url": self.sim_url,
            "wechat_url": wechat(&self.sim_url),
            "api_key": self.key.key,
            "account": self.key.account.to_string(),
            "admin_token": self.running.admin_token.expose(),
            "config": self.config,
        })
    }

    fn banner(&self, dir: &Path, took: std::time::Duration) {
        let Self { running, sim_url, key, .. } = self;
        let (public, admin) = (&running.public_url, &running.admin_url);
        println!(
            "
  tollgate {version}  DEMO: simulated models, simulated WeChat Pay, no real money

  ✓ store       {dir} (embedded, up in {ms} ms)
  ✓ models      sim-fast  sim-smart  sim-slow  sim-flaky  sim-luxury
  ✓ clients     {public}/v1
  ✓ phone       {sim_url}/phone
  ✓ switches    {sim_url}/_sim, or: tollgate sim --help
  ✓ metrics     {admin}/metrics

  Your key (trial ¥{trial}):  {key}

  Try:
    export OPENAI_BASE_URL={public}/v1 OPENAI_API_KEY={key}
    python -c \"from openai import OpenAI; print(OpenAI().chat.completions.create(model='sim-fast', messages=[{{'role':'user','content':'你好'}}]).choices[0].message.content)\"
  then model='sim-luxury': refused with 402, because ¥{trial} cannot cover it. Top up, and pay on the phone page:
    curl -X POST $OPENAI_BASE_URL/topups -H \"Authorization: Bearer $OPENAI_API_KEY\" -d '{{\"amount\":\"10.00\"}}'
    curl $OPENAI_BASE_URL/credits -H \"Authorization: Bearer $OPENAI_API_KEY\"

  Ctrl-C ends it.
",
            version = env!("CARGO_PKG_VERSION"),
            dir = dir.display(),
            ms = took.as_millis(),
            trial = TRIAL,
            key = key.key,
        );
    }
}

/// A folder that is gone when the demo is.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn make() -> anyhow::Result<Self> {
        let name = format!("tollgate-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("the folder {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} could not be removed: {error}", self.0.display());
        }
    }
}
