//! The rows a batch of commands works on: named before, loaded by the store, changed here, written back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use units::{AccountId, KeyId, OrderId, RefundBatchId, RefundId, RequestId, Timestamp};

use super::{
    Account, ApiKey, Asset, BillDay, BillDifference, Budget, BudgetPeriod, CreditCode, Entry, FxPair, FxRate,
    Gate, Grant, GrantStanding, Hold, Lot, LotClass, Notice, Order, Package, PriceAssignment, PriceList,
    PriceVersion, RefundBatch, RefundItem, SuspensePayment, TokenTerms, Wallet,
    order::{bonus_lot, paid_lot},
};

/// Which rows a batch of commands names. Sorted, so that a store that locks does so in one order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Accounts.
    pub accounts: BTreeSet<AccountId>,
    /// Keys.
    pub keys: BTreeSet<KeyId>,
    /// Digests: which key has each, if any.
    pub digests: BTreeSet<String>,
    /// Balances; true where the lots with something left in them are needed as well.
    pub wallets: BTreeMap<(AccountId, Asset), bool>,
    /// Holds.
    pub holds: BTreeSet<RequestId>,
    /// Orders, each with the temporary grant on it. The lots they filled stand in `lots`.
    pub orders: BTreeSet<OrderId>,
    /// Accounts with their orders that are not paid yet.
    pub awaited: BTreeSet<AccountId>,
    /// Requests to refund, each with its items and their lots.
    pub batches: BTreeSet<RefundBatchId>,
    /// What keeps orders from being made, by name.
    pub gates: BTreeSet<String>,
    /// Notifications, by event id.
    pub notices: BTreeSet<String>,
    /// WeChat Pay's payment numbers: which order has each, if any.
    pub transactions: BTreeSet<String>,
    /// Terms of token balances.
    pub terms: BTreeSet<String>,
    /// Lots, by id: those that may have nothing left in them.
    pub lots: BTreeSet<String>,
    /// Accounts with the bonuses that came with their payments in yuan, used up ones included.
    pub tied: BTreeSet<AccountId>,
    /// Accounts with every balance and every lot there ever was.
    pub whole: BTreeSet<AccountId>,
    /// Credit codes, by digest.
    pub codes: BTreeSet<String>,
    /// Versions of packages.
    pub packages: BTreeSet<(String, i64)>,
    /// Payments that were put aside, by WeChat Pay's number.
    pub suspense: BTreeSet<String>,
    /// Whose budgets, of every period: a key's, or the account's own.
    pub budgets: BTreeSet<(AccountId, Option<KeyId>)>,
    /// What accounts' grants so far say about the next.
    pub standings: BTreeSet<AccountId>,
    /// Price lists, without their versions.
    pub price_lists: BTreeSet<String>,
    /// Accounts whose price list is asked for.
    pub price_assignments: BTreeSet<AccountId>,
    /// Pairs of currencies, without their history.
    pub fx_pairs: BTreeSet<String>,
    /// Days of merchant numbers, each with what did not agree.
    pub bill_days: BTreeSet<(String, String)>,
}

impl Needs {
    pub(super) fn account(&mut self, id: AccountId) {
        self.accounts.insert(id);
    }

    pub(super) fn key(&mut self, id: KeyId) {
        self.keys.insert(id);
    }

    /// The balance with its lots.
    pub(super) fn wallet(&mut self, account: AccountId, asset: &Asset) {
        self.accounts.insert(account);
        self.wallets.insert((account, asset.clone()), true);
    }

    /// The balance alone: enough where lots are not touched.
    pub(super) fn balance(&mut self, account: AccountId, asset: &Asset) {
        self.wallets.entry((account, asset.clone())).or_insert(false);
    }

    pub(super) fn hold(&mut self, id: RequestId) {
        self.holds.insert(id);
    }

    /// The order with what it filled, what was lent on it and the key that came with it.
    pub(super) fn order(&mut self, id: OrderId) {
        self.orders.insert(id);
        self.keys.insert(KeyId::of_order(id));
        self.lots.extend([paid_lot(id), bonus_lot(id), Grant::lot(id)]);
    }

    /// The balance, the yuan beside it that a payment for tokens moves, and what is known of the payer.
    pub(super) fn payment(&mut self, account: AccountId, asset: &Asset) {
        self.balance(account, &Asset::Cny);
        self.wallet(account, asset);
        self.terms_of(asset);
        self.standings.insert(account);
    }

