//! How was this process asked to run? The commands; alone in reading the arguments.
//!
//! Data goes to standard output, everything else to standard error; exit codes are in [`Exit`].

mod bench;
mod books;
mod check;
mod consent;
mod copies;
mod demo;
mod desk;
mod doctor;
mod draft;
mod exit;
mod export;
mod fx;
mod guard;
mod hands;
mod models;
mod offers;
mod output;
mod prices;
mod progress;
mod ready;
mod reconcile;
mod refund;
mod serve;
mod signals;
mod sim;
mod table;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

pub use self::exit::Exit;
use self::output::Format;

/// An LLM gateway that takes money.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

const EXAMPLES: &str = "Examples:
  tollgate demo                                     try everything, with simulated models and money
  tollgate check-config tollgate.toml               is the file right?
  tollgate serve -c tollgate.toml                   run
  tollgate accounts create -c tollgate.toml --name alice
  tollgate keys create -c tollgate.toml --account acct_...";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start everything with simulated models and a simulated WeChat Pay: no account, no real money.
    Demo(demo::DemoArgs),
    /// Run the gateway.
    Serve(ConfigFile),
    /// Check a configuration file and say everything that is wrong with it.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Check the keys of WeChat Pay's merchants against each other, and with `--live` whether WeChat Pay takes them.
    Doctor(doctor::DoctorArgs),
    /// About the configuration.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Accounts.
    #[command(subcommand)]
    Accounts(AccountsVerb),
    /// API keys.
    #[command(subcommand)]
    Keys(KeysVerb),
    /// The books.
    #[command(subcommand)]
    Ledger(LedgerVerb),
    /// Copy the books into a new folder while they are written, and verify the copy.
    Backup(copies::BackupArgs),
    /// Put a backup into an empty folder, and verify it there; `serve` goes on from it.
    Restore(copies::RestoreArgs),
    /// About where the books are kept.
    #[command(subcommand)]
    Store(StoreVerb),
    /// Price lists: what is sold at which price, to whom.
    #[command(subcommand)]
    Prices(prices::PricesVerb),
    /// Models: what they are, what they cost, what customers pay for them.
    Models(models::ModelsArgs),
    /// Rates of exchange.
    #[command(subcommand)]
    Fx(fx::FxVerb),
    /// Packages of tokens that are offered.
    #[command(subcommand)]
    Packages(offers::PackagesVerb),
    /// Credit codes.
    #[command(subcommand)]
    Codes(offers::CodesVerb),
    /// Orders that wait for a person.
    #[command(subcommand)]
    Orders(hands::OrdersVerb),
    /// Unused money back to who paid it.
    #[command(subcommand)]
    Refund(refund::RefundVerb),
    /// Lay days beside WeChat Pay's bill; exits with 8 while something is open.
    #[command(subcommand)]
    Reconcile(reconcile::ReconcileVerb),
    /// What keeps top-ups from being made.
    #[command(subcommand)]
    Guard(guard::GuardVerb),
    /// What accounts and keys may spend.
    #[command(subcommand)]
    Budgets(hands::BudgetsVerb),
    /// Calls that were charged.
    #[command(subcommand)]
    Calls(hands::CallsVerb),
    /// Why was a call served as it was, what was tried, and what did it cost?
    Explain(hands::ExplainArgs),
    /// Run only the far side: simulated providers and WeChat Pay. With a verb, ask one that runs.
    Sim(Box<sim::SimArgs>),
    /// Measure.
    #[command(subcommand)]
    Bench(BenchVerb),
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(short, long = "config", value_name = "FILE", default_value = "tollgate.toml")]
    config: PathBuf,
}

impl ConfigFile {
    /// Whether none was named and there is none: what needs no configuration goes on without.
    fn is_absent(&self) -> bool {
        self.config.as_os_str() == "tollgate.toml" && !self.config.exists()
    }
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Print the JSON schema of the configuration file.
    Schema,
}

#[derive(Debug, Subcommand)]
enum AccountsVerb {
    /// Open an account.
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// What people call it.
        #[arg(long)]
        name: String,
        /// Whether its money is real: `live` or `demo`. By default what the configured providers are.
        #[arg(long)]
        livemode: Option<units::Livemode>,
        /// An account of our own, for internal calls: never refused for money.
        #[arg(long)]
        house: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Correct a balance. More comes as a gift; less takes what no call needs. Two people.
    Adjust(hands::AdjustArgs),
    /// Stop an account: it neither spends nor tops up nor redeems. What is paid for it is still credited.
    Stop(hands::StandingArgs),
    /// Let a stopped account go on.
    Resume(hands::StandingArgs),
    /// Close an account for good, once it has nothing to hold or to refund.
    Close(hands::StandingArgs),
}

#[derive(Debug, Subcommand)]
enum KeysVerb {
    /// Create a key. It is shown once.
    Create {
        #[command(flatten)]
        config: ConfigFile,
        /// Whose.
        #[arg(long)]
        account: units::AccountId,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        /// Take over a secret that exists already, from this file (`-` for standard input).
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        /// Requests per minute.
        #[arg(long)]
        requests_per_minute: Option<u32>,
        /// Tokens per minute.
        #[arg(long)]
        tokens_per_minute: Option<u64>,
        /// Calls in flight at once.
        #[arg(long)]
        concurrency_max: Option<u32>,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Subcommand)]
