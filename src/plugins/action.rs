//! An action of a plugin, as the registry holds it. It asks whichever version of the plugin is loaded at that moment.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use paramedic_plugin::message::{Found, Op};
use serde_json::{Value, json};

use super::answer;
use super::manifest::Known;
use super::slot::Slot;
use crate::actions::{Action, Call, Spec};
use crate::model::Failure;

pub(super) struct PluginAction {
    known: Known,
    slot: Arc<Slot>,
}

impl PluginAction {
    pub(super) fn new(known: Known, slot: Arc<Slot>) -> Self {
        Self { known, slot }
    }

    fn ask(&self, op: Op, call: &Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let limit = self.known.spec.timeout;
        let again = self.known.spec.idempotent || op != Op::Call;
        let frame = answer::request(op, call, limit);
        // Now, so that a call that has begun finishes on the version it began with.
        let version = self.slot.version();
        Box::pin(async move { version?.runner.call(frame?, limit, again).await })
    }
}

impl Action for PluginAction {
    fn spec(&self) -> &Spec {
        &self.known.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        self.ask(Op::Call, &call)
    }

    fn probe(&self, call: &Call) -> Option<BoxFuture<'static, Result<Option<Value>, Failure>>> {
        if !self.known.probe {
            return None;
        }
        let asked = self.ask(Op::Probe, call);
        let name = self.slot.spec.name.clone();
        Some(Box::pin(async move {
            let found: Found = serde_json::from_value(asked.await?).map_err(|error| {
                answer::wrong(&name, &format!("its probe must give {{\"done\", \"result\"}}: {error}"))
            })?;
            Ok(found.done.then_some(found.result))
        }))
    }

    fn dry_run(&self, call: &Call) -> String {
        format!("would call `{}` of plugin `{}` with {}", call.name, self.slot.spec.name, json!(call.params))
    }

    fn preview(&self, call: &Call) -> BoxFuture<'static, Result<Value, Failure>> {
        if self.known.dry_run {
            return self.ask(Op::DryRun, call);
        }
        let words = self.dry_run(call);
        Box::pin(async move { Ok(words.into()) })
    }
}
