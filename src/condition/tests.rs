//! What a person who writes conditions relies on.

mod agreement;
mod json;

use serde_json::{Value, json};

use super::{Condition, EvalError, Fields, VARIABLES, View, compile, functions, script};
use crate::model::{Event, Topic, clock};

fn event(data: Value) -> Event {
    let topic = Topic::try_new("telemetry.kernel.exited").unwrap();
    Event::new("id-1", topic, "kernels", clock::micros(1_700_000_000_000_000), data).about("kernel-17")
}

impl Condition {
    /// What Rhai itself makes of it.
    fn value_by_script(&self, view: &View<'_>) -> Result<Value, EvalError> {
        script::json(&self.by_script(view)?)
    }

    fn test_by_script(&self, view: &View<'_>) -> Result<bool, EvalError> {
        let answer = self.by_script(view)?;
        if answer.is_unit() {
            return Ok(false);
        }
        answer.as_bool().map_err(|kind| EvalError { message: kind.into(), column: 0 })
    }

    fn by_script(&self, view: &View<'_>) -> Result<rhai::Dynamic, EvalError> {
        let vars = self.0.reads.iter().map(|name| (&**name, view.variable(name))).collect();
        script::run(&self.parse().0, &self.0.text, vars, view.event().time.timestamp_micros())
    }
}