enum LedgerVerb {
    /// Sum every book and look for what must never be; exits with 8 if something is found.
    TrialBalance {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        format: Format,
    },
    /// Look at books that need not be open: every rule, every link of the chain, what they come to. Nothing is written, and
    /// whoever serves from them goes on; exits with 8 if something is found.
    Verify(copies::VerifyArgs),
    /// Write the lines of the journal as CSV or JSON, beside whoever serves from them.
    Export(export::ExportArgs),
}

#[derive(Debug, Subcommand)]
enum StoreVerb {
    /// Move the books of a folder into an empty PostgreSQL database: all of them, or nothing.
    Move(copies::MoveArgs),
}

#[derive(Debug, Subcommand)]
enum BenchVerb {
    /// What does the gateway add to a call? The same load directly and through the gateway, in one run.
    Overhead(load_tests::OverheadArgs),
    /// How much does the ledger carry? The store beside a plain loop that writes the same rows, in one run.
    Ledger(bench::LedgerArgs),
    /// How long does a page take behind a long history? Fills fresh books with one, and reads.
    LedgerHistory(bench::HistoryArgs),
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and are no failure.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    // Fails only if one was installed before, which does as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tollgate: {error}");
            return Exit::Unexpected.into();
        }
    };
    let exit = match runtime.block_on(run(cli.command)) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("tollgate: {:#}", error.error);
            error.exit
        }
    };
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    exit.into()
}

/// A command that failed, and how the process ends for it.
#[derive(Debug)]
struct Failed {
    exit: Exit,
    error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        let error = error.into();
        Self { exit: copies::exit_of(&error), error }
    }
}

async fn run(verb: Verb) -> Result<Exit, Failed> {
    match verb {
        Verb::Demo(args) => Box::pin(demo::run(args)).await,
        Verb::Serve(file) => Box::pin(serve::run(&file.config)).await,
        Verb::CheckConfig { file } => check::check(&file),
        Verb::Doctor(args) => Box::pin(doctor::run(args)).await,
        Verb::Config(ConfigVerb::Schema) => check::schema(),
        Verb::Accounts(AccountsVerb::Create { config, name, livemode, house, format }) => {
            books::create_account(&config.config, name, livemode, house, format).await
        }
        Verb::Accounts(AccountsVerb::Adjust(args)) => Box::pin(hands::adjust(args)).await,
        Verb::Accounts(AccountsVerb::Stop(args)) => Box::pin(hands::standing("stop", args)).await,
        Verb::Accounts(AccountsVerb::Resume(args)) => Box::pin(hands::standing("resume", args)).await,
        Verb::Accounts(AccountsVerb::Close(args)) => Box::pin(hands::standing("close", args)).await,
        Verb::Orders(verb) => Box::pin(hands::orders(verb)).await,
        Verb::Refund(verb) => Box::pin(refund::run(verb)).await,
        Verb::Reconcile(verb) => Box::pin(reconcile::run(verb)).await,
        Verb::Guard(verb) => Box::pin(guard::run(verb)).await,
        Verb::Budgets(verb) => Box::pin(hands::budgets(verb)).await,
        Verb::Explain(args) => Box::pin(hands::explain(args)).await,
        Verb::Calls(verb) => Box::pin(hands::correct(verb)).await,
        Verb::Packages(verb) => Box::pin(offers::packages(verb)).await,
        Verb::Codes(verb) => Box::pin(offers::codes(verb)).await,
        Verb::Keys(KeysVerb::Create {
            config,
            account,
            name,
            secret_file,
            requests_per_minute,
            tokens_per_minute,
            concurrency_max,
            format,
        }) => {
            let new = books::KeyWish {
                account,
                name,
                secret_file,
                requests_per_minute,
                tokens_per_minute,
                concurrency_max,
            };
            books::create_key(&config.config, new, format).await
        }
        Verb::Ledger(LedgerVerb::TrialBalance { config, format }) => {
            books::trial_balance(&config.config, format).await
        }
        Verb::Prices(verb) => Box::pin(prices::run(verb)).await,
        Verb::Models(args) => Box::pin(models::run(args)).await,
        Verb::Fx(verb) => Box::pin(fx::run(verb)).await,
        Verb::Ledger(LedgerVerb::Verify(args)) => copies::verify(args).await,
        Verb::Ledger(LedgerVerb::Export(args)) => export::export(args).await,
        Verb::Backup(args) => copies::backup(args).await,
        Verb::Restore(args) => copies::bring_back(args).await,
        Verb::Store(StoreVerb::Move(args)) => copies::carry_over(args).await,
        Verb::Sim(args) => sim::run(*args).await,
        Verb::Bench(BenchVerb::Overhead(args)) => Ok(match load_tests::overhead(args).await? {
            true => Exit::Ok,
            false => Exit::BenchInvalid,
        }),
        Verb::Bench(BenchVerb::Ledger(args)) => Box::pin(bench::ledger(args)).await,
        Verb::Bench(BenchVerb::LedgerHistory(args)) => Box::pin(bench::history(args)).await,
    }
}
