//! The bill of a merchant that speaks API v2 only: the answer is the bill.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use payments::{
    channel::wechat::v2::{ApiV2Key, Channel, Transports},
    ledger::{BillSource, PayApi, PaySign},
    reconcile::{FeeTiers, Reconciler, RunError, RunWish},
    topup::{BonusRungs, Callbacks, Merchant, Merchants, OverV2, TopUpSettings, TopUps},
    transport::{AnswerBounds, Sending, Transport},
};
use units::{Clock, Livemode};

use super::{Told, date, person};
use crate::support::{APPID, MCHID, World, fen};

/// Answers with the recorded bills of a day, or with a message.
#[derive(Debug)]
struct Recorded(Option<&'static str>);

/// SHA-1 of the recorded fund flow bill, as its manifest has it.
const DIGEST: &str = "SHA=3cb7f1c3819b81b58fcc2df1ffbdd859d7f0ac6a";

impl Transport for Recorded {
    fn send(&self, request: Request<Bytes>) -> Sending {
        assert!(request.extensions().get::<AnswerBounds>().is_some(), "a bill is larger than other answers");
        let bills = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/books/bills");
        let file = |name: &str| Bytes::from(std::fs::read(bills.join(name)).unwrap());
        let answer = match (self.0, request.uri().path()) {
            (Some(message), _) => Response::new(Bytes::from(message)),
            (None, "/pay/downloadbill") => Response::new(file("v2_trade_bill_ALL_20251008.csv")),
            (None, "/pay/downloadfundflow") => {
                let bill = file("v2_fund_flow_Basic_20251008.csv");
                Response::builder().header("Digest", DIGEST).body(bill).unwrap()
            }
            other => panic!("{other:?}"),
        };
        Box::pin(async move { Ok(answer) })
    }
}

fn reconciler(world: &World, transport: Recorded, certificate: bool) -> Reconciler {
    let transport: Arc<dyn Transport> = Arc::new(transport);
    let transports =
        Transports { plain: transport.clone(), with_certificate: certificate.then_some(transport) };
    let key = ApiV2Key::new("test0v2key0for0vectors0only00001".to_owned()).unwrap();
    let clock: Arc<dyn Clock> = world.clock.clone();
    let channel = Channel::new("https://far.invalid", MCHID.to_owned(), key, transports, clock.clone());
    let nowhere = || "https://near.invalid/pay".to_owned();
    let callbacks = Callbacks { notify_url: nowhere(), refund_notify_url: nowhere() };
    let merchant = |name: &str, channel| Merchant {
        name: name.to_owned(),
        livemode: Livemode::Demo,
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        mini_program_appid: None,
        mini_program_page: None,
        api: PayApi::V2,
        v3: None,
        v2: channel,
        off: None,
    };
    let v2 = OverV2 { channel, sign_type: PaySign::HmacSha256, callbacks };
    // Two merchants of one number have one bill.
    let merchants = [merchant("main", Some(v2)), merchant("other", None)];
    let settings = TopUpSettings {
        bonus: BonusRungs::default(),
        min: fen(1),
        max: fen(1_000_000),
        expires: std::time::Duration::from_secs(900),
        description: "top-up".to_owned(),
        open_max: 10,
        needs_device: false,
    };
    let merchants = Arc::new(Merchants::new(merchants));
    let topups = TopUps::new(world.store.clone(), merchants, settings, clock.clone(), world.reports.clone());
    Reconciler::new(world.store.clone(), topups, FeeTiers::default(), clock, Arc::new(Told::default()))
}

fn wish() -> RunWish {
    let by = person("ann");
    RunWish { mchid: MCHID.to_owned(), date: date("2025-10-08"), files: Vec::new(), by }
}

#[tokio::test]
async fn the_bill_comes_by_api_v2_and_once_for_a_number() {
    let world = World::new();
    world.clock.move_to(date("2025-10-08").ready().unwrap());
    let reconciler = reconciler(&world, Recorded(None), true);
    assert_eq!(reconciler.merchant_numbers(), [MCHID]);
    assert_eq!(reconciler.number_of("other").as_deref(), Some(MCHID));
    let report = reconciler.run(&wish(), &|_| {}).await.unwrap();
    let sums = &report.day.sums;
    assert_eq!((report.day.source, sums.rows, sums.movements), (Some(BillSource::Fetched), 12, Some(12)));
    assert_eq!((sums.paid, sums.payments_matched), (fen(172_457), 0));
    assert!(report.day.open > 0, "nobody here knows these payments");
    let fees = world.store.trial_balance().await.unwrap();
    assert!(!fees.iter().any(|line| line.book == "wx:fee"), "fees of others are not ours: {fees:?}");
    world.assert_sound().await;
}

#[tokio::test]
async fn without_the_certificate_only_the_trade_bill_is_compared() {
    let world = World::new();
    world.clock.move_to(date("2025-10-08").ready().unwrap());
    let report = reconciler(&world, Recorded(None), false).run(&wish(), &|_| {}).await.unwrap();
    assert_eq!((report.day.sums.rows, report.day.sums.movements), (12, None));
}

#[tokio::test]
async fn a_message_instead_of_a_bill_is_a_day_without_trade_or_one_to_wait_for() {
    let world = World::new();
    world.clock.move_to(date("2025-10-08").ready().unwrap());
    let says = |text: &'static str| reconciler(&world, Recorded(Some(text)), true);
    let creating = "<xml><return_code>FAIL</return_code><return_msg>Bill Creating</return_msg></xml>";
    let error = says(creating).run(&wish(), &|_| {}).await.unwrap_err();
    assert!(matches!(error, RunError::NotReady(_)) && error.is_temporary(), "{error:?}");
    let none = "<xml><return_code>FAIL</return_code><return_msg>No Bill Exist</return_msg>\
                <error_code>20002</error_code></xml>";
    let report = says(none).run(&wish(), &|_| {}).await.unwrap();
    assert_eq!((report.day.source, report.day.open), (Some(BillSource::NoTrade), 0));
}