#[test]
fn a_condition_means_what_rhai_says_and_a_missing_field_is_no_error() {
    let event = event(json!({
        "kernel": "k1", "n": 3, "f": 0.5, "big": 18_446_744_073_709_551_615_u64, "ok": true, "list": ["a", 2],
        "deep": {"er": {"x": 1}}, "a-b": "dash", "text": "Disk FULL on sda", "none": null, "empty": "",
        "nums": [1, 2, 3], "started": "2023-11-14T22:11:50Z", "unix": 1_699_999_900, "timeout": "5m",
        "jobs": [
            {"name": "a", "n": 3, "at": "2023-11-14T22:00:00", "tags": ["x", "a"]},
            {"name": "b", "n": 7, "at": "2023-11-14T22:13:00Z", "tags": "b"},
            {"name": "a"}
        ]
    }));
    for (text, expected) in [
        ("true", Ok(true)),
        ("data.n > 2 && data.kernel == \"k1\"", Ok(true)),
        ("data.n > 2.5", Ok(true)),
        ("data.n in [1, 3]", Ok(true)),
        ("data.kernel !in [\"k2\"]", Ok(true)),
        ("data.kernel in data.list", Ok(false)),
        ("\"FULL\" in data.text", Ok(true)),
        ("data.text.to_lower().contains(\"full\")", Ok(true)),
        ("data.text.len() == 16 && len(data.list) == 2", Ok(true)),
        ("data.list[1] == 2", Ok(true)),
        ("data[\"a-b\"] == \"dash\"", Ok(true)),
        ("data.deep.er.x + 1 == 2", Ok(true)),
        ("data.big > 9223372036854775807", Ok(true)),
        ("data.ok", Ok(true)),
        ("!data.ok", Ok(false)),
        ("data.zz == ()", Ok(true)),
        ("data.zz.y.z == () && data.none == ()", Ok(true)),
        ("data.zz > 3 || data.zz < 3", Ok(false)),
        ("data.zz != 3", Ok(true)),
        ("data.zz.contains(\"x\") || data.zz.starts_with(\"x\") || len(data.zz) > 0", Ok(false)),
        ("is_missing(data.zz) && exists(data.n)", Ok(true)),
        ("(data.zz ?? 7) == 7", Ok(true)),
        ("topic == \"telemetry.kernel.exited\" && source == \"kernels\"", Ok(true)),
        ("event.subject == subject && event.data.n == 3 && event.id == \"id-1\"", Ok(true)),
        ("time.starts_with(\"2023-11-14T22:13:20\")", Ok(true)),
        ("priority == \"normal\"", Ok(true)),
        ("abs(-data.n) == 3 && max(1, 2) == 2", Ok(true)),
        ("data.n % 2 == 1 && 7 / 2 == 3", Ok(true)),
        ("target == \"k1\"", Ok(true)),
        ("data.list[9] == () && data.list[-1] == 2 && data.list[-3] == ()", Ok(true)),
        ("data.zz[3].x == () && data.zz?.y == ()", Ok(true)),
        ("data.text.matches(\"FULL on sd[a-z]$\") && !data.text.matches(\"^FULL\")", Ok(true)),
        ("data.text.imatches(\"full ON\") && data.text.matches(\"(?i)disk\")", Ok(true)),
        (
            "data.text.like(\"Disk*sd?\") && data.text.ilike(\"disk*\") && !data.text.like(\"disk*\")",
            Ok(true),
        ),
        ("iequals(data.kernel, \"K1\") && data.text.icontains(\"full\")", Ok(true)),
        ("data.text.istarts_with(\"disk\") && data.text.iends_with(\"SDA\")", Ok(true)),
        ("data.zz.matches(\"a\") || data.zz.icontains(\"a\") || data.text.matches(data.zz)", Ok(false)),
        ("data.list.icontains(\"A\") && !data.list.contains(\"A\")", Ok(true)),
        ("data.nums.any(|x| x > 2) && data.nums.all(|x| x > 0) && data.nums.none(|x| x > 3)", Ok(true)),
        ("any(data.nums, |x| x >= data.n) && data.nums.count(|x| x != data.n) == 2", Ok(true)),
        ("data.jobs.any(|j| age(j.at) > 5m && j.tags.any(|t| t == j.name && t != data.kernel))", Ok(true)),
        ("data.jobs.filter(|j| j.name == \"b\").map(|j| j.n) == [7]", Ok(true)),
        ("data.deep.any(|d| d.er.x == 1) && data.zz.any(|x| true) == false", Ok(true)),
        ("data.zz.all(|x| true) || data.zz.none(|x| true) || data.zz.count(|x| true) > 0", Ok(false)),
        ("data.nums.map(|x| x * 2).sum() == 12 && avg(data.nums) == 2", Ok(true)),
        ("min(data.nums) == 1 && max(data.nums) == 3 && max(data.n, 1) == 3", Ok(true)),
        ("first(data.list) == \"a\" && last(data.list) == 2 && first(data.zz) == ()", Ok(true)),
        ("data.jobs.map(|j| j.name).unique().join(\"+\") == \"a+b\"", Ok(true)),
        ("age(data.started) == 90s && age(data.started) > 1m && age(data.unix) > 1m", Ok(true)),
        ("age(data.zz) > 1m || age(data.text) > 1m || age(data.zz) < 1m", Ok(false)),
        ("time(data.started) < time(time) && time(time) - time(data.started) == 1m30s", Ok(true)),
        ("duration(data.timeout) == 5m && duration(\"90s\") == 90", Ok(true)),
        ("hour(time) == 22 && hour(time, \"Europe/Berlin\") == 23 && weekday(time) == 2", Ok(true)),
        ("to_int(\"12\") == 12 && to_float(\"1.5\") == 1.5 && to_int(data.text) == ()", Ok(true)),
        ("(to_int(data.text) ?? 7) == 7 && to_int(data.zz) == () && parse_int(\"3\") == 3", Ok(true)),
        ("data.zz + 1 > 0 || data.zz * data.zz < 3", Ok(false)),
        ("\" a \".trim() == \"a\" && \"a-b\".replace(\"-\", \"+\") == \"a+b\"", Ok(true)),
        ("data.text.split(\" \")[1] == \"FULL\" && data.text.sub_string(0, 4) == \"Disk\"", Ok(true)),
        ("data.zz.trim() == () && data.zz.to_lower() == () && data.zz.split(\",\") == []", Ok(true)),
        ("data.deep.contains(\"er\") && \"er\" in data.deep && 3 in data.nums && 4 !in data.nums", Ok(true)),
        ("round(2.5) == 3 && floor(-0.5) == -1 && ceiling(data.f) == 1 && floor(data.n) == 3", Ok(true)),
        ("data.n", Err("true or false")),
        ("data.zz", Ok(false)),
        ("!data.zz && (data.zz || !data.zz.y.any(|x| x) || true)", Ok(true)),
        ("data.n && true", Err("want true or false, this is a number")),
        ("!data.kernel", Err("want true or false, this is a text")),
        ("data.n in 1..5 && data.n !in 4..=5 && data.f in 0..1 && data.zz !in 1..3", Ok(true)),
        ("data.n / 0 == 1", Err("zero")),
        ("data.n.x == 1", Err("")),
        ("data.kernel.x == 1", Err("Unknown property")),
        ("data.list.x == 1", Err("")),
        ("data.list < data.list", Err("")),
        (
            "5m > 1s && data.n.contains(1)",
            Err("`contains` is not for (i64, i64): it is `text.contains(part)` (at character 19 of"),
        ),
        ("data.nums.any(|x| x)", Err("true or false")),
        ("matches(data.n, \"a\")", Err("wants two texts, this is a number")),
        ("data.kernel.matches(\"(\" + data.kernel)", Err("no pattern")),
        ("hour(time, data.kernel) > 1", Err("no time zone")),
    ] {
        let target = json!("k1");
        let condition = compile(text, &["target"]).unwrap_or_else(|e| panic!("{text}: {e}"));
        match (condition.test(&event, &[("target", &target)]), expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer, expected, "{text}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (answer, _) => panic!("{text}: {answer:?}"),
        }
    }
}

