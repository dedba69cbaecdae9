//! What the tests stand on: a clock that is moved by hand, books in a folder of their own, and a far side that answers
//! like WeChat Pay.
#![allow(unreachable_pub, reason = "a module of a test binary")]

pub mod bills;
mod clock;
mod desk;
mod far_side;
mod running;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use payments::{
    admission::Admission,
    channel::{
        Trade, TradeState,
        wechat::v3::{Channel, CredentialParts, Credentials, PlatformKeyPart},
    },
    holds::{HoldRequest, Holds},
    journal::{Journal, Mark},
    ledger::{
        AccountRole, Actor, ApiKey, Asset, Body, Command, CreditSource, Hold, HoldQuote, NewHold, NewOrder,
        Order, OrderKind, PayApi, Reply, Rows, SettleEnd, SettledBy, TokenLeg, TokenTerms, Wallet, Weights,
    },
    refund::Refunds,
    store::{PostgresSettings, Receipt, Store, StoreSettings, SubmitError},
    topup::{Callbacks, Merchant, Merchants, Observer, OverV3, PaidNews, QueryReport, TopUpSettings, TopUps},
};
use tempfile::TempDir;
use units::{
    AccountId, Clock, Fen, KeyId, Livemode, NanoCny, OrderId, Rate, Rates, RequestId, Timestamp, Tokens,
    Usage,
};

pub use self::{
    clock::ManualClock,
    desk::{Desk, package},
    far_side::{Answer, FarSide, Op},
    running::Running,
};

pub const MCHID: &str = "1699999901";
pub const APPID: &str = "wxfeedc0de12345678";
/// 2025-10-09, within the validity of the test certificates.
pub const START: Timestamp = Timestamp::from_secs(1_760_000_000);
pub const MODEL: &str = "m";
/// Yuan 0.000002 a token.
pub const RATE: i64 = 2_000;

pub fn fen(fen: i64) -> Fen {
    Fen::new(fen).unwrap()
}

pub fn yuan(text: &str) -> NanoCny {
    text.parse().unwrap()
}

/// A command of this program at `at`.
pub fn command(key: impl Into<String>, at: Timestamp, body: Body) -> Command {
    Command { key: key.into(), actor: Actor::system("test"), reason: None, approver: None, at, body }
}

/// Every class at one rate.
pub fn flat(rate: i64) -> Rates {
    let rate = Rate::new(rate).unwrap();
    Rates { input: rate, cached_input: rate, cache_write: rate, output: rate }
}

pub fn quote(rates: Rates) -> HoldQuote {
    HoldQuote {
        price_version: "p-1".to_owned(),
        fx_id: None,
        rates,
        input_estimate: Tokens(7),
        window: None,
        tiers: Vec::new(),
        price_percent: None,
    }
}

/// A hold of this much of the model's own tokens and of no money, by a run of number 1.
pub fn new_hold(id: RequestId, account: AccountId, tokens_milli: Option<i64>, rates: Rates) -> NewHold {
    let (asset, weights) = (Asset::Tokens(MODEL.to_owned()), Weights::of_rates(&rates));
    NewHold {
        id,
        account,
        key: KeyId::new(START),
        model: MODEL.to_owned(),
        money: NanoCny::ZERO,
        legs: tokens_milli.map(|milli| TokenLeg { asset, milli, weights }).into_iter().collect(),
        quote: quote(rates),
        epoch: 1,
        dispatched: true,
        deadline: Timestamp(i64::MAX),
    }
}

/// The end of a hold, by the run that opened it, naming its balances as it has them.
pub fn settling(rows: &Rows, id: RequestId, account: AccountId, end: SettleEnd) -> Body {
    let hold = rows.hold(id);
    let key = hold.map_or(KeyId::new(START), |hold| hold.key);
    let tokens = hold.map(Hold::token_assets).unwrap_or_default();
    Body::Settle { id, account, key, tokens, by: SettledBy::Owner { epoch: 1 }, end }
}

/// More money for a call that runs.
pub fn extending(rows: &Rows, id: RequestId, account: AccountId, to: NanoCny) -> Body {
    let key = rows.hold(id).map_or(KeyId::new(START), |hold| hold.key);
    Body::Extend { id, account, key, to }
}

pub fn usage(input: u64, output: u64) -> Usage {
    Usage { input: Tokens(input), output: Tokens(output), ..Usage::default() }
}

