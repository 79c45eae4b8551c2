//! Each mistake that a person can make in a rule file, and what they are shown for it.
//!
//! The mistakes stand below, the texts beside this file under `shown/`, one a mistake. To change one, run this test
//! with `INSTA_UPDATE=always`, and read what changed as somebody would who has never seen a rule.

use super::*;

/// A rule file with one rule that is good but for `line`.
fn rule(line: &str) -> String {
    let line = line.replace('\n', "\n    ");
    format!("rules:\n  - name: one\n    on: a.b\n    playbooks: restart_kernel\n    {line}\n")
}

/// A rule whose pattern is this.
fn pattern(pattern: &str) -> String {
    rule(&format!("pattern: {pattern}"))
}

/// What is said of a file.
fn shown(text: &str) -> String {
    let compiled = built(&[("rules/boot.yaml", text)]);
    assert!(compiled.set.is_none(), "this is no mistake:\n{text}");
    let told: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
    told.join("\n\n")
}

#[test]
fn each_mistake_is_shown_with_its_place_and_the_way_out() {
    let cases = [
        mistakes_of_yaml(),
        mistakes_of_keys(),
        mistakes_of_values(),
        mistakes_of_expressions(),
        mistakes_of_schedules(),
        mistakes_of_patterns(),
    ]
    .concat();
    assert!(cases.len() >= 100, "{}", cases.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("shown");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut failed = Vec::new();
    settings.bind(|| {
        for (name, text) in &cases {
            // Each is tried, so that one that changed does not hide the others.
            let told = std::panic::catch_unwind(|| insta::assert_snapshot!(*name, shown(text)));
            failed.extend(told.is_err().then_some(*name));
        }
    });
    assert!(failed.is_empty(), "{failed:?}");
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/rules/tests/shown")).unwrap();
    let kept =
        files.filter(|file| file.as_ref().is_ok_and(|f| f.path().extension().is_some_and(|e| e == "snap")));
    assert_eq!(
        kept.count(),
        cases.len(),
        "a text without a mistake is left over, or two mistakes have one name"
    );
}

fn mistakes_of_yaml() -> Vec<(&'static str, String)> {
    let file = |text: &str| text.to_owned();
    vec![
        ("yaml_quote_not_closed", file("rules:\n  - name: \"one\n    on: a.b\n")),
        ("yaml_tab_for_indentation", file("rules:\n\t- name: one\n\t  on: a.b\n")),
        ("yaml_tab_within_a_rule", file("rules:\n  - name: one\n\ton: a.b\n    playbooks: restart_kernel\n")),
        (
            "yaml_too_little_indentation",
            file("rules:\n  - name: one\n   on: a.b\n    playbooks: restart_kernel\n"),
        ),
        (
            "yaml_too_much_indentation",
            file("rules:\n  - name: one\n      on: a.b\n    playbooks: restart_kernel\n"),
        ),
        ("yaml_no_colon", file("rules:\n  - name: one\n    on a.b\n    playbooks: restart_kernel\n")),
        (
            "yaml_no_space_after_colon",
            file("rules:\n  - name:one\n    on: a.b\n    playbooks: restart_kernel\n"),
        ),
        ("yaml_no_space_after_dash", file("rules:\n  -name: one\n   on: a.b\n")),
        ("yaml_no_dash", file("rules:\n  name: one\n  on: a.b\n  playbooks: restart_kernel\n")),
        ("yaml_colon_in_a_text", rule("description: it failed: again")),
        ("yaml_colon_in_a_condition", rule("when: data.x: 1")),
        ("yaml_quotes_end_too_early", rule("when: \"full\" == data.state")),
        ("yaml_star_unquoted", file("rules:\n  - name: one\n    on: *\n    playbooks: restart_kernel\n")),
        (
            "yaml_star_in_a_list",
            file("rules:\n  - name: one\n    on: [*.down]\n    playbooks: restart_kernel\n"),
        ),
        (
            "yaml_star_before_a_topic",
            file("rules:\n  - name: one\n    on: *.down\n    playbooks: restart_kernel\n"),
        ),
        ("yaml_greater_unquoted", file("rules:\n  - name: one\n    on: >\n    playbooks: restart_kernel\n")),
        ("yaml_at_unquoted", file("rules:\n  - name: one\n    on: @kernel\n    playbooks: restart_kernel\n")),
        ("yaml_percent_unquoted", rule("description: %d failed")),
        ("yaml_bang_unquoted", rule("when: !data.healthy")),
        ("yaml_brace_not_closed", rule("guard: { cooldown: 5m")),
        (
            "yaml_bracket_not_closed",
            file("rules:\n  - name: one\n    on: [a.b, c.d\n    playbooks: restart_kernel\n"),
        ),
        ("yaml_template_unquoted", rule("intent: { target: ${data.kernel} }")),
        ("yaml_two_documents", file("rules: []\n---\nrules: []\n")),
        ("yaml_unknown_alias", file("rules:\n  - name: one\n    on: a.b\n    playbooks: *repair\n")),
        (
            "yaml_merge_of_no_map",
            file("rules:\n  - name: one\n    <<: 5\n    on: a.b\n    playbooks: restart_kernel\n"),
        ),
        ("yaml_too_deep", file(&format!("rules: {}{}\n", "[".repeat(40), "]".repeat(40)))),
        ("yaml_a_list_at_the_top", file("- name: one\n  on: a.b\n  playbooks: restart_kernel\n")),
        ("yaml_a_rule_at_the_top", file("name: one\non: a.b\nplaybooks: restart_kernel\n")),
        ("yaml_a_text_at_the_top", file("restart the kernel\n")),
        (
            "yaml_windows_line_ends",
            file("rules:\r\n  - name: one\r\n    on: a.b\r\n    playbooks: restart_krenel\r\n"),
        ),
        (
            "yaml_json",
            file("{\"rules\": [{\"name\": \"one\", \"on\": \"a.b\", \"playbook\": \"restart_kernel\"}]}\n"),
        ),
        ("yaml_a_kubernetes_manifest", file("apiVersion: v1\nkind: ConfigMap\ndata:\n  x: y\n")),
    ]
}

fn mistakes_of_keys() -> Vec<(&'static str, String)> {
    let one = |more: &str| format!("rules:\n  - name: one\n{more}");
    vec![
        ("keys_top_rule", "rule:\n  - name: one\n".into()),
        ("keys_top_version", "version: 1\nrules: []\n".into()),
        ("keys_slip", rule("wehn: data.x > 1")),
        ("keys_capital", rule("When: data.x > 1")),
        ("keys_condition", rule("condition: data.x > 1")),
        ("keys_if", rule("if: data.x > 1")),
        ("keys_expr_and_for", rule("expr: data.x > 1\nfor: 5m")),
        ("keys_match", rule("match: { severity: high }")),
        ("keys_trigger", one("    trigger: a.b\n    playbooks: restart_kernel\n")),
        ("keys_topic", one("    topic: a.b\n    playbooks: restart_kernel\n")),
        ("keys_events", one("    events: [a.b]\n    playbooks: restart_kernel\n")),
        ("keys_actions", one("    on: a.b\n    actions: [restart_kernel]\n")),
        ("keys_action", one("    on: a.b\n    action: restart_kernel\n")),
        ("keys_playbook", one("    on: a.b\n    playbook: restart_kernel\n")),
        ("keys_then", one("    on: a.b\n    then: restart_kernel\n")),
        ("keys_throttle", rule("throttle: 5m")),
        ("keys_cooldown_outside_guard", rule("cooldown: 5m")),
        ("keys_count_outside_pattern", rule("count: 3\nwithin: 5m")),
        ("keys_target_outside_intent", rule("target: \"${data.kernel}\"")),
        ("keys_disabled", rule("disabled: true")),
        ("keys_id", "rules:\n  - id: one\n    on: a.b\n    playbooks: restart_kernel\n".into()),
        ("keys_groupby", rule("groupBy: data.kernel")),
        ("keys_severity", rule("severity: high")),
        ("keys_timeout", rule("timeout: 5m")),
        ("keys_intent", rule("intent: { gaol: Restart it }")),
        ("keys_guard", rule("guard: { max_retries: 3 }")),
        ("keys_guard_slip", rule("guard: { cool_down: 5m }")),
        ("keys_verify", rule("verify: { expect: a.ok, timeout: 30s }")),
        ("keys_verify_on", rule("verify: { on: a.ok }")),
        ("keys_escalate", rule("escalate: [{ playbook: alert_operator }]")),
        ("keys_resolved", rule("resolved: { topic: a.ok }")),
        ("keys_twice", rule("when: data.x > 1\nwhen: data.y > 1")),
        ("keys_twice_in_params", rule("params: { grace: 5s, grace: 6s }")),
        ("keys_no_name", "rules:\n  - on: a.b\n    playbooks: restart_kernel\n".into()),
        ("keys_no_on", one("    playbooks: restart_kernel\n")),
        ("keys_no_playbooks", one("    on: a.b\n")),
        ("keys_only_a_name", one("")),
        ("keys_a_number", rule("5: data.x")),
    ]
}

fn mistakes_of_values() -> Vec<(&'static str, String)> {
    let named =
        |name: &str| format!("rules:\n  - name: {name}\n    on: a.b\n    playbooks: restart_kernel\n");
    let on = |on: &str| format!("rules:\n  - name: one\n    on: {on}\n    playbooks: restart_kernel\n");
    let playbooks = |list: &str| format!("rules:\n  - name: one\n    on: a.b\n    playbooks: {list}\n");
    vec![
        ("values_rules_is_a_map", "rules: { name: one }\n".into()),
        ("values_rules_is_a_text", "rules: none\n".into()),
        ("values_a_rule_is_a_text", "rules: [one]\n".into()),
        ("values_name_with_spaces", named("Kernel boot failed")),
        ("values_name_with_capitals", named("kernelBootFailed")),
        ("values_name_with_dots", named("kernel.boot.failed")),
        ("values_name_is_a_number", named("42")),
        ("values_name_is_a_list", named("[a, b]")),
        ("values_name_begins_with_a_dash", named("-one")),
        ("values_name_too_long", named(&"x".repeat(65))),
        ("values_name_empty", named("\"\"")),
        ("values_names_twice", "rules:\n  - name: one\n    on: a.b\n    playbooks: restart_kernel\n  - name: one\n    on: a.c\n    playbooks: restart_kernel\n".into()),
        ("values_on_empty_token", on("a..b")),
        ("values_on_ends_with_a_dot", on("a.b.")),
        ("values_on_with_spaces", on("kernel exited")),
        ("values_on_with_a_comma", on("\"a.b, c.d\"")),
        ("values_on_greater_in_the_middle", on("a.>.b")),
        ("values_on_is_a_map", on("{ topic: a.b }")),
        ("values_on_is_a_number", on("5")),
        ("values_on_empty_list", on("[]")),
        ("values_on_nothing", on("")),
        ("values_on_true", on("true")),
        ("values_playbook_unknown", playbooks("reboot_everything")),
        ("values_playbook_slip", playbooks("[restart_krenel]")),
        ("values_playbook_with_ending", playbooks("restart_kernel.rhai")),
        ("values_playbook_with_folder", playbooks("playbooks/restart_kernel")),
        ("values_playbook_in_capitals", playbooks("RESTART_KERNEL")),
        ("values_playbook_with_dashes", playbooks("restart-kernel")),
        ("values_playbook_is_a_map", playbooks("{ name: restart_kernel }")),
        ("values_playbook_twice", playbooks("[restart_kernel, restart_kernel]")),
        ("values_playbooks_empty", playbooks("[]")),
        ("values_escalate_unknown", rule("escalate: [{ to: alert_operater }]")),
        ("values_escalate_is_a_text", rule("escalate: alert_operator")),
        ("values_enabled_yes", rule("enabled: yes")),
        ("values_stop_on", rule("stop: on")),
        ("values_stop_quoted", rule("stop: \"true\"")),
        ("values_description_is_a_number", rule("description: 5")),
        ("values_when_is_a_list", rule("when: [data.x > 1, data.y > 1]")),
        ("values_when_is_a_map", rule("when: { data.x: 1 }")),
        ("values_when_empty", rule("when:")),
        ("values_mode", rule("mode: automatic")),
        ("values_mode_manual", rule("mode: manual")),
        ("values_priority_is_a_word", rule("priority: high")),
        ("values_intent_priority", rule("intent: { priority: urgent }")),
        ("values_intent_priority_is_a_number", rule("intent: { priority: 1 }")),
        ("values_intent_is_a_text", rule("intent: Restart it")),
        ("values_target_empty", rule("intent: { target: \"\" }")),
        ("values_span_with_words", rule("guard: { cooldown: 5 parsecs }")),
        ("values_span_letter", rule("guard: { cooldown: 5x }")),
        ("values_span_negative", rule("guard: { cooldown: -5m }")),
        ("values_span_with_and", rule("guard: { cooldown: 5 minutes and 3 seconds }")),
        ("values_span_iso", rule("guard: { cooldown: PT5M }")),
        ("values_span_clock", rule("guard: { cooldown: \"00:05:00\" }")),
        ("values_span_is_a_list", rule("guard: { cooldown: [5m] }")),
        ("values_span_too_long", rule("expire: 20000d")),
        ("values_span_zero", rule("expire: 0s")),
        ("values_share_over_one", rule("guard: { ask_below: 120% }")),
        ("values_share_sixty", rule("guard: { ask_below: 60 }")),
        ("values_share_word", rule("guard: { ask_below: half }")),
        ("values_rate_in_words", rule("guard: { rate: 10 per hour }")),
        ("values_rate_is_a_number", rule("guard: { rate: 10 }")),
        ("values_rate_zero", rule("guard: { rate: 0/1h }")),
        ("values_rate_too_high", rule("guard: { rate: 100000/1h }")),
        ("values_attempts_zero", rule("guard: { max_attempts: 0 }")),
        ("values_attempts_is_a_text", rule("guard: { max_attempts: \"3\" }")),
        ("values_attempts_is_a_fraction", rule("guard: { max_attempts: 2.5 }")),
        ("values_guard_is_a_list", rule("guard: [cooldown, 5m]")),
        ("values_params_is_a_list", rule("params: [grace]")),
        ("values_verify_is_a_text", rule("verify: a.ok")),
        ("values_verify_expect_is_a_list", rule("verify: { expect: [a.ok, b.ok] }")),
        ("values_verify_without_expect", rule("verify: { within: 30s }")),
        ("values_resolved_is_a_text", rule("resolved: a.ok")),
        ("values_resolved_without_on", rule("resolved: { when: data.ok }")),
        ("values_tests_is_a_map", rule("tests: { name: x }")),
    ]
}

fn mistakes_of_expressions() -> Vec<(&'static str, String)> {
    let when = |text: &str| rule(&format!("when: {text}"));
    vec![
        ("when_single_equals", when("data.x = 1")),
        ("when_and", when("data.x == 1 and data.y == 2")),
        ("when_or", when("data.x == 1 or data.y == 2")),
        ("when_not", when("not data.healthy")),
        ("when_null", when("data.x == null")),
        ("when_none", when("data.x != None")),
        ("when_triple_equals", when("data.x === 1")),
        ("when_single_quotes", when("data.state == 'full'")),
        ("when_text_unquoted", when("data.state == full")),
        ("when_true_in_capitals", when("data.ok == True")),
        ("when_slip_in_data", when("dta.x > 1")),
        ("when_field_without_data", when("kernel == \"k1\"")),
        ("when_payload", when("payload.x > 1")),
        ("when_event_dot", when("$.data.x > 1")),
        ("when_braces", when("\"{{ data.x > 1 }}\"")),
        ("when_template", when("${data.x} > 1")),
        ("when_unknown_function", when("data.name.startswith(\"a\")")),
        ("when_strange_function", when("lookup(data.name) == 1")),
        ("when_bad_regex", when("'data.name.matches(\"(a\")'")),
        ("when_look_around", when("'data.name.matches(\"(?=a)\")'")),
        ("when_too_many_values", when("data.name.starts_with(\"a\", \"b\")")),
        ("when_now", when("now() - data.started > 300")),
        ("when_regex_function", when("regex(data.name, \"a.*\")")),
        ("when_like", when("data.name like \"a%\"")),
        ("when_regex_literal", when("data.name =~ \"a.*\"")),
        ("when_percent", when("data.used > 90%")),
        ("when_incomplete", when("data.x >")),
        ("when_bracket_not_closed", when("(data.x > 1 && data.y > 2")),
        ("when_bracket_too_many", when("data.x > 1) && data.y > 2")),
        ("when_quote_not_closed", when("data.x == \"full")),
        ("when_statement", when("let x = 5; x > 1")),
        ("when_if", when("if data.x > 1 { true } else { false }")),
        ("when_semicolon", when("data.x > 1;")),
        ("when_a_number", when("5")),
        ("when_a_sum", when("data.x + 1")),
        ("when_second_line", rule("when: |\n  data.x > 1 &&\n  dat.y > 2")),
        ("when_reserved_field", when("data.match == 1")),
        ("when_not_in", when("data.x not in [1, 2]")),
        ("when_ternary", when("data.x > 1 ? true : false")),
        ("when_not_equal_of_sql", when("data.x <> 1")),
        ("when_or_a_value", when("data.state == \"full\" || \"broken\"")),
        ("when_or_a_number", when("data.ok && data.code != 137 || 143")),
        ("when_in_round_brackets", when("data.x in (1, 2)")),
        ("when_backslash_once", when("matches(data.name, \"\\d+\")")),
        ("when_backslash_in_quotes_of_yaml", when("\"matches(data.name, '\\d+')\"")),
        ("when_letters_of_other_languages", when("data.größe > 1")),
        ("when_dash_in_a_name", when("data.boot-count > 1")),
        ("when_minutes", when("age(data.x) > 5 minutes")),
        ("when_two_values", when("data.x data.y")),
        ("group_by_slip", rule("group_by: dat.kernel")),
        ("group_by_plain_field", rule("group_by: kernel")),
        ("class_unknown", rule("class: error")),
        ("goal_slip", rule("intent: { goal: \"Restart ${dta.kernel}\" }")),
        ("goal_not_closed", rule("intent: { goal: \"Restart ${data.kernel\" }")),
        ("goal_empty_braces", rule("intent: { goal: \"Restart ${}\" }")),
        ("target_double_braces", rule("intent: { target: \"{{ data.kernel }}\" }")),
        ("verify_when_slip", rule("verify: { expect: a.ok, when: subject == targt }")),
    ]
}

fn mistakes_of_schedules() -> Vec<(&'static str, String)> {
    let schedule = |schedule: &str, more: &str| {
        format!(
            "rules:\n  - name: one\n    playbooks: restart_kernel\n    intent: {{ target: k1 }}\n    schedule: {schedule}\n{more}"
        )
    };
    let cron = |text: &str| schedule(&format!("\"{text}\""), "");
    vec![
        ("schedule_unquoted", schedule("*/5 * * * *", "")),
        ("schedule_is_a_number", schedule("5", "")),
        ("schedule_in_words", cron("every 5 minutes")),
        ("schedule_a_name_without_at", cron("hourly")),
        ("schedule_unknown_name", cron("@dayly")),
        ("schedule_four_fields", cron("*/5 * * *")),
        ("schedule_seven_fields", cron("0 0 12 * * ? 2026")),
        ("schedule_minute_60", cron("60 * * * *")),
        ("schedule_hour_24", cron("0 24 * * *")),
        ("schedule_backwards", cron("0 22-6 * * *")),
        ("schedule_step_of_90", cron("*/90 * * * *")),
        ("schedule_month_slip", cron("0 0 1 JNA *")),
        ("schedule_last_day", cron("0 0 L * *")),
        ("schedule_30_february", cron("0 0 30 2 *")),
        ("schedule_31_of_short_months", cron("0 0 31 4,6 *")),
        ("schedule_zone_slip", schedule("{ cron: \"0 2 * * *\", timezone: Europe/Berlln }", "")),
        ("schedule_zone_by_city", schedule("{ cron: \"0 2 * * *\", timezone: Berlin }", "")),
        ("schedule_zone_offset", schedule("{ cron: \"0 2 * * *\", timezone: \"+02:00\" }", "")),
        ("schedule_without_cron", schedule("{ timezone: Europe/Berlin }", "")),
        ("schedule_tz", schedule("{ cron: \"0 2 * * *\", tz: Europe/Berlin }", "")),
        ("schedule_with_on", schedule("\"0 2 * * *\"", "    on: a.b\n")),
        (
            "schedule_with_when_and_pattern",
            schedule("\"0 2 * * *\"", "    when: data.x > 1\n    pattern: { count: 3, within: 5m }\n"),
        ),
        (
            "schedule_without_target",
            "rules:\n  - name: one\n    playbooks: restart_kernel\n    schedule: \"@daily\"\n".into(),
        ),
    ]
}

fn mistakes_of_patterns() -> Vec<(&'static str, String)> {
    let alone = |pattern: &str| {
        format!("rules:\n  - name: one\n    playbooks: restart_kernel\n    pattern: {pattern}\n")
    };
    vec![
        ("pattern_is_a_text", pattern("3 in 5m")),
        ("pattern_is_a_number", pattern("3")),
        ("pattern_empty", pattern("{}")),
        ("pattern_of_no_kind", pattern("{ within: 5m }")),
        ("pattern_of_two_kinds", pattern("{ count: 3, within: 5m, absent: a.b, for: 30s }")),
        ("pattern_unknown_kind", pattern("{ times: 3, within: 5m }")),
        ("pattern_threshold", pattern("{ threshold: 3, window: 5m }")),
        ("pattern_count_zero", pattern("{ count: 0, within: 5m }")),
        ("pattern_count_negative", pattern("{ count: -3, within: 5m }")),
        ("pattern_count_is_a_text", pattern("{ count: three, within: 5m }")),
        ("pattern_count_too_many", pattern("{ count: 1000000, within: 5m }")),
        ("pattern_count_without_within", pattern("{ count: 3 }")),
        ("pattern_count_in", pattern("{ count: 3, in: 5m }")),
        ("pattern_count_for", pattern("{ count: 3, within: 5m, for: 30s }")),
        ("pattern_within_zero", pattern("{ count: 3, within: 0s }")),
        ("pattern_within_wrong", pattern("{ count: 3, within: 5 parsecs }")),
        ("pattern_all_of_one", pattern("{ all: [{ on: a }], within: 5m }")),
        ("pattern_all_empty", pattern("{ all: [], within: 5m }")),
        ("pattern_all_is_a_map", pattern("{ all: { on: a }, within: 5m }")),
        ("pattern_all_of_topics", pattern("{ all: [a.b, c.d], within: 5m }")),
        ("pattern_all_without_within", pattern("{ all: [{ on: a }, { on: b }] }")),
        ("pattern_sequence_of_one", pattern("{ sequence: [{ on: a }], within: 5m }")),
        (
            "pattern_sequence_member_slip",
            pattern("{ sequence: [{ on: a, whn: data.x }, { on: b }], within: 5m }"),
        ),
        (
            "pattern_sequence_member_condition",
            pattern("{ sequence: [{ on: a, when: dta.x }, { on: b }], within: 5m }"),
        ),
        ("pattern_sequence_member_empty", alone("{ sequence: [{}, { on: b }], within: 5m }")),
        ("pattern_absent_without_for", alone("{ absent: a.b }")),
        ("pattern_absent_within", alone("{ absent: a.b, within: 30s }")),
        ("pattern_absent_with_on", pattern("{ absent: a.b, for: 30s }")),
        ("pattern_absent_wrong_topic", alone("{ absent: a..b, for: 30s }")),
        ("pattern_expect_without_absent", pattern("{ count: 3, within: 5m, expect: [k1] }")),
        ("pattern_expect_twice", alone("{ absent: a.b, for: 30s, expect: [k1, k1] }")),
        ("pattern_not_without_after", pattern("{ not: { on: a }, within: 5m }")),
        ("pattern_after_without_not", pattern("{ after: { on: a }, within: 5m }")),
        ("pattern_change_without_above", pattern("{ change: data.x }")),
        ("pattern_change_below_over_above", pattern("{ change: data.x, above: 2, below: 3 }")),
        ("pattern_change_above_zero", pattern("{ change: data.x, above: 0 }")),
        ("pattern_change_above_percent", pattern("{ change: data.x, above: 20% }")),
        ("pattern_change_slip", pattern("{ change: dta.x, above: 2 }")),
        ("pattern_once_within_zero", pattern("{ once_within: 0s }")),
        ("pattern_once_within_more", pattern("{ once_within: 1h, count: 3 }")),
        ("pattern_lateness_too_long", pattern("{ count: 3, within: 5m, lateness: 2d }")),
    ]
}
