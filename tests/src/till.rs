//! How does a customer pay, and an auditor look at the books?
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::sent;
use crate::{Answer, World, nano, until};

impl World {
    /// What the account has.
    pub async fn credits(&self) -> Value {
        self.get("/v1/credits").await.expect(200).json()
    }
    /// The account's balance.
    pub async fn balance(&self) -> i64 {
        nano(text(&self.credits().await, "balance"))
    }
    /// Whole tokens of a model that the account has bought.
    pub async fn tokens(&self, model: &str) -> i64 {
        let credits = self.credits().await;
        let lots = credits["tokens"].as_array().cloned().unwrap_or_default();
        let lot = lots.iter().find(|lot| lot["model"] == model);
        lot.map_or(0, |lot| text(lot, "tokens").parse().expect("a whole number"))
    }
    /// A call's receipt, once the call has ended.
    pub async fn receipt(&self, request_id: &str) -> Value {
        until("the receipt", || async {
            let answer = self.get(&format!("/v1/generation?id={request_id}")).await;
            let receipt = (answer.status == 200).then(|| answer.json()["data"].clone());
            receipt.filter(|receipt| !receipt["ended_at"].is_null())
        })
        .await
    }

    /// Opens an order.
    pub async fn topup(&self, body: &Value) -> Value {
        let request = self.request(Method::POST, "/v1/topups").json(body);
        sent(request).await.expect(201).json()
    }
    /// Looks at an order.
    pub async fn order(&self, order: &Value) -> Value {
        self.get(&format!("/v1/topups/{}", text(order, "id"))).await.expect(200).json()
    }
    /// Looks at an order until it has this status.
    pub async fn order_until(&self, order: &Value, status: &str) -> Value {
        until(&format!("{} is {status}", text(order, "id")), || async {
            let order = self.order(order).await;
            (order["status"] == status).then_some(order)
        })
        .await
    }
    /// Somebody scans the code and pays.
    pub async fn pay(&self, order: &Value) -> Answer {
        self.sim_post(&format!("/orders/{}/pay", text(order, "out_trade_no")), &json!({})).await
    }
    /// An order of so many yuan, opened, paid and credited.
    pub async fn top_up(&self, yuan: &str) -> Value {
        let order = self.topup(&json!({ "amount": yuan, "kind": "wallet" })).await;
        self.pay(&order).await.expect(200);
        self.order_until(&order, "paid").await
    }
    /// What the far side knows of an order.
    pub async fn far_order(&self, order: &Value) -> Value {
        self.sim_get(&format!("/orders/{}", text(order, "out_trade_no"))).await
    }
    /// The far side's deliveries about an order, once there are at least so many.
    pub async fn deliveries(&self, order: &Value, at_least: usize) -> Vec<Value> {
        until("notifications are delivered", || async {
            let mut order = self.far_order(order).await;
            let deliveries = order["deliveries"].as_array_mut().map(std::mem::take).unwrap_or_default();
            (deliveries.len() >= at_least).then_some(deliveries)
        })
        .await
    }

    /// The trial balance.
    pub async fn books(&self) -> Value {
        self.admin_get("/admin/v1/ledger/trial-balance").await.expect(200).json()
    }
    /// Waits until no call is under way; then the books balance, nothing is set aside for anybody, and what the
    /// account was given is what it spent, got back and has.
    ///
    /// # Panics
    /// If a hold is left over, or the books do not balance.
    pub async fn books_balance(&self) {
        let books = until("no hold is open", || async {
            let books = self.books().await;
            (books["open_holds"] == 0).then_some(books)
        })
        .await;
        assert_eq!((&books["balanced"], &books["findings"]), (&json!(true), &json!([])), "{books:#}");
        let credits = self.credits().await;
        let of = |member: &str| nano(text(&credits, member));
        assert_eq!((of("held"), of("available")), (0, of("balance")), "{credits:#}");
        let given = nano(text(&credits["data"], "total_credits"));
        let gone = ["spent", "refunding", "refunded", "expired", "withdrawn"].map(of);
        assert_eq!(given, gone.iter().sum::<i64>() + of("balance"), "{credits:#}");
        assert!(of("balance") >= 0, "{credits:#}");
    }
}

/// A member that is text.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no text {member} in {value:#}"))
}
