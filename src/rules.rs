//! Rules: files to a compiled set, a set and an event to what fires.
//!
//! A [`RuleSet`] is a value: compiled once from files with [`compile`], then only read. Matching has two stages.
//! [`RuleSet::hits`] is stateless and may run on any thread: an index finds the few rules that can match, their
//! conditions decide. [`Windows::apply`] is stateful: it counts, groups and throttles hits in event order. The same
//! events in the same order always fire the same rules. No I/O, no clock, no randomness.

mod build;
pub mod cron;
mod explain;
mod hits;
mod index;
mod parse;
mod pattern;
pub mod reader;
mod review;
mod rule;
mod set;
mod windows;
pub mod yaml;

pub use self::build::{Compiled, Known, SourceFile, compile, compile_alone};
pub use self::explain::{RuleReason, explain, preview};
pub use self::hits::{Hit, Scratch};
pub use self::pattern::{Change, Correlation, Member};
pub use self::reader::code;
pub use self::review::{Places, review};
pub use self::rule::{Part, RESOLVED, Resolved, Rule, Wish};
pub use self::set::{Changes, RuleSet};
pub use self::windows::{Fired, Firing, Note, STEPPED, Stepped, Tally, Timed, Why, Windows, is_timer};
pub use self::yaml::MAX_FILE;

/// The JSON Schema of rule files, for editors. It is kept by hand, and tests hold it to what is read.
pub const SCHEMA: &str = include_str!("rules/schema.json");

#[cfg(test)]
mod tests;
