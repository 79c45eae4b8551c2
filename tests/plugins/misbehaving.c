/* A plugin that does everything wrong, one thing a time: what `how` in the parameters says, or what it is built with.
 *
 * -DNAME=\"x\"      what its one action is called: x.do
 * -DVERSION=n      the version it says it was built for
 * -DFEATURES=n     what it needs of the host
 * -DSIZE=n         how long it says its table is
 * -DNO_TABLE, -DNO_CALL, -DNO_MANIFEST, -DNO_ENTRY
 * -DMANIFEST=\"…\" what it says of itself
 * -DAT_LOAD=how    what it does while it is loaded
 * -DTAG=\"…\"      part of each good answer; so that versions can be told apart */
#define _GNU_SOURCE
#include "paramedic_plugin.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef NAME
#define NAME "bad"
#endif
#ifndef VERSION
#define VERSION PARAMEDIC_ABI
#endif
#ifndef FEATURES
#define FEATURES PARAMEDIC_FEATURE_LOG
#endif
#ifndef SIZE
#define SIZE sizeof(paramedic_plugin)
#endif
#ifndef TAG
#define TAG "one"
#endif
#ifndef MANIFEST
#define MANIFEST                                                                                                       \
    "{\"name\": \"" NAME "\", \"version\": \"1.0.0\", \"doc\": \"Does everything wrong.\", \"actions\": [{\"name\": \""  \
    NAME ".do\", \"doc\": \"Does it.\", \"params\": {\"type\": \"object\"}, \"result\": {}, \"idempotent\": false,"     \
    " \"timeout_ms\": 2000}, {\"name\": \"" NAME ".again\", \"doc\": \"Does it.\", \"params\": {\"type\": \"object\"},"  \
    " \"result\": {}, \"idempotent\": true, \"timeout_ms\": 2000}]}"
#endif

static const paramedic_host *host;
static uint64_t last;
static int calls;

static void answer(uint64_t call, const char *json) {
    host->reply(call, json, strlen(json));
}

static void *late(void *unused) {
    (void)unused;
    usleep(100 * 1000);
    answer(last, "{\"ok\": \"late\"}");
    return NULL;
}

static void *late_crash(void *unused) {
    (void)unused;
    usleep(50 * 1000);
    abort();
    return NULL;
}

static int overflow(int n) {
    volatile char big[4096];
    big[n % 4096] = (char)n;
    return overflow(n + 1) + big[0];
}

