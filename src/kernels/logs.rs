//! What kernels print, kept in bounded files: one a replica, and the one before it.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Largest log file; when it is full it becomes `.1` and a new one begins.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How much of the end of a file is looked at for its last lines.
const TAIL_BYTES: u64 = 256 * 1024;

/// A longer line is cut in parts.
const MAX_LINE: usize = 16 * 1024;

/// Where replica `index` of `kernel` logs.
pub(super) fn path(dir: &Path, kernel: &str, index: u32) -> PathBuf {
    dir.join(format!("{kernel}.{index}.log"))
}

/// Copies both streams into the file at `path` until both end. Lines stay whole.
pub(super) async fn copy(
    path: PathBuf,
    mut out: impl AsyncRead + Unpin,
    mut err: impl AsyncRead + Unpin,
) -> io::Result<()> {
    let mut log = Log::open(path).await?;
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
        log.write(&lines.take(bytes)).await?;
    }
    Ok(())
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
    file: File,
    size: u64,
}

impl Log {
    async fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path).await?;
        let size = file.metadata().await?.len();
        Ok(Self { path, file, size })
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.size + bytes.len() as u64 > MAX_BYTES {
            fs::rename(&self.path, previous(&self.path)).await?;
            *self = Self::open(std::mem::take(&mut self.path)).await?;
        }
        self.file.write_all(bytes).await?;
        self.file.flush().await?;
        self.size += bytes.len() as u64;
        Ok(())
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
        copy(path.clone(), text.as_bytes(), &b"oops\n"[..]).await.unwrap();
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

    #[test]
    fn a_line_without_end_does_not_grow_without_end() {
        let mut lines = Lines::default();
        assert!(lines.take(&[b'x'; MAX_LINE]).is_empty());
        assert_eq!(lines.take(b"y").len(), MAX_LINE + 2);
        assert!(lines.0.is_empty());
    }
}
