//! `paramedic __plugin`: the child process in which a plugin runs. It trusts the engine and nothing else.
//!
//! The channel comes as standard input and is taken out of the plugin's way before anything of it is loaded; what the
//! plugin prints goes to pipes that the engine reads as log lines. One call at a time, so a crash is that call's.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::abi::{self, Library, Notice};
use super::image::Image;
use super::wire::{self, Kind};

/// The hidden sub-command that leads here.
pub const COMMAND: &str = "__plugin";

/// Begins a line on standard error that the plugin asked to be logged; the digit after it is its level.
pub(super) const MARK: char = '\u{1}';

/// What the engine says first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Load {
    /// Where the library's content is.
    pub(super) path: PathBuf,
    /// What it must be.
    pub(super) sha256: String,
    /// Memory in bytes besides what this program has already.
    pub(super) memory: u64,
    /// The longest answer, in bytes.
    pub(super) output: usize,
    /// For the plugin.
    pub(super) config: Value,
}

/// Serves until the engine closes the channel; gives the exit code.
pub fn run() -> i32 {
    match serve() {
        Ok(()) => 0,
        Err(error) => {
            // Goes into the engine's log; nowhere else to complain if that fails.
            writeln!(io::stderr(), "paramedic: {error}").ok();
            1
        }
    }
}

fn serve() -> io::Result<()> {
    let mut channel = UnixStream::from(abi::take_stdin()?);
    abi::notices_to(tell);
    let mut content = Vec::new();
    let Some(head) = wire::read(&mut channel, &mut content)? else { return Ok(()) };
    if head.kind != Kind::Load {
        return Err(io::Error::other("the engine said something else than what to load"));
    }
    let load: Load = serde_json::from_slice(&content)?;
    let library = match begin(&load) {
        Ok(library) => library,
        Err(why) => return wire::write(&mut channel, Kind::Refused, 0, why.as_bytes()),
    };
    wire::write(&mut channel, Kind::Ready, 0, library.manifest().as_bytes())?;
    while let Some(head) = wire::read(&mut channel, &mut content)? {
        match library.call(&content, load.output) {
            Ok(answer) => wire::write(&mut channel, Kind::Answer, head.call, &answer)?,
            Err(wrong) => wire::write(&mut channel, Kind::Wrong, head.call, wrong.to_string().as_bytes())?,
        }
    }
    library.stop();
    Ok(())
}

fn begin(load: &Load) -> Result<Library, String> {
    let file = Image::take_exactly(&load.path, &load.sha256)?;
    bound(load.memory).map_err(|error| format!("its memory cannot be bounded: {error}"))?;
    let library = Library::load(file).map_err(|error| error.to_string())?;
    library.start(&load.config.to_string()).map_err(|error| error.to_string())?;
    Ok(library)
}

/// Bounds the memory to `more` bytes than there are now, and leaves no core files, in which secrets could lie.
fn bound(more: u64) -> io::Result<()> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let limit = pages * rustix::param::page_size() as u64 + more;
    let most = getrlimit(Resource::As).maximum.unwrap_or(u64::MAX);
    let limit = Some(limit.min(most));
    setrlimit(Resource::As, Rlimit { current: limit, maximum: limit })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Sends a notice as a marked line on standard error.
fn tell(notice: Notice) {
    let (level, text) = match notice {
        Notice::Log(level, text) => (level.min(3), text.replace(['\n', '\r'], " ")),
        Notice::Stray(call) => {
            (2, format!("an answer to call {call} came when it was over, or never was, and was dropped"))
        }
    };
    // One write, so that lines of several threads do not mix; it begins by ending what the plugin may have begun.
    io::stderr().write_all(format!("\n{MARK}{level}{text}\n").as_bytes()).ok();
}
