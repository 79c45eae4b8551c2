//! The wall clock was set: what waits for a time waits as long as it was going to, and the calendar follows the clock.
//!
//! The step is an event of its own in the log, and only that moves the patterns: a restart and a replay that read it
//! decide as was decided live.

use std::collections::VecDeque;

use serde_json::json;

use super::Windows;
use super::state::{State, Times};
use super::timers::Timers;
use crate::model::{Event, Time, Topic, clock};
use crate::rules::cron::Schedule;
use crate::rules::set::RuleSet;

/// The topic under which the log says that the wall clock was set.
pub const STEPPED: &str = "paramedic.clock.stepped";

/// Who says so.
const SOURCE: &str = "paramedic";

/// The wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// The era that it began.
    pub era: u32,
    /// By how much time went forward, in microseconds.
    pub by: i64,
    /// What time it was from then on.
    pub to: Time,
}

impl Stepped {
    /// It as the log has it.
    pub fn event(self) -> Event {
        let topic = Topic::try_new(STEPPED).expect("it is a topic");
        let data = json!({
            "era": self.era,
            "by_micros": self.by,
            "by": clock::Step { era: self.era, by: self.by, at: 0 }.text(),
            "from": self.from(),
            "to": self.to,
        });
        Event::new(format!("clock/{}/{}", self.era, self.to.timestamp_micros()), topic, SOURCE, self.to, data)
    }

    /// What `event` says, if that is it.
    pub fn of(event: &Event) -> Option<Self> {
        if event.topic.as_str() != STEPPED || event.source != SOURCE {
            return None;
        }
        let data = event.data.value();
        let era = data["era"].as_u64().and_then(|era| u32::try_from(era).ok())?;
        Some(Self { era, by: data["by_micros"].as_i64()?, to: event.time })
    }

    /// What time it was before.
    pub fn from(self) -> Time {
        clock::micros(self.former())
    }

    fn present(self) -> i64 {
        self.to.timestamp_micros()
    }

    fn former(self) -> i64 {
        self.present().saturating_sub(self.by)
    }

    /// Where a time of an event belongs from now on. Events of this machine carry times of the clock that was wrong,
    /// those of others do not: a time belongs to the clock to which it is closer. None is left in the future, where
    /// everything that comes after it would count as before it.
    fn moved(self, at: i64) -> i64 {
        let is_old = at > self.present() || at.abs_diff(self.former()) < at.abs_diff(self.present());
        let is_past = at <= self.former().max(self.present());
        if is_old && is_past { at.saturating_add(self.by) } else { at }
    }

    fn due(self, at: i64) -> i64 {
        if at == i64::MAX || at == i64::MIN { at } else { at.saturating_add(self.by) }
    }
}

impl Windows {
    /// The wall clock was set. Call it before [`Windows::advance`] with a time of the new era.
    pub fn step(&mut self, set: &RuleSet, stepped: Stepped) {
        self.era = stepped.era;
        self.timers = Timers::default();
        for (name, groups) in &mut self.rules {
            let schedule = set.get(name).and_then(|rule| rule.schedule.as_ref());
            for (group, it) in groups.iter_mut() {
                it.state.step(stepped, schedule);
                it.queued = it.state.due();
                if let Some(due) = it.queued {
                    self.timers.add(due, name, group);
                }
            }
        }
    }

    /// The era of the clock whose step it has seen last.
    pub fn era(&self) -> u32 {
        self.era
    }

    /// It has seen the steps up to `era` already.
    pub fn set_era(&mut self, era: u32) {
        self.era = era;
    }
}

impl State {
    fn step(&mut self, stepped: Stepped, schedule: Option<&Schedule>) {
        match self {
            Self::Times(times) => times.step(stepped),
            Self::Seen(seen) => seen.iter_mut().for_each(|it| it.at = stepped.moved(it.at)),
            Self::Heard(heard) => {
                (heard.at, heard.due) = (stepped.moved(heard.at), stepped.due(heard.due));
            }
            Self::Collected(collected) => collected.due = stepped.due(collected.due),
            Self::Awaited(awaited) => {
                for armed in &mut awaited.armed {
                    (armed.at, armed.due) = (stepped.moved(armed.at), stepped.due(armed.due));
                }
                awaited.followed.iter_mut().for_each(|at| *at = stepped.moved(*at));
            }
            Self::Values(_) => {}
            // What the clock has jumped over is made up for once, as after a downtime; what it goes through again
            // comes again.
            Self::Scheduled(next) if stepped.by < 0 => {
                let again = schedule.and_then(|it| it.next_after(stepped.to));
                *next = again.map_or(*next, |again| again.timestamp_micros().min(*next));
            }
            Self::Scheduled(_) => {}
        }
    }
}

impl Times {
    fn step(&mut self, stepped: Stepped) {
        let times: VecDeque<i64> = self.times.iter().map(|at| stepped.moved(*at)).collect();
        self.disorder = times.iter().zip(times.iter().skip(1)).filter(|(one, next)| one > next).count();
        self.times = times;
    }
}