#[test]
fn the_order_of_a_list_changes_no_answer() {
    for (text, bad, settles, lacks) in [
        ("data.l.any(|x| x.v > 5)", Err("Unknown property"), (json!({"v": 9}), Ok(true)), json!({"v": 1})),
        ("data.l.all(|x| x.v > 5)", Err("Unknown property"), (json!({"v": 1}), Ok(false)), json!({"v": 9})),
        ("data.l.none(|x| x.v > 5)", Err("Unknown property"), (json!({"v": 9}), Ok(false)), json!({"v": 1})),
        ("data.l.any(|x| x.v)", Err("Unknown property"), (json!({"v": true}), Ok(true)), json!({"v": false})),
        (
            "data.l.count(|x| x.v > 5) == 1",
            Err("Unknown property"),
            (json!({"v": 9}), Err("Unknown property")),
            json!({"v": 1}),
        ),
        (
            "data.l.any(|x| x.ok || x.v)",
            Err("true or false"),
            (json!({"ok": true}), Ok(true)),
            json!({"v": false}),
        ),
    ] {
        let broken = if bad == Err("Unknown property") { json!(7) } else { json!({"v": 1}) };
        for (other, expected) in [settles, (lacks, bad)] {
            for list in [json!([broken, other]), json!([other, broken])] {
                let answer = compile(text, &[]).unwrap().test(&event(json!({"l": list})), &[]);
                match (answer, expected) {
                    (Ok(answer), Ok(expected)) => assert_eq!(answer, expected, "{text}: {list}"),
                    (Err(error), Err(part)) => {
                        assert!(error.to_string().contains(part), "{text}: {list}: {error}");
                    }
                    (answer, _) => panic!("{text}: {list}: {answer:?}"),
                }
            }
        }
    }
}

#[test]
fn common_conditions_need_no_script() {
    for (text, expected) in [
        ("data.boot_duration_ms > 1000 && data.error in [\"timeout\", \"panic\"]", true),
        ("subject == target || data[\"a-b\"].c != ()", true),
        ("!(data.msg.to_lower().contains(\"oom\")) && data.a + 1 <= data.b * 2", true),
        ("data.list[0] == 1 && data.list[2].x != 3", true),
        ("data.host.matches(\"^db-[0-9]+$\") || data.host.ilike(\"web-*\")", true),
        ("age(data.started) > 5m && hour(time, \"Europe/Berlin\") in [8, 9]", true),
        ("data.a?.b?.c == 1 && data.text.trim().is_empty()", true),
        ("time > \"2023\"", true),
        ("data.x in 1..5 && data.flag && !data.other", true),
        ("data.list[-1] == 1", false),
        ("data.list.any(|x| x > 1)", false),
    ] {
        assert_eq!(compile(text, &["target"]).unwrap().is_lowered(), expected, "{text}");
    }
}

