//! Does the product keep its promises? Each journey goes through the front door of the real binary and asserts what a
//! customer, an operator or an auditor would see.
mod bad_input;
mod crash;
mod failover;
mod first_call;
mod notices;
mod operating;
mod out_of_money;
mod prices;
mod refunds;
mod streams;
mod topups;
mod usage;
