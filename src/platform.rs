//! What the pure rooms may not use: the parts of a process that every working room shares.

pub mod beginning;
pub mod descriptors;
pub mod log;
pub mod metrics;
pub mod private;
pub mod problems;
pub mod sleep;
pub mod supervisor;

pub use problems::Problems;
pub use supervisor::Part;
