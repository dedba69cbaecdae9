//! API v2: XML, signed with a shared key; some calls over mutual TLS as well.
//!
//! [`Channel`] is the client. Every answer that can be believed is signed with the key, in the way the order was made
//! with; what a failure says unsigned only steers when to ask again. The functions underneath are public, so that
//! recorded messages can be laid against each of them.

mod bill; // whether there is one, and whether it is whole
mod error; // what a failure allows
mod exchange; // one request and its answer
mod key; // what is shared
mod notice; // what we are told unasked
mod order; // what we ask a payer for
pub mod refund_hint; // which refund to ask about
mod sign; // the signature over a message's fields
mod wire; // amounts and times
pub mod xml; // the messages

use std::sync::Arc;

use bytes::Bytes;
use jiff::civil::Date;
use units::Clock;

pub use self::{
    bill::NoBill,
    key::{ApiV2Key, ApiV2KeyError},
    notice::{NoticeRefused, SUCCESS_REPLY, Signed, failure},
    order::{Terms, call_up},
    refund_hint::{HintError, RefundHint},
    sign::{SignType, sign, verify},
    xml::{Fields, XmlError},
};
use self::{error::Operation, exchange::cannot_be_written};
use super::{
    CallUp, Hosts, Nonces,
    bills::{BillRows, FundAccount},
    v3::request_sign::{SignError, nonce},
};
use crate::{
    channel::{
        Accepted, ChannelError, NewOrder, NewRefund, Prepaid, RefundReport, RefundState, Trade, TradeState,
        Way,
    },
    transport::Transport,
};

/// How requests leave.
#[derive(Debug, Clone)]
pub struct Transports {
    /// For most of them.
    pub plain: Arc<dyn Transport>,
    /// For refunds and fund flow bills: shows the merchant's certificate. Without it those are refused here.
    pub with_certificate: Option<Arc<dyn Transport>>,
}

/// One merchant's account with WeChat Pay. Sends each request once; whether to repeat it is for the caller, whom
/// [`ChannelError`] tells what is allowed.
#[derive(Debug)]
pub struct Channel {
    hosts: Hosts,
    mchid: String,
    key: ApiV2Key,
    transports: Transports,
    nonces: Nonces,
    clock: Arc<dyn Clock>,
}

impl Channel {
    /// A client of `hosts`. A base URL that is none makes every request fail as misconfigured.
    pub fn new(
        hosts: impl Into<Hosts>,
        mchid: String,
        key: ApiV2Key,
        transports: Transports,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { hosts: hosts.into(), mchid, key, transports, nonces: Nonces::default(), clock }
    }

    /// Merchant number.
    pub fn mchid(&self) -> &str {
        &self.mchid
    }

