//! What kernels print, kept in bounded files: one a replica, and the one before it.

use std::borrow::Cow;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::time::Instant;

/// Largest log file; when it is full it becomes `.1` and a new one begins.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How much of the end of a file is looked at for its last lines.
const TAIL_BYTES: u64 = 256 * 1024;

/// How long lines may go into a file that was removed or moved away before that is noticed.
const LOOK: Duration = Duration::from_millis(100);

/// Pause before a file that could not be written is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// A longer line is cut in parts.
const MAX_LINE: usize = 16 * 1024;

/// Where replica `index` of `kernel` logs.
pub(super) fn path(dir: &Path, kernel: &str, index: u32) -> PathBuf {
    dir.join(format!("{kernel}.{index}.log"))
}

/// Copies both streams into the file at `path` until both end. Lines stay whole. While the file cannot be written, lines are
/// left out, and so that is said in it once it can: a kernel never waits for its log.
pub(super) async fn copy(path: PathBuf, mut out: impl AsyncRead + Unpin, mut err: impl AsyncRead + Unpin) {
    let mut log = Log::new(path);
    let (mut out_line, mut err_line) = (Lines::default(), Lines::default());
    let (mut out_open, mut err_open) = (true, true);
    let (mut a, mut b) = (vec![0; 8 * 1024], vec![0; 8 * 1024]);
    while out_open || err_open {
        // Of two streams that both have something, either may be first: that is all one can know.
        let (lines, read, open) = tokio::select! {
            n = out.read(&mut a), if out_open => (&mut out_line, n.map(|n| &a[..n]), &mut out_open),
            n = err.read(&mut b), if err_open => (&mut err_line, n.map(|n| &b[..n]), &mut err_open),
        };
        let bytes = read.unwrap_or_default();
        *open = !bytes.is_empty();
        log.keep(&lines.take(bytes)).await;
    }
}

/// The last `n` lines in the file at `path` and the one before it, oldest first; none if there is no file yet.
pub(super) async fn tail(path: &Path, n: usize) -> io::Result<Vec<String>> {
    let mut lines = end_of(path).await?;
    if lines.len() < n {
        let mut older = end_of(&previous(path)).await?;
        older.append(&mut lines);
        lines = older;
    }
    Ok(lines.split_off(lines.len().saturating_sub(n)))
}

async fn end_of(path: &Path) -> io::Result<Vec<String>> {
    let mut file = match File::open(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let skip = file.metadata().await?.len().saturating_sub(TAIL_BYTES);
    file.seek(io::SeekFrom::Start(skip)).await?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).await?;
    // The first line may have lost its beginning.
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().skip(usize::from(skip > 0)).map(str::to_owned).collect())
}

fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// A stream's unfinished line.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// Takes `bytes` in, gives whole lines out. No bytes means the end: then what is left.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.extend_from_slice(bytes);
        let end = match self.0.iter().rposition(|b| *b == b'\n') {
            Some(at) => at + 1,
            None if bytes.is_empty() || self.0.len() > MAX_LINE => {
                if !self.0.is_empty() {
                    self.0.push(b'\n');
                }
                self.0.len()
            }
            None => 0,
        };
        self.0.drain(..end).collect()
    }
}

struct Log {
    path: PathBuf,
    /// The file as it was opened, and when it was last seen to be the one at `path`.
    open: Option<(File, u64, Instant)>,
    /// Lines left out since it could be written, and when to try again.
    missed: u64,
    again: Option<Instant>,
}

impl Log {
    fn new(path: PathBuf) -> Self {
        Self { path, open: None, missed: 0, again: None }
    }

    /// Writes whole lines, or counts them where that cannot be.
    async fn keep(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        if self.again.is_some_and(|again| Instant::now() < again) {
            self.missed += count;
            return;
        }
        match self.write(lines).await {
            Ok(()) => self.again = None,
            Err(error) => {
                if self.again.is_none() {
                    let path = self.path.display();
                    tracing::warn!(
                        "failed to write the log {path} of a kernel: {error}; lines are left out until it can be written"
                    );
                }
                self.missed += count;
                self.open = None;
                self.again = Some(Instant::now() + AGAIN);
            }
        }
    }

