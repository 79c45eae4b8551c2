//! One action: a function with what people and the engine need to know of it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Failure;
use crate::message::{ActionSpec, Context, Found, Op, Request, Risk};
use crate::schema::{Field, object};

/// An action: a function, its name, what it takes and gives, and how careful the engine must be with it.
pub struct Action<S = ()> {
    pub(crate) spec: ActionSpec,
    run: Run<S>,
    dry_run: Option<Run<S>>,
    probe: Option<Run<S>>,
}

type Run<S> = Box<dyn Fn(&S, &RawValue, &Context) -> Result<Box<RawValue>, Failure> + Send + Sync>;

/// A function that can be an action. Of these forms, where `P` can be read by serde and `R` written:
///
/// `fn(P)`, `fn(P, &Context)`, `fn(&State, P)`, `fn(&State, P, &Context)`, each giving `Result<R, Failure>`.
pub trait Handler<S, Form>: Send + Sync + 'static {
    /// What it takes.
    type Params: DeserializeOwned;
    /// What it gives.
    type Result: Serialize;
    /// Calls it.
    ///
    /// # Errors
    /// Whatever the function says.
    fn handle(&self, state: &S, params: Self::Params, context: &Context) -> Result<Self::Result, Failure>;
}

impl<S, P, R, F> Handler<S, fn(P) -> R> for F
where
    F: Fn(P) -> Result<R, Failure> + Send + Sync + 'static,
    P: DeserializeOwned,
    R: Serialize,
{
    type Params = P;
    type Result = R;
    fn handle(&self, _: &S, params: P, _: &Context) -> Result<R, Failure> {
        self(params)
    }
}

impl<S, P, R, F> Handler<S, fn(P, &Context) -> R> for F
where
    F: Fn(P, &Context) -> Result<R, Failure> + Send + Sync + 'static,
    P: DeserializeOwned,
    R: Serialize,
{
    type Params = P;
    type Result = R;
    fn handle(&self, _: &S, params: P, context: &Context) -> Result<R, Failure> {
        self(params, context)
    }
}

impl<S, P, R, F> Handler<S, fn(&S, P) -> R> for F
where
    F: Fn(&S, P) -> Result<R, Failure> + Send + Sync + 'static,
    P: DeserializeOwned,
    R: Serialize,
{
    type Params = P;
    type Result = R;
    fn handle(&self, state: &S, params: P, _: &Context) -> Result<R, Failure> {
        self(state, params)
    }
}

impl<S, P, R, F> Handler<S, fn(&S, P, &Context) -> R> for F
where
    F: Fn(&S, P, &Context) -> Result<R, Failure> + Send + Sync + 'static,
    P: DeserializeOwned,
    R: Serialize,
{
    type Params = P;
    type Result = R;
    fn handle(&self, state: &S, params: P, context: &Context) -> Result<R, Failure> {
        self(state, params, context)
    }
}

impl<S: 'static> Action<S> {
    /// An action that runs `handler`. Unless said otherwise it takes and gives any object, is not repeated after a
    /// crash, is of low risk and may take 30 seconds.
    pub fn new<Form>(name: &str, doc: &str, handler: impl Handler<S, Form>) -> Self {
        let spec = ActionSpec {
            name: name.into(),
            doc: doc.into(),
            params: json!({ "type": "object" }),
            result: json!({}),
            idempotent: false,
            probe: false,
            dry_run: false,
            risk: Risk::Low,
            timeout_ms: 30_000,
        };
        Self { spec, run: erase(handler), dry_run: None, probe: None }
    }

    /// The parameters, see [`crate::schema`]. The engine checks them before it calls.
    #[must_use]
    pub fn takes<const N: usize>(mut self, fields: [Field; N]) -> Self {
        self.spec.params = object(fields);
        self
    }

    /// The fields of the result.
    #[must_use]
    pub fn gives<const N: usize>(mut self, fields: [Field; N]) -> Self {
        self.spec.result = object(fields);
        self
    }

    /// The parameters, as a JSON Schema of your own.
    #[must_use]
    pub fn params_schema(mut self, schema: Value) -> Self {
        self.spec.params = schema;
        self
    }

    /// The result, as a JSON Schema of your own.
    #[must_use]
    pub fn result_schema(mut self, schema: Value) -> Self {
        self.spec.result = schema;
        self
    }

    /// Doing it twice is as good as once, so the engine may repeat it after a crash.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.spec.idempotent = true;
        self
    }

    /// How much harm it can do.
    #[must_use]
    pub fn risk(mut self, risk: Risk) -> Self {
        self.spec.risk = risk;
        self
    }

    /// How long it may take, if a playbook does not say.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        self
    }

    /// Says what a call would do, in words or as a value, and does nothing.
    #[must_use]
    pub fn dry_run<Form>(mut self, handler: impl Handler<S, Form>) -> Self {
        self.spec.dry_run = true;
        self.dry_run = Some(erase(handler));
        self
    }

    /// For an action that is not idempotent: looks whether the call with this context's key has had its effect, and
    /// gives its result if so. The engine asks after a crash in the middle of a call.
    #[must_use]
    pub fn probe<Form, H, R>(mut self, handler: H) -> Self
    where
        H: Handler<S, Form, Result = Option<R>>,
        R: Serialize,
    {
        self.spec.probe = true;
        let found = move |state: &S, params: &RawValue, context: &Context| {
            let found = handler.handle(state, read(params)?, context)?;
            let found = match found {
                Some(result) => {
                    Found { done: true, result: serde_json::to_value(result).map_err(unwritable)? }
                }
                None => Found { done: false, result: Value::Null },
            };
            serde_json::value::to_raw_value(&found).map_err(unwritable)
        };
        self.probe = Some(Box::new(found));
        self
    }

    pub(crate) fn answer(&self, state: &S, request: &Request<'_>) -> Result<Box<RawValue>, Failure> {
        let run = match request.op {
            Op::Call => Some(&self.run),
            Op::DryRun => self.dry_run.as_ref(),
            Op::Probe => self.probe.as_ref(),
        };
        match run {
            Some(run) => run(state, request.params, &request.context),
            None => Err(Failure::invalid(format!("`{}` cannot do that: {:?}", self.spec.name, request.op))),
        }
    }
}

fn erase<S, Form>(handler: impl Handler<S, Form>) -> Run<S> {
    Box::new(move |state, params, context| {
        let result = handler.handle(state, read(params)?, context)?;
        serde_json::value::to_raw_value(&result).map_err(unwritable)
    })
}

fn read<P: DeserializeOwned>(params: &RawValue) -> Result<P, Failure> {
    serde_json::from_str(params.get())
        .map_err(|error| Failure::invalid(format!("the parameters cannot be read: {error}")))
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::failed(format!("the result cannot be written as JSON: {error}"))
}
