//! The books as a whole: looked at from outside, copied, brought back, moved.

use std::path::{Path, PathBuf};

use clap::Args;
use payments::store::{
    BackupError, Copied, ExamineError, Examined, MoveError, OpenError, PostgresError, back_up,
    examine_backup, examine_folder, examine_postgres, move_to_postgres, restore,
};
use serde_json::{Value, json};

use super::{Exit, Failed, check, output::Format};
use crate::settings::{Environment, Secret, Secrets, StoreSettings};

/// Where books are.
#[derive(Debug, Clone, Args)]
pub(super) struct Where {
    /// The configuration file that says where the books are.
    #[arg(short, long = "config", value_name = "FILE", default_value = "tollgate.toml")]
    config: PathBuf,
    /// The store's folder, in place of what a configuration says.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["config", "postgres"])]
    store: Option<PathBuf>,
    /// A PostgreSQL database, in place of what a configuration says: its URL, or `env:NAME` or `file:PATH` for a URL with a
    /// password.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    postgres: Option<String>,
}

impl Where {
    /// The folder, and the database if it has the books.
    pub(super) fn found(&self) -> Result<StoreSettings, Failed> {
        match (&self.store, &self.postgres) {
            (Some(folder), _) => Ok(StoreSettings { path: folder.clone(), url: None }),
            (None, Some(url)) => Ok(StoreSettings { path: PathBuf::new(), url: Some(database(url)?) }),
            (None, None) => Ok(check::load(&self.config)?.store),
        }
    }
}

/// A database named on the command line, which other users of the machine can read.
pub(super) fn database(text: &str) -> Result<Secret, Failed> {
    let invalid = |what: String| Failed { exit: Exit::Invalid, error: anyhow::anyhow!(what) };
    let url = if text.starts_with("postgresql://") || text.starts_with("postgres://") {
        if payments::store::names_password(text) {
            return Err(invalid(
                "a password on the command line is seen by others: say `env:NAME` or `file:PATH`".into(),
            ));
        }
        Secret::new(text.to_owned())
    } else {
        let place = text.parse().map_err(|error| invalid(format!("`{text}`: {error}")))?;
        Environment.read(&place).map_err(|error| invalid(error.to_string()))?
    };
    let read = payments::store::check_url(url.expose());
    read.map_err(|_| invalid("not an address like `postgresql://tollgate@db.example.com/tollgate`".into()))?;
    Ok(url)
}

/// What `ledger verify` is told.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    books: Where,
    /// A backup: it is held to its own word as well.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["config", "store", "postgres"])]
    from_backup: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// `ledger verify`
pub(super) async fn verify(args: VerifyArgs) -> Result<Exit, Failed> {
    let seen = match args.from_backup {
        Some(folder) => apart(move || examine_backup(&folder)).await??,
        None => match args.books.found()? {
            StoreSettings { url: Some(url), .. } => examine_postgres(url.expose()).await?,
            StoreSettings { path, url: None } => apart(move || examine_folder(&path)).await??,
        },
    };
    args.format.show(&shown(&seen))?;
    Ok(if seen.findings.0.is_empty() { Exit::Ok } else { Exit::Differences })
}

/// What `backup` is told.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    books: Where,
    /// A folder that is not there yet.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// `backup`
pub(super) async fn backup(args: BackupArgs) -> Result<Exit, Failed> {
    let StoreSettings { path, url } = args.books.found()?;
    if url.is_some() {
        return Err(Failed {
            exit: Exit::Invalid,
            error: anyhow::anyhow!(
                "these books are on PostgreSQL: copy them with pg_dump or by point-in-time recovery, and look at the \
                 copy with `tollgate ledger verify --postgres URL`"
            ),
        });
    }
    let out = args.out.clone();
    let seen = apart(move || back_up(&path, &out)).await??;
    show_copy(&seen, &args.out, args.format)
}

/// What `restore` is told.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// The store's folder: empty, or not there yet.
    #[arg(long, value_name = "FOLDER")]
    store: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// `restore`
