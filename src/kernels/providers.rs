//! Who carries out start and stop; one file a provider.

pub mod process;
