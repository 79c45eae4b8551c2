//! All followed files: those the globs find, and those that were renamed away and have something left.
//!
//! A file is let go only when its folder was listed without an error and it was not in it, and its place is kept even
//! then. Start with [`Followers::poll`].

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::file::{Followed, Line, Stamp, TooLong};
use super::place::{Identity, Place, Places};
use crate::model::{Event, Time};
use crate::sources::cloudevents;
use crate::store::Write;

/// Lines after which a batch is full. Each batch is one group of events to be kept.
const BATCH: usize = 1_000;
/// Looks after which a file that was renamed away or deleted, and brought nothing new, is let go: its writer has had
/// time to open the next.
const LOOKS_WHEN_GONE: u32 = 10;
/// Looks without news after which a last line without its newline is taken, if it is whole.
const LOOKS_UNENDED: u32 = 10;
/// Looks without news after which a file is closed: it is opened again when its length or time changes.
const LOOKS_OPEN: u32 = 50;
/// Files that are kept open though they may bring more, so that thousands of them leave descriptors for the rest.
const OPEN: usize = 128;

/// All followed files.
pub(super) struct Followers {
    globs: Vec<String>,
    source: String,
    files: BTreeMap<Identity, Entry>,
    places: Places,
    /// Who is read first; moves on, so that a busy file does not starve the others.
    turn: usize,
    /// Whether the latest look brought nothing.
    idle: bool,
    /// Whether files were looked for since the start.
    looked: bool,
}

struct Entry {
    file: Followed,
    /// Idle looks that did not find it.
    gone: u32,
    /// Looks without news.
    still: u32,
    /// Of its name, as it was seen last.
    stamp: Option<Stamp>,
}

/// What a look brought.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) files: usize,
    pub(super) bad_lines: u64,
    /// Whether anything was read, events or not.
    pub(super) news: bool,
    /// What is wrong now, by what it is about: gone from the next batch once it is over.
    pub(super) wrong: BTreeMap<String, String>,
    /// What went wrong at one moment.
    pub(super) mishap: Option<String>,
}

impl Followers {
    pub(super) fn new(globs: Vec<String>, source: String, places: Places) -> Self {
        let files = BTreeMap::new();
        Self { globs, source, files, places, turn: 0, idle: true, looked: false }
    }

    /// Looks for new files and new lines. Must be called again only when the events are delivered.
    pub(super) fn poll(&mut self, now: Time) -> Batch {
        let mut batch = Batch::default();
        self.look_for_files(now, &mut batch);
        let mut order: Vec<Identity> = self.files.keys().copied().collect();
        if !order.is_empty() {
            self.turn = (self.turn + 1) % order.len();
            order.rotate_left(self.turn);
        }
        let mut open = self.files.values().filter(|entry| entry.file.is_open()).count();
        for identity in order {
            if batch.events.len() >= BATCH {
                break;
            }
            let Some(entry) = self.files.get_mut(&identity) else { continue };
            let was_open = entry.file.is_open();
            let let_go = entry.read(&self.source, now, &mut batch, &mut self.places);
            if let_go {
                if let Some(entry) = self.files.remove(&identity) {
                    self.places.left(entry.file.place(), now);
                }
                open -= usize::from(was_open);
                continue;
            }
            open = open + usize::from(entry.file.is_open()) - usize::from(was_open);
            if entry.gone == 0 && entry.file.is_open() && (entry.still > LOOKS_OPEN || open > OPEN) {
                entry.file.close();
                open -= 1;
            }
        }
        batch.files = self.files.len();
        self.idle = !batch.news;
        batch
    }

    /// The places to be kept, as far as the store does not have them; [`Followers::places_kept`] once it has.
    pub(super) fn changed_places(&self) -> Vec<Write> {
        self.places.writes()
    }