    /// What the tokens of a balance pay for.
    pub(super) fn terms_of(&mut self, asset: &Asset) {
        if let Asset::Tokens(id) = asset {
            self.terms.insert(id.clone());
        }
    }

    /// The budgets that a call with this key counts against.
    pub(super) fn budgets(&mut self, account: AccountId, key: KeyId) {
        self.budgets.extend([(account, None), (account, Some(key))]);
    }

    pub(super) fn batch(&mut self, id: RefundBatchId) {
        self.batches.insert(id);
    }

    pub(super) fn bill_day(&mut self, mchid: &str, day: &str) {
        self.bill_days.insert((mchid.to_owned(), day.to_owned()));
    }

    pub(super) fn price_list(&mut self, name: &str) {
        self.price_lists.insert(name.to_owned());
    }

    pub(super) fn notice(&mut self, id: Option<&str>) {
        self.notices.extend(id.map(str::to_owned));
    }
}

/// One row as it shall stand, one more line of the journal, or a rate that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the row it carries")]
pub enum RowOp {
    Account(Account),
    Key(ApiKey),
    Wallet(Wallet),
    /// A balance of which no more changes than what is held of it: its holds say so, and no row is written.
    Held(Wallet),
    Lot(Lot),
    Hold(Box<Hold>),
    Order(Box<Order>),
    Notice(Notice),
    Gate(Box<Gate>),
    Batch(RefundBatch),
    Item(RefundItem),
    Entry(Entry),
    PriceList(PriceList),
    PriceVersion(PriceVersion),
    PriceAssignment(PriceAssignment),
    FxPair(Box<FxPair>),
    FxRate(FxRate),
    FxGone {
        pair: String,
        number: i64,
    },
    Terms(TokenTerms),
    Budget(Box<Budget>),
    Grant(Grant),
    Standing(GrantStanding),
    Code(CreditCode),
    Package(Package),
    Suspense(SuspensePayment),
    BillDay(Box<BillDay>),
    Difference(Box<BillDifference>),
}

/// The rows in memory: what was loaded, with the batch's changes on top.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rows {
    pub(crate) accounts: HashMap<AccountId, Account>,
    pub(crate) keys: HashMap<KeyId, ApiKey>,
    pub(crate) wallets: HashMap<(AccountId, Asset), Wallet>,
    /// Every lot a decision may touch, by id; sorted, so that equal batches make equal rows.
    pub(crate) lots: BTreeMap<String, Lot>,
    /// The lots of each balance, by id.
    lots_of: HashMap<(AccountId, Asset), BTreeSet<String>>,
    /// Balances that were looked up, found or not; true with all their live lots.
    known: HashMap<(AccountId, Asset), bool>,
    touched: Touched,
    pub(crate) holds: HashMap<RequestId, Hold>,
    pub(crate) orders: HashMap<OrderId, Order>,
    pub(crate) notices: HashMap<String, Notice>,
    pub(crate) gates: BTreeMap<String, Gate>,
    /// Which order a payment belongs to.
    pub(crate) transactions: HashMap<String, OrderId>,
    pub(crate) batches: HashMap<RefundBatchId, RefundBatch>,
    pub(crate) items: BTreeMap<RefundId, RefundItem>,
    pub(crate) terms: HashMap<String, TokenTerms>,
    pub(crate) budgets: BTreeMap<(AccountId, Option<KeyId>, BudgetPeriod), Budget>,
    /// Whose budgets were looked up, found or not.
    known_budgets: HashSet<(AccountId, Option<KeyId>)>,
    pub(crate) grants: HashMap<OrderId, Grant>,
    pub(crate) standings: HashMap<AccountId, GrantStanding>,
    pub(crate) codes: HashMap<String, CreditCode>,
    pub(crate) packages: BTreeMap<(String, i64), Package>,
    pub(crate) suspense: BTreeMap<String, SuspensePayment>,
    pub(crate) price_lists: HashMap<String, PriceList>,
    pub(crate) price_assignments: HashMap<AccountId, PriceAssignment>,
    pub(crate) fx_pairs: HashMap<String, FxPair>,
    pub(crate) bill_days: BTreeMap<(String, String), BillDay>,
    pub(crate) differences: BTreeMap<String, BillDifference>,
}

