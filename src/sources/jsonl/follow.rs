//! All followed files: those the globs find, and those that were renamed away and have something left.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::Place;
use super::file::{Followed, Identity, Line, TooLong};
use crate::model::{Event, Time};
use crate::sources::cloudevents;

/// Lines after which a batch is full. Each batch is one group of events to be kept.
const BATCH: usize = 1_000;
/// Looks after which a file that was renamed away or deleted, and brought nothing new, is let go: its writer has had
/// time to open the next.
const LOOKS_WHEN_GONE: u32 = 10;

/// All followed files.
pub(super) struct Followers {
    globs: Vec<String>,
    source: String,
    files: BTreeMap<Identity, (Followed, u32)>,
    /// From the store, of files not seen yet since the start.
    places: HashMap<Identity, Place>,
    kept: String,
    /// Who is read first; moves on, so that a busy file does not starve the others.
    turn: usize,
    /// Whether the latest look brought nothing.
    idle: bool,
}

/// What a look brought.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) files: usize,
    pub(super) bad_lines: u64,
    pub(super) problem: Option<String>,
}

impl Followers {
    pub(super) fn new(globs: Vec<String>, source: String, places: Option<&str>) -> Self {
        let list: Vec<Place> = places.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        Self {
            globs,
            source,
            files: BTreeMap::new(),
            places: list.into_iter().map(|place| (place.identity, place)).collect(),
            kept: places.unwrap_or("[]").into(),
            turn: 0,
            idle: true,
        }
    }

    /// Looks for new files and new lines. Must be called again only when the events are delivered.
    pub(super) fn poll(&mut self, now: Time) -> Batch {
        let mut batch = Batch::default();
        self.look_for_files(&mut batch);
        let mut order: Vec<Identity> = self.files.keys().copied().collect();
        if !order.is_empty() {
            self.turn = (self.turn + 1) % order.len();
            order.rotate_left(self.turn);
        }
        let mut lines = Vec::new();
        for identity in order {
            if batch.events.len() >= BATCH {
                break;
            }
            let Some((file, gone)) = self.files.get_mut(&identity) else { continue };
            match file.read(&mut lines) {
                Ok(true) => *gone = (*gone).min(1),
                Ok(false) if *gone > LOOKS_WHEN_GONE => {
                    file.read_rest(&mut lines);
                    take(&file.path, &mut lines, &self.source, now, &mut batch);
                    self.files.remove(&identity);
                    continue;
                }
                Ok(false) => {}
                Err(error) => batch.problem = Some(format!("{}: {error}", file.path.display())),
            }
            take(&file.path, &mut lines, &self.source, now, &mut batch);
        }
        batch.files = self.files.len();
        self.idle = batch.events.is_empty();
        batch
    }

    /// The places to be kept, if they are others than the last.
    pub(super) fn changed_places(&mut self) -> Option<String> {
        let places: Vec<Place> = self.files.values().map(|(file, _)| file.place()).collect();
        // A list of plain values always becomes JSON.
        let json = serde_json::to_string(&places).ok()?;
        (json != self.kept).then(|| {
            self.kept.clone_from(&json);
            json
        })
    }

    /// Says that the latest places were not kept after all.
    pub(super) fn places_not_kept(&mut self) {
        self.kept.clear();
    }

    fn look_for_files(&mut self, batch: &mut Batch) {
        // Under load looks follow each other at once, and say nothing of how long a file has been gone.
        if self.idle {
            for (_, gone) in self.files.values_mut() {
                *gone += 1;
            }
        }
        for path in paths(&self.globs) {
            self.see(&path, batch);
        }
        // What we knew before a restart and no glob finds was renamed meanwhile, mostly beside its old name.
        let missing: Vec<Place> = self.places.drain().map(|(_, place)| place).collect();
        for place in missing {
            let Some(path) = renamed(&place) else {
                batch.problem =
                    Some(format!("{} is gone; what was not read of it is lost", place.path.display()));
                continue;
            };
            match Followed::open(&path) {
                Ok(mut file) if file.identity == place.identity => {
                    file.go_on(&place);
                    self.files.insert(file.identity, (file, 1));
                }
                Ok(_) => {}
                Err(error) => batch.problem = Some(format!("{}: {error}", path.display())),
            }
        }
    }

    fn see(&mut self, path: &Path, batch: &mut Batch) {
        let identity = match std::fs::metadata(path) {
            Ok(file) if file.is_file() => Identity::of(&file),
            // A directory, or gone since the glob found it.
            _ => return,
        };
        if let Some((file, gone)) = self.files.get_mut(&identity) {
            *gone = 0;
            if file.path != path {
                file.path = path.into();
            }
            return;
        }
        match Followed::open(path) {
            Ok(mut file) => {
                if let Some(place) = self.places.remove(&file.identity) {
                    file.go_on(&place);
                }
                self.files.insert(file.identity, (file, 0));
            }
            Err(error) => batch.problem = Some(format!("{}: {error}", path.display())),
        }
    }
}

fn paths(globs: &[String]) -> Vec<PathBuf> {
    globs.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten().flatten().collect()
}

fn renamed(place: &Place) -> Option<PathBuf> {
    let folder =
        place.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let file = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        (Identity::of(&file) == place.identity).then(|| entry.path())
    })
}

fn take(path: &Path, lines: &mut Vec<Line>, source: &str, now: Time, batch: &mut Batch) {
    for Line { mut id, offset, bytes } in lines.drain(..) {
        let read = match bytes {
            Err(TooLong) => Err(format!("longer than {} bytes", cloudevents::MAX_EVENT)),
            Ok(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) if text.trim_ascii().is_empty() => continue,
                Ok(text) => cloudevents::decode_line(text, now, source, &mut || std::mem::take(&mut id))
                    .map_err(|error| error.to_string()),
                Err(_) => Err("not UTF-8".into()),
            },
        };
        match read {
            Ok(event) => batch.events.push(event),
            Err(message) => {
                batch.bad_lines += 1;
                batch.problem = Some(format!("{} at byte {offset}: no event: {message}", path.display()));
            }
        }
    }
}