    /// Makes an order, signed as it is to keep being signed. What comes back is good for two hours (a page for five
    /// minutes) whatever the order's own expiry; repeat the call with the same order for a fresh one, which is the end
    /// of the one before.
    ///
    /// Source: WeChat Pay API v2, unified order.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn create(&self, sign_type: SignType, order: &NewOrder) -> Result<Accepted, ChannelError> {
        let terms = Terms { appid: order.appid.clone(), sign_type };
        let fields = order::fields(order).map_err(cannot_be_written)?;
        let answer = self.exchange(Operation::Create, &terms, "/pay/unifiedorder", fields).await?;
        answer.is_about("trade_type", order::trade_type(&order.way))?;
        let prepaid = match order.way {
            Way::Native => Prepaid::Code(answer.required("code_url")?.to_owned()),
            Way::InApp { .. } => Prepaid::Session(answer.required("prepay_id")?.to_owned()),
            Way::H5 => Prepaid::Page(answer.required("mweb_url")?.to_owned()),
        };
        Ok(Accepted { prepaid, request_id: answer.request_id })
    }

    /// What a page (`WeixinJSBridge`) or a Mini Program (`wx.requestPayment`) calls a payment up with. Made anew whenever
    /// it is shown: it is signed with the time.
    ///
    /// Source: WeChat Pay API v2, calling up the payment.
    ///
    /// # Errors
    /// [`SignError`] if the system has no random bytes.
    pub fn call_up(&self, terms: &Terms, prepay_id: &str) -> Result<CallUp, SignError> {
        let nonce = nonce()?;
        self.nonces.made(&nonce, format!("paySign of prepay_id={prepay_id}"), self.clock.now());
        Ok(call_up(terms, prepay_id, self.clock.now().secs(), nonce, &self.key))
    }

    /// Asks what became of an order.
    ///
    /// Source: WeChat Pay API v2, order query.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn query(&self, terms: &Terms, out_trade_no: &str) -> Result<Trade, ChannelError> {
        self.trade(terms, "out_trade_no", out_trade_no).await
    }

    /// Asks what became of a payment, by WeChat Pay's own number: an order nobody paid has none.
    ///
    /// Source: WeChat Pay API v2, order query.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn query_transaction(
        &self,
        terms: &Terms,
        transaction_id: &str,
    ) -> Result<Trade, ChannelError> {
        self.trade(terms, "transaction_id", transaction_id).await
    }

    async fn trade(&self, terms: &Terms, name: &'static str, number: &str) -> Result<Trade, ChannelError> {
        let fields = Fields::from_iter([(name, number)]);
        let answer = self.exchange(Operation::Query, terms, "/pay/orderquery", fields).await?;
        answer.is_about(name, number)?;
        let state = TradeState::from_name(answer.required("trade_state")?);
        wire::trade(&answer.fields, state).map_err(|what| answer.malformed(what))
    }

    /// Closes an unpaid order; one that is closed already counts as success. Either way it is no proof that nobody
    /// paid: query afterwards. WeChat Pay refuses it in the first five minutes after the order was made.
    ///
    /// Source: WeChat Pay API v2, close order.
    ///
    /// # Errors
    /// [`ChannelError`]; [`ChannelError::AlreadyPaid`] if the payment won the race.
    pub async fn close(&self, terms: &Terms, out_trade_no: &str) -> Result<(), ChannelError> {
        let fields = Fields::from_iter([("out_trade_no", out_trade_no)]);
        match self.exchange(Operation::Close, terms, "/pay/closeorder", fields).await {
            Ok(_) | Err(ChannelError::AlreadyClosed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks for a refund, under the merchant's certificate. Success means accepted, not arrived.
    ///
    /// Source: WeChat Pay API v2, refund application.
    ///
    /// # Errors
    /// [`ChannelError`]. After an unclear one only the same `out_refund_no` may be used again.
    pub async fn refund(&self, terms: &Terms, refund: &NewRefund) -> Result<RefundReport, ChannelError> {
        let mut fields = Fields::from_iter([
            ("transaction_id", &refund.transaction_id),
            ("out_refund_no", &refund.out_refund_no),
            ("notify_url", &refund.notify_url),
        ]);
        fields.set("refund_fee_type", "CNY");
        fields.set("total_fee", refund.total.get().to_string());
        fields.set("refund_fee", refund.refund.get().to_string());
        fields.set_some("refund_desc", refund.reason.as_deref());
        let answer = self.exchange(Operation::Refund, terms, "/secapi/pay/refund", fields).await?;
        answer.is_about("out_refund_no", &refund.out_refund_no)?;
        let text = |name| answer.fields.get(name).map(str::to_owned);
        let fen = |name| wire::optional_fen(&answer.fields, name).map_err(|what| answer.malformed(what));
        Ok(RefundReport {
            out_refund_no: refund.out_refund_no.clone(),
            refund_id: text("refund_id"),
            transaction_id: text("transaction_id"),
            out_trade_no: text("out_trade_no"),
            state: RefundState::Processing,
            refund: fen("refund_fee")?,
            total: fen("total_fee")?,
            success_time: None,
            request_id: answer.request_id,
        })
    }

    /// Asks what became of a refund.
    ///
    /// Source: WeChat Pay API v2, refund query.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn query_refund(
        &self,
        terms: &Terms,
        out_refund_no: &str,
    ) -> Result<RefundReport, ChannelError> {
        let fields = Fields::from_iter([("out_refund_no", out_refund_no)]);
        let answer = self.exchange(Operation::QueryRefund, terms, "/pay/refundquery", fields).await?;
        wire::refund(&answer.fields, out_refund_no).map_err(|what| answer.malformed(what))
    }

    /// Fetches a day's trade bill as its text: nobody signs it. [`ChannelError::NotFound`] says that the day had no
    /// trade, [`ChannelError::Busy`] that the bill is still being made.
    ///
    /// Source: WeChat Pay API v2, download of the trade bill.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn trade_bill(&self, terms: &Terms, day: Date, rows: BillRows) -> Result<Bytes, ChannelError> {
        let mut fields = Fields::from_iter([("bill_type", rows.as_str())]);
        fields.set("bill_date", day.strftime("%Y%m%d").to_string());
        let received = self.send(Operation::TradeBill, Some(terms), "/pay/downloadbill", fields).await?;
        received.bill(Operation::TradeBill)?;
        Ok(received.body)
    }

    /// Fetches a day's fund flow bill as its text, under the merchant's certificate and whatever the terms always with
    /// HMAC-SHA256; the answer's digest must be the text's. See [`Channel::trade_bill`] for days without one.
    ///
    /// Source: WeChat Pay API v2, download of the fund flow bill.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn fund_flow_bill(
        &self,
        terms: &Terms,
        day: Date,
        account: FundAccount,
    ) -> Result<Bytes, ChannelError> {
        let terms = Terms { sign_type: SignType::HmacSha256, ..terms.clone() };
        let mut fields = Fields::from_iter([("account_type", account.as_str())]);
        fields.set("bill_date", day.strftime("%Y%m%d").to_string());
        let operation = Operation::FundFlowBill;
        let received = self.send(operation, Some(&terms), "/pay/downloadfundflow", fields).await?;
        received.bill(operation)?;
        bill::check_digest(&received.headers, &received.body)?;
        Ok(received.body)
    }

    /// The key that stands in for the merchant's in WeChat Pay's own sandbox. Nobody signs the answer.
    ///
    /// Source: WeChat Pay API v2, sandbox, obtaining the key.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn sandbox_key(&self) -> Result<ApiV2Key, ChannelError> {
        let path = "/xdc/apiv2getsignkey/sign/getsignkey";
        let received = self.send(Operation::SandboxKey, None, path, Fields::default()).await?;
        let answer = received.opened(Operation::SandboxKey)?;
        let key = answer.required("sandbox_signkey")?.to_owned();
        ApiV2Key::new(key).map_err(|error| answer.malformed(format!("sandbox_signkey {error}")))
    }

    /// Verifies and reads a payment notice from its body as received.
    ///
    /// Which order, application and amount it names is for the caller to compare, and also that the order was made with
    /// [`Signed::sign_type`]. Source: WeChat Pay API v2, payment notice.
    ///
    /// # Errors
    /// [`NoticeRefused`].
    pub fn read_notice(&self, body: &[u8]) -> Result<Signed, NoticeRefused> {
        let signed = notice::read(&self.key, body)?;
        if let Some(nonce) = &signed.nonce {
            self.nonces.heard(nonce, signed.notice.event_id(), self.clock.now());
        }
        Ok(signed)
    }

    /// Which nonces were used.
    pub const fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    /// Opens a refund notice from its body as received. It vouches for nothing: ask for the refund it names.
    ///
    /// # Errors
    /// [`NoticeRefused`].
    pub fn read_refund_notice(&self, body: &[u8]) -> Result<RefundHint, NoticeRefused> {
        refund_hint::read(&self.key, body)
    }
}
