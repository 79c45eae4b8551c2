//! A library in this process: loading it, asking for its table, calling it. The only raw pointers of the engine.
//!
//! A library is never unloaded: its thread-local destructors would run code that is gone. What a library does inside a
//! call cannot be contained here; that is what the child process is for.
#![expect(
    unsafe_code,
    reason = "a C ABI is raw pointers; they are touched here and nowhere else in the engine"
)]

use std::collections::HashMap;
use std::ffi::{OsStr, c_char};
use std::fs::File;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use paramedic_plugin::abi::{
    ENTRY, PARAMEDIC_ABI, PARAMEDIC_FEATURE_DRY_RUN, PARAMEDIC_FEATURE_LOG, PARAMEDIC_FEATURE_PROBE,
    ParamedicHost, ParamedicPlugin,
};

/// Why a library cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LoadError {
    #[error("it is no library that can be loaded: {0}")]
    NotALibrary(String),
    #[error("it is no Paramedic plugin: it does not export `{ENTRY}`")]
    NoEntry,
    #[error("its `{ENTRY}` gives no table; what it printed may say why")]
    NoTable,
    #[error("it was built for version {}.{} of the ABI, this Paramedic speaks {}.x: build it anew with the SDK of this version", .0 >> 16, .0 & 0xffff, PARAMEDIC_ABI >> 16)]
    Version(u32),
    #[error(
        "its table says that it is {0} bytes long, which is less than version 1.0 has ({1}): it is damaged, or does not set `size`"
    )]
    Short(u32, usize),
    #[error(
        "it needs what this Paramedic cannot do (features {0:#x}): use a newer Paramedic, or an older SDK"
    )]
    Features(u64),
    #[error("its table has no `{0}`")]
    Missing(&'static str),
    #[error("its manifest is not text in UTF-8")]
    Manifest,
    #[error("it does not start: {0}")]
    Start(String),
}

/// How a call went wrong that the plugin did not answer as it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    #[error("it came back without an answer")]
    Silent,
    #[error("it answered {0} times, so which answer holds is not known")]
    Often(u32),
    #[error("its answer is a null pointer")]
    Null,
    #[error("its answer is {0} bytes long, over the limit of {1} (`output` in the configuration)")]
    Long(usize, usize),
}

/// What a plugin does besides answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A line for the log, with its level.
    Log(u32, String),
    /// An answer to a call that is over, or never was.
    Stray(u64),
}

/// A library that was loaded.
pub(super) struct Library {
    table: ParamedicPlugin,
    manifest: String,
    _handle: ManuallyDrop<Handle>,
    /// Keeps the number of the descriptor, which is in the path that the loader knows it by, from being used again.
    _file: ManuallyDrop<File>,
}

// SAFETY: the pointers lead into the library, which is never unloaded, and the ABI says that they may be called from any
// thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// A call under way: where its answer goes.
struct Slot {
    answers: u32,
    limit: usize,
    answer: Result<Vec<u8>, CallError>,
}

/// Calls under way in this process, by number.
static CALLS: OnceLock<Mutex<HashMap<u64, Slot, ahash::RandomState>>> = OnceLock::new();

/// Numbers of calls; 0 is for starts.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Where notices go.
static NOTICES: OnceLock<fn(Notice)> = OnceLock::new();

/// Only one library starts at a time, as all of them answer under number 0.
static STARTING: Mutex<()> = Mutex::new(());

/// Longest log line that is taken.
const LONGEST_LINE: usize = 4 << 10;

static HOST: ParamedicHost = ParamedicHost {
    size: size_of::<ParamedicHost>() as u32,
    abi: PARAMEDIC_ABI,
    features: FEATURES,
    reply: Some(reply),
    log: Some(log),
};

const FEATURES: u64 = PARAMEDIC_FEATURE_LOG | PARAMEDIC_FEATURE_DRY_RUN | PARAMEDIC_FEATURE_PROBE;

