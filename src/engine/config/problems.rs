//! Everything that is wrong with `paramedic.yaml`, each where it stands.
//!
//! The engine reads the file as a whole and stops at the first mistake. Here each part is read by itself, and each
//! kernel, so that a person sees all of them at once.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{Config, Limits, Sources};
use crate::model::Diagnostic;
use crate::model::diagnostic::nearest;
use crate::rules::yaml::{self, Kind, Node};
use crate::{actions, kernels, observability, plugins};

/// Codes of what is wrong with the configuration.
pub mod code {
    /// Not YAML.
    pub const SYNTAX: &str = "P0301";
    /// A key that is not known, or stands there twice.
    pub const KEY: &str = "P0302";
    /// A value that cannot be read, or is missing.
    pub const VALUE: &str = "P0303";
    /// A kernel that cannot work.
    pub const KERNEL: &str = "P0304";
    /// A plugin that cannot work.
    pub const PLUGIN: &str = "P0305";
}

const KEYS: [&str; 10] = [
    "listen",
    "data",
    "rules",
    "playbooks",
    "logs",
    "kernels",
    "plugins",
    "sources",
    "actions",
    "observability",
];

/// All mistakes in the configuration at `path`; none if it cannot be read, which is told elsewhere.
pub fn problems(path: &Path) -> Vec<Diagnostic> {
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    let name = path.to_string_lossy();
    let mut found = Found { file: &name, text: &text, all: Vec::new() };
    match yaml::read(&text) {
        Err(error) => found.add(code::SYNTAX, error.at, error.message, error.help),
        Ok(Node { kind: Kind::Null, .. }) => {}
        Ok(tree) => found.whole(&tree),
    }
    if found.all.is_empty()
        && let Err(error) = Config::load(path)
    {
        // Something that is only seen of the whole; told without a place rather than not at all.
        found.add(code::VALUE, 0..0, error.to_string(), None);
    }
    found.all
}

/// That plugin `name` of the configuration at `path` does not load, shown where its library is named.
pub fn plugin(path: &Path, name: &str, why: &str) -> Diagnostic {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let place = || {
        let tree = yaml::read(&text).ok()?;
        let Kind::List(items) = &find(&tree, "plugins")?.kind else { return None };
        let is_it =
            |item: &&Node| matches!(find(item, "name").map(|n| &n.kind), Some(Kind::Text(it)) if it == name);
        Some(find(items.iter().find(is_it)?, "path")?.at.clone())
    };
    let at = place().unwrap_or(0..0);
    let message = format!("plugin `{name}` does not load: {why}");
    Diagnostic::error(code::PLUGIN, &path.to_string_lossy(), &text, at, message)
}

struct Found<'a> {
    file: &'a str,
    text: &'a str,
    all: Vec<Diagnostic>,
}

