//! Everything that is wrong with `paramedic.yaml`, each where it stands.
//!
//! The engine reads the file as a whole and stops at the first mistake. Here each part is read by itself, and each
//! kernel, so that a person sees all of them at once.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{Config, Limits, Sources};
use crate::model::Diagnostic;
use crate::model::diagnostic::{Severity, nearest};
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
    /// Something that is not there on this machine.
    pub const MACHINE: &str = "P0306";
}

const KEYS: [&str; 11] = [
    "listen",
    "hosts",
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
    let mut all = of_text(path, &text);
    if !all.iter().any(|it| it.severity == Severity::Error)
        && let Err(error) = Config::load(path)
    {
        // Something that is only seen of the whole; told without a place rather than not at all.
        all.push(Diagnostic::error(code::VALUE, &path.to_string_lossy(), &text, 0..0, error.to_string()));
    }
    all
}

/// The same of a configuration that is read already, as far as it is seen part by part.
pub fn of_text(path: &Path, text: &str) -> Vec<Diagnostic> {
    let name = path.to_string_lossy();
    let base = path.parent().unwrap_or(Path::new(""));
    let mut found = Found { file: &name, text, base, all: Vec::new() };
    match yaml::read(text) {
        Err(error) => found.add(code::SYNTAX, error.at, error.message, error.help),
        Ok(Node { kind: Kind::Null, .. }) => {}
        Ok(tree) => found.whole(&tree),
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
    /// What relative paths are taken from.
    base: &'a Path,
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
                "hosts" => self.part::<Vec<String>>(value, &key.at),
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
        let before = self.errors();
        let specs: Vec<kernels::Spec> =
            items.iter().filter_map(|item| self.read::<kernels::Spec>(item, key)).collect();
        let no_program = |item: &Node| {
            let Kind::List(words) = &find(item, "command")?.kind else { return None };
            let Node { kind: Kind::Text(program), at } = words.first()? else { return None };
            Some((at.clone(), actions::missing_program(program)?))
        };
        for (at, message) in items.iter().filter_map(no_program) {
            self.warn(code::MACHINE, at, message);
        }
        // What they say together makes sense only when each could be read.
        let wrong = match self.errors() > before {
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
        // What cannot be read is told and left out, so that the rest is looked at too.
        let mut tree = node.clone();
        self.each::<actions::Program>(&mut tree, &["exec", "allow"], key);
        self.each::<actions::HttpSecret>(&mut tree, &["http", "secrets"], key);
        self.each::<actions::WebhookConfig>(&mut tree, &["alert", "webhook"], key);
        self.each::<actions::SlackConfig>(&mut tree, &["alert", "slack"], key);
        self.each::<actions::PagerDutyConfig>(&mut tree, &["alert", "pagerduty"], key);
        self.each::<actions::SmtpConfig>(&mut tree, &["alert", "smtp"], key);
        let (Some(mut config), tree) = self.what_reads::<actions::Config>(tree, key) else { return };
        config.rebase(self.base);
        for actions::Problem { at, message } in config.problems() {
            self.add(code::VALUE, place(&tree, &at).at.clone(), message, None);
        }
        for actions::Problem { at, message } in config.unwise() {
            self.warn(code::VALUE, place(&tree, &at).at.clone(), message);
        }
        for actions::Problem { at, message } in config.absent() {
            self.warn(code::MACHINE, place(&tree, &at).at.clone(), message);
        }
    }

    /// Reads each element of the list or map at `path` by itself, and takes out those that cannot be read.
    fn each<T: DeserializeOwned>(&mut self, tree: &mut Node, path: &[&str], key: &Range<usize>) {
        let Some(node) = path.iter().try_fold(tree, |node, key| find_mut(node, key)) else { return };
        let secrets = path.contains(&"secrets");
        // One where a list of them may stand.
        if !secrets && matches!(node.kind, Kind::Map(_) | Kind::Text(_)) {
            if self.read::<T>(node, key).is_none() {
                node.kind = Kind::Null;
            }
            return;
        }
        match &mut node.kind {
            Kind::List(items) => items.retain(|item| self.read::<T>(item, key).is_some()),
            Kind::Map(entries) => entries.retain(|(_, it)| self.read::<T>(it, key).is_some()),
            _ => {}
        }
    }

    fn plugins(&mut self, node: &Node, key: &Range<usize>) {
        let Kind::List(items) = &node.kind else {
            let message = format!("`plugins` is a list, this is {}", node.what());
            let help = Some("begin each plugin below it with `- `".into());
            return self.add(code::VALUE, node.at.clone(), message, help);
        };
        let specs: Vec<plugins::Spec> =
            items.iter().filter_map(|item| self.read::<plugins::Spec>(item, key)).collect();
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

    /// Reads a value, if nothing is wrong with it.
    fn read<T: DeserializeOwned>(&mut self, node: &Node, key: &Range<usize>) -> Option<T> {
        let before = self.errors();
        let (value, _) = self.what_reads(node.clone(), key);
        value.filter(|_| self.errors() == before)
    }

    /// Reads a value and tells each mistake in it; what is wrong is left out, and the rest given with what it was read
    /// from. None if it cannot be read without that.
    fn what_reads<T: DeserializeOwned>(&mut self, mut node: Node, key: &Range<usize>) -> (Option<T>, Node) {
        let mut left_out: Vec<String> = Vec::new();
        loop {
            let error = match serde_json::from_value(node.to_json()) {
                Ok(value) => return (Some(value), node),
                Err(error) => error.to_string(),
            };
            let missing = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
            if missing.is_some_and(|field| left_out.iter().any(|it| it == field)) {
                // It is there, but was told to be wrong.
                return (None, node);
            }
            let at = self.mistake(&node, key, &error);
            match take_out(&mut node, &at) {
                Some(name) => left_out.push(name),
                None => return (None, node),
            }
        }
    }

    /// Tells what the reader says, at the key that it names, if there is one; gives the place.
    fn mistake(&mut self, node: &Node, key: &Range<usize>, error: &str) -> Range<usize> {
        let named: Vec<&str> = error.split('`').skip(1).step_by(2).collect();
        if let Some(field) = error.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
            let at = key_of(node, field).unwrap_or(key.clone());
            let help = match nearest(field, named.iter().skip(1).copied()) {
                Some(near) => format!("did you mean `{near}`? There are {}", named[1..].join(", ")),
                None => format!("there are {}", named[1..].join(", ")),
            };
            self.add(code::KEY, at.clone(), format!("unknown key `{field}`"), Some(help));
            at
        } else if error.starts_with("missing field") {
            let at = first_key(node).unwrap_or(node.at.clone());
            let field = named.first().copied().unwrap_or_default();
            self.add(code::VALUE, at, format!("`{field}` is missing"), None);
            // Nothing that could be left out.
            0..0
        } else {
            // The value that it shows stands somewhere below.
            let shown = named.first().copied().or_else(|| error.split('"').nth(1)).unwrap_or_default();
            let at = value_of(node, shown).unwrap_or(node.at.clone());
            let others = named.iter().skip(1).copied();
            let near = if error.starts_with("unknown variant") { nearest(shown, others) } else { None };
            let help = near.map(|near| format!("did you mean `{near}`?"));
            self.add(code::VALUE, at.clone(), error.to_owned(), help);
            at
        }
    }

    fn errors(&self) -> usize {
        self.all.iter().filter(|it| it.severity == Severity::Error).count()
    }

    fn warn(&mut self, code: &str, at: Range<usize>, message: String) {
        self.all.push(Diagnostic::error(code, self.file, self.text, at, message).warning());
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

fn find_mut<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let Kind::Map(entries) = &mut node.kind else { return None };
    entries.iter_mut().rev().find(|(k, _)| k.name == key).map(|(_, node)| node)
}

/// What `at`, keys and places in lists, leads to; as far as it goes. One thing may stand for a list of it.
fn place<'n>(node: &'n Node, at: &[String]) -> &'n Node {
    at.iter().fold(node, |node, key| match &node.kind {
        Kind::List(items) => key.parse().ok().and_then(|i: usize| items.get(i)).unwrap_or(node),
        _ => find(node, key).unwrap_or(node),
    })
}

/// Takes out the entry whose key or value stands at `at`, or the element of a list; gives its key.
fn take_out(node: &mut Node, at: &Range<usize>) -> Option<String> {
    match &mut node.kind {
        Kind::Map(entries) => {
            if let Some(i) = entries.iter().position(|(key, value)| key.at == *at || value.at == *at) {
                return Some(entries.remove(i).0.name);
            }
            entries.iter_mut().find_map(|(_, value)| take_out(value, at))
        }
        Kind::List(items) => {
            if let Some(i) = items.iter().position(|item| item.at == *at) {
                items.remove(i);
                return Some(String::new());
            }
            items.iter_mut().find_map(|item| take_out(item, at))
        }
        _ => None,
    }
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
mod tests;
