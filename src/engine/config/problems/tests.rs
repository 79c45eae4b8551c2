//! Mistakes in a configuration, as they are shown.

use super::*;

#[test]
fn all_that_is_wrong_with_a_configuration_is_told_where_it_stands() {
    for (text, wanted) in [
        ("", vec![]),
        ("listen: 127.0.0.1:7112\n", vec![]),
        ("kernels: [{ name: a, command: [sh] }]\nlimits: { inbox: 5 }\n", vec![]),
        ("kernels: [\n", vec![("P0301", "[", "")]),
        ("kernal: []\nrules: [a]\n", vec![("P0302", "kernal", "`kernels`"), ("P0303", "[", "")]),
        ("limits: { inbx: 5 }\n", vec![("P0302", "inbx", "`inbox`")]),
        ("limits: { keep_events: soon }\n", vec![("P0303", "soon", "")]),
        ("listen: nowhere\n", vec![("P0303", "nowhere", "")]),
        ("rules: a\nrules: b\n", vec![("P0302", "rules", "keep one")]),
        ("kernels: { name: a }\n", vec![("P0303", "{", "`- `")]),
        (
            "kernels:\n  - { name: a, command: [sh], layr: 1 }\n  - { name: b }\nlisten: 5\n",
            vec![("P0302", "layr", "`layer`"), ("P0304", "b }", ""), ("P0303", "5", "")],
        ),
        (
            "kernels:\n  - { name: a, command: [sh], layer: 9 }\n  - { name: b, command: [sh], depends_on: [c] }\n  - { name: a, command: [sh] }\n",
            vec![("P0304", "9", ""), ("P0304", "a", ""), ("P0304", "[", "")],
        ),
        (
            "kernels:\n  - { name: a, command: [sh], port: 80, replicas: { min: 1, max: 3 } }\n  - { name: b, command: [sh], port: 82 }\n",
            vec![("P0304", "82", "")],
        ),
        (
            "actions:\n  exec: { allow: [sh, '', /no/such, { progam: x }, { program: ls, options: 5 }] }\n  http:\n    allow: ['h:1', here]\n    secrets: { a: { form: { env: A }, to: ['h:1'] }, b: { from: { file: no-such }, to: [x] } }\n  alert: { give_up_after: 0s, slak: {}, webhook: ['https://u:p@h/', 'ftp://h/'] }\n  diagnostic: { lgos: [] }\n",
            vec![
                ("P0302", "progam", "`program`"),
                ("P0303", "{ progam", ""),
                ("P0303", "5", ""),
                ("P0302", "form", "`from`"),
                ("P0303", "to", ""),
                ("P0302", "slak", "`slack`"),
                ("P0302", "lgos", "`logs`"),
                ("P0303", "''", ""),
                ("P0303", "here", ""),
                ("P0303", "x", ""),
                ("P0303", "'ftp", ""),
                ("P0303", "0s", ""),
                ("P0303", "'https", ""),
                ("P0306", "/no/such", ""),
                ("P0306", "{ file", ""),
            ],
        ),
        (
            "actions:\n  http: { allow: [here] }\n  alert:\n    slack: { url: { env: A }, levels: [] }\n",
            vec![("P0303", "here", ""), ("P0303", "[]", ""), ("P0306", "{ env", "")],
        ),
        ("actions: { alert: { slack: { url: x } } }\n", vec![("P0303", "{", "")]),
        (
            "kernels: [{ name: a, provider: proces, command: [sh] }]\n",
            vec![("P0303", "proces,", "`process`")],
        ),
        (
            "kernels: [{ name: a, provider: http, http: { restrt: { url: 'http://h/' } } }]\n",
            vec![("P0302", "restrt", "`restart`")],
        ),
        (
            "kernels: [{ name: a, provider: systemd, systemd: { unit: web } }]\n",
            if cfg!(feature = "systemd") {
                vec![("P0304", "web", "")]
            } else {
                vec![("P0304", "systemd,", "")]
            },
        ),
        ("kernels: [{ name: a, command: [sh], docker: {} }]\n", vec![("P0304", "{}", "")]),
        ("kernels: [{ name: web, command: [sh], depends_on: [wbe] }]\n", vec![("P0304", "[wbe", "")]),
        (
            "kernels:\n  - { name: a, command: [sh], health: { tcp: nowhere } }\n",
            vec![("P0304", "nowhere", "")],
        ),
        (
            "kernels: [{ name: a, command: [no-such-program, -x] }, { name: b, command: [/no/such] }]\n",
            vec![("P0306", "no-such-program", ""), ("P0306", "/no/such", "")],
        ),
        ("plugins: [{ name: a, path: b.so }]\n", vec![]),
        ("plugins: { name: a }\n", vec![("P0303", "{", "`- `")]),
        ("plugins: [{ name: a, path: b.so, memmory: 1 }]\n", vec![("P0302", "memmory", "`memory`")]),
        ("plugins: [{ name: a, path: b.so, memory: lots }]\n", vec![("P0303", "lots", "")]),
        ("plugins: [{ name: a, path: b.so, sha256: abc }]\n", vec![("P0305", "abc", "")]),
        ("plugins:\n  - { name: a, path: b.so }\n  - { name: a, path: c.so }\n", vec![("P0305", "a", "")]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("paramedic.yaml");
        std::fs::write(&path, text).unwrap();
        let found = problems(&path);
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), wanted.len(), "{text}\n{}", shown.join("\n"));
        for (found, (code, at, help)) in found.iter().zip(wanted) {
            let line: String = found.source_line.chars().skip(found.column as usize - 1).collect();
            assert!(found.code == code && line.starts_with(at), "{text}\n{found}");
            assert!(found.help.clone().unwrap_or_default().contains(help), "{found}");
        }
    }
}
