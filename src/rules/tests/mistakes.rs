//! Every mistake in a rule file is shown with its place and the way out.

use super::*;

#[test]
fn every_mistake_is_shown_at_once_where_it_stands_with_the_way_out() {
    for (yaml, code, at, message, help) in [
        (one("wehn: data.x > 1"), "P0107", "wehn", "unknown key `wehn`", "did you mean `when`?"),
        (one("when: [a]"), "P0104", "[", "`when` is a text, this is a list", ""),
        (one("description: 5"), "P0104", "5", "is a text, this is the number 5", "put it in quotes"),
        (one("stop: yes"), "P0104", "yes", "true or false", ""),
        (one("on: c.d"), "P0103", "on", "`on` stands here twice", "keep one"),
        (one("when: dat.x > 1"), "P0111", "dat", "unknown name `dat`", "did you mean `data`?"),
        (one("when: data.x > 1 && dat.y"), "P0111", "dat", "unknown name", "`data`"),
        (one("when: \"data.x == \\\"q\\\" && dat.y\""), "P0111", "dat", "unknown name", "`data`"),
        (one("when: >\n  data.x > 1 &&\n  dat.y > 2"), "P0111", "dat", "unknown name", "`data`"),
        (one("when: |\n  data.x > 1 &&\n    dat.y > 2"), "P0111", "dat", "unknown name", "`data`"),
        (one("when: 'data.x == \"it''s\" && dat.y'"), "P0111", "dat", "unknown name", "`data`"),
        (one("intent: { goal: \"Restart ${dta.k}\" }"), "P0112", "dta", "unknown name `dta`", "`data`"),
        (one("intent: { target: \"\" }"), "P0114", "\"\"", "`target` is empty", ""),
        (one("intent: { gaol: x }"), "P0107", "gaol", "unknown key", "did you mean `goal`?"),
        (one("intent: { priority: hihg }"), "P0114", "hihg", "not a priority", "did you mean `high`?"),
        (one("pattern: { count: 0, within: 5m }"), "P0114", "0", "from 1 to", ""),
        (one("guard: { rate: 1001/1h }"), "P0114", "1001/1h", "at most 1000", ""),
        (one("pattern: { count: 3 }"), "P0105", "count", "needs `within`", "such as 5m"),
        (one("pattern: { count: 3, within: 5 parsecs }"), "P0113", "5 parsecs", "not a length of time", ""),
        (one("pattern: { sequence: [], within: 5m }"), "P0115", "sequence", "takes 2 to 32 members", ""),
        (
            one("pattern: { all: [{ on: a }], within: 5m }"),
            "P0114",
            "all",
            "this has 1",
            "leave the pattern out",
        ),
        (one("pattern: { absent: a.b, for: 30s }"), "P0114", "on", "stand in the pattern", "take it out"),
        (one("pattern: { any: [a, b] }"), "P0114", "on", "names its own topics", "take it out"),
        (one("pattern: { within: 5m }"), "P0105", "within", "what kind", "`count`"),
        (
            one("pattern: { count: 3, within: 5m, for: 3s }"),
            "P0107",
            "for",
            "nothing beside `count`",
            "take it out",
        ),
        (one("pattern: { count: 3, once_after: 5m }"), "P0114", "once_after", "is of one kind", "two rules"),
        (
            one("pattern: { not: a, within: 5m }"),
            "P0105",
            "not",
            "needs `after`",
            "name what it should follow",
        ),
        (
            one("pattern: { change: data.n }"),
            "P0105",
            "change",
            "needs `above` or `below`",
            "from which factor",
        ),
        (one("pattern: { change: data.n, above: -1 }"), "P0114", "-1", "factor above 0", ""),
        (one("pattern: { change: data.n, above: 2, below: 3 }"), "P0114", "below", "less than `above`", ""),
        (one("pattern: { once_after: 5m, lateness: 2h }"), "P0114", "2h", "at most 1h", ""),
        (one("schedule: daily"), "P0116", "daily", "", ""),
        (one("schedule: \"0 0 30 2 *\""), "P0116", "30 2", "", ""),
        (
            one("schedule: { cron: \"* * * * *\", timezone: Europe/Berln }"),
            "P0116",
            "Europe/Berln",
            "",
            "Europe/Berlin",
        ),
        (one("schedule: \"* * * * *\""), "P0114", "on", "fires by the calendar", "two rules"),
        (one("schedule: \"* * * * *\""), "P0105", "schedule", "names its target itself", "target"),
        (one("guard: { rate: 10 per hour }"), "P0114", "10 per hour", "such as 10/1h", ""),
        (one("guard: { ask_below: 60 }"), "P0114", "60", "a share", ""),
        (one("guard: { max_atempts: 3 }"), "P0107", "max_atempts", "unknown key", "max_attempts"),
        (one("verify: { within: 30s }"), "P0105", "within", "has no `expect`", ""),
        (one("verify: { expect: a.b, when: targt == 1 }"), "P0111", "targt", "unknown name", "`target`"),
        (
            one("escalate: [{ to: alert_operater }]"),
            "P0109",
            "alert_operater",
            "unknown playbook",
            "`alert_operator`",
        ),
        (one("resolved: { when: true }"), "P0105", "when", "has no `on`", ""),
        (one("when:"), "P0115", "when", "`when` is empty", "take the line out"),
        (one("when: data.n + 1"), "P0111", "data.n + 1", "never true or false", "compare"),
        (one("params: { a: 1, a: 2 }"), "P0103", "a", "twice", ""),
        (one("mode: automatic"), "P0114", "automatic", "not a mode", "did you mean `auto`?"),
        (
            "rules:\n  - name: Bad Name\n    on: a\n    playbooks: restart_kernel".into(),
            "P0106",
            "Bad Name",
            "cannot be the name",
            "",
        ),
        (
            "rules:\n  - name: x\n    on: a..b\n    playbooks: restart_kernel".into(),
            "P0110",
            "a..b",
            "empty token",
            "",
        ),
        (
            "rules:\n  - name: x\n    on: a.>.b\n    playbooks: restart_kernel".into(),
            "P0110",
            "a.>.b",
            "can only stand last",
            "",
        ),
        (
            "rules:\n  - name: x\n    on: []\n    playbooks: restart_kernel".into(),
            "P0115",
            "on",
            "`on` is empty",
            "",
        ),
        ("rules:\n  - name: x\n    on: a\n    playbooks: []".into(), "P0115", "playbooks", "is empty", ""),
        (
            "rules:\n  - name: x\n    on: a\n    playbooks: restart_krenel".into(),
            "P0109",
            "restart_krenel",
            "unknown playbook",
            "did you mean `restart_kernel`?",
        ),
        (
            "rules:\n  - name: x\n    playbooks: restart_kernel".into(),
            "P0105",
            "name",
            "rule `x` has no `on`",
            "",
        ),
        ("rules:\n  - name: x\n    on: a".into(), "P0105", "name", "rule `x` has no `playbooks`", ""),
        ("rules:\n  - on: a\n    playbooks: restart_kernel".into(), "P0105", "on", "has no `name`", ""),
        ("rule: []".into(), "P0107", "rule", "unknown key", "did you mean `rules`?"),
        ("rules: {}".into(), "P0104", "{", "`rules` is a list", ""),
        ("rules:\n  - name: [".into(), "P0101", "", "", ""),
    ] {
        let compiled = built(&[("rules/x.yaml", &yaml)]);
        assert!(compiled.set.is_none(), "{yaml}");
        let found = compiled.diagnostics.iter().find(|d| d.code == code);
        let found = found.unwrap_or_else(|| panic!("no {code} in {:?}\n{yaml}", compiled.diagnostics));
        let line: String = yaml
            .lines()
            .nth(found.line as usize - 1)
            .unwrap_or("")
            .chars()
            .skip(found.column as usize - 1)
            .collect();
        assert!(line.starts_with(at), "{code} points at `{line}`, not at `{at}`\n{yaml}");
        let caret: String = line.chars().take(found.length as usize).collect();
        assert!(
            at.is_empty() || caret.starts_with(at),
            "{code}: the caret is under `{caret}`, not `{at}`\n{yaml}"
        );
        assert!(found.message.contains(message), "{found}");
        assert!(found.help.clone().unwrap_or_default().contains(help), "{found}");
    }
}

