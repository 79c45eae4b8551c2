//! Where events come from: bodies of HTTP requests, and files that other programs append to.
//!
//! A source turns what others wrote into [`Event`](crate::model::Event)s, and says exactly what it could not read.
//! It keeps nothing and matches nothing. Start with [`cloudevents::decode`] and [`jsonl::Service`].

pub mod cloudevents;
pub mod jsonl;
