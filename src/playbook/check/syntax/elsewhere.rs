//! Words of other languages, and what is written for them in a playbook. Tables only; who looks them up decides whether
//! there is a mistake at all.

/// What to write for each of some words.
type Table = &'static [(&'static [&'static str], &'static str)];

/// Keywords, values and operators, none of which a script would take as a name.
const KEYWORDS: Table = &[
    (&["var", "int", "auto", "local", "my", "mut"], "write `let x = …`"),
    (
        &["function", "def", "func", "proc", "sub", "fun", "lambda"],
        "write `fn name(a, b) { … }`, or `|a, b| …` for a closure",
    ),
    (&["null", "nil", "None", "undefined", "NULL", "Null", "NaN"], "write `()` for nothing"),
    (&["elif", "elsif", "elseif"], "write `else if`"),
    (&["and", "AND"], "write `&&`"),
    (&["or", "OR"], "write `||`"),
    (&["not", "NOT"], "write `!`"),
    (&["True", "TRUE", "yes"], "write `true`"),
    (&["False", "FALSE", "no"], "write `false`"),
    (&["await", "async", "yield"], "leave it out: every call waits for its result"),
    (&["pass"], "leave it out: a body may be empty, `{ }`"),
    (
        &["then", "fi", "end", "done", "begin", "endif"],
        "what `if`, `for` and `fn` do stands between `{` and `}`",
    ),
    (&["foreach", "forEach"], "write `for x in list { … }`"),
    (&["except", "rescue", "finally"], "write `try { … } catch (e) { … }`; there is no `finally`"),
    (&["raise"], "write `fail(\"why\")`, or `throw` for a failure that was caught"),
    (&["match", "case", "when"], "write `switch x { 1 => …, _ => … }`"),
    (&["self", "this"], "what the run is given is `ctx`"),
    (&["eval"], "a text cannot be run as a script, as it may come from an event: write a function"),
    (&["curry"], "use a closure: `|x| f(1, x)`"),
    (&["===", "is"], "write `==`"),
    (&["!==", "<>"], "write `!=`"),
    (&["++"], "write `x += 1`"),
    (&["--"], "write `x -= 1`"),
    (&[":="], "write `let x = …`"),
    (&["->", "=>"], "a closure is written `|x| x + 1`"),
    (&["try"], "`try { … } catch (e) { … }` is a statement, not a value: set a variable in both halves"),
    (&["spawn", "go", "thread"], "for things side by side there is `all([ … ])`"),
    (&["new"], "leave it out: a value is a map `#{ name: value }`, a list or text"),
    (
        &["class", "struct", "enum", "interface", "impl", "trait", "static", "public", "protected", "super"],
        "there are no classes: functions stand by themselves, and a map is written `#{ name: value }`",
    ),
    (&["unless"], "write `if !x { … }`"),
    (
        &["with", "defer", "using"],
        "leave it out: nothing is to be closed; to undo something there is `fn rollback(ctx)`",
    ),
    (&["del", "delete", "unset"], "write `map.remove(\"name\")`, or `list.remove(0)`"),
    (&["instanceof"], "write `type_of(x) == \"string\"`"),
    (
        &["global", "nonlocal"],
        "a function sees its arguments and its own variables only: pass it on as an argument",
    ),
    (&["set", "declare", "readonly"], "write `let x = …`"),
    (&["mod"], "write `%`"),
    (&["div"], "write `/`, which of whole numbers gives a whole number"),
    (&["xor"], "write `x != y`"),
    (&["eq"], "write `==`"),
    (&["ne"], "write `!=`"),
    (&["repeat"], "write `for i in 0..3 { … }`"),
    (&["module"], "leave it out: `run`, `verify` and `rollback` are found by their names"),
    (&["typeof", "sizeof"], "write `type_of(x)`"),
    (&["assert"], "write `if !x { fail(\"why\") }`"),
    (&["void"], "leave it out"),
    (&["exists", "defined"], "write `x != ()`"),
    (&["echo", "printf"], "write `log(\"info\", \"…\")`"),
    (&["goto"], "use `while`, `loop`, `break` and functions"),
    (&["from", "require", "include", "use", "package"], "write `import \"lib/name\" as name;` at the top"),
];

