//! The journal into a file, or onto standard output.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use futures_util::TryStreamExt;
use payments::store::Period;
use units::{AccountId, Timestamp};

use super::{Exit, Failed, copies::Where};
use crate::{
    books,
    statement::{Form, Lines, instant},
};

/// What `ledger export` is told.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    books: Where,
    /// The lines of one account.
    #[arg(long, value_name = "ID", required_unless_present = "all")]
    account: Option<AccountId>,
    /// The lines of all accounts, and of none.
    #[arg(long, conflicts_with = "account")]
    all: bool,
    /// From when on, such as 2026-01-01T00:00:00+08:00; from the first line where absent.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Up to when, that instant not included; to the last line where absent.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// How lines are written.
    #[arg(long, value_enum)]
    format: Form,
    /// A file that is not there yet; standard output where absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// `ledger export`
pub(super) async fn export(args: ExportArgs) -> Result<Exit, Failed> {
    let from = args.from.unwrap_or(Period::ALL.from());
    let period = Period::new(from, args.to.unwrap_or(Period::ALL.to()))
        .map_err(|error| Failed { exit: Exit::Usage, error: anyhow::anyhow!("--to: {error}") })?;
    // Read beside whoever serves from them: an export keeps nobody waiting.
    let reader = books::reader(&args.books.found()?).await?;
    let lines = Lines::begin(reader, args.account, period, args.format).await?;
    match &args.out {
        None => written(lines, &mut io::stdout().lock()).await?,
        Some(path) => {
            let open = File::options().write(true).create_new(true).open(path);
            let mut file = open.map_err(|error| Failed {
                exit: if error.kind() == io::ErrorKind::AlreadyExists {
                    Exit::Conflict
                } else {
                    Exit::Unexpected
                },
                error: anyhow::anyhow!("{}: {error}", path.display()),
            })?;
            let done = async {
                written(lines, &mut file).await?;
                file.sync_all().with_context(|| path.display().to_string())
            };
            if let Err(error) = done.await {
                // Half of an export would be taken for all of it.
                let _ = fs::remove_file(path);
                return Err(error.into());
            }
        }
    }
    Ok(Exit::Ok)
}

async fn written(lines: Lines, to: &mut impl Write) -> anyhow::Result<()> {
    let mut pages = std::pin::pin!(lines.bytes());
    while let Some(page) = pages.try_next().await? {
        match to.write_all(&page) {
            // Whoever read has seen enough, as `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done?,
        }
    }
    to.flush()?;
    Ok(())
}
