//! What is counted of each channel.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::platform::metrics::Registry;

/// The numbers of all channels; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Numbers {
    sent: Family<Of, Counter>,
    failed: Family<Of, Counter>,
    dropped: Family<Dropped, Counter>,
    depth: Family<Of, Gauge>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Of {
    channel: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Dropped {
    channel: String,
    reason: &'static str,
}

impl Numbers {
    /// Registers all of them.
    pub(super) fn new(registry: &Registry) -> Self {
        let it = Self::default();
        let text = "Alerts that a channel confirmed, those in digests included";
        registry.register("alerts_sent", text, it.sent.clone());
        registry.register(
            "alert_sends_failed",
            "Tries to send alerts that a channel did not confirm",
            it.failed.clone(),
        );
        let text = "Alerts that were not sent: too old, or refused again and again";
        registry.register("alerts_dropped", text, it.dropped.clone());
        registry.register("alert_queue_depth", "Alerts that wait for a channel", it.depth.clone());
        it
    }

    /// `channel` confirmed `count` alerts.
    pub(super) fn sent(&self, channel: &str, count: usize) {
        self.sent.get_or_create(&Of { channel: channel.into() }).inc_by(count as u64);
    }

    /// `channel` did not confirm what it was sent.
    pub(super) fn failed(&self, channel: &str) {
        self.failed.get_or_create(&Of { channel: channel.into() }).inc();
    }

    /// An alert is not sent to `channel`.
    pub(super) fn dropped(&self, channel: &str, reason: &'static str) {
        self.dropped.get_or_create(&Dropped { channel: channel.into(), reason }).inc();
    }

    /// So many wait for `channel`.
    pub(super) fn waiting(&self, channel: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.depth.get_or_create(&Of { channel: channel.into() }).set(count);
    }
}