pub fn new_order(id: OrderId, account: AccountId, amount: Fen, kind: OrderKind) -> NewOrder {
    NewOrder {
        id,
        account,
        request: format!("{kind:?} for {amount}"),
        kind,
        amount,
        bonus: NanoCny::ZERO,
        merchant: "main".to_owned(),
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        livemode: Livemode::Demo,
        pay_by: Box::default(),
        expires_at: START.after(std::time::Duration::from_secs(900)),
        open_max: None,
    }
}

pub fn token_kind(tokens: i64, rate: i64) -> OrderKind {
    let (model, price_version) = (MODEL.to_owned(), "p-1".to_owned());
    let terms = TokenTerms {
        id: MODEL.to_owned(),
        title: MODEL.to_owned(),
        models: vec![MODEL.to_owned()],
        weights: Weights::PLAIN,
        created_at: START,
    };
    OrderKind::Tokens { model, tokens, rate, price_version, fx_id: None, terms }
}

pub fn api_key(id: KeyId, account: AccountId, digest: &str) -> ApiKey {
    ApiKey {
        id,
        account,
        digest: digest.to_owned(),
        prefix: "tg_demo_".to_owned(),
        name: "test".to_owned(),
        livemode: Livemode::Demo,
        requests_per_minute: None,
        tokens_per_minute: None,
        concurrency_max: None,
        created_at: START,
        revoked_at: None,
        expires_at: None,
        grant: None,
    }
}

/// The news that `order` is paid, agreeing in everything.
pub fn trade_of(order: &Order, transaction_id: &str, at: Timestamp) -> Trade {
    Trade {
        mchid: order.mchid.clone(),
        appid: order.appid.clone(),
        out_trade_no: order.out_trade_no(),
        transaction_id: Some(transaction_id.to_owned()),
        state: TradeState::Success,
        total: Some(order.amount),
        currency: None,
        success_time: Some(at),
        payer: Some("openid".to_owned()),
    }
}

/// Remembers what queries led to; while one is under way the clock does not run ahead.
#[derive(Debug)]
pub struct Reports(pub Mutex<Vec<QueryReport>>, Arc<ManualClock>);

impl Reports {
    /// How many orders queries credited.
    pub fn credited_count(&self) -> usize {
        let is_credited = |report: &&QueryReport| matches!(report, QueryReport::Credited(_));
        self.0.lock().unwrap().iter().filter(is_credited).count()
    }

    /// The orders that queries credited.
    pub fn credited(&self) -> Vec<Order> {
        let credited = |report: &QueryReport| match report {
            QueryReport::Credited(order) => Some(Order::clone(order)),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(credited).collect()
    }
}

impl Observer for Reports {
    fn asking(&self) {
        self.1.begins_to_wait();
    }

    fn queried(&self, report: &QueryReport) {
        self.0.lock().unwrap().push(report.clone());
        self.1.has_waited();
    }

