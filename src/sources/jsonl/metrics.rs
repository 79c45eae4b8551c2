//! What the followed files bring, in numbers, by the name of the source.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::platform::metrics::Registry;

/// The numbers of all sources of one engine; cloning it makes another handle.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    files: Family<SourceLabel, Gauge>,
    events: Family<SourceLabel, Counter>,
    bad_lines: Family<SourceLabel, Counter>,
    refused: Family<SourceLabel, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> Self {
        let metrics = Self::default();
        registry.register("source_files", "Files that are followed", metrics.files.clone());
        registry.register("source_events", "Events read from files and delivered", metrics.events.clone());
        registry.register("source_bad_lines", "Lines that were not events", metrics.bad_lines.clone());
        registry.register(
            "source_deliveries_refused",
            "Times that events read from files were refused and sent again",
            metrics.refused.clone(),
        );
        metrics
    }

    pub(super) fn look(&self, source: &str, files: usize, bad_lines: u64) {
        let label = SourceLabel { source: source.into() };
        self.files.get_or_create(&label).set(i64::try_from(files).unwrap_or(i64::MAX));
        self.bad_lines.get_or_create(&label).inc_by(bad_lines);
    }

    pub(super) fn events(&self, source: &str, count: u64) {
        self.events.get_or_create(&SourceLabel { source: source.into() }).inc_by(count);
    }

    pub(super) fn refused(&self, source: &str) {
        self.refused.get_or_create(&SourceLabel { source: source.into() }).inc();
    }
}
