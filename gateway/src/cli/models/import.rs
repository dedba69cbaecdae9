//! What do others say of models, and what would it change? A proposal: nothing is applied.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use router_config::{
    Source,
    import::{self, Change, ImportDiff, ImportFormat, Imported, Proposal},
    overlay_lines,
};
use serde_json::{Value, json};
use units::{Clock, decimal};

use super::{ConfigFile, Exit, Failed, catalog_of};
use crate::clock::ProcessClock;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Names that are shown of those that were not understood for one reason.
const SHOWN_MAX: usize = 3;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The file.
    file: PathBuf,
    /// Whose format it is.
    #[arg(long, value_enum)]
    from: From,
    /// The configuration file, whose catalog is compared with; without one it is what is built in.
    #[command(flatten)]
    config: ConfigFile,
    /// Only what is said of this provider, by its kind.
    #[arg(long)]
    provider: Option<String>,
    /// Everything, as JSON.
    #[arg(long)]
    json: bool,
    /// Write the lines that are new or would change into this folder, for `catalog.path`. Nothing there is replaced.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// LiteLLM's model_prices_and_context_window.json
    Litellm,
    /// models.dev's api.json
    #[value(name = "models.dev")]
    ModelsDev,
}

/// `models import`
pub(super) fn run(args: &ImportArgs) -> Result<Exit, Failed> {
    let format = match args.from {
        From::Litellm => ImportFormat::Litellm,
        From::ModelsDev => ImportFormat::ModelsDev,
    };
    let catalog = catalog_of(&args.config)?;
    let text = read(&args.file)?;
    let imported = import::read(format, &text, &catalog).map_err(|bad| {
        let place = format!("{}:{}:{}", args.file.display(), bad.line, bad.column);
        Failed { exit: Exit::Invalid, error: anyhow::anyhow!("{place}: {}", bad.what) }
    })?;
    let today =
        jiff::Timestamp::from_microsecond(ProcessClock::default().now().0)?.strftime("%F").to_string();
    let source = format!("{}@{today}", format.as_str());
    let mut diff = import::diff(format, &imported, &catalog, &source);
    if let Some(wanted) = &args.provider {
        let id = catalog.provider(wanted).map(|facts| facts.id.clone());
        let id = id.ok_or_else(|| super::no_provider(wanted, &catalog))?;
        diff.new.retain(|proposal| proposal.model.provider == id);
        diff.changed.retain(|proposal| proposal.model.provider == id);
        diff.vanished.retain(|(provider, _)| *provider == id);
    }
    if let Some(folder) = &args.write {
        let what = format!("{}, imported from {}", format.as_str(), name_of(&args.file));
        let sources = BTreeMap::from([(source, Source { what, as_of: today })]);
        write(folder, &diff, &catalog, sources)?;
    }
    if args.json {
        println!("{:#}", view(&imported, &diff));
    } else {
        show(&imported, &diff)?;
    }
    let differs = !(diff.new.is_empty() && diff.changed.is_empty() && diff.vanished.is_empty());
    Ok(if differs { Exit::Differences } else { Exit::Ok })
}

fn read(file: &Path) -> Result<String, Failed> {
    let failed =
        |exit, error: io::Error| Failed { exit, error: anyhow::anyhow!("{}: {error}", file.display()) };
    let size = fs::metadata(file).map_err(|error| failed(Exit::NotFound, error))?.len();
    if size > FILE_BYTES_MAX {
        let error = anyhow::anyhow!("{}: {size} bytes; at most {FILE_BYTES_MAX} are read", file.display());
        return Err(Failed { exit: Exit::Invalid, error });
    }
    let text = fs::read_to_string(file);
    text.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => failed(Exit::Invalid, error),
        _ => failed(Exit::NotFound, error),
    })
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Writes the proposed lines, and the sources that they name; replaces nothing.
fn write(
    folder: &Path,
    diff: &ImportDiff,
    catalog: &router_config::Catalog,
    mut sources: BTreeMap<String, Source>,
) -> Result<(), Failed> {
    let models = || diff.new.iter().chain(&diff.changed).map(|proposal| &proposal.model);
    // What stays of a line may come from an own source of the catalog in use, which the folder has to name too.
    for cost in models().flat_map(|model| model.cost.iter().chain(&model.also)) {
        if let Some(known) = catalog.source(&cost.source) {
            sources.entry(cost.source.clone()).or_insert_with(|| known.clone());
        }
    }
    let files = overlay_lines(models(), &sources);
    fs::create_dir_all(folder)?;
    let taken = files.iter().find(|file| folder.join(&file.name).exists());
    if let Some(taken) = taken {
        let place = folder.join(&taken.name);
        let error = anyhow::anyhow!("{} is there already: nothing was written", place.display());
        return Err(Failed { exit: Exit::Conflict, error });
    }
    for file in &files {
        fs::write(folder.join(&file.name), &file.text)?;
    }
    eprintln!("{} files are written to {}", files.len(), folder.display());
    Ok(())
}

