//! An event as expressions see it; its payload is read once, and only if somebody asks for it.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use rhai::Dynamic;
use serde_json::Value;

use super::EvalError;
use super::path::{Path, Root};
use super::scalar::Scalar;
use super::script;
use crate::model::{Event, Time};

/// An event and further variables, as expressions see them.
pub struct View<'e> {
    event: &'e Event,
    vars: &'e [(&'e str, &'e Value)],
    data: OnceCell<Value>,
    failed: RefCell<Vec<EvalError>>,
}

impl<'e> View<'e> {
    /// A view of `event`, with further variables.
    pub fn new(event: &'e Event, vars: &'e [(&'e str, &'e Value)]) -> Self {
        Self { event, vars, data: OnceCell::new(), failed: RefCell::default() }
    }

    /// Notes that an expression over it failed, where its place is taken by something else, such as an empty text.
    pub fn fail(&self, error: EvalError) {
        self.failed.borrow_mut().push(error);
    }

    /// What failed since this was last asked.
    pub fn failures(&self) -> Vec<EvalError> {
        self.failed.take()
    }

    /// The event.
    pub fn event(&self) -> &'e Event {
        self.event
    }

    /// The further variables.
    pub fn vars(&self) -> &'e [(&'e str, &'e Value)] {
        self.vars
    }

    /// The payload.
    pub fn data(&self) -> &Value {
        self.data.get_or_init(|| self.event.data.value())
    }

    /// The value of one field.
    pub fn scalar(&self, path: &Path, vars: &[Box<str>]) -> Scalar<'_> {
        match path.root {
            Root::Data => path.read(self.data()),
            Root::Var(n) => vars
                .get(usize::from(n))
                .and_then(|name| self.var(name))
                .map_or(Scalar::Missing, |v| path.read(v)),
            Root::Clock => Scalar::Int(self.event.time.timestamp_micros()),
            root => match envelope(self.event, root) {
                Some(_) if !path.keys.is_empty() => Scalar::Unknown,
                Some(text) => Scalar::Str(text),
                None => Scalar::Missing,
            },
        }
    }

    /// The values of several fields.
    pub fn slots(&self, paths: &[Path], vars: &[Box<str>]) -> Vec<Scalar<'_>> {
        paths.iter().map(|path| self.scalar(path, vars)).collect()
    }

    /// What Rhai is given under `name`.
    pub(super) fn variable(&self, name: &str) -> Dynamic {
        if let Some(value) = self.var(name) {
            return script::dynamic(value);
        }
        match name {
            "data" => script::dynamic(self.data()),
            "event" => self.whole(),
            _ => match Root::of_variable(name).and_then(|root| envelope(self.event, root)) {
                Some(text) => (&*text).into(),
                None => Dynamic::UNIT,
            },
        }
    }

    fn var(&self, name: &str) -> Option<&'e Value> {
        self.vars.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn whole(&self) -> Dynamic {
        let mut map = rhai::Map::new();
        for (root, keys) in Root::ENVELOPE {
            let value = match root {
                Root::Data => script::dynamic(self.data()),
                root => envelope(self.event, root).map_or(Dynamic::UNIT, |text| (&*text).into()),
            };
            map.insert(keys[0].into(), value);
        }
        let extensions = self.event.extensions.iter().map(|(k, v)| (k.as_str().into(), script::dynamic(v)));
        map.insert("extensions".into(), extensions.collect::<rhai::Map>().into());
        Dynamic::from_map(map)
    }
}

/// The text of an envelope field; none if it is not there, or is the payload.
pub(super) fn envelope(event: &Event, root: Root) -> Option<Cow<'_, str>> {
    let text: Option<&str> = match root {
        Root::Time => return Some(written(event.time).into()),
        Root::Topic => Some(event.topic.as_str()),
        Root::Source => Some(&event.source),
        Root::Subject => event.subject.as_deref(),
        Root::Priority => Some(event.priority.as_str()),
        Root::Id => Some(&event.id),
        Root::Traceparent => event.traceparent.as_deref(),
        Root::Correlationid => event.correlationid.as_deref(),
        Root::Causationid => event.causationid.as_deref(),
        Root::Data | Root::Clock | Root::Var(_) => None,
    };
    text.map(Cow::Borrowed)
}

/// A time as conditions see it.
pub(super) fn written(time: Time) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
