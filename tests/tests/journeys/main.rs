//! Does the product keep its promises? Each journey goes through the front door of the real binary and asserts what a
//! customer, an operator or an auditor would see.
mod bad_input;
mod books;
mod cache;
mod catalog;
mod codes;
mod crash;
mod desk;
mod failover;
mod first_call;
mod hands;
mod limits;
mod notices;
mod operating;
mod out_of_money;
mod packages;
mod postgres;
mod prices;
mod receipts;
mod refunds;
mod reload;
mod routing;
mod shared_cache;
mod streams;
mod temporary;
mod topups;
mod usage;
