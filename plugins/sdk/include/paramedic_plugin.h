/* Made from plugins/sdk/src/abi.rs; a test compares the two. Do not edit.
 *
 * A plugin is a shared library with one function, paramedic_plugin_entry, which gives a table. Everything else is
 * JSON in UTF-8. Memory: each side frees what it allocated, and nobody else does. Text that is handed over is lent
 * for the time of that call only; whoever wants it longer copies it. The table and the manifest must live as long as
 * the library.
 *
 * Versions: a host takes a plugin of the same major version. Tables only ever grow at their end, so each side reads
 * no more of the other's table than its size says. A plugin sets in features what it needs of the host; a host
 * that lacks one refuses it.
 */
#ifndef PARAMEDIC_PLUGIN_H
#define PARAMEDIC_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the ABI: the major number in the upper 16 bits, the minor one in the lower. */
#define PARAMEDIC_ABI UINT32_C(0x00010000)

/* Feature: the host takes log lines. */
#define PARAMEDIC_FEATURE_LOG UINT64_C(1)

/* Feature: the host asks for dry runs. */
#define PARAMEDIC_FEATURE_DRY_RUN UINT64_C(2)

/* Feature: the host asks for probes. */
#define PARAMEDIC_FEATURE_PROBE UINT64_C(4)

/* Level of a log line: of interest to who works on the plugin. */
#define PARAMEDIC_LOG_DEBUG UINT32_C(0)

/* Level of a log line: of interest to who operates it. */
#define PARAMEDIC_LOG_INFO UINT32_C(1)

/* Level of a log line: odd, but it goes on. */
#define PARAMEDIC_LOG_WARNING UINT32_C(2)

/* Level of a log line: something failed. */
#define PARAMEDIC_LOG_ERROR UINT32_C(3)

/* What the host offers. Valid for as long as the library is loaded; its functions may be called from any thread. */
typedef struct paramedic_host {
    /* Bytes of this table. */
    uint32_t size;
    /* PARAMEDIC_ABI of the host. */
    uint32_t abi;
    /* What the host can do: PARAMEDIC_FEATURE_… */
    uint64_t features;
    /* Answers call number call with JSON: {"ok": …} or {"error": {"kind", "message", "retryable"}}. Once a call, and
       before call returns; a second or late answer is refused. Copies the text. */
    void (*reply)(uint64_t call, const char *json, size_t len);
    /* Writes a line to the engine's log. Copies the text. */
    void (*log)(uint32_t level, const char *text, size_t len);
} paramedic_host;

/* What a plugin offers. */
typedef struct paramedic_plugin {
    /* Bytes of this table. */
    uint32_t size;
    /* PARAMEDIC_ABI that the plugin was built with. */
    uint32_t abi;
    /* What the plugin needs of the host: PARAMEDIC_FEATURE_… */
    uint64_t features;
    /* JSON: {"name", "version", "doc", "actions": [{"name", "doc", "params", "result", "idempotent", "probe",
       "dry_run", "risk", "timeout_ms"}, …]} */
    const char *manifest;
    /* Bytes of the manifest. */
    size_t manifest_len;
    /* Called once, before any call, with the plugin's own part of the configuration as JSON (null if there is none).
       0 means that it can work; else it may have said why by host->reply(0, …). May be NULL. */
    int32_t (*start)(const paramedic_host *host, const char *config, size_t len);
    /* Makes one call: {"op": "call" | "dry_run" | "probe", "action", "params", "context"}. Answers it by
       host->reply(call, …) before it returns. In its own process calls come one at a time; in process, from several
       threads at once. */
    void (*call)(uint64_t call, const char *request, size_t len);
    /* Called once before the process ends in good order. May be NULL. */
    void (*stop)(void);
} paramedic_plugin;

/* What a library must export. */
const paramedic_plugin *paramedic_plugin_entry(void);

#ifdef __cplusplus
}
#endif

#endif