    /// Says that the latest places are durable.
    pub(super) fn places_kept(&mut self) {
        self.places.kept();
    }

    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.files.values().filter(|entry| entry.file.is_open()).count()
    }

    fn look_for_files(&mut self, now: Time, batch: &mut Batch) {
        let (paths, unread) = self.paths();
        // What could not be listed may hold any of the files. Under load looks follow each other at once, and say
        // nothing of how long a file has been gone.
        if self.idle && unread.is_empty() {
            self.files.values_mut().for_each(|entry| entry.gone += 1);
        }
        batch.wrong.extend(unread);
        for path in paths {
            self.see(&path, batch);
        }
        for entry in self.files.values_mut().filter(|entry| entry.gone == 1 && !entry.file.is_open()) {
            // It was closed, and may have been renamed with something new in it.
            if let Ok(Some(path)) = renamed(&entry.file.place()) {
                entry.file.path = path;
            }
        }
        if !self.looked {
            self.looked = true;
            self.find_renamed(now, batch);
        }
        let forgotten = self.places.forget(now);
        if forgotten > 0 {
            batch.mishap = Some(format!(
                "the places in {forgotten} files that are away were forgotten for want of room; a file that comes back is read from its start"
            ));
        }
    }

    /// What was followed before a restart and no glob finds was renamed meanwhile, mostly beside its old name.
    fn find_renamed(&mut self, now: Time, batch: &mut Batch) {
        let missing: Vec<Place> = self.places.away().filter(|it| it.away.is_none()).cloned().collect();
        for place in missing {
            match renamed(&place).and_then(|path| path.map(|path| Followed::open(&path)).transpose()) {
                Ok(Some(mut file)) if file.identity == place.identity => {
                    self.places.take(place.identity);
                    file.go_on(&place);
                    self.files.insert(file.identity, Entry { file, gone: 1, still: 0, stamp: None });
                }
                Ok(_) => {
                    let lost = format!("{} is gone; what was not read of it is lost", place.path.display());
                    batch.mishap = Some(lost);
                    self.places.left(place, now);
                }
                // Its folder is away or cannot be listed.
                Err(_) => self.places.left(place, now),
            }
        }
    }

    fn see(&mut self, path: &Path, batch: &mut Batch) {
        let (identity, stamp) = match std::fs::metadata(path) {
            Ok(file) if file.is_file() => (Identity::of(&file), Stamp::of(&file)),
            Ok(_) => return,
            // Gone since the glob found it.
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => return batch.unreadable(path, &error),
        };
        if let Some(entry) = self.files.get_mut(&identity) {
            entry.gone = 0;
            entry.stamp = Some(stamp);
            if entry.file.path != path {
                entry.file.path = path.into();
            }
            return;
        }
        match Followed::open(path) {
            Ok(mut file) => {
                self.resume(&mut file);
                let entry = Entry { file, gone: 0, still: 0, stamp: Some(stamp) };
                self.files.insert(entry.file.identity, entry);
            }
            Err(error) => batch.unreadable(path, &error),
        }
    }

    /// Goes on where this file, or one that it continues, was left.
    fn resume(&mut self, file: &mut Followed) {
        if let Some(place) = self.places.take(file.identity) {
            file.go_on(&place);
            return;
        }
        // The file that had this name until now may have been exchanged for a copy of itself.
        let gone = self.files.values().filter(|entry| entry.file.path == file.path);
        let gone: Vec<Place> = gone.map(|entry| entry.file.place()).collect();
        let continued = gone.iter().chain(self.places.called(&file.path)).find(|place| {
            // One that still is beside it was renamed, and this is another file.
            file.continues(place).unwrap_or(false) && matches!(renamed(place), Ok(None))
        });
        if let Some(place) = continued.cloned() {
            file.go_on(&place);
            self.files.remove(&place.identity);
            self.places.replaced(place.identity);
        }
    }

    /// What the globs find, and what they could not look into.
    fn paths(&self) -> (Vec<PathBuf>, BTreeMap<String, String>) {
        let (mut found, mut unread) = (Vec::new(), BTreeMap::new());
        for pattern in &self.globs {
            let base = base(pattern);
            let known = self.files.values().map(|entry| &entry.file.path);
            let known = known.chain(self.places.away().map(|place| &place.path));
            let below = known.filter(|path| path.starts_with(&base)).count();
            if below > 0
                && matches!(std::fs::metadata(&base), Err(error) if error.kind() == ErrorKind::NotFound)
            {
                let name = base.display().to_string();
                let text = format!(
                    "the folder {name} is missing; its {below} followed files are continued where they were left once it is back"
                );
                unread.insert(name, text);
                continue;
            }
            for entry in glob::glob(pattern).into_iter().flatten() {
                match entry {
                    Ok(path) => found.push(path),
                    Err(error) => {
                        let name = error.path().display().to_string();
                        let text = format!("failed to list {name}: {}; check its permissions", error.error());
                        unread.insert(name, text);
                    }
                }
            }
        }
        (found, unread)
    }
}