/// Which lots and holds changed since [`Rows::keep_hot`] last looked, so that it need not look at all of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Touched {
    watched: bool,
    lots: Vec<String>,
    holds: Vec<RequestId>,
}

impl Rows {
    /// Rows to be kept between batches: see [`Rows::keep_hot`].
    pub(crate) fn kept() -> Self {
        Self { touched: Touched { watched: true, ..Touched::default() }, ..Self::default() }
    }

    /// Takes a row in, as loaded or as decided. Journal lines, versions of price lists and the history of rates are
    /// never read back by a decision.
    pub fn put(&mut self, op: &RowOp) {
        match op {
            RowOp::Account(row) => drop(self.accounts.insert(row.id, row.clone())),
            RowOp::Key(row) => drop(self.keys.insert(row.id, row.clone())),
            RowOp::Wallet(row) | RowOp::Held(row) => {
                drop(self.wallets.insert((row.account, row.asset.clone()), row.clone()))
            }
            RowOp::Lot(row) => {
                if self.touched.watched {
                    self.touched.lots.push(row.id.clone());
                }
                if self.lots.insert(row.id.clone(), row.clone()).is_none() {
                    let balance = (row.account, row.asset.clone());
                    self.lots_of.entry(balance).or_default().insert(row.id.clone());
                }
            }
            RowOp::Hold(row) => {
                if self.touched.watched {
                    self.touched.holds.push(row.id);
                }
                self.holds.insert(row.id, (**row).clone());
            }
            RowOp::Order(row) => {
                self.transactions.extend(row.transaction_id.clone().map(|number| (number, row.id)));
                self.orders.insert(row.id, (**row).clone());
            }
            RowOp::Notice(row) => drop(self.notices.insert(row.id.clone(), row.clone())),
            RowOp::Gate(row) => drop(self.gates.insert(Gate::name(row.scope, &row.id), (**row).clone())),
            RowOp::Batch(row) => drop(self.batches.insert(row.id, row.clone())),
            RowOp::Item(row) => drop(self.items.insert(row.id, row.clone())),
            RowOp::Terms(row) => drop(self.terms.insert(row.id.clone(), row.clone())),
            RowOp::Budget(row) => {
                self.budgets.insert((row.account, row.key, row.period), (**row).clone());
            }
            RowOp::Grant(row) => drop(self.grants.insert(row.order, row.clone())),
            RowOp::Standing(row) => drop(self.standings.insert(row.account, row.clone())),
            RowOp::Code(row) => drop(self.codes.insert(row.terms.digest.clone(), row.clone())),
            RowOp::Package(row) => {
                drop(self.packages.insert((row.offer.id.clone(), row.offer.version), row.clone()));
            }
            RowOp::Suspense(row) => drop(self.suspense.insert(row.transaction_id.clone(), row.clone())),
            RowOp::PriceList(row) => drop(self.price_lists.insert(row.name.clone(), row.clone())),
            RowOp::PriceAssignment(row) => drop(self.price_assignments.insert(row.account, row.clone())),
            RowOp::FxPair(row) => drop(self.fx_pairs.insert(row.pair.clone(), (**row).clone())),
            RowOp::BillDay(row) => {
                drop(self.bill_days.insert((row.mchid.clone(), row.day.clone()), (**row).clone()));
            }
            RowOp::Difference(row) => drop(self.differences.insert(row.id.clone(), (**row).clone())),
            RowOp::Entry(_) | RowOp::PriceVersion(_) | RowOp::FxRate(_) | RowOp::FxGone { .. } => {}
        }
    }

    /// The account, if it exists.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// The balance; an untouched one where there is none yet.
    pub fn wallet(&self, account: AccountId, asset: &Asset) -> Wallet {
        let found = self.wallets.get(&(account, asset.clone()));
        found.cloned().unwrap_or_else(|| Wallet::empty(account, asset.clone()))
    }

    /// The balance's row, if it has one.
    pub(crate) fn wallet_row(&self, account: AccountId, asset: &Asset) -> Option<&Wallet> {
        self.wallets.get(&(account, asset.clone()))
    }

