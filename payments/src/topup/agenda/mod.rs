//! Which orders is WeChat Pay asked about next, and when? Told the time and what the books say; asks nobody itself.

mod quota;
mod round;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use units::{OrderId, Timestamp};

pub(super) use self::round::ends_at;
use self::{quota::Quota, round::Round};
use crate::ledger::Order;

/// A page asks every few seconds: one that has not asked for so long is closed.
const PAGE_LIVES: Duration = Duration::from_secs(15);
/// Queries of one merchant under way at once: one that hangs keeps nobody else waiting.
const AT_ONCE_MAX: usize = 64;
/// Where a merchant's minute is full, it is tried again after this.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// "I have paid" is believed so often, however often it is said.
const CLAIMS_APART: Duration = Duration::from_secs(1);

/// Everything that is awaited and what was asked lately. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Agenda(Arc<Mutex<Awaited>>);

#[derive(Debug, Default)]
struct Awaited {
    orders: HashMap<OrderId, Entry>,
    /// By merchant number: what its orders share.
    merchants: HashMap<String, Shared>,
    /// How many nodes ask.
    nodes: u64,
}

/// What the orders of one merchant number share.
#[derive(Debug, Default)]
struct Shared {
    quota: Quota,
    /// By when they are due: those somebody waits for ...
    urgent: BTreeSet<(Timestamp, OrderId)>,
    /// ... and the others.
    usual: BTreeSet<(Timestamp, OrderId)>,
    asking: usize,
    asking_urgent: usize,
}

/// One order that is not paid yet, as far as asking goes.
#[derive(Debug)]
struct Entry {
    mchid: String,
    round: Round,
    ends_at: Timestamp,
    /// Its payer says to have paid, or was lent something on it.
    waits: bool,
    /// Until when somebody counts as looking at its page.
    live_until: Timestamp,
    /// It is for this node to ask; another's are asked for only while somebody looks at them here.
    ours: bool,
    place: Place,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nowhere yet.
    New,
    /// In its merchant's line of this urgency, due then.
    Line { urgent: bool, due: Timestamp },
    /// It is being asked for, out of this line.
    Asking { urgent: bool },
}

impl Entry {
    fn is_urgent(&self, now: Timestamp) -> bool {
        self.waits || self.live_until > now
    }

    fn hears(&mut self, order: &Order, lent: bool) {
        self.ends_at = ends_at(order);
        self.waits |= lent || order.timeline.iter().any(|step| step.event == "claimed");
    }
}

/// Whose turn it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// These, now; each counts as being asked for until [`Agenda::answered`] says otherwise.
    pub(super) orders: Vec<OrderId>,
    /// When there may be another turn.
    pub(super) next: Option<Timestamp>,
    /// How long the one has been due that has waited longest because its merchant's minute is full.
    pub(super) behind: Duration,
}

impl Agenda {
    fn awaited(&self) -> MutexGuard<'_, Awaited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An order of this process is awaited, or has changed.
    pub(super) fn learn(&self, order: &Order, now: Timestamp) {
        self.awaited().change(order, now, |entry| {
            entry.ours = true;
            entry.hears(order, false);
        });
    }

    /// All that the books say is awaited: `lent` are the orders something was lent on, `runs` the nodes that share them, of
    /// which this is `own`.
    pub(super) fn learn_all(
        &self,
        orders: &[Order],
        lent: &HashSet<OrderId>,
        (runs, own): (&[i64], i64),
        now: Timestamp,
    ) {
        let mut awaited = self.awaited();
        awaited.nodes = u64::try_from(runs.len()).unwrap_or(1);
        for order in orders {
            let ours = is_asked_by(own, order.id, runs);
            if ours || awaited.orders.contains_key(&order.id) {
                awaited.change(order, now, |entry| {
                    entry.ours = ours;
                    entry.hears(order, lent.contains(&order.id));
                });
            }
        }
    }

    /// Somebody looks at an order and waits for its payment. True if nobody did before.
    pub(super) fn seen(&self, order: &Order, now: Timestamp) -> bool {
        let mut news = false;
        self.awaited().change(order, now, |entry| {
            news = entry.live_until <= now;
            entry.live_until = now.after(PAGE_LIVES);
        });
        news
    }

    /// The payer waits for an answer: it is asked for as often as a page that is looked at, until it ends.
    pub(super) fn waits(&self, order: &Order, now: Timestamp) {
        self.awaited().change(order, now, |entry| entry.waits = true);
    }

    /// Whether an order may be asked for right now, which then is its turn: not where it was a moment ago, or is being asked
    /// for, or its merchant's minute is full.
    pub(super) fn may_ask(&self, order: &Order, now: Timestamp) -> bool {
        let mut awaited = self.awaited();
        awaited.change(order, now, |_| {});
        let nodes = awaited.nodes;
        let Awaited { orders, merchants, .. } = &mut *awaited;
        let (Some(entry), Some(merchant)) = (orders.get_mut(&order.id), merchants.get_mut(&order.mchid))
        else {
            return false;
        };
        let just_asked = entry.round.last().is_some_and(|last| now.since(last) < CLAIMS_APART);
        let is_free = !matches!(entry.place, Place::Asking { .. }) && !just_asked;
        is_free && merchant.quota.take(nodes, 0, now) && {
            merchant.begin(order.id, entry, now);
            true
        }
    }

