//! How a bill of API v3 is fetched: a signed link, and a file that nobody signs.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use payments::{
    channel::{
        ChannelError, VerifyError,
        wechat::{
            BillRows, FundAccount,
            v3::{BillKind, BillWish, Channel},
        },
    },
    transport::{AnswerBounds, Sending, Transport},
};

use super::{
    FarSide, NOW, Stopped, folder, name,
    v3::{check_signature, credentials},
    vectors,
};

/// A far side that answers in turn.
#[derive(Debug)]
struct InTurn {
    answers: Mutex<VecDeque<Response<Bytes>>>,
    asked: Mutex<Vec<Request<Bytes>>>,
}

impl Transport for InTurn {
    fn send(&self, request: Request<Bytes>) -> Sending {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().expect("asked once more than expected");
        Box::pin(async move { Ok(answer) })
    }
}

fn answering(answers: impl IntoIterator<Item = Response<Bytes>>) -> (Arc<InTurn>, Channel) {
    let far =
        Arc::new(InTurn { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() });
    let base = "https://api.mch.weixin.qq.com".to_owned();
    let channel = Channel::new(base, credentials(), far.clone(), Arc::new(Stopped(NOW)));
    (far, channel)
}

fn link() -> Response<Bytes> {
    let recorded = vectors("v3_answers.json");
    FarSide::recorded(recorded.iter().find(|vector| name(vector) == "tradebill_link").unwrap()).answer.clone()
}

fn file(name: &str) -> Response<Bytes> {
    Response::new(std::fs::read(folder("bills").join(name)).unwrap().into())
}

fn error(status: u16, code: &str) -> Response<Bytes> {
    let body = format!(r#"{{"code":"{code}","message":""}}"#);
    Response::builder().status(status).body(body.into()).unwrap()
}

fn wish() -> BillWish {
    let kind = BillKind::Trade(Some(BillRows::All));
    BillWish { day: jiff::civil::date(2025, 10, 8), kind, gzip: true }
}

const PLAIN: &str = "v3_trade_bill_ALL_20251008.csv";
const PACKED: &str = "v3_trade_bill_ALL_20251008.csv.gz";

#[tokio::test]
async fn a_bill_is_fetched_from_where_the_link_leads_and_unpacked() {
    for sent in [PLAIN, PACKED] {
        let (far, channel) = answering([link(), file(sent)]);
        assert_eq!(channel.bill(&wish()).await.unwrap(), *file(PLAIN).body(), "{sent}");
        let asked = far.asked.lock().unwrap();
        asked.iter().for_each(check_signature);
        let at = asked[1].uri();
        assert_eq!((at.host(), at.path()), (Some("api.mch.weixin.qq.com"), "/v3/billdownload/file"));
        assert!(at.query().is_some_and(|query| query.starts_with("token=")));
        let bounds = |request: &Request<Bytes>| request.extensions().get::<AnswerBounds>().is_some();
        assert_eq!(asked.iter().map(bounds).collect::<Vec<_>>(), [false, true], "only the file is large");
    }
}

#[tokio::test]
async fn a_link_that_led_nowhere_is_asked_for_once_more() {
    let (_, channel) = answering([link(), error(404, "RESOURCE_NOT_EXISTS"), link(), file(PACKED)]);
    assert_eq!(channel.bill(&wish()).await.unwrap(), *file(PLAIN).body());
}

#[tokio::test]
async fn a_file_that_is_not_what_the_link_promised_is_refused() {
    let other = "v3_trade_bill_SUCCESS_20251008.csv";
    let (_, channel) = answering([link(), file(other), link(), file(other)]);
    let refused = channel.bill(&wish()).await.unwrap_err();
    assert!(
        matches!(refused, ChannelError::Unverified { why: VerifyError::BadSignature { .. }, .. }),
        "{refused:?}"
    );
    let cut = || Response::new(file(PACKED).into_body().slice(..400));
    let (_, channel) = answering([link(), cut(), link(), cut()]);
    let refused = channel.bill(&wish()).await.unwrap_err();
    assert!(matches!(refused, ChannelError::Malformed { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_day_without_a_bill_is_told_from_one_whose_bill_is_not_ready() {
    for (status, code, wanted) in [
        (400, "NO_STATEMENT_EXIST", "nothing"),
        (400, "STATEMENT_CREATING", "later"),
        // A door that is not there must not pass for a day without trade.
        (404, "RESOURCE_NOT_EXISTS", "?"),
    ] {
        let (_, channel) = answering([error(status, code)]);
        let seen = match channel.bill(&wish()).await {
            Err(ChannelError::NotFound { .. }) => "nothing",
            Err(ChannelError::Busy { .. }) => "later",
            Err(ChannelError::Unclear { .. }) => "?",
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, wanted, "{code}");
    }
}

#[tokio::test]
async fn each_bill_has_its_address() {
    for (kind, gzip, path) in [
        (BillKind::Trade(None), false, "/v3/bill/tradebill?bill_date=2025-10-08"),
        (
            BillKind::FundFlow(Some(FundAccount::Basic)),
            true,
            "/v3/bill/fundflowbill?bill_date=2025-10-08&account_type=BASIC&tar_type=GZIP",
        ),
        (BillKind::FundFlow(None), false, "/v3/bill/fundflowbill?bill_date=2025-10-08"),
    ] {
        let (far, channel) = answering([link()]);
        channel.bill_link(&BillWish { kind, gzip, ..wish() }).await.unwrap();
        assert_eq!(far.asked.lock().unwrap()[0].uri().path_and_query().unwrap().as_str(), path);
    }
}
