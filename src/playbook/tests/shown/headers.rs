//! Headers that are cut, begin wrongly or say what no header says.

use super::{Told, loaded, with_header};

const RUN: &str = "fn run(ctx) { act(\"kernel.restart\", #{ kernel: ctx.target }); }\n";

/// Keys and values.
pub fn values() -> Told {
    let good = "actions: [kernel.restart]";
    [
        ("header_retries", format!("{good}\nretries: -1")),
        ("header_name", format!("{good}\nname: fix")),
        ("header_timeout_word", format!("{good}\ntimeout: fast")),
        ("header_timeout_negative", format!("{good}\ntimeout: -5s")),
        ("header_timeout_nothing", format!("{good}\ntimeout:")),
        ("header_risk_extreme", format!("{good}\nrisk: extreme")),
        ("header_actions_two", "actions: kernel.restart, kernel.health".into()),
        ("header_actions_number", "actions: [1, kernel.restart]".into()),
        ("header_actions_map", "actions:\n  kernel.restart: true".into()),
        ("header_indented", format!("{good}\n  risk: low\ntimeout: 5m")),
        ("header_tab_in_list", "actions:\n\t- kernel.restart".into()),
        ("header_equals", format!("{good}\nrisk = low")),
        ("header_no_space", format!("{good}\nrisk:low")),
        ("header_list_inline", "actions: - kernel.restart".into()),
        ("header_two_in_line", format!("{good}\nrisk: low, timeout: 5m")),
        ("header_actions_star", "actions: [kernel.*]".into()),
        ("header_param_twice", format!("{good}\nparams:\n  n: int\n  n: string")),
        ("header_param_required", format!("{good}\nparams: {{ n: {{ type: int, required: yes }} }}")),
        ("header_param_quoted", format!("{good}\nparams: {{ n: {{ type: int, default: \"3\" }} }}")),
        ("header_param_word", format!("{good}\nparams: {{ n: {{ type: boolean, description: x }} }}")),
        ("header_param_value", format!("{good}\nparams: {{ grace: 5s }}")),
    ]
    .into_iter()
    .map(|(name, header)| (name, loaded(&with_header(&header))))
    .collect()
}

/// Where a header begins and ends.
pub fn places() -> Told {
    [
        ("header_dashes_alone", format!("---\nactions: [kernel.restart]\n---\n{RUN}")),
        ("header_shebang", format!("#!/usr/bin/env rhai\n//! Fix it.\n//! ---\n//! actions: []\n{RUN}")),
        ("header_of_page", format!("```rhai\n//! Fix it.\n//! ---\n//! actions: []\n{RUN}```\n")),
        ("header_late", format!("\n//! Fix it.\n//! ---\n//! actions: [kernel.restart]\n{RUN}")),
        ("header_plain_comments", format!("// Fix it.\n// ---\n// actions: [kernel.restart]\n{RUN}")),
        (
            "header_line_lost",
            format!("//! Fix it.\n//! ---\n//! risk: low\nactions: [kernel.restart]\n//! timeout: 5m\n{RUN}"),
        ),
        ("header_fence_short", format!("//! Fix it.\n//! --\n//! actions: [kernel.restart]\n{RUN}")),
        ("header_keys_alone", format!("actions: [kernel.restart]\n{RUN}")),
        ("header_fence_lost", format!("//! Fix it.\n---\n//! actions: [kernel.restart]\n{RUN}")),
        (
            "header_line_plain",
            format!(
                "//! Fix it.\n//! ---\n//! risk: low\n// timeout: 5m\n//! actions: [kernel.restart]\n{RUN}"
            ),
        ),
        (
            "header_line_plain_last",
            format!("//! Fix it.\n//! ---\n//! actions: [kernel.restart]\n// timeout: 5m\n{RUN}"),
        ),
        (
            "header_blank_line",
            format!("//! Fix it.\n//! ---\n//! risk: low\n\n//! actions: [kernel.restart]\n{RUN}"),
        ),
        ("header_blank_line_above", format!("//! Fix it.\n\n//! ---\n//! actions: [kernel.restart]\n{RUN}")),
        (
            "header_of_windows",
            format!("//! Fix it.\r\n//! ---\r\n//! risk: lwo\r\n//! actions: [kernel.restart]\r\n{RUN}"),
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name, loaded(&text)))
    .collect()
}