    /// Notes that these balances were looked up, found or not.
    pub(crate) fn looked_up(&mut self, needs: &Needs) {
        for (balance, with_lots) in &needs.wallets {
            *self.known.entry(balance.clone()).or_default() |= with_lots;
        }
        self.known_budgets.extend(&needs.budgets);
    }

    /// True if this owner's budgets were looked up before.
    pub(crate) fn has_budgets(&self, owner: &(AccountId, Option<KeyId>)) -> bool {
        self.known_budgets.contains(owner)
    }

    /// True if the balance was looked up before.
    pub(crate) fn has_balance(&self, balance: &(AccountId, Asset)) -> bool {
        self.known.contains_key(balance)
    }

    /// True if the balance was looked up with its live lots.
    pub(crate) fn has_lots(&self, balance: &(AccountId, Asset)) -> bool {
        self.known.get(balance).copied().unwrap_or(false)
    }

    /// Drops what only one batch needed and keeps what the next is likely to ask for again: accounts, keys, budgets,
    /// balances, live lots and open holds; of more than `accounts_max` accounts, all but those of `recent`.
    pub(crate) fn keep_hot(&mut self, accounts_max: usize, recent: &BTreeSet<AccountId>) {
        self.grants.clear();
        self.standings.clear();
        self.orders.clear();
        self.notices.clear();
        self.gates.clear();
        self.transactions.clear();
        self.batches.clear();
        self.items.clear();
        self.codes.clear();
        self.packages.clear();
        self.suspense.clear();
        self.price_lists.clear();
        self.price_assignments.clear();
        self.fx_pairs.clear();
        self.bill_days.clear();
        self.differences.clear();
        let crowded = self.accounts.len() > accounts_max;
        let stays = |account: AccountId| !crowded || recent.contains(&account);
        if crowded {
            self.keys.retain(|_, key| stays(key.account));
            self.budgets.retain(|(id, ..), _| stays(*id));
            self.known_budgets.retain(|(id, _)| stays(*id));
            self.accounts.retain(|id, _| stays(*id));
            self.wallets.retain(|(id, _), _| stays(*id));
            self.known.retain(|(id, _), _| stays(*id));
            self.holds.retain(|_, hold| stays(hold.account));
            self.terms.clear();
            self.touched.lots = self.lots.keys().cloned().collect();
        }
        for id in std::mem::take(&mut self.touched.holds) {
            if self.holds.get(&id).is_some_and(|hold| !hold.state.is_held()) {
                self.holds.remove(&id);
            }
        }
        for id in std::mem::take(&mut self.touched.lots) {
            let Some(lot) = self.lots.get(&id) else { continue };
            let balance = (lot.account, lot.asset.clone());
            if lot.rem > 0 && self.has_lots(&balance) {
                continue;
            }
            self.lots.remove(&id);
            if let Some(ids) = self.lots_of.get_mut(&balance) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.lots_of.remove(&balance);
                }
            }
        }
    }

    /// The loaded lots of a balance, sorted by id.
    pub fn lots_of<'a>(&'a self, account: AccountId, asset: &'a Asset) -> impl Iterator<Item = &'a Lot> {
        let ids = self.lots_of.get(&(account, asset.clone()));
        ids.into_iter().flatten().filter_map(|id| self.lots.get(id))
    }

    /// The lots of the bonuses that payments of the account may have come with, as far as they are not loaded. A payment
    /// that nothing is left of may have something again by the time its bonus is asked for.
    pub(crate) fn bonuses_to_load(&self, account: AccountId) -> impl Iterator<Item = String> {
        let payments = self.lots_of(account, &Asset::Cny).filter(|lot| lot.class == LotClass::Paid);
        let bonuses = payments.filter_map(|lot| lot.order.map(bonus_lot));
        bonuses.filter(|bonus| !self.lots.contains_key(bonus))
    }

    /// The hold, if it exists.
    pub fn hold(&self, id: RequestId) -> Option<&Hold> {
        self.holds.get(&id)
    }

    /// The order, if it exists.
    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// Every loaded balance.
    pub fn wallets(&self) -> impl Iterator<Item = &Wallet> {
        self.wallets.values()
    }

    /// Every loaded lot, sorted by id.
    pub fn lots(&self) -> impl Iterator<Item = &Lot> {
        self.lots.values()
    }

    /// Every loaded hold.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// Every loaded order.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// Every loaded refund item, sorted by id.
    pub fn items(&self) -> impl Iterator<Item = &RefundItem> {
        self.items.values()
    }

    /// The terms of a kind of token balance.
    pub fn terms(&self, id: &str) -> Option<&TokenTerms> {
        self.terms.get(id)
    }

    /// The key, if it exists.
    pub fn key(&self, id: KeyId) -> Option<&ApiKey> {
        self.keys.get(&id)
    }

    /// The loaded budgets of one owner, by period.
    pub fn budgets_of(&self, account: AccountId, key: Option<KeyId>) -> impl Iterator<Item = &Budget> {
        BudgetPeriod::ALL.iter().filter_map(move |period| self.budgets.get(&(account, key, *period)))
    }

    /// Every loaded budget.
    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.values()
    }

    /// The temporary grant on an order, if there is one.
    pub fn grant(&self, order: OrderId) -> Option<&Grant> {
        self.grants.get(&order)
    }

    /// Every loaded grant.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values()
    }

    /// What an account's grants so far say about the next.
    pub fn standing(&self, account: AccountId) -> GrantStanding {
        self.standings.get(&account).cloned().unwrap_or(GrantStanding::new(account))
    }

    /// The credit code of this digest.
    pub fn code(&self, digest: &str) -> Option<&CreditCode> {
        self.codes.get(digest)
    }

    /// A version of a package.
    pub fn package(&self, id: &str, version: i64) -> Option<&Package> {
        self.packages.get(&(id.to_owned(), version))
    }

    /// A payment that was put aside.
    pub fn suspense(&self, transaction_id: &str) -> Option<&SuspensePayment> {
        self.suspense.get(transaction_id)
    }

    /// Every loaded payment that was put aside, sorted by number.
    pub fn suspended(&self) -> impl Iterator<Item = &SuspensePayment> {
        self.suspense.values()
    }

    /// Every loaded request to refund.
    pub fn batches(&self) -> impl Iterator<Item = &RefundBatch> {
        self.batches.values()
    }

    /// The loaded lot of this id.
    pub fn lot(&self, id: &str) -> Option<&Lot> {
        self.lots.get(id)
    }

    /// The price list, if it exists.
    pub fn price_list(&self, name: &str) -> Option<&PriceList> {
        self.price_lists.get(name)
    }

    /// The list an account was assigned, if it ever was.
    pub fn price_assignment(&self, account: AccountId) -> Option<&PriceAssignment> {
        self.price_assignments.get(&account)
    }

    /// A day of a merchant number, if it was ever looked at.
    pub fn bill_day(&self, mchid: &str, day: &str) -> Option<&BillDay> {
        self.bill_days.get(&(mchid.to_owned(), day.to_owned()))
    }

    /// Every loaded day, sorted by merchant number and day.
    pub fn bill_days(&self) -> impl Iterator<Item = &BillDay> {
        self.bill_days.values()
    }

    /// The loaded differences of a day, sorted by id.
    pub fn differences_of<'a>(
        &'a self,
        mchid: &'a str,
        day: &'a str,
    ) -> impl Iterator<Item = &'a BillDifference> {
        self.differences.values().filter(move |row| row.mchid == mchid && row.day == day)
    }

    /// Every loaded difference, sorted by id.
    pub fn differences(&self) -> impl Iterator<Item = &BillDifference> {
        self.differences.values()
    }

    /// What counts for a pair of currencies.
    pub fn fx_pair(&self, pair: &str) -> Option<&FxPair> {
        self.fx_pairs.get(pair)
    }

    /// The notification, if it was filed.
    pub fn notice(&self, event: &str) -> Option<&Notice> {
        self.notices.get(event)
    }

    /// How many orders of an account can still be paid at `at`, as far as they were named: also those that their customer no longer
    /// wants, until WeChat Pay has closed them.
    pub fn orders_payable(&self, account: AccountId, at: Timestamp) -> usize {
        let of = self.orders.values().filter(|order| order.account == account);
        of.filter(|order| order.is_payable(at)).count()
    }

    /// The items of a request to refund.
    pub fn items_of(&self, batch: RefundBatchId) -> impl Iterator<Item = &RefundItem> {
        self.items.values().filter(move |item| item.batch == batch)
    }
}