    fn behind(&self, _: std::time::Duration) {}
}

/// Everything of the crate over one folder.
pub struct World {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
    pub far: Arc<FarSide>,
    pub admission: Arc<Admission>,
    pub journal: Arc<Journal>,
    /// What the journal said when it was opened.
    pub marks: HashMap<RequestId, Mark>,
    pub store: Store,
    pub merchants: Arc<Merchants>,
    main: Arc<Merchant>,
    pub holds: Holds,
    pub topups: TopUps,
    pub refunds: Refunds,
    pub reports: Arc<Reports>,
}

pub fn settings(folder: &Path) -> (StoreSettings, HashMap<RequestId, Mark>) {
    let (journal, marks) = Journal::open(&folder.join("journal")).unwrap();
    let admission = Arc::new(Admission::default());
    (StoreSettings { folder: folder.to_owned(), admission, journal: Arc::new(journal) }, marks)
}

pub fn postgres_settings(url: &str, folder: &Path) -> PostgresSettings {
    let (journal, _) = Journal::open(&folder.join("journal")).unwrap();
    let (admission, journal) = (Arc::new(Admission::shared()), Arc::new(journal));
    // Each opening is a node of its own: who bears a name that is in use ends the run that bore it.
    let node = RequestId::new(START).to_string();
    PostgresSettings { url: url.to_owned(), node, admission, journal }
}

fn topups(
    store: &Store,
    merchants: &Arc<Merchants>,
    description: &str,
    clock: &Arc<ManualClock>,
    reports: &Arc<Reports>,
    open_max: u32,
) -> TopUps {
    let allowed = TopUpSettings {
        bonus: payments::topup::BonusRungs::default(),
        min: fen(1),
        max: fen(1_000_000),
        expires: std::time::Duration::from_secs(900),
        description: description.to_owned(),
        open_max,
        needs_device: false,
    };
    TopUps::new(store.clone(), merchants.clone(), allowed, clock.clone(), reports.clone())
}

fn callbacks(notify_url: &str) -> Callbacks {
    Callbacks {
        notify_url: notify_url.to_owned(),
        refund_notify_url: "https://near.invalid/refund".to_owned(),
    }
}

pub fn merchant(far: &Arc<FarSide>, clock: &Arc<ManualClock>, livemode: Livemode) -> Merchant {
    let pem = |name: &str| {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/books/vectors/keys");
        std::fs::read_to_string(keys.join(name)).unwrap()
    };
    let credentials = Credentials::new(CredentialParts {
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        merchant_serial: far_side::SERIAL.to_owned(),
        merchant_private_key_pem: pem("merchant_key.pem"),
        api_v3_key: "test0v3key0for0vectors0only00001".to_owned(),
        previous_api_v3_key: None,
        // The far side signs with the one key of which both halves are at hand.
        platform_keys: vec![PlatformKeyPart::Certificate { pem: pem("merchant_cert.pem") }],
        download_certificates: false,
    })
    .unwrap();
    let channel = Channel::new("https://far.invalid".to_owned(), credentials, far.clone(), clock.clone());
    Merchant {
        name: "main".to_owned(),
        livemode,
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        mini_program_appid: Some("wx00000000000000aa".to_owned()),
        mini_program_page: None,
        api: PayApi::V3,
        v3: Some(OverV3 { channel, callbacks: callbacks("https://near.invalid/pay") }),
        v2: None,
        off: None,
    }
}

impl World {
    pub fn new() -> Self {
        let clock = ManualClock::at(START);
        let far = FarSide::new(clock.clone());
        Self::open(tempfile::tempdir().unwrap(), clock, far)
    }

    pub fn open(folder: TempDir, clock: Arc<ManualClock>, far: Arc<FarSide>) -> Self {
        let (settings, marks) = settings(folder.path());
        let (admission, journal) = (settings.admission.clone(), settings.journal.clone());
        let store = Store::open(settings).unwrap();
        Self::over(folder, (clock, far), (admission, journal, marks), store)
    }

    /// A node of the books in a database, at the time and with the far side of another.
    pub async fn node(url: &str, clock: Arc<ManualClock>, far: Arc<FarSide>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = postgres_settings(url, folder.path());
        let memory = (settings.admission.clone(), settings.journal.clone(), HashMap::new());
        let store = Store::open_postgres(settings).await.unwrap();
        Self::over(folder, (clock, far), memory, store)
    }

    fn over(
        folder: TempDir,
        (clock, far): (Arc<ManualClock>, Arc<FarSide>),
        (admission, journal, marks): (Arc<Admission>, Arc<Journal>, HashMap<RequestId, Mark>),
        store: Store,
    ) -> Self {
        let merchants = Arc::new(Merchants::new([merchant(&far, &clock, Livemode::Demo)]));
        let shared: Arc<dyn Clock> = clock.clone();
        let holds = Holds::new(store.clone(), admission.clone(), journal.clone(), shared.clone());
        let reports = Arc::new(Reports(Mutex::default(), clock.clone()));
        let topups = topups(&store, &merchants, "top-up", &clock, &reports, 400);
        let refunds = Refunds::new(store.clone(), admission.clone(), merchants.clone(), shared);
        Self {
            folder,
            clock,
            far,
            admission,
            journal,
            marks,
            store,
            main: merchants.get("main").unwrap(),
            merchants,
            holds,
            topups,
            refunds,
            reports,
        }
    }

    /// Ends this run and begins the next over the same folder.
    pub async fn reopened(self) -> Self {
        let Self { folder, clock, far, store, .. } = self;
        store.close().await;
        Self::open(folder, clock, far)
    }

    pub async fn submit(&self, key: impl Into<String>, body: Body) -> Result<Reply, SubmitError> {
        self.store.submit(command(key, self.clock.now(), body)).await
    }

    pub async fn account(&self) -> AccountId {
        self.account_of(AccountRole::Customer, Livemode::Demo).await
    }