/// Says once where notices go; until then nowhere.
pub(super) fn notices_to(sink: fn(Notice)) {
    NOTICES.get_or_init(|| sink);
}

/// Takes the standard input as a descriptor of its own, out of the way of a plugin, and leaves nothing in its place.
/// Every other descriptor that the engine itself may have inherited is closed. To be called first in the process.
pub(super) fn take_stdin() -> io::Result<OwnedFd> {
    let names = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let open: Vec<i32> = names.filter(|fd| *fd > 2).collect();
    for fd in open {
        // SAFETY: nothing has been opened in this process yet, so nothing owns it; closed already (as the one that the
        // folder was read through) is as good, and is not closed by this.
        if rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(fd) }).is_ok() {
            // SAFETY: as above.
            unsafe { rustix::io::close(fd) };
        }
    }
    let taken = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 100)?;
    let null = File::open("/dev/null")?;
    // SAFETY: descriptor 0 stays open: it is replaced, and never closed through this value.
    let mut stdin = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(0) });
    rustix::io::dup2(&null, &mut stdin)?;
    Ok(taken)
}

impl Library {
    /// Loads the library whose content is `file`. This runs its constructors.
    pub(super) fn load(file: File) -> Result<Self, LoadError> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: loading runs code of the library, which is what was asked for: the operator named it.
        let handle = unsafe { Handle::open(Some(OsStr::new(&path)), RTLD_NOW | RTLD_LOCAL) };
        let handle =
            handle.map_err(|error| LoadError::NotALibrary(said(&error).replace(&path, "the file")))?;
        let (handle, file) = (ManuallyDrop::new(handle), ManuallyDrop::new(file));
        // SAFETY: a function of this name has this type; the header says so.
        let entry =
            unsafe { handle.get::<unsafe extern "C" fn() -> *const ParamedicPlugin>(ENTRY.as_bytes()) };
        let entry = entry.map_err(|_| LoadError::NoEntry)?;
        // SAFETY: as above; the table lives as long as the library.
        let (table, manifest) = unsafe { read_table(entry()) }?;
        Ok(Self { table, manifest, _handle: handle, _file: file })
    }

    /// What it says of itself, as JSON.
    pub(super) fn manifest(&self) -> &str {
        &self.manifest
    }

    /// Starts it with its part of the configuration, as JSON.
    pub(super) fn start(&self, config: &str) -> Result<(), LoadError> {
        let Some(start) = self.table.start else { return Ok(()) };
        let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let (code, slot) = under(0, LONGEST_LINE, || {
            // SAFETY: the table was checked; host and text outlive the call.
            unsafe { start(&raw const HOST, config.as_ptr().cast(), config.len()) }
        });
        if code == 0 {
            return Ok(());
        }
        let why = slot.answer.ok().filter(|_| slot.answers > 0).and_then(|text| {
            let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
            Some(value["error"]["message"].as_str()?.to_owned())
        });
        Err(LoadError::Start(why.unwrap_or_else(|| format!("its `start` gives {code} and does not say why"))))
    }

    /// Makes a call and gives the answer, at most `limit` bytes, as the plugin gave it.
    pub(super) fn call(&self, request: &[u8], limit: usize) -> Result<Vec<u8>, CallError> {
        // It was checked when it was loaded.
        let Some(call) = self.table.call else { return Err(CallError::Silent) };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let ((), slot) = under(number, limit, || {
            // SAFETY: the table was checked; the text outlives the call.
            unsafe { call(number, request.as_ptr().cast(), request.len()) }
        });
        match slot.answers {
            0 => Err(CallError::Silent),
            1 => slot.answer,
            n => Err(CallError::Often(n)),
        }
    }

    /// Tells it that the process ends.
    pub(super) fn stop(&self) {
        if let Some(stop) = self.table.stop {
            // SAFETY: the table was checked.
            unsafe { stop() }
        }
    }
}