impl Entry {
    /// Reads what is new; answers whether the file is to be let go.
    fn read(&mut self, source: &str, now: Time, batch: &mut Batch, places: &mut Places) -> bool {
        let file = &mut self.file;
        let before = file.place();
        let mut lines = Vec::new();
        let unchanged =
            !file.is_open() && self.gone == 0 && self.stamp.is_some_and(|stamp| file.is_read(stamp));
        let news = if unchanged { Ok(false) } else { file.read(&mut lines) };
        let mut let_go = false;
        match news {
            Ok(true) => {
                (self.gone, self.still) = (self.gone.min(1), 0);
                batch.news = true;
            }
            Ok(false) => {
                self.still = self.still.saturating_add(1);
                let_go = self.gone > LOOKS_WHEN_GONE;
                if let_go || (self.still >= LOOKS_UNENDED && file.ends_in_an_object()) {
                    file.read_rest(&mut lines);
                }
                if let Some((offset, bytes)) = file.unended().filter(|_| self.still >= LOOKS_UNENDED) {
                    let path = file.path.display().to_string();
                    let text = format!(
                        "{path} ends in {bytes} bytes without a newline at byte {offset}; the line is read once its newline is written"
                    );
                    batch.wrong.insert(path, text);
                }
            }
            Err(_) if self.gone > LOOKS_WHEN_GONE => let_go = true,
            // Between two looks a file that was closed may have been renamed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => batch.unreadable(&file.path, &error),
        }
        take(&file.path, &mut lines, source, now, batch);
        let after = file.place();
        if after != before && !let_go {
            places.moved(after);
        }
        let_go
    }
}

impl Batch {
    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        let path = path.display().to_string();
        let text = format!("failed to read {path}: {error}; it is tried again at every look");
        self.wrong.insert(path, text);
    }
}

/// The folder in which `pattern` looks, as far as it is named without wildcards.
fn base(pattern: &str) -> PathBuf {
    let path = Path::new(pattern);
    let mut base: PathBuf = path
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    if base.as_os_str() == path.as_os_str() {
        base.pop();
    }
    if base.as_os_str().is_empty() { PathBuf::from(".") } else { base }
}

/// What the file that `place` is in is called now, if it is still in the same folder.
fn renamed(place: &Place) -> std::io::Result<Option<PathBuf>> {
    let folder = place.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = std::fs::read_dir(folder.unwrap_or(Path::new(".")))?.flatten().find_map(|entry| {
        let file = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        (Identity::of(&file) == place.identity).then(|| entry.path())
    });
    Ok(found)
}

fn take(path: &Path, lines: &mut Vec<Line>, source: &str, now: Time, batch: &mut Batch) {
    for Line { mut id, offset, bytes } in lines.drain(..) {
        let read = match bytes {
            Err(TooLong) => Err(format!("longer than {} bytes", cloudevents::MAX_EVENT)),
            Ok(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) if text.trim_ascii().is_empty() => continue,
                Ok(text) => cloudevents::decode_line(text, now, source, &mut || std::mem::take(&mut id))
                    .map_err(|error| error.to_string()),
                Err(_) if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") => {
                    Err("it is UTF-16; write the file as UTF-8".into())
                }
                Err(_) => Err("not UTF-8".into()),
            },
        };
        match read {
            Ok(event) => batch.events.push(event),
            Err(message) => {
                batch.bad_lines += 1;
                batch.mishap = Some(format!("{} at byte {offset}: not an event: {message}", path.display()));
            }
        }
    }
}
