//! Paramedic closes the loop from failure to verified repair.
//!
//! An **event** that matches a **rule** becomes an **intent**; guards and learning decide; the intent is carried out
//! by **runs** of a **playbook**, whose **steps** are **actions**; what came of it is an **outcome**, which teaches
//! the next decision. The modules stand in layers: each uses only those of the layers above it.

// Ground: what everything stands on.
pub mod model;
pub mod platform;

// Values: no I/O, no clock, no async.
pub mod condition;
pub mod rules;
pub mod learning;

// Ports: a trait and its backends.
pub mod store;
pub mod bus;

// Work.
pub mod kernels;
pub mod actions;
pub mod plugins;
pub mod playbook;
pub mod journal;
pub mod freeze;
pub mod intents;
pub mod guard;
pub mod observability;
pub mod sources;
pub mod stress;
pub mod alerts;
pub mod tasks;

// Assembly and edges.
pub mod engine;
pub mod http;
pub mod cli;
