//! What keys are called elsewhere, and what they are called here; and keys that belong somewhere else.

use crate::model::diagnostic::nearest;

/// What is known of a key that is none.
pub struct Advice {
    /// The key of this place that was meant, where that is certain enough not to miss it too.
    pub meant: Option<String>,
    /// What to do.
    pub help: String,
}

/// One place in a rule file: what it is called, words of other tools for keys of it, and keys of other places with
/// what to write.
struct Place {
    what: &'static str,
    words: &'static [(&'static str, &'static [&'static str])],
    elsewhere: &'static [(&'static [&'static str], &'static str)],
}

const PLACES: &[Place] = &[
    Place {
        what: "a rule",
        words: &[
            ("name", &["id", "alert", "title", "rule"]),
            ("description", &["desc", "summary", "comment", "annotations", "documentation"]),
            ("on", &["trigger", "triggers", "topic", "topics", "event", "events", "sources", "subscribe"]),
            (
                "when",
                &[
                    "condition",
                    "conditions",
                    "if",
                    "expr",
                    "expression",
                    "where",
                    "filter",
                    "filters",
                    "match",
                    "matches",
                    "criteria",
                    "query",
                ],
            ),
            ("group_by", &["group", "key", "by", "dedup_key", "dedup", "fingerprint", "correlate_by"]),
            (
                "playbooks",
                &[
                    "playbook",
                    "action",
                    "actions",
                    "then",
                    "do",
                    "run",
                    "runs",
                    "run_playbook",
                    "remediation",
                    "remediations",
                    "handler",
                    "steps",
                    "workflow",
                    "job",
                ],
            ),
            ("params", &["args", "arguments", "parameters", "vars", "variables", "with", "input", "inputs"]),
            ("escalate", &["escalation", "notify", "notifications", "on_failure", "fallback", "else"]),
            ("priority", &["weight", "order"]),
            ("resolved", &["resolve", "recovered", "clear", "until", "recovery"]),
            ("verify", &["check", "checks", "success", "validate", "wait_for"]),
            ("schedule", &["cron", "every", "interval", "at"]),
            ("expire", &["ttl", "expires", "deadline"]),
        ],
        elsewhere: &[
            (&["disabled", "disable"], "write `enabled: false`"),
            (
                &["throttle", "debounce", "silence", "quiet", "suppress"],
                "to fire once and then be quiet, write pattern: { once_within: 5m }; to rest after a repair, guard: { cooldown: 5m }",
            ),
            (
                &["severity", "level", "urgency"],
                "how urgent it is stands under `intent`: intent: { priority: high }",
            ),
            (
                &["goal", "target", "domain", "fleet"],
                "it stands under `intent`, such as intent: { target: \"${data.host}\" }",
            ),
            (
                &["cooldown", "rate", "hold_down", "max_attempts", "ask_below", "blast_radius"],
                "it stands under `guard`, such as guard: { cooldown: 5m }",
            ),
            (&["retries", "max_retries", "attempts", "retry"], "write guard: { max_attempts: 3 }"),
            (
                &[
                    "count",
                    "within",
                    "all",
                    "any",
                    "sequence",
                    "absent",
                    "not",
                    "after",
                    "change",
                    "above",
                    "below",
                    "baseline",
                    "once_within",
                    "once_after",
                    "lateness",
                ],
                "it stands under `pattern`, such as pattern: { count: 3, within: 5m }",
            ),
            (&["threshold", "times", "window"], "write pattern: { count: 3, within: 5m }"),
            (
                &["for"],
                "what must last before anything is done stands under `guard`: guard: { hold_down: 5m }",
            ),
            (
                &["expect", "hold"],
                "it stands under `verify`, such as verify: { expect: kernel.healthy, within: 30s }",
            ),
            (&["to"], "it stands under `escalate`: escalate: [{ to: alert_operator }]"),
            (&["timezone", "tz"], "write schedule: { cron: \"30 2 * * *\", timezone: Europe/Berlin }"),
            (
                &["timeout"],
                "how long a run may take stands in the playbook's header; how long an intent may wait is `expire`",
            ),
            (&["approval", "approve", "confirm", "manual"], "write `mode: ask`"),
            (&["dry_run", "dryrun", "shadow", "test"], "write `mode: shadow`"),
            (&["continue"], "further rules see the event anyway; `stop: true` ends the row"),
            (
                &["labels", "tags", "metadata", "version", "author", "owner"],
                "a rule has nothing like it: a comment can say it",
            ),
        ],
    },
    Place {
        what: "a pattern",
        words: &[
            (
                "count",
                &["times", "threshold", "occurrences", "number", "n", "min_count", "at_least", "events"],
            ),
            (
                "within",
                &[
                    "window",
                    "in",
                    "period",
                    "duration",
                    "timeframe",
                    "timespan",
                    "over",
                    "during",
                    "interval",
                    "time",
                ],
            ),
            ("all", &["and", "join", "both"]),
            ("any", &["or", "one_of", "either"]),
            ("sequence", &["order", "ordered", "followed_by", "then", "steps"]),
            ("absent", &["missing", "silence", "silent", "no", "heartbeat", "deadman"]),
            ("expect", &["members", "expected", "of"]),
            ("not", &["unless", "without"]),
            ("change", &["deviation", "anomaly", "delta", "departs"]),
            ("above", &["factor", "more_than", "greater_than"]),
            ("below", &["less_than"]),
            ("baseline", &["usual", "reference", "normal"]),
            ("once_within", &["once", "throttle", "debounce", "cooldown", "dedup"]),
            ("once_after", &["collect", "batch", "accumulate"]),
            ("lateness", &["late", "allowed_lateness", "grace", "watermark"]),
        ],
        elsewhere: &[(&["on", "when", "group_by"], "it stands in the rule itself, not in its pattern")],
    },
    Place {
        what: "`guard`",
        words: &[
            ("hold_down", &["delay", "wait", "grace", "for"]),
            ("cooldown", &["throttle", "quiet", "debounce", "pause"]),
            ("rate", &["limit", "rate_limit", "max", "max_rate"]),
            ("max_attempts", &["retries", "max_retries", "attempts", "retry", "tries"]),
            ("ask_below", &["confidence", "approval", "ask", "min_confidence"]),
            ("blast_radius", &["max_share", "max_targets", "share"]),
        ],
        elsewhere: &[],
    },
    Place {
        what: "`verify`",
        words: &[
            ("expect", &["on", "topic", "event", "wait_for"]),
            ("when", &["condition", "if", "where", "filter"]),
            ("within", &["timeout", "deadline", "for", "in"]),
            ("hold", &["stable", "stable_for", "stays"]),
        ],
        elsewhere: &[],
    },
    Place {
        what: "a step of `escalate`",
        words: &[
            ("to", &["playbook", "run", "name", "action", "notify", "target"]),
            ("after", &["delay", "wait", "in", "timeout"]),
            ("params", &["args", "parameters", "with", "vars"]),
        ],
        elsewhere: &[(&["urgency", "severity"], "it stands under `params`: params: { urgency: high }")],
    },
    Place {
        what: "`resolved`",
        words: &[
            ("on", &["topic", "event", "events", "trigger", "expect"]),
            ("when", &["condition", "if", "where"]),
        ],
        elsewhere: &[],
    },
    Place {
        what: "`intent`",
        words: &[
            ("goal", &["title", "description", "name", "summary", "message"]),
            ("priority", &["urgency", "severity", "level"]),
            ("target", &["subject", "resource", "kernel", "host", "on"]),
            ("fleet", &["group", "pool"]),
            ("domain", &["category", "area", "type", "kind"]),
        ],
        elsewhere: &[],
    },
    Place {
        what: "`schedule`",
        words: &[
            ("cron", &["expression", "expr", "fields", "at", "every", "when"]),
            ("timezone", &["tz", "zone", "time_zone", "location", "in"]),
        ],
        elsewhere: &[],
    },
    Place {
        what: "a member",
        words: &[("on", &["topic", "event", "trigger"]), ("when", &["condition", "if", "where", "filter"])],
        elsewhere: &[(&["within", "for"], "the time stands in the pattern, not in its members")],
    },
];