#[test]
fn all_files_are_checked_before_anything_is_said() {
    let two = one("mode: nope\nguard: { rate: x }").replace("name: one", "name: two");
    let compiled =
        built(&[("a.yaml", &one("wehn: 1")), ("b.yaml", "rules: ["), ("c.yaml", &two), ("d.yaml", &one(""))]);
    let found: Vec<String> =
        compiled.diagnostics.iter().map(|d| format!("{}:{} {}", d.file, d.line, d.code)).collect();
    assert_eq!(
        found,
        ["a.yaml:5 P0107", "b.yaml:1 P0101", "c.yaml:5 P0114", "c.yaml:6 P0114", "d.yaml:2 P0108"]
    );
    let twice = compiled.diagnostics.last().unwrap();
    assert_eq!(twice.help.as_deref(), Some("the first is at a.yaml:2"));
}

#[test]
fn a_mistake_reads_like_a_compilers() {
    let compiled = built(&[("rules/boot.yaml", &one("wehn: data.x > 1"))]);
    assert_eq!(
        compiled.diagnostics[0].to_string(),
        "error[P0107]: unknown key `wehn`\n  --> rules/boot.yaml:5:5\n  |\n5 |     wehn: data.x > 1\n  |     ^^^^ did you mean `when`?"
    );
}

