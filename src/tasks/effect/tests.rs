//! What trying again must and must not do.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use serde_json::json;

use super::*;
use crate::actions::Spec;
use crate::model::Risk;

/// Fails each time, and says that trying again may help.
struct Flaky(Spec, Arc<AtomicUsize>);

impl Action for Flaky {
    fn spec(&self) -> &Spec {
        &self.0
    }
    fn call(&self, _call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        async { Err(Failure::retryable("failed", "no luck")) }.boxed()
    }
    fn dry_run(&self, _call: &Call) -> String {
        String::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_who_ends_an_intent_sees_no_further_try() {
    for (idempotent, known) in [(true, false), (false, true)] {
        let spec = Spec {
            name: "flaky".into(),
            doc: String::new(),
            params: json!({}),
            result: json!({}),
            idempotent,
            acts: true,
            risk: Risk::Low,
            timeout: Span::secs(1),
        };
        let tried = Arc::new(AtomicUsize::new(0));
        let plan = Planned {
            action: Arc::new(Flaky(spec, tried.clone())),
            call: Call { name: "flaky".into(), ..Call::default() },
            timeout: Span::secs(1),
            retries: 10,
            backoff: Duration::from_secs(20),
            clock: Clock::fixed(crate::model::Time::UNIX_EPOCH),
            chance: Chance::seeded(1),
        };
        let cancel = CancellationToken::new();
        let enter = || Ok(Arc::new(()) as Pass);
        let gated: Gated<'_> = (&enter, Arc::new(()));
        let work = limited(plan, false, Duration::from_secs(600), (gated, &cancel), None);
        let person = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(work, person);
        assert_eq!(tried.load(Ordering::SeqCst), 1);
        // What must not be repeated after a restart has to be known; the other is simply tried again then.
        assert_eq!(result.is_ok(), known, "idempotent: {idempotent}");
    }
}