/// # Safety
/// `table` must be null or point to a table, as the header says.
unsafe fn read_table(table: *const ParamedicPlugin) -> Result<(ParamedicPlugin, String), LoadError> {
    /// What every version begins with, and the length of version 1.0.
    const LEAST: usize = size_of::<ParamedicPlugin>();
    if table.is_null() || !table.is_aligned() {
        return Err(LoadError::NoTable);
    }
    // SAFETY: every version begins with these two.
    let (size, abi) = unsafe { ((&raw const (*table).size).read(), (&raw const (*table).abi).read()) };
    if abi >> 16 != PARAMEDIC_ABI >> 16 {
        return Err(LoadError::Version(abi));
    }
    if (size as usize) < LEAST {
        return Err(LoadError::Short(size, LEAST));
    }
    let mut own = MaybeUninit::<ParamedicPlugin>::zeroed();
    // SAFETY: the table has at least `LEAST` bytes, and all of them zero would be a table without functions.
    let own = unsafe {
        std::ptr::copy_nonoverlapping(table.cast::<u8>(), own.as_mut_ptr().cast(), LEAST);
        own.assume_init()
    };
    if own.features & !FEATURES != 0 {
        return Err(LoadError::Features(own.features & !FEATURES));
    }
    if own.call.is_none() {
        return Err(LoadError::Missing("call"));
    }
    if own.manifest.is_null() || own.manifest_len == 0 {
        return Err(LoadError::Missing("manifest"));
    }
    // SAFETY: the header says that the manifest is this long.
    let manifest = unsafe { std::slice::from_raw_parts(own.manifest.cast::<u8>(), own.manifest_len) };
    let manifest = std::str::from_utf8(manifest).map_err(|_| LoadError::Manifest)?;
    Ok((own, manifest.to_owned()))
}

/// Runs `f` while call `number` is under way.
fn under<T>(number: u64, limit: usize, f: impl FnOnce() -> T) -> (T, Slot) {
    let slot = Slot { answers: 0, limit, answer: Err(CallError::Silent) };
    calls(|calls| calls.insert(number, slot));
    let given = f();
    let slot = calls(|calls| calls.remove(&number));
    (given, slot.unwrap_or(Slot { answers: 0, limit, answer: Err(CallError::Silent) }))
}

fn calls<T>(f: impl FnOnce(&mut HashMap<u64, Slot, ahash::RandomState>) -> T) -> T {
    let calls = CALLS.get_or_init(Mutex::default);
    f(&mut calls.lock().unwrap_or_else(PoisonError::into_inner))
}

unsafe extern "C" fn reply(call: u64, json: *const c_char, len: usize) {
    let known = calls(|calls| {
        let Some(slot) = calls.get_mut(&call) else { return false };
        slot.answers = slot.answers.saturating_add(1);
        if slot.answers == 1 {
            slot.answer = match (json.is_null(), len > slot.limit) {
                (true, _) => Err(CallError::Null),
                (false, true) => Err(CallError::Long(len, slot.limit)),
                // SAFETY: the header says that the text is this long.
                (false, false) => Ok(unsafe { std::slice::from_raw_parts(json.cast::<u8>(), len) }.to_vec()),
            };
        }
        true
    });
    if !known {
        notice(Notice::Stray(call));
    }
}

unsafe extern "C" fn log(level: u32, text: *const c_char, len: usize) {
    if text.is_null() {
        return;
    }
    // SAFETY: the header says that the text is this long; less of it is read.
    let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len.min(LONGEST_LINE)) };
    notice(Notice::Log(level, String::from_utf8_lossy(text).into_owned()));
}

fn notice(notice: Notice) {
    if let Some(sink) = NOTICES.get() {
        sink(notice);
    }
}

/// An error and what is behind it, in one line.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        text = format!("{text}: {error}");
        behind = error.source();
    }
    text
}
