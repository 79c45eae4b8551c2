//! `paramedic plugin pin`: writes the hash of a library beside its name, and touches nothing else of the configuration.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::super::{Setup, output};
use super::find;
use crate::engine::Config;
use crate::plugins::sha256;
use crate::rules::yaml::{self, Kind, Node};

/// Pins, or only prints.
pub(super) fn main(target: &str, print: bool, setup: &Setup, json: bool) -> ExitCode {
    let pinned = find(target, setup).and_then(|spec| {
        let hash = sha256(&spec.path)?;
        let written = match setup.file() {
            Some(file) if !print && !Path::new(target).is_file() => Some(write(&file, target, &hash)?),
            _ => None,
        };
        Ok((spec.path, hash, written))
    });
    let (path, hash, written) = match pinned {
        Ok(pinned) => pinned,
        Err(error) => return output::failed(&error),
    };
    if json {
        output::json(&json!({ "file": path, "sha256": hash, "written": written }));
        return ExitCode::SUCCESS;
    }
    match written {
        Some(file) => output::line(format!("{target} is pinned to {hash} in {}", file.display())),
        None => output::line(format!("sha256: {hash}")),
    }
    ExitCode::SUCCESS
}

/// Writes the pin of plugin `name` into the configuration at `file`.
fn write(file: &Path, name: &str, hash: &str) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("failed to write {}: {error}", file.display());
    // What a link leads to is written, and the link stays.
    let real = file.canonicalize().map_err(failed)?;
    let text = std::fs::read_to_string(&real).map_err(failed)?;
    let new = pinned(&text, name, hash).ok_or_else(|| {
        format!(
            "{} cannot be changed safely: write `sha256: {hash}` below plugin `{name}` yourself",
            file.display()
        )
    })?;
    let beside = real.with_extension("pin.new");
    let mode = std::fs::metadata(&real).map_err(failed)?.permissions();
    std::fs::write(&beside, &new).map_err(failed)?;
    let checked = Config::load(&beside).map_err(|error| error.to_string()).and_then(|config| {
        let fine =
            config.plugins.iter().any(|spec| spec.name == name && spec.sha256.as_deref() == Some(hash));
        if fine { Ok(()) } else { Err("the pin would not be found there".into()) }
    });
    let moved = checked.and_then(|()| {
        std::fs::set_permissions(&beside, mode).and_then(|()| std::fs::rename(&beside, &real)).map_err(failed)
    });
    if let Err(error) = moved {
        std::fs::remove_file(&beside).ok();
        return Err(error);
    }
    Ok(file.into())
}

/// The text with the pin in it; none if the place for it is not clear.
fn pinned(text: &str, name: &str, hash: &str) -> Option<String> {
    let tree = yaml::read(text).ok()?;
    let Kind::List(plugins) = &value(&tree, "plugins")?.kind else { return None };
    let entry = plugins
        .iter()
        .find(|entry| matches!(value(entry, "name").map(|v| &v.kind), Some(Kind::Text(it)) if it == name))?;
    let put = |at: Range<usize>, new: &str| Some(format!("{}{new}{}", &text[..at.start], &text[at.end..]));
    if let Some(old) = value(entry, "sha256") {
        return put(old.at.clone(), hash);
    }
    let Kind::Map(fields) = &entry.kind else { return None };
    let (key, at) = fields.iter().find(|(key, _)| key.name == "name").map(|(key, node)| (key, &node.at))?;
    let flow = text[..key.at.start].trim_end().ends_with(['{', ',']);
    if flow {
        return put(at.end..at.end, &format!(", sha256: {hash}"));
    }
    let begin = text[..key.at.start].rfind('\n').map_or(0, |n| n + 1);
    let indent: String = text[begin..key.at.start].chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
    let end = text[at.end..].find('\n').map_or(text.len(), |n| at.end + n);
    put(end..end, &format!("\n{indent}sha256: {hash}"))
}

fn value<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Kind::Map(fields) = &node.kind else { return None };
    fields.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_written_where_it_belongs_and_the_rest_stays_as_it_was() {
        for (text, wanted) in [
            (
                "plugins:\n  - name: a # mine\n    path: a.so\n  - name: b\n    path: b.so\n",
                Some(
                    "plugins:\n  - name: a # mine\n    sha256: H\n    path: a.so\n  - name: b\n    path: b.so\n",
                ),
            ),
            ("plugins: [{ name: a, path: a.so }]\n", Some("plugins: [{ name: a, sha256: H, path: a.so }]\n")),
            (
                "plugins:\n  - { path: a.so, name: \"a\" } # x\n",
                Some("plugins:\n  - { path: a.so, name: \"a\", sha256: H } # x\n"),
            ),
            (
                "plugins:\n  - path: a.so\n    sha256: 0123 # old\n    name: a",
                Some("plugins:\n  - path: a.so\n    sha256: H # old\n    name: a"),
            ),
            (
                "plugins:\n  - path: a.so\n    name: a",
                Some("plugins:\n  - path: a.so\n    name: a\n    sha256: H"),
            ),
            ("plugins: [{ name: other, path: a.so }]\n", None),
            ("listen: x\n", None),
        ] {
            assert_eq!(pinned(text, "a", "H").as_deref(), wanted, "{text}");
        }
    }
}
