//! Why do the books not do what they are asked? In words of neither API; each says it in its own.

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    OrderUnknown,
    OrderPaid,
    OrderClosed,
    OrderExpired,
    /// The number was used before, with other parameters.
    OrderDiffers,
    /// v2 closes nothing that is younger than five minutes.
    CloseTooEarly,
    NotPaid,
    RefundUnknown,
    /// The refund's number was used before, with other parameters.
    RefundDiffers,
    /// The two numbers that name an order name two.
    TwoOrders,
    WrongTotal,
    TooMuch,
    TooManyRefunds,
    TooOld,
    /// Less than a minute after the last refund of this order.
    TooSoon,
    /// The simulator is full.
    Full,
}
