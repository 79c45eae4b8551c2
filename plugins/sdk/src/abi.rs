//! The C ABI between Paramedic and a plugin. `include/paramedic_plugin.h` is made from this file.
//!
//! A plugin is a shared library with one function, `paramedic_plugin_entry`, which gives a table. Everything else is
//! JSON in UTF-8. **Memory:** each side frees what it allocated, and nobody else does. Text that is handed over is lent
//! for the time of that call only; whoever wants it longer copies it. The table and the manifest must live as long as
//! the library.
//!
//! **Versions:** a host takes a plugin of the same major version. Tables only ever grow at their end, so each side reads
//! no more of the other's table than its `size` says. A plugin sets in `features` what it needs of the host; a host
//! that lacks one refuses it.

use std::ffi::c_char;

/// Version of the ABI: the major number in the upper 16 bits, the minor one in the lower.
pub const PARAMEDIC_ABI: u32 = 0x0001_0000;

/// Feature: the host takes log lines.
pub const PARAMEDIC_FEATURE_LOG: u64 = 1;

/// Feature: the host asks for dry runs.
pub const PARAMEDIC_FEATURE_DRY_RUN: u64 = 2;

/// Feature: the host asks for probes.
pub const PARAMEDIC_FEATURE_PROBE: u64 = 4;

/// Level of a log line: of interest to who works on the plugin.
pub const PARAMEDIC_LOG_DEBUG: u32 = 0;

/// Level of a log line: of interest to who operates it.
pub const PARAMEDIC_LOG_INFO: u32 = 1;

/// Level of a log line: odd, but it goes on.
pub const PARAMEDIC_LOG_WARNING: u32 = 2;

/// Level of a log line: something failed.
pub const PARAMEDIC_LOG_ERROR: u32 = 3;

/// What the host offers. Valid for as long as the library is loaded; its functions may be called from any thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ParamedicHost {
    /// Bytes of this table.
    pub size: u32,
    /// PARAMEDIC_ABI of the host.
    pub abi: u32,
    /// What the host can do: PARAMEDIC_FEATURE_…
    pub features: u64,
    /// Answers call number `call` with JSON: {"ok": …} or {"error": {"kind", "message", "retryable"}}. Once a call, and
    /// before `call` returns; a second or late answer is refused. Copies the text.
    pub reply: Option<unsafe extern "C" fn(call: u64, json: *const c_char, len: usize)>,
    /// Writes a line to the engine's log. Copies the text.
    pub log: Option<unsafe extern "C" fn(level: u32, text: *const c_char, len: usize)>,
}

/// What a plugin offers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ParamedicPlugin {
    /// Bytes of this table.
    pub size: u32,
    /// PARAMEDIC_ABI that the plugin was built with.
    pub abi: u32,
    /// What the plugin needs of the host: PARAMEDIC_FEATURE_…
    pub features: u64,
    /// JSON: {"name", "version", "doc", "actions": [{"name", "doc", "params", "result", "idempotent", "probe",
    /// "dry_run", "risk", "timeout_ms"}, …]}
    pub manifest: *const c_char,
    /// Bytes of the manifest.
    pub manifest_len: usize,
    /// Called once, before any call, with the plugin's own part of the configuration as JSON (`null` if there is none).
    /// 0 means that it can work; else it may have said why by `host->reply(0, …)`. May be NULL.
    pub start:
        Option<unsafe extern "C" fn(host: *const ParamedicHost, config: *const c_char, len: usize) -> i32>,
    /// Makes one call: {"op": "call" | "dry_run" | "probe", "action", "params", "context"}. Answers it by
    /// `host->reply(call, …)` before it returns. In its own process calls come one at a time; in process, from several
    /// threads at once.
    pub call: Option<unsafe extern "C" fn(call: u64, request: *const c_char, len: usize)>,
    /// Called once before the process ends in good order. May be NULL.
    pub stop: Option<unsafe extern "C" fn()>,
}

/// Name of the function that a library must export: `const paramedic_plugin *paramedic_plugin_entry(void)`.
pub const ENTRY: &str = "paramedic_plugin_entry";
