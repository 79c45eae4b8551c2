/* The smallest plugin in C: one action that greets.
 *
 *   cc -std=c11 -Wall -Wextra -pedantic -shared -fPIC -I ../sdk/include -o libhello_c.so hello.c
 *
 * A real plugin would read its parameters with a JSON library. This one needs only one text, which the engine has
 * checked to be there, and passes it on as it came: still escaped, between its quotes. */
#include "paramedic_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char manifest[] =
    "{\"name\": \"hello-c\", \"version\": \"0.1.0\", \"doc\": \"Greets, as an example in C.\", \"actions\": [{"
    "\"name\": \"hello_c.greet\", \"doc\": \"Greets somebody.\","
    "\"params\": {\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"name\"],"
    " \"properties\": {\"name\": {\"type\": \"string\", \"minLength\": 1, \"description\": \"Whom to greet.\"}}},"
    "\"result\": {\"type\": \"object\", \"required\": [\"text\"],"
    " \"properties\": {\"text\": {\"type\": \"string\", \"description\": \"The greeting.\"}}},"
    "\"idempotent\": true, \"dry_run\": true, \"risk\": \"low\", \"timeout_ms\": 5000}]}";

/* Given at the start; valid for as long as the library is loaded. */
static const paramedic_host *host;

static int32_t start(const paramedic_host *given, const char *config, size_t len) {
    (void)config;
    (void)len;
    host = given;
    return 0;
}

static void answer(uint64_t call, const char *json) {
    host->reply(call, json, strlen(json));
}

/* The text that stands after `key` in the JSON `text`, without its quotes and still escaped; its length in `len`. */
static const char *field(const char *text, const char *key, size_t *len) {
    const char *at = strstr(text, key);
    const char *end;
    if (at == NULL || (at = strchr(at + strlen(key), '"')) == NULL) return NULL;
    for (end = ++at; *end != '\0' && *end != '"'; end++)
        if (*end == '\\' && end[1] != '\0') end++;
    *len = (size_t)(end - at);
    return at;
}

static void call(uint64_t number, const char *request, size_t len) {
    /* What is lent is not terminated: a copy is. */
    char *text = malloc(len + 1);
    char *reply = malloc(len + 64);
    const char *name;
    size_t n = 0;
    if (text == NULL || reply == NULL) {
        answer(number, "{\"error\": {\"kind\": \"failed\", \"message\": \"out of memory\", \"retryable\": true}}");
    } else {
        memcpy(text, request, len);
        text[len] = '\0';
        name = strstr(text, "\"params\":");
        name = name == NULL ? NULL : field(name, "\"name\":", &n);
        if (name == NULL)
            answer(number, "{\"error\": {\"kind\": \"invalid\", \"message\": \"`name` is missing\"}}");
        else if (strstr(text, "\"op\":\"dry_run\"") == text + 1) {
            sprintf(reply, "{\"ok\": \"would greet %.*s\"}", (int)n, name);
            answer(number, reply);
        } else {
            sprintf(reply, "{\"ok\": {\"text\": \"Hello, %.*s!\"}}", (int)n, name);
            answer(number, reply);
        }
    }
    free(text);
    free(reply);
}

static const paramedic_plugin table = {
    .size = sizeof(paramedic_plugin),
    .abi = PARAMEDIC_ABI,
    .features = PARAMEDIC_FEATURE_DRY_RUN,
    .manifest = manifest,
    .manifest_len = sizeof manifest - 1,
    .start = start,
    .call = call,
};

const paramedic_plugin *paramedic_plugin_entry(void) {
    return &table;
}
