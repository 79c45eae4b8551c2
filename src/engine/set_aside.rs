//! One record that does not read keeps no engine from starting, nor a list from being shown: the store sets it aside, an
//! operator is alerted, and the rest goes on.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Engine;
use crate::actions::Alerts;
use crate::model::alert::Level;
use crate::store::{Error, SetAside, Store};

/// The alert and the problem that something was set aside.
const KEY: &str = "store/quarantine";

/// Records that an alert names.
const NAMED: usize = 5;

/// What `read` answers, after what does not read has been set aside if need be.
///
/// # Errors
/// When the store does not answer otherwise.
pub(super) async fn reading<T>(
    store: &dyn Store,
    read: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Error> {
    loop {
        match read().await {
            Err(Error::Corrupt { .. }) if store.set_aside().await? > 0 => {}
            done => return done,
        }
    }
}

/// Reading the store failed with `error`: what does not read is set aside, and anything else may be better in a moment.
pub(super) async fn after(store: &dyn Store, error: &Error) {
    if matches!(error, Error::Corrupt { .. }) && store.set_aside().await.is_ok_and(|count| count > 0) {
        return;
    }
    tracing::error!("failed to read the store, trying again in 1 s: {error}");
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// What is kept under `key`; what does not read is set aside and counts as not kept.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn kept<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>, Error> {
    let Some(text) = store.meta(key.into()).await? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            store.set_meta_aside(key.into(), error.to_string()).await?;
            Ok(None)
        }
    }
}

impl Engine {
    /// Sets aside what reads have stumbled over, and tells of all that was set aside since the last look.
    pub(super) async fn see_to_unreadable(&self) {
        let store = &self.0.store;
        if store.has_unreadable()
            && let Err(error) = store.set_aside().await
        {
            tracing::warn!("failed to set aside what does not read: {error}");
        }
        let all = store.take_set_aside();
        if all.is_empty() {
            return;
        }
        for SetAside { origin, key, why } in &all {
            tracing::error!("set aside, as it cannot be read: {origin} {key}: {why}");
        }
        let named: Vec<String> =
            all.iter().take(NAMED).map(|it| format!("{} {}", it.origin, it.key)).collect();
        let more = if all.len() > NAMED { ", …" } else { "" };
        let text = format!(
            "{} stored records could not be read and were set aside ({}{more}): nothing is done about what they said; \
             see the log, and the table `quarantine` of paramedic.db",
            all.len(),
            named.join(", ")
        );
        self.0.problems.raise(KEY, text.clone());
        let title = "Stored records could not be read".to_owned();
        if let Err(failure) = self.0.alerts.raise(KEY.into(), Level::Critical, title, text, None, None).await
        {
            tracing::error!("failed to alert an operator to records that were set aside: {failure}");
        }
    }
}