    async fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut lines = Cow::from(lines);
        if self.missed > 0 {
            let note =
                format!("[{} lines were left out here, as the log could not be written]\n", self.missed);
            lines = [note.as_bytes(), &lines].concat().into();
        }
        let (mut file, mut size, mut seen) = match self.open.take() {
            Some(open) => open,
            None => self.reopen().await?,
        };
        if seen.elapsed() >= LOOK {
            // Removed, or moved away by whoever rotates logs: what is written into it then is read by nobody.
            (file, size, seen) = match is_at(&file, &self.path).await? {
                true => (file, size, Instant::now()),
                false => self.reopen().await?,
            };
        }
        if size + lines.len() as u64 > MAX_BYTES {
            fs::rename(&self.path, previous(&self.path)).await?;
            (file, size, seen) = self.reopen().await?;
        }
        file.write_all(&lines).await?;
        file.flush().await?;
        self.missed = 0;
        self.open = Some((file, size + lines.len() as u64, seen));
        Ok(())
    }

    async fn reopen(&self) -> io::Result<(File, u64, Instant)> {
        let mut how = OpenOptions::new();
        how.create(true).append(true);
        let file = match how.open(&self.path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(dir) = self.path.parent() {
                    fs::create_dir_all(dir).await?;
                }
                how.open(&self.path).await?
            }
            opened => opened?,
        };
        let size = file.metadata().await?.len();
        Ok((file, size, Instant::now()))
    }
}

/// Whether `path` leads to `file`.
async fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata().await?;
    match fs::metadata(path).await {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_readable_and_the_disk_is_never_filled() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path(), "k", 0);
        let line = format!("{}\n", "x".repeat(1023));
        let text = line.repeat(12 * 1024) + "last\nunfinished";
        copy(path.clone(), text.as_bytes(), &b"oops\n"[..]).await;
        let tail = tail(&path, 100).await.unwrap();
        assert_eq!(tail.len(), 100);
        assert!(
            tail.iter().any(|line| line == "last") && tail.iter().any(|line| line == "unfinished"),
            "{tail:?}"
        );
        let size: u64 =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= 2 * MAX_BYTES && size > MAX_BYTES, "{size}");
    }

    #[tokio::test]
    async fn a_log_that_was_removed_moved_away_or_could_not_be_written_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let path = path(&logs, "k", 0);
        let (mut say, out) = tokio::io::duplex(1024);
        let copying = tokio::spawn(copy(path.clone(), out, tokio::io::empty()));
        let text = || std::fs::read_to_string(&path).unwrap_or_default();
        let n = std::cell::Cell::new(0);
        // Says something until it is there, as a kernel does that lives on.
        let mut until = async |what: &dyn Fn(&str) -> bool| {
            for _ in 0..1_000 {
                n.set(n.get() + 1);
                say.write_all(format!("line {}\n", n.get()).as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
                if what(&text()) {
                    return;
                }
            }
            panic!("the log does not go on: {}", text());
        };
        until(&|text| text.contains("line 1\n")).await;
        std::fs::remove_file(&path).unwrap();
        until(&|text| !text.is_empty() && !text.contains("line 1\n")).await;
        std::fs::rename(&path, dir.path().join("rotated")).unwrap();
        until(&|text| !text.is_empty()).await;
        std::fs::remove_dir_all(&logs).unwrap();
        until(&|text| !text.is_empty()).await;
        // Something is in the way.
        std::fs::remove_dir_all(&logs).unwrap();
        std::fs::write(&logs, "").unwrap();
        let begun = n.get();
        until(&|_| n.get() > begun + 50).await;
        std::fs::remove_file(&logs).unwrap();
        until(&|text| text.contains("lines were left out here")).await;
        drop(say);
        copying.await.unwrap();
        assert!(text().ends_with(&format!("line {}\n", n.get())), "{}", text());
    }

    #[test]
    fn a_line_without_end_does_not_grow_without_end() {
        let mut lines = Lines::default();
        assert!(lines.take(&[b'x'; MAX_LINE]).is_empty());
        assert_eq!(lines.take(b"y").len(), MAX_LINE + 2);
        assert!(lines.0.is_empty());
    }
}
