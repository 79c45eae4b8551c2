//! What becomes of an intent between the firing of a rule and its end.
//!
//! Nothing here acts. [`lifecycle::next`] is the one place that says which status may follow which; [`Board`] holds what
//! is open, in memory and in the store alike.

pub mod board;
pub mod fleets;
mod latest;
pub mod lifecycle;
pub mod past;

pub use board::Board;
