//! The report that CI systems read: JUnit's XML, a suite a file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::engine::rehearse::Report;

/// The whole report.
pub(super) fn write(reports: &[Report], took: Duration) -> String {
    let mut suites: BTreeMap<&str, Vec<&Report>> = BTreeMap::new();
    for report in reports {
        suites.entry(&report.case.file).or_default().push(report);
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    open(&mut xml, 0, "testsuites", &[("name", "paramedic".into())], reports.iter(), took);
    for (file, reports) in &suites {
        let took = reports.iter().map(|report| report.took).sum();
        open(&mut xml, 1, "testsuite", &[("name", (*file).into())], reports.iter().copied(), took);
        for report in reports {
            case(&mut xml, report);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn open<'a>(
    xml: &mut String,
    depth: usize,
    tag: &str,
    attributes: &[(&str, String)],
    reports: impl Iterator<Item = &'a Report>,
    took: Duration,
) {
    let (mut tests, mut failures) = (0, 0);
    for report in reports {
        tests += 1;
        failures += usize::from(!report.passed());
    }
    let mut all = attributes.to_vec();
    all.extend([
        ("tests", tests.to_string()),
        ("failures", failures.to_string()),
        ("errors", "0".into()),
        ("skipped", "0".into()),
        ("time", seconds(took)),
    ]);
    element(xml, depth, tag, &all, ">");
}

fn case(xml: &mut String, report: &Report) {
    let case = &report.case;
    let class = if case.rule.is_empty() { &case.file } else { &case.rule };
    let attributes = [
        ("classname", class.clone()),
        ("name", case.name.clone()),
        ("file", case.file.clone()),
        ("line", case.line.to_string()),
        ("time", seconds(report.took)),
    ];
    if report.passed() {
        return element(xml, 2, "testcase", &attributes, "/>");
    }
    element(xml, 2, "testcase", &attributes, ">");
    let lines: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
    let first = lines.first().map(|line| line.trim().to_owned()).unwrap_or_default();
    let attributes = [("message", first), ("type", "difference".into())];
    element(xml, 3, "failure", &attributes, ">");
    xml.truncate(xml.trim_end().len());
    let _infallible = writeln!(xml, "{}</failure>", escaped(&lines.join("\n")));
    xml.push_str("    </testcase>\n");
}

fn element(xml: &mut String, depth: usize, tag: &str, attributes: &[(&str, String)], end: &str) {
    xml.push_str(&"  ".repeat(depth));
    xml.push('<');
    xml.push_str(tag);
    for (name, value) in attributes {
        // Line breaks in an attribute would be read as spaces.
        let value = escaped(value).replace('\n', "&#10;").replace('\t', "&#9;");
        xml.push_str(&format!(" {name}=\"{value}\""));
    }
    xml.push_str(end);
    xml.push('\n');
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// Text that is safe in XML: what has a meaning there is written out, what may not stand there becomes `\u{fffd}`.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\t' | '\n' => safe.push(c),
            '\r' => safe.push_str("&#13;"),
            c if c < ' ' || ['\u{fffe}', '\u{ffff}'].contains(&c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_has_a_meaning_in_xml_is_written_out_and_what_may_not_stand_there_is_replaced() {
        assert_eq!(
            escaped("<a href=\"x\">&'\u{1b}[0m ü\n"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&apos;\u{fffd}[0m ü\n"
        );
    }
}