#[test]
fn a_mistake_is_shown_where_it_is_with_the_way_out() {
    for (text, at, message, help) in [
        ("dat.x > 1", "dat", "unknown name `dat`", "did you mean `data`?"),
        ("kernel == 1", "kernel", "unknown name", "`data.kernel`"),
        ("data.x == null", "null", "reserved", "compare with that"),
        ("data.x = 1", "=", "", "write `==`"),
        ("data.x and data.y", "and", "", "write `&&`"),
        ("data.match == 1", "match", "reserved", "[\"match\"]"),
        ("data.x >", "", "incomplete", "missing at the end"),
        ("data.x.push(1)", "push", "cannot be called", "it may call"),
        ("eval(\"1\")", "eval", "", ""),
        ("print(1)", "print", "cannot be called", ""),
        ("now() - time(data.x) > 5m", "now", "cannot be called", "age(x)"),
        ("5m < dta.x", "dta", "unknown name", "`data`"),
        ("data.x > 5mm", "mm", "", ""),
        ("data.x.matches(\"(a\") && 1h > 2s", "\"(a\"", "unclosed group", "double quotes"),
        ("imatches(data.x, `(?=a)`)", "`(?=a)`", "look-around", "linear time"),
        ("hour(time, \"Europe/Berln\") > 8", "\"Europe/Berln\"", "no time zone", ""),
        ("data.list.any(|x| x > dta.y)", "dta", "unknown name", "`data`"),
        ("data.list.any(|x| x.push(1))", "push", "cannot be called", ""),
        ("data.list.any(|x| { x; x })", ";", "", ""),
        ("data.list.any(|x| x = 1)", "=", "one expression", "write `==`"),
        ("matches(data.x)", "matches", "does not take 1", "text.matches"),
        ("data.list.any()", "any", "does not take 1", "list.any(|x|"),
        ("data.list.some(|x| x > 1)", "some", "cannot be called", "any"),
        ("start_with(data.x, \"a\")", "start_with", "cannot be called", "did you mean `starts_with`?"),
        ("if data.x { 1 } else { 2 }", "if", "", ""),
        ("let x = 1", "let", "", ""),
        ("", "", "", ""),
        ("data.a;\ndata.b", ";", "", ""),
        ("true &&\n  dta.x", "dta", "unknown name", "`data`"),
        ("sleep(1)", "sleep", "cannot be called", ""),
        ("timestamp() > 1", "timestamp", "cannot be called", ""),
        ("this.x", "this", "", ""),
        (
            "data.x == \"a\" || \"b\"",
            "\"b\"",
            "each side of `||`",
            "write `data.x == \"a\" || data.x == \"b\"`, or `data.x in [\"a\", \"b\"]`",
        ),
        ("(data.x != 1 && 2) && data.y", "2", "each side of `&&`", "`data.x !in [1, 2]`"),
        ("\"a\" || data.x == 1", "\"a\"", "each side of `||`", "compare this value too"),
        ("data.x in (1, 2)", "(1, 2)", "square brackets", "write `in [1, 2]`"),
        ("data.x.matches(\"^\\w+\\d\") || true", "\"^\\w+\\d\"", "written twice", ": `^\\w+\\d`"),
        ("data.x.matches(\"`\\d\")", "\"`\\d\"", "written twice", "write it twice"),
        (
            "data.x.matches('\\d+')",
            "'\\d+'",
            "single quotes",
            "between backticks, where it is written once: `\\d+`",
        ),
        ("data.x1 m", "m", "nothing joins `x1` and `m`", ""),
        ("data.héllo == 1", "héllo", "only the letters", "write `data[\"héllo\"]`"),
        ("data.x > 1 && über > 1", "über", "only the letters", "`data[\"über\"]`"),
        ("data.y.a-b-c > 1", "b", "unknown name", "write `data.y[\"a-b-c\"]`"),
        ("data.a - b > 1", "b", "unknown name", "`data.b`"),
        ("age(data.x) > 1.5 hours", "1.5 hours", "one word", "write `1.5h`"),
        ("age(data.x) > 5min", "5min", "one word", "write `5m`"),
        ("data.a data.b", "data", "nothing joins `a` and `data`", "`&&`"),
        ("data.a == 1 \"x\"", "\"x\"", "nothing joins `1` and `\"x\"`", "`&&`"),
        ("data.a is 1", "is", "", "write `==`"),
        ("if {}", "if", "no `if`", "joined with `&&`"),
    ] {
        let error = compile(text, &[]).expect_err(text);
        assert_eq!(&text[error.at.clone()], at, "{text}: {error:?}");
        assert!(error.message.contains(message), "{text}: {error:?}");
        assert!(error.help.clone().unwrap_or_default().contains(help), "{text}: {error:?}");
    }
}