/// Things that are at hand elsewhere, by names that a script may well use for its own.
const NAMES: Table = &[
    (&["f"], "a text with values in it stands between backticks: `took ${n} s`"),
    (&["console", "logger", "logging", "System", "fmt"], "write `log(\"info\", \"…\")`"),
    (
        &["os", "subprocess", "process", "child_process", "shell"],
        "outside there is only `act`: `exec.run` starts a program, if the header allows it",
    ),
    (
        &[
            "systemctl",
            "service",
            "docker",
            "kubectl",
            "curl",
            "ssh",
            "rm",
            "kill",
            "pkill",
            "sudo",
            "bash",
            "sh",
            "nginx",
            "cat",
            "grep",
            "tail",
            "ps",
        ],
        "a playbook starts no programs by itself: `act(\"exec.run\", #{ … })` does, if the header allows it",
    ),
    (&["err"], "a failure is thrown, not returned: `try { … } catch (e) { … }`"),
    (
        &["requests", "http", "axios", "urllib"],
        "outside there is only `act`: `http.request` asks another server, if the header allows it",
    ),
    (&["JSON", "json"], "write `parse_json(text)` or `value.to_json()`"),
    (&["Math", "math"], "call it by itself: `max(a, b)`, `round(x)`, `x.floor()`"),
    (&["time", "datetime", "Date"], "the time is `now()`; to wait there is `sleep(\"30s\")`"),
    (&["context", "args", "input", "payload"], "what the run is given is `ctx`"),
    (&["data"], "what was sent stands under `ctx.event.data`"),
    (&["env", "environ", "ENV"], "a playbook sees no environment: declare a parameter in the header"),
    (
        &["kernel", "kernels", "alert", "diagnostic", "exec", "intent"],
        "an action is called by its name in quotes: `act(\"kernel.restart\", #{ kernel: ctx.target })`",
    ),
];

/// Functions.
const FUNCTIONS: Table = &[
    (&["sleep_ms", "delay", "wait", "pause", "setTimeout", "sleep_secs", "usleep"], "write `sleep(\"30s\")`"),
    (
        &["wait_until", "waitFor", "on", "subscribe", "wait_for_event"],
        "write `wait_for(\"topic\", \"condition\", \"1m\")`",
    ),
    (
        &["println", "puts", "printf", "echo", "info", "warn", "warning", "error", "console_log"],
        "write `log(\"info\", \"…\")`",
    ),
    (
        &["fetch", "http_get", "http_post", "curl", "http", "request", "http_request", "get_url", "post"],
        "outside there is only `act`: `act(\"http.request\", #{ … })`, if the header allows it",
    ),
    (
        &["exec", "system", "shell", "run_command", "popen", "cmd", "bash", "sh", "command"],
        "outside there is only `act`: `act(\"exec.run\", #{ … })`, if the header allows it",
    ),
    (
        &["open", "open_file", "read_file", "readFile", "write_file", "read", "write"],
        "a playbook reads and writes no files: `act` an action that does, such as `exec.run` or `diagnostic.run`",
    ),
    (
        &[
            "restart",
            "restart_kernel",
            "kernel_restart",
            "reboot",
            "start_kernel",
            "stop_kernel",
            "scale",
            "stop",
        ],
        "what acts is an action: `act(\"kernel.restart\", #{ kernel: ctx.target })`",
    ),
    (
        &["alert", "notify", "page", "send_alert", "slack", "email"],
        "write `act(\"alert.operator\", #{ title: \"…\", message: \"…\" })`",
    ),
    (
        &["call_action", "action", "invoke", "perform", "execute", "run_action"],
        "write `act(\"kernel.restart\", #{ kernel: ctx.target })`",
    ),
    (
        &["confirm", "prompt", "approve", "ask_human", "request_approval", "input"],
        "write `ask(\"Restart it?\", [\"yes\", \"no\"], \"1h\")`",
    ),
    (&["publish", "send", "send_event", "fire", "dispatch"], "write `emit(\"topic\", #{ … })`"),
    (
        &["raise", "panic", "abort", "die", "error_out", "assert", "throw_error", "quit"],
        "write `fail(\"why\")`",
    ),
    (
        &["parallel", "gather", "join_all", "spawn", "concurrent", "Promise"],
        "write `all([#{ action: \"…\", params: #{ … } }])`",
    ),
    (&["require", "include", "load", "use"], "write `import \"lib/name\" as name;` at the top"),
    (&["str", "String", "toString", "string"], "write `x.to_string()`, or `${x}` between backticks"),
    (&["parseInt", "Number", "toInt", "to_number"], "write `parse_int(text)`"),
    (&["float", "parseFloat", "Float"], "write `parse_float(text)`"),
    (&["format", "sprintf", "f"], "put values into a text between backticks: `took ${n} s`"),
    (&["length", "lenght", "lengh", "Length", "size", "count", "strlen"], "write `x.len()`"),
    (&["add", "push_back", "concat"], "write `list.push(x)`, or `list + other`"),
    (&["includes", "has", "contains_key", "hasOwnProperty", "has_key"], "write `x.contains(y)`, or `y in x`"),
    (&["forEach", "foreach"], "write `for x in list { … }`"),
    (&["join"], "write `list.reduce(|all, x| if all == () { x } else { `${all}, ${x}` })`"),
    (
        &["substr", "substring", "slice"],
        "write `text.sub_string(from, length)`, or `list.extract(from, length)`",
    ),
    (&["startsWith", "startswith"], "write `text.starts_with(\"…\")`"),
    (&["endsWith", "endswith"], "write `text.ends_with(\"…\")`"),
    (&["indexOf"], "write `x.index_of(y)`"),
    (&["toLowerCase", "lower", "lowercase"], "write `text.to_lower()`"),
    (&["toUpperCase", "upper", "uppercase"], "write `text.to_upper()`"),
    (&["replaceAll", "gsub"], "write `text.replace(\"a\", \"b\")`, which changes it"),
    (&["stringify", "json_encode", "dumps", "toJSON"], "write `value.to_json()`"),
    (&["json_decode", "loads", "from_json", "parseJSON"], "write `parse_json(text)`"),
    (&["typeof", "type", "isinstance"], "write `type_of(x)`"),
    (&["time", "date", "current_time", "get_time"], "write `now()`"),
    (&["rand", "randint", "random_int"], "write `random()`, a number from 0 up to 1"),
    (&["env", "getenv", "get_env"], "a playbook sees no environment: declare a parameter in the header"),
    (&["is_null", "is_none", "isNull", "isNone", "is_nil", "is_some"], "write `x == ()`"),
    (&["unwrap_or", "getOrDefault", "get_or"], "write `x ?? y`"),
    (&["await", "async"], "leave it out: every call waits for its result"),
    (
        &["Error", "Exception", "RuntimeError", "ValueError", "TypeError", "errorf"],
        "a failure is text: write `fail(\"why\")`, or `throw \"why\"`",
    ),
    (
        &["test", "matches", "is_match", "search", "findall", "fullmatch"],
        "there are no regular expressions: write `text.contains(\"…\")`, `starts_with` or `ends_with`",
    ),
    (&["step", "step_by", "stepBy"], "write `range(0, 10, 2)` for 0, 2, 4, 6, 8"),
    (
        &["enumerate", "entries", "items", "each_with_index"],
        "write `for (x, i) in list`, or `for key in map.keys()`",
    ),
    (
        &["iter", "into_iter", "collect", "clone", "to_vec", "to_owned", "copy"],
        "leave it out: values are copied, and lists are what they seem",
    ),
    (
        &["unwrap", "expect", "is_ok", "is_err", "catch", "then", "finally"],
        "leave it out: a call gives its result or fails, which `try { … } catch (e) { … }` takes",
    ),
    (&["strip", "lstrip", "rstrip"], "write `text.trim()`, which changes it"),
    (&["isEmpty", "empty", "isempty"], "write `x.is_empty()`"),
    (&["push_str", "pushStr"], "write `text += \"…\"`"),
    (&["sorted"], "write `list.sort()`, which changes it"),
    (&["sum"], "write `list.reduce(|sum, x| sum + x, 0)`"),
    (
        &["Some", "Ok", "Err", "None"],
        "leave it out: a value stands for itself, `()` for nothing; a failure is thrown by `fail`",
    ),
    (&["printStackTrace", "print_r", "var_dump", "dbg", "Println", "Printf"], "write `log(\"info\", \"…\")`"),
];

