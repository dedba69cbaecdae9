//! Running the gateway.

use std::{io::IsTerminal, path::Path, sync::Arc};

use serde_json::json;
use tracing_subscriber::EnvFilter;
use units::Clock;

use super::{Exit, Failed, check, ready, signals};
use crate::{
    app::{self, Listeners},
    clock::ProcessClock,
    settings::{LogFormat, TelemetrySettings},
};

/// Sends logs to standard error.
pub(super) fn log(settings: &TelemetrySettings) -> Result<(), Failed> {
    let filter = EnvFilter::try_new(&settings.log)
        .map_err(|error| Failed { exit: Exit::Invalid, error: anyhow::anyhow!("telemetry.log: {error}") })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for eyes; NO_COLOR is heeded where nothing is said.
    let builder = if std::io::stderr().is_terminal() { builder } else { builder.with_ansi(false) };
    // Fails only if a subscriber was set before.
    let _ = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}

/// `serve`
pub(super) async fn run(file: &Path) -> Result<Exit, Failed> {
    let settings = check::load(file)?;
    log(&settings.telemetry)?;
    let ready_file = settings.server.ready_file.clone();
    let admin_token_file = app::admin_token_file(&settings);
    let clock: Arc<dyn Clock> = Arc::new(ProcessClock::default());
    let listeners = Listeners::bind(settings.server.listen, settings.admin.listen).await?;
    let running = app::start(settings, listeners, clock).await?;
    eprintln!("tollgate serves clients on {}, operators on {}", running.public_url, running.admin_url);
    if running.has_no_customer().await? {
        eprint!("{}", first_steps(file, &admin_token_file));
    }
    if let Some(path) = ready_file {
        ready::write(&path, &json!({"public_url": running.public_url, "admin_url": running.admin_url}))?;
    }
    let store = running.store.clone();
    let reloader = running.reloader.clone();
    let exit = tokio::select! {
        never = signals::reload_when_asked(reloader.as_ref()) => match never? {},
        asked = signals::asked_to_stop() => {
            asked?;
            Exit::Ok
        }
        // A ledger that cannot be written serves nobody: a supervisor starts us again, and the books are read anew.
        () = store.stopped() => Exit::Temporary,
    };
    drop(store);
    eprintln!("tollgate is stopping: calls in flight may finish");
    running.stop().await;
    Ok(exit)
}

fn first_steps(file: &Path, admin_token_file: &Path) -> String {
    let file = file.display();
    format!(
        "There is no account yet. Create the first one and its key (this works while tollgate runs):
  tollgate accounts create -c {file} --name alice
  tollgate keys create -c {file} --account acct_...
The administrator's token is in {}.
",
        admin_token_file.display()
    )
}
