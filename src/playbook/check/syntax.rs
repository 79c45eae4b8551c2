//! Scripts that cannot be read: where the slip is and what to do, in the words of those who make it.
//!
//! Works on the text and the parser's error alone; what a script means is no matter here. Start with [`slip`].

pub(super) mod advice;
mod brackets;
mod elsewhere;
mod phrases;
pub(super) mod slip;
pub(super) mod tokens;
mod whole;

use super::ctx;