#[test]
fn an_expression_cannot_run_away() {
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(compile(&deep, &[]).is_err());
    assert!(compile(&"data.x && ".repeat(5_000), &[]).is_err());
    let wide = vec!["data.list.contains(data.x)"; 100].join(" || ");
    let condition = compile(&wide, &[]).unwrap();
    let list: Vec<usize> = (0..2_000).collect();
    let error = condition.test(&event(json!({"list": list, "x": -1})), &[]);
    assert!(matches!(error, Ok(false) | Err(_)));
    let event = event(json!({"list": vec![7; 8_000], "text": "a".repeat((1 << 20) - 1) + "!"}));
    for (text, expected) in [
        ("data.list.any(|x| x > 7)", Ok(false)),
        ("data.list.all(|x| x == data.list[0])", Ok(true)),
        ("data.text.matches(\"(a+)+$\")", Ok(false)),
        ("(data.text + \"\").matches(\"(a+)+$\" + \"\")", Ok(false)),
        ("data.list.all(|x| data.list.all(|y| x == y))", Err("more work than a condition may")),
    ] {
        let from = std::time::Instant::now();
        match (compile(text, &[]).unwrap().test(&event, &[]), expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer, expected, "{text}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (answer, _) => panic!("{text}: {answer:?}"),
        }
        assert!(from.elapsed().as_secs() < 5, "{text} took {:?}", from.elapsed());
    }
}

#[test]
fn an_explanation_names_the_clause_and_its_values() {
    let event = event(json!({
        "n": 3, "mixed": [7, {"used": 95}], "error": "oom", "host": "web-1", "disks": [{"used": 10}, {"used": 95}], "ok": true,
        "started": "2023-11-14T22:12:20Z", "long": "x".repeat(500)
    }));
    for (text, expected) in [
        (
            "data.n > 1 && data.error == \"panic\"",
            "`data.error == \"panic\"` is false, as data.error = \"oom\"",
        ),
        ("data.n > 5 && data.zz.y", "`data.n > 5` is false, as data.n = 3"),
        ("data.n > 1 && data.zz.y", "`data.zz.y` is false, as data.zz.y = () (missing)"),
        (
            "data.n > 1 && (data.n > 9 || data.error == \"&&\")",
            "neither of two: `data.n > 9` is false, as data.n = 3; `data.error == \"&&\"` is false, as data.error = \"oom\"",
        ),
        (
            "data.n > 1 && (data.n > 9 || (data.n > 2 && data.error == \"oom\"))",
            "`data.n > 1 && (data.n > 9 || (data.n > 2 && data.error == \"oom\"))` holds, as data.n = 3, data.error = \"oom\"",
        ),
        ("data.n > 9 || data.error == \"oom\"", "`data.error == \"oom\"` holds, as data.error = \"oom\""),
        (
            "!(data.n > 9 || data.ok)",
            "`!(data.n > 9 || data.ok)` is false, since `data.ok` holds, as data.ok = true",
        ),
        ("!data.ok", "`!data.ok` is false, as data.ok = true"),
        ("data.n == 3", "`data.n == 3` holds, as data.n = 3"),
        ("data.n in 5..9", "`data.n in 5..9` is false, as data.n = 3"),
        ("(data.n ?? 0) > 5", "`(data.n ?? 0) > 5` is false, as data.n = 3"),
        ("data.host.matches(\"^db\")", "`data.host.matches(\"^db\")` is false, as data.host = \"web-1\""),
        (
            "age(data.started) > 5m",
            "`age(data.started) > 5m` is false, as data.started = \"2023-11-14T22:12:20Z\", time = \"2023-11-14T22:13:20Z\"",
        ),
        (
            "data.disks.any(|d| d.used > 90)",
            "`data.disks.any(|d| d.used > 90)` holds, as data.disks = a list of 2, data.disks[1] = {\"used\":95}",
        ),
        (
            "data.n > 1 && data.disks.any(|d| d.used > 90 && d.used < data.n)",
            "`data.disks.any(|d| d.used > 90 && d.used < data.n)` is false, as data.disks = a list of 2, data.n = 3, it holds for none of the 2 of data.disks [{\"used\":10}, {\"used\":95}]",
        ),
        (
            "all(data.disks, |d| d.used < 90)",
            "`all(data.disks, |d| d.used < 90)` is false, as data.disks = a list of 2, data.disks[1] = {\"used\":95}",
        ),
        (
            "data.mixed.all(|d| d.used < 90)",
            "`data.mixed.all(|d| d.used < 90)` is false, as data.mixed = a list of 2, data.mixed[1] = {\"used\":95}",
        ),
        (
            "data.disks.count(|d| d.used > 90) >= 2",
            "`data.disks.count(|d| d.used > 90) >= 2` is false, as data.disks = a list of 2, it holds for 1 of the 2 of data.disks",
        ),
    ] {
        assert_eq!(compile(text, &[]).unwrap().explain(&event, &[]).to_string(), expected);
    }
    let endless = vec!["data.long == data.error"; 100].join(" || ");
    let said = compile(&endless, &[]).unwrap().explain(&event, &[]).to_string();
    assert!(said.len() < 2_000 && said.ends_with("and 94 more"), "{said}");
}

