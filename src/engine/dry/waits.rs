//! What a dry run gives for a wait: the events and answers that it was told to give, in order.

use serde_json::{Value, json};

use super::{Done, Dry};
use crate::condition;
use crate::model::{Event, Pattern, Span, Topic};

impl Dry<'_> {
    pub(super) fn wait(&mut self, pattern: &str, when: Option<&str>, timeout: Span) -> Done {
        let would = match when {
            Some(when) => format!("would wait up to {timeout} for `{pattern}` where {when}"),
            None => format!("would wait up to {timeout} for `{pattern}`"),
        };
        let condition = when.and_then(|text| condition::compile(text, &["target"]).ok());
        let target = Value::from(self.wish.target.as_str());
        let fits = |(topic, data): &(Topic, Value)| {
            let event = self.event(topic.clone(), data.clone());
            // As in life, an event that does not meet the condition is left for a later wait.
            let holds =
                condition.as_ref().is_none_or(|it| it.test(&event, &[("target", &target)]).unwrap_or(false));
            holds && Pattern::try_new(pattern).is_ok_and(|it| it.matches(topic.as_str()))
        };
        let given = self.events.iter().position(fits);
        let (topic, data, how) = match given.and_then(|at| self.events.remove(at)) {
            Some((topic, data)) => (Some(topic), data, "here the given event comes"),
            None if self.wish.silent => (None, Value::Null, ""),
            None => {
                let topic = pattern.replace(['*', '>'], "any");
                (Topic::try_new(&topic).ok(), json!({}), "here an event without data comes")
            }
        };
        let Some(topic) = topic else {
            self.now += timeout.delta();
            return Done::of(format!("{would}; here none comes"), Value::Null);
        };
        let event = self.event(topic, data);
        Done::of(format!("{would}; {how}"), json!(event))
    }

    fn event(&self, topic: Topic, data: Value) -> Event {
        Event::new("dry-run", topic, "dry-run", self.now, data).about(self.wish.target.clone())
    }

    pub(super) fn ask(&mut self, question: &str, choices: &[String], timeout: Span, details: bool) -> Done {
        let would = format!("would ask a person, for up to {timeout}: {question}");
        let given = self.answers.pop_front();
        if let Some(answer) = given.as_ref().filter(|it| !choices.is_empty() && !choices.contains(it)) {
            let choices = choices.join(", ");
            self.told.notes.push(format!("`{answer}` is no answer to \"{question}\": there are {choices}"));
        }
        let answer = match given.filter(|it| choices.is_empty() || choices.contains(it)) {
            Some(answer) if answer != "none" => answer,
            Some(_) => {
                self.now += timeout.delta();
                return Done::of(format!("{would}; here nobody answers"), Value::Null);
            }
            None => choices.first().cloned().unwrap_or_else(|| "yes".into()),
        };
        let value = match details {
            true => json!({ "answer": answer, "by": "dry run", "at": self.now }),
            false => json!(answer),
        };
        Done::of(format!("{would}; here the answer is `{answer}`"), value)
    }
}