#[test]
fn an_empty_file_has_no_rules_and_no_mistakes() {
    for text in ["", "# nothing yet\n", "rules:\n", "rules: []\n"] {
        let compiled = built(&[("x.yaml", text)]);
        assert_eq!(
            (compiled.set.map(|s| s.rules().len()), compiled.diagnostics),
            (Some(0), vec![]),
            "{text}"
        );
    }
}

#[test]
fn what_is_not_yaml_is_shown_where_it_breaks() {
    for (text, line, column, message, help) in [
        ("rules:\n  - name: \"abc\n    on: x\n", 2, 11, "unclosed quote", Some("the same quote")),
        ("rules:\n  - name: x\n   on: y\n", 3, 4, "does not stand where it should", Some("column 5")),
        ("rules:\n  - name: x\n    when: data.x: 1\n", 3, 17, "`: ` within a text", Some("in quotes")),
        ("rules:\n  - name: x\n    when: \"a\" == data.b\n", 3, 15, "trailing content", Some("in quotes")),
    ] {
        let compiled = built(&[("r.yaml", text)]);
        let found = &compiled.diagnostics[0];
        assert_eq!((found.code.as_str(), found.line, found.column), ("P0101", line, column), "{found}");
        assert!(found.message.contains(message), "{found}");
        assert_eq!(
            found.help.as_ref().is_some_and(|h| h.contains(help.unwrap_or("?"))),
            help.is_some(),
            "{found}"
        );
    }
}

#[test]
fn of_many_files_and_rules_each_mistake_is_told_in_its_order() {
    let rule =
        |n: usize| format!("  - name: r{}\n    on: a\n    playbooks: restart_kernel\n    wehn: x\n", n % 150);
    let file = format!("rules:\n{}", (0..200).map(rule).collect::<String>());
    let one = built(&[("one.yaml", &file)]);
    let lines: Vec<u32> = one.diagnostics.iter().map(|d| d.line).collect();
    assert!(lines.is_sorted() && lines.len() == 250, "200 unknown keys, 50 names twice: {lines:?}");
    let twice = one.diagnostics.iter().filter(|d| d.code == "P0108").count();
    assert_eq!(twice, 50);

    let files: Vec<(String, String)> =
        (0..200).map(|n| (format!("{n:03}.yaml"), format!("rules:\n{}", rule(n)))).collect();
    let many = built(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
    assert!(many.diagnostics.is_sorted_by_key(|d| d.file.clone()) && many.diagnostics.len() == 250);
    // The name stands above the key.
    let last = &many.diagnostics[many.diagnostics.len() - 2];
    assert_eq!((last.code.as_str(), last.help.as_deref()), ("P0108", Some("the first is at 049.yaml:2")));
}
