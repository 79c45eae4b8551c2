//! `include/paramedic_plugin.h` says what `src/abi.rs` says: it is made from it, and a C compiler agrees on the layout.
//! To write it anew: `UPDATE_HEADER=1 cargo test -p paramedic-plugin --test header`.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use paramedic_plugin::abi::{self, ParamedicHost, ParamedicPlugin};

const SOURCE: &str = include_str!("../src/abi.rs");

#[test]
fn the_header_is_what_the_rust_definitions_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/paramedic_plugin.h");
    let wanted = header();
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "include/paramedic_plugin.h is not what src/abi.rs says; \
         `UPDATE_HEADER=1 cargo test -p paramedic-plugin --test header` writes it anew"
    );
}

#[test]
fn a_c_compiler_lays_the_tables_out_as_rust_does() {
    let mut program = String::from("#include \"paramedic_plugin.h\"\n");
    let mut same = |what: &str, n: usize| {
        writeln!(program, "_Static_assert({what} == {n}, \"{what}\");").unwrap();
    };
    same("sizeof(paramedic_host)", size_of::<ParamedicHost>());
    same("offsetof(paramedic_host, features)", offset_of!(ParamedicHost, features));
    same("offsetof(paramedic_host, reply)", offset_of!(ParamedicHost, reply));
    same("offsetof(paramedic_host, log)", offset_of!(ParamedicHost, log));
    same("sizeof(paramedic_plugin)", size_of::<ParamedicPlugin>());
    same("offsetof(paramedic_plugin, features)", offset_of!(ParamedicPlugin, features));
    same("offsetof(paramedic_plugin, manifest)", offset_of!(ParamedicPlugin, manifest));
    same("offsetof(paramedic_plugin, manifest_len)", offset_of!(ParamedicPlugin, manifest_len));
    same("offsetof(paramedic_plugin, start)", offset_of!(ParamedicPlugin, start));
    same("offsetof(paramedic_plugin, call)", offset_of!(ParamedicPlugin, call));
    same("offsetof(paramedic_plugin, stop)", offset_of!(ParamedicPlugin, stop));
    same("PARAMEDIC_ABI", abi::PARAMEDIC_ABI as usize);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = dir.join("layout.c");
    std::fs::write(&file, program).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    for standard in ["-std=c11", "-std=c17"] {
        let out = Command::new("cc")
            .args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I"])
            .arg(&include)
            .arg(&file)
            .output();
        match out {
            Ok(out) => assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr)),
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "there is no C compiler: {error}");
                eprintln!("skipped: there is no C compiler: {error}");
            }
        }
    }
}

/// The header, made from the source: constants, tables and what is written above each.
fn header() -> String {
    let mut out =
        String::from("/* Made from plugins/sdk/src/abi.rs; a test compares the two. Do not edit.\n *\n");
    let above: Vec<&str> = SOURCE.lines().take_while(|line| line.starts_with("//!")).collect();
    for line in above.iter().skip(2) {
        writeln!(out, " *{}", line.trim_start_matches("//!").replace("**", "").replace('`', "")).unwrap();
    }
    out.push_str(" */\n#ifndef PARAMEDIC_PLUGIN_H\n#define PARAMEDIC_PLUGIN_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n");
    out.push_str("#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    let mut doc: Vec<String> = Vec::new();
    // Statements may be broken over lines: they are put together first.
    let mut statement = String::new();
    for line in SOURCE.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim().replace('`', ""));
            continue;
        }
        if line.is_empty() || line.starts_with("//") || line.starts_with('#') || line.starts_with("use ") {
            continue;
        }
        statement.push_str(line);
        statement.push(' ');
        if line.ends_with(':') {
            continue;
        }
        let done = std::mem::take(&mut statement);
        let text = emit(done.trim());
        if !text.is_empty() {
            let indent = if text.starts_with("    ") { "    " } else { "" };
            let comment = std::mem::take(&mut doc).join(&format!("\n{indent}   "));
            let blank = if indent.is_empty() { "\n" } else { "" };
            writeln!(out, "{blank}{indent}/* {comment} */\n{text}").unwrap();
        } else if done.trim() == "}" {
            out.push_str(&closing(&out));
        } else {
            doc.clear();
        }
    }
    writeln!(out, "\n/* What a library must export. */\nconst paramedic_plugin *{}(void);", abi::ENTRY)
        .unwrap();
    out.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    out
}

fn emit(statement: &str) -> String {
    if let Some(rest) = statement.strip_prefix("pub const ") {
        let (name, rest) = rest.split_once(": ").unwrap();
        let (kind, value) = rest.split_once(" = ").unwrap();
        let value = value.trim_end_matches(';').replace('_', "");
        return match kind {
            "u32" => format!("#define {name} UINT32_C({value})"),
            "u64" => format!("#define {name} UINT64_C({value})"),
            _ => String::new(),
        };
    }
    if let Some(rest) = statement.strip_prefix("pub struct ") {
        return format!("typedef struct {} {{", snake(rest.trim_end_matches(" {")));
    }
    let Some(field) = statement.strip_prefix("pub ") else { return String::new() };
    let (name, kind) = field.trim_end_matches(',').split_once(": ").unwrap();
    let Some(function) = kind.strip_prefix("Option<unsafe extern \"C\" fn(") else {
        return format!("    {};", declare(kind, name));
    };
    let function = function.strip_suffix('>').unwrap();
    let (arguments, result) = function.rsplit_once(')').unwrap();
    let result = result.strip_prefix(" -> ").unwrap_or("void");
    let arguments: Vec<String> = arguments
        .split(", ")
        .filter(|text| !text.is_empty())
        .map(|text| text.split_once(": ").map(|(name, kind)| declare(kind, name)).unwrap())
        .collect();
    let arguments = if arguments.is_empty() { "void".into() } else { arguments.join(", ") };
    format!("    {};", declare(result, &format!("(*{name})({arguments})")))
}

/// The end of the table that was begun last.
fn closing(out: &str) -> String {
    let begun = out.rsplit("typedef struct ").next().unwrap();
    format!("}} {};\n", begun.split(' ').next().unwrap())
}

fn declare(kind: &str, name: &str) -> String {
    match kind {
        "u32" => format!("uint32_t {name}"),
        "i32" => format!("int32_t {name}"),
        "u64" => format!("uint64_t {name}"),
        "usize" => format!("size_t {name}"),
        "void" => format!("void {name}"),
        "*const c_char" => format!("const char *{name}"),
        other => match other.strip_prefix("*const ") {
            Some(table) => format!("const {} *{name}", snake(table)),
            None => panic!("no C type is known for {other}"),
        },
    }
}

/// `ParamedicHost` is `paramedic_host` in C.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