#[test]
fn fields_are_read_from_the_text_as_from_the_value() {
    let paths = |texts: &[&str]| -> Vec<_> {
        texts.iter().flat_map(|t| compile(t, &[]).unwrap().paths().to_vec()).collect::<Vec<_>>()
    };
    let fields =
        Fields::new(paths(&["data.a.b == data.a", "data.c == topic", "priority == source", "data.a.d == 1"]));
    let mut slots = Vec::new();
    for (line, text, expected) in [
        (r#"{"topic":"t","data":{"a":{"b":1}}}"#, "data.a.b", "Int(1)"),
        (r#"{"type":"t","payload":{"a":{"b":1}}}"#, "topic", "Str(\"t\")"),
        (r#"{"topic":"t","data":{"a":{"b":1},"a":{"d":2}}}"#, "data.a.b", "Missing"),
        (r#"{"topic":"t","data":{"a":{"b":1}},"data":null}"#, "data.a.b", "Missing"),
        (r#"{"topic":"t","data":{"a":3}}"#, "data.a.b", "Unknown"),
        (r#"{"topic":"t","data":{"a":null}}"#, "data.a.b", "Missing"),
        (r#"{"topic":"t","data":{"a":[1,[2]]}}"#, "data.a", "Array(2)"),
        (r#"{"topic":"t","data":7}"#, "data.c", "Unknown"),
        (r#"{"topic":"t","data":{"c":"a\n\u0041"}}"#, "data.c", "Str(\"a\\nA\")"),
        (r#"{"topic":"t"}"#, "priority", "Str(\"normal\")"),
    ] {
        fields.read_json(line, &mut slots).unwrap();
        let path = paths(&[text]).remove(0);
        assert_eq!(format!("{:?}", slots[fields.slot(&path).unwrap() as usize]), expected, "{line}");
    }
    for bad in ["", "5", "[]", "{", r#"{"topic":"t"} x"#, r#"{"data":{"a":{"b":01}}}"#] {
        assert!(fields.read_json(bad, &mut slots).is_err(), "{bad}");
    }
    let deep = format!(r#"{{"skipped":{}{},"data":{{"c":1}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    fields.read_json(&deep, &mut slots).unwrap();
    let wanted_deep = format!(r#"{{"data":{{"c":{}{}}}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    fields.read_json(&wanted_deep, &mut slots).unwrap();
}

#[test]
fn every_function_is_in_the_documentation_and_can_be_called() {
    let page = include_str!("../../rules/conditions.md");
    for function in functions::FUNCTIONS.iter().flat_map(|(_, list)| *list) {
        let row = format!("| `{}` | {} |", function.usage, function.about);
        assert!(page.contains(&row.replace("|x|", "\\|x\\|")), "rules/conditions.md lacks this row:\n{row}");
        let args = vec!["data.x"; function.least].join(", ");
        compile(&format!("{}({args})", function.name), &[]).unwrap();
    }
}

#[test]
fn every_variable_of_the_contract_is_there() {
    for name in VARIABLES {
        assert!(compile(&format!("exists({name})"), &[]).is_ok(), "{name}");
    }
}
