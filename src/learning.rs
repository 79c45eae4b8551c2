//! What outcomes teach: which playbook works for which failure, how sure that is, and which to try next.
//!
//! Values only: no I/O, no clock; randomness comes in as a seed, so the same outcomes and the same seed give the same
//! choice. Start with [`Learner`]: rebuild it by [`Learner::observe`]-ing every outcome kept, oldest first.
//!
//! The key is (playbook, content hash, class). Rates are hierarchical Beta-Binomial (`posterior`, `grid`); a new
//! content hash starts again from the prior that every playbook starts from; drift cuts what is known to 30 %
//! (`drift`); failures that heal by themselves are taken off ([`credit`]); the choice goes by expected minutes with
//! the mean of three posterior draws (`choose`).

mod choose;
pub mod credit;
mod decide;
mod drift;
mod grid;
mod kept;
mod learner;
mod posterior;
mod strategy;
mod text;
mod view;

pub use decide::{Candidate, Situation};
pub use kept::Kept;
pub use learner::{Learner, Row};
pub use strategy::{Kind, StrategyChange};
pub use view::Posterior;

#[cfg(test)]
mod tests;