impl Found<'_> {
    fn whole(&mut self, tree: &Node) {
        let Kind::Map(entries) = &tree.kind else {
            let message = format!("the configuration is a map, this is {}", tree.what());
            return self.add(code::VALUE, tree.at.clone(), message, None);
        };
        let known = || KEYS.into_iter().chain(["limits"]);
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in entries {
            if seen.contains(&key.name.as_str()) {
                let message = format!("`{}` stands here twice", key.name);
                self.add(code::KEY, key.at.clone(), message, Some("keep one of them".into()));
                continue;
            }
            seen.push(&key.name);
            match key.name.as_str() {
                "kernels" => self.kernels(value, &key.at),
                "plugins" => self.plugins(value, &key.at),
                "listen" => self.part::<std::net::SocketAddr>(value, &key.at),
                "data" | "rules" | "playbooks" | "logs" => self.part::<String>(value, &key.at),
                "sources" => self.part::<Sources>(value, &key.at),
                "actions" => self.actions(value, &key.at),
                "observability" => self.part::<observability::Config>(value, &key.at),
                "limits" => self.part::<Limits>(value, &key.at),
                other => {
                    let help = match nearest(other, known()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("the configuration knows {}", known().collect::<Vec<_>>().join(", ")),
                    };
                    self.add(code::KEY, key.at.clone(), format!("unknown key `{other}`"), Some(help));
                }
            }
        }
    }

    fn kernels(&mut self, node: &Node, key: &Range<usize>) {
        let Kind::List(items) = &node.kind else {
            let message = format!("`kernels` is a list, this is {}", node.what());
            let help = Some("begin each kernel below it with `- `".into());
            return self.add(code::VALUE, node.at.clone(), message, help);
        };
        let before = self.all.len();
        let specs: Vec<kernels::Spec> =
            items.iter().filter_map(|item| self.read::<kernels::Spec>(item, key)).collect();
        // What they say together makes sense only when each could be read.
        let wrong = match self.all.len() > before {
            true => kernels::spec::check_each(&specs),
            false => kernels::spec::check_all(&specs),
        };
        for error in wrong {
            let (name, field) = match &error {
                kernels::spec::Error::Field { kernel, field, .. } => (kernel.as_str(), *field),
                kernels::spec::Error::Twice(name) => (name.as_str(), "name"),
                kernels::spec::Error::Circle(names) => {
                    (names.split(" → ").next().unwrap_or(""), "depends_on")
                }
            };
            let is_it = |item: &&Node| matches!(find(item, "name").map(|n| &n.kind), Some(Kind::Text(it)) if it == name);
            // Of two of one name the second is shown.
            let item = match &error {
                kernels::spec::Error::Twice(_) => items.iter().rev().find(is_it),
                _ => items.iter().find(is_it),
            };
            let at = item.map_or(key.clone(), |item| {
                let place = field.split('.').try_fold(item, |node, key| find(node, key));
                place.or_else(|| find(item, "name")).unwrap_or(item).at.clone()
            });
            self.add(code::KERNEL, at, error.to_string(), None);
        }
    }

    fn actions(&mut self, node: &Node, key: &Range<usize>) {
        let Some(config) = self.read::<actions::Config>(node, key) else { return };
        for actions::Problem { at, message } in config.problems() {
            // Of a list of channels the first that has the key is shown.
            let mut place = node;
            for name in &at {
                place = match &place.kind {
                    Kind::List(items) => items.iter().find_map(|item| find(item, name)),
                    _ => find(place, name),
                }
                .unwrap_or(place);
            }
            self.add(code::VALUE, place.at.clone(), message, None);
        }
    }

    fn plugins(&mut self, node: &Node, key: &Range<usize>) {
        let Kind::List(items) = &node.kind else {
            let message = format!("`plugins` is a list, this is {}", node.what());
            let help = Some("begin each plugin below it with `- `".into());
            return self.add(code::VALUE, node.at.clone(), message, help);
        };
        let before = self.all.len();
        let specs: Vec<plugins::Spec> =
            items.iter().filter_map(|item| self.read::<plugins::Spec>(item, key)).collect();
        if self.all.len() > before {
            return;
        }
        for error in plugins::spec::check_all(&specs) {
            let is_it = |item: &&Node| matches!(find(item, "name").map(|n| &n.kind), Some(Kind::Text(it)) if *it == error.plugin);
            // Of two of one name the second is shown.
            let item = items.iter().rev().find(is_it);
            let at = item.map_or(key.clone(), |item| find(item, error.field).unwrap_or(item).at.clone());
            self.add(code::PLUGIN, at, error.to_string(), None);
        }
    }

    fn part<T: DeserializeOwned>(&mut self, node: &Node, key: &Range<usize>) {
        drop(self.read::<T>(node, key));
    }

    /// Reads a value; what is wrong is shown at the key that the message names, if there is one.
    fn read<T: DeserializeOwned>(&mut self, node: &Node, key: &Range<usize>) -> Option<T> {
        let error = match serde_json::from_value(node.to_json()) {
            Ok(value) => return Some(value),
            Err(error) => error.to_string(),
        };
        let named: Vec<&str> = error.split('`').skip(1).step_by(2).collect();
        if let Some(field) = error.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
            let at = key_of(node, field).unwrap_or(key.clone());
            let help = match nearest(field, named.iter().skip(1).copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", named[1..].join(", ")),
            };
            self.add(code::KEY, at, format!("unknown key `{field}`"), Some(help));
        } else if error.starts_with("missing field") {
            let at = first_key(node).unwrap_or(node.at.clone());
            let field = named.first().copied().unwrap_or_default();
            self.add(code::VALUE, at, format!("`{field}` is missing"), None);
        } else {
            // The value that it shows stands somewhere below.
            let shown = named.first().copied().or_else(|| error.split('"').nth(1)).unwrap_or_default();
            let at = value_of(node, shown).unwrap_or(node.at.clone());
            let others = named.iter().skip(1).copied();
            let near = if error.starts_with("unknown variant") { nearest(shown, others) } else { None };
            let help = near.map(|near| format!("did you mean `{near}`?"));
            self.add(code::VALUE, at, error.clone(), help);
        }
        None
    }

    fn add(&mut self, code: &str, at: Range<usize>, message: String, help: Option<String>) {
        let error = Diagnostic::error(code, self.file, self.text, at, message);
        self.all.push(match help {
            Some(help) => error.help(help),
            None => error,
        });
    }
}

