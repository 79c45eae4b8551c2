//! What playbooks can call and what they are given, described once: for editors and for the page on writing playbooks.
//!
//! Nothing here does anything. A test holds the table against [`super::host::FUNCTIONS`], so that neither can grow
//! without the other. Start with [`FUNCTIONS`].

/// A host function, described.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// What it is called.
    pub name: &'static str,
    /// Its parameters and what it gives, one form a number of arguments: `(name: type, …) -> type`.
    pub forms: &'static [&'static str],
    /// A call as people write it.
    pub example: &'static str,
    /// What it does: a first line, then details.
    pub doc: &'static str,
}

/// Every host function, in the order in which a newcomer meets them.
pub const FUNCTIONS: [Function; 14] = [
    Function {
        name: "act",
        forms: &[
            "(action: string, params: map) -> ?",
            "(action: string, params: map, options: ActOptions) -> ?",
        ],
        example: "act(\"kernel.restart\", #{ kernel: ctx.target })",
        doc: "Carries out an action that the header allows and gives its result.\n\
              A failure is thrown as `#{ kind, action, message, retryable }`, which `catch` can take.\n\
              Options: `timeout` (how long one try may take), `retries` (up to 20, only after failures that are \
              retryable), `backoff` (the pause before the first retry; it doubles, with some jitter), `key` (the \
              idempotency key, if the one made of run and step will not do).",
    },
    Function {
        name: "all",
        forms: &["(actions: [Wish]) -> array", "(actions: [Wish], options: AllOptions) -> array"],
        example: "all([#{ action: \"kernel.restart\", params: #{ kernel: \"a\" } }])",
        doc: "Carries out up to 100 actions side by side and gives their results in the same order.\n\
              The first failure is thrown once all have ended. With `#{ partial: true }` nothing is thrown: each \
              result is `#{ ok: true, result }` or `#{ ok: false, error }`.",
    },
    Function {
        name: "sleep",
        forms: &["(time: Time) -> ()"],
        example: "sleep(\"30s\")",
        doc: "Waits; the run holds no thread meanwhile, and a restart does not make it longer.",
    },
    Function {
        name: "wait_for",
        forms: &[
            "(topic: string, timeout: Time) -> ?",
            "(topic: string, when: ?, timeout: Time) -> ?",
            "(topic: string, when: ?, timeout: Time, options: WaitOptions) -> ?",
        ],
        example: "wait_for(\"telemetry.kernel.*\", \"data.kernel == target\", \"1m\")",
        doc: "Waits for an event of a topic such as `telemetry.kernel.*` and gives it, or `()` when the time is up.\n\
              `when` is a condition as in rules, such as `data.kernel == target`; `()` takes any event.\n\
              An event counts that arrived since the run began, so what an action causes is not missed, and each is \
              given once in a run. `#{ since: now() }` takes only what comes from now on.",
    },
    Function {
        name: "ask",
        forms: &[
            "(question: string, choices: array, timeout: Time) -> ?",
            "(question: string, choices: array, timeout: Time, options: AskOptions) -> ?",
        ],
        example: "ask(\"Restart it?\", [\"yes\", \"no\"], \"1h\")",
        doc: "Asks a person and gives the answer, one of up to 20 choices, or `()` when the time is up.\n\
              Without choices any text is an answer. With `#{ details: true }` it is `#{ answer, by, at }`.",
    },
    Function {
        name: "emit",
        forms: &["(topic: string, data: ?) -> ()"],
        example: "emit(\"shop.order.lost\", #{ order: 7 })",
        doc: "Sends an event, which rules and other runs see; it is sent once, whatever crashes.",
    },
    Function {
        name: "log",
        forms: &["(level: string, text: ?) -> ()"],
        example: "log(\"info\", \"all is well\")",
        doc: "Says something in the journal and the engine's log: `debug`, `info`, `warning` or `error`.",
    },
    Function {
        name: "metric",
        forms: &["(name: string, value: ?) -> ()"],
        example: "metric(\"orders.lost\", 7)",
        doc: "Measures something: a number under a name of letters, digits and `. _ - :`.",
    },
    Function {
        name: "now",
        forms: &["() -> string"],
        example: "now()",
        doc: "The time in UTC, such as `2026-01-31T12:00:00.000000Z`; kept in the journal, so a replay sees the same.",
    },
    Function {
        name: "random",
        forms: &["() -> float"],
        example: "random()",
        doc: "A number from 0 up to 1; kept in the journal, so a replay sees the same.",
    },
    Function {
        name: "uuid",
        forms: &["() -> string"],
        example: "uuid()",
        doc: "A random id; kept in the journal, so a replay sees the same.",
    },
    Function {
        name: "fail",
        forms: &["(message: ?) -> ()"],
        example: "fail(\"the disk is full\")",
        doc: "Gives up: throws a failure of the kind `failed` with this message.",
    },
    Function {
        name: "steps",
        forms: &["() -> int"],
        example: "steps()",
        doc: "How many steps the function has made so far; a run may make 5,000.",
    },
    Function {
        name: "continue_as_new",
        forms: &["(carried: ?) -> ()"],
        example: "continue_as_new(#{ done: 7 })",
        doc: "Goes on as a new run with an empty journal, which finds this value as `ctx.carried`; only in `run`.\n\
              Nothing after it is carried out.",
    },
];