fn per_cent(change: &Change) -> Option<String> {
    let bps = change.bps()?;
    let sign = if bps > 0 { "+" } else { "" };
    Some(format!("{sign}{}", decimal::format(bps, 2, 2)))
}

fn view(imported: &Imported, diff: &ImportDiff) -> Value {
    let change = |change: &Change| {
        json!({
            "what": change.what,
            "old": change.old.as_ref().map(ToString::to_string),
            "new": change.new.as_ref().map(ToString::to_string),
            "percent": per_cent(change),
        })
    };
    let proposal = |proposal: &Proposal| {
        json!({
            "provider": proposal.model.provider,
            "model": proposal.model.id,
            "changes": proposal.changes.iter().map(change).collect::<Vec<_>>(),
        })
    };
    let vanished = |(provider, model): &(String, String)| json!({"provider": provider, "model": model});
    json!({
        "currency": "USD",
        "unit": "1M tokens",
        "new": diff.new.iter().map(proposal).collect::<Vec<_>>(),
        "changed": diff.changed.iter().map(proposal).collect::<Vec<_>>(),
        "vanished": diff.vanished.iter().map(vanished).collect::<Vec<_>>(),
        "same": diff.same,
        "not_understood": imported.not_understood,
        "other_providers": imported.other_providers,
        "other_prices": imported.other_prices,
    })
}

fn show(imported: &Imported, diff: &ImportDiff) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for proposal in &diff.new {
        let said = proposal.changes.iter().filter_map(|change| Some((&change.what, change.new.as_ref()?)));
        let said: Vec<String> = said.map(|(what, new)| format!("{what} {new}")).collect();
        let said = if said.is_empty() { "no price".to_owned() } else { said.join(", ") };
        writeln!(out, "new       {}/{}  {said}", proposal.model.provider, proposal.model.id)?;
    }
    for proposal in &diff.changed {
        for change in &proposal.changes {
            let text = |value: &Option<import::Value>| {
                value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
            };
            let percent = per_cent(change).map_or_else(String::new, |percent| format!("  ({percent} %)"));
            let model = format!("{}/{}", proposal.model.provider, proposal.model.id);
            let (old, new) = (text(&change.old), text(&change.new));
            writeln!(out, "changed   {model}  {} {old} -> {new}{percent}", change.what)?;
        }
    }
    for (provider, model) in &diff.vanished {
        writeln!(out, "vanished  {provider}/{model}")?;
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, why) in &imported.not_understood {
        reasons.entry(why).or_default().push(name);
    }
    for (why, names) in reasons {
        let shown = names.iter().take(SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = if names.len() > SHOWN_MAX { ", …" } else { "" };
        writeln!(out, "not understood: {} because {why}: {shown}{more}", names.len())?;
    }
    for (what, counted) in [("providers", &imported.other_providers), ("prices", &imported.other_prices)] {
        if !counted.is_empty() {
            let list: Vec<String> = counted.iter().map(|(name, count)| format!("{name} ({count})")).collect();
            writeln!(out, "other {what}: {}", list.join(", "))?;
        }
    }
    let [new, changed, vanished] = [diff.new.len(), diff.changed.len(), diff.vanished.len()];
    writeln!(
        out,
        "{new} new, {changed} changed, {vanished} vanished, {} the same; in US dollars for a million tokens",
        diff.same
    )?;
    out.flush()
}
