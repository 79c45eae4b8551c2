//! `intent.create`: lets a playbook ask for another repair, which rules, guards and learning then weigh like any other.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::schema::{text, texts};
use super::{Action, Call, Intents, NewIntent, Spec};
use crate::model::{Failure, Risk, Span};

pub(super) struct Create {
    intents: Arc<dyn Intents>,
    spec: Spec,
}

impl Create {
    pub(super) fn new(intents: Arc<dyn Intents>) -> Self {
        let params = json!({
            "type": "object",
            "properties": {
                "goal": { "type": "string", "minLength": 1, "maxLength": 1000, "description": "what is wanted, in words" },
                "target": { "type": "string", "minLength": 1, "maxLength": 500, "description": "the one thing to act on" },
                "playbooks": { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1 }, "description": "candidates" },
                "priority": { "enum": ["low", "normal", "high", "critical"], "description": "normal if not said" },
                "domain": { "type": "string", "minLength": 1, "description": "infrastructure if not said" },
                "class": { "type": "string", "description": "what learning tells apart" },
                "params": { "type": "object", "description": "reach the playbook as ctx.params" },
            },
            "required": ["goal", "target", "playbooks"],
            "additionalProperties": false,
        });
        let spec = Spec {
            name: "intent.create".into(),
            doc: "Asks for another repair.".into(),
            params,
            result: json!({ "type": "object", "properties": { "intent": { "type": "string" } } }),
            idempotent: true,
            acts: false,
            risk: Risk::Low,
            timeout: Span::secs(15),
        };
        Self { intents, spec }
    }
}

impl Action for Create {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let intents = Arc::clone(&self.intents);
        Box::pin(async move {
            let params = &call.params;
            let string = |name| text(params, name).map(str::to_owned);
            let new = NewIntent {
                goal: string("goal").unwrap_or_default(),
                target: string("target").unwrap_or_default(),
                priority: text(params, "priority").and_then(|p| p.parse().ok()).unwrap_or_default(),
                domain: string("domain"),
                class: string("class").unwrap_or_default(),
                playbooks: texts(params, "playbooks"),
                params: params.get("params").and_then(Value::as_object).cloned().unwrap_or_default(),
                key: call.key.clone(),
                cause: call.intent,
            };
            intents.create(new).await.map(|id| json!({ "intent": id }))
        })
    }

    fn dry_run(&self, call: &Call) -> String {
        let of = |name| text(&call.params, name).unwrap_or_default();
        let by = texts(&call.params, "playbooks").join(", ");
        let priority = text(&call.params, "priority").unwrap_or("normal");
        format!(
            "would ask for a repair of `{}` by {by}, with {priority} priority: {}",
            of("target"),
            of("goal")
        )
    }
}
