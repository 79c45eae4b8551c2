//! Who plays: eighteen kernels on three layers, which of them break and how, and the shipped rules and playbooks.

use std::collections::BTreeMap;
use std::path::Path;

use crate::kernels::Spec;
use crate::kernels::spec::{Budget, Listener, Port, Probe, Provider, Replicas};
use crate::model::Span;

/// How many kernels there are.
pub const KERNELS: usize = 18;

/// What the binary carries with it, so that the demo needs no checkout.
pub const SHIPPED: &[(&str, &str)] = &[
    ("rules/kernels.yaml", include_str!("../../../rules/kernels.yaml")),
    ("playbooks/restart_kernel.rhai", include_str!("../../../playbooks/restart_kernel.rhai")),
    ("playbooks/investigate_failure.rhai", include_str!("../../../playbooks/investigate_failure.rhai")),
    ("playbooks/scale_resources.rhai", include_str!("../../../playbooks/scale_resources.rhai")),
    ("playbooks/alert_operator.rhai", include_str!("../../../playbooks/alert_operator.rhai")),
    ("playbooks/run_diagnostic.rhai", include_str!("../../../playbooks/run_diagnostic.rhai")),
];

/// Layer by layer, what depends on what below it.
const NAMES: [[&str; 6]; 3] = [
    ["clock", "memory", "scheduler", "storage", "network", "entropy"],
    ["ledger", "queue", "cache", "index", "gateway", "identity"],
    ["search", "billing", "reports", "mail", "console", "forecast"],
];

/// What a boot usually takes, and what a slow one takes, in milliseconds: the original system's own numbers.
const USUAL_BOOT_MS: u64 = 500;
const SLOW_BOOT_MS: u64 = 1_200;

/// What happens to a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its first boot ends with an error.
    FailsToBoot,
    /// Its first boot takes 1,200 ms against a baseline of 500.
    BootsSlowly,
    /// It is killed.
    Crashes,
    /// It is stopped, and answers nothing more.
    Hangs,
}

impl Fault {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailsToBoot => "fails to boot",
            Self::BootsSlowly => "boots slowly",
            Self::Crashes => "crashes",
            Self::Hangs => "hangs",
        }
    }
}

/// What is broken in the first act.
pub fn faults() -> impl Iterator<Item = (String, Fault)> {
    [
        ("storage", Fault::FailsToBoot),
        ("mail", Fault::FailsToBoot),
        ("cache", Fault::BootsSlowly),
        ("reports", Fault::BootsSlowly),
        ("network", Fault::Crashes),
        ("gateway", Fault::Crashes),
        ("search", Fault::Crashes),
        ("billing", Fault::Crashes),
        ("ledger", Fault::Hangs),
        ("console", Fault::Hangs),
    ]
    .into_iter()
    .map(|(name, fault)| (name.to_string(), fault))
}

/// One fault after another, over all kernels in turn.
pub fn for_ever() -> impl Iterator<Item = (String, Fault)> {
    let faults = [Fault::Crashes, Fault::Hangs].into_iter().cycle();
    NAMES.iter().flatten().cycle().map(ToString::to_string).zip(faults)
}

/// The kernels: `program` plays each of them; `state` is where it counts its boots.
pub fn kernels(program: &Path, state: &Path) -> Vec<Spec> {
    let faults: BTreeMap<String, Fault> = faults().collect();
    let kernel = |layer: usize, place: usize| {
        let name = NAMES[layer][place].to_string();
        let mut command = vec![
            program.to_string_lossy().into_owned(),
            crate::stress::patient::COMMAND.into(),
            "--boot-ms".into(),
            // Each a little different, all well below the baseline.
            (120 + 40 * place + 20 * layer).to_string(),
            "--state".into(),
            state.join(&name).to_string_lossy().into_owned(),
        ];
        match faults.get(&name) {
            Some(Fault::FailsToBoot) => command.extend(["--fail-boots".into(), "1".into()]),
            Some(Fault::BootsSlowly) => {
                let slow = SLOW_BOOT_MS.to_string();
                command.extend(["--slow-boots".into(), "1".into(), "--slow-ms".into(), slow]);
            }
            _ => {}
        }
        Spec {
            layer: u8::try_from(layer + 1).unwrap_or(3),
            provider: Provider::Process,
            systemd: None,
            docker: None,
            kubernetes: None,
            http: None,
            command,
            env: BTreeMap::new(),
            cwd: None,
            port: Some(Port::Auto),
            health: Some(Probe {
                http: Some("http://127.0.0.1:${PORT}/".into()),
                tcp: None,
                exec: None,
                heartbeat: false,
                interval: millis(200),
                timeout: millis(400),
                failures: 2,
                listener: Listener::Own,
            }),
            replicas: Replicas { min: 1, max: 3 },
            depends_on: (layer > 0).then(|| NAMES[layer - 1][place].to_string()).into_iter().collect(),
            start_timeout: Span::secs(5),
            stop_grace: millis(300),
            baseline_boot_ms: Some(USUAL_BOOT_MS as f64),
            restarts: Budget::default(),
            fleet: Some(format!("layer-{}", layer + 1)),
            name,
        }
    };
    (0..3).flat_map(|layer| (0..6).map(move |place| kernel(layer, place))).collect()
}

fn millis(n: u64) -> Span {
    Span(std::time::Duration::from_millis(n))
}