/// What scripts are given, and the types that the forms name, in the language of definition files.
const TYPES: &str = r#"/// A length of time: "30s", "5m", "1h30m", or a number of seconds.
type Time = string | int | float;

/// What `act` may be told besides its parameters.
type ActOptions = #{
    /// How long one try may take; the action's own limit if not said.
    timeout: Time,
    /// How often to try again after a failure that is retryable, from 0 to 20.
    retries: int,
    /// The pause before the first retry; it doubles.
    backoff: Time,
    /// The idempotency key; one made of run and step if not said.
    key: string,
};

/// One of the actions of `all`; the options of `act` may stand beside.
type Wish = #{
    action: string,
    params: map,
};

/// What `all` may be told.
type AllOptions = #{
    /// Whether each failure is for the script to look at.
    partial: bool,
};

/// What `wait_for` may be told.
type WaitOptions = #{
    /// From when on events count, such as `now()` or `ctx.event.time`; the start of the run if not said.
    since: string,
};

/// What `ask` may be told.
type AskOptions = #{
    /// Whether the answer comes with who gave it and when.
    details: bool,
};

/// What a failed action throws.
type Failure = #{
    /// `timeout`, `refused`, `invalid`, `interrupted`, `failed`, or what the action says.
    kind: string,
    action: string,
    message: string,
    retryable: bool,
};

/// What `run`, `verify` and `rollback` are given.
type Ctx = #{
    /// The one thing to act on.
    target: string,
    /// The parameters, defaults filled in.
    params: map,
    /// The event that fired the rule: `topic`, `source`, `subject`, `time`, `data`…
    event: map,
    /// All events that the rule's pattern put together.
    events: [map],
    /// The rule's name; `manual` for an intent made by hand.
    rule: string,
    /// The intent: `id`, `goal`, `domain`, `priority`, `group`, `class`, `fleet`, `count`, `reason`, `attempts`,
    /// `created_at`.
    intent: map,
    /// Which attempt of the intent this is, from 1.
    attempt: int,
    /// How sure it was that this playbook helps, from 0 to 1.
    confidence: float,
    /// Only in `verify` and `rollback`: what `run` did, a list of `#{ action, params, result, error }`.
    done: [map],
    /// Only after `continue_as_new`: what was carried over.
    carried: ?,
};
"#;

/// Definitions for Rhai's language server: what scripts can call, with its types and what it does.
pub fn definitions() -> String {
    let mut text = String::from(
        "/// What a Paramedic playbook can call, for Rhai's language server.\n/// Written by `paramedic schema playbooks`.\nmodule static;\n\n",
    );
    text.push_str(TYPES);
    for function in FUNCTIONS {
        for form in function.forms {
            text.push('\n');
            for line in function.doc.lines() {
                text.push_str(&format!("/// {line}\n"));
            }
            text.push_str(&format!("fn {}{form};\n", function.name));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::host;

    /// The number of arguments of a form.
    fn arity(form: &str) -> usize {
        let inside = form.split_once(") ->").unwrap().0.trim_start_matches('(');
        if inside.is_empty() { 0 } else { inside.split(", ").count() }
    }

    #[test]
    fn every_host_function_is_described_with_each_number_of_its_arguments() {
        let mut described: Vec<(&str, Vec<usize>)> =
            FUNCTIONS.iter().map(|it| (it.name, it.forms.iter().map(|form| arity(form)).collect())).collect();
        let mut there: Vec<(&str, Vec<usize>)> =
            host::FUNCTIONS.iter().map(|(name, takes)| (*name, takes.to_vec())).collect();
        described.sort();
        there.sort();
        assert_eq!(described, there);
    }

    #[test]
    fn every_type_that_a_form_names_is_defined() {
        let own = ["string", "int", "float", "map", "array", "?", "()"];
        let named = FUNCTIONS.iter().flat_map(|it| it.forms).flat_map(|form| {
            let (taken, given) = form.split_once(" -> ").unwrap();
            let taken = taken.trim_matches(['(', ')']).split(", ").filter_map(|it| it.split_once(": "));
            taken.map(|(_, kind)| kind).chain([given]).collect::<Vec<_>>()
        });
        for name in named.map(|it| it.trim_matches(['[', ']'])) {
            assert!(
                own.contains(&name)
                    || TYPES.contains(&format!("\ntype {name} = "))
                    || TYPES.contains(&format!("type {name} = ")),
                "{name}"
            );
        }
    }

    #[test]
    fn what_editors_read_says_every_function_and_all_of_ctx() {
        let text = definitions();
        for function in FUNCTIONS {
            assert_eq!(text.matches(&format!("\nfn {}(", function.name)).count(), function.forms.len());
        }
        for key in [
            "event",
            "events",
            "target",
            "params",
            "rule",
            "intent",
            "attempt",
            "confidence",
            "done",
            "carried",
        ] {
            assert!(text.contains(&format!("\n    {key}: ")), "{key}");
        }
    }
}