/// What to write for `word`, a keyword, a value or an operator.
pub fn word(word: &str) -> Option<&'static str> {
    find(KEYWORDS, word).or_else(|| find(NAMES, word))
}

/// Whether `word` belongs to the grammar of another language.
pub fn is_keyword(word: &str) -> bool {
    find(KEYWORDS, word).is_some()
}

/// What to write for a function called `name`.
pub fn function(name: &str) -> Option<&'static str> {
    find(FUNCTIONS, name)
}

fn find(table: Table, word: &str) -> Option<&'static str> {
    table.iter().find(|(words, _)| words.contains(&word)).map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::engine;

    #[test]
    fn no_word_is_told_two_things_and_no_function_that_is_there_is_said_not_to_be() {
        for tables in [vec![KEYWORDS, NAMES], vec![FUNCTIONS]] {
            let tables = tables.into_iter().flatten();
            let mut words: Vec<_> = tables.flat_map(|(words, _)| *words).collect();
            let all = words.len();
            words.sort();
            words.dedup();
            assert_eq!(all, words.len());
        }
        let is_there = |name: &&&str| {
            let hosts = crate::playbook::host::FUNCTIONS.iter().any(|(it, _)| it == *name);
            engine::functions().contains_key(**name) || hosts
        };
        let there: Vec<_> = FUNCTIONS.iter().flat_map(|(words, _)| *words).filter(is_there).collect();
        assert!(there.is_empty(), "{there:?}");
    }
}