/// What to say of `key`, which is none of the `known` keys of `what`.
pub fn advice(what: &str, key: &str, known: &[&str]) -> Advice {
    let plain = plain(key);
    let member = what.starts_with("a member") || what == "`not`" || what == "`after`";
    let what_here = if member { "a member" } else { what };
    if let Some(place) = PLACES.iter().find(|place| place.what == what_here) {
        if let Some((ours, _)) = place.words.iter().find(|(_, words)| words.contains(&plain.as_str()))
            && known.contains(ours)
        {
            let help = format!("that is called `{ours}` here");
            let near = nearest(&plain, [*ours]).is_some();
            let help = if near { format!("did you mean `{ours}`?") } else { help };
            return Advice { meant: Some((*ours).into()), help };
        }
        if let Some((_, help)) = place.elsewhere.iter().find(|(keys, _)| keys.contains(&plain.as_str())) {
            return Advice { meant: None, help: (*help).into() };
        }
    }
    match known
        .iter()
        .find(|known| **known == plain)
        .copied()
        .or_else(|| nearest(&plain, known.iter().copied()))
    {
        Some(near) => Advice { meant: Some(near.into()), help: format!("did you mean `{near}`?") },
        None => Advice { meant: None, help: format!("{what} knows {}", known.join(", ")) },
    }
}

