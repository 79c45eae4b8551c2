//! What the pure rooms may not use: the parts of a process that every working room shares.

pub mod metrics;
pub mod problems;

pub use problems::Problems;