static void wrong(uint64_t call, const char *how) {
    pthread_t thread;
    char reply[256];
    calls++;
    if (strcmp(how, "segfault") == 0) *(volatile int *)8 = 1;
    if (strcmp(how, "abort") == 0) abort();
    if (strcmp(how, "exit") == 0) exit(3);
    if (strcmp(how, "exit_fine") == 0) _exit(0);
    if (strcmp(how, "kill") == 0) kill(getpid(), 9);
    if (strcmp(how, "stop") == 0) kill(getpid(), 19);
    if (strcmp(how, "overflow") == 0) overflow(1);
    if (strcmp(how, "loop") == 0)
        for (;;) calls++;
    if (strcmp(how, "hang") == 0)
        for (;;) pause();
    if (strcmp(how, "allocate") == 0) {
        /* 2 GiB, each page touched. */
        char *all = malloc((size_t)2 << 30);
        if (all == NULL) {
            answer(call, "{\"error\": {\"kind\": \"failed\", \"message\": \"no memory was given\"}}");
            return;
        }
        memset(all, 1, (size_t)2 << 30);
    }
    if (strcmp(how, "leak") == 0)
        for (;;) memset(malloc(1 << 20), 1, 1 << 20);
    if (strcmp(how, "print") == 0) {
        int i;
        for (i = 0; i < 20000; i++) printf("garbage %d \x1b[31m{\"ok\": \"fake\"}\n", i);
        fflush(stdout);
        fprintf(stderr, "%s", "no end of line");
    }
    if (strcmp(how, "scribble") == 0) {
        /* Writes over every descriptor that it can find, the channel among them. */
        int fd;
        for (fd = 3; fd < 256; fd++)
            if (write(fd, "Hello, I am garbage and no frame at all", 39) < 0) continue;
    }
    if (strcmp(how, "forge") == 0) {
        /* A well-formed answer to another call. */
        static const char frame[] = "\x05\0\0\0\x05\0\0\0\x63\0\0\0\0\0\0\0false";
        int fd;
        for (fd = 3; fd < 256; fd++)
            if (write(fd, frame, sizeof frame - 1) < 0) continue;
        pause();
    }
    if (strcmp(how, "close") == 0) {
        int fd;
        for (fd = 3; fd < 256; fd++) close(fd);
    }
    if (strcmp(how, "silent") == 0) return;
    if (strcmp(how, "late") == 0) {
        last = call;
        pthread_create(&thread, NULL, late, NULL);
        return;
    }
    if (strcmp(how, "late_crash") == 0) pthread_create(&thread, NULL, late_crash, NULL);
    if (strcmp(how, "twice") == 0) answer(call, "{\"ok\": 1}");
    if (strcmp(how, "null") == 0) {
        host->reply(call, NULL, 100);
        return;
    }
    if (strcmp(how, "not_json") == 0) {
        answer(call, "well done!");
        return;
    }
    if (strcmp(how, "not_utf8") == 0) {
        answer(call, "{\"ok\": \"\xff\xfe\"}");
        return;
    }
    if (strcmp(how, "not_answer") == 0) {
        answer(call, "{\"fine\": true}");
        return;
    }
    if (strcmp(how, "huge") == 0) {
        size_t n = (size_t)16 << 20;
        char *all = malloc(n);
        if (all != NULL) {
            memset(all, ' ', n);
            host->reply(call, all, n);
            free(all);
            return;
        }
    }
    if (strcmp(how, "slow") == 0) usleep(500 * 1000);
    if (strcmp(how, "slower") == 0) usleep(1500 * 1000);
    if (strcmp(how, "env") == 0) {
        snprintf(reply, sizeof reply, "{\"ok\": \"%s|%s\"}", getenv("PARAMEDIC_TOKEN") ? "token" : "none",
                 getenv("CANARY") ? "canary" : "none");
        answer(call, reply);
        return;
    }
    if (strcmp(how, "descriptors") == 0) {
        int fd, n = 0;
        for (fd = 3; fd < 4096; fd++)
            if (lseek(fd, 0, SEEK_CUR) >= 0 || dup2(fd, fd) >= 0) n++;
        snprintf(reply, sizeof reply, "{\"ok\": %d}", n);
        answer(call, reply);
        return;
    }
    if (strcmp(how, "child") == 0) {
        /* Leaves a child of its own behind. */
        pid_t pid = fork();
        if (pid == 0)
            for (;;) pause();
        snprintf(reply, sizeof reply, "{\"ok\": %d}", (int)pid);
        answer(call, reply);
        return;
    }
    if (strcmp(how, "log") == 0) host->log(PARAMEDIC_LOG_WARNING, "a line\nfor the log", 18);
    snprintf(reply, sizeof reply, "{\"ok\": \"%s %d %d\"}", TAG, (int)getpid(), calls);
    answer(call, reply);
}

static void call(uint64_t number, const char *request, size_t len) {
    char how[64] = "";
    const char *at = memmem(request, len, "\"how\":\"", 7);
    if (at != NULL) {
        size_t n = 0;
        for (at += 7; n < sizeof how - 1 && at[n] != '"'; n++) how[n] = at[n];
        how[n] = '\0';
    }
    wrong(number, how);
}

static int32_t start(const paramedic_host *given, const char *config, size_t len) {
    host = given;
    if (memmem(config, len, "refuse", 6) != NULL) {
        answer(0, "{\"error\": {\"kind\": \"invalid\", \"message\": \"I do not like this configuration\"}}");
        return 1;
    }
    if (memmem(config, len, "fail", 4) != NULL) return 7;
    if (memmem(config, len, "linger", 6) != NULL)
        for (;;) pause();
    return 0;
}

#ifdef AT_LOAD
__attribute__((constructor)) static void at_load(void) {
    wrong(0, AT_LOAD);
}
#endif

static const char manifest[] = MANIFEST;

__attribute__((unused)) static paramedic_plugin table = {
    .size = SIZE,
    .abi = VERSION,
    .features = FEATURES,
#ifndef NO_MANIFEST
    .manifest = manifest,
#endif
    .manifest_len = sizeof manifest - 1,
    .start = start,
#ifndef NO_CALL
    .call = call,
#endif
};

#ifndef NO_ENTRY
const paramedic_plugin *paramedic_plugin_entry(void) {
#ifdef NO_TABLE
    return NULL;
#else
    return &table;
#endif
}
#else
const paramedic_plugin *another_entry(void) {
    return &table;
}
#endif