fn find<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().rev().find(|(k, _)| k.name == key).map(|(_, node)| node)
}

fn first_key(node: &Node) -> Option<Range<usize>> {
    match &node.kind {
        Kind::Map(entries) => entries.first().map(|(key, _)| key.at.clone()),
        _ => None,
    }
}

/// Where a key of this name stands below `node`.
fn key_of(node: &Node, name: &str) -> Option<Range<usize>> {
    match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(key, _)| key.at.clone())
            .or_else(|| entries.iter().find_map(|(_, value)| key_of(value, name))),
        Kind::List(items) => items.iter().find_map(|item| key_of(item, name)),
        _ => None,
    }
}

/// Where a value that is shown like this stands below `node`.
fn value_of(node: &Node, shown: &str) -> Option<Range<usize>> {
    let is_it = match &node.kind {
        Kind::Map(entries) => return entries.iter().find_map(|(_, value)| value_of(value, shown)),
        Kind::List(items) => return items.iter().find_map(|item| value_of(item, shown)),
        Kind::Text(text) => text == shown,
        Kind::Int(n) => n.to_string() == shown,
        Kind::Float(n) => n.to_string() == shown,
        Kind::Bool(b) => b.to_string() == shown,
        Kind::Null => false,
    };
    is_it.then(|| node.at.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_with_a_configuration_is_told_where_it_stands() {
        for (text, wanted) in [
            ("", vec![]),
            ("listen: 127.0.0.1:7112\n", vec![]),
            ("kernels: [{ name: a, command: [x] }]\nlimits: { inbox: 5 }\n", vec![]),
            ("kernels: [\n", vec![("P0301", "[", "")]),
            ("kernal: []\nrules: [a]\n", vec![("P0302", "kernal", "`kernels`"), ("P0303", "[", "")]),
            ("limits: { inbx: 5 }\n", vec![("P0302", "inbx", "`inbox`")]),
            ("limits: { keep_events: soon }\n", vec![("P0303", "soon", "")]),
            ("listen: nowhere\n", vec![("P0303", "nowhere", "")]),
            ("rules: a\nrules: b\n", vec![("P0302", "rules", "keep one")]),
            ("kernels: { name: a }\n", vec![("P0303", "{", "`- `")]),
            (
                "kernels:\n  - { name: a, command: [x], layr: 1 }\n  - { name: b }\nlisten: 5\n",
                vec![("P0302", "layr", "`layer`"), ("P0304", "b }", ""), ("P0303", "5", "")],
            ),
            (
                "kernels:\n  - { name: a, command: [x], layer: 9 }\n  - { name: b, command: [x], depends_on: [c] }\n  - { name: a, command: [x] }\n",
                vec![("P0304", "9", ""), ("P0304", "a", ""), ("P0304", "[", "")],
            ),
            (
                "kernels:\n  - { name: a, command: [x], port: 80, replicas: { min: 1, max: 3 } }\n  - { name: b, command: [x], port: 82 }\n",
                vec![("P0304", "82", "")],
            ),
            (
                "actions:\n  http: { allow: [here] }\n  alert:\n    slack: { url: { env: A }, levels: [] }\n",
                vec![("P0303", "[here]", ""), ("P0303", "[]", "")],
            ),
            ("actions: { alert: { slack: { url: x } } }\n", vec![("P0303", "{", "")]),
            (
                "kernels: [{ name: a, provider: proces, command: [x] }]\n",
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
            ("kernels: [{ name: a, command: [x], docker: {} }]\n", vec![("P0304", "{}", "")]),
            ("kernels: [{ name: web, command: [x], depends_on: [wbe] }]\n", vec![("P0304", "[wbe", "")]),
            (
                "kernels:\n  - { name: a, command: [x], health: { tcp: nowhere } }\n",
                vec![("P0304", "nowhere", "")],
            ),
            ("plugins: [{ name: a, path: b.so }]\n", vec![]),
            ("plugins: { name: a }\n", vec![("P0303", "{", "`- `")]),
            ("plugins: [{ name: a, path: b.so, memmory: 1 }]\n", vec![("P0302", "memmory", "`memory`")]),
            ("plugins: [{ name: a, path: b.so, memory: lots }]\n", vec![("P0303", "lots", "")]),
            ("plugins: [{ name: a, path: b.so, sha256: abc }]\n", vec![("P0305", "abc", "")]),
            (
                "plugins:\n  - { name: a, path: b.so }\n  - { name: a, path: c.so }\n",
                vec![("P0305", "a", "")],
            ),
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
}