    pub async fn account_of(&self, role: AccountRole, livemode: Livemode) -> AccountId {
        let id = AccountId::new(self.clock.now());
        let body = Body::OpenAccount { id, livemode, name: "test".to_owned(), role };
        self.submit(format!("open:{id}"), body).await.unwrap();
        id
    }

    pub fn merchant(&self) -> &Merchant {
        &self.main
    }

    /// Top-ups as another file has them, over the same books.
    pub fn reconfigured(&self, description: &str, notify_url: &str) -> TopUps {
        let mut merchant = merchant(&self.far, &self.clock, Livemode::Demo);
        merchant.v3.as_mut().unwrap().callbacks = callbacks(notify_url);
        let merchants = Arc::new(Merchants::new([merchant]));
        topups(&self.store, &merchants, description, &self.clock, &self.reports, 400)
    }

    /// Top-ups of whom an account may have so many unpaid ones.
    pub fn allowing(&self, open_max: u32) -> TopUps {
        topups(&self.store, &self.merchants, "top-up", &self.clock, &self.reports, open_max)
    }

    /// An order that WeChat Pay knows, as the row says.
    pub async fn order(&self, account: AccountId, amount: Fen, kind: OrderKind) -> Order {
        let id = OrderId::new(self.clock.now());
        let new = NewOrder {
            expires_at: self.clock.now().after(std::time::Duration::from_secs(900)),
            ..new_order(id, account, amount, kind)
        };
        self.submit(format!("order:{id}"), Body::CreateOrder(new)).await.unwrap();
        let prepaid = Body::OrderPrepaid {
            order: id,
            prepay: payments::ledger::Prepay::Code("weixin://x".to_owned()),
            request_id: None,
        };
        self.submit("step", prepaid).await.unwrap();
        self.store.order(id).await.unwrap().unwrap()
    }

    pub async fn paid(&self, trade: Trade, event: Option<&str>) -> PaidNews {
        let event = event.map(str::to_owned);
        self.topups.paid(self.merchant(), trade, CreditSource::Notify, event).await.unwrap()
    }

    /// A paid order for yuan; the far side knows it as paid.
    pub async fn pay(&self, account: AccountId, amount: i64) -> Order {
        self.pay_for(account, amount, OrderKind::Wallet).await
    }

    pub async fn pay_for(&self, account: AccountId, amount: i64, kind: OrderKind) -> Order {
        let order = self.order(account, fen(amount), kind).await;
        let number = format!("T{}", order.id.bare());
        self.far.knows_paid(&order, &number);
        let news = self.paid(trade_of(&order, &number, self.clock.now()), None).await;
        let PaidNews::Credited(order) = news else { panic!("{news:?}") };
        *order
    }

    /// A call of at most `bound`.
    pub fn call(&self, account: AccountId, bound: Usage) -> HoldRequest {
        let now = self.clock.now();
        HoldRequest {
            id: RequestId::new(now),
            account,
            key: KeyId::new(now),
            money_only: false,
            livemode: Livemode::Demo,
            model: MODEL.to_owned(),
            quote: quote(flat(RATE)),
            bound,
            most: bound,
        }
    }

    pub async fn wallet(&self, account: AccountId, asset: &Asset) -> Wallet {
        let balances = self.store.balances(account).await.unwrap();
        let found = balances.into_iter().find(|balance| balance.wallet.asset == *asset);
        found.map_or(Wallet::empty(account, asset.clone()), |balance| balance.wallet)
    }

    /// Everything is written; the books hold, and memory knows neither more nor less than they do.
    pub async fn assert_sound(&self) {
        self.store.flushed().await.unwrap();
        assert_eq!(self.store.verify().await.unwrap().0, Vec::<String>::new());
        for account in self.store.accounts(None).await.unwrap() {
            for balance in self.store.balances(account.id).await.unwrap() {
                for lot in &balance.lots {
                    assert!(lot.adds_up(), "{lot:?}");
                }
                let wallet = balance.wallet;
                // What other nodes write, memory learns when it next commits something itself.
                if self.store.is_shared() {
                    continue;
                }
                if let Some(known) = self.admission.available(account.id, &wallet.asset) {
                    assert_eq!(known, wallet.available(), "what memory knows of {wallet:?}");
                }
            }
        }
    }
}

/// A receipt that says nothing.
pub fn receipt(id: RequestId, account: AccountId) -> Receipt {
    Receipt { id, account, at: START, body: "{}".to_owned() }
}