    /// What was asked for is answered; `over` if it is awaited no more.
    pub(super) fn answered(&self, order: OrderId, over: bool, now: Timestamp) {
        let mut awaited = self.awaited();
        let Awaited { orders, merchants, .. } = &mut *awaited;
        let Some(entry) = orders.get_mut(&order) else { return };
        if let (Place::Asking { urgent }, Some(merchant)) = (entry.place, merchants.get_mut(&entry.mchid)) {
            merchant.asking = merchant.asking.saturating_sub(1);
            merchant.asking_urgent = merchant.asking_urgent.saturating_sub(usize::from(urgent));
            entry.place = Place::New;
        }
        if over {
            awaited.forget(order);
        } else {
            awaited.line_up(order, now);
        }
    }

    /// Whose turn it is at `now`: first those somebody waits for, and of them who has waited longest.
    pub(super) fn turns(&self, now: Timestamp) -> Turns {
        self.awaited().turns(now)
    }
}

impl Awaited {
    /// Changes what is known of an order, and has it stand where that belongs.
    fn change(&mut self, order: &Order, now: Timestamp, change: impl FnOnce(&mut Entry)) {
        let entry = self.orders.entry(order.id).or_insert_with(|| Entry {
            mchid: order.mchid.clone(),
            round: Round::first(order.created_at),
            ends_at: ends_at(order),
            waits: false,
            live_until: Timestamp(i64::MIN),
            ours: false,
            place: Place::New,
        });
        change(entry);
        self.line_up(order.id, now);
    }

    fn line_up(&mut self, id: OrderId, now: Timestamp) {
        let Some(entry) = self.orders.get_mut(&id) else { return };
        let urgent = entry.is_urgent(now);
        if !urgent && !entry.ours && !matches!(entry.place, Place::Asking { .. }) {
            self.forget(id);
            return;
        }
        let merchant = self.merchants.entry(entry.mchid.clone()).or_default();
        match entry.place {
            Place::Asking { .. } => return,
            Place::Line { urgent, due } => drop(merchant.line(urgent).remove(&(due, id))),
            Place::New => {}
        }
        let due = entry.round.due(urgent, entry.ends_at);
        merchant.line(urgent).insert((due, id));
        entry.place = Place::Line { urgent, due };
    }

    fn forget(&mut self, id: OrderId) {
        let Some(entry) = self.orders.remove(&id) else { return };
        let merchant = self.merchants.get_mut(&entry.mchid);
        if let (Place::Line { urgent, due }, Some(merchant)) = (entry.place, merchant) {
            merchant.line(urgent).remove(&(due, id));
        }
    }

    fn turns(&mut self, now: Timestamp) -> Turns {
        let mut turns = Turns::default();
        let mchids: Vec<String> = self.merchants.keys().cloned().collect();
        for mchid in mchids {
            self.turns_of(&mchid, true, now, &mut turns);
            self.turns_of(&mchid, false, now, &mut turns);
        }
        turns
    }

    /// The turns of a merchant's line.
    fn turns_of(&mut self, mchid: &str, urgent: bool, now: Timestamp, turns: &mut Turns) {
        let nodes = self.nodes;
        while let Some(merchant) = self.merchants.get_mut(mchid)
            && let Some((due, id)) = merchant.line(urgent).first().copied()
        {
            if due > now {
                turns.at_latest(due);
                return;
            }
            // Whoever is answered makes room, and the turns are seen again.
            if merchant.asking >= AT_ONCE_MAX {
                return;
            }
            let Some(entry) = self.orders.get_mut(&id) else {
                merchant.line(urgent).remove(&(due, id));
                continue;
            };
            if urgent && !entry.is_urgent(now) {
                // Nobody looks at it any more.
                self.line_up(id, now);
                continue;
            }
            let kept = if urgent { 0 } else { merchant.urgent.len() + merchant.asking_urgent };
            if !merchant.quota.take(nodes, u64::try_from(kept).unwrap_or(u64::MAX), now) {
                turns.behind = turns.behind.max(now.since(due));
                turns.at_latest(now.after(FULL_PAUSE));
                return;
            }
            merchant.begin(id, entry, now);
            turns.orders.push(id);
        }
    }
}

impl Shared {
    const fn line(&mut self, urgent: bool) -> &mut BTreeSet<(Timestamp, OrderId)> {
        if urgent { &mut self.urgent } else { &mut self.usual }
    }

    /// An order is asked for from `now` on.
    fn begin(&mut self, id: OrderId, entry: &mut Entry, now: Timestamp) {
        if let Place::Line { urgent, due } = entry.place {
            self.line(urgent).remove(&(due, id));
        }
        let urgent = entry.is_urgent(now);
        self.asking += 1;
        self.asking_urgent += usize::from(urgent);
        entry.place = Place::Asking { urgent };
        entry.round = entry.round.asked(now);
    }
}

impl Turns {
    fn at_latest(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// Which of several nodes asks for an order: each reckons the same from the same list, and where one comes or goes, only its
/// own orders change hands (rendezvous hashing). Two that know of different lists for a moment ask both, which is harmless.
fn is_asked_by(own: i64, order: OrderId, runs: &[i64]) -> bool {
    let weight = |run: i64| {
        let said = [&run.to_be_bytes()[..], order.to_string().as_bytes()].concat();
        digest(&SHA256, &said).as_ref().to_vec()
    };
    let ours = weight(own);
    runs.iter().all(|run| *run == own || weight(*run) < ours)
}

#[cfg(test)]
mod tests;
