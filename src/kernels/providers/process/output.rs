//! Runs a program to its end and keeps the beginning and the end of what it prints: why it failed mostly stands at one of
//! them.
//!
//! The end of the program is the end, not that of its pipes: a daemon that it leaves behind may hold those for years.
//! Start with [`Spawner::output`].

use std::collections::VecDeque;
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Launch, Spawner};

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Kept,
    /// What it printed to its standard error.
    pub stderr: Kept,
    /// The processes that it started, that left its process group and that live on, each as "process 7 (`name`)".
    pub left: Vec<String>,
}

/// What was kept of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its beginning and its end.
    pub text: String,
    /// Whether something between them was left out.
    pub cut: bool,
}

/// Bytes kept of the beginning of a stream, and as many of its end, if nobody wants more.
pub const EACH: usize = 32 * 1024;

/// How long the rest of the output may take after the end of the program.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How many pipes are read on for what was left behind. A daemon that prints into a pipe that nobody reads would hang, and
/// into a closed one would be ended; more of them than this are a mistake.
const READ_ON: usize = 64;

static READERS: Semaphore = Semaphore::const_new(READ_ON);

impl Spawner {
    /// Runs a program to its end and keeps `each` bytes of both ends of what it prints. Dropped before, it ends the program
    /// and all it has started.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn output(&self, launch: Launch, each: usize) -> io::Result<Output> {
        self.output_seen(launch, each, drop).await
    }

    /// The same; `begun` is given a way to see what it has printed so far, also after this was dropped.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub async fn output_seen(
        &self,
        launch: Launch,
        each: usize,
        begun: impl FnOnce(SoFar),
    ) -> io::Result<Output> {
        let mut running = self.start(Launch { capture: true, ..launch }).await?;
        let (out, err) = running.output().ok_or_else(|| io::Error::other("its output was not captured"))?;
        let (mut out, mut err) = (Reader::of(out, each), Reader::of(err, each));
        begun(SoFar { stdout: Arc::clone(&out.ends), stderr: Arc::clone(&err.ends) });
        let status = running.wait().await?;
        // What is left of its group was ended with it, so mostly the pipes have come to their end.
        let both = async { tokio::join!(out.end(), err.end()) };
        timeout(LAST_WORDS, both).await.ok();
        let left = running.left_behind().await;
        Ok(Output { status, stdout: out.kept(), stderr: err.kept(), left })
    }
}

/// What a program has printed so far.
pub struct SoFar {
    stdout: Arc<Mutex<Ends>>,
    stderr: Arc<Mutex<Ends>>,
}

impl SoFar {
    /// Its standard output and its standard error.
    pub fn read(&self) -> (Kept, Kept) {
        let kept = |ends: &Mutex<Ends>| ends.lock().unwrap_or_else(PoisonError::into_inner).kept();
        (kept(&self.stdout), kept(&self.stderr))
    }
}

/// Reads a pipe in the background, so that the program does not block.
struct Reader {
    ends: Arc<Mutex<Ends>>,
    task: Option<JoinHandle<()>>,
}

impl Reader {
    fn of(mut from: impl AsyncRead + Unpin + Send + 'static, each: usize) -> Self {
        let ends = Arc::new(Mutex::new(Ends::new(each)));
        let own = Arc::clone(&ends);
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 8 * 1024];
            // A pipe that breaks is at its end.
            while let Ok(n @ 1..) = from.read(&mut buffer).await {
                own.lock().unwrap_or_else(PoisonError::into_inner).add(&buffer[..n]);
            }
        });
        Self { ends, task: Some(task) }
    }

    /// Comes back at the end of the pipe.
    async fn end(&mut self) {
        if let Some(task) = &mut self.task {
            task.await.ok();
            self.task = None;
        }
    }

    /// What was read so far. If somebody holds the pipe, it is read on in the background, for nobody.
    fn kept(mut self) -> Kept {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = ends.kept();
        ends.close();
        drop(ends);
        if let Some(task) = self.task.take() {
            match READERS.try_acquire() {
                Ok(permit) => drop(tokio::spawn(async move {
                    task.await.ok();
                    drop(permit);
                })),
                Err(_) => task.abort(),
            }
        }
        kept
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Both ends of a stream.
struct Ends {
    each: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: usize,
    closed: bool,
}

impl Ends {
    fn new(each: usize) -> Self {
        Self { each, head: Vec::new(), tail: VecDeque::new(), left_out: 0, closed: false }
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let (first, rest) = bytes.split_at(bytes.len().min(self.each - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.each);
        self.tail.drain(..over);
        self.left_out += over;
    }

    fn kept(&self) -> Kept {
        let mut head = self.head.clone();
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.left_out == 0 {
            head.extend(tail);
            return Kept { text: String::from_utf8_lossy(&head).into_owned(), cut: false };
        }
        let (head, tail) = (String::from_utf8_lossy(&head), String::from_utf8_lossy(&tail));
        Kept { text: format!("{head}\n[… {} bytes left out …]\n{tail}", self.left_out), cut: true }
    }

    /// Nothing more is kept.
    fn close(&mut self) {
        *self = Self { closed: true, ..Self::new(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_long_text_are_kept() {
        for (size, cut) in
            [(0, false), (10, false), (2 * EACH, false), (2 * EACH + 1, true), (1_000_000, true)]
        {
            let text: Vec<u8> = (0..size).map(|i| if i + 1 == size { b'!' } else { b'x' }).collect();
            let mut ends = Ends::new(EACH);
            text.chunks(7_000).for_each(|part| ends.add(part));
            let kept = ends.kept();
            assert_eq!(kept.cut, cut, "{size}");
            assert!(size == 0 || kept.text.ends_with('!'));
            if cut {
                let left = size - 2 * EACH;
                assert!(kept.text.contains(&format!("\n[… {left} bytes left out …]\n")), "{size}");
            } else {
                assert_eq!(kept.text.len(), size);
            }
        }
    }
}