pub(super) async fn bring_back(args: RestoreArgs) -> Result<Exit, Failed> {
    let (from, store) = (args.from, args.store.clone());
    let seen = apart(move || restore(&from, &store)).await??;
    show_copy(&seen, &args.store, args.format)
}

/// What `store move` is told.
#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// The store's folder, which no process serves from.
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// An empty PostgreSQL database: its URL, or `env:NAME` or `file:PATH` for a URL with a password.
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    format: Format,
}

/// `store move`
pub(super) async fn carry_over(args: MoveArgs) -> Result<Exit, Failed> {
    let to = database(&args.to)?;
    let mut last = None;
    let progress = move |copied: Copied| {
        if last != Some(copied.table) {
            eprintln!("copying {}", copied.table);
            last = Some(copied.table);
        }
    };
    let seen = move_to_postgres(&args.from, to.expose(), progress).await?;
    args.format.show(&shown(&seen))?;
    eprintln!("moved; say `url` under [store] from now on: the folder keeps the journal and the secrets");
    Ok(Exit::Ok)
}

/// Runs what keeps a thread to itself on one where it may.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failed> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

fn show_copy(seen: &Examined, place: &Path, format: Format) -> Result<Exit, Failed> {
    let mut shown = shown(seen);
    shown["folder"] = json!(place.display().to_string());
    format.show(&shown)?;
    Ok(Exit::Ok)
}

/// What was looked at and found.
fn shown(seen: &Examined) -> Value {
    let tables: Vec<Value> =
        seen.state.tables.iter().map(|(table, rows, _)| json!({"table": table, "rows": rows})).collect();
    json!({
        "sound": seen.findings.0.is_empty(),
        "findings": seen.findings.0,
        "state_hash": seen.state.hex(),
        "epoch": seen.epoch,
        "open_holds": seen.open_holds,
        "receipts": seen.receipts,
        "lanes": seen.lanes,
        "tables": tables,
    })
}

/// How a process ends for an error about the books as a whole.
pub(super) fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(error) = error.downcast_ref() {
        return of_open(error);
    }
    if let Some(error) = error.downcast_ref() {
        return of_postgres(error);
    }
    if let Some(error) = error.downcast_ref() {
        return of_examine(error);
    }
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(error), _) => of_backup(error),
        (_, Some(error)) => of_move(error),
        (None, None) => Exit::Unexpected,
    }
}

fn of_open(error: &OpenError) -> Exit {
    match error {
        OpenError::InUse(_) | OpenError::Moved(_) => Exit::Conflict,
        OpenError::NoBooks(_) => Exit::NotFound,
        OpenError::Migrate(_) => Exit::Invalid,
        OpenError::Folder { .. } | OpenError::Sqlite(_) | OpenError::Pragma { .. } => Exit::Unexpected,
    }
}

fn of_postgres(error: &PostgresError) -> Exit {
    match error {
        PostgresError::NoBooks => Exit::NotFound,
        PostgresError::Server(_) => Exit::Upstream,
        _ => Exit::Invalid,
    }
}

fn of_examine(error: &ExamineError) -> Exit {
    match error {
        ExamineError::Open(error) => of_open(error),
        ExamineError::Postgres(error) => of_postgres(error),
        ExamineError::Read(_) => Exit::Invalid,
    }
}

fn of_backup(error: &BackupError) -> Exit {
    match error {
        BackupError::Exists(_) => Exit::Conflict,
        BackupError::NotWhole { .. } => Exit::Invalid,
        BackupError::Unsound { .. } => Exit::Differences,
        BackupError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::NotFound,
        BackupError::File { .. } => Exit::Unexpected,
        BackupError::Open(error) => of_open(error),
        BackupError::Examine(error) => of_examine(error),
    }
}

fn of_move(error: &MoveError) -> Exit {
    match error {
        MoveError::Source(error) => of_open(error),
        MoveError::Target(error) => of_postgres(error),
        MoveError::NotEmpty => Exit::Conflict,
        MoveError::Broken(_) => Exit::Upstream,
        MoveError::Differs { .. } | MoveError::Unsound(_) => Exit::Differences,
    }
}
