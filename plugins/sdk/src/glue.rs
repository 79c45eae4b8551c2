//! Between [`crate::Plugin`] and the C ABI: the only file of the SDK with `unsafe`. No panic leaves it.
#![expect(unsafe_code, reason = "a C ABI is raw pointers; they are touched here and nowhere else in the SDK")]

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

use crate::Failure;
use crate::abi::{
    PARAMEDIC_ABI, PARAMEDIC_FEATURE_DRY_RUN, PARAMEDIC_FEATURE_LOG, PARAMEDIC_FEATURE_PROBE, ParamedicHost,
    ParamedicPlugin,
};
use crate::message::{Answer, Level};
use crate::plugin::Serve;

/// What this library exports, made at the first look.
static EXPORTED: OnceLock<Exported> = OnceLock::new();

/// What the host offers, copied at the start.
static HOST: OnceLock<ParamedicHost> = OnceLock::new();

struct Exported {
    plugin: Box<dyn Serve>,
    /// What `table.manifest` points to.
    _manifest: String,
    table: ParamedicPlugin,
}

// SAFETY: the pointer in the table is to the manifest beside it, which never changes.
unsafe impl Send for Exported {}
// SAFETY: as above.
unsafe impl Sync for Exported {}

/// The table of the plugin that `make` gives; null if that panics.
pub fn entry<P: Serve + 'static>(make: impl FnOnce() -> P) -> *const ParamedicPlugin {
    let export = || {
        let plugin = make();
        let manifest = plugin.manifest();
        let table = ParamedicPlugin {
            size: size_of::<ParamedicPlugin>() as u32,
            abi: PARAMEDIC_ABI,
            features: PARAMEDIC_FEATURE_LOG | PARAMEDIC_FEATURE_DRY_RUN | PARAMEDIC_FEATURE_PROBE,
            manifest: manifest.as_ptr().cast(),
            manifest_len: manifest.len(),
            start: Some(start),
            call: Some(call),
            stop: None,
        };
        Exported { plugin: Box::new(plugin), _manifest: manifest, table }
    };
    catch_unwind(AssertUnwindSafe(|| ptr::from_ref(&EXPORTED.get_or_init(export).table)))
        .unwrap_or(ptr::null())
}

/// Writes a line to the engine's log; to standard error where there is no engine, as in a test.
pub fn log(level: Level, text: &str) {
    let Some(log) = HOST.get().and_then(|host| host.log) else {
        eprintln!("{level:?}: {text}");
        return;
    };
    // SAFETY: the host takes this from any thread, and copies the text.
    unsafe { log(level as u32, text.as_ptr().cast(), text.len()) }
}

unsafe extern "C" fn start(host: *const ParamedicHost, config: *const c_char, len: usize) -> i32 {
    let Some(exported) = EXPORTED.get() else { return 2 };
    // SAFETY: the host's table is at least as long as that of this major version, and the text is lent for this call.
    let (host, config) = unsafe { (*host, bytes(config, len)) };
    let host = HOST.get_or_init(|| host);
    let Err(failure) = catch_unwind(AssertUnwindSafe(|| exported.plugin.start(config)))
        .unwrap_or_else(|_| Err(Failure::new("panic", "the start of the plugin panicked")))
    else {
        return 0;
    };
    let answer = serde_json::to_vec(&Answer::<()>::Error(failure)).unwrap_or_default();
    reply(host, 0, &answer);
    1
}

unsafe extern "C" fn call(call: u64, request: *const c_char, len: usize) {
    let (Some(exported), Some(host)) = (EXPORTED.get(), HOST.get()) else { return };
    // SAFETY: the text is lent for this call.
    let request = unsafe { bytes(request, len) };
    // It catches panics itself; this is for one in between.
    let answer = catch_unwind(AssertUnwindSafe(|| exported.plugin.answer(request))).unwrap_or_default();
    reply(host, call, &answer);
}

fn reply(host: &ParamedicHost, call: u64, answer: &[u8]) {
    if let Some(reply) = host.reply {
        // SAFETY: the host copies the text.
        unsafe { reply(call, answer.as_ptr().cast(), answer.len()) }
    }
}

/// # Safety
/// `data` must be readable for `len` bytes for as long as the result is used, or null.
unsafe fn bytes<'a>(data: *const c_char, len: usize) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: the caller says so.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}
