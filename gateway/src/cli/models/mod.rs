//! Which models are there, what do they cost us, and what does a customer pay for them?

mod import;
mod table;

use std::sync::Arc;

use clap::{Args, Subcommand};
use payments::prices::DEFAULT_LIST;
use reqwest::Method;
use router_config::{Catalog, CatalogModel, Cost, Route, catalog};
use serde_json::{Value, json};

use super::{ConfigFile, Exit, Failed, check, desk::Desk, output::Format, prices::path_of};
use crate::settings::Settings;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    verb: Option<ModelsVerb>,
    #[command(flatten)]
    config: ConfigFile,
    /// Only those of this provider: its `id` in the file, or its kind.
    #[arg(long)]
    provider: Option<String>,
    /// Everything that the catalog knows, configured or not.
    #[arg(long)]
    all: bool,
    /// By which list customers pay.
    #[arg(long, default_value = DEFAULT_LIST, conflicts_with = "all")]
    list: String,
    /// As `-o json`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum ModelsVerb {
    /// Lay another catalog's file against ours, and propose what differs; exits with 8 if something does. Nothing is applied.
    Import(import::ImportArgs),
}

/// `models ...`
pub(super) async fn run(args: ModelsArgs) -> Result<Exit, Failed> {
    if let Some(ModelsVerb::Import(args)) = args.verb {
        return import::run(&args);
    }
    let as_json = args.json || args.format.is_json();
    if args.all {
        let catalog = catalog_of(&args.config)?;
        let wanted = args.provider.as_deref();
        if let Some(unknown) = wanted.filter(|wanted| catalog.provider(wanted).is_none()) {
            return Err(no_provider(unknown, &catalog));
        }
        let id = wanted.and_then(|wanted| catalog.provider(wanted)).map(|facts| facts.id.clone());
        let models = catalog.models().filter(|model| id.as_ref().is_none_or(|id| model.provider == *id));
        if as_json {
            let data: Vec<Value> = models.map(|model| known(model, &catalog)).collect();
            println!("{:#}", json!({"object": "list", "data": data}));
        } else {
            table::known(models.map(|model| &**model), &catalog)?;
        }
        return Ok(Exit::Ok);
    }
    let settings = check::load(&args.config.config)?;
    let routes: Vec<&Arc<Route>> = settings
        .table
        .routes
        .values()
        .flat_map(|routes| &routes.0)
        .filter(|route| args.provider.as_deref().is_none_or(|wanted| is_served_by(route, wanted)))
        .collect();
    if let Some(wanted) = args.provider.as_deref().filter(|_| routes.is_empty()) {
        return Err(no_provider(wanted, &settings.catalog));
    }
    let prices = Prices::look_up(&settings, &args.list).await;
    if as_json {
        let data: Vec<Value> =
            routes.iter().map(|route| configured(route, &prices, &settings.catalog)).collect();
        let view = json!({
            "object": "list",
            "price_list": args.list,
            "price_version": prices.version,
            "prices_unknown": prices.unknown,
            "data": data,
        });
        println!("{view:#}");
    } else {
        table::configured(&routes, &prices, &settings.catalog)?;
        if let Some(why) = &prices.unknown {
            eprintln!("what customers pay is not known here: {why}");
        }
    }
    Ok(Exit::Ok)
}

fn is_served_by(route: &Route, wanted: &str) -> bool {
    route.targets.iter().any(|target| target.provider.id == wanted || target.provider.kind == wanted)
}

fn no_provider(wanted: &str, catalog: &Catalog) -> Failed {
    let near = router_config::nearest(wanted, catalog.providers().map(|facts| facts.id.as_str()));
    let help = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Failed { exit: Exit::NotFound, error: anyhow::anyhow!("no provider `{wanted}`{help}") }
}

/// The catalog of the configuration, or the one that is built in where there is no file.
fn catalog_of(config: &ConfigFile) -> Result<Arc<Catalog>, Failed> {
    if config.is_absent() {
        return Ok(Arc::clone(catalog()));
    }
    Ok(check::load(&config.config)?.catalog)
}

/// What customers pay, as far as it can be known.
struct Prices {
    version: Option<String>,
    rows: Vec<Value>,
    /// Why nothing is known of it.
    unknown: Option<String>,
}

impl Prices {
    async fn look_up(settings: &Settings, list: &str) -> Self {
        let unknown = |why: String| Self { version: None, rows: Vec::new(), unknown: Some(why) };
        let folder = &settings.store.path;
        // Whoever only looks opens no books.
        if settings.store.url.is_none() && !folder.join("ledger.db").exists() {
            return unknown(format!("there are no books in {} yet", folder.display()));
        }
        match Desk::once(settings, Method::GET, &path_of(list), None).await {
            Ok(view) => Self {
                version: view["version"].as_str().map(str::to_owned),
                rows: view["data"].as_array().cloned().unwrap_or_default(),
                unknown: None,
            },
            Err(failed) => unknown(format!("{:#}", failed.error)),
        }
    }

    /// The places of a model in the list: its row, its tiers, its windows.
    fn of<'p>(&'p self, model: &'p str) -> impl Iterator<Item = &'p Value> {
        self.rows.iter().filter(move |row| row["model"] == model)
    }
}

/// A model of the catalog, as its line says it, with its provider and the dates of its sources.
fn known(model: &CatalogModel, catalog: &Catalog) -> Value {
    let mut line: Value = serde_json::from_str(&model.line()).unwrap_or_default();
    line["provider"] = json!(model.provider);
    line["as_of"] = json!(catalog.source(&model.source).map(|source| &source.as_of));
    if let Some(cost) = &model.cost {
        line["cost"]["as_of"] = json!(as_of(cost, catalog));
    }
    for (shown, cost) in line["also"].as_array_mut().into_iter().flatten().zip(&model.also) {
        shown["as_of"] = json!(as_of(cost, catalog));
    }
    line
}

fn as_of<'c>(cost: &Cost, catalog: &'c Catalog) -> Option<&'c str> {
    catalog.source(&cost.source).map(|source| source.as_of.as_str())
}

/// A configured model: what it is, what each target costs us, what customers pay.
fn configured(route: &Route, prices: &Prices, catalog: &Catalog) -> Value {
    let model = &route.model;
    let targets = route.targets.iter().map(|target| {
        let facts = target.facts.as_deref();
        let cost = facts.and_then(|facts| facts.cost_in(target.provider.region));
        let mut cost_view = Value::Null;
        if let (Some(facts), Some(cost)) = (facts, cost) {
            let line = known(facts, catalog);
            let all = [&line["cost"]].into_iter().chain(line["also"].as_array().into_iter().flatten());
            let mut same = all.filter(|shown| shown["currency"] == cost.currency.as_str());
            cost_view = same.next().cloned().unwrap_or_default();
        }
        json!({
            "target": format!("{}/{}", target.provider.id, target.upstream_model),
            "kind": target.provider.kind,
            "cost": cost_view,
            "retires": facts.and_then(|facts| facts.retires.as_ref()),
            "note": facts.and_then(|facts| facts.note.as_ref()),
        })
    });
    json!({
        "id": model.id,
        "kind": model.kind.as_str(),
        "livemode": model.livemode.as_str(),
        "context_length": model.context.0,
        "max_output_tokens": model.output_max.0,
        "targets": targets.collect::<Vec<_>>(),
        "prices": prices.of(&model.id).collect::<Vec<_>>(),
    })
}
