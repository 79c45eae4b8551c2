//! What a stress test says: each event published, and written as a line of JSON.
//!
//! Both have the same id, so that an engine that gets the event both ways takes it once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::Error;
use crate::bus::Publisher;
use crate::model::{Clock, Event, Topic};

pub(super) struct Record {
    run: String,
    path: PathBuf,
    file: File,
    said: u64,
    publisher: Arc<dyn Publisher>,
    clock: Clock,
}

impl Record {
    pub(super) async fn open(dir: &Path, publisher: Arc<dyn Publisher>, clock: Clock) -> Result<Self, Error> {
        let random: u32 = rand::random();
        let run = format!("{}-{random:08x}", clock.now().format("%Y%m%dT%H%M%S"));
        let path = dir.join(format!("{run}.jsonl"));
        let failed = |error| Error::Record { path: path.display().to_string(), error };
        fs::create_dir_all(dir).await.map_err(failed)?;
        let file = OpenOptions::new().create_new(true).append(true).open(&path).await.map_err(failed)?;
        Ok(Self { run, path, file, said: 0, publisher, clock })
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Publishes and writes `telemetry.stress.<what>` about `subject`; `data`, an object, gets the name of the run.
    pub(super) async fn say(
        &mut self,
        what: &str,
        subject: Option<&str>,
        mut data: Value,
    ) -> Result<(), Error> {
        data["run"] = json!(self.run);
        let topic = Topic::try_new(format!("telemetry.stress.{what}")).expect("these words make a topic");
        let id = format!("{}-{}", self.run, self.said);
        self.said += 1;
        let mut event = Event::new(id, topic, "stress_test", self.clock.now(), data);
        event.subject = subject.map(str::to_owned);
        let mut line = json!(event).to_string();
        line.push('\n');
        let failed = |error| Error::Record { path: self.path.display().to_string(), error };
        self.file.write_all(line.as_bytes()).await.map_err(failed)?;
        self.file.flush().await.map_err(failed)?;
        self.publisher.publish(event);
        Ok(())
    }
}
