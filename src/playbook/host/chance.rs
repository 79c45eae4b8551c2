//! `now`, `random`, `uuid`: what would make a script answer differently the second time, recorded at the first.

use chrono::SecondsFormat;
use rhai::{Dynamic, Engine, NativeCallContext};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::invalid;
use crate::model::StepKind;
use crate::playbook::burst::{self, Thrown};

/// Makes them known to `engine`.
pub fn register(engine: &mut Engine) {
    engine.register_fn("now", |at: NativeCallContext| {
        burst::answer(&at, StepKind::Now, "", Value::Null, |env, _| {
            json!(env.now.to_rfc3339_opts(SecondsFormat::Micros, true))
        })
    });
    engine.register_fn("random", |at: NativeCallContext| {
        burst::answer(&at, StepKind::Random, "", Value::Null, |env, seq| {
            json!(fraction(bits(env.seed, seq, "random")))
        })
    });
    engine.register_fn("uuid", |at: NativeCallContext| {
        burst::answer(&at, StepKind::Uuid, "", Value::Null, |env, seq| {
            let id = uuid::Builder::from_random_bytes(bits(env.seed, seq, "uuid").to_be_bytes()).into_uuid();
            json!(id.to_string())
        })
    });
    // Rhai's own reads the machine's clock, so a replay would take another way.
    engine.register_fn("timestamp", |at: NativeCallContext| -> Result<Dynamic, Thrown> {
        Err(invalid(&at, "`timestamp()` differs at each replay: use `now()`, which is recorded"))
    });
}

/// 128 bits that depend on the run's seed, the step and what they are for, and on nothing else.
fn bits(seed: u128, seq: u32, what: &str) -> u128 {
    let digest =
        Sha256::new().chain_update(seed.to_be_bytes()).chain_update(seq.to_be_bytes()).chain_update(what);
    digest.finalize().iter().take(16).fold(0, |bits, byte| (bits << 8) | u128::from(*byte))
}

/// From 0 up to 1, in steps of 2⁻⁵³: every value a float can hold exactly there.
fn fraction(bits: u128) -> f64 {
    ((bits >> 75) as f64) / (1_u64 << 53) as f64
}