/// The word of ours that `text`, a value of `what`, is elsewhere.
pub fn value(what: &str, text: &str) -> Option<&'static str> {
    let plain = plain(text);
    let words: &[(&str, &[&str])] = match what {
        "mode" => &[
            ("auto", &["automatic", "automatically", "enabled", "on", "active", "live"]),
            ("ask", &["manual", "approve", "approval", "confirm", "semi_automatic", "interactive"]),
            (
                "shadow",
                &["dry_run", "dryrun", "observe", "log", "log_only", "off", "disabled", "test", "simulate"],
            ),
        ],
        "priority" => &[
            ("low", &["info", "minor", "lowest"]),
            ("normal", &["medium", "default", "warning", "moderate"]),
            ("high", &["major", "error", "important"]),
            ("critical", &["urgent", "highest", "emergency", "fatal", "page", "p1"]),
        ],
        _ => &[],
    };
    words.iter().find(|(_, words)| words.contains(&plain.as_str())).map(|(ours, _)| *ours)
}

/// The key as it would be written here: `groupBy`, `Group-By` and `group by` are `group_by`.
fn plain(key: &str) -> String {
    let mut plain = String::with_capacity(key.len() + 2);
    let mut lower = false;
    for c in key.trim().chars() {
        if c.is_uppercase() && lower {
            plain.push('_');
        }
        lower = c.is_lowercase();
        plain.extend(if c == '-' || c == ' ' { '_' } else { c }.to_lowercase());
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_word_is_said_to_be_called_here_is_a_key_of_that_place() {
        for place in PLACES {
            let mut seen = Vec::new();
            for (ours, words) in place.words {
                for word in *words {
                    assert!(!seen.contains(word) && word != ours, "`{word}` stands twice in {}", place.what);
                    assert_eq!(plain(word), *word, "a word is written as a key would be");
                    seen.push(word);
                }
            }
            for word in place.elsewhere.iter().flat_map(|(words, _)| *words) {
                assert!(!seen.contains(word), "`{word}` stands twice in {}", place.what);
            }
        }
    }
}
