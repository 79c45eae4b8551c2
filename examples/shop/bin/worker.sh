#!/bin/sh
# Takes jobs out of run/queue, one a second. A job called `poison` cannot be done and blocks those behind it.
mkdir -p run/queue run/aside logs
say() { printf '{"topic":"shop.queue.%s","subject":"worker","data":{"kernel":"worker","job":"%s"}}\n' "$1" "$2" >>logs/shop.jsonl; }
while :; do
    date +%s >run/beat
    job=$(ls run/queue | head -n 1)
    case "$job" in
    poison*) say stuck "$job" ;;
    *) rm -f "run/queue/$job" 2>/dev/null; say moving "$job" ;;
    esac
    sleep 1
done
